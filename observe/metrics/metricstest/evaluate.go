package metricstest

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"
)

// The target that Evaluate scrapes.
const (
	Job      = "staticpod-exporter"
	Instance = "node1:10058"
)

type unitTests struct {
	RuleFiles []string   `yaml:"rule_files"`
	Tests     []unitTest `yaml:"tests"`
}

type unitTest struct {
	Interval string          `yaml:"interval"`
	Series   []unitSeries    `yaml:"input_series"`
	Exprs    []unitExprCheck `yaml:"promql_expr_test"`
}

type unitSeries struct {
	Series string `yaml:"series"`
	Values string `yaml:"values"`
}

type unitExprCheck struct {
	Expr    string       `yaml:"expr"`
	At      string       `yaml:"eval_time"`
	Samples []unitSample `yaml:"exp_samples"`
}

type unitSample struct {
	Labels string  `yaml:"labels"`
	Value  float64 `yaml:"value"`
}

// Evaluate has Prometheus' engine evaluate expressions, and the rule files at the paths before them, on half an hour of
// scrapes that all find what the text exposition says; counters and histograms rise with each. It returns an error for
// expressions that fail or find nothing.
func Evaluate(t testing.TB, exposition []byte, rules []string, exprs ...string) error {
	t.Helper()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(exposition))
	if err != nil {
		return fmt.Errorf("exposition: %w", err)
	}
	test := unitTest{Interval: "15s"}
	for name, family := range families {
		for _, m := range family.Metric {
			test.Series = append(test.Series, series(name, m)...)
		}
	}
	slices.SortFunc(test.Series, func(a, b unitSeries) int { return strings.Compare(a.Series, b.Series) })
	for _, expr := range exprs {
		test.Exprs = append(test.Exprs, unitExprCheck{
			Expr: "group(\n" + expr + "\n)", At: "30m", Samples: []unitSample{{Labels: "{}", Value: 1}},
		})
	}
	tests := unitTests{Tests: []unitTest{test}}
	for _, rule := range rules {
		path, err := filepath.Abs(rule)
		if err != nil {
			return err
		}
		tests.RuleFiles = append(tests.RuleFiles, path)
	}
	content, err := yaml.Marshal(tests)
	if err != nil {
		return err
	}
	path := filepath.Join(t.TempDir(), "evaluate.yaml")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		return err
	}
	return Promtool(t, "test", "rules", path)
}

// series are those of one metric: a gauge, a counter, or the many of a histogram or summary.
func series(name string, m *dto.Metric) []unitSeries {
	one := func(suffix, values string, more ...string) unitSeries {
		labels := []string{"job=" + strconv.Quote(Job), "instance=" + strconv.Quote(Instance)}
		for _, l := range m.Label {
			labels = append(labels, l.GetName()+"="+strconv.Quote(l.GetValue()))
		}
		return unitSeries{Series: name + suffix + "{" + strings.Join(append(labels, more...), ",") + "}", Values: values}
	}
	switch {
	case m.Counter != nil:
		return []unitSeries{one("", fmt.Sprintf("%g+1x120", m.Counter.GetValue()))}
	case m.Histogram != nil:
		all := []unitSeries{one("_count", "0+1x120"), one("_sum", "0+1x120")}
		for _, bucket := range m.Histogram.Bucket {
			all = append(all, one("_bucket", "0+1x120", "le="+strconv.Quote(fmt.Sprint(bucket.GetUpperBound()))))
		}
		return all
	case m.Summary != nil:
		return []unitSeries{one("_count", "0+1x120"), one("_sum", "0+1x120")}
	}
	return []unitSeries{one("", fmt.Sprintf("%gx120", m.GetGauge().GetValue()))}
}
