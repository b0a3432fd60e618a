package telemetry

import (
	"context"

	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// spanQueue lets a bounded number of spans wait for their export.
type spanQueue struct {
	sdktrace.SpanProcessor
	signal *signal
}

func (q spanQueue) OnEnd(s sdktrace.ReadOnlySpan) {
	if q.signal.admit() {
		q.SpanProcessor.OnEnd(s)
	}
}

// recordQueue does the same for log records.
type recordQueue struct {
	sdklog.Processor
	signal *signal
}

func (q recordQueue) OnEmit(ctx context.Context, r *sdklog.Record) error {
	if !q.signal.admit() {
		return nil
	}
	return q.Processor.OnEmit(ctx, r)
}

// inTurn is an exporter that several may use, who wait for each other: the SDK's are made for one.
type inTurn struct {
	sdktrace.SpanExporter
	turn chan struct{} // has room for one
}

func (e inTurn) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	select {
	case e.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-e.turn }()
	return e.SpanExporter.ExportSpans(ctx, spans)
}

// The accounted exporters keep account of what becomes of what they are given.

type accountedSpans struct {
	sdktrace.SpanExporter
	signal *signal
}

func (a accountedSpans) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	err := a.SpanExporter.ExportSpans(ctx, spans)
	a.signal.done(len(spans), err)
	return err
}

type accountedRecords struct {
	sdklog.Exporter
	signal *signal
}

func (a accountedRecords) Export(ctx context.Context, records []sdklog.Record) error {
	err := a.Exporter.Export(ctx, records)
	a.signal.done(len(records), err)
	return err
}

type accountedMetrics struct {
	sdkmetric.Exporter
	signal *signal
}

func (a accountedMetrics) Export(ctx context.Context, m *metricdata.ResourceMetrics) error {
	err := a.Exporter.Export(ctx, m)
	n := 0
	for _, scope := range m.ScopeMetrics {
		for _, metric := range scope.Metrics {
			n += points(metric.Data)
		}
	}
	a.signal.done(n, err)
	return err
}

// points counts data points.
func points(data metricdata.Aggregation) int {
	switch d := data.(type) {
	case metricdata.Gauge[float64]:
		return len(d.DataPoints)
	case metricdata.Gauge[int64]:
		return len(d.DataPoints)
	case metricdata.Sum[float64]:
		return len(d.DataPoints)
	case metricdata.Sum[int64]:
		return len(d.DataPoints)
	case metricdata.Histogram[float64]:
		return len(d.DataPoints)
	case metricdata.Histogram[int64]:
		return len(d.DataPoints)
	case metricdata.ExponentialHistogram[float64]:
		return len(d.DataPoints)
	case metricdata.ExponentialHistogram[int64]:
		return len(d.DataPoints)
	}
	return 0
}
