package kubeletlog

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func everything(*Event) bool { return true }

// paths are those of the events, each of which line has given a number.
func paths(lines []Line) (all []string) {
	for i := range lines {
		all = append(all, filepath.Base(lines[i].Path))
	}
	return all
}

func TestReadTakesTheRotatedFilesFirst(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "kubelet.log")
	for i, name := range []string{"kubelet.log.2", "kubelet.log.1", "kubelet.log"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(line(i)+"something dull\n"+line(i+10)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, source := range []string{path, "file://" + path} {
		lines, err := Read(t.Context(), source, everything)
		if err != nil {
			t.Fatal(err)
		}
		want := []string{"0", "10", "1", "11", "2", "12"}
		if got := paths(lines); !slices.Equal(got, want) {
			t.Errorf("%s: read %q, want %q", source, got, want)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 3 {
		t.Errorf("it left something behind: %v, %v", entries, err)
	}
}

func TestReadReadsTheJournal(t *testing.T) {
	n := newJournaled(t)
	source := "journald:kubelet?directory=" + n.dir
	if _, err := Read(t.Context(), source, everything); err == nil || !strings.Contains(err.Error(), "has no entry of kubelet.service") {
		t.Errorf("empty: %v", err)
	}
	n.write(0, 1, 2)
	lines, err := Read(t.Context(), source, func(e *Event) bool { return !strings.HasSuffix(e.Path, "1") })
	if err != nil || len(lines) != 2 {
		t.Errorf("read %q, %v", paths(lines), err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Read(ctx, source, everything); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	n.check(os.WriteFile(filepath.Join(n.dir, "fail"), []byte("No journal files were opened due to insufficient permissions."), 0o644))
	if _, err := Read(t.Context(), source, everything); err == nil || !strings.Contains(err.Error(), "with the group systemd-journal") {
		t.Errorf("not allowed: %v", err)
	}
}

// What is said is the kubelet's message with what it is about, whatever the format, and none of what it quotes.
func TestReadSaysWhatTheKubeletSaid(t *testing.T) {
	const refused = `Could not process manifest file path="/m/web.yaml" err="invalid pod: [spec.containers: Required value]"`
	for name, c := range map[string]struct{ log, want string }{
		"JSON": {
			`{"ts":1795357905636.353,"caller":"config/file.go:187","msg":"Could not process manifest file","path":"/m/web.yaml","err":"invalid pod: [spec.containers: Required value]"}`,
			refused,
		},
		"text": {
			`E1122 14:37:32.520807   13235 file.go:187] "Could not process manifest file" err="invalid pod: [spec.containers: Required value]" path="/m/web.yaml"`,
			refused,
		},
		"of a container": {
			`2026-11-22T14:37:32.520807123Z stderr F E1122 14:37:32.520807   13235 file.go:187] "Could not process manifest file" err="invalid pod: [spec.containers: Required value]" path="/m/web.yaml"`,
			refused,
		},
		"as Talos ships it": {
			`{"msg":"Could not process manifest file: invalid pod: [spec.containers: Required value]","path":"/m/web.yaml","talos-level":"warn","talos-service":"kubelet","talos-time":"2026-11-22T14:37:32Z"}`,
			`Could not process manifest file: invalid pod: [spec.containers: Required value] path="/m/web.yaml"`,
		},
		"admission": {
			`{"ts":1795357905636.353,"msg":"Pod admission denied","v":0,"podUID":"u","pod":{"name":"web-node1","namespace":"default"},"reason":"OutOfcpu","message":"Node didn't have enough resource: cpu"}`,
			`Pod admission denied pod="default/web-node1" reason="OutOfcpu" err="Node didn't have enough resource: cpu"`,
		},
		"with a body": {
			`{"ts":1795357908636.353,"msg":"Failed to read pods from URL","v":0,"err":"http://127.0.0.1:959/pods?token=s3cr3t: received '{\"env\":\"s3cr3t\"}', but couldn't parse as single (x) or multiple pods (y)"}`,
			"Failed to read pods from URL",
		},
	} {
		path := filepath.Join(t.TempDir(), "kubelet.log")
		if err := os.WriteFile(path, []byte(c.log+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		lines, err := Read(t.Context(), path, everything)
		if err != nil || len(lines) != 1 {
			t.Errorf("%s: %v, %v", name, lines, err)
			continue
		}
		if got := lines[0].Text; !strings.HasPrefix(got, c.want) || strings.Contains(got, "s3cr3t") {
			t.Errorf("%s: %s\nwant %s", name, got, c.want)
		}
	}
}

func TestReadSaysWhyItCannot(t *testing.T) {
	dir := t.TempDir()
	for source, want := range map[string]string{
		filepath.Join(dir, "none"): "no such file or directory (if the kubelet logs elsewhere",
		dir:                        "not a regular file",
		"tcp://127.0.0.1:5170":     "what comes by tcp://127.0.0.1:5170 is kept nowhere",
		"udp://127.0.0.1:5170":     "kept nowhere",
		Stdin:                      "what comes by stdin is kept nowhere",
		"gopher://x":               "it is none of",
	} {
		if _, err := Read(t.Context(), source, everything); err == nil || !strings.HasPrefix(err.Error(), "kubelet log: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", source, err, want)
		}
	}
}

// A flood is bounded, and its first and last line are not lost among repeats.
func TestReadIsBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kubelet.log")
	var log strings.Builder
	say := func(path string) {
		fmt.Fprintf(&log, `{"ts":1795357905636.353,"msg":"Could not process manifest file","path":%q,"err":"bad"}`+"\n", path)
	}
	say("first")
	for i := range 5 * pendingLimit {
		say("again")
		if i%3 == 0 {
			say(strconv.Itoa(i))
		}
	}
	say("last")
	if err := os.WriteFile(path, []byte(log.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	lines, err := Read(t.Context(), path, everything)
	if err != nil || len(lines) > 2*pendingLimit || lines[len(lines)-1].Path != "last" {
		t.Errorf("%d lines, %v", len(lines), err)
	}
	lines, err = Read(t.Context(), path, func(e *Event) bool { return e.Path == "first" || e.Path == "again" })
	if err != nil || len(lines) > 2*pendingLimit || lines[0].Path != "first" || lines[1].Path != "again" {
		t.Errorf("%d lines, %v", len(lines), err)
	}
}
