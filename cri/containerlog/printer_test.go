package containerlog

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// stamp is the time of the nth line of a test.
func stamp(n int) string {
	return time.Date(2026, 11, 22, 14, 38, 27, n, time.UTC).Format(time.RFC3339Nano)
}

func TestParse(t *testing.T) {
	at := "2026-11-22T14:38:27.064857123Z"
	for line, want := range map[string]entry{
		at + " stdout F hello":                   {stamp: []byte(at), text: []byte("hello")},
		at + " stderr P hello":                   {stamp: []byte(at), stream: stderr, text: []byte("hello"), more: true},
		at + " stdout F ":                        {stamp: []byte(at)},
		at + " stdout P:x:y   a b ":              {stamp: []byte(at), text: []byte("  a b "), more: true},
		"2026-11-22T14:38:27.1+01:00 stdout F x": {stamp: []byte("2026-11-22T14:38:27.1+01:00"), text: []byte("x")},
		at + " stdout F":                         {text: []byte(at + " stdout F")},
		at + " stdin F x":                        {text: []byte(at + " stdin F x")},
		at + " stdout Q x":                       {text: []byte(at + " stdout Q x")},
		"":                                       {},
		"hello":                                  {text: []byte("hello")},
		"a b c d":                                {text: []byte("a b c d")},
		`{"log":"a\u00e9\n","stream":"stderr","time":"` + at + `"}`: {stamp: []byte(at), stream: stderr, text: []byte("aé")},
		`{"log":"begin","stream":"stdout","time":"` + at + `"}`:     {stamp: []byte(at), text: []byte("begin"), more: true},
		`{"log":1}`:   {text: []byte(`{"log":1}`)},
		`{"json": {}`: {text: []byte(`{"json": {}`)},
	} {
		got := parse([]byte(line))
		if string(got.stamp) != string(want.stamp) || got.stream != want.stream || string(got.text) != string(want.text) || got.more != want.more {
			t.Errorf("parse(%q) = %+v, want %+v", line, got, want)
		}
	}
}

