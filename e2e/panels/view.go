package panels

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	v1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"
)

// A View is what somebody looks at: a time, and what is chosen at the top of the dashboard.
type View struct {
	Start, End time.Time
	Scrape     time.Duration // the scrape interval, which the data source in Grafana is told
	Points     int           // how many a panel has room for; 0 is 500
	Chosen     Chosen
}

// Chosen are the values chosen of variables, by name. Of a variable without any it is all, where all can be chosen.
type Chosen map[string][]string

// Step returns the time between two points of a panel: not below the scrape interval, and whole seconds.
func (v View) Step() time.Duration {
	points := v.Points
	if points == 0 {
		points = 500
	}
	step := v.End.Sub(v.Start) / time.Duration(points)
	step = (step + time.Second - 1).Truncate(time.Second)
	return max(step, v.Scrape, time.Second)
}

// macros are Grafana's own variables.
func (v View) macros() map[string]string {
	step, shown := v.Step(), v.End.Sub(v.Start)
	return map[string]string{
		"__interval":      model.Duration(step).String(),
		"__interval_ms":   strconv.FormatInt(step.Milliseconds(), 10),
		"__rate_interval": model.Duration(max(step+v.Scrape, 4*v.Scrape)).String(),
		"__range":         model.Duration(shown.Truncate(time.Second)).String(),
		"__range_s":       strconv.Itoa(int(shown.Seconds())),
		"__range_ms":      strconv.FormatInt(shown.Milliseconds(), 10),
	}
}

var named = regexp.MustCompile(`\$(?:(\w+)|\{(\w+)(?::\w+)?\})`)

// Expand replaces the variables of an expression of the dashboard, as Grafana does it for Prometheus.
func (d Dashboard) Expand(expr string, v View) (string, error) {
	macros := v.macros()
	var unknown error
	expanded := named.ReplaceAllStringFunc(expr, func(reference string) string {
		match := named.FindStringSubmatch(reference)
		name := match[1] + match[2]
		if value, ok := macros[name]; ok {
			return value
		}
		value, err := d.value(name, v.Chosen[name])
		if err != nil {
			unknown = fmt.Errorf("%s: %w", expr, err)
		}
		return value
	})
	return expanded, unknown
}

func (d Dashboard) value(name string, chosen []string) (string, error) {
	for _, variable := range d.Variables {
		switch {
		case variable.Name != name:
		case len(chosen) == 0 && variable.All != "", len(chosen) == 1 && chosen[0] == "$__all":
			return variable.All, nil
		case len(chosen) == 1 && !variable.Multi:
			return strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(chosen[0]), nil
		case len(chosen) > 0 && variable.Multi:
			quoted := make([]string, len(chosen))
			for i, value := range chosen {
				quoted[i] = strings.ReplaceAll(regexp.QuoteMeta(value), `\`, `\\`)
			}
			return "(" + strings.Join(quoted, "|") + ")", nil
		default:
			return "", fmt.Errorf("$%s: %d values are chosen", name, len(chosen))
		}
	}
	return "", fmt.Errorf("$%s is no variable of the dashboard", name)
}

// Queries returns what the dashboard asks for a view: of each panel its targets, in order, then its annotations.
func (d Dashboard) Queries(v View) ([]Query, error) {
	var all []Query
	add := func(q Query, expr string) error {
		var err error
		if q.Expr, err = d.Expand(expr, v); err != nil {
			return fmt.Errorf("%s: %w", q, err)
		}
		q.Dashboard, q.Range = d.Name, v.queried()
		all = append(all, q)
		return nil
	}
	for _, p := range d.Panels {
		for _, t := range p.Targets {
			if err := add(Query{Panel: p, Target: t}, t.Expr); err != nil {
				return nil, err
			}
		}
	}
	for _, a := range d.Annotations {
		if err := add(Query{Annotation: a}, a.Expr); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// queried begins at a multiple of the step, so that a dashboard that is refreshed shows the same points again.
func (v View) queried() v1.Range {
	return v1.Range{Start: v.Start.Truncate(v.Step()), End: v.End, Step: v.Step()}
}
