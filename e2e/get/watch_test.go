package get

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/staticpod-exporter/staticpod-exporter/e2e/await"
)

// A row is a line of get staticpodstatus -o wide -w.
type row struct {
	node, event, id, ready, reason string
	version                        int
}

// parse reads a row; its cells hold no spaces, but that of the event may be empty.
func parse(line string) (row, error) {
	cells := strings.Fields(line)
	if len(cells) == 13 {
		cells = slices.Insert(cells, 1, "")
	}
	if len(cells) != 14 {
		return row{}, fmt.Errorf("%d cells in %q", len(cells), line)
	}
	version, err := strconv.Atoi(cells[5])
	return row{node: cells[0], event: cells[1], id: cells[4], version: version, ready: cells[6], reason: cells[11]}, err
}

// An operator who watches sees a pod come, break, mend and go, each change once and in order.
func TestWatch(t *testing.T) {
	n, e := start(t, "node1")
	await.Nil(t, "the first observation", func(ctx context.Context) error { // before it there is nothing to watch
		_, err := e.Statuses(ctx)
		return err
	})
	cmd := exec.CommandContext(t.Context(), binary, "get", "staticpodstatus", "-o", "wide", "-w", "--address", e.URL())
	cmd.Stderr = t.Output()
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := make(chan string)
	go func() {
		defer close(lines)
		for scanner := bufio.NewScanner(stdout); scanner.Scan(); {
			lines <- scanner.Text()
		}
	}()
	const id = "default/web-node1"
	version, header := 0, false
	// until reads rows until one of the pod is as expected.
	until := func(what string, expected func(row) bool) {
		t.Helper()
		patience := time.After(await.Patience)
		for {
			select {
			case <-patience:
				t.Fatalf("%s: not seen", what)
			case line, ok := <-lines:
				if !ok {
					t.Fatalf("%s: the watch ended", what)
				}
				t.Log(line)
				if !header {
					if strings.Join(strings.Fields(line), " ") != "NODE * NAMESPACE TYPE ID VERSION READY PHASE SOURCE REVISION RESTARTS REASON AGE STALE" {
						t.Fatalf("header: %q", line)
					}
					header = true
					continue
				}
				r, err := parse(line)
				if err != nil {
					t.Fatal(err)
				}
				if r.id != id {
					continue
				}
				switch {
				case r.event == "+":
					version = 0
				case r.event == "-":
					if r.version != version {
						t.Errorf("%s: version %d is gone, %d was there", what, r.version, version)
					}
				case r.version <= version:
					t.Errorf("%s: version %d after %d", what, r.version, version)
				}
				version = r.version
				if expected(r) {
					return
				}
			}
		}
	}

	write(t, n, "web.yaml", pod("web", "sleep", "1h"))
	until("it comes", func(r row) bool { return r.event == "+" })
	until("it is ready", func(r row) bool { return r.ready == "True" && r.reason == "<none>" })
	write(t, n, "web.yaml", pod("web", "exit", "7"))
	until("it breaks", func(r row) bool {
		return r.ready == "False" && slices.Contains([]string{"ContainerExited", "CrashLoopBackOff"}, r.reason)
	})
	write(t, n, "web.yaml", pod("web", "sleep", "2h"))
	until("it mends", func(r row) bool { return r.ready == "True" && r.reason == "<none>" })
	if err := os.Remove(filepath.Join(n.ManifestDirectory(), "web.yaml")); err != nil {
		t.Fatal(err)
	}
	until("it goes", func(r row) bool { return r.event == "-" })

	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	for line := range lines {
		if r, err := parse(line); err == nil && r.id == id {
			t.Errorf("after it is gone: %q", line)
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("interrupted: %v", err)
	}
}
