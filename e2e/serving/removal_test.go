package serving

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/staticpod-exporter/staticpod-exporter/e2e/node"
)

// Where a definition stands is not what it says: nothing restarts as files are renamed, swapped, merged and split.
func filesMoved(s *scene) {
	a, b, c := pod("alpha", sleeps), pod("beta", sleeps), pod("gamma", sleeps)
	s.write("a.yaml", a)
	s.write("b.yaml", b)
	s.write("c.yaml", c)
	s.ready(s.start(), "alpha", "beta", "gamma")
	before := s.containers()
	at := func(name string) string { return filepath.Join(s.files, name) }

	for _, move := range []struct {
		what string
		do   func()
	}{
		{"a file renamed", func() { s.must(os.Rename(at("a.yaml"), at("z.yaml"))) }},
		{"two files swapped", func() {
			s.must(os.Rename(at("b.yaml"), at(".swap")))
			s.must(os.Rename(at("c.yaml"), at("b.yaml")))
			s.must(os.Rename(at(".swap"), at("c.yaml")))
		}},
		{"two files swapped by writing them anew", func() { s.write("b.yaml", b); s.write("c.yaml", c) }},
		{"a definition moved into another file", func() { s.write("b.yaml", b+"---\n"+c); s.remove("c.yaml") }},
		{"and out of it again, first taken and then put", func() { s.write("b.yaml", b); s.write("c.yaml", c) }},
		{"comments and the order of keys", func() {
			s.write("b.yaml", "# beta, of course\nkind: Pod\n"+strings.Replace(b, "kind: Pod\n", "", 1))
		}},
	} {
		s.Log(move.what)
		move.do()
		s.fetched(3, "200")
		s.undisturbed(before)
	}
	for _, id := range []string{"default-alpha", "default-beta", "default-gamma"} {
		if d := s.definition(id); d.Metadata.Version != 1 || len(d.Spec.Problems) > 0 {
			s.Errorf("%s did not change in effect: %+v", id, d)
		}
	}

	// A definition renamed is one removed and one added, once the new one is valid.
	cause := s.write("b.yaml", pod("delta", emptied))
	s.headline(cause, s.id("delta"), "ManifestInvalid")
	s.fetched(2, "200")
	s.undisturbed(before)
	cause = s.write("b.yaml", pod("delta", sleeps))
	s.gone(cause, "beta")
	s.ready(cause, "alpha", "delta", "gamma")
	s.undisturbed(slices.DeleteFunc(before, func(c node.Container) bool { return c.Pod == "beta-"+s.node.Name() }), "alpha", "gamma")
}

// Many definitions that vanish at once are an unmounted disk more often than a wish: they are kept until somebody
// says that they are meant to go.
func massRemoval(s *scene) {
	names := []string{"amy", "ben", "cid", "dot"}
	for _, name := range names {
		s.write(name+".yaml", pod(name, sleeps))
	}
	s.ready(s.start(), names...)
	before := s.containers()

	cause := s.remove("ben.yaml", "cid.yaml", "dot.yaml")
	s.begun(cause, finding{s.id("ben"), "MassRemovalHeld"}, finding{s.id("cid"), "MassRemovalHeld"}, finding{s.id("dot"), "MassRemovalHeld"}, finding{"node", "MassRemovalHeld"})
	s.reads(s.id("ben"), "MassRemovalHeld")
	s.fetched(3, "200")
	s.undisturbed(before)
	s.Kill() // a restart is nobody's word
	s.start()
	s.fetched(3, "200")
	s.undisturbed(before)

	// What comes back is held no longer.
	cause = s.write("ben.yaml", pod("ben", sleeps))
	s.ended(cause, finding{s.id("ben"), "MassRemovalHeld"})
	s.fetched(2, "200")
	s.undisturbed(before)

	cause = time.Now()
	s.must(s.Reload(s.Context()))
	s.gone(cause, "cid")
	s.gone(cause, "dot")
	s.ended(cause, finding{"node", "MassRemovalHeld"})
	s.ready(cause, "amy", "ben")
	s.undisturbed(before[:2])

	// All of them, and a signal.
	cause = s.remove("amy.yaml", "ben.yaml")
	s.begun(cause, finding{"node", "MassRemovalHeld"})
	s.fetched(2, "200")
	s.undisturbed(before[:2])
	cause = time.Now()
	s.must(s.Signal(syscall.SIGHUP))
	s.gone(cause, "amy")
	s.gone(cause, "ben")
	s.ended(cause, finding{"node", "MassRemovalHeld"})
	if code, body := s.document(); code != 200 || !strings.Contains(body, `"items":[]`) {
		s.Errorf("the list of no pods: %d %q", code, body)
	}
}
