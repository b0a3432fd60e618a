package telemetry

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	bridge "go.opentelemetry.io/contrib/bridges/prometheus"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/staticpod-exporter/staticpod-exporter/observe/metrics"
)

// A Gatherer has the families that are exported, all of which are in the catalogue.
type Gatherer interface {
	Published() ([]*dto.MetricFamily, error)
}

// Metrics exports what g has, if metrics are exported at all, until Close. Call it once.
func (t *Telemetry) Metrics(ctx context.Context, g Gatherer) error {
	s := t.options.Settings
	if !s.metrics.used() {
		return nil
	}
	exporter, err := newMetricExporter(ctx, s.metrics, t.options.Console)
	if err != nil {
		return err
	}
	p := newProducer(g, s, t.options.Version, t.log)
	reader := sdkmetric.NewPeriodicReader(accountedMetrics{exporter, t.signal(signalMetrics, 0)}, sdkmetric.WithProducer(p))
	t.metrics = sdkmetric.NewMeterProvider(
		sdkmetric.WithResource(t.resource),
		sdkmetric.WithReader(reader),
		sdkmetric.WithView(onlySDK))
	if s.observeSDK {
		otel.SetMeterProvider(t.metrics)
	}
	return nil
}

// onlySDK drops whatever is measured by others than the SDK itself: calls of the runtime and of the kubelet are in
// traces, and how long they take is in a family.
func onlySDK(i sdkmetric.Instrument) (sdkmetric.Stream, bool) {
	const prefix = "otel.sdk."
	if len(i.Name) > len(prefix) && i.Name[:len(prefix)] == prefix {
		return sdkmetric.Stream{}, false
	}
	return sdkmetric.Stream{Aggregation: sdkmetric.AggregationDrop{}}, true
}

// A producer hands the families on as OpenTelemetry's metrics: the bridge of the contrib repository makes points of
// them, and this gives them their names, units and attributes, and mends the exemplars, whose IDs the bridge copies as
// text. It remembers the series of the exports before, because OTLP is told by push what a scrape would find out.
type producer struct {
	gatherer    Gatherer
	entries     map[string]metrics.Family
	scope       instrumentation.Scope
	exponential bool
	marks       bool // series that have ended are marked

	ended ended
	since since
	now   func() time.Time

	log     *slog.Logger
	failing bool
}

func newProducer(g Gatherer, s Settings, version string, log *slog.Logger) *producer {
	p := &producer{
		gatherer: g, log: log, entries: map[string]metrics.Family{}, scope: instrumentation.Scope{Name: scope, Version: version},
		exponential: s.exponential && !s.delta,           // what came since the last export is known of the others only
		marks:       s.metrics.exporter != exportConsole, // whose JSON has no NaN
		ended:       ended{}, since: since{counts: s.deltaCounts, histograms: s.delta, last: map[point]total{}},
		now: time.Now,
	}
	for _, entry := range metrics.Catalogue() {
		p.entries[entry.Name] = entry
	}
	return p
}

// Produce is called for each export, one at a time. It returns no error: the SDK would export nothing for it. What cannot
// be had is said in the log once, and what can is exported.
func (p *producer) Produce(ctx context.Context) ([]metricdata.ScopeMetrics, error) {
	scopes, err := p.produce(ctx)
	switch {
	case err != nil && !p.failing:
		p.log.Warn("not all metrics can be had for their export", "err", clip(err.Error()))
	case err == nil && p.failing:
		p.log.Info("all metrics can be had for their export again")
	}
	p.failing = err != nil
	return scopes, nil
}

// produce returns what there is, with an error for what is missing.
func (p *producer) produce(ctx context.Context) ([]metricdata.ScopeMetrics, error) {
	families, missing := p.gatherer.Published()
	families = slices.DeleteFunc(families, func(mf *dto.MetricFamily) bool {
		_, ok := p.entries[mf.GetName()]
		if !ok {
			missing = errors.Join(missing, fmt.Errorf("%s is not in the catalogue", mf.GetName()))
		}
		return !ok
	})
	for i, mf := range families {
		families[i] = p.oneKind(mf)
	}
	scopes, err := bridge.NewMetricProducer(bridge.WithGatherer(prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) {
		return families, nil
	}))).Produce(ctx)
	if err != nil {
		return nil, errors.Join(missing, err)
	}
	if len(scopes) == 0 {
		return nil, missing
	}
	all := scopes[0].Metrics
	if len(all) != len(families) { // of a type that the bridge does not know: none of ours is
		return nil, errors.Join(missing, fmt.Errorf("%d families became %d", len(families), len(all)))
	}
	now := p.now()
	for i := range all {
		entry := p.entries[families[i].GetName()]
		all[i].Name, all[i].Unit = entry.OTel.Name, entry.OTel.Unit
		all[i].Data = p.mend(entry, families[i].Metric, all[i].Data, now)
	}
	if p.marks {
		all = p.ended.mark(all, now)
	}
	p.since.forget(now)
	return []metricdata.ScopeMetrics{{Scope: p.scope, Metrics: all}}, missing
}

