package cri

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

func TestTells(t *testing.T) {
	m, path := newMachine(), socket(t)
	populate(m)
	m.start(t, path)
	c := newClient(t, Options{Endpoint: "unix://" + path})
	old := event("c3", "http")
	if !c.tells(old) {
		t.Error("before the first view everything tells")
	}
	v, err := c.View(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	at := func(e *runtimeapi.ContainerEventResponse, at time.Time) *runtimeapi.ContainerEventResponse {
		e.CreatedAt = at.UnixNano()
		return e
	}
	gone := func(id string) *runtimeapi.ContainerEventResponse {
		e := event(id, "")
		e.PodSandboxStatus = nil
		return e
	}
	for _, tc := range []struct {
		name string
		e    *runtimeapi.ContainerEventResponse
		want bool
	}{
		{"replayed", old, false},
		{"replayed, just before", at(event("c3", "http"), v.At.Add(-1)), false},
		{"while it looked", at(event("c3", "http"), v.At), true},
		{"http", event("c3", "http"), true},
		{"file", event("c3", "file"), true},
		{"api", event("other", "api"), false},
		{"no source", event("other", ""), false},
		{"a sandbox of ours is gone", gone("s1"), true},
		{"a sandbox of another is gone", gone("api"), false},
		{"one made by hand is gone", gone("hand"), false},
		{"an unknown one is gone", gone("?"), true},
		{"empty", &runtimeapi.ContainerEventResponse{CreatedAt: time.Now().UnixNano()}, true},
	} {
		if got := c.tells(tc.e); got != tc.want {
			t.Errorf("%s: %v, want %v", tc.name, got, tc.want)
		}
	}
}

// The stream signals, survives its end, and signals when it is back.
func TestRun(t *testing.T) {
	m, path := newMachine(), socket(t)
	populate(m)
	m.history = []*runtimeapi.ContainerEventResponse{event("c1", "http")}
	out := &notifyingBuffer{wrote: make(chan struct{}, 100)}
	c := newClient(t, Options{Endpoint: "unix://" + path, Logger: slog.New(slog.NewTextHandler(out, nil))})
	if c.Healthy() {
		t.Fatal("healthy before it runs")
	}
	run(t, c)
	<-out.wrote // that there is nobody
	changed := c.Changed()
	m.start(t, path)
	await(t, changed, "change when the stream opens")
	if !c.Healthy() {
		t.Error("not healthy with a stream")
	}

	signal := func(what string, do func()) {
		t.Helper()
		if _, err := c.View(t.Context(), false); err != nil && m.server != nil {
			t.Fatal(err)
		}
		changed := c.Changed()
		do()
		await(t, changed, what)
	}
	<-m.subscribed
	signal("change at an event", func() { m.live <- event("c3", "file") })
	signal("change at the end of the stream", func() { m.live <- nil })
	signal("change at the next stream", func() { <-m.subscribed })
	signal("change when the runtime stops", m.stop)
	if c.Healthy() {
		t.Error("healthy without a runtime")
	}
	signal("change when it is back", func() { m.start(t, path) })
	<-m.subscribed
	signal("change at an event", func() { m.live <- event("c3", "file") })
	if !c.Healthy() {
		t.Error("not healthy with a stream")
	}
	if n := strings.Count(out.String(), "no container events"); n != 3 {
		t.Errorf("%d lines, want one before the runtime started and one at each end:\n%s", n, out.String())
	}
}

// A runtime without events is asked once, is not healthy, and can be looked at.
func TestRunWithoutEvents(t *testing.T) {
	m, path := newMachine(), socket(t)
	populate(m)
	m.deaf = true
	m.start(t, path)
	out := &notifyingBuffer{wrote: make(chan struct{}, 100)}
	c := newClient(t, Options{Endpoint: "unix://" + path, Logger: slog.New(slog.NewTextHandler(out, nil))})
	run(t, c)
	<-out.wrote
	if c.Healthy() {
		t.Error("healthy")
	}
	if n := m.asked("GetContainerEvents"); n != 1 {
		t.Errorf("asked %d times", n)
	}
	if got := out.String(); !strings.Contains(got, "no container events") || !strings.Contains(got, "Unimplemented") {
		t.Errorf("logged %s", got)
	}
	if _, err := c.View(t.Context(), false); err != nil {
		t.Error(err)
	}
}

// A consumer that is slow to look does not hold up the runtime, which blocks on subscribers that do not read.
func TestRunDrains(t *testing.T) {
	m, path := newMachine(), socket(t)
	m.start(t, path)
	c := newClient(t, Options{Endpoint: "unix://" + path})
	run(t, c)
	<-m.subscribed
	for range 20 * eventBuffer {
		select {
		case m.live <- event("c", "api"):
		case <-time.After(20 * time.Second):
			t.Fatal("the stream is blocked")
		}
	}
}

type notifyingBuffer struct {
	lockedBuffer
	wrote chan struct{}
}

func (n *notifyingBuffer) Write(p []byte) (int, error) {
	defer func() { n.wrote <- struct{}{} }()
	return n.lockedBuffer.Write(p)
}

func TestPause(t *testing.T) {
	none := status.Error(codes.Unimplemented, "x")
	for _, tc := range []struct {
		before time.Duration
		err    error
		lasted bool
		want   time.Duration
	}{
		{leastWait, io.EOF, false, 2 * leastWait},
		{mostWait, io.EOF, false, mostWait},
		{mostWait / 2 * 3 / 2, io.EOF, false, mostWait},
		{mostWait, io.EOF, true, leastWait},
		{leastWait, none, false, unimplementedWait},
		{leastWait, fmt.Errorf("wrapped: %w", none), true, unimplementedWait},
		{unimplementedWait, io.EOF, false, mostWait},
	} {
		if got := pause(tc.before, tc.err, tc.lasted); got != tc.want {
			t.Errorf("after %v, %v, %v: %v, want %v", tc.before, tc.err, tc.lasted, got, tc.want)
		}
	}
}

// A stream on which nothing is said is one all the same.
func TestRunInSilence(t *testing.T) {
	m, path := newMachine(), socket(t)
	m.start(t, path)
	c := newClient(t, Options{Endpoint: "unix://" + path})
	changed := c.Changed()
	run(t, c)
	await(t, changed, "change when the stream opens")
	if !c.Healthy() {
		t.Error("not healthy")
	}
}
