package kubeletlog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// The tests' own program, under the name of journalctl, is a journalctl that reads the entries of a journal from
// DIRECTORY/journal, where they stand in the export format. What the real one does is in e2e/logs.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "journalctl" {
		os.Exit(printJournal(os.Args[1:]))
	}
	os.Exit(m.Run())
}

func printJournal(arguments []string) (code int) {
	options := map[string]string{}
	for _, a := range arguments {
		key, value, _ := strings.Cut(a, "=")
		options[key] = value
	}
	if _, follows := options["--follow"]; follows {
		if _, all := options["--no-tail"]; !all {
			fmt.Fprintln(os.Stderr, "it would begin with the last ten lines")
			return 2
		}
	}
	dir := options["--directory"]
	if said, err := os.ReadFile(filepath.Join(dir, "fail")); err == nil {
		fmt.Fprintln(os.Stderr, string(said))
		return 1
	}
	cursor := cursorNumber(options["--cursor"])
	if cursor < 0 {
		fmt.Fprintln(os.Stderr, "Failed to seek to cursor: Invalid argument")
		return 1
	}
	printed := 0
	for {
		journal, err := os.ReadFile(filepath.Join(dir, "journal"))
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		entries := bytes.SplitAfter(journal, []byte("\n\n"))
		entries = entries[:len(entries)-1]
		if options["--lines"] == "1" {
			entries = entries[max(0, len(entries)-1):]
		}
		for _, entry := range entries {
			head, _, _ := bytes.Cut(entry, []byte("\n"))
			number := cursorNumber(strings.TrimPrefix(string(head), "__CURSOR="))
			if number < cursor {
				continue
			}
			cursor = number + 1
			printed++
			if _, err := os.Stdout.Write(entry); err != nil {
				return 1
			}
		}
		if _, follows := options["--follow"]; !follows {
			os.Stdout.Close()
			wait(context.Background(), 5*time.Millisecond) // it takes its time to end
			return 0
		}
		if _, err := os.Stat(filepath.Join(dir, "end")); err == nil {
			return 1
		}
		wait(context.Background(), 5*time.Millisecond)
	}
}

// cursorNumber is the i= of a cursor, 0 of none, -1 of what is no cursor.
func cursorNumber(cursor string) int {
	if cursor == "" {
		return 0
	}
	_, rest, _ := strings.Cut(cursor, "i=")
	number, _, _ := strings.Cut(rest, ";")
	n, err := strconv.ParseInt(number, 16, 64)
	if err != nil {
		return -1
	}
	return int(n)
}

// A journaled node logs to a journal.
type journaled struct {
	t      *testing.T
	dir    string
	f      *Follower
	number int // of the next entry
	got    []string
	stats  Stats
	retry  time.Duration
	stop   func()
}

func newJournaled(t *testing.T) *journaled {
	n := &journaled{t: t, dir: t.TempDir(), retry: time.Millisecond}
	self, err := os.Executable()
	n.check(err)
	n.check(os.Symlink(self, filepath.Join(n.dir, "journalctl")))
	n.check(os.WriteFile(filepath.Join(n.dir, "journal"), nil, 0o644))
	t.Setenv("PATH", n.dir)
	t.Cleanup(func() { n.halt() })
	return n
}

func (n *journaled) check(err error) {
	n.t.Helper()
	if err != nil {
		n.t.Fatal(err)
	}
}

// start starts the exporter, halt ends it in order.
func (n *journaled) start() {
	n.t.Helper()
	f, err := Follow(Options{Path: "journald:kubelet?directory=" + n.dir, StateDirectory: filepath.Join(n.dir, "state")})
	n.check(err)
	f.transport.(*journal).pace = journalPace{retry: n.retry, silence: time.Hour, save: time.Millisecond}
	n.f = f
	n.run(f.Run)
}

func (n *journaled) run(run func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = run(ctx) })
	n.stop = func() { cancel(); running.Wait(); n.stop = nil }
}

func (n *journaled) halt() {
	if n.stop != nil {
		n.stop()
	}
}

func (n *journaled) append(text string) {
	n.t.Helper()
	file, err := os.OpenFile(filepath.Join(n.dir, "journal"), os.O_WRONLY|os.O_APPEND, 0)
	n.check(err)
	_, err = file.WriteString(text)
	n.check(errors.Join(err, file.Close()))
}

// write makes the kubelet log lines.
func (n *journaled) write(numbers ...int) {
	n.t.Helper()
	for _, number := range numbers {
		n.append(exported(&n.number, strings.TrimSuffix(line(number), "\n"), 1<<20))
	}
}

// await drains until all of the lines are there, in that order, and none else.
func (n *journaled) await(numbers ...int) {
	n.t.Helper()
	var want []string
	for _, number := range numbers {
		want = append(want, fmt.Sprint("/m/", number))
	}
	n.until(func(error) bool { return len(n.got) >= len(want) })
	if fmt.Sprint(n.got) != fmt.Sprint(want) {
		n.t.Fatalf("drained %v, want %v", n.got, want)
	}
}

