package web

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/staticpod-exporter/staticpod-exporter/collector/status"
)

// A watcher reads the lines of a watch.
type watcher struct {
	t     *testing.T
	lines *bufio.Reader
}

func newWatcher(t *testing.T, r io.Reader) *watcher { return &watcher{t, bufio.NewReaderSize(r, 16)} }

// open starts a watch, which ends with the test.
func open(t *testing.T, url string, headers ...string) *watcher {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { response.Body.Close() })
	if response.StatusCode != 200 {
		t.Fatal(response.Status)
	}
	return &watcher{t, bufio.NewReader(response.Body)}
}

// event reads one event and returns it as "event id=version".
func (w *watcher) event() string {
	w.t.Helper()
	line, err := w.lines.ReadBytes('\n')
	if err != nil {
		w.t.Fatal(err)
	}
	return short(w.t, line)
}

func short(t *testing.T, line []byte) string {
	t.Helper()
	var e struct {
		Event    string
		Node     string
		Metadata status.Metadata
		Spec     *status.StaticPodSpec
	}
	if err := json.Unmarshal(line, &e); err != nil {
		t.Fatalf("%v in %s", err, line)
	}
	if e.Event == bookmark {
		return bookmark
	}
	if e.Node != "node1" || e.Spec == nil || e.Metadata.Type != status.TypeStaticPod {
		t.Errorf("the event lacks the resource: %s", line)
	}
	return fmt.Sprintf("%s %s=%d", e.Event, e.Metadata.ID, e.Metadata.Version)
}

func (w *watcher) expect(events ...string) {
	w.t.Helper()
	for _, want := range events {
		if got := w.event(); got != want {
			w.t.Fatalf("got %q, want %q", got, want)
		}
	}
}

func TestWatch(t *testing.T) {
	f := newFeed(pods("a-a", "b-b=4"))
	server := start(t, options(f))
	w := open(t, server.URL+"/staticpods?watch=true&bookmarks=true")
	w.expect("created a-a=1", "created b-b=4", bookmark)
	f.publish(pods("a-a", "b-b=5"))
	w.expect("updated b-b=5")
	f.publish(pods("a-a", "b-b=5")) // the same again: nothing
	f.publish(pods("0-0", "a-a"))
	w.expect("destroyed b-b=5", "created 0-0=1")
	f.publish(pods("0-0", "a-a=1@2")) // another of that name
	w.expect("destroyed a-a=1", "created a-a=1")
	f.publish(pods())
	w.expect("destroyed 0-0=1", "destroyed a-a=1")
}

func TestWatchOfOne(t *testing.T) {
	f := newFeed(pods("a-a"))
	server := start(t, options(f))
	w := open(t, server.URL+"/staticpods/b-b?watch=true&bookmarks=true")
	w.expect(bookmark)
	f.publish(pods("a-a=2", "b-b", "c-c"))
	w.expect("created b-b=1")
	f.publish(pods("a-a=3", "b-b=2"))
	w.expect("updated b-b=2")
	f.publish(pods("c-c"))
	w.expect("destroyed b-b=2")
}

// Without being asked for bookmarks a watch sends nothing but the three events.
func TestWatchWithoutBookmarks(t *testing.T) {
	f := newFeed(pods("a-a"))
	h := newHandler(options(f))
	h.heartbeat = time.Millisecond
	server := httptest.NewServer(h.routes())
	t.Cleanup(server.Close)
	w := open(t, server.URL+"/staticpods?watch", "Accept", "*/*")
	w.expect("created a-a=1")
	f.publish(pods("a-a=2"))
	w.expect("updated a-a=2")
}

