package kubeletlog

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A node is a directory with a kubelet's log in it, and a Follower of that log. Its steps are taken by
// hand, so that each story has one order of events.
type node struct {
	t     testing.TB
	dir   string
	path  string
	state string
	f     *Follower
	out   *os.File // where the kubelet writes
	next  int      // number of the next line
	got   []int    // lines drained, in order
	stats Stats
	err   error
}

func newNode(t testing.TB) *node {
	dir := t.TempDir()
	n := &node{t: t, dir: dir, path: filepath.Join(dir, "log", "kubelet.log"), state: filepath.Join(dir, "state")}
	if err := os.Mkdir(filepath.Dir(n.path), 0o755); err != nil {
		t.Fatal(err)
	}
	n.start()
	t.Cleanup(func() {
		n.f.end()
		n.out.Close()
	})
	return n
}

func (n *node) start() {
	n.t.Helper()
	f, err := Follow(Options{Path: "file://" + n.path, StateDirectory: n.state})
	if err != nil {
		n.t.Fatal(err)
	}
	n.f = f
}

// tail is what reads the file.
func (n *node) tail() *tail { return n.f.transport.(*tail) }

// restart ends the exporter in order and starts it anew; kill does not end it in order.
func (n *node) restart() { n.t.Helper(); n.f.end(); n.start() }

func (n *node) kill() {
	n.t.Helper()
	if n.tail().cur != nil {
		n.tail().cur.Close()
	}
	n.start()
}

func (n *node) check(err error) {
	n.t.Helper()
	if err != nil {
		n.t.Fatal(err)
	}
}

// open makes the kubelet write to the log at its path.
func (n *node) open() {
	n.t.Helper()
	n.out.Close()
	var err error
	n.out, err = os.OpenFile(n.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	n.check(err)
}

func line(number int) string {
	return fmt.Sprintf(`{"ts":1795358307064.%04d,"caller":"config/file.go:186","msg":"Could not process manifest file","path":"/m/%d","err":"invalid"}`+"\n", number, number)
}

// write makes the kubelet log some lines.
func (n *node) write(lines int) {
	n.t.Helper()
	if n.out == nil {
		n.open()
	}
	for range lines {
		_, err := n.out.WriteString(line(n.next))
		n.check(err)
		n.next++
	}
}

// drain reads what there is and collects the events.
func (n *node) drain() {
	n.t.Helper()
	n.tail().pass(n.t.Context())
	n.collect()
}

func (n *node) collect() {
	n.t.Helper()
	var events []Event
	events, n.stats, n.err = n.f.Drain()
	for _, e := range events {
		var number int
		if _, err := fmt.Sscanf(e.Path, "/m/%d", &number); err != nil {
			n.t.Fatalf("unexpected event %+v", e)
		}
		n.got = append(n.got, number)
	}
}

// expect compares all that was drained so far with the lines from..to-1 of each pair.
func (n *node) expect(gaps uint64, ranges ...int) {
	n.t.Helper()
	var want []int
	for i := 0; i < len(ranges); i += 2 {
		for number := ranges[i]; number < ranges[i+1]; number++ {
			want = append(want, number)
		}
	}
	if fmt.Sprint(want) != fmt.Sprint(n.got) {
		n.t.Errorf("drained lines %v\nwant %v", n.got, want)
	}
	if n.stats.Gaps != gaps {
		n.t.Errorf("%d gaps, want %d", n.stats.Gaps, gaps)
	}
}

func (n *node) alive() {
	n.t.Helper()
	if n.err != nil {
		n.t.Errorf("the log is unreadable: %v", n.err)
	}
}

func (n *node) dead(words string) {
	n.t.Helper()
	if n.err == nil || !strings.Contains(n.err.Error(), words) {
		n.t.Errorf("the log's error is %v, want %q", n.err, words)
	}
}

func (n *node) rename(to string) {
	n.t.Helper()
	n.check(os.Rename(n.path, n.path+to))
}

func (n *node) copyTruncate(to string) {
	n.t.Helper()
	content, err := os.ReadFile(n.path)
	n.check(err)
	n.check(os.WriteFile(n.path+to, content, 0o644))
	n.check(os.Truncate(n.path, 0))
}

func TestALineComesInPieces(t *testing.T) {
	n := newNode(t)
	n.open()
	for _, b := range []byte(line(0) + line(1)) {
		_, err := n.out.Write([]byte{b})
		n.check(err)
		n.drain()
	}
	n.expect(0, 0, 2)
}

// A kubelet's log in text does not say of which zone its clock is, and an exporter in a container may have another. What it is
// seen to write was written now; of what was there before nobody can tell.
func TestALineOfAnotherZone(t *testing.T) {
	n := newNode(t)
	n.open()
	const behind = 5 * time.Hour
	write := func() time.Time {
		t.Helper()
		now := time.Now()
		_, err := fmt.Fprintf(n.out, "E%s   29116 file.go:186] \"Could not process manifest file\" err=\"invalid\" path=\"/m/0\"\n",
			now.Add(-behind).Format("0102 15:04:05.000000"))
		n.check(err)
		return now
	}
	read := func() Event {
		t.Helper()
		n.tail().pass(t.Context())
		events, _, _ := n.f.Drain()
		if len(events) != 1 {
			t.Fatalf("events %+v", events)
		}
		return events[0]
	}
	if at, e := write(), read(); at.Sub(e.At).Round(time.Minute) != behind {
		t.Errorf("before: %s, written at %s", e.At, at)
	}
	if at, e := write(), read(); e.At.Sub(at) < 0 || e.At.After(e.Read) {
		t.Errorf("since: %s, written at %s and read at %s", e.At, at, e.Read)
	}
	n.restart()
	if at, e := write(), read(); at.Sub(e.At).Round(time.Minute) != behind {
		t.Errorf("while nobody read: %s, written at %s", e.At, at)
	}
}

func TestALineIsNeverEnded(t *testing.T) {
	n := newNode(t)
	n.write(1)
	_, err := n.out.WriteString(line(99)[:40])
	n.check(err)
	n.drain()
	n.rename(".1")
	n.open()
	n.write(1)
	n.drain()
	n.expect(1, 0, 2)
}

type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) count(words string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), words)
}

