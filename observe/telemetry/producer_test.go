package telemetry

import (
	"encoding/hex"
	"errors"
	"log/slog"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	dto "github.com/prometheus/client_model/go"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/staticpod-exporter/staticpod-exporter/observe/metrics"
)

// families is a gatherer of what a test says.
type families []*dto.MetricFamily

func (f families) Published() ([]*dto.MetricFamily, error) { return slices.Clone(f), nil }

// series makes one, with labels as "name=value".
func series(m *dto.Metric, labels ...string) *dto.Metric {
	for _, l := range labels {
		name, value, _ := strings.Cut(l, "=")
		m.Label = append(m.Label, &dto.LabelPair{Name: &name, Value: &value})
	}
	return m
}

func ofGauge(v float64) *dto.Metric   { return &dto.Metric{Gauge: &dto.Gauge{Value: &v}} }
func ofCounter(v float64) *dto.Metric { return &dto.Metric{Counter: &dto.Counter{Value: &v}} }

func family(name string, t dto.MetricType, of ...*dto.Metric) *dto.MetricFamily {
	return &dto.MetricFamily{Name: &name, Help: new("What it is."), Type: &t, Metric: of}
}

// a produced metric, by its name.
func produce(t *testing.T, p *producer) map[string]metricdata.Metrics {
	t.Helper()
	scopes, err := p.Produce(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]metricdata.Metrics{}
	for _, s := range scopes {
		for _, m := range s.Metrics {
			if _, ok := all[m.Name]; ok {
				t.Errorf("%s is there twice", m.Name)
			}
			all[m.Name] = m
		}
	}
	return all
}

// A clock is a test's own time.
type clock struct{ now time.Time }

func (c *clock) step(d time.Duration) { c.now = c.now.Add(d) }

func producerOf(s Settings) (*producer, *families, *clock) {
	f, c := &families{}, &clock{time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)}
	p := newProducer(f, s, "1.2.3", slog.New(slog.DiscardHandler))
	p.now = func() time.Time { return c.now }
	return p, f, c
}

func TestProducerGivesNamesUnitsAndAttributes(t *testing.T) {
	p, f, c := producerOf(Settings{})
	*f = families{
		family("staticpod_container_restarts_total", dto.MetricType_COUNTER, series(ofCounter(3), "container=etcd", "namespace=kube-system", "pod=etcd-node1")),
		family("staticpod_manifest_fetches_total", dto.MetricType_COUNTER, series(ofCounter(21), "code=200")),
		family("staticpod_problem_start_timestamp_seconds", dto.MetricType_GAUGE,
			series(ofGauge(17e8), "definition=", "level=warning", "namespace=", "pod=", "reason=LogUnavailable")),
	}
	all := produce(t, p)
	if got, want := slices.Sorted(maps.Keys(all)), []string{"staticpod.container.restarts", "staticpod.manifest.fetches", "staticpod.problem.start.timestamp"}; !slices.Equal(got, want) {
		t.Fatalf("it has %v", got)
	}
	restarts := all["staticpod.container.restarts"]
	sum := restarts.Data.(metricdata.Sum[float64])
	if point := sum.DataPoints[0]; restarts.Unit != "{restart}" || restarts.Description != "What it is." || !sum.IsMonotonic || sum.Temporality != metricdata.CumulativeTemporality ||
		point.Value != 3 || !point.Time.Equal(c.now) || !point.StartTime.IsZero() {
		t.Errorf("restarts: %+v", restarts)
	}
	for name, want := range map[string]attribute.Set{
		"staticpod.container.restarts":      attribute.NewSet(attribute.String("k8s.container.name", "etcd"), attribute.String("k8s.namespace.name", "kube-system"), attribute.String("k8s.pod.name", "etcd-node1")),
		"staticpod.manifest.fetches":        attribute.NewSet(attribute.Int("http.response.status_code", 200)),
		"staticpod.problem.start.timestamp": attribute.NewSet(attribute.String("staticpod.problem.level", "warning"), attribute.String("staticpod.problem.reason", "LogUnavailable")),
	} {
		var got attribute.Set
		switch d := all[name].Data.(type) {
		case metricdata.Sum[float64]:
			got = d.DataPoints[0].Attributes
		case metricdata.Gauge[float64]:
			got = d.DataPoints[0].Attributes
		}
		if !got.Equals(&want) {
			t.Errorf("%s has %v, want %v", name, got.ToSlice(), want.ToSlice())
		}
	}
}

