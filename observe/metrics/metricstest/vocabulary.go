// Package metricstest checks that what alerts, dashboards and documentation say in PromQL is about metrics that
// the exporter has.
package metricstest

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/staticpod-exporter/staticpod-exporter/observe/metrics"
)

// A Vocabulary is the labels of every metric there is: those of the catalogue, those that the client library
// adds, and Prometheus' own.
type Vocabulary map[string][]string

// NewVocabulary asks the catalogue and a scrape.
func NewVocabulary() (Vocabulary, error) {
	v := Vocabulary{"up": nil, "scrape_duration_seconds": nil, "scrape_samples_scraped": nil} // which Prometheus itself adds
	for _, family := range metrics.Catalogue() {
		v[family.Name] = family.Labels
		if family.Type == metrics.Histogram {
			v[family.Name+"_bucket"] = append(slices.Clone(family.Labels), "le")
			v[family.Name+"_count"], v[family.Name+"_sum"] = family.Labels, family.Labels
		}
	}
	scrape := httptest.NewRecorder()
	handler := metrics.New(metrics.Options{Log: slog.New(slog.DiscardHandler)}).Handler()
	handler.ServeHTTP(scrape, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(scrape.Body.Bytes()))
	if err != nil {
		return nil, fmt.Errorf("scrape: %w", err)
	}
	for name, family := range families {
		var labels []string
		for _, pair := range family.Metric[0].Label {
			labels = append(labels, pair.GetName())
		}
		v[name] = labels
		if family.GetType() == dto.MetricType_SUMMARY {
			v[name+"_count"], v[name+"_sum"] = labels, labels
		}
	}
	return v, nil
}

// Check returns the metrics that a PromQL expression selects, sorted. It is an error when one of them does not
// exist, or when a label in a matcher or a grouping is of none of them; job and instance are of all.
func (v Vocabulary) Check(expr string) ([]string, error) {
	uses := read(expr)
	if len(uses.metrics) == 0 {
		return nil, fmt.Errorf("no metric in %q", expr)
	}
	known := []string{"job", "instance"}
	for _, name := range uses.metrics {
		labels, ok := v[name]
		if !ok {
			return nil, fmt.Errorf("metric %s does not exist", name)
		}
		known = append(known, labels...)
	}
	for _, label := range uses.labels {
		if !slices.Contains(known, label) {
			return nil, fmt.Errorf("label %s is of none of %v", label, uses.metrics)
		}
	}
	return uses.metrics, nil
}

// names are those a PromQL expression uses, each once and sorted.
type names struct{ metrics, labels []string }

// read finds the names of an expression. It knows as much of PromQL's grammar as that takes: strings, matchers,
// ranges and groupings; anything else that looks like a name and is not called as a function is a metric.
func read(expr string) names {
	var n names
	keywords := []string{"and", "or", "unless", "bool", "offset", "atan2", "start", "end", "inf", "nan"}
	groupings := []string{"by", "without", "on", "ignoring", "group_left", "group_right"}
	for rest := expr; rest != ""; {
		switch c := rest[0]; {
		case c == '{':
			var inside string
			inside, rest = enclosed(rest, '}')
			for matcher := range strings.SplitSeq(withoutStrings(inside), ",") {
				if label := strings.TrimSpace(matcher); label != "" {
					n.labels = append(n.labels, label[:nameLength(label)])
				}
			}
		case c == '[':
			_, rest = enclosed(rest, ']')
		case c == '"' || c == '\'' || c == '`':
			rest = rest[stringLength(rest):]
		case c >= '0' && c <= '9': // with its unit
			rest = rest[1+nameLength(rest[1:]):]
		case nameLength(rest) > 0:
			word := rest[:nameLength(rest)]
			rest = strings.TrimLeft(rest[len(word):], " \t\n")
			switch {
			case slices.Contains(groupings, word):
				if strings.HasPrefix(rest, "(") {
					var inside string
					inside, rest = enclosed(rest, ')')
					for label := range strings.SplitSeq(inside, ",") {
						if label = strings.TrimSpace(label); label != "" {
							n.labels = append(n.labels, label)
						}
					}
				}
			case strings.HasPrefix(rest, "("), slices.Contains(keywords, strings.ToLower(word)):
			case slices.ContainsFunc(groupings, func(g string) bool { return followedBy(rest, g) }): // sum by (…)
			default:
				n.metrics = append(n.metrics, word)
			}
		default:
			rest = rest[1:]
		}
	}
	slices.Sort(n.metrics)
	slices.Sort(n.labels)
	n.metrics, n.labels = slices.Compact(n.metrics), slices.Compact(n.labels)
	return n
}

// followedBy reports whether an aggregation's grouping comes next: a metric is never followed by "by" or
// "without", but it may be by "on", which belongs to an operator.
func followedBy(rest, grouping string) bool {
	return (grouping == "by" || grouping == "without") && strings.HasPrefix(rest, grouping) && nameLength(rest) == len(grouping)
}

// nameLength is how much of s is a name of a metric or label.
func nameLength(s string) int {
	for i := range len(s) {
		c := s[i]
		if c != '_' && c != ':' && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (i == 0 || c < '0' || c > '9') {
			return i
		}
	}
	return len(s)
}

// stringLength is how much of s is the string that it begins with.
func stringLength(s string) int {
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '\\' && s[0] != '`':
			i++
		case s[i] == s[0]:
			return i + 1
		}
	}
	return len(s)
}

// enclosed returns what lies between the bracket that s begins with and end, and what comes after that.
func enclosed(s string, end byte) (inside, rest string) {
	for i := 1; i < len(s); {
		switch s[i] {
		case '"', '\'', '`':
			i += stringLength(s[i:])
		case end:
			return s[1:i], s[i+1:]
		default:
			i++
		}
	}
	return s[1:], ""
}

func withoutStrings(s string) string {
	var out strings.Builder
	for i := 0; i < len(s); {
		if c := s[i]; c == '"' || c == '\'' || c == '`' {
			i += stringLength(s[i:])
			continue
		}
		out.WriteByte(s[i])
		i++
	}
	return out.String()
}
