package kubeletlog

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
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

func TestFirstStartReadsTheFileOfTheDay(t *testing.T) {
	n := newNode(t)
	n.write(2)
	n.rename(".1")
	n.open()
	n.write(3)
	n.drain()
	n.expect(0, 2, 5)
	n.alive()
	if s := n.stats; s.Lines != 3 || s.Events != 3 || s.Lag != 0 || s.Bytes != uint64(3*len(line(0))) {
		t.Errorf("stats %+v", s)
	}
}

func TestLogrotateRenamesAndCreates(t *testing.T) {
	n := newNode(t)
	n.write(3)
	n.drain()
	n.write(2)
	n.rename(".1")
	n.open()
	n.write(2)
	n.drain()
	n.expect(0, 0, 7)
	n.alive()
}

// The kubelet goes on in the old file until somebody makes it open the new one.
func TestTheKubeletIsSlowToMoveToTheNewFile(t *testing.T) {
	n := newNode(t)
	n.write(1)
	n.drain()
	n.rename(".1")
	n.write(1)
	n.drain()
	n.expect(0, 0, 2)
	n.check(os.WriteFile(n.path, nil, 0o644))
	n.write(1)
	n.drain()
	n.expect(0, 0, 3)
	n.write(1)
	n.open()
	n.write(1)
	n.drain()
	n.expect(0, 0, 5)
	n.alive()
}

func TestTheLogRotatesTwiceBetweenTwoLooks(t *testing.T) {
	for name, rotate := range map[string]func(n *node){
		"numbers": func(n *node) {
			os.Rename(n.path+".2", n.path+".3")
			os.Rename(n.path+".1", n.path+".2")
			n.rename(".1")
		},
		"dates": func(n *node) { n.rename(fmt.Sprintf("-20261122%02d", n.next)) },
		"lumberjack": func(n *node) {
			n.check(os.Rename(n.path, fmt.Sprintf("%s/kubelet-2026-11-22T14-38-%02d.064.log", filepath.Dir(n.path), n.next)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t)
			n.write(2)
			rotate(n)
			n.open()
			n.write(2)
			n.drain()
			n.write(2)
			for range 2 {
				rotate(n)
				n.open()
				n.write(2)
			}
			n.drain()
			n.expect(0, 2, 10)
			n.alive()
		})
	}
}

// Talos keeps one rotated file.
func TestTheLogRotatesOutOfSightBetweenTwoLooks(t *testing.T) {
	n := newNode(t)
	n.write(2)
	n.drain()
	n.write(1) // in the file that is still open
	for range 3 {
		n.rename(".1")
		n.open()
		n.write(2)
	}
	n.drain()
	n.expect(1, 0, 3, 5, 9)
}

func TestCopyTruncateCostsNoLineThatWasCopied(t *testing.T) {
	n := newNode(t)
	n.write(2)
	n.drain()
	n.write(2)
	n.copyTruncate(".1")
	n.write(4) // more than before, so that the file is longer than what was read of it
	n.drain()
	n.expect(1, 0, 8)
	n.alive()
}

func TestCopyTruncateInTheMiddleOfARecord(t *testing.T) {
	n := newNode(t)
	n.write(1)
	_, err := n.out.WriteString("E1122 14:38:27.064857   29116 file.go:186] \"Could not process manifest file\" path=\"/m/1\" err=<\n\tfirst\n")
	n.check(err)
	n.next++
	n.drain()
	n.copyTruncate(".1")
	n.write(1)
	n.drain()
	n.expect(1, 0, 3)
}

func TestCopyTruncateLeavesAHoleBeforeAWriterWithAnOffset(t *testing.T) {
	n := newNode(t)
	n.out, _ = os.OpenFile(n.path, os.O_CREATE|os.O_WRONLY, 0o644) // not O_APPEND
	for range 3 {
		n.write(1000)
		n.drain()
	}
	n.copyTruncate(".1")
	n.write(2)
	n.drain()
	n.expect(1, 0, 3002)
	if n.stats.Oversized != 0 {
		t.Errorf("the hole is an oversized line")
	}
}

func TestSomebodyEmptiesTheLog(t *testing.T) {
	n := newNode(t)
	n.write(3)
	n.drain()
	n.write(1) // nobody can have seen it
	n.check(os.Truncate(n.path, 0))
	n.drain()
	n.expect(1, 0, 3)
	n.write(2)
	n.drain()
	n.expect(1, 0, 3, 4, 6)
	n.alive()
}

func TestSomebodyCutsTheEndOfTheLog(t *testing.T) {
	n := newNode(t)
	n.write(5)
	n.drain()
	n.check(os.Truncate(n.path, int64(3*len(line(0)))))
	n.drain()
	n.write(1)
	n.drain()
	n.expect(1, 0, 6)
}

