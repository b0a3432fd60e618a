package kubeletlog

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// distribution returns an auto of the places in dir: two files around a unit of the journal there.
func distribution(t *testing.T, n *journaled) *auto {
	t.Helper()
	file := func(name string) candidate {
		path := filepath.Join(n.dir, name)
		return candidate{source{scheme: schemeFile, name: path, path: path}, name}
	}
	j := journalSource{unit: "k3s.service", directory: n.dir}
	f, err := Follow(Options{Path: Auto, StateDirectory: filepath.Join(n.dir, "state")})
	n.check(err)
	a := f.transport.(*auto)
	a.retry = 10 * time.Millisecond
	a.candidates = []candidate{file("first.log"), {source{scheme: schemeJournald, name: j.String(), journal: j}, "k3s"}, file("last.log")}
	n.f = f
	return a
}

func (n *journaled) logTo(name string, numbers ...int) {
	n.t.Helper()
	file, err := os.OpenFile(filepath.Join(n.dir, name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	n.check(err)
	for _, number := range numbers {
		_, err := file.WriteString(line(number))
		n.check(err)
	}
	n.check(file.Close())
}

func TestAutoLooksUntilThereIsALog(t *testing.T) {
	n := newJournaled(t)
	distribution(t, n)
	n.run(n.f.Run)
	n.dead("first.log: no such file or directory; journald:k3s.service?")
	n.logTo("last.log", 0)
	n.await(0)
	n.until(func(err error) bool { return err == nil })
}

func TestAutoTakesTheFirstPlace(t *testing.T) {
	for name, story := range map[string]struct {
		prepare func(n *journaled)
		want    int
	}{
		"all":           {func(n *journaled) { n.logTo("last.log", 3); n.write(2); n.logTo("first.log", 1) }, 1},
		"journal, file": {func(n *journaled) { n.logTo("last.log", 3); n.write(2) }, 2},
		"file alone":    {func(n *journaled) { n.logTo("last.log", 3) }, 3},
		"no journalctl": {func(n *journaled) { n.logTo("last.log", 3); n.check(os.Remove(filepath.Join(n.dir, "journalctl"))) }, 3},
		"one left over": {func(n *journaled) { n.logTo("first.log", 1); n.age("first.log"); n.write(2) }, 2},
		"one no file":   {func(n *journaled) { n.check(os.Mkdir(filepath.Join(n.dir, "first.log"), 0o755)); n.write(2) }, 2},
		"one in another": {func(n *journaled) {
			n.check(os.WriteFile(filepath.Join(n.dir, "fail"), nil, 0o644))
			n.logTo("last.log", 3)
		}, 3},
	} {
		t.Run(name, func(t *testing.T) {
			n := newJournaled(t)
			distribution(t, n)
			story.prepare(n)
			n.run(n.f.Run)
			n.await(story.want)
		})
	}
}

// age makes a file look as if nobody wrote to it since the node booted.
func (n *journaled) age(name string) {
	n.t.Helper()
	at := bootTime().Add(-time.Hour)
	n.check(os.Chtimes(filepath.Join(n.dir, name), at, at))
}

func TestAutoLooksAgainWhenTheLogVanishes(t *testing.T) {
	n := newJournaled(t)
	a := distribution(t, n)
	n.logTo("first.log", 0)
	a.pace.poll, a.pace.deafPoll, a.pace.grace, a.pace.forget = 10*time.Millisecond, 10*time.Millisecond, 0, 0
	n.run(n.f.Run)
	n.await(0)
	n.check(os.Remove(filepath.Join(n.dir, "first.log")))
	n.dead("first.log") // and it is nowhere else
	n.write(1)
	n.await(0, 1)
	n.until(func(err error) bool { return err == nil })
	n.check(os.WriteFile(filepath.Join(n.dir, "end"), nil, 0o644))
	n.check(os.WriteFile(filepath.Join(n.dir, "fail"), []byte("gone"), 0o644))
	n.logTo("last.log", 2)
	n.await(0, 1, 2)
}

func TestAutoResumesWhereItWas(t *testing.T) {
	n := newJournaled(t)
	distribution(t, n)
	n.logTo("last.log", 0)
	n.run(n.f.Run)
	n.await(0)
	n.halt()
	n.logTo("last.log", 1)
	distribution(t, n)
	n.run(n.f.Run)
	n.await(0, 1)
	n.gaps(0)
}

// The order is documented: see docs/configuration.md.
func TestTheOrderOfPlacesIsTheDocumentedOne(t *testing.T) {
	doc, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	_, list, _ := strings.Cut(string(doc), "The places of `auto`, in their order:")
	var at []int
	for _, c := range wellKnown() {
		i := strings.Index(list, "`"+strings.TrimPrefix(c.source.name, "file://")+"`")
		if i < 0 {
			t.Errorf("%s is not there", c.source.name)
		}
		at = append(at, i)
	}
	if !slices.IsSorted(at) {
		t.Errorf("the order is another: %v", at)
	}
}
