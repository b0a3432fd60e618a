// Package scale has a real Prometheus answer for fleets of many nodes, and measures what that takes.
package scale

import (
	"bytes"
	"cmp"
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
	past  = flag.Duration("past", 2*time.Hour, "how much of the past there is, 90m at least: alerts look back for an hour")
)

const (
	job    = "edge"
	scrape = time.Minute
)

// Of a fleet with something wrong every rule is evaluated, every query of every dashboard finds something, and how much
// memory and processor time that took is reported.
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
	ruled         []timed // the rules, slowest first
	shown         []timed // the panels of the fleet, slowest first
	slowestOfNode timed   // of the panels of a node and its exporter
	series        int     // in memory
	memory        float64 // resident, in bytes
}

// A timed is something with the processor time that it took.
type timed struct {
	what string
	took time.Duration
}

func slowest(a, b timed) int { return cmp.Compare(b.took, a.took) }

func (t timed) String() string {
	return fmt.Sprintf("%s %s", strings.TrimPrefix(t.what, "fleet: "), round(t.took))
}

func start(t *testing.T, play string, nodes int) *fleet {
	t.Helper()
	f := &fleet{T: t, nodes: nodes}
	began := time.Now()
	dir := t.TempDir()
	// So long may it take to write all this and to ask for it, on a machine that has other things to do.
	future := 20*time.Minute + time.Duration(nodes)*time.Second
	cmd := exec.CommandContext(t.Context(), play, "-repository", "../..", "-data", filepath.Join(dir, "data"),
		"-job", job, "-nodes", strconv.Itoa(nodes), "-interval", scrape.String(), "-past", past.String(), "-future", future.String())
	cmd.Stderr = t.Output()
	out, err := cmd.Output()
	f.must(err)
	f.must(json.Unmarshal(out, &f.written))
	t.Logf("%d nodes: %d series, %d samples written in %s", nodes, f.written.Series, f.written.Samples, time.Since(began).Round(time.Second))
	f.prometheus, err = monitoring.New(t.Context(), monitoring.Options{
		Directory: dir, Progress: t.Output(), Patience: 20 * time.Minute, Config: f.configuration(15 * time.Second),
	})
	f.must(err)
	f.must(f.prometheus.Start(t.Context()))
	t.Cleanup(func() { f.prometheus.Stop(context.Background()) })
	return f
}

// configuration has the rules evaluated every so often.
func (f *fleet) configuration(every time.Duration) string {
	f.Helper()
	alerts, err := filepath.Abs("../../alerts")
	f.must(err)
	return fmt.Sprintf("global: {evaluation_interval: %ds}\nrule_files: [%q, %q]\n", int(every.Seconds()), filepath.Join(alerts, "alerts.yaml"), filepath.Join(alerts, "rules.yaml"))
}

