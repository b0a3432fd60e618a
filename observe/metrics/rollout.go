package metrics

import (
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/staticpod-exporter/staticpod-exporter/collector/status"
)

// wholeRollout is the stage of a rollout from its change to its pod's being ready.
const wholeRollout = "total"

// rolloutBuckets are the classic buckets, in seconds: from a local image to one that is large and far.
var rolloutBuckets = []float64{0.25, 1, 4, 15, 60, 240}

// rollouts keeps the histograms of what rollouts took, and the part that they are in the latest snapshot.
type rollouts struct {
	durations *prometheus.HistogramVec
	exemplars bool
	part      *part
}

func newRollouts(exemplars bool) *rollouts {
	entry := &catalogue[rolloutDuration]
	r := &rollouts{exemplars: exemplars, durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: entry.Name, Help: entry.Help, Buckets: rolloutBuckets,
		NativeHistogramBucketFactor:     1.1,
		NativeHistogramMaxBucketNumber:  100,
		NativeHistogramMinResetDuration: time.Hour,
	}, entry.Labels)}
	for _, step := range status.Steps() {
		r.durations.WithLabelValues(string(step)) // from 0
	}
	r.durations.WithLabelValues(wholeRollout)
	r.part = r.collect()
	return r
}

// observe takes what was done since the snapshot before. The exemplar of each duration, where there are any, is the span
// of that step, in the trace of its rollout.
func (r *rollouts) observe(laps []status.Lap) {
	if len(laps) == 0 {
		return
	}
	for _, l := range laps {
		stage := string(l.Step)
		if stage == "" {
			stage = wholeRollout
		}
		if !r.exemplars {
			r.durations.WithLabelValues(stage).Observe(l.Duration.Seconds())
			continue
		}
		// A histogram always takes exemplars.
		r.durations.WithLabelValues(stage).(prometheus.ExemplarObserver).ObserveWithExemplar(l.Duration.Seconds(),
			prometheus.Labels{"trace_id": l.Rollout.TraceID, "span_id": l.SpanID})
	}
	r.part = r.collect()
}

// collect is the state of the histograms as a part, in the order of their stages.
func (r *rollouts) collect() *part {
	out := make(chan prometheus.Metric, len(status.Steps())+1)
	r.durations.Collect(out)
	close(out)
	s := &samples{family: rolloutDuration}
	for metric := range out {
		m := &dto.Metric{}
		_ = metric.Write(m) // of a histogram of our own: it cannot fail
		s.metrics = append(s.metrics, m)
	}
	slices.SortFunc(s.metrics, func(a, b *dto.Metric) int {
		return strings.Compare(a.Label[0].GetValue(), b.Label[0].GetValue())
	})
	return &part{samples: []*samples{s}}
}
