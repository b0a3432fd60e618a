package fleet

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// A template is what nodes publish besides what is said of each pod: the series of a scrape, without their target.
type template struct {
	node    []sample // staticpod_ of the node
	process []sample // of the process that is the exporter
}

// A sample is one line of a scrape.
type sample struct {
	name    string
	labels  []string // name, value, name, value…
	value   float64
	counter bool
}

// label returns the value of a label, "" when there is none.
func (s sample) label(name string) string {
	for i := 0; i < len(s.labels); i += 2 {
		if s.labels[i] == name {
			return s.labels[i+1]
		}
	}
	return ""
}

// readTemplate reads the golden scrapes of a checkout of the repository.
func readTemplate(repository string) (*template, error) {
	golden, err := readScrape(filepath.Join(repository, "observe", "metrics", "testdata", "sick.prom"))
	if err != nil {
		return nil, err
	}
	process, err := readScrape(filepath.Join(repository, "e2e", "fleet", "testdata", "process.prom"))
	if err != nil {
		return nil, err
	}
	t := &template{process: process}
	for _, s := range golden {
		if !ofPods(s) {
			t.node = append(t.node, s)
		}
	}
	return t, nil
}

// ofPods reports whether a family is about pods, definitions or problems, of which the nodes have their own.
func ofPods(s sample) bool {
	return slices.ContainsFunc([]string{"pod", "definition"}, func(label string) bool {
		for i := 0; i < len(s.labels); i += 2 {
			if s.labels[i] == label {
				return true
			}
		}
		return false
	})
}

// readScrape reads the samples of a file in the text format, as Prometheus stores them.
func readScrape(path string) ([]sample, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("scrape: %w", err)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(content))
	if err != nil {
		return nil, fmt.Errorf("scrape %s: %w", path, err)
	}
	var all []sample
	for name, family := range families {
		for _, m := range family.Metric {
			all = append(all, samples(name, m)...)
		}
	}
	slices.SortFunc(all, func(a, b sample) int {
		return strings.Compare(a.name+strings.Join(a.labels, ","), b.name+strings.Join(b.labels, ","))
	})
	return all, nil
}

// samples are those of one metric: one, or the many of a histogram or a summary.
func samples(name string, m *dto.Metric) []sample {
	var labels []string
	for _, l := range m.Label {
		labels = append(labels, l.GetName(), l.GetValue())
	}
	one := func(suffix string, value float64, counter bool, more ...string) sample {
		return sample{name: name + suffix, labels: append(slices.Clone(labels), more...), value: value, counter: counter}
	}
	bound := func(v float64) string {
		if math.IsInf(v, 1) {
			return "+Inf"
		}
		return strconv.FormatFloat(v, 'g', -1, 64)
	}
	switch {
	case m.Counter != nil:
		return []sample{one("", m.Counter.GetValue(), true)}
	case m.Histogram != nil:
		all := []sample{one("_count", 0, true), one("_sum", 0, true)}
		for _, b := range m.Histogram.Bucket {
			all = append(all, one("_bucket", 0, true, "le", bound(b.GetUpperBound())))
		}
		return all
	case m.Summary != nil:
		all := []sample{one("_count", 0, true), one("_sum", 0, true)}
		for _, q := range m.Summary.Quantile {
			all = append(all, one("", q.GetValue(), false, "quantile", bound(q.GetQuantile())))
		}
		return all
	}
	return []sample{one("", m.GetGauge().GetValue(), false)}
}
