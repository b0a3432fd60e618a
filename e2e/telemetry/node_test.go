package telemetry

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/staticpod-exporter/staticpod-exporter/e2e/await"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/exporter"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/monitoring"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/node"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/otlp"
)

const pod = `apiVersion: v1
kind: Pod
metadata: {name: %s}
spec:
  hostNetwork: true
  terminationGracePeriodSeconds: 0
  containers:
  - {name: main, image: "staticpod.test/pod:1", args: [pause]}
`

// quick has everything exported, and soon.
var quick = []string{"OTEL_TRACES_SAMPLER=always_on", "OTEL_METRIC_EXPORT_INTERVAL=1000", "OTEL_BSP_SCHEDULE_DELAY=200", "OTEL_BLRP_SCHEDULE_DELAY=200"}

// Several exporters look at one node, each with another receiver.
func TestNode(t *testing.T) {
	if err := node.Check(); err != nil {
		t.Fatal(err)
	}
	n, err := node.Start(t.Context(), node.Options{Progress: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	write := func(name, content string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(n.ManifestDirectory(), name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	flags := exporter.NodeFlags(n)
	type strict struct {
		protocol string
		receiver *otlp.Receiver
		exporter *exporter.Exporter
	}
	var receivers []strict
	for _, protocol := range []string{otlp.GRPC, otlp.HTTP} {
		r, err := otlp.Listen(t.Context(), otlp.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(r.Close)
		env := slices.Concat(quick, r.Environment(protocol))
		if protocol == otlp.HTTP {
			env = append(env, "OTEL_EXPORTER_OTLP_COMPRESSION=gzip")
		}
		receivers = append(receivers, strict{protocol, r, launch(t, t.Output(), flags, env...)})
	}
	real := startCollector(t)
	for _, protocol := range []string{otlp.GRPC, otlp.HTTP} {
		launch(t, t.Output(), flags, slices.Concat(quick, real.environment(protocol), []string{"OTEL_RESOURCE_ATTRIBUTES=service.instance.id=" + strings.ReplaceAll(protocol, "/", "-")})...)
	}
	prometheus, err := monitoring.New(t.Context(), monitoring.Options{
		Config: "global: {scrape_interval: 1h}\n", Directory: t.TempDir(), Progress: t.Output(),
		Flags: []string{"--web.enable-otlp-receiver", "--enable-feature=exemplar-storage"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := prometheus.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(prometheus.Kill)
	pushed := launch(t, t.Output(), flags, slices.Concat(quick, []string{"OTEL_TRACES_EXPORTER=none",
		"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT=" + prometheus.URL() + "/api/v1/otlp/v1/metrics"})...)

	// The story: a pod that comes up, a definition that the kubelet refuses and that is mended.
	write("web.yaml", fmt.Sprintf(pod, "web"))
	write("bad.yaml", strings.Replace(fmt.Sprintf(pod, "bad"), "name: main, ", "", 1))

	for _, s := range receivers {
		t.Run("strict over "+s.protocol, func(t *testing.T) {
			await.Nil(t, "the rollout and the refusal", func(context.Context) error {
				return errors.Join(s.receiver.Refused(), rolledOut(s.receiver), event(s.receiver, "staticpod.problem.began", "ManifestRejected"))
			})
		})
	}
	write("bad.yaml", fmt.Sprintf(pod, "bad"))
	for _, s := range receivers {
		t.Run("strict over "+s.protocol+", in the end", func(t *testing.T) {
			await.Nil(t, "the end of the refusal", func(context.Context) error {
				return event(s.receiver, "staticpod.problem.ended", "ManifestRejected")
			})
			await.Nil(t, "metrics as scraped", func(ctx context.Context) error { return equal(ctx, s.exporter, s.receiver) })
			await.Nil(t, "exemplars, links and log records lead to traces", func(context.Context) error { return resolves(s.receiver) })
			await.Nil(t, "collections", func(context.Context) error { return collections(s.receiver) })
			s.exporter.Stop(t.Context())
			if err := errors.Join(s.receiver.Refused(), resolves(s.receiver)); err != nil {
				t.Error(err)
			}
			if n := len(s.receiver.Spans()); n < 20 {
				t.Errorf("%d spans", n)
			}
		})
	}
	for _, protocol := range []string{otlp.GRPC, otlp.HTTP} {
		t.Run("a Collector over "+protocol, func(t *testing.T) {
			await.Nil(t, "all in its files", func(context.Context) error {
				names, err := real.taken(strings.ReplaceAll(protocol, "/", "-"))
				for _, want := range []string{
					"span rollout", "span collect", "span ask runtime", "metric staticpod.ready", "metric staticpod.rollout.duration",
					"event staticpod.problem.began ManifestRejected", "event staticpod.problem.ended ManifestRejected",
				} {
					if !names[want] {
						err = errors.Join(err, fmt.Errorf("no %s", want))
					}
				}
				return err
			})
		})
	}
	t.Run("Prometheus", func(t *testing.T) {
		await.Nil(t, "the families of a scrape", func(ctx context.Context) error {
			scraped, err := pushed.Metrics(ctx)
			if err != nil {
				return err
			}
			vector, err := prometheus.Query(ctx, `count by (__name__) ({__name__=~"staticpod_.+"})`)
			if err != nil {
				return err
			}
			got := map[string]int{}
			for _, s := range vector {
				got[string(s.Metric["__name__"])] = int(s.Value)
			}
			want := map[string]int{}
			for name, mf := range scraped {
				if !strings.HasPrefix(name, "staticpod_") {
					continue
				}
				if mf.GetType() == dto.MetricType_HISTOGRAM {
					want[name+"_count"], want[name+"_sum"] = len(mf.Metric), len(mf.Metric)
					want[name+"_bucket"] = len(mf.Metric) * (len(mf.Metric[0].Histogram.Bucket))
				} else {
					want[name] = len(mf.Metric)
				}
			}
			if !maps.Equal(got, want) {
				return fmt.Errorf("it has %v\nthe scrape %v", got, want)
			}
			return nil
		})
		// What has gone is gone at once, although Prometheus would look five minutes back.
		const seen = `staticpod_ready{k8s_pod_name=~"bad-.+"}`
		if vector, err := prometheus.Query(t.Context(), seen); err != nil || len(vector) != 1 {
			t.Fatalf("before: %v, %v", vector, err)
		}
		if err := os.Remove(filepath.Join(n.ManifestDirectory(), "bad.yaml")); err != nil {
			t.Fatal(err)
		}
		await.Within(t, await.Patience, "the pod is gone", func(ctx context.Context) error {
			vector, err := prometheus.Query(ctx, seen)
			if err == nil && len(vector) > 0 {
				err = fmt.Errorf("it has %v", vector)
			}
			return err
		})
	})
}

// rolledOut reports whether the rollout of web is there from its beginning to its end.
func rolledOut(r *otlp.Receiver) error {
	for _, s := range r.Spans() {
		name, _ := s.Attributes().Get("k8s.pod.name")
		outcome, _ := s.Attributes().Get("staticpod.rollout.outcome")
		if s.Name() == "rollout" && strings.HasPrefix(name.AsString(), "web-") && outcome.AsString() == "ready" {
			return nil
		}
	}
	return fmt.Errorf("of %d spans none is the rollout of web", len(r.Spans()))
}

// event reports whether a log record of a problem is there.
func event(r *otlp.Receiver, name, reason string) error {
	for _, record := range r.Records() {
		of, _ := record.Attributes().Get("staticpod.problem.reason")
		path, _ := record.Attributes().Get("file.path")
		if record.EventName() == name && of.AsString() == reason {
			if !strings.HasSuffix(path.AsString(), "bad.yaml") || record.Timestamp() > record.ObservedTimestamp() {
				return fmt.Errorf("%s is about %q, of %s, seen %s", name, path.AsString(), record.Timestamp(), record.ObservedTimestamp())
			}
			return nil
		}
	}
	return fmt.Errorf("of %d log records none is %s %s", len(r.Records()), name, reason)
}

// resolves reports whether all that leads to a span leads to one that was received.
func resolves(r *otlp.Receiver) error {
	type id struct {
		trace pcommon.TraceID
		span  pcommon.SpanID
	}
	spans := map[id]bool{}
	traces := map[pcommon.TraceID]bool{}
	for _, s := range r.Spans() {
		spans[id{s.TraceID(), s.SpanID()}] = true
		traces[s.TraceID()] = true
	}
	var err error
	exemplars := 0
	for _, s := range r.Spans() {
		if parent := (id{s.TraceID(), s.ParentSpanID()}); !s.ParentSpanID().IsEmpty() && !spans[parent] && s.Name() != "rollout" && !strings.Contains(s.Scope.Name(), "rollout") {
			err = errors.Join(err, fmt.Errorf("the parent of %q", s.Name()))
		}
		for _, link := range s.Links().All() {
			kind, _ := link.Attributes().Get("staticpod.link")
			if !spans[id{link.TraceID(), link.SpanID()}] && kind.AsString() != "previous" {
				err = errors.Join(err, fmt.Errorf("a link of %q to a %s", s.Name(), kind.AsString()))
			}
		}
	}
	exports := r.Metrics()
	if len(exports) == 0 {
		return errors.New("no metrics")
	}
	for _, m := range exports[len(exports)-1] {
		if m.Type() != pmetric.MetricTypeHistogram {
			continue
		}
		for _, p := range m.Histogram().DataPoints().All() {
			for _, e := range p.Exemplars().All() {
				exemplars++
				if !spans[id{e.TraceID(), e.SpanID()}] {
					err = errors.Join(err, fmt.Errorf("an exemplar of %s, trace known: %t", m.Name(), traces[e.TraceID()]))
				}
			}
		}
	}
	if exemplars == 0 {
		err = errors.Join(err, errors.New("no exemplars"))
	}
	return err
}

// collections reports whether one has a question for each input, and calls in them.
func collections(r *otlp.Receiver) error {
	names := map[string]bool{}
	byID := map[pcommon.SpanID]string{}
	for _, s := range r.Spans() {
		byID[s.SpanID()] = s.Name()
	}
	for _, s := range r.Spans() {
		names[byID[s.ParentSpanID()]+" > "+s.Name()] = true
	}
	var err error
	for _, want := range []string{
		" > collect", "collect > ask kubelet", "collect > ask runtime", "collect > look at log", "collect > look at manifest",
		"ask kubelet > v1alpha1.Pods/ListPods", "ask kubelet > GET /configz", "ask runtime > runtime.v1.RuntimeService/StreamPodSandboxes",
	} {
		if !names[want] {
			err = errors.Join(err, fmt.Errorf("no %s", want))
		}
	}
	if err != nil {
		err = fmt.Errorf("%w: there are %q", err, slices.Sorted(maps.Keys(names)))
	}
	return err
}

// equal compares an export with the scrapes before and after it: what is the same in both must be so in the export.
func equal(ctx context.Context, e *exporter.Exporter, r *otlp.Receiver) error {
	before, err := e.Metrics(ctx)
	if err != nil {
		return err
	}
	at := len(r.Metrics())
	for len(r.Metrics()) < at+2 { // one that began after the scrape
		changed := r.Changed()
		if len(r.Metrics()) >= at+2 {
			break
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	exports := r.Metrics()
	after, err := e.Metrics(ctx)
	if err != nil {
		return err
	}
	first, then, exported := scraped(before), scraped(after), received(exports[len(exports)-1])
	var problems []error
	same := 0
	for key, value := range first {
		if again, ok := then[key]; !ok || math.Float64bits(again) != math.Float64bits(value) {
			continue // it changes
		}
		same++
		if got, ok := exported[key]; !ok || got != value {
			problems = append(problems, fmt.Errorf("%s is %v, and exported %v, %t", key, value, got, ok))
		}
	}
	for key := range exported {
		_, was := first[key]
		if _, is := then[key]; !was && !is {
			problems = append(problems, fmt.Errorf("%s is exported and not scraped", key))
		}
	}
	if same < 100 {
		problems = append(problems, fmt.Errorf("only %d series stayed the same", same))
	}
	return errors.Join(problems...)
}

// A series is known by its name and its values of labels: their names differ.
func series(name string, values []string) string {
	values = slices.DeleteFunc(values, func(v string) bool { return v == "" })
	slices.Sort(values)
	return name + " " + strings.Join(values, " ")
}

func scraped(m exporter.Metrics) map[string]float64 {
	all := map[string]float64{}
	for name, mf := range m {
		if !strings.HasPrefix(name, "staticpod_") {
			continue
		}
		for _, metric := range mf.Metric {
			var values []string
			for _, l := range metric.Label {
				values = append(values, l.GetValue())
			}
			switch {
			case metric.Histogram != nil:
				all[series(name+"_count", values)] = float64(metric.Histogram.GetSampleCount())
				all[series(name+"_sum", values)] = metric.Histogram.GetSampleSum()
			case metric.Counter != nil:
				all[series(name, values)] = metric.Counter.GetValue()
			default:
				all[series(name, values)] = metric.Gauge.GetValue()
			}
		}
	}
	return all
}

// received is the same of an export, by the names that Prometheus would make of it.
func received(export []otlp.Metric) map[string]float64 {
	all := map[string]float64{}
	for _, m := range export {
		name := strings.ReplaceAll(m.Name(), ".", "_")
		if unit := map[string]string{"s": "_seconds", "By": "_bytes"}[m.Unit()]; !strings.HasSuffix(name, unit) {
			name += unit
		}
		values := func(attributes pcommon.Map) []string {
			var values []string
			for _, v := range attributes.All() {
				values = append(values, v.AsString())
			}
			return values
		}
		switch m.Type() {
		case pmetric.MetricTypeGauge:
			for _, p := range m.Gauge().DataPoints().All() {
				if !math.IsNaN(p.DoubleValue()) {
					all[series(name, values(p.Attributes()))] = p.DoubleValue()
				}
			}
		case pmetric.MetricTypeSum:
			for _, p := range m.Sum().DataPoints().All() {
				all[series(name+"_total", values(p.Attributes()))] = p.DoubleValue()
			}
		case pmetric.MetricTypeHistogram:
			for _, p := range m.Histogram().DataPoints().All() {
				all[series(name+"_count", values(p.Attributes()))] = float64(p.Count())
				all[series(name+"_sum", values(p.Attributes()))] = p.Sum()
			}
		}
	}
	return all
}
