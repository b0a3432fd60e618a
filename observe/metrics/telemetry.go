package metrics

import "github.com/prometheus/client_golang/prometheus"

// A Signal is the account of what is exported by OpenTelemetry of one kind: traces, metrics or logs.
type Signal struct {
	Name                      string
	Exported, Failed, Dropped uint64
	Waiting                   uint64
	Queued                    bool // false: there is no queue, and Dropped and Waiting are zero
}

// telemetry collects the account when it is asked.
type telemetry func() []Signal

func (telemetry) Describe(out chan<- *prometheus.Desc) {
	for _, f := range [...]family{telemetryDropped, telemetryExported, telemetryFailed, telemetryWaiting} {
		out <- f.desc()
	}
}

func (t telemetry) Collect(out chan<- prometheus.Metric) {
	for _, s := range t() {
		out <- prometheus.MustNewConstMetric(telemetryExported.desc(), prometheus.CounterValue, float64(s.Exported), s.Name)
		out <- prometheus.MustNewConstMetric(telemetryFailed.desc(), prometheus.CounterValue, float64(s.Failed), s.Name)
		if s.Queued {
			out <- prometheus.MustNewConstMetric(telemetryDropped.desc(), prometheus.CounterValue, float64(s.Dropped), s.Name)
			out <- prometheus.MustNewConstMetric(telemetryWaiting.desc(), prometheus.GaugeValue, float64(s.Waiting), s.Name)
		}
	}
}

// desc is the entry of the catalogue as the client library wants it.
func (f family) desc() *prometheus.Desc {
	return prometheus.NewDesc(catalogue[f].Name, catalogue[f].Help, catalogue[f].Labels, nil)
}
