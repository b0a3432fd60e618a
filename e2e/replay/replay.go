// Package replay feeds the log that a kubelet wrote to the exporter once more, in every shape and over every transport
// by which it may reach one, and shows that it says the same each time.
package replay

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/staticpod-exporter/staticpod-exporter/e2e/await"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/exporter"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/logshape"
)

// A shape is a way in which a log reaches the exporter.
type shape struct {
	name string
	// source is kubelet.log, and feed brings the lines there, once the exporter runs.
	source string
	feed   func(ctx context.Context, e *exporter.Exporter, lines [][]byte) error
	lines  int // how many of them arrive
}

// Same replays the kubelet's log at path, in its JSON format, as Talos ships it (TCP and UDP), out of a real journal, as a
// container runtime writes it, and by standard input, and fails t unless each gives what the file itself does: the
// same number of events and of noise, the same problems, and the same verdicts in the same words.
func Same(t *testing.T, binary, path string) {
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.SplitAfter(content, []byte("\n"))
	if last := len(lines) - 1; len(lines[last]) == 0 {
		lines = lines[:last]
	}
	want := play(t, binary, shape{name: "file", source: "file://" + path, lines: len(lines)}, lines)
	t.Logf("the file: %v", want)
	if want["events"] == "0" {
		t.Fatal("there is nothing in the log to be told")
	}
	for _, s := range shapes(t, binary, path, lines) {
		t.Run(s.name, func(t *testing.T) {
			got := play(t, binary, s, lines)
			for key := range merged(want, got) {
				if want[key] != got[key] {
					t.Errorf("%s:\n by the file: %s\n by %s: %s", key, want[key], s.name, got[key])
				}
			}
		})
	}
}

func merged(a, b map[string]string) map[string]string {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return all
}