// took is a histogram as the client library has it: both kinds of buckets, and exemplars on either.
func took(count uint64, sum float64, cumulative ...uint64) *dto.Metric {
	h := &dto.Histogram{SampleCount: &count, SampleSum: &sum, CreatedTimestamp: timestamppb.New(time.Unix(1700000000, 0))}
	for i, bound := range []float64{1, 4} {
		h.Bucket = append(h.Bucket, &dto.Bucket{UpperBound: &bound, CumulativeCount: &cumulative[i]})
	}
	e := &dto.Exemplar{Value: new(2.0), Timestamp: timestamppb.New(time.Unix(1700000100, 0))}
	for _, l := range [][2]string{{"trace_id", strings.Repeat("ab", 16)}, {"span_id", strings.Repeat("cd", 8)}, {"more", "x"}} {
		e.Label = append(e.Label, &dto.LabelPair{Name: &l[0], Value: &l[1]})
	}
	h.Bucket[1].Exemplar = e
	h.Exemplars = []*dto.Exemplar{e}
	h.Schema, h.ZeroThreshold, h.ZeroCount = new(int32(3)), new(1e-128), new(uint64(0))
	h.PositiveSpan, h.PositiveDelta = []*dto.BucketSpan{{Offset: new(int32(8)), Length: new(uint32(1))}}, []int64{int64(count)}
	return &dto.Metric{Histogram: h}
}

// The IDs of an exemplar are bytes: a receiver drops the whole export over one that has them as text.
func TestProducerKeepsExemplars(t *testing.T) {
	for _, exponential := range []bool{false, true} {
		p, f, _ := producerOf(Settings{exponential: exponential})
		original := took(3, 6, 1, 3)
		*f = families{family("staticpod_rollout_duration_seconds", dto.MetricType_HISTOGRAM, series(original, "stage=pull"))}
		var got []metricdata.Exemplar[float64]
		switch d := produce(t, p)["staticpod.rollout.duration"].Data.(type) {
		case metricdata.Histogram[float64]:
			if exponential {
				t.Error("its buckets are explicit")
			}
			point := d.DataPoints[0]
			got = point.Exemplars
			if !slices.Equal(point.Bounds, []float64{1, 4}) || !slices.Equal(point.BucketCounts, []uint64{1, 2, 0}) || point.Count != 3 || point.Sum != 6 || point.StartTime.Unix() != 1700000000 {
				t.Errorf("it is %+v", point)
			}
		case metricdata.ExponentialHistogram[float64]:
			if !exponential {
				t.Error("its buckets are exponential")
			}
			point := d.DataPoints[0]
			got = point.Exemplars
			if point.Count != 3 || point.Sum != 6 || point.Scale != 3 || !slices.Equal(point.PositiveBucket.Counts, []uint64{3}) {
				t.Errorf("it is %+v", point)
			}
		}
		if len(got) != 1 || hex.EncodeToString(got[0].TraceID) != strings.Repeat("ab", 16) || hex.EncodeToString(got[0].SpanID) != strings.Repeat("cd", 8) ||
			got[0].Value != 2 || got[0].Time.Unix() != 1700000100 || len(got[0].FilteredAttributes) != 1 {
			t.Errorf("exponential %t: the exemplars are %+v", exponential, got)
		}
		if len(original.Histogram.PositiveSpan) == 0 {
			t.Error("the family of the snapshot was changed")
		}
	}
}

func TestExemplarThatLeadsNowhere(t *testing.T) {
	e := &dto.Exemplar{Value: new(1.0), Label: []*dto.LabelPair{{Name: new("trace_id"), Value: new("nonsense")}}}
	if got := exemplars(nil, e); len(got) != 1 || got[0].TraceID != nil || got[0].SpanID != nil {
		t.Errorf("it became %+v", got)
	}
}

// told is what is said of a gauge: its values by one attribute, with - for none.
func told(m metricdata.Metrics, by attribute.Key) map[string]float64 {
	values := map[string]float64{}
	if d, ok := m.Data.(metricdata.Gauge[float64]); ok {
		for _, p := range d.DataPoints {
			v, _ := p.Attributes.Value(by)
			values[v.AsString()] = p.Value
			if math.Float64bits(p.Value) == math.Float64bits(noValue) {
				values[v.AsString()] = -1
			}
		}
	}
	return values
}