// Over HTTP/2, which is spoken where there is TLS, a server ends a stream at its deadline, though nobody writes: a watch on
// which nothing happens outlasts that.
func TestQuietWatchOverHTTP2(t *testing.T) {
	const deadline = 300 * time.Millisecond
	f := newFeed(pods("a-a"))
	h := newHandler(options(f))
	h.heartbeat, h.patience = deadline/10, deadline
	server := httptest.NewUnstartedServer(h.routes())
	server.EnableHTTP2, server.Config.WriteTimeout = true, deadline
	server.StartTLS()
	t.Cleanup(server.Close)
	r, err := http.NewRequestWithContext(t.Context(), "GET", server.URL+"/staticpods?watch", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.ProtoMajor != 2 {
		t.Fatal(response.Proto)
	}
	w := &watcher{t, bufio.NewReader(response.Body)}
	w.expect("created a-a=1")
	late := time.AfterFunc(3*deadline, func() { f.publish(pods("a-a=2")) })
	defer late.Stop()
	w.expect("updated a-a=2")
}

func TestServerSentEvents(t *testing.T) {
	f := newFeed(pods("a-a"))
	h := newHandler(options(f))
	h.heartbeat = time.Millisecond
	server := httptest.NewServer(h.routes())
	t.Cleanup(server.Close)
	w := open(t, server.URL+"/staticpods?watch=true", "Accept", "text/event-stream")
	read := func() string {
		line, err := w.lines.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		return line
	}
	for _, want := range []string{"retry: 1000\n", "\n", "event: created\n"} {
		if got := read(); got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
	}
	data, ok := strings.CutPrefix(read(), "data: ")
	if got := short(t, []byte(data)); !ok || got != "created a-a=1" {
		t.Errorf("got %q", got)
	}
	for _, want := range []string{"\n", ": nothing new\n", "\n", ": nothing new\n"} { // the second is a heartbeat
		if got := read(); got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
	}
	f.publish(pods())
	for {
		if line := read(); line == "event: destroyed\n" {
			return
		}
	}
}

// A watch outlives the timeouts that bound a request.
func TestWatchOutlivesTimeouts(t *testing.T) {
	f := newFeed(pods("a-a"))
	h := newHandler(options(f))
	h.heartbeat = 20 * time.Millisecond
	server := httptest.NewUnstartedServer(h.routes())
	server.Config.ReadTimeout = 40 * time.Millisecond
	server.Config.WriteTimeout = 40 * time.Millisecond
	server.Start()
	t.Cleanup(server.Close)
	w := open(t, server.URL+"/staticpods?watch=true&bookmarks=true")
	w.expect("created a-a=1")
	for range 8 { // at least 140 ms
		w.expect(bookmark)
	}
	f.publish(pods())
	for event := w.event(); event != "destroyed a-a=1"; event = w.event() {
		if event != bookmark {
			t.Fatal(event)
		}
	}
}

// A pipe is a response whose every write waits for the reader.
type pipe struct {
	*io.PipeWriter
	header http.Header
}

func (p pipe) Header() http.Header              { return p.header }
func (p pipe) WriteHeader(int)                  {}
func (p pipe) Flush()                           {}
func (p pipe) SetReadDeadline(time.Time) error  { return nil }
func (p pipe) SetWriteDeadline(time.Time) error { return nil }

// A slow reader is sent the latest, not everything in between.
func TestSlowReaderSkips(t *testing.T) {
	f := newFeed(pods("a-a"))
	h := newHandler(options(f))
	reader, writer := io.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		h.routes().ServeHTTP(pipe{writer, make(http.Header)}, httptest.NewRequestWithContext(ctx, "GET", "/staticpods?watch=true", nil))
		writer.Close()
	}()
	w := newWatcher(t, reader)
	w.expect("created a-a=1")
	f.publish(pods("a-a=2"))
	if _, err := w.lines.Peek(1); err != nil { // version 2 is on its way
		t.Fatal(err)
	}
	for version := 3; version <= 100; version++ {
		f.publish(pods(fmt.Sprintf("a-a=%d", version), "b-b"))
		f.publish(pods(fmt.Sprintf("a-a=%d", version)))
	}
	w.expect("updated a-a=2", "updated a-a=100")
	cancel()
	<-done
	if rest, err := io.ReadAll(w.lines); len(rest) > 0 || err != nil {
		t.Errorf("%d more bytes, %v", len(rest), err)
	}
}

// A reader that takes nothing is cut off and its place is free again.
func TestStuckReaderIsCutOff(t *testing.T) {
	many := make([]string, 20000)
	for i := range many {
		many[i] = fmt.Sprintf("pod-%05d", i)
	}
	h := newHandler(options(newFeed(pods(many...))))
	h.patience = 20 * time.Millisecond
	done := make(chan struct{})
	routes := h.routes()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(done)
		routes.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	open(t, server.URL+"/staticpods?watch=true") // and reads no more
	<-done
	if len(h.watches) != 0 {
		t.Error("its place is still taken")
	}
}

func TestWatchesAreLimited(t *testing.T) {
	h := newHandler(options(newFeed(pods("a-a"))))
	for range maxWatches {
		h.watches <- struct{}{}
	}
	server := httptest.NewServer(h.routes())
	t.Cleanup(server.Close)
	if a := ask(t, "GET", server.URL+"/staticpods?watch=true"); a.code != 503 || a.header.Get("Retry-After") == "" {
		t.Errorf("%d %s", a.code, a.body)
	}
	<-h.watches
	open(t, server.URL+"/staticpods?watch=true").expect("created a-a=1")
}
