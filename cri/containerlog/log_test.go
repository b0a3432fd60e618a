package containerlog

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// pack writes a file as the kubelet compresses it: under another name first.
func pack(t testing.TB, path, content string) {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(content)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	write(t, path+".tmp", b.String())
	if err := os.Rename(path+".tmp", path); err != nil {
		t.Fatal(err)
	}
}

// A writer is the runtime, and the kubelet that rotates its file.
type writer struct {
	t      testing.TB
	path   string
	file   *os.File
	number int  // of lines so far
	clock  int  // of rotations
	still  bool // all lines have the same time, as some runtimes give what they read at once
}

func newWriter(t testing.TB) *writer {
	w := &writer{t: t, path: filepath.Join(t.TempDir(), "0.log")}
	w.reopen()
	t.Cleanup(func() { w.file.Close() })
	return w
}

func (w *writer) check(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *writer) reopen() {
	file, err := os.OpenFile(w.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
	w.check(err)
	if w.file != nil {
		w.check(w.file.Close())
	}
	w.file = file
}

// print writes lines, some in pieces.
func (w *writer) print(lines int) {
	for range lines {
		w.number++
		if w.number%3 == 0 {
			fmt.Fprintf(w.file, "%s stdout P line \n", w.stamp(0))
			fmt.Fprintf(w.file, "%s stdout F %d\n", w.stamp(1), w.number)
			continue
		}
		_, err := fmt.Fprintf(w.file, "%s stderr F line %d\n", w.stamp(0), w.number)
		w.check(err)
	}
}

func (w *writer) stamp(piece int) string {
	if w.still {
		return stamp(0)
	}
	return stamp(10*w.number + piece)
}

// rename is the first half of a rotation. reopen is the second.
func (w *writer) rename() {
	w.clock++
	w.check(os.Rename(w.path, w.path+time.Date(2026, 11, 22, 14, 38, w.clock, 0, time.UTC).Format(".20060102-150405")))
}

// compress compresses the rotated files but for the newest, and removes all but some.
func (w *writer) compress(keep int) {
	names := rotated(w.path)
	for i, name := range names {
		switch {
		case i < len(names)-keep:
			w.check(os.Remove(name))
		case i < len(names)-1 && !strings.HasSuffix(name, packedSuffix):
			content, err := os.ReadFile(name)
			w.check(err)
			pack(w.t, name+packedSuffix, string(content))
			w.check(os.Remove(name))
		}
	}
}

// lines are the numbered lines from one to another.
func lines(from, to int) string {
	var b strings.Builder
	for n := from; n <= to; n++ {
		fmt.Fprintln(&b, "line", n)
	}
	return b.String()
}

// A follower prints into out.
type reading struct {
	*testing.T
	out bytes.Buffer
	p   *Printer
	l   *Log
}

func follow(t *testing.T, path string, tail int) *reading {
	r := &reading{T: t, l: Open(path)}
	r.p = NewPrinter(&r.out, Options{Tail: tail})
	t.Cleanup(r.l.Close)
	return r
}

func (r *reading) look() {
	r.Helper()
	if err := r.l.More(r.p, false); err != nil {
		r.Fatal(err)
	}
	if err := r.p.Flush(); err != nil {
		r.Fatal(err)
	}
}

func (r *reading) expect(want string) {
	r.Helper()
	if got := r.out.String(); got != want {
		r.Fatalf("got\n%swant\n%s", got, want)
	}
}

func TestARotationLosesNothing(t *testing.T) {
	w := newWriter(t)
	w.print(2)
	r := follow(t, w.path, -1)
	r.look()
	w.print(1)
	w.rename()
	r.look() // there is no log now
	w.print(1)
	r.look()
	r.expect(lines(1, 4))
	old := w.file
	w.file = nil
	w.reopen() // the new file is there, and the runtime still writes to the old one
	r.look()
	fmt.Fprintf(old, "%s stdout F line 5\n", stamp(50))
	r.look()
	r.expect(lines(1, 5))
	fmt.Fprintf(old, "%s stdout F line 6\n", stamp(60))
	old.Close()
	w.number = 6
	w.print(2)
	r.look()
	r.expect(lines(1, 8))
}

// A reader that is held up, by a pager for one, finds its file compressed and others come and gone.
func TestRotationsWhileNobodyLooks(t *testing.T) {
	for _, rotations := range []int{1, 2, 3, -1, -2, -3} {
		w := newWriter(t)
		w.still, rotations = rotations < 0, max(rotations, -rotations)
		w.print(5)
		r := follow(t, w.path, -1)
		r.look()
		for range rotations {
			w.print(5)
			w.compress(10)
			w.rename()
			w.reopen()
		}
		w.compress(10)
		w.print(5)
		r.look()
		r.expect(lines(1, 10+5*rotations))
	}
}

// When what was read last is removed, what came after it is printed from its beginning, and nothing twice.
func TestRotationsOutOfSight(t *testing.T) {
	w := newWriter(t)
	w.print(5)
	r := follow(t, w.path, -1)
	r.look()
	for range 4 {
		w.rename()
		w.reopen()
		w.print(5)
		w.compress(2)
	}
	r.look()
	r.expect(lines(1, 5) + lines(11, 25))
}

func TestALogIsEmptied(t *testing.T) {
	w := newWriter(t)
	w.print(5)
	r := follow(t, w.path, -1)
	r.look()
	w.check(os.Truncate(w.path, 0))
	w.print(2)
	r.look()
	r.expect(lines(1, 7))
}

func TestALogThatIsNotThereYet(t *testing.T) {
	path := filepath.Join(t.TempDir(), "0.log")
	r := follow(t, path, 1)
	r.look()
	write(t, path, stamp(1)+" stdout F line 1\n"+stamp(2)+" stdout F line 2\n")
	r.look()
	r.expect(lines(1, 2)) // all of it is new
}

// What the runtime writes between the last look at a file and the one at what comes after it.
func TestTheLastLinesOfARotatedFile(t *testing.T) {
	w := newWriter(t)
	w.print(1)
	r := follow(t, w.path, -1)
	r.look()
	if err := r.l.toEnd(r.p); err != nil {
		t.Fatal(err)
	}
	w.print(1)
	w.rename()
	w.reopen()
	w.print(1)
	if moved, err := r.l.follow(r.p, false); !moved || err != nil {
		t.Fatal(moved, err)
	}
	r.look()
	r.expect(lines(1, 3))
}

// Rotations between opening a log and listing what came before it.
func TestRotationsWhileFilesAreOpened(t *testing.T) {
	w := newWriter(t)
	w.print(1)
	log, err := openGeneration(w.path)
	w.check(err)
	for range 2 {
		w.rename()
		w.reopen()
		w.print(1)
	}
	if opened, err := upTo(log, w.path); err != errRotating || opened != nil {
		t.Errorf("%v, %v", opened, err)
	}
	if opened, err := upTo(nil, w.path); err != errRotating || opened != nil {
		t.Errorf("without a log: %v, %v", opened, err)
	}
	files, err := generations(w.path)
	w.check(err)
	defer closeAll(files)
	if len(files) != 3 || files[2].Name() != w.path {
		t.Errorf("%d files", len(files))
	}
}

// A compressed file that is damaged, by a full disk for one, takes nothing else with it, and is told of.
func TestADamagedFile(t *testing.T) {
	whole := func(content string) string {
		path := filepath.Join(t.TempDir(), "whole.gz")
		pack(t, path, content)
		packed, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(packed)
	}
	var content strings.Builder
	random := rand.New(rand.NewPCG(1, 2))
	for range 10_000 {
		fmt.Fprintf(&content, "%s stdout F %x\n", stamp(1), random.Uint64())
	}
	long := whole(content.String())
	for name, c := range map[string]struct {
		damaged string
		some    bool // of it can be read
	}{
		"empty":          {"", false},
		"no gzip":        {"2026-11-22T14:38:27Z stdout F plain\n", false},
		"a short header": {long[:5], false},
		"cut off":        {long[:len(long)/2], true},
		"a wrong block":  {long[:len(long)/2] + strings.Repeat("\xff", 1000) + long[len(long)/2+1000:], true},
		"a wrong sum":    {long[:len(long)-8] + "12345678", true},
	} {
		for _, tail := range []int{-1, 3, 10, 20_000} {
			t.Run(fmt.Sprint(name, " ", tail), func(t *testing.T) {
				w := newWriter(t)
				w.print(5)
				w.check(w.file.Close())
				w.check(os.Rename(w.path, w.path+".20261122-143802"))
				pack(t, w.path+".20261122-143800.gz", stamp(1)+" stdout F line 0\n")
				write(t, w.path+".20261122-143801.gz", c.damaged)
				w.file = nil
				w.reopen()
				w.print(1)
				var out bytes.Buffer
				told := 0
				p := NewPrinter(&out, Options{Tail: tail, Damaged: func(path string, err error) {
					if told++; path != w.path+".20261122-143801.gz" || err == nil {
						t.Errorf("told of %s: %v", path, err)
					}
				}})
				l := Open(w.path)
				defer l.Close()
				for _, step := range []func() error{func() error { return l.Print(p) }, func() error { return l.End(p) }, p.Flush} {
					if err := step(); err != nil {
						t.Fatal(err)
					}
				}
				var first, last string
				switch {
				case tail == 3:
					last = lines(4, 6)
				case tail == 10 && c.some:
					last = lines(1, 6)
				default:
					first, last = "line 0\n", lines(1, 6)
				}
				between, before := strings.CutPrefix(out.String(), first)
				between, after := strings.CutSuffix(between, last)
				if !before || !after {
					t.Errorf("the files around it are not printed: %.200q", out.String())
				}
				if got := strings.Count(between, "\n"); got > 0 != (c.some && tail != 3) || tail == 10 && c.some && got != 4 {
					t.Errorf("%d lines of it are printed", got)
				}
				if told > 1 || told == 0 && tail != 3 {
					t.Errorf("told %d times", told)
				}
			})
		}
	}
}

// Whatever the order in which lines are written, the log rotated and looked at, each line comes once.
func TestEachLineComesOnce(t *testing.T) {
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 5))
		w := newWriter(t)
		r := follow(t, w.path, -1)
		renamed := false
		for range 60 {
			switch random.IntN(7) {
			case 0, 1, 2:
				w.print(random.IntN(4))
			case 3, 4:
				r.look()
			case 5:
				if renamed {
					w.reopen()
				} else {
					w.compress(100)
					w.rename()
				}
				renamed = !renamed
			case 6:
				if random.IntN(3) == 0 && !renamed {
					w.compress(100)
				}
			}
		}
		if renamed {
			w.reopen()
		}
		w.print(1)
		r.look()
		if got, want := r.out.String(), lines(1, w.number); got != want {
			t.Fatalf("seed %d: got\n%swant\n%s", seed, got, want)
		}
	}
}
