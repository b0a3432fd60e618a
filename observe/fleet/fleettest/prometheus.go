// Package fleettest is a Prometheus for tests, as far as package fleet asks one. What PromQL makes of a query it does not
// know: that is for the tests on a real one.
package fleettest

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/model"

	"github.com/staticpod-exporter/staticpod-exporter/collector/status"
	"github.com/staticpod-exporter/staticpod-exporter/observe/metrics"
)

// A Prometheus answers each query with what it has scraped of the families that the query names, and with each target that
// is down.
type Prometheus struct {
	*httptest.Server
	// Answer, when not nil, is what it answers instead.
	Answer http.HandlerFunc

	mu      sync.Mutex
	vector  model.Vector
	queries []string
}

// Start starts a Prometheus that has scraped nothing yet. The caller calls Close.
func Start() *Prometheus {
	p := &Prometheus{}
	p.Server = httptest.NewServer(p)
	return p
}

var families = regexp.MustCompile(`__name__=~"([^"]*)"`)

// ServeHTTP answers as the HTTP API does, at any path that ends as the API's.
func (p *Prometheus) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if p.Answer != nil {
		p.Answer(w, r)
		return
	}
	if !strings.HasSuffix(r.URL.Path, "/api/v1/query") {
		http.NotFound(w, r)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	query := r.FormValue("query")
	p.queries = append(p.queries, query)
	var names []string
	if m := families.FindStringSubmatch(query); m != nil {
		names = strings.Split(m[1], "|")
	}
	found := model.Vector{}
	for _, sample := range p.vector {
		if name := string(sample.Metric[model.MetricNameLabel]); name == "up" || slices.Contains(names, name) {
			found = append(found, sample)
		}
	}
	result, err := json.Marshal(found)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	fmt.Fprintf(w, `{"status":"success","data":{"resultType":"vector","result":%s}}`, result)
}

// Queries are those that it was asked.
func (p *Prometheus) Queries() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.queries)
}

// A Target is how Prometheus labels what it scrapes.
type Target struct {
	Labels model.LabelSet
	Honour bool // honor_labels
}

// Scrape takes in what an exporter publishes of a snapshot.
func (p *Prometheus) Scrape(s *status.Snapshot, by Target) error {
	m := metrics.New(metrics.Options{Log: slog.New(slog.DiscardHandler)})
	m.Observe(s)
	published, err := m.Gather()
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, family := range published {
		for _, series := range family.Metric {
			p.vector = append(p.vector, &model.Sample{Metric: by.label(family.GetName(), series.Label), Value: value(series)})
		}
	}
	return nil
}

// Down takes in that a target is scraped in vain.
func (p *Prometheus) Down(by Target) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.vector = append(p.vector, &model.Sample{Metric: by.label("up", nil)})
}

// label puts the labels of a series and of its target together, as Prometheus does.
func (t Target) label(name string, pairs []*dto.LabelPair) model.Metric {
	metric := model.Metric{model.MetricNameLabel: model.LabelValue(name)}
	for name, value := range t.Labels {
		metric[name] = value
	}
	for _, pair := range pairs {
		if pair.GetValue() == "" {
			continue // which is no label at all
		}
		name := model.LabelName(pair.GetName())
		if _, taken := t.Labels[name]; taken && !t.Honour {
			name = "exported_" + name
		}
		metric[name] = model.LabelValue(pair.GetValue())
	}
	return metric
}

func value(m *dto.Metric) model.SampleValue {
	switch {
	case m.Gauge != nil:
		return model.SampleValue(m.Gauge.GetValue())
	case m.Counter != nil:
		return model.SampleValue(m.Counter.GetValue())
	}
	return model.SampleValue(m.Untyped.GetValue())
}
