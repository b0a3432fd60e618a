package telemetry

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"regexp"
	"runtime/pprof"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/staticpod-exporter/staticpod-exporter/observe/metrics"
)

// start makes a Telemetry from variables, which are those of the process too: the SDK reads them by itself.
func start(t *testing.T, log *slog.Logger, pairs ...string) *Telemetry {
	t.Helper()
	for _, pair := range pairs {
		name, value, _ := strings.Cut(pair, "=")
		t.Setenv(name, value)
	}
	settings, err := ReadSettings(os.Getenv)
	if err != nil {
		t.Fatal(err)
	}
	telemetry, err := New(t.Context(), Options{Settings: settings, Node: "node1", Version: "1.2.3", Console: t.Output(), Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	return telemetry
}

// A listener that counts who dials.
func dialled(t *testing.T) (address string, dials *atomic.Int32) {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	dials = new(atomic.Int32)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			dials.Add(1)
			c.Close()
		}
	}()
	return l.Addr().String(), dials
}

// sdkGoroutines counts the goroutines that are in the SDK's code.
func sdkGoroutines(t *testing.T) int {
	t.Helper()
	var dump bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&dump, 2); err != nil {
		t.Fatal(err)
	}
	n := 0
	for stack := range strings.SplitSeq(dump.String(), "\n\n") {
		if regexp.MustCompile(`go\.opentelemetry\.io/|google\.golang\.org/grpc`).MatchString(stack) {
			n++
		}
	}
	return n
}

