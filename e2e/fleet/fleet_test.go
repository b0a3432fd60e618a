package fleet

import (
	"context"
	"flag"
	"log/slog"
	"maps"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb"
)

var (
	nodes = flag.Int("nodes", 20, "nodes of the healthy fleet, 20 static pods each")
	seed  = flag.Uint64("seed", 1, "what happens to the healthy fleet is drawn from it")
)

const repository = "../.."

var (
	start  = time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	alerts = filepath.Join(repository, "alerts", "alerts.yaml")
)

// newFleet returns a fleet of which only that is kept what the alerts ask for.
func newFleet(t *testing.T, o Options) *Fleet {
	t.Helper()
	text, err := os.ReadFile(alerts)
	if err != nil {
		t.Fatal(err)
	}
	o.Repository, o.Start, o.Keep = repository, start, func(family string) bool { return strings.Contains(string(text), family) }
	f, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// judge plays fleets of one length, all scraped by one Prometheus, and returns what fired. Rules are evaluated every
// minute from a time on at which something happens, and before it as often as is seen of them at least.
func judge(t *testing.T, happens time.Time, fleets ...*Fleet) []Firing {
	t.Helper()
	db, err := tsdb.Open(t.TempDir(), slog.New(slog.DiscardHandler), nil, tsdb.DefaultOptions(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	ctx := context.Background()
	j, err := NewJudge(ctx, db, alerts)
	if err != nil {
		t.Fatal(err)
	}
	o, last := fleets[0].o, start
	var played, judged time.Duration
	series := 0
	for at := o.Start; at.Before(o.Start.Add(o.Length)); at = at.Add(o.Interval) {
		began := time.Now()
		series = 0
		for _, f := range fleets {
			n, err := f.Scrape(ctx, db, at)
			if err != nil {
				t.Fatal(err)
			}
			series += n
		}
		scraped := time.Now()
		played += scraped.Sub(began)
		every := time.Minute
		if at.Before(happens) {
			every = 4 * time.Minute
		}
		if next := at.Add(o.Interval); next.Sub(last) >= every {
			last = next
			if err := j.Evaluate(ctx, next); err != nil {
				t.Fatal(err)
			}
			judged += time.Since(scraped)
		}
	}
	t.Logf("%d series; played in %s, judged in %s", series, played.Round(time.Millisecond), judged.Round(time.Millisecond))
	return j.Fired()
}

// The rules are judged by the Prometheus that the other tests run.
func TestSamePrometheus(t *testing.T) {
	versions := map[string]bool{}
	for _, file := range []string{"go.mod", "../prometheus/go.mod"} {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		versions[string(regexp.MustCompile(`github\.com/prometheus/prometheus v\S+`).Find(content))] = true
	}
	if len(versions) != 1 {
		t.Errorf("there are several: %v", versions)
	}
}

// Each family is published with the labels that the catalogue of docs/metrics.md gives it, and none is missing.
func TestFamiliesAreThoseOfTheCatalogue(t *testing.T) {
	content, err := os.ReadFile(filepath.Join(repository, "docs", "metrics.md"))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `(staticpod_\\w+)` \\| (\\w+) \\| ([^|]*) \\|").FindAllStringSubmatch(string(content), -1) {
		labels := regexp.MustCompile(`\w+`).FindAllString(row[3], -1)
		if row[2] == "histogram" {
			row[1] += "_count"
		}
		want[row[1]] = strings.Join(labels, " ")
	}
	if len(want) < 30 {
		t.Fatalf("a catalogue of %d families", len(want))
	}
	got := published(t)
	for family, labels := range want {
		if _, ok := got[family]; !ok {
			t.Errorf("%s is not published", family)
		} else if got[family] != labels {
			t.Errorf("%s has the labels %s, want %s", family, got[family], labels)
		}
	}
	for family := range got {
		if _, ok := want[family]; !ok && strings.HasPrefix(family, "staticpod_") && !strings.HasPrefix(family, "staticpod_rollout_duration_seconds_") {
			t.Errorf("%s is in no catalogue", family)
		}
	}
}

// published plays a sick fleet for an hour and returns the labels of each family, the target's own left out.
func published(t *testing.T) map[string]string {
	t.Helper()
	f, err := New(Options{Repository: repository, Nodes: 20, Start: start, Length: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	f.Ordinary()
	f.Trouble()
	db, err := tsdb.Open(t.TempDir(), slog.New(slog.DiscardHandler), nil, tsdb.DefaultOptions(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for at := start; at.Before(f.end()); at = at.Add(time.Minute) {
		if _, err := f.Scrape(t.Context(), db, at); err != nil {
			t.Fatal(err)
		}
	}
	q, err := db.Querier(0, math.MaxInt64)
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	families := map[string]map[string]bool{}
	set := q.Select(t.Context(), false, nil, labels.MustNewMatcher(labels.MatchEqual, "job", "edge"))
	for set.Next() {
		l := set.At().Labels()
		family := l.Get(model.MetricNameLabel)
		if families[family] == nil {
			families[family] = map[string]bool{}
		}
		l.Range(func(l labels.Label) {
			if l.Name != model.MetricNameLabel && l.Name != "job" && l.Name != "instance" {
				families[family][l.Name] = true
			}
		})
	}
	if err := set.Err(); err != nil {
		t.Fatal(err)
	}
	named := map[string]string{}
	for family, of := range families {
		named[family] = strings.Join(slices.Sorted(maps.Keys(of)), " ")
	}
	return named
}
