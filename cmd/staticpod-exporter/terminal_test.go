package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/staticpod-exporter/staticpod-exporter/observe/output"
)

func TestProgressIsShownAfterASecondAndErased(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var shown syncWriter
		var answered atomic.Int32
		end := showProgress(&shown, func() string { return fmt.Sprintf("%d of 3\x1b", answered.Load()) }, func() int { return defaultWidth })
		time.Sleep(progressDelay - time.Nanosecond)
		synctest.Wait()
		if s := shown.String(); s != "" {
			t.Errorf("too early: %q", s)
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		answered.Store(2)
		time.Sleep(progressInterval)
		synctest.Wait()
		end()
		end()
		const want = "\r\x1b[K" + `0 of 3\x1b (1s)` + "\r\x1b[K" + `2 of 3\x1b (1s)` + "\r\x1b[K"
		if s := shown.String(); s != want {
			t.Errorf("shown was %q, want %q", s, want)
		}
	})
}

func TestProgressOfWhatIsQuickIsNotShown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var shown syncWriter
		end := showProgress(&shown, func() string { return "never" }, func() int { return defaultWidth })
		time.Sleep(progressDelay / 2)
		end()
		if s := shown.String(); s != "" {
			t.Errorf("shown was %q", s)
		}
	})
}

// Only the last line of what goes over several could be erased.
func TestProgressStaysOnItsLine(t *testing.T) {
	const text = "waiting for the exporter at http://ノード3.example.com:10058 (5s)"
	for width := range 100 {
		line := cut(text, width)
		if output.Columns(line) >= max(width, 2) && width > 0 || line != text && !strings.HasSuffix(line, "…") {
			t.Errorf("%d columns: %q", width, line)
		}
	}
	for width, want := range map[int]string{66: text, 65: "waiting for the exporter at http://ノード3.example.com:10058 (5…", 39: "waiting for the exporter at http://ノ…", 38: "waiting for the exporter at http://…"} {
		if got := cut(text, width); got != want {
			t.Errorf("%d columns: %q, want %q", width, got, want)
		}
	}
	_, terminal := openTerminal(t)
	if err := unix.IoctlSetWinsize(int(terminal.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 33}); err != nil {
		t.Fatal(err)
	}
	if got := widthOf(terminal); got != 33 {
		t.Errorf("the terminal has %d columns", got)
	}
}

func TestColoursAreForTerminals(t *testing.T) {
	_, terminal := openTerminal(t)
	file, err := os.Create(t.TempDir() + "/file")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, c := range []struct {
		name, noColour, term string
		want                 bool
	}{
		{"a terminal", "", "xterm", true},
		{"NO_COLOR", "1", "xterm", false},
		{"a dumb terminal", "", "dumb", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("NO_COLOR", c.noColour)
			t.Setenv("TERM", c.term)
			if got := bool(coloursOf(terminal)); got != c.want {
				t.Errorf("colours: %v", got)
			}
			if coloursOf(file) || coloursOf(new(bytes.Buffer)) {
				t.Error("colours on what is no terminal")
			}
		})
	}
}

// On a terminal a table is in colours, and its columns are where they are elsewhere.
func TestGetOnATerminal(t *testing.T) {
	t.Setenv("NO_COLOR", "")
	t.Setenv("TERM", "xterm")
	e := exporterAt(t, "127.0.0.1:0", snapshot("fixture"))
	master, terminal := openTerminal(t)
	code := make(chan int, 1)
	go func() {
		code <- run(t.Context(), []string{"get", "sps", "default/broken-node1", "--address", e.server.URL}, terminal, terminal)
	}()
	lines := bufio.NewReader(master)
	for _, want := range []string{
		"NODE    NAMESPACE   TYPE              ID                     VERSION   READY\r\n",
		"node1   k8s         StaticPodStatus   default/broken-node1   1         \x1b[31mFalse\x1b[0m\r\n",
	} {
		if got, err := lines.ReadString('\n'); err != nil || got != want {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
	}
	if c := <-code; c != 0 {
		t.Errorf("exit code %d", c)
	}
}

// openTerminal returns both ends of a terminal: that of who looks at it, and that of programs.
func openTerminal(t *testing.T) (master, terminal *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close() })
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { terminal.Close() })
	return master, terminal
}