func TestTheLogIsWrittenAnewUnderOurFeet(t *testing.T) {
	n := newNode(t)
	n.write(2)
	n.drain()
	n.check(os.Truncate(n.path, 0))
	n.write(9)
	n.drain()
	n.expect(1, 0, 11)
}

// Two lines begin alike for as long as they are written in one second.
func TestTheLogIsWrittenAnewAndTheFirstLineIsNotThereYet(t *testing.T) {
	n := newNode(t)
	n.write(1)
	n.drain()
	n.check(os.Truncate(n.path, 0))
	_, err := n.out.WriteString(line(1)[:20])
	n.check(err)
	n.drain()
	_, err = n.out.WriteString(line(1)[20:])
	n.check(err)
	n.drain()
	n.expect(1, 0, 2)
}

func TestTheLogIsDeletedAndComesBack(t *testing.T) {
	n := newNode(t)
	n.write(2)
	n.drain()
	n.write(1)
	n.check(os.Remove(n.path))
	n.write(1) // into the deleted file
	n.drain()
	n.expect(0, 0, 4)
	n.alive() // it may be a rotation
	n.tail().pace.grace = 0
	n.drain()
	n.dead("no such file")
	n.write(1)
	n.open()
	n.write(1)
	n.drain()
	n.expect(0, 0, 6)
	n.alive()
}

func TestADeletedLogDoesNotHoldItsSpaceForEver(t *testing.T) {
	n := newNode(t)
	n.write(2)
	n.drain()
	n.tail().pace.grace, n.tail().pace.forget = 0, 0
	n.check(os.Remove(n.path))
	n.drain()
	if n.tail().cur != nil {
		t.Error("the deleted file is still open")
	}
	n.dead("no such file")
	n.open()
	n.write(1)
	n.drain()
	n.expect(1, 0, 3)
	n.alive()
}

func TestADirectoryTakesTheLogsPlace(t *testing.T) {
	n := newNode(t)
	n.write(1)
	n.drain()
	n.tail().pace.grace = 0
	n.rename(".1")
	n.check(os.Mkdir(n.path, 0o755))
	n.write(1)
	n.drain()
	n.expect(0, 0, 2)
	n.dead("not a regular file")
	n.check(os.Remove(n.path))
	n.open()
	n.write(1)
	n.drain()
	n.expect(0, 0, 3)
	n.alive()
}

func TestTheLogIsNotThereYet(t *testing.T) {
	n := newNode(t)
	n.drain()
	n.dead("no such file")
	n.write(1)
	n.drain()
	n.expect(0, 0, 1)
	n.alive()
}

func TestTheLogIsAPipe(t *testing.T) {
	n := newNode(t)
	n.check(syscall.Mkfifo(n.path, 0o644))
	n.drain() // does not wait for a writer
	n.dead("not a regular file")
}

func TestTheLogMayNotBeRead(t *testing.T) {
	n := newNode(t)
	n.write(1)
	n.check(os.Chmod(n.path, 0))
	if os.Geteuid() == 0 { // root reads everything, so this thread is somebody else for a while
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		n.check(syscall.Setfsuid(65534))
		defer syscall.Setfsuid(0)
	}
	n.drain()
	n.dead("permission denied")
	if os.Geteuid() == 0 {
		n.check(syscall.Setfsuid(0))
	}
	n.check(os.Chmod(n.path, 0o644))
	n.drain()
	n.expect(0, 0, 1)
	n.alive()
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

func TestARestartRepeatsNothingAndLosesNothing(t *testing.T) {
	for name, meanwhile := range map[string]func(n *node){
		"nothing happened": func(*node) {},
		"lines came":       func(n *node) { n.write(2) },
		"rotated": func(n *node) {
			n.write(2)
			n.rename(".1")
			n.open()
			n.write(2)
		},
		"rotated, and the new file is empty": func(n *node) {
			n.write(2)
			n.rename(".1")
			n.open()
		},
		"rotated three times": func(n *node) {
			n.write(2)
			n.rename(".3")
			for _, to := range []string{".2", ".1"} {
				n.open()
				n.write(2)
				n.rename(to)
			}
			n.open()
			n.write(1)
		},
		"renamed, and no new file yet": func(n *node) {
			n.write(2)
			n.rename(".1")
		},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t)
			n.write(3)
			n.drain()
			n.write(1)
			n.tail().pass(t.Context()) // read, but not drained
			n.restart()
			meanwhile(n)
			n.drain()
			n.expect(0, 0, n.next)
			n.restart()
			n.drain()
			n.expect(0, 0, n.next)
		})
	}
}

