package panels

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestExpand(t *testing.T) {
	d := Dashboard{Variables: []Variable{{Name: "job"}, {Name: "instance"}, {Name: "pod", All: ".*", Multi: true}}}
	view := View{Start: time.Unix(0, 0), End: time.Unix(6*3600, 0), Scrape: 15 * time.Second, Chosen: Chosen{"job": {`a\"b`}, "pod": {"a.b", "c"}}}
	for _, test := range []struct{ expr, want string }{
		{`up`, `up`},
		{`up{job="$job"}`, `up{job="a\\\"b"}`},
		{`up{job="${job}"}`, `up{job="a\\\"b"}`},
		{`up{pod=~"$pod"}`, `up{pod=~"(a\\.b|c)"}`},
		{`rate(x[$__rate_interval])`, `rate(x[1m])`},
		{`increase(x[$__range]) / $__range_s`, `increase(x[6h]) / 21600`},
		{`x[$__interval]`, `x[44s]`},
		{`up{instance="$instance"}`, "error: 0 values are chosen"},
		{`up{node="$node"}`, "error: $node is no variable"},
	} {
		got, err := d.Expand(test.expr, view)
		if want, wrong := strings.CutPrefix(test.want, "error: "); wrong {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, not %s", test.expr, err, want)
			}
		} else if err != nil || got != test.want {
			t.Errorf("%s: %s, not %s (%v)", test.expr, got, test.want, err)
		}
	}
	for _, chosen := range [][]string{nil, {"$__all"}} {
		if got, err := d.Expand("$pod", View{Chosen: Chosen{"pod": chosen}}); err != nil || got != ".*" {
			t.Errorf("%q: all is %q, %v", chosen, got, err)
		}
	}
}

func TestStep(t *testing.T) {
	for _, test := range []struct {
		shown, scrape time.Duration
		points        int
		step          time.Duration
		rate          string
	}{
		{time.Minute, time.Second, 0, time.Second, "4s"},
		{5 * time.Minute, 15 * time.Second, 0, 15 * time.Second, "1m"},
		{6 * time.Hour, 15 * time.Second, 0, 44 * time.Second, "1m"},
		{24 * time.Hour, 15 * time.Second, 0, 173 * time.Second, "3m8s"},
		{24 * time.Hour, 15 * time.Second, 1440, time.Minute, "1m15s"},
	} {
		v := View{Start: time.Unix(0, 0), End: time.Unix(0, 0).Add(test.shown), Scrape: test.scrape, Points: test.points}
		if v.Step() != test.step || v.macros()["__rate_interval"] != test.rate {
			t.Errorf("%s by %s: step %s, rates over %s", test.shown, test.scrape, v.Step(), v.macros()["__rate_interval"])
		}
	}
}

// Every query of every dashboard is read, and none has a variable left in it.
func TestQueries(t *testing.T) {
	all, err := Dashboards(os.DirFS("../../dashboards"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, d := range all {
		names = append(names, d.Name)
		targets := 0
		for _, p := range d.Panels {
			targets += len(p.Targets)
			if (len(p.Targets) == 0) != (p.Type == "row") {
				t.Errorf("%s: %s, a %s, has %d queries", d.Name, p.Title, p.Type, len(p.Targets))
			}
		}
		view := View{Start: time.Unix(0, 0), End: time.Unix(3600, 0), Scrape: time.Minute, Chosen: Chosen{"job": {"staticpods"}, "instance": {"node1:10058"}}}
		queries, err := d.Queries(view)
		if err != nil {
			t.Fatal(err)
		}
		if len(queries) != targets+len(d.Annotations) || targets < 20 {
			t.Errorf("%s: %d queries of %d targets and %d annotations", d.Name, len(queries), targets, len(d.Annotations))
		}
		for _, q := range queries {
			if strings.Contains(q.Expr, "$") || !strings.Contains(q.Expr, `job="staticpods"`) || !strings.HasPrefix(q.String(), d.Name+": ") {
				t.Errorf("%s: %s", q, q.Expr)
			}
		}
	}
	if want := []string{"exporter", "fleet", "node"}; !slices.Equal(names, want) {
		t.Errorf("the dashboards are %q", names)
	}
	if _, err := Dashboards(os.DirFS(t.TempDir())); err == nil {
		t.Error("there are dashboards where there are none")
	}
}
