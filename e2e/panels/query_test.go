package panels

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"

	"github.com/staticpod-exporter/staticpod-exporter/e2e/await"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/monitoring"
)

// Instant and range queries and variables are answered by a real Prometheus.
func TestRun(t *testing.T) {
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "answer{pod=\"a\"} 42\nanswer{pod=\"b\"} 43")
	}))
	defer target.Close()
	p, err := monitoring.New(t.Context(), monitoring.Options{
		Directory: t.TempDir(), Progress: t.Output(), Config: monitoring.ScrapeConfig("test", strings.TrimPrefix(target.URL, "http://")),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer p.Stop(context.Background())
	d := Dashboard{
		Name:        "test",
		Variables:   []Variable{{Name: "job", Query: "label_values(answer, job)"}, {Name: "pod", Query: `label_values(answer{job="$job"}, pod)`, All: ".*", Multi: true}},
		Annotations: []Annotation{{Name: "never", Expr: "answer == 0"}},
		Panels: []Panel{{ID: 1, Title: "panel", Targets: []Target{
			{Ref: "A", Expr: `answer{job="$job",pod=~"$pod"}`, Instant: true},
			{Ref: "B", Expr: `answer{job="$job",pod=~"$pod"}`},
			{Ref: "C", Expr: "answer{"},
		}}},
	}
	begin := time.Now()
	await.Nil(t, "some scrapes", func(ctx context.Context) error {
		vector, err := p.Query(ctx, "count_over_time(answer[1h]) > 3")
		if err == nil && len(vector) != 2 {
			err = fmt.Errorf("%v", vector)
		}
		return err
	})
	view := View{Start: begin, End: time.Now(), Scrape: time.Second, Chosen: Chosen{}}
	for _, variable := range d.Variables {
		got, err := d.Values(t.Context(), p.API, variable, view)
		if want := map[string][]string{"job": {"test"}, "pod": {"a", "b"}}[variable.Name]; err != nil || !slices.Equal(got, want) {
			t.Fatalf("$%s: %q, %v", variable.Name, got, err)
		}
		view.Chosen[variable.Name] = got
	}
	for _, chosen := range [][]string{{"a", "b"}, {"$__all"}, {"b"}} {
		view.Chosen["pod"] = chosen
		queries, err := d.Queries(view)
		if err != nil {
			t.Fatal(err)
		}
		for i, points := range []bool{false, true} {
			all, err := queries[i].Run(t.Context(), p.API)
			if err != nil || len(all) == 0 || (len(chosen) == 1 && chosen[0] == "b") != (len(all) == 1) || all[len(all)-1].Last() != 43 || (len(all[0].Points) > 1) != points {
				t.Errorf("%s: %s: %v, %v", queries[i], queries[i].Expr, all, err)
			}
		}
		if _, err := queries[2].Run(t.Context(), p.API); err == nil || !strings.Contains(err.Error(), "test: panel: C") {
			t.Errorf("a query that is none: %v", err)
		}
		if all, err := queries[3].Run(t.Context(), p.API); err != nil || len(all) != 0 {
			t.Errorf("%s: %v, %v", queries[3], all, err)
		}
	}
}

func TestShown(t *testing.T) {
	nan, number := model.SamplePair{Value: model.SampleValue(math.NaN())}, model.SamplePair{Value: 1}
	all := []Series{{}, {Points: []model.SamplePair{nan, nan}}, {Points: []model.SamplePair{nan, number}}}
	if shown := Shown(all); len(shown) != 1 || shown[0].Last() != 1 {
		t.Errorf("%v", shown)
	}
}

func TestMarks(t *testing.T) {
	at := func(times ...float64) []Series {
		s := Series{}
		for i, value := range times {
			s.Points = append(s.Points, model.SamplePair{Timestamp: model.Time(1000 * i), Value: model.SampleValue(value)})
		}
		return []Series{s}
	}
	for _, test := range []struct {
		annotation Annotation
		series     []Series
		want       []Mark
	}{
		{Annotation{}, at(0, 1, 1, 0, 1), []Mark{{1000, 2000}, {4000, 4000}}},
		{Annotation{}, at(0, 0), nil},
		{Annotation{ValueIsTime: true}, at(500, 500, 9500), []Mark{{500, 500}, {9500, 9500}}},
	} {
		if got := Marks(test.annotation, test.series, time.Second); !slices.Equal(got, test.want) {
			t.Errorf("%+v: %v: %v, not %v", test.annotation, test.series, got, test.want)
		}
	}
}