func TestWhatARestartCannotFindIsAGap(t *testing.T) {
	for name, story := range map[string]struct {
		meanwhile func(n *node)
		lost      [2]int
	}{
		"copied and truncated": {func(n *node) {
			n.write(2)
			n.copyTruncate(".1")
			n.write(5)
		}, [2]int{0, 0}},
		"empty, then copied and truncated": {func(n *node) {
			n.check(os.Truncate(n.path, 0))
			n.start()
			n.tail().pass(n.t.Context())
			n.restart()
			n.write(2)
			n.copyTruncate(".1")
			n.write(5)
		}, [2]int{0, 0}},
		"truncated": {func(n *node) {
			n.write(2)
			n.check(os.Truncate(n.path, 0))
			n.write(5)
		}, [2]int{3, 5}},
		"deleted": {func(n *node) {
			n.write(2)
			n.check(os.Remove(n.path))
			n.open()
			n.write(1)
		}, [2]int{3, 5}},
		"rotated out of sight": {func(n *node) {
			n.write(2)
			n.check(os.Rename(n.path, n.path+".2.gz"))
			n.open()
			n.write(2)
			n.rename(".1")
			n.open()
			n.write(1)
		}, [2]int{3, 5}},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t)
			n.write(3)
			n.drain()
			n.restart()
			story.meanwhile(n)
			n.drain()
			n.expect(1, 0, max(3, story.lost[0]), max(3, story.lost[1]), n.next)
		})
	}
}

// An exporter that is killed while it handles a batch gets that batch again, and nothing before it.
func TestKillRepeatsWhatWasNotConfirmed(t *testing.T) {
	n := newNode(t)
	n.write(2)
	n.drain()
	n.write(2)
	n.drain() // confirms the first two
	n.f.save()
	n.kill()
	n.write(1)
	n.drain()
	n.expect(0, 0, 4, 2, 5)
}

func TestARestartInTheMiddleOfALine(t *testing.T) {
	n := newNode(t)
	n.write(1)
	_, err := n.out.WriteString(line(1)[:50])
	n.check(err)
	n.drain()
	n.restart()
	_, err = n.out.WriteString(line(1)[50:])
	n.check(err)
	n.drain()
	n.expect(0, 0, 2)
}

func TestARestartInTheMiddleOfARecord(t *testing.T) {
	n := newNode(t)
	n.write(1)
	_, err := n.out.WriteString("E1122 14:38:27.064857   29116 file.go:186] \"Could not process manifest file\" path=\"/m/1\" err=<\n\tfirst\n")
	n.check(err)
	n.drain()
	n.restart()
	_, err = n.out.WriteString("\tsecond\n >\n")
	n.check(err)
	n.drain()
	n.expect(0, 0, 2)
}

func TestADrainOfNothingConfirms(t *testing.T) {
	n := newNode(t)
	n.write(2)
	n.drain()
	n.drain()
	n.f.save()
	n.kill()
	n.drain()
	n.expect(0, 0, 2)
}

