package status

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/staticpod-exporter/staticpod-exporter/collector"
	"github.com/staticpod-exporter/staticpod-exporter/collector/kubeletlog"
	"github.com/staticpod-exporter/staticpod-exporter/manifest"
)

// told are the transitions of the last look, in words.
func (s *story) told() []string {
	var words []string
	for _, t := range s.last.Transitions {
		sign := "+"
		if t.Ended {
			sign = "-"
		}
		words = append(words, fmt.Sprintf("%s %s %s", sign, t.Status.Metadata.ID, t.Problem.Reason))
	}
	slices.Sort(words)
	return words
}

func (s *story) tells(want ...string) {
	s.t.Helper()
	if diff := cmp.Diff(want, s.told()); diff != "" {
		s.t.Errorf("at %s (-want +have):\n%s", s.now.Sub(noon), diff)
	}
}

// A line that is put in above a problem moves it, and neither ends nor begins it.
func TestAProblemThatMovesInItsFile(t *testing.T) {
	s := tell(t, running())
	at := func(line int, fields ...string) {
		d := *s.definitions[0]
		d.Problems = nil
		for i, field := range fields {
			d.Problems = append(d.Problems, manifest.Problem{
				Reason: manifest.UnknownField, Level: manifest.Warning, Message: "unknown field", Path: d.Path, Line: line + i, Field: field, Since: noon})
		}
		s.definitions = []*manifest.Definition{&d}
		s.then(time.Second)
	}
	at(7, "spec.a", "spec.b")
	s.counted(manifest.UnknownField, 2)
	at(8, "spec.a", "spec.b")
	s.tells()
	s.counted(manifest.UnknownField, 2)
	if p := find(t, s.last, web).Spec.Problems; len(p) != 2 || p[0].Line != 8 {
		t.Errorf("problems: %+v", p)
	}
	at(8, "spec.b", "spec.c") // the first is mended
	s.tells("+ "+web+" UnknownField", "- "+web+" UnknownField")
	s.counted(manifest.UnknownField, 3)
}

func TestTransitions(t *testing.T) {
	s := tell(t, running())
	s.tells()
	s.waiting("web", "CrashLoopBackOff", "back-off 10s restarting failed container")
	s.then(time.Second)
	s.tells("+ " + web + " CrashLoopBackOff")
	s.then(time.Second)
	s.tells()
	if p := s.last.Transitions; len(p) > 0 {
		t.Errorf("what goes on is told again: %v", p)
	}
	s.down(collector.InputRuntime, s.now, "no answer")
	s.then(time.Second)
	if have := s.told(); !slices.Contains(have, "+ node RuntimeDown") {
		t.Errorf("have %v", have)
	}
	s.up(collector.InputRuntime, s.now)
	s.then(time.Second)
	if have := s.told(); !slices.Contains(have, "- node RuntimeDown") {
		t.Errorf("have %v", have)
	}
}

// The problems of a definition that goes away go with it.
func TestTransitionsOfWhatIsGone(t *testing.T) {
	s := tell(t, running())
	bad := s.broken("bad", manifest.SourceHTTP, manifest.ManifestInvalid)
	s.then(time.Second)
	s.tells("+ default/bad-node1 ManifestInvalid")
	began := s.last.Transitions[0]
	if !began.Problem.Since.Equal(bad.Problems[0].Since) || began.Status != find(t, s.last, "default/bad-node1") {
		t.Errorf("it is %+v", began)
	}
	s.definitions = slices.DeleteFunc(s.definitions, func(d *manifest.Definition) bool { return d == bad })
	s.then(time.Second)
	s.tells("- default/bad-node1 ManifestInvalid")
}

// A restart is no news: neither of what goes on, nor of what ended meanwhile before it is known to have.
func TestTransitionsOverARestart(t *testing.T) {
	scene := running()
	gone := scene.broken("gone", manifest.SourceHTTP, manifest.ManifestInvalid)
	scene.broken("bad", manifest.SourceHTTP, manifest.ManifestInvalid)
	path := filepath.Join(t.TempDir(), "status.json")
	first := NewTracker(Limits{})
	if n := len(first.Observe(scene.look()).Transitions); n != 2 {
		t.Fatalf("%d transitions at first", n)
	}
	if err := first.Save(path); err != nil {
		t.Fatal(err)
	}
	scene.definitions = slices.DeleteFunc(scene.definitions, func(d *manifest.Definition) bool { return d == gone })
	second := NewTracker(Limits{})
	if err := second.Restore(path); err != nil {
		t.Fatal(err)
	}
	s := &story{scene: scene.after(time.Second), t: t, last: second.Observe(scene.look())}
	s.tells()
	scene.after(recordsKept + time.Second)
	scene.fetch(scene.now)
	s.last = second.Observe(scene.look())
	s.tells("- default/gone-node1 ManifestInvalid")
	scene.after(time.Second)
	s.last = second.Observe(scene.look())
	s.tells()
}

// A refusal that the log told of a file is, once it is known which pod is in it, that pod's: it went on all the while, and
// is counted once.
func TestTransitionsOfAFileWhosePodBecomesKnown(t *testing.T) {
	s := tell(t, observing())
	s.say(kubeletlog.Event{Kind: kubeletlog.ManifestRefused, Path: "/etc/kubernetes/manifests/new.yaml", Message: "invalid pod"})
	s.then(100 * ms)
	s.tells("+ file:/etc/kubernetes/manifests/new.yaml ManifestRejected")
	d := s.define("new", manifest.SourceFile)
	d.Changed, d.Judged, d.Updated = s.now.Add(-200*ms), s.now, s.now
	s.then(100 * ms)
	s.tells("+ default/new-node1 ManifestRejected", "- file:/etc/kubernetes/manifests/new.yaml ManifestRejected")
	s.counted(manifest.ManifestRejected, 1)
}
