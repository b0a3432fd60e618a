package telemetry

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/staticpod-exporter/staticpod-exporter/e2e/exporter"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/otlp"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/programs"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/service"
)

// A collector is a real OpenTelemetry Collector that writes what it takes to files.
type collector struct {
	grpc, http, directory string
	log                   *bytes.Buffer
}

func startCollector(t *testing.T) *collector {
	t.Helper()
	program, err := programs.EnsureCollector(t.Context(), t.Output())
	if err != nil {
		t.Fatal(err)
	}
	c := &collector{directory: t.TempDir(), log: &bytes.Buffer{}}
	for _, address := range []*string{&c.grpc, &c.http} {
		if *address, err = exporter.FreeAddress(); err != nil {
			t.Fatal(err)
		}
	}
	config := fmt.Sprintf(`
receivers:
  otlp: {protocols: {grpc: {endpoint: %q}, http: {endpoint: %q}}}
exporters:
  file/traces: {path: %[3]s/traces, flush_interval: 100ms}
  file/metrics: {path: %[3]s/metrics, flush_interval: 100ms}
  file/logs: {path: %[3]s/logs, flush_interval: 100ms}
service:
  telemetry: {metrics: {level: none}, logs: {level: warn}}
  pipelines:
    traces: {receivers: [otlp], exporters: [file/traces]}
    metrics: {receivers: [otlp], exporters: [file/metrics]}
    logs: {receivers: [otlp], exporters: [file/logs]}
`, c.grpc, c.http, c.directory)
	path := filepath.Join(c.directory, "config.yaml")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	s := service.New(service.Options{
		Name: "collector",
		Command: func() (*exec.Cmd, error) {
			cmd := exec.Command(program, "--config="+path)
			cmd.Stdout, cmd.Stderr = c.log, c.log
			return cmd, nil
		},
		Ready: func(ctx context.Context) error {
			for _, address := range []string{c.grpc, c.http} {
				conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
				if err != nil {
					return err
				}
				conn.Close()
			}
			return nil
		},
	})
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Kill() // before its log is read
		if t.Failed() || c.log.Len() > 0 {
			t.Logf("the Collector says:\n%s", c.log)
		}
	})
	return c
}

// environment is for an exporter that exports to c.
func (c *collector) environment(protocol string) []string {
	address := c.http
	if protocol == otlp.GRPC {
		address = c.grpc
	}
	return []string{"OTEL_EXPORTER_OTLP_PROTOCOL=" + protocol, "OTEL_EXPORTER_OTLP_ENDPOINT=http://" + address}
}

// taken is what the files have of one node: the names of spans, of metrics and of events, and which of the spans'
// traces are rollouts that ended well.
func (c *collector) taken(node string) (names map[string]bool, err error) {
	names = map[string]bool{}
	each := func(file string, take func(line []byte) error) error {
		f, err := os.Open(filepath.Join(c.directory, file))
		if err != nil {
			return err
		}
		defer f.Close()
		lines := bufio.NewScanner(f)
		lines.Buffer(nil, 64<<20)
		for lines.Scan() {
			if err := take(lines.Bytes()); err != nil {
				return fmt.Errorf("%s: %w", file, err)
			}
		}
		return lines.Err()
	}
	if err := each("traces", func(line []byte) error {
		all, err := (&ptrace.JSONUnmarshaler{}).UnmarshalTraces(line)
		for _, resource := range all.ResourceSpans().All() {
			if v, _ := resource.Resource().Attributes().Get("service.instance.id"); v.AsString() != node {
				continue
			}
			for _, scope := range resource.ScopeSpans().All() {
				for _, span := range scope.Spans().All() {
					names["span "+span.Name()] = true
				}
			}
		}
		return err
	}); err != nil {
		return nil, err
	}
	if err := each("metrics", func(line []byte) error {
		all, err := (&pmetric.JSONUnmarshaler{}).UnmarshalMetrics(line)
		for _, resource := range all.ResourceMetrics().All() {
			if v, _ := resource.Resource().Attributes().Get("service.instance.id"); v.AsString() != node {
				continue
			}
			for _, scope := range resource.ScopeMetrics().All() {
				for _, metric := range scope.Metrics().All() {
					names["metric "+metric.Name()] = true
				}
			}
		}
		return err
	}); err != nil {
		return nil, err
	}
	err = each("logs", func(line []byte) error {
		all, err := (&plog.JSONUnmarshaler{}).UnmarshalLogs(line)
		for _, resource := range all.ResourceLogs().All() {
			if v, _ := resource.Resource().Attributes().Get("service.instance.id"); v.AsString() != node {
				continue
			}
			for _, scope := range resource.ScopeLogs().All() {
				for _, record := range scope.LogRecords().All() {
					reason, _ := record.Attributes().Get("staticpod.problem.reason")
					names[strings.TrimSpace("event "+record.EventName()+" "+reason.AsString())] = true
				}
			}
		}
		return err
	})
	return names, err
}