func TestTheCheckpointIsPrivateAndMayBeBroken(t *testing.T) {
	n := newNode(t)
	n.write(2)
	n.drain()
	n.f.end()
	file := filepath.Join(n.state, checkpointName)
	info, err := os.Stat(file)
	n.check(err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	whole, err := os.ReadFile(file)
	n.check(err)
	at := strconv.Quote(n.path)
	for _, broken := range []string{
		"", "{", "null", `{"path":3}`, `{"path":` + at + `,"offset":-1}`, `{"path":` + at + `,"length":1099511627776}`, `{"path":` + at + `,"length":-1}`,
		string(whole[:len(whole)/2]), strings.Replace(string(whole), "kubelet.log", "other.log", 1),
	} {
		n.check(os.WriteFile(file, []byte(broken), 0o600))
		n.got = nil
		n.start()
		n.drain()
		n.expect(0, 0, 2)
	}
	n.check(os.WriteFile(file, whole, 0o600))
	n.got = nil
	n.restart()
	n.drain()
	n.expect(0)
}

func TestAnUnwritableStateDirectoryIsNoReasonToStop(t *testing.T) {
	n := newNode(t)
	n.check(os.WriteFile(n.state, nil, 0o600)) // a file where the directory should be
	var said lines
	f, err := Follow(Options{Path: n.path, StateDirectory: n.state, Logger: slog.New(slog.NewTextHandler(&said, nil))})
	n.check(err)
	n.f = f
	for range 3 {
		n.write(1)
		n.drain()
		n.drain()
		n.f.save()
	}
	n.expect(0, 0, 3)
	n.alive()
	if got := said.count("checkpoint cannot be written"); got != 1 {
		t.Errorf("said %d times: %s", got, said.text.String())
	}
}

func TestAnOutageIsLoggedOnce(t *testing.T) {
	n := newNode(t)
	var said lines
	f, err := Follow(Options{Path: n.path, Logger: slog.New(slog.NewTextHandler(&said, nil))})
	n.check(err)
	n.f = f
	for range 3 {
		n.drain()
	}
	n.write(1)
	n.drain()
	n.drain()
	if out, back := said.count("cannot be read"), said.count("can be read again"); out != 1 || back != 1 {
		t.Errorf("said out %d times, back %d times:\n%s", out, back, said.text.String())
	}
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

var watching = pace{hold: time.Millisecond, poll: time.Hour, deafPoll: time.Hour, forget: time.Hour}

func (n *node) run(p pace) (stop func()) {
	n.tail().pace = p
	ctx, cancel := context.WithCancel(n.t.Context())
	var group sync.WaitGroup
	group.Go(func() {
		if err := n.f.Run(ctx); err != nil {
			n.t.Error(err)
		}
	})
	return func() { cancel(); group.Wait() }
}

// await drains until all lines written so far are there.
func (n *node) await() {
	n.t.Helper()
	for len(n.got) < n.next {
		changed := n.f.Changed()
		if n.collect(); len(n.got) < n.next {
			<-changed
		}
	}
}

func TestALineIsSeenWhenItIsWritten(t *testing.T) {
	n := newNode(t)
	n.open()
	stop := n.run(watching)
	for range 20 {
		n.write(1)
		n.await()
	}
	n.rename(".1")
	n.write(1)
	n.await()
	n.open()
	n.write(1)
	n.await()
	n.check(os.Rename(n.path+".1", n.path+".2"))
	n.copyTruncate(".1")
	n.write(1)
	n.await()
	stop()
	n.expect(1, 0, 23)
}

func TestALinkedLogIsSeenWhenItIsWritten(t *testing.T) {
	n := newNode(t)
	real := filepath.Join(n.dir, "real")
	n.check(os.Mkdir(real, 0o755))
	n.check(os.WriteFile(filepath.Join(real, "kubelet.log"), nil, 0o644))
	n.check(os.Symlink(filepath.Join(real, "kubelet.log"), n.path))
	n.open()
	defer n.run(watching)()
	for range 3 {
		n.write(1)
		n.await()
	}
	n.check(os.Rename(filepath.Join(real, "kubelet.log"), filepath.Join(real, "kubelet.log.1")))
	n.write(1)
	n.open()
	n.write(1)
	n.await()
}

func TestALinkedLogIsRotatedWhereItLies(t *testing.T) {
	n := newNode(t)
	real := filepath.Join(n.dir, "real.log")
	n.check(os.WriteFile(real, nil, 0o644))
	n.check(os.Symlink(real, n.path))
	n.write(1)
	n.drain()
	n.restart()
	n.write(1)
	n.check(os.Rename(real, real+".1"))
	n.open()
	n.write(1)
	n.drain()
	n.expect(0, 0, 3)
}

func TestErrorsAreChangesToo(t *testing.T) {
	n := newNode(t)
	defer n.run(watching)()
	<-n.f.Changed()
	n.collect()
	n.dead("no such file")
	n.write(1)
	n.await()
	for n.err != nil {
		<-n.f.Changed()
		n.collect()
	}
	n.check(os.Remove(n.path))
	for n.err == nil {
		<-n.f.Changed()
		n.collect()
	}
	n.dead("no such file")
}

func TestTheDirectoryOfTheLogComesLater(t *testing.T) {
	n := newNode(t)
	n.check(os.Remove(filepath.Dir(n.path)))
	defer n.run(pace{deafPoll: time.Millisecond, poll: time.Hour, forget: time.Hour})()
	n.check(os.Mkdir(filepath.Dir(n.path), 0o755))
	n.write(2)
	n.await()
}

// The first line after silence does not wait for the hold-off, and neither does the end of the run.
func TestTheHoldOffDelaysNeitherTheFirstLineNorTheEnd(t *testing.T) {
	n := newNode(t)
	n.open()
	slow := watching
	slow.hold = time.Hour
	stop := n.run(slow)
	n.write(1)
	n.await()
	stop()
}

func TestTheEndOfARunIsACheckpoint(t *testing.T) {
	n := newNode(t)
	n.write(3)
	stop := n.run(watching)
	n.await()
	stop()
	n.start()
	n.write(1)
	stop = n.run(watching)
	n.await()
	stop()
	n.expect(0, 0, 4)
}

// killed is Run for an exporter that is killed when ctx ends.
func (f *Follower) killed(ctx context.Context) error {
	f.transport.run(ctx)
	return nil
}
