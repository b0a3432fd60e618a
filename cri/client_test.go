package cri

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func TestNew(t *testing.T) {
	for _, tc := range []struct {
		o    Options
		want string // of the error
	}{
		{Options{}, ""},
		{Options{Endpoint: "auto"}, ""},
		{Options{Endpoint: "unix:///run/x.sock"}, ""},
		{Options{Endpoint: "unix://run/x.sock"}, "cri endpoint"},
		{Options{Endpoint: "/run/x.sock"}, "cri endpoint"},
		{Options{Endpoint: "tcp://127.0.0.1:1"}, "cri endpoint"},
		{Options{Timeout: -1}, "cri timeout"},
	} {
		_, err := New(tc.o)
		switch {
		case tc.want == "" && err != nil:
			t.Errorf("%+v: %v", tc.o, err)
		case tc.want != "" && (err == nil || !strings.HasPrefix(err.Error(), tc.want)):
			t.Errorf("%+v: error %v, want %s", tc.o, err, tc.want)
		}
	}
}

// A socket that is not there, comes, goes and comes back is an error each time it is away, and no more.
func TestSocketComesAndGoes(t *testing.T) {
	m, path := newMachine(), socket(t)
	populate(m)
	c := newClient(t, Options{Endpoint: "unix://" + path})
	for range 2 {
		if v, err := c.View(t.Context(), false); !errors.Is(err, fs.ErrNotExist) || v != nil {
			t.Fatalf("away: view %v, error %v", v, err)
		}
		m.start(t, path)
		v, err := c.View(t.Context(), false)
		if err != nil || len(v.Sandboxes) != 3 {
			t.Fatalf("there: view %v, error %v", v, err)
		}
		m.stop()
		if v, err := c.View(t.Context(), false); status.Code(err) != codes.Unavailable || v != nil {
			t.Fatalf("gone: view %v, error %v", v, err)
		}
	}
}

// A socket file without a listener, as a killed runtime leaves it.
func TestStaleSocket(t *testing.T) {
	path := socket(t)
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	listener.SetUnlinkOnClose(false)
	listener.Close()
	c := newClient(t, Options{Endpoint: "unix://" + path})
	_, err = c.View(t.Context(), false)
	if err == nil || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("error %v", err)
	}
}

// With auto, the first socket that exists and speaks CRI is taken, and another when that is gone.
func TestAuto(t *testing.T) {
	c := newClient(t, Options{Endpoint: "auto"})
	if len(c.endpoints) != 4 {
		t.Fatalf("endpoints %v", c.endpoints)
	}
	docker, first, second, missing := socket(t), socket(t), socket(t), socket(t)
	c.endpoints = []string{"unix://" + missing}
	c.endpoints = append(c.endpoints, "unix://"+docker, "unix://"+first, "unix://"+second)
	if _, err := c.View(t.Context(), false); !errors.Is(err, ErrNoSocket) {
		t.Fatalf("none: %v", err)
	}

	listener, err := net.Listen("unix", docker)
	if err != nil {
		t.Fatal(err)
	}
	other := grpc.NewServer() // gRPC, but no CRI: a containerd without the plugin
	served := make(chan struct{})
	go func() { defer close(served); other.Serve(listener) }()
	t.Cleanup(func() { other.Stop(); <-served })
	if _, err := c.View(t.Context(), false); status.Code(err) != codes.Unimplemented {
		t.Fatalf("another's: %v", err)
	}

	runtimes := map[string]*machine{}
	for name, path := range map[string]string{"containerd": first, "cri-o": second} {
		m := newMachine()
		m.name = name
		m.start(t, path)
		runtimes[name] = m
	}
	for _, step := range []struct {
		do   func()
		want string
	}{
		{func() {}, "containerd"},
		{func() { runtimes["containerd"].stop(); c.View(t.Context(), false) }, "cri-o"},
		{func() { runtimes["containerd"].start(t, first) }, "cri-o"}, // while it answers it is kept
		{func() { runtimes["cri-o"].stop(); c.View(t.Context(), false) }, "containerd"},
	} {
		step.do()
		v, err := c.View(t.Context(), false)
		if err != nil {
			t.Fatal(err)
		}
		if v.Runtime != step.want {
			t.Errorf("runtime %s, want %s", v.Runtime, step.want)
		}
	}
}

// Attempts that fail leave no connection behind, also to a runtime that accepts and does not answer.
func TestNoConnectionIsLeftBehind(t *testing.T) {
	m, path := newMachine(), socket(t)
	m.hang = "Version"
	m.start(t, path)
	c := newClient(t, Options{Endpoint: "unix://" + path, Timeout: 20 * time.Millisecond})
	for range 5 {
		if _, err := c.View(t.Context(), false); err == nil {
			t.Fatal("answered")
		}
	}
	m.set(func(m *machine) { m.hang = "" })
	c.timeout = defaultTimeout
	if _, err := c.View(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	for m.connections.Load() > 0 {
		await(t, m.closed, "end of a connection")
	}
}

// What the client library logs is at debug, and holds nothing of what the pods are made of.
func TestLogKeepsSecrets(t *testing.T) {
	var out lockedBuffer
	m, path := newMachine(), socket(t)
	populate(m)
	m.start(t, path)
	c := newClient(t, Options{
		Endpoint: "unix://" + path,
		Logger:   slog.New(slog.NewJSONHandler(&out, &slog.HandlerOptions{Level: slog.Level(-100)})),
	})
	run(t, c)
	<-m.subscribed
	if _, err := c.View(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	changed := c.Changed()
	m.live <- event("c3", "http")
	await(t, changed, "change")
	m.stop()
	if _, err := c.View(t.Context(), true); err == nil {
		t.Fatal("answered")
	}
	text := out.String()
	for _, line := range strings.Split(text, "\n") {
		if strings.Contains(line, "secret") {
			t.Errorf("logged: %s", line)
		}
		if strings.Contains(line, "runtime service") && !strings.Contains(line, `"level":"DEBUG"`) {
			t.Errorf("not at debug: %s", line)
		}
	}
	if !strings.Contains(text, "Connecting to runtime service") {
		t.Error("the library does not log to us")
	}
}

// Each question is a span, the event stream is none.
func TestTraces(t *testing.T) {
	recorder := tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder))
	m, path := newMachine(), socket(t)
	populate(m)
	m.start(t, path)
	c := newClient(t, Options{Endpoint: "unix://" + path, TracerProvider: provider})
	run(t, c)
	<-m.subscribed
	if _, err := c.View(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	got := map[string]int{}
	for _, span := range recorder.Started() {
		got[span.Name()[strings.LastIndex(span.Name(), "/")+1:]]++
	}
	if got["StreamPodSandboxes"] != 1 || got["StreamContainers"] != 1 || got["ContainerStatus"] != 2 || got["GetContainerEvents"] != 0 {
		t.Errorf("spans %v", got)
	}
}

// The methods may be called at once.
func TestConcurrentUse(t *testing.T) {
	m, path := newMachine(), socket(t)
	populate(m)
	m.start(t, path)
	c := newClient(t, Options{Endpoint: "unix://" + path})
	run(t, c)
	var users sync.WaitGroup
	for range 4 {
		users.Go(func() {
			for range 10 {
				if _, err := c.View(context.Background(), true); err != nil {
					t.Error(err)
				}
				c.Changed()
				c.Healthy()
				c.Close()
			}
		})
	}
	users.Wait()
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func TestExists(t *testing.T) {
	path := socket(t)
	if exists("unix://" + path) {
		t.Error("before")
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if !exists("unix://" + path) {
		t.Error("after")
	}
}