func shapes(t *testing.T, binary, path string, lines [][]byte) []shape {
	address := func() string {
		a, err := exporter.FreeAddress()
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	tcp, udp := address(), address()
	sent := func(network, address string) func(context.Context, *exporter.Exporter, [][]byte) error {
		return func(ctx context.Context, e *exporter.Exporter, lines [][]byte) error {
			if err := Listening(ctx, e); err != nil {
				return err
			}
			s, err := logshape.Dial(ctx, network, address)
			if err != nil {
				return err
			}
			defer s.Close()
			for _, line := range lines {
				if err := s.Send(logshape.Talos(line)); err != nil {
					return err
				}
			}
			return nil
		}
	}
	datagrams, pieces := 0, 0
	container := filepath.Join(t.TempDir(), "kubelet.log")
	var wrapped bytes.Buffer
	for _, line := range lines {
		if len(logshape.Talos(line)) <= logshape.DatagramLimit {
			datagrams++
		}
		w := logshape.Container(line, 16<<10)
		pieces += bytes.Count(w, []byte("\n"))
		wrapped.Write(w)
	}
	journal := t.TempDir()
	return []shape{
		{"Talos over TCP", "tcp://" + tcp, sent("tcp", tcp), len(lines)},
		{"Talos over UDP", "udp://" + udp, sent("udp", udp), datagrams},
		{"journal", "journald:kubelet.service?directory=" + journal, func(ctx context.Context, _ *exporter.Exporter, lines [][]byte) error {
			j, err := logshape.OpenJournal(ctx, journal)
			if err != nil {
				return err
			}
			for _, line := range lines {
				if err := j.Write("kubelet.service", line); err != nil {
					return err
				}
			}
			return j.Close()
		}, len(lines)},
		{"container", "file://" + container, func(context.Context, *exporter.Exporter, [][]byte) error {
			return os.WriteFile(container, wrapped.Bytes(), 0o644)
		}, pieces},
		{"standard input", "stdin", nil, len(lines)},
	}
}

// Listening waits until an exporter that listens for its log says that nobody sends it.
func Listening(ctx context.Context, e *exporter.Exporter) error {
	return await.Until(ctx, await.Patience, func(ctx context.Context) error {
		statuses, err := e.Statuses(ctx)
		if err != nil {
			return err
		}
		p, ok := statuses["node"].Problem("LogUnavailable")
		if !ok || !strings.Contains(p.Message, "machine.logging.destinations") {
			return fmt.Errorf("it does not listen: %+v", statuses["node"].Spec.Problems)
		}
		return nil
	})
}

// PipedFrom writes a program to dir that runs binary with the file at path, as it grows, for its standard input.
func PipedFrom(dir, binary, path string) (string, error) {
	program := filepath.Join(dir, "piped")
	text := fmt.Sprintf("#!/bin/bash\nexec %q \"$@\" < <(exec tail -n +1 -f %q)\n", binary, path)
	return program, os.WriteFile(program, []byte(text), 0o755)
}

// play feeds the log in one shape to an exporter that knows nothing but that log, and returns what it says.
func play(t *testing.T, binary string, s shape, lines [][]byte) map[string]string {
	t.Helper()
	if s.source == "stdin" {
		log := filepath.Join(t.TempDir(), "kubelet.log")
		if err := os.WriteFile(log, bytes.Join(lines, nil), 0o644); err != nil {
			t.Fatal(err)
		}
		var err error
		if binary, err = PipedFrom(t.TempDir(), binary, log); err != nil {
			t.Fatal(err)
		}
	}
	e, err := exporter.New(exporter.Options{Binary: binary, StateDirectory: t.TempDir(), Log: t.Output(), Flags: []string{
		"--node=node1", "--kubelet.endpoint=", "--kubelet.pods-socket=", "--kubelet.manifest-directory=", "--cri.endpoint=", "--kubelet.log=" + s.source,
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Kill)
	if err := e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s.feed != nil {
		if err := s.feed(t.Context(), e, lines); err != nil {
			t.Fatal(err)
		}
	}
	var said map[string]string
	await.Nil(t, s.name, func(ctx context.Context) error {
		m, err := e.Metrics(ctx)
		if err != nil {
			return err
		}
		if n, _ := m.Value("staticpod_kubelet_log_lines_total"); int(n) != s.lines {
			return fmt.Errorf("%v lines of %d were read", n, s.lines)
		}
		if n, _ := m.Value("staticpod_kubelet_log_gaps_total"); n != 0 {
			return fmt.Errorf("there are %v gaps", n)
		}
		said, err = verdicts(ctx, e, m)
		return err
	})
	return said
}

// verdicts are what is told of the log, by what it is about.
func verdicts(ctx context.Context, e *exporter.Exporter, m exporter.Metrics) (map[string]string, error) {
	said := map[string]string{}
	events, _ := m.Value("staticpod_kubelet_log_events_total")
	said["events"] = fmt.Sprint(events)
	for family, label := range map[string]string{"staticpod_kubelet_log_noise_total": "kind", "staticpod_problems_total": "reason"} {
		series := m[family].GetMetric()
		if len(series) == 0 {
			return nil, errors.New("there is no " + family)
		}
		for _, one := range series {
			for _, pair := range one.GetLabel() {
				if pair.GetName() == label && pair.GetValue() != "LogUnavailable" { // that is of the way, not of the log
					said[family+" "+pair.GetValue()] = fmt.Sprint(one.GetCounter().GetValue())
				}
			}
		}
	}
	statuses, err := e.Statuses(ctx)
	if err != nil {
		return nil, err
	}
	for id, s := range statuses {
		if id != "node" {
			said[id] = fmt.Sprintf("%s: %s %v", s.Spec.Reason, s.Spec.Message, problems(s))
		}
	}
	return said, nil
}

func problems(s exporter.Status) (all []string) {
	for _, p := range s.Spec.Problems {
		all = append(all, p.Reason+": "+p.Message)
	}
	return all
}