func TestWhatEndsIsSaidToHaveEnded(t *testing.T) {
	p, f, c := producerOf(Settings{})
	ready := func(pods ...string) families {
		if len(pods) == 0 {
			return families{family("staticpod_definitions", dto.MetricType_GAUGE, series(ofGauge(0), "source=file"))}
		}
		mf := family("staticpod_ready", dto.MetricType_GAUGE)
		for _, pod := range pods {
			mf.Metric = append(mf.Metric, series(ofGauge(1), "namespace=default", "pod="+pod))
		}
		return families{mf}
	}
	for i, step := range []struct {
		pods []string
		want map[string]float64
	}{
		{[]string{"a", "b"}, map[string]float64{"a": 1, "b": 1}},
		{[]string{"a"}, map[string]float64{"a": 1, "b": -1}},
		{nil, map[string]float64{"a": -1, "b": -1}}, // the whole family is gone
		{[]string{"b"}, map[string]float64{"a": -1, "b": 1}},
		{nil, map[string]float64{"a": -1, "b": -1}},
		{nil, map[string]float64{"a": -1, "b": -1}},
		{nil, map[string]float64{"a": -1, "b": -1}},
		{nil, map[string]float64{"a": -1, "b": -1}}, // five minutes after a went
		{nil, map[string]float64{"b": -1}},
		{nil, map[string]float64{"b": -1}},
		{nil, map[string]float64{}},
	} {
		*f = ready(step.pods...)
		m := produce(t, p)["staticpod.ready"]
		if got := told(m, "k8s.pod.name"); !maps.Equal(got, step.want) {
			t.Errorf("minute %d: %v, want %v", i, got, step.want)
		}
		if len(step.want) > 0 && (m.Unit != "{pod}" || m.Description != "What it is.") {
			t.Errorf("minute %d: %+v", i, m)
		}
		c.step(time.Minute)
	}
	if len(p.ended) != 1 { // that of definitions
		t.Errorf("it remembers %d gauges", len(p.ended))
	}
}

func TestConsoleHasNoMarks(t *testing.T) {
	p, f, _ := producerOf(Settings{metrics: destination{exporter: exportConsole}})
	*f = families{family("staticpod_ready", dto.MetricType_GAUGE, series(ofGauge(1), "pod=a"))}
	produce(t, p)
	*f = families{family("staticpod_ready", dto.MetricType_GAUGE, series(ofGauge(1), "pod=b"))}
	if got := told(produce(t, p)["staticpod.ready"], "k8s.pod.name"); !maps.Equal(got, map[string]float64{"b": 1}) {
		t.Errorf("it says %v", got)
	}
}

func TestDelta(t *testing.T) {
	p, f, c := producerOf(Settings{delta: true, deltaCounts: true})
	type values struct {
		Problems, Restarts, Count, Sum float64
		Buckets                        []uint64
		Exemplars                      int
	}
	for i, step := range []struct {
		problems, restarts float64
		rollouts           *dto.Metric
		want               values
	}{
		// Of problems all are news, of restarts none: they were before the exporter.
		{5, 40, took(1, 2, 0, 1), values{5, 0, 1, 2, []uint64{0, 1, 0}, 1}},
		{5, 41, took(1, 2, 0, 1), values{0, 1, 0, 0, []uint64{0, 0, 0}, 0}},
		{8, 41, took(3, 9, 1, 2), values{3, 0, 2, 7, []uint64{1, 0, 1}, 0}},
		{8, 2, took(3, 9, 1, 2), values{0, 2, 0, 0, []uint64{0, 0, 0}, 0}}, // the pod began anew
	} {
		*f = families{
			family("staticpod_problems_total", dto.MetricType_COUNTER, series(ofCounter(step.problems), "reason=NotReady")),
			family("staticpod_container_restarts_total", dto.MetricType_COUNTER, series(ofCounter(step.restarts), "container=a")),
			family("staticpod_rollout_duration_seconds", dto.MetricType_HISTOGRAM, series(step.rollouts, "stage=pull")),
		}
		all := produce(t, p)
		problems, restarts := all["staticpod.problems"].Data.(metricdata.Sum[float64]), all["staticpod.container.restarts"].Data.(metricdata.Sum[float64])
		rollouts := all["staticpod.rollout.duration"].Data.(metricdata.Histogram[float64])
		point := rollouts.DataPoints[0]
		got := values{problems.DataPoints[0].Value, restarts.DataPoints[0].Value, float64(point.Count), point.Sum, point.BucketCounts, len(point.Exemplars)}
		if diff := cmp.Diff(step.want, got); diff != "" {
			t.Errorf("export %d: (-want +got)\n%s", i, diff)
		}
		if problems.Temporality != metricdata.DeltaTemporality || rollouts.Temporality != metricdata.DeltaTemporality {
			t.Errorf("export %d: not delta", i)
		}
		if began := problems.DataPoints[0].StartTime; i > 0 && !began.Equal(c.now.Add(-time.Minute)) {
			t.Errorf("export %d: since %s", i, began)
		}
		c.step(time.Minute)
	}
	*f = families{}
	produce(t, p)
	*f = families{family("staticpod_definitions", dto.MetricType_GAUGE, ofGauge(1))}
	produce(t, p)
	if len(p.since.last) > 0 {
		t.Errorf("it remembers %d series that have ended", len(p.since.last))
	}
}

