package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

func TestProgressIsShownAfterASecondAndErased(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var shown syncWriter
		var answered atomic.Int32
		end := showProgress(&shown, func() string { return fmt.Sprintf("%d of 3\x1b", answered.Load()) })
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
		end := showProgress(&shown, func() string { return "never" })
		time.Sleep(progressDelay / 2)
		end()
		if s := shown.String(); s != "" {
			t.Errorf("shown was %q", s)
		}
	})
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
