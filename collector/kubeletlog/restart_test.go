package kubeletlog

import (
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

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