// write writes a log file.
func write(t testing.TB, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// printed is what is printed of a log.
func printed(t testing.TB, path string, o Options) string {
	t.Helper()
	var out bytes.Buffer
	p, l := NewPrinter(&out, o), Open(path)
	defer l.Close()
	for _, step := range []func() error{func() error { return l.Print(p) }, func() error { return l.End(p) }, p.Flush} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	return out.String()
}

func TestPrint(t *testing.T) {
	const pieces = "2026-11-22T14:38:27.1Z stdout F one\n" +
		"2026-11-22T14:38:28.25Z stdout P two be\n" +
		"2026-11-22T14:38:28.5Z stderr F between\n" +
		"2026-11-22T14:38:29Z stdout F gins\n" +
		"2026-11-22T14:38:30Z stderr F last\n" +
		"2026-11-22T14:38:31Z stdout P no end\n"
	path := filepath.Join(t.TempDir(), "0.log")
	write(t, path, pieces)
	since := time.Date(2026, 11, 22, 14, 38, 29, 0, time.UTC)
	for name, tc := range map[string]struct {
		o    Options
		want string
	}{
		"all":        {Options{Tail: -1}, "one\nbetween\ntwo begins\nlast\nno end"},
		"timestamps": {Options{Tail: 2, Timestamps: true}, "2026-11-22T14:38:28.250000000Z two begins\n2026-11-22T14:38:30.000000000Z last\n2026-11-22T14:38:31.000000000Z no end"},
		"tail":       {Options{Tail: 1}, "last\nno end"},
		"none":       {Options{Tail: 0}, "no end"},
		"raw":        {Options{Tail: -1, Raw: true}, pieces},
		"raw tail":   {Options{Tail: 2, Raw: true}, pieces[strings.Index(pieces, "2026-11-22T14:38:30Z"):]},
		"since":      {Options{Tail: -1, Since: since}, "gins\nlast\nno end"},
	} {
		if got := printed(t, path, tc.o); got != tc.want {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
	}
	if err := Open(filepath.Join(t.TempDir(), "0.log")).Print(NewPrinter(new(bytes.Buffer), Options{})); !os.IsNotExist(err) {
		t.Errorf("no log: %v", err)
	}
	// The end of a file that its writer has not ended.
	write(t, path, "2026-11-22T14:38:27.1Z stdout F one\n2026-11-22T14:3")
	if got := printed(t, path, Options{Tail: -1}); got != "one\n" {
		t.Errorf("%q", got)
	}
	write(t, path, "2026-11-22T14:38:27.1Z stdout F one\n2026-11-22T14:38:27.1Z stdout F tw")
	if got := printed(t, path, Options{Tail: -1}); got != "one\ntw\n" {
		t.Errorf("%q", got)
	}
}

// What a container writes is no format of ours: whatever the bytes, they come out as they went in.
func FuzzPrint(f *testing.F) {
	f.Add([]byte("hello\nworld\n"), uint64(1))
	f.Add([]byte("\x1b[31m\x00\xff\n\n{\"log\":1}"), uint64(7))
	f.Fuzz(func(t *testing.T, output []byte, seed uint64) {
		random := rand.New(rand.NewPCG(seed, 1))
		var file bytes.Buffer
		n := 0
		for rest := output; len(rest) > 0; n++ {
			line, after, ended := bytes.Cut(rest, []byte("\n"))
			if k := random.IntN(5); k < len(line) && random.IntN(2) == 0 { // a piece of it
				fmt.Fprintf(&file, "%s stdout P %s\n", stamp(n), line[:k])
				rest = rest[k:]
				continue
			}
			tag := "F"
			if !ended {
				tag = "P"
			}
			fmt.Fprintf(&file, "%s stdout %s %s\n", stamp(n), tag, line)
			rest = after
		}
		path := filepath.Join(t.TempDir(), "0.log")
		write(t, path, file.String())
		if got := printed(t, path, Options{Tail: -1}); got != string(output) {
			t.Errorf("%q, want %q", got, output)
		}
		if got := printed(t, path, Options{Tail: -1, Raw: true}); got != file.String() {
			t.Errorf("raw: %q, want %q", got, file.String())
		}
	})
}

// A container that writes no line feed for ever costs no memory.
func TestALineWithoutEnd(t *testing.T) {
	var out bytes.Buffer
	p := NewPrinter(&out, Options{Tail: -1, Timestamps: true})
	piece := strings.Repeat("x", 16<<10)
	for i := range 1000 {
		if err := p.line([]byte(stamp(i) + " stdout P " + piece)); err != nil {
			t.Fatal(err)
		}
		if p.open[stdout].Cap() > 4*pieceLimit {
			t.Fatalf("%d bytes are held back", p.open[stdout].Cap())
		}
	}
	if err := p.line([]byte(stamp(1000) + " stdout F end")); err != nil {
		t.Fatal(err)
	}
	if err := p.Flush(); err != nil {
		t.Fatal(err)
	}
	if want := "2026-11-22T14:38:27.000000000Z " + strings.Repeat(piece, 1000) + "end\n"; out.String() != want {
		t.Errorf("%d bytes, want %d", out.Len(), len(want))
	}
}

// The last lines are those of all lines, whatever their lengths, over files of which some are compressed.
func TestTailIsTheEndOfAll(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for round := range 12 {
		path := filepath.Join(t.TempDir(), "0.log")
		n := 0
		file := func(size int) string {
			var b strings.Builder
			for b.Len() < size {
				n++
				kind := []string{"stdout F", "stdout F", "stderr F", "stdout P", "stderr P"}[random.IntN(5)]
				fmt.Fprintf(&b, "%s %s %d %s\n", stamp(n), kind, n, strings.Repeat("y", random.IntN(1+random.IntN(3000))))
			}
			return b.String()
		}
		sizes := []int{0, 1, 1000, 100 << 10, 3 << 20}
		pack(t, path+".20261122-143827.gz", file(sizes[random.IntN(4)]))
		pack(t, path+".20261122-143837.gz", file(sizes[random.IntN(4)]))
		write(t, path+".20261122-143847", file(sizes[random.IntN(len(sizes))]))
		write(t, path, file(sizes[random.IntN(len(sizes))]))
		all := printed(t, path, Options{Tail: -1})
		lines := strings.SplitAfter(all, "\n")
		open := lines[len(lines)-1] // what has no end yet counts as none
		lines = lines[:len(lines)-1]
		for _, tail := range []int{0, 1, 2, 10, 1000, 100000} {
			want := strings.Join(lines[max(0, len(lines)-tail):], "") + open
			if got := printed(t, path, Options{Tail: tail}); got != want {
				t.Errorf("round %d, tail %d: %d bytes, want %d of %d", round, tail, len(got), len(want), len(all))
			}
		}
	}
}
