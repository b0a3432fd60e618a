package kubeletlog

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// Every row of the table of guarantees names the tests that hold it.
func TestEveryGuaranteeHasItsTest(t *testing.T) {
	doc, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(doc), "<!-- guarantees -->\n")
	table, _, _ = strings.Cut(table, "<!-- /guarantees -->")
	var sources []byte
	for _, pattern := range []string{"*_test.go", "../../e2e/logs/*_test.go"} {
		names, err := filepath.Glob(pattern)
		if err != nil || names == nil {
			t.Fatal(pattern, err)
		}
		for _, name := range names {
			content, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			sources = append(sources, content...)
		}
	}
	named := regexp.MustCompile("`(Test[A-Za-z]+)`")
	rows := strings.Split(strings.TrimSpace(table), "\n")[2:]
	if len(rows) < 20 {
		t.Fatalf("%d rows", len(rows))
	}
	for _, row := range rows {
		tests := named.FindAllStringSubmatch(row, -1)
		if tests == nil && !strings.Contains(row, "the network loses") {
			t.Errorf("no test: %s", row)
		}
		for _, test := range tests {
			if !strings.Contains(string(sources), "func "+test[1]+"(t *testing.T)") {
				t.Errorf("there is no %s: %s", test[1], row)
			}
		}
	}
}

func TestSomethingThatIsNoFileTakesTheLogsPlace(t *testing.T) {
	for name, make := range map[string]func(path string) error{
		"a pipe":   func(path string) error { return syscall.Mkfifo(path, 0o644) },
		"a device": func(path string) error { return os.Symlink("/dev/zero", path) },
		"a socket": func(path string) error {
			l, err := net.Listen("unix", path)
			if err == nil {
				t.Cleanup(func() { l.Close() })
			}
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t)
			n.tail().pace.grace = 0
			n.write(1)
			n.drain()
			n.rename(".1")
			n.check(make(n.path))
			n.write(1) // the kubelet has the file still open
			n.drain()
			n.expect(0, 0, 2)
			n.dead(n.path)
			n.check(os.Remove(n.path))
			n.open()
			n.write(1)
			n.drain()
			n.expect(0, 0, 3)
			n.alive()
		})
	}
}

func TestTheRightToReadIsTakenAndGivenBack(t *testing.T) {
	n := newNode(t)
	n.tail().pace.grace = 0
	n.check(errors.Join(os.Chmod(n.dir, 0o755), os.Chmod(filepath.Dir(n.dir), 0o755)))
	n.write(1)
	n.drain()
	n.check(os.Chmod(n.path, 0)) // of what is open nothing can be taken
	n.write(1)
	if os.Geteuid() == 0 { // root reads everything, so this thread is somebody else for a while
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		n.check(syscall.Setfsuid(65534))
		defer func() { n.check(syscall.Setfsuid(0)) }()
	}
	n.drain()
	n.expect(0, 0, 2)
	n.alive()
	if os.Geteuid() == 0 {
		n.check(syscall.Setfsuid(0))
	}
	n.rename(".1")
	n.open()
	n.check(os.Chmod(n.path, 0))
	n.write(1)
	if os.Geteuid() == 0 {
		n.check(syscall.Setfsuid(65534))
	}
	n.drain()
	n.expect(0, 0, 2)
	n.dead("permission denied (run the exporter as root, or as a user or with a group that may read it)")
	if os.Geteuid() == 0 {
		n.check(syscall.Setfsuid(0))
	}
	n.check(os.Chmod(n.path, 0o644))
	n.drain()
	n.expect(0, 0, 3)
	n.alive()
}

func TestDatagramsAreLostWhileNobodyListens(t *testing.T) {
	l := listen(t, "udp://127.0.0.1:0", nil)
	conn := l.dial("udp")
	l.send(conn, line(0))
	l.await("/m/0")
	l.stop()
	for range 2 { // the first answer says that nobody is there
		if _, err := io.WriteString(conn, line(1)); err != nil && !errors.Is(err, syscall.ECONNREFUSED) {
			t.Fatal(err)
		}
	}
	again := listen(t, "udp://"+conn.RemoteAddr().String(), nil)
	again.where()
	if _, err := io.WriteString(conn, line(2)); err != nil { // or the answer to the one before
		again.send(conn, line(2))
	}
	again.await("/m/2")
	again.gaps(0)
}

func TestTheWriterOfAPipeEndsWithItsReader(t *testing.T) {
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	writer := exec.Command("yes", strings.TrimSuffix(line(0), "\n"))
	writer.Stdout = out
	if err := errors.Join(writer.Start(), out.Close()); err != nil {
		t.Fatal(err)
	}
	l := listen(t, Stdin, func(t transport) { t.(*input).file = in })
	l.until("a line", func() bool { return len(l.got) > 0 })
	l.stop()
	in.Close() // as the end of the exporter does
	err = writer.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGPIPE {
		t.Error(err)
	}
}

func TestAKillRepeatsEntriesOfTheJournal(t *testing.T) {
	n := newJournaled(t)
	n.write(0, 1)
	n.start()
	n.await(0, 1)
	n.halt()
	n.write(2, 3)
	f, err := Follow(Options{Path: "journald:kubelet?directory=" + n.dir, StateDirectory: filepath.Join(n.dir, "state")})
	n.check(err)
	n.f = f
	n.run(f.killed)
	n.await(0, 1, 2, 3)
	n.halt()
	n.write(4)
	n.start()
	n.until(func(error) bool { return slices.Contains(n.got, "/m/4") })
	if got := fmt.Sprint(n.got[4:]); got != "[/m/2 /m/3 /m/4]" && got != "[/m/3 /m/4]" {
		t.Errorf("after the kill came %s", got)
	}
	n.gaps(0)
}

// TestAMillionLines holds the Follower of a file to what its documentation says, over everything that happens to
// logs, at random: no line is lost and, where nothing was killed, none comes twice.
func TestAMillionLines(t *testing.T) {
	total, size := 0, 1_000_000
	if testing.Short() {
		size /= 20
	}
	for seed := uint64(1); total < size && !t.Failed(); seed++ {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 0))
			m := newModel(t)
			m.writeLine(0)
			m.drain()
			m.drain()
			m.f.save() // what was rotated before the first start is not read
			for range 150 {
				op := byte(r.UintN(256))
				if op&0xf == 13 && seed%2 == 0 {
					op = 12 // half of them know no kill
				}
				if op&0xf == 6 {
					op = 4 // more is read here than may stay undrained
				}
				m.step(op)
				m.writeLines(r.IntN(500))
			}
			m.verify()
			total += m.next
		})
	}
	t.Logf("%d lines", total)
}

// drain of a model takes what is more than may be pending while it is read.
func (m *model) drain() {
	m.t.Helper()
	read := make(chan struct{})
	go func() {
		m.tail().pass(m.t.Context())
		close(read)
	}()
	for {
		select {
		case <-read:
			m.collect()
			return
		case <-m.f.Changed():
			m.collect()
		}
	}
}

// writeLines writes whole lines at once.
func (m *model) writeLines(n int) {
	m.finishLine()
	var text strings.Builder
	for range n {
		text.WriteString(line(m.next))
		m.out.lines = append(m.out.lines, m.next)
		m.next++
	}
	_, err := m.out.WriteString(text.String())
	m.check(err)
	m.tick(m.out.File)
	if m.out.blind {
		m.forgive(m.out.lines)
	}
}