// oneKind leaves a histogram that has both kinds of buckets with those that are wanted.
func (p *producer) oneKind(mf *dto.MetricFamily) *dto.MetricFamily {
	if p.exponential || mf.GetType() != dto.MetricType_HISTOGRAM {
		return mf
	}
	one := &dto.MetricFamily{Name: mf.Name, Help: mf.Help, Type: mf.Type, Unit: mf.Unit}
	for _, m := range mf.Metric {
		h := m.GetHistogram()
		one.Metric = append(one.Metric, &dto.Metric{Label: m.Label, Histogram: &dto.Histogram{
			SampleCount: h.SampleCount, SampleSum: h.SampleSum, Bucket: h.Bucket, CreatedTimestamp: h.CreatedTimestamp,
		}})
	}
	return one
}

// mend gives the points of a family their attributes and exemplars.
func (p *producer) mend(entry metrics.Family, from []*dto.Metric, data metricdata.Aggregation, now time.Time) metricdata.Aggregation {
	switch d := data.(type) {
	case metricdata.Gauge[float64]:
		for i := range d.DataPoints {
			d.DataPoints[i].Attributes, d.DataPoints[i].Time = attributes(from[i].Label), now
		}
		return d
	case metricdata.Sum[float64]:
		for i := range d.DataPoints {
			at := &d.DataPoints[i]
			at.Attributes, at.Time = attributes(from[i].Label), now
			at.Exemplars = exemplars(from[i].GetCounter().GetExemplar())
			if entry.Scope == metrics.PerContainer {
				at.StartTime = time.Time{} // it counts since the pod began, which is not known here
			}
			if p.since.counts {
				p.since.count(entry, at, now)
			}
		}
		if p.since.counts {
			d.Temporality = metricdata.DeltaTemporality
		}
		return d
	case metricdata.Histogram[float64]:
		for i := range d.DataPoints {
			at := &d.DataPoints[i]
			at.Attributes, at.Time = attributes(from[i].Label), now
			at.Exemplars = bucketExemplars(from[i].GetHistogram())
			if p.since.histograms {
				p.since.histogram(entry, at, now)
			}
		}
		if p.since.histograms {
			d.Temporality = metricdata.DeltaTemporality
		}
		return d
	case metricdata.ExponentialHistogram[float64]:
		for i := range d.DataPoints {
			at := &d.DataPoints[i]
			at.Attributes, at.Time = attributes(from[i].Label), now
			if at.Exemplars = exemplars(from[i].GetHistogram().GetExemplars()...); at.Exemplars == nil {
				at.Exemplars = bucketExemplars(from[i].GetHistogram())
			}
		}
		return d
	}
	return data
}

// attributes are the labels by their keys. One that is empty is none, as in Prometheus.
func attributes(labels []*dto.LabelPair) attribute.Set {
	all := make([]attribute.KeyValue, 0, len(labels))
	for _, l := range labels {
		key := attribute.Key(metrics.Attribute(l.GetName()))
		switch value := l.GetValue(); {
		case value == "":
		case l.GetName() == "code":
			if code, err := strconv.Atoi(value); err == nil {
				all = append(all, key.Int(code))
			}
		default:
			all = append(all, key.String(value))
		}
	}
	return attribute.NewSet(all...)
}

func bucketExemplars(h *dto.Histogram) []metricdata.Exemplar[float64] {
	var all []*dto.Exemplar
	for _, b := range h.GetBucket() {
		all = append(all, b.GetExemplar())
	}
	return exemplars(all...)
}

// exemplars are those of a Prometheus metric; nil ones are none.
func exemplars(from ...*dto.Exemplar) []metricdata.Exemplar[float64] {
	var all []metricdata.Exemplar[float64]
	for _, e := range from {
		if e == nil {
			continue
		}
		one := metricdata.Exemplar[float64]{Value: e.GetValue(), Time: e.GetTimestamp().AsTime()}
		for _, l := range e.GetLabel() {
			switch id, err := hex.DecodeString(l.GetValue()); {
			case l.GetName() == "trace_id" && err == nil && len(id) == 16:
				one.TraceID = id
			case l.GetName() == "span_id" && err == nil && len(id) == 8:
				one.SpanID = id
			default:
				one.FilteredAttributes = append(one.FilteredAttributes, attribute.String(l.GetName(), l.GetValue()))
			}
		}
		if one.TraceID == nil || one.SpanID == nil {
			one.TraceID, one.SpanID = nil, nil // half of it leads nowhere
		}
		all = append(all, one)
	}
	return all
}

// noValue is Prometheus' mark of a series that has ended. For others it is no number.
var noValue = math.Float64frombits(0x7ff0000000000002)
