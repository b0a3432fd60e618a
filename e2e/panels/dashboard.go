// Package panels reads the project's dashboards as Grafana does, and puts what their panels ask to a Prometheus.
//
//	all, err := panels.Dashboards(os.DirFS("../../dashboards"))
//	queries, err := all[0].Queries(panels.View{Start: start, End: end, Scrape: 15 * time.Second, Chosen: panels.Chosen{"job": {"staticpod-exporter"}}})
//	series, err := queries[0].Run(ctx, prometheus.API)
package panels

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

// A Dashboard is one of the project's, as far as it says what is asked and when.
type Dashboard struct {
	Name        string // fleet, node or exporter
	Title       string
	Variables   []Variable
	Annotations []Annotation
	Panels      []Panel // in their order; rows too, which ask nothing
}

// Height returns how many rows of the grid its panels take.
func (d Dashboard) Height() int {
	rows := 0
	for _, p := range d.Panels {
		rows = max(rows, p.Y+p.H)
	}
	return rows
}

// A Variable is chosen from what is at the top of a dashboard.
type Variable struct {
	Name  string
	Type  string // query or datasource
	Query string // label_values(SELECTOR, LABEL); may name variables before it
	All   string // what stands for all values; "" when all cannot be chosen
	Multi bool
}

// An Annotation marks times in every panel.
type Annotation struct {
	Name, Expr  string
	ValueIsTime bool // the time is the value, in milliseconds, and not that of the sample
}

// A Panel is one of a dashboard, with its place in a grid of 24 columns.
type Panel struct {
	ID         int
	Type       string // stat, timeseries, state-timeline, table, or row, which has no targets
	Title      string
	X, Y, W, H int
	Targets    []Target
}

// A Target is a query of a panel as it is written, with variables in it.
type Target struct {
	Ref, Expr string
	Legend    string // the name of a series, with {{label}} in it
	Instant   bool   // as of the end of the time shown; else over all of it
	Exemplars bool   // are asked for too
}

// Dashboards returns those of the project's directory dashboards, by name. The module of the tests does not depend on
// that of the product, which has them embedded.
func Dashboards(directory fs.FS) ([]Dashboard, error) {
	files, err := fs.Glob(directory, "*.json")
	if err != nil {
		return nil, fmt.Errorf("dashboards: %w", err)
	}
	if len(files) == 0 {
		return nil, errors.New("dashboards: there are none")
	}
	var all []Dashboard
	for _, file := range files {
		content, err := fs.ReadFile(directory, file)
		if err != nil {
			return nil, fmt.Errorf("dashboard: %w", err)
		}
		d, err := read(content)
		if err != nil {
			return nil, fmt.Errorf("dashboard %s: %w", file, err)
		}
		d.Name = strings.TrimSuffix(file, ".json")
		all = append(all, d)
	}
	return all, nil
}

// read is the part of Grafana's classic JSON that is looked at here.
func read(content []byte) (Dashboard, error) {
	var classic struct {
		Title      string
		Templating struct {
			List []struct {
				Name, Type, Definition, AllValue string
				IncludeAll, Multi                bool
			}
		}
		Annotations struct {
			List []struct {
				Name, Expr      string
				Enable          bool
				UseValueForTime bool
			}
		}
		Panels []struct {
			ID          int
			Type, Title string
			GridPos     struct{ X, Y, W, H int }
			Targets     []struct {
				RefID, Expr, LegendFormat string
				Instant, Exemplar         bool
			}
		}
	}
	if err := json.Unmarshal(content, &classic); err != nil {
		return Dashboard{}, err
	}
	d := Dashboard{Title: classic.Title}
	for _, v := range classic.Templating.List {
		variable := Variable{Name: v.Name, Type: v.Type, Query: v.Definition, Multi: v.Multi}
		if v.IncludeAll {
			if variable.All = v.AllValue; variable.All == "" {
				return Dashboard{}, fmt.Errorf("$%s: no value stands for all", v.Name)
			}
		}
		d.Variables = append(d.Variables, variable)
	}
	for _, a := range classic.Annotations.List {
		if a.Expr != "" && a.Enable { // Grafana's own asks no Prometheus
			d.Annotations = append(d.Annotations, Annotation{Name: a.Name, Expr: a.Expr, ValueIsTime: a.UseValueForTime})
		}
	}
	for _, p := range classic.Panels {
		panel := Panel{ID: p.ID, Type: p.Type, Title: p.Title, X: p.GridPos.X, Y: p.GridPos.Y, W: p.GridPos.W, H: p.GridPos.H}
		for _, t := range p.Targets {
			panel.Targets = append(panel.Targets, Target{Ref: t.RefID, Expr: t.Expr, Legend: t.LegendFormat, Instant: t.Instant, Exemplars: t.Exemplar})
		}
		d.Panels = append(d.Panels, panel)
	}
	return d, nil
}