// until drains until done.
func (n *journaled) until(done func(err error) bool) {
	n.t.Helper()
	patience := time.After(20 * time.Second)
	for {
		changed := n.f.Changed()
		events, stats, err := n.f.Drain()
		for _, e := range events {
			n.got = append(n.got, e.Path)
		}
		n.stats = stats
		if done(err) {
			return
		}
		select {
		case <-changed:
		case <-patience:
			n.t.Fatalf("drained %v, %+v, %v", n.got, stats, err)
		}
	}
}

func (n *journaled) dead(words string) {
	n.t.Helper()
	n.until(func(err error) bool { return err != nil && strings.Contains(err.Error(), words) })
}

func (n *journaled) gaps(want uint64) {
	n.t.Helper()
	if n.stats.Gaps != want {
		n.t.Errorf("%d gaps, want %d", n.stats.Gaps, want)
	}
}

func TestFirstStartReadsTheJournalSinceTheBoot(t *testing.T) {
	n := newJournaled(t)
	n.retry = time.Hour // nothing fails
	n.write(0, 1)
	n.start()
	n.await(0, 1)
	n.write(2)
	n.await(0, 1, 2)
	n.gaps(0)
}

func TestTheUnitIsNotTheKubelets(t *testing.T) {
	n := newJournaled(t)
	n.start()
	n.dead("no entry of kubelet.service since the node booted (is that the name of the kubelet's unit")
	n.write(0) // it was, and had yet to start
	n.await(0)
	n.until(func(err error) bool { return err == nil })
}

func TestTheJournalMayNotBeRead(t *testing.T) {
	n := newJournaled(t)
	n.check(os.WriteFile(filepath.Join(n.dir, "fail"), []byte("No journal files were opened due to insufficient permissions."), 0o644))
	n.start()
	n.dead("insufficient permissions. (run the exporter as root, or with the group systemd-journal)")
	n.write(0)
	n.check(os.Remove(filepath.Join(n.dir, "fail")))
	n.await(0)
	n.gaps(0)
}

func TestThereIsNoJournalctl(t *testing.T) {
	n := newJournaled(t)
	n.check(os.Remove(filepath.Join(n.dir, "journalctl")))
	n.start()
	n.dead("there is no journalctl")
	f, err := Follow(Options{Path: "journald:?root=" + n.dir})
	n.check(err)
	if _, err := f.transport.(*journal).source.program(); err == nil || !strings.Contains(err.Error(), "no journalctl below "+n.dir) {
		t.Error(err)
	}
}

func TestARestartGoesOnInTheJournalAfterTheLastEntry(t *testing.T) {
	n := newJournaled(t)
	n.write(0, 1)
	n.start()
	n.await(0, 1)
	n.halt()
	n.write(2)
	n.start()
	n.await(0, 1, 2)
	n.halt()
	n.start()
	n.write(3)
	n.await(0, 1, 2, 3)
	n.gaps(0)
}

func TestARestartInTheMiddleOfARecordInTheJournal(t *testing.T) {
	n := newJournaled(t)
	n.write(0)
	first := `E1122 14:38:27.064857   29116 file.go:186] "Could not process manifest file" err=<`
	n.append(exported(&n.number, first, 1<<20) + exported(&n.number, "\tinvalid", 1<<20))
	n.start()
	n.await(0)
	n.halt()
	n.append(exported(&n.number, ` > path="/m/1"`, 1<<20))
	n.start()
	n.await(0, 1)
	n.gaps(0)
}

func TestTheJournalWasVacuumedWhileNobodyRead(t *testing.T) {
	n := newJournaled(t)
	n.write(0, 1)
	n.start()
	n.await(0, 1)
	n.halt()
	n.check(os.Truncate(filepath.Join(n.dir, "journal"), 0))
	n.number++ // an entry that nobody will see
	n.write(3)
	n.start()
	n.await(0, 1, 3) // and the first one that is left is not passed over
	n.gaps(1)
}

func TestTheJournalWasVacuumedToNothing(t *testing.T) {
	n := newJournaled(t)
	n.write(0)
	n.start()
	n.await(0)
	n.halt()
	n.check(os.Truncate(filepath.Join(n.dir, "journal"), 0))
	n.start()
	n.dead("no entry of kubelet.service")
	n.write(1)
	n.await(0, 1)
	n.gaps(1)
}

func TestTheCheckpointHoldsNoCursorOfThisJournal(t *testing.T) {
	n := newJournaled(t)
	n.check(os.Mkdir(filepath.Join(n.dir, "state"), 0o700))
	n.check(os.WriteFile(filepath.Join(n.dir, "state", checkpointName), fmt.Appendf(nil, `{"path":%q,"cursor":"i=none"}`,
		journalSource{unit: defaultUnit, directory: n.dir}.String()), 0o600))
	n.write(0)
	n.start()
	n.await(0)
	n.gaps(1)
}