// lowmemory wants the change of what is measured when it happens, and the total of what is only read.
func TestLowMemory(t *testing.T) {
	p, f, _ := producerOf(Settings{delta: true})
	*f = families{
		family("staticpod_problems_total", dto.MetricType_COUNTER, series(ofCounter(1), "reason=NotReady")),
		family("staticpod_rollout_duration_seconds", dto.MetricType_HISTOGRAM, series(took(1, 2, 0, 1), "stage=pull")),
	}
	all := produce(t, p)
	if all["staticpod.problems"].Data.(metricdata.Sum[float64]).Temporality != metricdata.CumulativeTemporality ||
		all["staticpod.rollout.duration"].Data.(metricdata.Histogram[float64]).Temporality != metricdata.DeltaTemporality {
		t.Errorf("it is %+v", all)
	}
}

// A family that is not in the catalogue has no name to be exported by.
func TestProducerAndCatalogue(t *testing.T) {
	p, f, _ := producerOf(Settings{})
	for _, entry := range metrics.Catalogue() {
		if entry.OTel.Name == "" || p.entries[entry.Name].OTel != entry.OTel {
			t.Errorf("%s has no name", entry.Name)
		}
	}
	*f = families{family("staticpod_unheard_of", dto.MetricType_GAUGE, ofGauge(1))}
	if _, err := p.produce(t.Context()); err == nil || err.Error() != "staticpod_unheard_of is not in the catalogue" {
		t.Errorf("it says %v", err)
	}
}

// gathered is a gatherer that has some families and an error for the others.
type gathered struct {
	families
	err error
}

func (g *gathered) Published() ([]*dto.MetricFamily, error) { return slices.Clone(g.families), g.err }

// What cannot be had is said once, and takes nothing from the rest.
func TestMetricsThatCannotBeHad(t *testing.T) {
	lines, log := newJournal()
	g := &gathered{families: families{
		family("staticpod_ready", dto.MetricType_GAUGE, series(ofGauge(1), "pod=a")),
		family("staticpod_unheard_of", dto.MetricType_GAUGE, ofGauge(1)),
		family("staticpod_definitions", dto.MetricType_GAUGE, series(ofGauge(2), "source=file")),
	}, err: errors.New("one collector of many failed")}
	p := newProducer(g, Settings{}, "1.2.3", log)
	for i, want := range []string{
		`level=WARN msg="not all metrics can be had for their export" err="one collector of many failed\nstaticpod_unheard_of is not in the catalogue"`,
		"",
		`level=INFO msg="all metrics can be had for their export again"`,
		"",
	} {
		if i == 2 {
			g.families, g.err = slices.Delete(g.families, 1, 2), nil
		}
		all := produce(t, p)
		if got := told(all["staticpod.definitions"], "staticpod.definition.source"); len(all) != 2 || got["file"] != 2 || told(all["staticpod.ready"], "k8s.pod.name")["a"] != 1 {
			t.Errorf("export %d has %v", i, all)
		}
		if got := strings.TrimSpace(lines.take()); got != want {
			t.Errorf("export %d says %q, want %q", i, got, want)
		}
	}
}
