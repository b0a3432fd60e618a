package telemetry

import (
	"slices"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/staticpod-exporter/staticpod-exporter/observe/metrics"
)

// since turns totals into what came since the export before, for receivers that want that (delta temporality).
type since struct {
	counts, histograms bool // of which it is wanted
	last               map[point]total
}

// A point is a series of a family.
type point struct {
	name       string
	attributes attribute.Distinct
}

// A total is the value of a point in the export before.
type total struct {
	at      time.Time
	value   float64 // of a counter, or the sum of a histogram
	count   uint64
	buckets []uint64
}

// count takes the total before off a counter. One that is seen for the first time has counted since the exporter
// started; but a container's goes back further, and what it counted before is nobody's news.
func (s *since) count(entry metrics.Family, p *metricdata.DataPoint[float64], now time.Time) {
	key := point{entry.Name, p.Attributes.Equivalent()}
	before, ok := s.last[key]
	s.last[key] = total{at: now, value: p.Value}
	switch {
	case ok && before.value <= p.Value:
		p.StartTime, p.Value = before.at, p.Value-before.value
	case ok: // it began anew
		p.StartTime = before.at
	case entry.Scope == metrics.PerContainer:
		p.StartTime, p.Value = now, 0
	}
}

// histogram takes the total before off a histogram. Exemplars of before are told of already.
func (s *since) histogram(entry metrics.Family, p *metricdata.HistogramDataPoint[float64], now time.Time) {
	key := point{entry.Name, p.Attributes.Equivalent()}
	before, ok := s.last[key]
	s.last[key] = total{at: now, value: p.Sum, count: p.Count, buckets: slices.Clone(p.BucketCounts)}
	if !ok || before.count > p.Count || len(before.buckets) != len(p.BucketCounts) {
		return
	}
	p.StartTime, p.Sum, p.Count = before.at, p.Sum-before.value, p.Count-before.count
	for i := range p.BucketCounts {
		p.BucketCounts[i] -= before.buckets[i]
	}
	p.Exemplars = slices.DeleteFunc(p.Exemplars, func(e metricdata.Exemplar[float64]) bool { return !e.Time.After(before.at) })
}

// forget drops the series that have ended.
func (s *since) forget(now time.Time) {
	for key, t := range s.last {
		if !t.at.Equal(now) {
			delete(s.last, key)
		}
	}
}
