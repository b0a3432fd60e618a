package otlp

import (
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

// from bounds the times that are believed: before it lies what was meant as no time at all.
var from = pcommon.NewTimestampFromTime(time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC))

func checkResource(r pcommon.Resource) error {
	for _, key := range []string{"service.name", "service.version", "service.instance.id", "k8s.node.name", "telemetry.sdk.language"} {
		if v, ok := r.Attributes().Get(key); !ok || v.AsString() == "" {
			return fmt.Errorf("the resource has no %s", key)
		}
	}
	return nil
}

func checkAttributes(m pcommon.Map) error {
	for key := range m.All() {
		if key == "" {
			return errors.New("an attribute without a key")
		}
	}
	return nil
}

func (s Span) check() error {
	for _, link := range s.Links().All() {
		if link.TraceID().IsEmpty() || link.SpanID().IsEmpty() {
			return errors.New("a link to nothing")
		}
	}
	for _, event := range s.Events().All() {
		if event.Name() == "" || event.Timestamp() < from {
			return fmt.Errorf("event %q at %s", event.Name(), event.Timestamp())
		}
	}
	switch {
	case s.TraceID().IsEmpty() || s.SpanID().IsEmpty():
		return errors.New("no ID")
	case s.Name() == "":
		return errors.New("no name")
	case s.StartTimestamp() < from || s.EndTimestamp() < s.StartTimestamp():
		return fmt.Errorf("from %s to %s", s.StartTimestamp(), s.EndTimestamp())
	case s.Flags()&1 == 0:
		return errors.New("it is not sampled")
	}
	return errors.Join(checkAttributes(s.Attributes()), checkResource(s.Resource))
}

func (r Record) check() error {
	if r.Timestamp() != 0 && r.Timestamp() < from || r.ObservedTimestamp() < from {
		return fmt.Errorf("of %s, seen %s", r.Timestamp(), r.ObservedTimestamp())
	}
	if r.TraceID().IsEmpty() != r.SpanID().IsEmpty() {
		return errors.New("half a span's ID")
	}
	return errors.Join(checkAttributes(r.Attributes()), checkResource(r.Resource))
}

func (m Metric) check() error {
	if m.Name() == "" || m.Description() == "" {
		return errors.New("no name or no description")
	}
	var err error
	points := 0
	point := func(attributes pcommon.Map, start, at pcommon.Timestamp) {
		points++
		if at < from || start != 0 && (start < from || start > at) {
			err = errors.Join(err, fmt.Errorf("a point from %s to %s", start, at))
		}
		err = errors.Join(err, checkAttributes(attributes))
	}
	switch m.Type() {
	case pmetric.MetricTypeGauge:
		for _, p := range m.Gauge().DataPoints().All() {
			point(p.Attributes(), 0, p.Timestamp())
		}
	case pmetric.MetricTypeSum:
		for _, p := range m.Sum().DataPoints().All() {
			point(p.Attributes(), p.StartTimestamp(), p.Timestamp())
			err = errors.Join(err, checkExemplars(p.Exemplars()))
		}
		if m.Sum().AggregationTemporality() == pmetric.AggregationTemporalityUnspecified {
			err = errors.Join(err, errors.New("a sum since nobody knows when"))
		}
	case pmetric.MetricTypeHistogram:
		for _, p := range m.Histogram().DataPoints().All() {
			point(p.Attributes(), p.StartTimestamp(), p.Timestamp())
			err = errors.Join(err, checkExemplars(p.Exemplars()))
			if p.BucketCounts().Len() != p.ExplicitBounds().Len()+1 {
				err = errors.Join(err, fmt.Errorf("%d buckets of %d bounds", p.BucketCounts().Len(), p.ExplicitBounds().Len()))
			}
			var sum uint64
			for _, count := range p.BucketCounts().All() {
				sum += count
			}
			if sum != p.Count() {
				err = errors.Join(err, fmt.Errorf("%d in all and %d in buckets", p.Count(), sum))
			}
		}
	case pmetric.MetricTypeExponentialHistogram:
		for _, p := range m.ExponentialHistogram().DataPoints().All() {
			point(p.Attributes(), p.StartTimestamp(), p.Timestamp())
			err = errors.Join(err, checkExemplars(p.Exemplars()))
		}
	default:
		return fmt.Errorf("of type %s", m.Type())
	}
	if points == 0 {
		err = errors.Join(err, errors.New("no point"))
	}
	return errors.Join(err, checkResource(m.Resource))
}

func checkExemplars(all pmetric.ExemplarSlice) error {
	for _, e := range all.All() {
		if e.TraceID().IsEmpty() || e.SpanID().IsEmpty() || e.Timestamp() < from {
			return fmt.Errorf("an exemplar of trace %q, span %q at %s", e.TraceID(), e.SpanID(), e.Timestamp())
		}
	}
	return nil
}

// unique reports a metric that one scope has twice in one export: which of them counts?
func unique(export []Metric) error {
	seen := map[[2]string]bool{}
	for _, m := range export {
		key := [2]string{m.Scope.Name(), m.Name()}
		if seen[key] {
			return fmt.Errorf("metric %q is there twice", m.Name())
		}
		seen[key] = true
	}
	return nil
}