func TestTheRateLimitOfTheJournalIsAGap(t *testing.T) {
	n := newJournaled(t)
	n.write(0)
	n.number++
	n.append(fmt.Sprintf("__CURSOR=s=1;i=%x\nMESSAGE_ID=%s\nMESSAGE=Suppressed 5 messages from kubelet.service\n\n", n.number, suppressed))
	n.write(1)
	n.start()
	n.await(0, 1)
	n.gaps(1)
}

func TestJournalctlEndsAndIsStartedAnew(t *testing.T) {
	n := newJournaled(t)
	n.write(0)
	n.start()
	n.await(0)
	n.until(func(err error) bool { return err == nil })
	n.check(os.WriteFile(filepath.Join(n.dir, "end"), nil, 0o644))
	n.dead("journalctl")
	n.check(os.Remove(filepath.Join(n.dir, "end")))
	n.write(1)
	n.await(0, 1)
	n.gaps(0)
}

func TestASilentJournalIsOpenedAnew(t *testing.T) {
	n := newJournaled(t)
	n.write(0)
	f, err := Follow(Options{Path: "journald:kubelet?directory=" + n.dir})
	n.check(err)
	f.transport.(*journal).pace = journalPace{retry: time.Millisecond, silence: 300 * time.Millisecond, save: time.Hour}
	n.f = f
	n.run(f.Run)
	n.await(0)
	old := filepath.Join(n.dir, "journal")
	n.check(os.Rename(old, old+".gone")) // the child complains, and is not waited for
	n.dead("journalctl")
	n.halt()
}

// A line longer than journald's limit comes in several entries; one that a second writer breaks into keeps its head.
func TestALineThatJournaldBrokeIsOne(t *testing.T) {
	number := 0
	long := `{"ts":1795358307064.5,"caller":"config/file.go:186","msg":"Could not process manifest file","path":"/m/long","err":"invalid ` + strings.Repeat("x", 200) + `"}`
	pieces := strings.SplitAfter(exported(&number, long, 150), "\n\n")
	other := strings.Replace(exported(&number, strings.TrimSuffix(line(1), "\n"), 1<<20), "_STREAM_ID=7", "_STREAM_ID=8", 1)
	for name, story := range map[string]struct {
		entries string
		want    string
	}{
		"alone":   {strings.Join(pieces, ""), "/m/long"},
		"broken":  {pieces[0] + other + strings.Join(pieces[1:], ""), "/m/long /m/1"},
		"the end": {pieces[0] + other, "/m/long /m/1"},
		"whole": {strings.Replace(exported(&number, strings.TrimSuffix(line(2), "\n"), 1<<20), "_STREAM_ID", "_LINE_BREAK=eof\n_STREAM_ID", 1) +
			exported(&number, strings.TrimSuffix(line(3), "\n"), 1<<20), "/m/2 /m/3"},
	} {
		var got []string
		for _, e := range fromExport(t, story.entries) {
			_, rest, _ := strings.Cut(e, `"Path":"`)
			path, _, _ := strings.Cut(rest, `"`)
			got = append(got, path)
		}
		if strings.Join(got, " ") != story.want {
			t.Errorf("%s: %v, want %s", name, got, story.want)
		}
	}
}

func TestALineOfTwentyMegabytesInTheJournal(t *testing.T) {
	number := 0
	long := `{"ts":1795358307064.5,"caller":"config/file.go:186","msg":"Could not process manifest file","path":"/m/long","err":"invalid ` + strings.Repeat("x", 20<<20) + `"}`
	for range 2 { // as text and as a binary field
		entries := exported(&number, long, 1<<30) + exported(&number, strings.TrimSuffix(line(1), "\n"), 1<<20)
		if got := fromExport(t, entries); len(got) != 2 || !strings.Contains(got[0], `"/m/long"`) || !strings.Contains(got[1], `"/m/1"`) {
			t.Errorf("%d events: %.300q", len(got), got)
		}
		number++
	}
}

func TestWhatIsNoExportIsSaid(t *testing.T) {
	for text, want := range map[string]error{
		"":                        io.EOF,
		"\n\n":                    io.EOF,
		"__CURSOR=x\nMESSAGE=y\n": io.EOF, // it breaks off
		"MESSAGE\n\x01\x00\x00":   io.EOF,
		"MESSAGE\n\xff\xff\xff\xff\xff\xff\xff\xffx\n\n":  errExport,
		"MESSAGE\n\x01\x00\x00\x00\x00\x00\x00\x00xy\n\n": errExport,
		"__REALTIME_TIMESTAMP=noon\n\n":                   errExport,
		strings.Repeat("A", 65) + "=x\n\n":                errExport,
	} {
		var e entry
		err := newExportReader(strings.NewReader(text)).next(&e)
		if !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", text, err, want)
		}
	}
}

func TestAnEntryIsTheSameInAnyFile(t *testing.T) {
	a := "s=7c33;i=4;b=a482;m=3b;t=66;x=90"
	if !sameEntry(a, "s=8888;i=9;b=a482;m=3b;t=66;x=90") || sameEntry(a, "s=7c33;i=4;b=a482;m=3b;t=67;x=90") {
		t.Error("entries are compared by file")
	}
}
