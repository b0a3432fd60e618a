package soak

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/staticpod-exporter/staticpod-exporter/e2e/await"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/exporter"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/node"
)

var duration = flag.Duration("duration", 40*time.Second, "how long the pods are watched once they are up")

const (
	pods = 50
	// What is said of a pod that is replaced or has ended is information. Nobody is called for it.
	waiting, completed = "WaitingForTermination", "Completed"
	// The kubelet starts before the exporter here: for a moment it has no list, which is so.
	unfed = "KubeletSourcesNotReady"
	// startup is the patience with fifty pods that start at once on a small machine.
	startup = 5 * time.Minute
)

func TestNoFalseAlarm(t *testing.T) {
	s := newSoak(t)
	var background sync.WaitGroup
	defer background.Wait()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	background.Go(func() { s.listen(ctx) })

	for _, p := range s.pods {
		s.write(p, "")
	}
	await.Within(t, startup, "every pod is as it should be", s.sound)
	t.Logf("%d pods are up", len(s.pods))
	background.Go(func() { s.flap(ctx) })
	s.live(ctx, *duration)
	await.Within(t, startup, "every pod is as it should be", s.sound)
	s.counted()
	stop()
}

// A soak is a node with pods of all shapes, and the exporter that must not complain.
type soak struct {
	*testing.T
	node     *node.Node
	exporter *exporter.Exporter
	files    string // what the exporter serves
	pods     []*healthy

	mu   sync.Mutex
	said map[string]bool // what was complained of already
}

// A healthy pod of some shape.
type healthy struct {
	shape
	name, path, port, dir string
	edits                 int
	gone                  bool
}

func newSoak(t *testing.T) *soak {
	t.Helper()
	s := &soak{T: t, files: t.TempDir(), said: map[string]bool{}}
	binary, err := exporter.Build(t.Context(), t.TempDir(), false)
	s.must(err)
	address, err := exporter.FreeAddress()
	s.must(err)
	s.node, err = node.Start(t.Context(), node.Options{ManifestURL: "http://" + address + "/pods", Progress: t.Output()})
	s.must(err)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(s.node.LogTail())
		}
		if err := s.node.Close(); err != nil {
			t.Error(err)
		}
	})
	s.exporter, err = exporter.New(exporter.Options{
		Binary: binary, Manifest: address, StateDirectory: t.TempDir(), Log: t.Output(),
		Flags: append(exporter.NodeFlags(s.node), "--manifest.files="+filepath.Join(s.files, "*.yaml")),
	})
	s.must(err)
	s.must(s.exporter.Start(t.Context()))
	t.Cleanup(func() { s.exporter.Stop(context.Background()) })
	for i := range pods {
		p := &healthy{shape: shapes[i%len(shapes)], dir: t.TempDir()}
		p.name = fmt.Sprintf("%s-%d", p.shape.name, i)
		directory := s.files
		if i/len(shapes)%2 == 1 {
			directory = s.node.ManifestDirectory()
		}
		p.path = filepath.Join(directory, p.name+".yaml")
		free, err := exporter.FreeAddress()
		s.must(err)
		_, p.port, err = net.SplitHostPort(free)
		s.must(err)
		s.pods = append(s.pods, p)
	}
	return s
}

func (s *soak) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// write writes a pod's file as a careful operator does: beside it first.
func (s *soak) write(p *healthy, label string) {
	spec := strings.NewReplacer("$PORT", p.port, "$DIR", p.dir).Replace(strings.TrimSpace(p.spec))
	text := fmt.Sprintf("apiVersion: v1\nkind: Pod\nmetadata:\n  name: %s\n  labels: {edit: \"%s\"}\nspec:\n  hostNetwork: true\n", p.name, label)
	if !strings.Contains(spec, "terminationGracePeriodSeconds") {
		text += "  terminationGracePeriodSeconds: 2\n"
	}
	text += "  " + spec + "\n"
	beside := filepath.Join(filepath.Dir(p.path), "."+filepath.Base(p.path))
	s.must(os.WriteFile(beside, []byte(text), 0o600))
	s.must(os.Rename(beside, p.path))
}

// sound reports which pod is not as it should be.
func (s *soak) sound(ctx context.Context) error {
	statuses, err := s.exporter.Statuses(ctx)
	if err != nil {
		return err
	}
	expected := 1 // the node's
	for _, p := range s.pods {
		if p.gone {
			continue
		}
		expected++
		status, ok := statuses[s.id(p)]
		_, ended := status.Problem(completed)
		switch {
		case !ok:
			return fmt.Errorf("%s: there is no status", p.name)
		case p.ends && !ended, !p.ends && !status.Spec.Ready && !besides(p, status):
			return fmt.Errorf("%s: ready is %t: %s: %s", p.name, status.Spec.Ready, status.Spec.Reason, status.Spec.Message)
		}
	}
	if len(statuses) != expected {
		return fmt.Errorf("%d statuses and not %d", len(statuses), expected)
	}
	return nil
}

