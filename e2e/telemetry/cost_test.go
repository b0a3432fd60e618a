package telemetry

import (
	"testing"
	"time"

	"github.com/staticpod-exporter/staticpod-exporter/e2e/otlp"
)

// BenchmarkCost is what export costs an exporter whose every collection changes something: its processor time and its
// memory as multiples of those without any export. All are run side by side, and nobody scrapes them meanwhile. What it
// reports is in docs/telemetry.md.
func BenchmarkCost(b *testing.B) {
	receiver, err := otlp.Listen(b.Context(), otlp.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(receiver.Close)
	to := receiver.Environment(otlp.GRPC)
	kinds := []struct {
		name string
		env  []string
	}{
		{"off", nil},
		{"disabled", append([]string{"OTEL_SDK_DISABLED=true"}, to...)}, // off too: the noise of the measurement
		{"traces", append([]string{"OTEL_METRICS_EXPORTER=none", "OTEL_LOGS_EXPORTER=none"}, to...)},
		{"all", append([]string{"OTEL_METRIC_EXPORT_INTERVAL=10000"}, to...)},
	}
	observers := make([]*observer, len(kinds))
	began := make([]float64, len(kinds))
	for i, k := range kinds {
		observers[i] = observe(b, k.env...)
		began[i] = observers[i].value(b, "process_cpu_seconds_total")
	}
	const lines = 180
	pace := time.NewTicker(100 * time.Millisecond) // so that each line is a collection of its own
	defer pace.Stop()
	for range lines {
		<-pace.C
		for _, o := range observers {
			o.write(b)
		}
	}
	var cpu, memory float64
	for i, k := range kinds {
		spent := observers[i].value(b, "process_cpu_seconds_total") - began[i]
		resident := observers[i].value(b, "process_resident_memory_bytes")
		if i == 0 {
			cpu, memory = spent, resident
			b.ReportMetric(spent/lines*1000, "ms-cpu/collection")
		}
		b.ReportMetric(spent/cpu, k.name+"-cpu")
		b.ReportMetric(resident/memory, k.name+"-memory")
	}
	b.ReportMetric(0, "ns/op") // of all together: says nothing
	if err := receiver.Refused(); err != nil {
		b.Error(err)
	}
}