func TestALineOfTwentyMegabytesCostsNoMemory(t *testing.T) {
	const size = 20 << 20
	body := strings.Repeat(`x\\\"\n`, size/7)
	for name, story := range map[string]struct{ line, message string }{
		"of no interest": {`{"ts":1,"caller":"a/b.go:1","msg":"Event occurred","message":"` + body + `"}`, ""},
		"json": {
			`{"ts":1,"caller":"config/http.go:65","msg":"Failed to read pods from URL","v":0,"err":"http://127.0.0.1/pods: received '` + body + `', but couldn't parse as single (first) or multiple pods (second)"}`,
			"http://127.0.0.1/pods: couldn't parse as single (first) or multiple pods (second)",
		},
		"text": {
			`I1122 14:38:27.064857   29116 http.go:65] "Failed to read pods from URL" err="http://127.0.0.1/pods: received '` + body + `', but couldn't parse as single (first) or multiple pods (second)"`,
			"http://127.0.0.1/pods: couldn't parse as single (first) or multiple pods (second)",
		},
		"text of many lines": {
			"I1122 14:38:27.064857   29116 http.go:65] \"Failed to read pods from URL\" err=<\n\thttp://127.0.0.1/pods: received '" + strings.Repeat("\n\tspec: {}", size/10) + "\n\t', but couldn't parse as single (first) or multiple pods (second)\n >",
			"http://127.0.0.1/pods: couldn't parse as single (first) or multiple pods (second)",
		},
		"text with a long line in a value": {
			"I1122 14:38:27.064857   29116 http.go:65] \"Failed to read pods from URL\" err=<\n\thttp://127.0.0.1/pods: received '\n\t" + body + "\n\t', but couldn't parse as single (first) or multiple pods (second)\n >",
			"http://127.0.0.1/pods: couldn't parse as single (first) or multiple pods (second)",
		},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t)
			n.open()
			_, err := n.out.WriteString(story.line + "\n")
			n.check(err)
			n.write(1)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			n.tail().pass(t.Context())
			runtime.ReadMemStats(&after)
			if grew := after.TotalAlloc - before.TotalAlloc; grew > 4<<20 {
				t.Errorf("%d bytes were allocated", grew)
			}
			events, stats, _ := n.f.Drain()
			if stats.Oversized != 1 {
				t.Errorf("%d oversized, want 1", stats.Oversized)
			}
			if want := uint64(strings.Count(story.line, "\n") + 2); stats.Lines != want {
				t.Errorf("%d lines, want %d", stats.Lines, want)
			}
			var messages []string
			for _, e := range events {
				messages = append(messages, e.Message)
			}
			want := []string{"invalid"}
			if story.message != "" {
				want = []string{story.message, "invalid"}
			}
			if fmt.Sprint(messages) != fmt.Sprint(want) {
				t.Errorf("events say %q, want %q", messages, want)
			}
		})
	}
}