// besides reports whether a pod some of whose containers have ended as they may runs the others. The kubelet never
// calls it ready.
func besides(p *healthy, status exporter.Status) bool {
	if p.shape.name != "job-beside" {
		return false
	}
	for _, c := range status.Spec.Containers {
		if c.State != "running" && !(c.State == "exited" && c.LastExit != nil && c.LastExit.Code == 0) {
			return false
		}
	}
	return len(status.Spec.Problems) == 0
}

func (s *soak) id(p *healthy) string { return "default/" + p.name + "-" + s.node.Name() }

// listen hears everything that the exporter says, however short it lasts.
func (s *soak) listen(ctx context.Context) {
	for ctx.Err() == nil {
		// The exporter is restarted now and then: the watch ends, and begins anew.
		s.exporter.Watch(ctx, func(event exporter.Event) {
			if event.Event == "created" || event.Event == "updated" {
				s.judge(event.Status)
			}
		})
		select {
		case <-ctx.Done():
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (s *soak) judge(status exporter.Status) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, problem := range status.Spec.Problems {
		key := status.Metadata.ID + " " + problem.Reason
		if harmless(problem.Reason) || s.said[key] {
			continue
		}
		s.said[key] = true
		s.Errorf("%s, at %s: %s (%s, since %s): %s %s\n%+v", status.Metadata.ID, time.Now().Format(time.TimeOnly), problem.Reason, problem.Level,
			problem.Since.Format(time.TimeOnly), problem.Message, problem.Field, status.Spec)
	}
}

func harmless(reason string) bool { return reason == waiting || reason == completed || reason == unfed }

// flap has probes fail, for less than their threshold.
func (s *soak) flap(ctx context.Context) {
	for {
		for _, verb := range []string{"off", "on"} {
			for _, p := range s.pods {
				if p.flaps != "" {
					// One that is being replaced does not answer.
					if res, err := http.Post("http://127.0.0.1:"+p.port+"/"+p.flaps+"/"+verb, "", nil); err == nil {
						res.Body.Close()
					}
				}
			}
			pause := 2 * time.Second // of five
			if verb == "on" {
				pause = 5 * time.Second
			}
			select {
			case <-ctx.Done():
				return
			case <-time.After(pause):
			}
		}
	}
}

// live does to the node what is done to a node, one thing after the other.
func (s *soak) live(ctx context.Context, duration time.Duration) {
	end := time.After(duration)
	random := rand.New(rand.NewPCG(1, 2))
	one := func() *healthy { return s.pods[random.IntN(len(s.pods))] }
	acts := []func(){
		func() { s.edit(one()) },
		func() { s.rewrite(one()) },
		func() { s.remove(one()) },
		func() { s.must(s.exporter.Signal(syscall.SIGHUP)) },
		func() { s.edit(one()) },
		func() { s.must(s.node.KubeletLog().Rotate(fmt.Sprintf("-%d", random.Uint32()))) },
		s.restore,
		func() { s.restart() },
	}
	for i := 0; ; i++ {
		acts[i%len(acts)]()
		select {
		case <-end:
			s.restore()
			return
		case <-ctx.Done():
			return
		case <-time.After(5 * time.Second):
		}
	}
}

// edit makes another pod of a definition: the kubelet replaces it.
func (s *soak) edit(p *healthy) {
	if !p.gone {
		p.edits++
		s.write(p, fmt.Sprint(p.edits))
	}
}

// rewrite changes nothing.
func (s *soak) rewrite(p *healthy) {
	if !p.gone {
		s.write(p, map[bool]string{true: fmt.Sprint(p.edits)}[p.edits > 0])
	}
}

func (s *soak) remove(p *healthy) {
	if !p.gone {
		p.gone = true
		s.must(os.Remove(p.path))
	}
}

// restore brings back what was removed.
func (s *soak) restore() {
	for _, p := range s.pods {
		if p.gone {
			p.gone = false
			s.write(p, "")
			p.edits = 0
		}
	}
}

func (s *soak) restart() {
	s.counted()
	s.exporter.Stop(s.Context())
	s.must(s.exporter.Start(s.Context()))
}

// counted looks at what was counted since the exporter's start: nothing is too short for that.
func (s *soak) counted() {
	metrics, err := s.exporter.Metrics(s.Context())
	s.must(err)
	for _, series := range metrics["staticpod_problems_total"].GetMetric() {
		reason := series.GetLabel()[0].GetValue()
		if n := series.GetCounter().GetValue(); n > 0 && !harmless(reason) {
			s.Errorf("%s was counted %v times", reason, n)
		}
	}
}
