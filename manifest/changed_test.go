package manifest

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// A change is dated by when a file came to hold what it does, whatever its own date says, also when it holds no pod any
// more, and when it holds the same one again.
func TestChangesAreDated(t *testing.T) {
	v, dir := NewValidator(Rules{Node: "node1"}), t.TempDir()
	path := filepath.Join(dir, "web.yaml")
	put := func(content string) (before, after time.Time) {
		t.Helper()
		before = time.Now().Add(-20 * time.Millisecond) // the kernel's clock of files ticks
		hidden := filepath.Join(t.TempDir(), "web.yaml")
		write(t, hidden, content)
		old := time.Now().Add(-time.Hour)
		if err := os.Chtimes(hidden, old, old); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(hidden, path); err != nil {
			t.Fatal(err)
		}
		return before, time.Now()
	}
	s := newState()
	load := func() *Definition {
		t.Helper()
		files, err := v.readDirectory(dir, dir)
		if err != nil {
			t.Fatal(err)
		}
		at := time.Now().Add(time.Second) // read late
		p := makePlan(s, reading{at: at, node: "node1", directory: files, directoryPath: dir})
		s = p.state
		if len(p.definitions) != 1 {
			t.Fatalf("%d definitions", len(p.definitions))
		}
		return p.definitions[0]
	}
	var last time.Time
	for _, step := range []struct {
		what    string
		content string
		version uint64
	}{
		{"written", block("a"), 1},
		{"garbled", "{", 1},
		{"garbled otherwise", "[", 1},
		{"mended", block("a"), 1},
		{"edited", withMetadata("a", "labels: {b: c}"), 2},
	} {
		before, after := put(step.content)
		d := load()
		if d.Changed.Before(before) || d.Changed.After(after) || !d.Changed.After(last) || !d.Judged.After(after) || d.Version != step.version {
			t.Errorf("%s: changed at %s, between %s and %s, judged at %s, version %d", step.what, d.Changed, before, after, d.Judged, d.Version)
		}
		last = d.Changed
		if again := load(); !again.Changed.Equal(d.Changed) || !again.Judged.Equal(d.Judged) {
			t.Errorf("%s: dated anew by being read again", step.what)
		}
	}
}

// What was put into its place while the others were read is not dated before that.
func TestChangeWhileReading(t *testing.T) {
	v, dir := NewValidator(Rules{Node: "node1"}), t.TempDir()
	at := time.Now().Add(-time.Second)
	write(t, filepath.Join(dir, "web.yaml"), block("a"))
	files, err := v.readDirectory(dir, dir)
	if err != nil {
		t.Fatal(err)
	}
	read := time.Now().Add(time.Second)
	d := makePlan(newState(), reading{at: at, read: read, node: "node1", directory: files, directoryPath: dir}).definitions[0]
	if !d.Changed.After(at) || !d.Changed.Before(read) || !d.Judged.Equal(read) {
		t.Errorf("changed at %s, judged at %s, read from %s to %s", d.Changed, d.Judged, at, read)
	}
}