func TestNothingRunsUnlessItIsAskedFor(t *testing.T) {
	address, dials := dialled(t)
	use := func(telemetry *Telemetry) {
		if provider := telemetry.Traces(); provider != nil {
			_, span := provider.Tracer("test").Start(t.Context(), "collection")
			span.End()
		}
	}
	endpoint := "OTEL_EXPORTER_OTLP_ENDPOINT=http://" + address
	for name, set := range map[string][]string{
		"nothing is set": nil,
		"none of each":   {endpoint, "OTEL_TRACES_EXPORTER=none", "OTEL_METRICS_EXPORTER=none", "OTEL_LOGS_EXPORTER=none"},
		"it is disabled": {endpoint, "OTEL_SDK_DISABLED=true"},
	} {
		t.Run(name, func(t *testing.T) {
			before := sdkGoroutines(t)
			telemetry := start(t, nil, set...)
			use(telemetry)
			if telemetry.Traces() != nil || len(telemetry.Signals()) > 0 {
				t.Error("something is exported")
			}
			if now := sdkGoroutines(t); now != before {
				t.Errorf("%d goroutines of the SDK", now-before)
			}
			if err := telemetry.Close(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	if n := dials.Load(); n > 0 {
		t.Errorf("dialled %d times", n)
	}
	for _, protocol := range []string{protocolGRPC, protocolHTTP} {
		t.Run("it is wanted over "+protocol, func(t *testing.T) {
			before, dialledBefore := sdkGoroutines(t), dials.Load()
			telemetry := start(t, nil, endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL="+protocol, "OTEL_EXPORTER_OTLP_TIMEOUT=100", "OTEL_METRICS_EXPORTER=none", "OTEL_TRACES_SAMPLER=always_on")
			use(telemetry)
			if sdkGoroutines(t) == before {
				t.Error("no goroutine of the SDK: the test above proves nothing")
			}
			if err := telemetry.Close(t.Context()); err == nil {
				t.Error("what nobody took is lost without a word")
			}
			if dials.Load() == dialledBefore {
				t.Error("not dialled: the test above proves nothing")
			}
		})
	}
}

// What cannot be said of the exporter is an error, and no reason to say nothing.
func TestResourceThatCannotBeRead(t *testing.T) {
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "x")
	telemetry, err := New(t.Context(), Options{Settings: Settings{traces: destination{exporter: exportConsole}, spans: batching{1, 1, time.Second}}, Node: "node1", Console: t.Output()})
	if err == nil || telemetry.Traces() == nil || !strings.Contains(telemetry.resource.String(), "k8s.node.name=node1") {
		t.Errorf("it has %s, and says %v", telemetry.resource, err)
	}
	if err := telemetry.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// journal is a log to look into.
type journal struct {
	mu    sync.Mutex
	lines strings.Builder
}

func (j *journal) Write(line []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.lines.Write(line)
}

func (j *journal) take() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	defer j.lines.Reset()
	return j.lines.String()
}

func newJournal() (*journal, *slog.Logger) {
	j := &journal{}
	return j, slog.New(slog.NewTextHandler(j, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey || a.Key == "after" {
			return slog.Attr{}
		}
		return a
	}}))
}

func TestAccountOfASignal(t *testing.T) {
	lines, log := newJournal()
	s := &signal{name: signalTraces, limit: 4, log: log}
	expect := func(what, line string, want metrics.Signal) {
		t.Helper()
		want.Name, want.Queued = signalTraces, true
		if got := s.count(); got != want {
			t.Errorf("%s: %+v, want %+v", what, got, want)
		}
		if got := strings.TrimSpace(lines.take()); got != line {
			t.Errorf("%s: it says %q, want %q", what, got, line)
		}
	}
	admit := func(want ...bool) {
		t.Helper()
		for i, w := range want {
			if s.admit() != w {
				t.Errorf("%d: admitted %t", i, !w)
			}
		}
	}
	admit(true, true, true, true)
	expect("a queue that is just full", "", metrics.Signal{Waiting: 4})
	admit(false, false)
	expect("one that is too full", `level=WARN msg="telemetry is dropped: the queue is full" signal=traces queue=4`, metrics.Signal{Waiting: 4, Dropped: 2})
	s.done(2, errors.New("refused"))
	expect("a failure", `level=WARN msg="telemetry cannot be exported" signal=traces err=refused`, metrics.Signal{Waiting: 2, Dropped: 2, Failed: 2})
	s.done(1, errors.New("refused again"))
	expect("a failure after another", "", metrics.Signal{Waiting: 1, Dropped: 2, Failed: 3})
	s.done(1, nil)
	expect("a success", `level=INFO msg="telemetry is exported again" signal=traces lost=5`, metrics.Signal{Dropped: 2, Failed: 3, Exported: 1})
	admit(true, true, true)
	s.done(3, errors.New("traces export: OTLP partial success: too\nold (2 spans rejected)"))
	expect("half a success", `level=WARN msg="telemetry cannot be exported" signal=traces err="traces export: OTLP partial success: too\nold (2 spans rejected)"`, metrics.Signal{Dropped: 2, Failed: 5, Exported: 2})
	admit(true)
	s.done(1, nil)
	expect("a success after it", `level=INFO msg="telemetry is exported again" signal=traces lost=2`, metrics.Signal{Dropped: 2, Failed: 5, Exported: 3})
	admit(true, true)
	s.done(1, errors.New("traces export: OTLP partial success: old protocol (0 spans rejected)"))
	expect("a success with a word", `level=WARN msg="telemetry is exported, and the receiver has something to say" signal=traces said="traces export: OTLP partial success: old protocol (0 spans rejected)"`, metrics.Signal{Waiting: 1, Dropped: 2, Failed: 5, Exported: 4})
	s.done(1, errors.New("traces export: OTLP partial success: old protocol (0 spans rejected)"))
	expect("the same word again", "", metrics.Signal{Dropped: 2, Failed: 5, Exported: 5})
}

// stuck is an exporter that takes its time.
type stuck struct {
	entered chan int
	release chan struct{}
}

func (s stuck) ExportSpans(_ context.Context, spans []sdktrace.ReadOnlySpan) error {
	s.entered <- len(spans)
	<-s.release
	return nil
}

func (stuck) Shutdown(context.Context) error { return nil }

// Whoever ends a span never waits for the receiver, and what the account says was dropped is all that was.
func TestSlowReceiverBlocksNobody(t *testing.T) {
	const limit, batch, spans = 8, 4, 100
	_, log := newJournal()
	account := &signal{name: signalTraces, limit: limit, log: log}
	exporter := stuck{entered: make(chan int, spans), release: make(chan struct{})}
	processor := spanQueue{sdktrace.NewBatchSpanProcessor(accountedSpans{exporter, account},
		sdktrace.WithMaxQueueSize(limit), sdktrace.WithMaxExportBatchSize(batch), sdktrace.WithBatchTimeout(time.Hour)), account}
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(processor))
	tracer := provider.Tracer("test")
	for range batch {
		_, span := tracer.Start(t.Context(), "span")
		span.End()
	}
	if n := <-exporter.entered; n != batch {
		t.Fatalf("a batch of %d", n)
	}
	for range spans - batch {
		_, span := tracer.Start(t.Context(), "span")
		span.End()
	}
	if got, want := account.count(), (metrics.Signal{Name: signalTraces, Queued: true, Waiting: limit, Dropped: spans - limit}); got != want {
		t.Errorf("while it is stuck: %+v, want %+v", got, want)
	}
	close(exporter.release)
	if err := provider.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, want := account.count(), (metrics.Signal{Name: signalTraces, Queued: true, Exported: limit, Dropped: spans - limit}); got != want {
		t.Errorf("in the end: %+v, want %+v", got, want)
	}
}
