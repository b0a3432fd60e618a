// Package scale has a real Prometheus answer for fleets of many nodes, and measures what that takes.
package scale

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	v1 "github.com/prometheus/client_golang/api/prometheus/v1"

	"github.com/staticpod-exporter/staticpod-exporter/e2e/await"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/monitoring"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/panels"
)

var (
	sizes = flag.String("nodes", "20", "how many nodes the fleets have, 20 static pods each: 10,100,1000")
	past  = flag.Duration("past", 6*time.Hour, "how much of the past there is; the dashboards show six hours")
)

const (
	job    = "edge"
	scrape = time.Minute
)

// Of a fleet with something wrong every rule is evaluated, every query of every dashboard finds something, and what that
// took is reported.
func TestFleet(t *testing.T) {
	play := build(t)
	var report bytes.Buffer
	fmt.Fprintln(&report, header)
	for size := range strings.SplitSeq(*sizes, ",") {
		t.Run(size, func(t *testing.T) {
			nodes, err := strconv.Atoi(size)
			if err != nil {
				t.Fatal(err)
			}
			f := start(t, play, nodes)
			f.rules()
			f.panels()
			f.picture()
			f.pint()
			f.size()
			f.write(&report)
		})
	}
	t.Logf("%s", report.Bytes())
	if err := os.WriteFile(filepath.Join(t.ArtifactDir(), "report.txt"), report.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

// build returns the program that plays fleets. It is built as promtool is, so that what they share is built once.
func build(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "play")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-trimpath", "-tags", "remove_all_sd", "-o", path, "./play")
	cmd.Dir = "../fleet"
	cmd.Env = append(os.Environ(), "GOWORK=off", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building the player: %v\n%s", err, out)
	}
	return path
}

// A fleet is a Prometheus with the data of one, and what was measured of it.
type fleet struct {
	*testing.T
	nodes      int
	prometheus *monitoring.Prometheus
	written    struct {
		Series, Samples int
		Instances       []string
	}
	played time.Time

	evaluated       map[string]time.Duration // rule groups
	slowestRule     timed
	slowestPanels   []timed // of the dashboard of the fleet, slowest first
	slowestNode     timed   // of the two others
	series          int     // in memory
	resident, inUse float64 // bytes
}

type timed struct {
	what string
	took time.Duration
}

func start(t *testing.T, play string, nodes int) *fleet {
	t.Helper()
	f := &fleet{T: t, nodes: nodes, played: time.Now()}
	dir := t.TempDir()
	// So long may it take to write all this and to ask for it, on a machine that has other things to do.
	future := 20*time.Minute + time.Duration(nodes)*2*time.Second
	cmd := exec.CommandContext(t.Context(), play, "-repository", "../..", "-data", filepath.Join(dir, "data"),
		"-job", job, "-nodes", strconv.Itoa(nodes), "-interval", scrape.String(), "-past", past.String(), "-future", future.String())
	cmd.Stderr = t.Output()
	out, err := cmd.Output()
	f.must(err)
	f.must(json.Unmarshal(out, &f.written))
	t.Logf("%d nodes: %d series, %d samples written in %s", nodes, f.written.Series, f.written.Samples, time.Since(f.played).Round(time.Second))
	rules, err := filepath.Abs("../../alerts")
	f.must(err)
	f.prometheus, err = monitoring.New(t.Context(), monitoring.Options{
		Directory: dir, Progress: t.Output(), Patience: 20 * time.Minute,
		Config: fmt.Sprintf("global: {evaluation_interval: 15s}\nrule_files: [%q, %q]\n", filepath.Join(rules, "alerts.yaml"), filepath.Join(rules, "rules.yaml")),
	})
	f.must(err)
	f.must(f.prometheus.Start(t.Context()))
	t.Cleanup(func() { f.prometheus.Stop(context.Background()) })
	return f
}

func (f *fleet) must(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

// evaluations is how often each group is to be evaluated before its time is taken: the first finds nothing in any cache.
const evaluations = 3

// rules waits for their evaluation and keeps how long it takes, the median of the group's last ones.
func (f *fleet) rules() {
	f.Helper()
	took, each, seen := map[string][]time.Duration{}, map[string][]time.Duration{}, map[string]time.Time{}
	await.Within(f, 15*time.Minute, "the evaluation of rules", func(ctx context.Context) error {
		result, err := f.prometheus.API.Rules(ctx, nil)
		if err != nil {
			return err
		}
		for _, group := range result.Groups {
			all, last, err := rulesOf(group)
			if err != nil {
				f.Fatal(err)
			}
			if last.IsZero() || last.Equal(seen[group.Name]) {
				continue
			}
			seen[group.Name] = last
			var sum time.Duration
			for _, rule := range all {
				sum += rule.took
				each[rule.what] = append(each[rule.what], rule.took)
			}
			took[group.Name] = append(took[group.Name], sum)
		}
		for _, group := range result.Groups {
			if len(took[group.Name]) < evaluations {
				return fmt.Errorf("%s was evaluated %d times", group.Name, len(took[group.Name]))
			}
		}
		return nil
	})
	f.evaluated = map[string]time.Duration{}
	for name, all := range took {
		f.evaluated[name] = median(all)
	}
	for name, all := range each {
		if took := median(all); took > f.slowestRule.took {
			f.slowestRule = timed{name, took}
		}
	}
	result, err := f.prometheus.API.Alerts(f.Context())
	f.must(err)
	firing := map[string]bool{}
	for _, alert := range result.Alerts {
		firing[string(alert.Labels["alertname"])] = true
	}
	for _, name := range []string{"StaticPodNotReady", "StaticPodManifestInvalid", "StaticPodInputDown", "StaticPodConfigInvalid", "StaticPodExporterDown"} {
		if !firing[name] {
			f.Errorf("%s does not fire: %v", name, firing)
		}
	}
}

func median(all []time.Duration) time.Duration {
	slices.Sort(all)
	return all[len(all)/2]
}

// rulesOf returns the rules of a group with the time that each took, and when the last of them was evaluated.
func rulesOf(group v1.RuleGroup) (all []timed, last time.Time, err error) {
	for _, rule := range group.Rules {
		switch r := rule.(type) {
		case v1.AlertingRule:
			if r.Health == v1.RuleHealthBad {
				return nil, last, fmt.Errorf("%s: %s", r.Name, r.LastError)
			}
			all, last = append(all, timed{r.Name, time.Duration(r.EvaluationTime * float64(time.Second))}), r.LastEvaluation
		case v1.RecordingRule:
			if r.Health == v1.RuleHealthBad {
				return nil, last, fmt.Errorf("%s: %s", r.Name, r.LastError)
			}
			all, last = append(all, timed{r.Name, time.Duration(r.EvaluationTime * float64(time.Second))}), r.LastEvaluation
		}
	}
	return all, last, nil
}

// panels asks what the dashboards ask, as they are opened. What is empty of one node that is well must find something of
// one that is not.
func (f *fleet) panels() {
	f.Helper()
	dashboards, err := panels.Dashboards(os.DirFS("../../dashboards"))
	f.must(err)
	end := time.Now()
	found := map[string]bool{}
	var of = map[string][]timed{}
	for _, d := range dashboards {
		instances := []string{""}
		if d.Name != "fleet" {
			// Trouble comes to each by its place among ten.
			instances = f.written.Instances[:10]
		}
		for _, instance := range instances {
			queries, err := d.Queries(panels.View{Start: end.Add(-min(*past, 6*time.Hour)), End: end, Scrape: scrape, Chosen: panels.Chosen{"job": {job}, "instance": {instance}}})
			f.must(err)
			for _, q := range queries {
				began := time.Now()
				series, err := q.Run(f.Context(), f.prometheus.API)
				if err != nil {
					f.Error(err)
				}
				of[d.Name] = append(of[d.Name], timed{q.String(), time.Since(began)})
				found[q.String()] = found[q.String()] || len(panels.Shown(series)) > 0
			}
		}
	}
	for query, something := range found {
		if !something {
			f.Errorf("%s finds nothing", query)
		}
	}
	slowest := func(a, b timed) int { return int(b.took - a.took) }
	slices.SortFunc(of["fleet"], slowest)
	f.slowestPanels = of["fleet"]
	f.slowestNode = slices.MinFunc(append(of["node"], of["exporter"]...), slowest)
}

// size asks Prometheus what it takes itself.
func (f *fleet) size() {
	f.Helper()
	own, err := f.prometheus.Metrics(f.Context())
	f.must(err)
	f.series, f.resident, f.inUse = int(own["prometheus_tsdb_head_series"]), own["process_resident_memory_bytes"], own["go_memstats_heap_inuse_bytes"]
	if f.series < f.written.Series {
		f.Errorf("%d series in memory, of %d that are scraped", f.series, f.written.Series)
	}
}

const header = "| Nodes | Static pods | Series of a node | Series in memory | Memory | Rules, all | Slowest group | Slowest rule | Slowest panels of the fleet | Slowest of a node |\n|---|---|---|---|---|---|---|---|---|---|"

func (f *fleet) write(w io.Writer) {
	var sum time.Duration
	var group timed
	for name, took := range f.evaluated {
		if sum += took; took > group.took {
			group = timed{name, took}
		}
	}
	var slow []string
	for _, q := range f.slowestPanels[:3] {
		slow = append(slow, q.String())
	}
	fmt.Fprintf(w, "| %d | %d | %d | %d | %.0f MB (heap %.0f MB) | %s | %s | %s | %s | %s |\n", f.nodes, 20*f.nodes, f.written.Series/f.nodes, f.series,
		f.resident/1e6, f.inUse/1e6, round(sum), group, f.slowestRule, strings.Join(slow, "; "), f.slowestNode)
	for _, q := range f.slowestPanels {
		f.Logf("%s", q)
	}
}

func (t timed) String() string {
	return fmt.Sprintf("%s %s", strings.TrimPrefix(t.what, "fleet: "), round(t.took))
}

func round(d time.Duration) string { return d.Round(time.Millisecond).String() }