func TestGarbageIsPassedOver(t *testing.T) {
	n := newNode(t)
	n.open()
	garbage := make([]byte, 1<<20)
	for i := range garbage {
		garbage[i] = byte(i * i >> 3)
	}
	_, err := n.out.Write(append(garbage, '\n'))
	n.check(err)
	n.write(2)
	n.drain()
	n.expect(0, 0, 2)
}

// A broken value of several lines swallows nothing that comes after it.
func TestARecordThatIsNotEndedEndsWithTheNext(t *testing.T) {
	n := newNode(t)
	n.open()
	_, err := n.out.WriteString("E1122 14:38:27.064857   29116 file.go:186] \"Could not process manifest file\" path=\"/m/0\" err=<\n\thalf\n")
	n.check(err)
	n.next = 1
	n.drain()
	n.expect(0)
	n.write(2)
	n.drain()
	n.expect(0, 0, 3)
}

func TestRepeatsAreLeftOutBeforeReadingWaits(t *testing.T) {
	n := newNode(t)
	n.open()
	const repeats = 20 * pendingLimit
	for range repeats {
		_, err := n.out.WriteString(line(7))
		n.check(err)
	}
	n.drain()
	if len(n.got) > pendingLimit || len(n.got) < 2 || n.stats.Events != repeats || n.stats.Gaps != 0 {
		t.Errorf("%d events pending of %d, %+v", len(n.got), repeats, n.stats)
	}
}

func TestReadingWaitsWhenNobodyDrains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, err := Follow(Options{Path: "/kubelet.log"})
		if err != nil {
			t.Fatal(err)
		}
		var events []Event
		for i := range pendingLimit + 1 {
			events = append(events, Event{Path: strconv.Itoa(i)})
		}
		read := false
		go func() {
			f.publish(t.Context(), progress{events: events})
			read = true
		}()
		synctest.Wait()
		if read {
			t.Error("reading goes on")
		}
		if got, _, _ := f.Drain(); len(got) != len(events) {
			t.Errorf("%d of %d events", len(got), len(events))
		}
		synctest.Wait()
		if !read {
			t.Error("reading does not go on after a drain")
		}
	})
}

func TestNothingIsLostWhileReadingWaits(t *testing.T) {
	n := newNode(t)
	const all = 10 * pendingLimit
	n.write(all)
	passed := make(chan struct{})
	go func() {
		defer close(passed)
		n.tail().pass(t.Context())
	}()
	for done := false; !done; {
		select {
		case <-n.f.Changed():
		case <-passed:
			done = true
		}
		n.collect()
	}
	n.expect(0, 0, all)
}

func TestWaitingForADrainEndsWithTheRun(t *testing.T) {
	n := newNode(t)
	n.write(10 * pendingLimit)
	ctx, cancel := context.WithCancel(t.Context())
	passed := make(chan struct{})
	go func() {
		defer close(passed)
		n.tail().pass(ctx)
	}()
	<-n.f.Changed()
	cancel()
	<-passed
}

// A kubelet that writes and rotates as fast as it can, and a Follower that reads as fast as it can, meet at
// every point of a rotation there is.
func TestRotationAtAnyMoment(t *testing.T) {
	for name, rotate := range map[string]func(n *node, i int){
		"dates": func(n *node, i int) {
			n.rename(fmt.Sprintf("-%08d", i))
			os.Remove(fmt.Sprintf("%s-%08d", n.path, i-30))
		},
		"numbers": func(n *node, _ int) {
			for i := 20; i > 0; i-- {
				os.Rename(fmt.Sprintf("%s.%d", n.path, i), fmt.Sprintf("%s.%d", n.path, i+1))
			}
			n.rename(".1")
		},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t)
			n.write(1)
			n.drain()
			const all, each = 500, 4
			ahead := make(chan struct{}, 10) // by fewer rotations than are kept
			var kubelet sync.WaitGroup
			kubelet.Go(func() {
				for i := range all {
					ahead <- struct{}{}
					n.write(2)
					rotate(n, 10000+i)
					n.write(1)
					n.open()
					n.write(1)
				}
			})
			for read := 0; read < all; {
				for n.drain(); read*each+1 < len(n.got); read++ {
					<-ahead
				}
			}
			kubelet.Wait()
			n.drain()
			n.expect(0, 0, n.next)
		})
	}
}

// From here on the Follower runs by itself. Only the watch can wake it: the polls are hours apart.

// killed is Run for an exporter that is killed when ctx ends.
func (f *Follower) killed(ctx context.Context) error {
	f.transport.run(ctx)
	return nil
}
