package telemetry

import (
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

const (
	// endLasts is how long a series that has ended is said to have: as long as Prometheus takes the last value of one
	// for its present value.
	endLasts = 5 * time.Minute
	// maxEnded bounds the series of a metric that are said to have ended.
	maxEnded = 4096
)

// ended remembers the gauges of the exports before, by name and attributes. Whoever scrapes sees that a series is no
// longer there; whoever is pushed to goes on with the last value it had: that a pod is ready which is gone, that a
// problem lasts which is over. The SDK cannot send the flag of OTLP for that, so the value says it.
type ended map[string]map[attribute.Distinct]*gauge

type gauge struct {
	attributes attribute.Set
	seen       time.Time // the last export that had it
	ended      time.Time // the first export that had not; zero while it goes on
	number     metricdata.Metrics
}

// mark adds a point without a value for each gauge that has ended lately.
func (e ended) mark(all []metricdata.Metrics, now time.Time) []metricdata.Metrics {
	place := map[string]int{}
	for i, m := range all {
		place[m.Name] = i
		d, ok := m.Data.(metricdata.Gauge[float64])
		if !ok {
			continue
		}
		known := e[m.Name]
		if known == nil {
			known = make(map[attribute.Distinct]*gauge, len(d.DataPoints))
			e[m.Name] = known
		}
		for _, p := range d.DataPoints {
			key := p.Attributes.Equivalent()
			if known[key] == nil {
				known[key] = &gauge{attributes: p.Attributes}
			}
			g := known[key]
			g.seen, g.ended, g.number = now, time.Time{}, metricdata.Metrics{Name: m.Name, Description: m.Description, Unit: m.Unit}
		}
	}
	for name, known := range e {
		var marks []metricdata.DataPoint[float64]
		var of metricdata.Metrics
		for key, g := range known {
			if g.seen.Equal(now) {
				continue
			}
			if g.ended.IsZero() {
				g.ended = now
			}
			if now.Sub(g.ended) > endLasts || len(marks) == maxEnded {
				delete(known, key)
				continue
			}
			of = g.number
			marks = append(marks, metricdata.DataPoint[float64]{Attributes: g.attributes, Time: now, Value: noValue})
		}
		if len(known) == 0 {
			delete(e, name)
		}
		if len(marks) == 0 {
			continue
		}
		if i, ok := place[name]; ok {
			d := all[i].Data.(metricdata.Gauge[float64])
			d.DataPoints = append(d.DataPoints, marks...)
			all[i].Data = d
		} else {
			of.Data = metricdata.Gauge[float64]{DataPoints: marks}
			all = append(all, of)
		}
	}
	slices.SortStableFunc(all, func(a, b metricdata.Metrics) int { return strings.Compare(a.Name, b.Name) })
	return all
}
