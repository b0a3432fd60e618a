package panels

import (
	"context"
	"fmt"
	"math"
	"regexp"
	"strings"
	"time"

	v1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"
)

// A Query is what a panel or an annotation asks for a view.
type Query struct {
	Dashboard  string
	Panel      Panel
	Target     Target     // one of the panel's
	Annotation Annotation // of which it is when it is no panel's

	Expr  string   // for Prometheus
	Range v1.Range // of an instant query its end counts
}

// String names the query: "fleet: By reason: A".
func (q Query) String() string {
	if q.Panel.ID == 0 {
		return q.Dashboard + ": annotation " + q.Annotation.Name
	}
	return q.Dashboard + ": " + q.Panel.Title + ": " + q.Target.Ref
}

// A Series is one of an answer: of an instant query with one point.
type Series struct {
	Labels model.Metric
	Points []model.SamplePair
}

// Last returns its newest value, NaN when it has none.
func (s Series) Last() float64 {
	if len(s.Points) == 0 {
		return math.NaN()
	}
	return float64(s.Points[len(s.Points)-1].Value)
}

// Run asks Prometheus, and returns the series that it found; none is no error, a warning is one.
func (q Query) Run(ctx context.Context, api v1.API) ([]Series, error) {
	var value model.Value
	var warnings v1.Warnings
	var err error
	if q.Target.Instant {
		value, warnings, err = api.Query(ctx, q.Expr, q.Range.End)
	} else {
		value, warnings, err = api.QueryRange(ctx, q.Expr, q.Range)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %s: %w", q, q.Expr, err)
	}
	if len(warnings) > 0 {
		return nil, fmt.Errorf("%s: %s: warnings: %s", q, q.Expr, strings.Join(warnings, "; "))
	}
	var all []Series
	switch value := value.(type) {
	case model.Vector:
		for _, sample := range value {
			all = append(all, Series{Labels: sample.Metric, Points: []model.SamplePair{{Timestamp: sample.Timestamp, Value: sample.Value}}})
		}
	case model.Matrix:
		for _, stream := range value {
			all = append(all, Series{Labels: stream.Metric, Points: stream.Values})
		}
	default:
		return nil, fmt.Errorf("%s: %s: the answer is a %s", q, q.Expr, value.Type())
	}
	return all, nil
}

// Exemplars asks Prometheus for those of a query that wants them: each has the ID of a trace.
func (q Query) Exemplars(ctx context.Context, api v1.API) ([]v1.Exemplar, error) {
	if !q.Target.Exemplars {
		return nil, nil
	}
	results, err := api.QueryExemplars(ctx, q.Expr, q.Range.Start, q.Range.End)
	if err != nil {
		return nil, fmt.Errorf("%s: exemplars: %w", q, err)
	}
	var all []v1.Exemplar
	for _, result := range results {
		all = append(all, result.Exemplars...)
	}
	return all, nil
}

// Shown returns the series of which there is something to see: those with a number in them.
func Shown(all []Series) []Series {
	var shown []Series
	for _, s := range all {
		for _, p := range s.Points {
			if !math.IsNaN(float64(p.Value)) {
				shown = append(shown, s)
				break
			}
		}
	}
	return shown
}

var labelValues = regexp.MustCompile(`^label_values\((.+), (\w+)\)$`)

// Values returns what can be chosen of a variable that asks Prometheus, with what is chosen of those before it.
func (d Dashboard) Values(ctx context.Context, api v1.API, variable Variable, v View) ([]string, error) {
	match := labelValues.FindStringSubmatch(variable.Query)
	if match == nil {
		return nil, fmt.Errorf("%s: $%s: %q", d.Name, variable.Name, variable.Query)
	}
	selector, err := d.Expand(match[1], v)
	if err != nil {
		return nil, fmt.Errorf("%s: $%s: %w", d.Name, variable.Name, err)
	}
	values, warnings, err := api.LabelValues(ctx, match[2], []string{selector}, v.Start, v.End)
	if err != nil {
		return nil, fmt.Errorf("%s: $%s: %w", d.Name, variable.Name, err)
	}
	if len(warnings) > 0 {
		return nil, fmt.Errorf("%s: $%s: warnings: %s", d.Name, variable.Name, strings.Join(warnings, "; "))
	}
	all := make([]string, len(values))
	for i, value := range values {
		all[i] = string(value)
	}
	return all, nil
}

// A Mark is a time that an annotation marks: a moment, or from its begin to its end.
type Mark struct{ Begin, End model.Time }

// Marks returns what an annotation marks, as Grafana does it: where a value is above zero, or, if the value is the time, at
// each that is known. What follows within a step is one mark.
func Marks(a Annotation, all []Series, step time.Duration) []Mark {
	var marks []Mark
	for _, s := range all {
		var last *Mark
		for _, p := range s.Points {
			at := p.Timestamp
			if a.ValueIsTime {
				at = model.Time(p.Value)
			} else if p.Value <= 0 {
				continue
			}
			if last != nil && !at.After(last.End.Add(step)) {
				last.End = at
				continue
			}
			marks = append(marks, Mark{at, at})
			last = &marks[len(marks)-1]
		}
	}
	return marks
}