func (f *fleet) must(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

// rules waits until each has been evaluated, then has none evaluated for a while, and asks what they ask one by one.
func (f *fleet) rules() {
	f.Helper()
	var groups []v1.RuleGroup
	await.Within(f, 15*time.Minute, "the evaluation of rules", func(ctx context.Context) error {
		result, err := f.prometheus.API.Rules(ctx, nil)
		if err != nil {
			return err
		}
		groups = result.Groups
		for _, rule := range all(groups) {
			if rule.health == v1.RuleHealthBad {
				f.Fatalf("%s: %s", rule.name, rule.failure)
			}
			if rule.health != v1.RuleHealthGood {
				err = fmt.Errorf("%s is %s", rule.name, rule.health)
			}
		}
		return err
	})
	result, err := f.prometheus.API.Alerts(f.Context())
	f.must(err)
	firing := map[string]bool{}
	for _, alert := range result.Alerts {
		firing[string(alert.Labels["alertname"])] = true
	}
	for _, name := range []string{"StaticPodNotReady", "StaticPodManifestInvalid", "StaticPodInputDown", "StaticPodConfigInvalid", "StaticPodTelemetryLost"} {
		if !firing[name] {
			f.Errorf("%s does not fire: %v", name, firing)
		}
	}
	f.must(f.prometheus.Configure(f.Context(), f.configuration(24*time.Hour)))
	for _, rule := range all(groups) {
		spent := f.spent(func() {
			_, _, err := f.prometheus.API.Query(f.Context(), rule.query, time.Now())
			f.must(err)
		})
		f.ruled = append(f.ruled, timed{rule.name, spent})
	}
	slices.SortFunc(f.ruled, slowest)
}

// A rule is one of Prometheus', an alert or a record.
type rule struct {
	name, query, failure string
	health               v1.RuleHealth
}

func all(groups []v1.RuleGroup) []rule {
	var rules []rule
	for _, group := range groups {
		for _, r := range group.Rules {
			switch r := r.(type) {
			case v1.AlertingRule:
				rules = append(rules, rule{r.Name, r.Query, r.LastError, r.Health})
			case v1.RecordingRule:
				rules = append(rules, rule{r.Name, r.Query, r.LastError, r.Health})
			}
		}
	}
	return rules
}

// spent returns the processor time that Prometheus spends on something. What that takes by the clock says more about what
// else the machine does.
func (f *fleet) spent(something func()) time.Duration {
	f.Helper()
	before := f.processor()
	something()
	return f.processor() - before
}

func (f *fleet) processor() time.Duration {
	f.Helper()
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", f.prometheus.PID()))
	f.must(err)
	var sum time.Duration
	for _, task := range tasks {
		content, err := os.ReadFile(task)
		if err != nil {
			continue // a thread that has ended
		}
		var spent time.Duration
		_, err = fmt.Sscan(string(content), &spent)
		f.must(err)
		sum += spent
	}
	return sum
}

// panels asks what the dashboards ask, as they are opened. What is empty of one node that is well must find something of
// one that is not.
func (f *fleet) panels() {
	f.Helper()
	dashboards, err := panels.Dashboards(os.DirFS("../../dashboards"))
	f.must(err)
	end := time.Now()
	found := map[string]bool{}
	of := map[string][]timed{}
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
				var series []panels.Series
				spent := f.spent(func() {
					var err error
					if series, err = q.Run(f.Context(), f.prometheus.API); err != nil {
						f.Error(err)
					}
				})
				of[d.Name] = append(of[d.Name], timed{q.String(), spent})
				found[q.String()] = found[q.String()] || len(panels.Shown(series)) > 0
			}
		}
	}
	for query, something := range found {
		if !something {
			f.Errorf("%s finds nothing", query)
		}
	}
	slices.SortFunc(of["fleet"], slowest)
	f.shown = of["fleet"]
	f.slowestOfNode = slices.MinFunc(append(of["node"], of["exporter"]...), slowest)
}

// size asks Prometheus what it takes itself.
func (f *fleet) size() {
	f.Helper()
	own, err := f.prometheus.Metrics(f.Context())
	f.must(err)
	f.series, f.memory = int(own["prometheus_tsdb_head_series"]), own["process_resident_memory_bytes"]
	if f.series < f.written.Series {
		f.Errorf("%d series in memory, of %d that are scraped", f.series, f.written.Series)
	}
}

const header = "| Nodes | Static pods | Series of a node | Series | Memory | All rules | Slowest rule | Slowest panels of the fleet | Slowest of a node |\n|---|---|---|---|---|---|---|---|---|"

func (f *fleet) write(w io.Writer) {
	var rules time.Duration
	for _, rule := range f.ruled {
		rules += rule.took
	}
	var panels []string
	for _, q := range f.shown[:3] {
		panels = append(panels, q.String())
	}
	fmt.Fprintf(w, "| %d | %d | %d | %d | %.0f MB | %s | %s | %s | %s |\n", f.nodes, 20*f.nodes, f.written.Series/f.nodes, f.series,
		f.memory/1e6, round(rules), f.ruled[0], strings.Join(panels, "; "), f.slowestOfNode)
	for _, q := range append(f.ruled, f.shown...) {
		f.Logf("%s", q)
	}
}

func round(d time.Duration) string { return d.Round(time.Millisecond).String() }
