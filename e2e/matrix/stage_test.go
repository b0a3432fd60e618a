package matrix

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	kubeletconfig "k8s.io/kubelet/config/v1beta1"

	"github.com/staticpod-exporter/staticpod-exporter/e2e/exporter"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/node"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/programs"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/registry"
)

// A view is an exporter and what it says.
type view struct {
	*exporter.Exporter
	*pages
	*told
}

// A stage is the node that all plays are on, with an exporter that serves definitions to its kubelet and observes the
// kubelet's own directory.
type stage struct {
	view
	node         *node.Node
	registry     *registry.Registry
	binary       string // the exporter
	address      string // of the kubelet's staticPodURL
	dir          string // of all the exporter's
	files        string // the directory of definitions
	config       string // the exporter's configuration file
	levels       map[string]string
	controls     []control
	disturbances int // after each there are other controls
	views        int

	scores []score

	mu    sync.Mutex
	given map[string]bool // the addresses that are a play's
}

// rolloutDeadline is short, so that it need not be waited for long. Most of what fails is told before it.
const rolloutDeadline = 25 * time.Second

func open(t *testing.T, change func(*node.Options)) *stage {
	t.Helper()
	st := &stage{dir: t.TempDir(), levels: levels(t), given: map[string]bool{}}
	st.files, st.config = filepath.Join(st.dir, "pods.d"), filepath.Join(st.dir, "config.yaml")
	must(t, os.Mkdir(st.files, 0o755))
	var err error
	st.binary, err = exporter.Build(t.Context(), t.TempDir(), false)
	must(t, err)
	st.address, err = exporter.FreeAddress()
	must(t, err)
	all, err := programs.Ensure(t.Context(), t.Output())
	must(t, err)
	st.registry, err = registry.Serve(all.Images, programs.PodImage)
	must(t, err)
	t.Cleanup(st.registry.Close)

	options := node.Options{Progress: t.Output(), Programs: all, Auth: node.ClientCertificates}
	st.ordinary(&options)
	change(&options)
	st.node, err = node.Start(t.Context(), options)
	must(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(st.node.LogTail())
		}
		keep(t, st.node.KubeletLog().Path(), "kubelet-end.log")
		keep(t, st.node.ContainerdLog(), "containerd.log")
		if err := st.node.Close(); err != nil {
			t.Error(err)
		}
	})
	st.configure(t, "")
	st.Exporter, err = exporter.New(exporter.Options{
		Binary: st.binary, Manifest: st.address, StateDirectory: filepath.Join(st.dir, "state"), ConfigFile: st.config,
		Flags: st.flags(), Log: st.log(t, "exporter.log"),
	})
	must(t, err)
	st.view = st.look(t, st.Exporter)
	must(t, st.Start(t.Context()))
	return st
}

// free returns an address of loopback for a play alone.
func (st *stage) free() (string, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	for {
		address, err := exporter.FreeAddress()
		if err != nil || !st.given[address] {
			st.given[address] = true
			return address, err
		}
	}
}

// ordinary are the kubelet's options in all plays that ask for no others.
func (st *stage) ordinary(o *node.Options) {
	o.ManifestURL = "http://" + st.address + "/pods"
	o.FeatureGates = nil
	// Longer than a bad file has to stand before it is told of: else it is over before that.
	o.FileCheckFrequency = 2 * time.Second
	o.Configure = func(c *kubeletconfig.KubeletConfiguration) {
		c.SerializeImagePulls = new(false) // a slow pull shall be nobody else's matter
	}
}

// flags are those by which the exporter finds the node.
func (st *stage) flags() []string {
	return append(exporter.NodeFlags(st.node), "--kubelet.resync-interval=5s", "--kubelet.rollout-deadline="+rolloutDeadline.String())
}

// configure writes the exporter's configuration: where the definitions are, and what else it shall say.
func (st *stage) configure(t testing.TB, more string) {
	t.Helper()
	must(t, os.WriteFile(st.config, fmt.Appendf(nil, "manifest:\n  files: [%q, %q]\n%s", st.files+"/*.yaml", st.files+"/*.json", more), 0o644))
}

// log returns where an exporter logs. What it says in the end is of interest when the test failed.
func (st *stage) log(t *testing.T, name string) io.Writer {
	t.Helper()
	log, err := os.Create(filepath.Join(st.dir, name))
	must(t, err)
	t.Cleanup(func() {
		log.Close()
		said, err := os.ReadFile(log.Name())
		must(t, err)
		for _, alarm := range []string{"panic: ", "DATA RACE"} {
			if strings.Contains(string(said), alarm) {
				t.Errorf("the exporter's log has %q", alarm)
			}
		}
		keep(t, log.Name(), name)
	})
	return log
}

// look scrapes and watches an exporter until the test ends, which ends the exporter too.
func (st *stage) look(t *testing.T, e *exporter.Exporter) view {
	st.views++
	name := fmt.Sprintf("told-%d.log", st.views)
	log, err := os.Create(filepath.Join(st.dir, name))
	must(t, err)
	t.Cleanup(func() { log.Close(); keep(t, log.Name(), name) })
	v := view{e, newPages(), newTold(log)}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var looking sync.WaitGroup
	looking.Go(func() { v.scrape(ctx, e) })
	looking.Go(func() { v.follow(ctx, e) })
	t.Cleanup(func() {
		cancel()
		looking.Wait()
		e.Stop(context.Background())
	})
	return v
}

