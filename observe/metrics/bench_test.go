package metrics

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/staticpod-exporter/staticpod-exporter/collector/status"
)

// constant is the way of most exporters: the same series, made as constant metrics in each scrape.
type constant struct{ adapter }

func (c constant) Collect(out chan<- prometheus.Metric) {
	families, _ := c.metrics.Gather()
	for _, mf := range families {
		f := slices.IndexFunc(catalogue[:], func(c Family) bool { return c.Name == mf.GetName() })
		d, kind := family(f).desc(), prometheus.GaugeValue
		if catalogue[f].Type == Counter {
			kind = prometheus.CounterValue
		}
		for _, m := range mf.Metric {
			values := make([]string, len(m.Label))
			for i, l := range m.Label {
				values[i] = l.GetValue()
			}
			out <- prometheus.MustNewConstMetric(d, kind, m.GetGauge().GetValue()+m.GetCounter().GetValue(), values...)
		}
	}
}

// nowhere is a client that takes everything.
type nowhere struct{ header http.Header }

func (n nowhere) Header() http.Header         { return n.header }
func (n nowhere) WriteHeader(int)             {}
func (n nowhere) Write(b []byte) (int, error) { return len(b), nil }

// BenchmarkScrape compares a scrape of 500 pods with one whose series are constant metrics made on the spot;
// x-const is the share of the time that takes.
func BenchmarkScrape(b *testing.B) {
	const pods = 500
	changes := map[string]func(round int, s *status.Snapshot){
		"nothing-changed": nil,
		"new-snapshot":    func(int, *status.Snapshot) {},
		"one-pod-changed": func(round int, s *status.Snapshot) {
			i := round % pods
			s.Statuses[i] = member(fmt.Sprintf("pod-%04d", i), uint64(round))
		},
		"all-pods-changed": func(round int, s *status.Snapshot) {
			for i := range s.Statuses {
				s.Statuses[i] = member(fmt.Sprintf("pod-%04d", i), uint64(round))
			}
		},
	}
	for _, encoding := range []string{"identity", "gzip"} {
		for _, name := range []string{"nothing-changed", "new-snapshot", "one-pod-changed", "all-pods-changed"} {
			b.Run(encoding+"/"+name, func(b *testing.B) {
				s := crowd(pods)
				m := observed(s)
				registry := prometheus.NewRegistry()
				registry.MustRegister(constant{adapter{m}})
				theirs := promhttp.HandlerFor(prometheus.Gatherers{registry, m.self}, promhttp.HandlerOpts{EnableOpenMetrics: true})
				request, err := http.NewRequestWithContext(b.Context(), http.MethodGet, "/metrics", nil)
				if err != nil {
					b.Fatal(err)
				}
				request.Header.Set("Accept", acceptOpenMetrics)
				request.Header.Set("Accept-Encoding", encoding)

				var our, their time.Duration
				round := 0
				m.Handler().ServeHTTP(nowhere{http.Header{}}, request)
				for b.Loop() {
					round++
					if change := changes[name]; change != nil {
						next := *s
						next.Statuses = slices.Clone(s.Statuses)
						change(round, &next)
						s = &next
						m.Observe(s)
					}
					start := time.Now()
					m.Handler().ServeHTTP(nowhere{http.Header{}}, request)
					our += time.Since(start)
					start = time.Now()
					theirs.ServeHTTP(nowhere{http.Header{}}, request)
					their += time.Since(start)
				}
				b.ReportMetric(float64(our)/float64(their), "x-const")
				b.ReportMetric(float64(our.Microseconds())/float64(round), "us/scrape")
				b.ReportMetric(float64(their.Microseconds())/float64(round), "us/const-scrape")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

// BenchmarkObserve is what a snapshot costs, off the path of scrapes.
func BenchmarkObserve(b *testing.B) {
	for _, change := range []string{"nothing", "one", "all"} {
		b.Run(change, func(b *testing.B) {
			s := crowd(500)
			m := observed(s)
			b.ReportAllocs()
			for b.Loop() {
				switch change {
				case "one":
					s.Statuses = slices.Clone(s.Statuses)
					s.Statuses[7] = member("pod-0007", 1)
				case "all":
					b.StopTimer()
					s = crowd(500)
					b.StartTimer()
				}
				m.Observe(s)
			}
		})
	}
}
