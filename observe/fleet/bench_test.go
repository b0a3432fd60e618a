package fleet

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/prometheus/common/model"

	"github.com/staticpod-exporter/staticpod-exporter/observe/fleet/fleettest"
)

// What a fleet of a thousand nodes costs beside reading Prometheus' answer, which nobody can do without.
func BenchmarkThousandNodes(b *testing.B) {
	prometheus := fleettest.Start()
	defer prometheus.Close()
	s := snapshot(b)
	for i := range 1000 {
		target := fleettest.Target{Labels: model.LabelSet{"job": "sp", "instance": model.LabelValue(fmt.Sprintf("10.0.%d.%d:10058", i/256, i%256)), "cluster": "eu"}}
		if err := prometheus.Scrape(s, target); err != nil {
			b.Fatal(err)
		}
	}
	p, err := New(prometheus.URL, http.DefaultClient, "")
	if err != nil {
		b.Fatal(err)
	}
	res, err := http.PostForm(prometheus.URL+"/api/v1/query", map[string][]string{"query": {p.query(statusFamilies)}})
	if err != nil {
		b.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		b.Fatal(err)
	}
	var answer struct {
		Data struct{ Result model.Vector }
	}
	b.Run("read", func(b *testing.B) {
		for b.Loop() {
			if err := json.Unmarshal(body, &answer); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("understand", func(b *testing.B) {
		b.ReportMetric(float64(len(answer.Data.Result)), "series")
		for b.Loop() {
			statuses := 0
			for _, e := range sift(answer.Data.Result).exporters {
				statuses += len(e.statuses())
			}
			if statuses != 1000*len(s.Statuses) {
				b.Fatalf("%d statuses", statuses)
			}
		}
	})
}