// plays plays rows, with each of those sources, so many at a time, and adds to the score.
func (st *stage) plays(t *testing.T, rows []row, sources []string, atOnce int) {
	t.Helper()
	var all []*play
	for i := range rows {
		for _, source := range rows[i].sources() {
			if slices.Contains(sources, source) {
				all = append(all, st.play(&rows[i], source))
			}
		}
	}
	slices.SortStableFunc(all, func(a, b *play) int {
		switch {
		case a.row.slow == b.row.slow:
			return 0
		case a.row.slow:
			return -1
		}
		return 1
	})
	free := make(chan struct{}, atOnce)
	var playing sync.WaitGroup
	for _, p := range all {
		free <- struct{}{}
		playing.Go(func() {
			defer func() { <-free }()
			t.Run(p.row.story+", by "+p.source, func(t *testing.T) {
				p.T = t
				p.run()
			})
		})
	}
	playing.Wait()
	for _, p := range all {
		if p.T != nil { // it was asked for
			st.scores = append(st.scores, p.score)
		}
	}
}

// happen plays incidents, one after the other.
func (st *stage) happen(t *testing.T, rows []row, sources []string) {
	t.Helper()
	for i := range rows {
		r := &rows[i]
		for _, source := range r.sources() {
			if !slices.Contains(sources, source) {
				continue
			}
			p, before, began := st.play(r, source), st.totals(t), time.Now()
			t.Run(r.story+", by "+source, func(t *testing.T) {
				p.T = t
				p.run()
			})
			if p.T == nil {
				continue // it was not asked for
			}
			st.scores = append(st.scores, p.score)
			if !r.restarts {
				st.counted(t, began, before)
			}
			if r.disturbs {
				st.controls = nil
				st.control(t)
			} else {
				st.controlled(t, p.began, append(r.also, r.reason)...)
			}
		}
	}
}

// A control is a pod with which nothing is wrong, and which nothing that happens to others shall concern.
type control struct {
	id, container string
}

// control starts the controls.
func (st *stage) control(t *testing.T) {
	t.Helper()
	st.disturbances++
	for _, source := range []string{file, http} {
		p := st.play(&row{name: fmt.Sprint("control-", st.disturbances)}, source)
		p.T = t
		p.put(p.base, pod(sleeps))
		s := p.ready(time.Now())
		st.controls = append(st.controls, control{p.id, s.Spec.Containers[0].ID})
	}
}

// controlled checks that the controls run as they did, and that nothing was said of them since a time but what may be.
func (st *stage) controlled(t testing.TB, since time.Time, allowed ...string) {
	t.Helper()
	for _, c := range st.controls {
		s, err := st.until(t.Context(), patience, c.id, func(s exporter.Status, ok bool) error {
			if !ok || !s.Spec.Ready || len(s.Spec.Problems) > 0 {
				return errors.New("not ready without problems")
			}
			return nil
		})
		if err != nil {
			t.Errorf("a pod which nothing was done to: %v", err)
			continue
		}
		if len(s.Spec.Containers) != 1 || s.Spec.Containers[0].ID != c.container || s.Spec.Containers[0].RestartCount != 0 || s.Spec.Containers[0].State != "running" {
			t.Errorf("%s, which nothing was done to, is %s", c.id, describe(s, true))
		}
		for _, o := range st.of(since, c.id) {
			if !slices.Contains(allowed, o.Reason) {
				t.Errorf("of a pod which nothing was done to: %s", o)
			}
		}
	}
}

// totals are what problems_total counts now.
func (st *stage) totals(t *testing.T) map[string]float64 {
	t.Helper()
	totals := map[string]float64{}
	_, err := st.first(t.Context(), time.Now(), patience, func(m exporter.Metrics) error {
		for _, series := range m["staticpod_problems_total"].GetMetric() {
			totals[series.GetLabel()[0].GetValue()] = series.GetCounter().GetValue()
		}
		return nil
	})
	must(t, err)
	return totals
}

// counted checks that problems_total has counted, since it was as before, each onset that was told since then, once,
// and nothing else but what the watch skipped over, as the versions of the statuses tell.
func (st *stage) counted(t *testing.T, since time.Time, before map[string]float64) {
	t.Helper()
	want := maps.Clone(before)
	for _, o := range st.since(since) {
		want[o.Reason]++
	}
	got, unseen := st.totals(t), 0.0
	for _, reason := range slices.Sorted(maps.Keys(got)) {
		switch more := got[reason] - want[reason]; {
		case more > 0 && unseen+more <= float64(st.unseen()):
			unseen += more
			t.Logf("staticpod_problems_total counts %v of %s, where the watch told of %v and skipped %d changes", got[reason]-before[reason], reason, want[reason]-before[reason], st.unseen())
		case more != 0:
			t.Errorf("staticpod_problems_total counts %v of %s, where there were %v", got[reason]-before[reason], reason, want[reason]-before[reason])
		}
	}
	for _, reason := range slices.Sorted(maps.Keys(want)) {
		if _, ok := got[reason]; !ok {
			t.Errorf("staticpod_problems_total does not have %s", reason)
		}
	}
}

// keep keeps a file of the run for who wants to look at it, with go test -artifacts, and returns where.
func keep(t *testing.T, path, name string) string {
	t.Helper()
	kept := filepath.Join(t.ArtifactDir(), name)
	content, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(kept, content, 0o644)
	}
	if err != nil {
		t.Error(err)
	}
	return kept
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
