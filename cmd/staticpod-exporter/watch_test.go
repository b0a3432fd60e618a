package main

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/staticpod-exporter/staticpod-exporter/collector/status"
	"github.com/staticpod-exporter/staticpod-exporter/observe/output"
)

// A command is a run of the program in this process.
type command struct {
	t      *testing.T
	stdout *bufio.Reader
	stderr *syncWriter
	cancel context.CancelFunc
	code   chan int
}

func begin(t *testing.T, args ...string) *command {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	reader, writer := io.Pipe()
	c := &command{t: t, stdout: bufio.NewReader(reader), stderr: new(syncWriter), cancel: cancel, code: make(chan int, 1)}
	go func() {
		code := run(ctx, args, writer, c.stderr)
		writer.Close()
		c.code <- code
	}()
	t.Cleanup(func() {
		cancel()
		reader.Close()
	})
	return c
}

// expect reads lines and compares their fields.
func (c *command) expect(lines ...string) {
	c.t.Helper()
	for _, want := range lines {
		got, err := c.stdout.ReadString('\n')
		if err != nil {
			c.t.Fatalf("%v; stderr: %s", err, c.stderr)
		}
		if got != want+"\n" {
			c.t.Fatalf("got %q, want %q", got, want)
		}
	}
}

// only returns the fixture with but the definitions whose IDs are given as id=version.
func only(ids ...string) *status.Snapshot {
	s := snapshot("fixture")
	var pods []*status.StaticPod
	for _, p := range s.Pods {
		if i := slices.IndexFunc(ids, func(id string) bool { return strings.HasPrefix(id, p.Metadata.ID+"=") }); i >= 0 {
			_, version, _ := strings.Cut(ids[i], "=")
			p.Metadata.Version = uint64(version[0] - '0')
			pods = append(pods, p)
		}
	}
	s.Pods = pods
	return s
}

func exporterAt(t *testing.T, address string, s *status.Snapshot) *exporter {
	t.Helper()
	e, err := newExporter(address, s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.server.Close)
	return e
}

func TestGetWatch(t *testing.T) {
	e := exporterAt(t, "127.0.0.1:0", only("default-broken=1", "default-nginx=2", "kube-system-etcd=1"))
	c := begin(t, "get", "sp", "-w", "--address", e.server.URL)
	c.expect(
		"NODE    *   NAMESPACE   TYPE        ID                 VERSION",
		"node1   +   k8s         StaticPod   default-broken     1",
		"node1   +   k8s         StaticPod   default-nginx      2",
		"node1   +   k8s         StaticPod   kube-system-etcd   1",
	)
	e.publish(only("default-broken=2", "default-nginx=2", "kube-system-etcd=1"))
	c.expect("node1       k8s         StaticPod   default-broken     2")
	e.publish(only("default-nginx=2", "kube-system-etcd=1"))
	c.expect("node1   -   k8s         StaticPod   default-broken     2")

	// Over a broken connection: what changed in between, once, and a word about it.
	e.server.CloseClientConnections()
	e.publish(only("default-nginx=3", "kube-system-etcd=1"))
	c.expect("node1       k8s         StaticPod   default-nginx      3")
	if got := c.stderr.String(); strings.Count(got, "\n") != 2 || !strings.Contains(got, "; connecting again\n") || !strings.HasSuffix(got, ": connected again\n") {
		t.Errorf("stderr: %q", got)
	}

	// Over an exporter that is gone for a while.
	address := e.server.Listener.Addr().String()
	e.server.CloseClientConnections()
	e.server.Close()
	exporterAt(t, address, only("default-broken=1", "kube-system-etcd=1"))
	c.expect(
		"node1   -   k8s         StaticPod   default-nginx      3",
		"node1   +   k8s         StaticPod   default-broken     1",
	)

	c.cancel()
	if code := <-c.code; code != 0 {
		t.Errorf("exit code %d when interrupted", code)
	}
}

// named returns the definitions of the fixture as those of another node.
func named(node string, ids ...string) *status.Snapshot {
	s := only(ids...)
	s.Node = node
	for _, p := range s.Pods {
		p.Node = node
	}
	return s
}

func TestGetWatchOfSeveralNodes(t *testing.T) {
	first := exporterAt(t, "127.0.0.1:0", named("node1", "default-nginx=1"))
	second := exporterAt(t, "127.0.0.1:0", named("node-with-a-long-name", "kube-system-etcd=1"))
	third := exporterAt(t, "127.0.0.1:0", named("node3", "default-nginx=1"))
	address := third.server.Listener.Addr().String()
	third.server.Close()
	c := begin(t, "get", "sp", "-w", "-n", first.server.URL+","+second.server.URL+","+address)
	// One table of both; who comes first is not said.
	c.expect("NODE                    *   NAMESPACE   TYPE        ID                 VERSION")
	rows := []string{
		"node1                   +   k8s         StaticPod   default-nginx      1\n",
		"node-with-a-long-name   +   k8s         StaticPod   kube-system-etcd   1\n",
	}
	for range rows {
		got, err := c.stdout.ReadString('\n')
		if err != nil || !slices.Contains(rows, got) {
			t.Fatalf("got %q, %v, want one of %q", got, err, rows)
		}
	}
	second.publish(named("node-with-a-long-name", "kube-system-etcd=2"))
	c.expect("node-with-a-long-name       k8s         StaticPod   kube-system-etcd   2")
	if got := c.stderr.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "exporter not reachable at http://"+address+": connection refused") {
		t.Errorf("stderr: %q", got)
	}

	// The one that was down comes.
	exporterAt(t, address, named("node3", "default-nginx=4"))
	c.expect("node3                   +   k8s         StaticPod   default-nginx      4")
	first.publish(named("node1"))
	c.expect("node1                   -   k8s         StaticPod   default-nginx      1")
	c.cancel()
	if code := <-c.code; code != 0 {
		t.Errorf("exit code %d when interrupted after all were reached", code)
	}
}

func TestGetWatchTellsOfANodeThatWasNeverReached(t *testing.T) {
	first := exporterAt(t, "127.0.0.1:0", named("node1", "default-nginx=1"))
	gone := exporterAt(t, "127.0.0.1:0", named("node2"))
	gone.server.Close()
	c := begin(t, "get", "sp", "-w", "-o", "name", "-n", first.server.URL+","+gone.server.URL)
	c.expect("default-nginx")
	c.cancel()
	if code := <-c.code; code != 1 {
		t.Errorf("exit code %d", code)
	}
}

// What is held back comes when all have arrived, or when patience is over and one has.
func TestSharedPrinterHoldsBack(t *testing.T) {
	for name, c := range map[string]struct {
		arrive func(*sharedPrinter)
		want   string
	}{
		"one of two":                   {func(s *sharedPrinter) { s.arrived(true, true) }, ""},
		"all":                          {func(s *sharedPrinter) { s.arrived(true, true); s.arrived(false, true) }, "a\n"},
		"nobody":                       {func(s *sharedPrinter) { s.arrived(false, true); s.arrived(false, true) }, ""},
		"one that comes again, of two": {func(s *sharedPrinter) { s.arrived(false, true); s.arrived(true, false) }, ""},
		"one that comes again":         {func(s *sharedPrinter) { s.arrived(false, true); s.arrived(true, false); s.arrived(false, true) }, "a\n"},
		"one in time":                  {func(s *sharedPrinter) { s.arrived(true, true); s.hurry() }, "a\n"},
		"one too late":                 {func(s *sharedPrinter) { s.hurry(); s.arrived(true, true) }, "a\n"},
		"nobody, and patience is over": {func(s *sharedPrinter) { s.arrived(false, true); s.hurry() }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var b strings.Builder
			table := &tablePrinter{table: output.NewTable(&b, []string{"a"})}
			s := &sharedPrinter{begin: func() {}, printer: table, waiting: 2}
			if err := s.flush(); err != nil || b.String() != "" {
				t.Errorf("too early: %q, %v", b.String(), err)
			}
			c.arrive(s)
			if err := s.flush(); err != nil || b.String() != c.want {
				t.Errorf("got %q, %v, want %q", b.String(), err, c.want)
			}
		})
	}
}

// Who interrupts is not told that it was interrupted.
func TestGetInterrupted(t *testing.T) {
	asked := make(chan struct{}, 10)
	silent := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm() // or nobody notices that the client has gone
		asked <- struct{}{}
		<-r.Context().Done()
	}))
	t.Cleanup(silent.Close)
	first := exporterAt(t, "127.0.0.1:0", named("node1", "default-nginx=1"))
	for _, flags := range [][]string{{"--address", silent.URL}, {"-n", first.server.URL + "," + silent.URL}, {"--prometheus", silent.URL}} {
		c := begin(t, append([]string{"get", "sp"}, flags...)...)
		<-asked
		c.cancel()
		if code := <-c.code; code != 1 || c.stderr.String() != "" {
			t.Errorf("%q: exit code %d, stderr: %s", flags, code, c.stderr)
		}
	}
}

// One that neither answers nor refuses does not keep the others from being shown.
func TestGetWatchDoesNotWaitForASilentNode(t *testing.T) {
	first := exporterAt(t, "127.0.0.1:0", named("node1", "default-nginx=1"))
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { silent.Close() })
	c := begin(t, "get", "sp", "-w", "-n", silent.Addr().String()+","+first.server.URL)
	c.expect(
		"NODE    *   NAMESPACE   TYPE        ID              VERSION",
		"node1   +   k8s         StaticPod   default-nginx   1",
	)
}

// One that refuses at first and then answers is watched, whatever becomes of the others.
func TestGetWatchOfANodeThatComesWhileAnotherIsSilent(t *testing.T) {
	first, err := newExporter("127.0.0.1:0", named("node1", "default-nginx=1"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(first.server.Close)
	var answers atomic.Bool
	starts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !answers.Swap(true) {
			http.Error(w, "starting", http.StatusServiceUnavailable)
			return
		}
		first.server.Config.Handler.ServeHTTP(w, r)
	}))
	t.Cleanup(starts.Close)
	t.Cleanup(starts.CloseClientConnections)
	refuse, asked := make(chan struct{}), make(chan struct{}, 10)
	silent := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		select {
		case <-refuse:
			http.Error(w, "no", http.StatusServiceUnavailable)
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(silent.Close)
	c := begin(t, "get", "sp", "-w", "-n", starts.URL+","+silent.URL)
	c.expect(
		"NODE    *   NAMESPACE   TYPE        ID              VERSION",
		"node1   +   k8s         StaticPod   default-nginx   1",
	)
	<-asked
	close(refuse)
	<-asked // again: it is known to have refused
	first.publish(named("node1", "default-nginx=2"))
	c.expect("node1       k8s         StaticPod   default-nginx   2")
	c.cancel()
	if code := <-c.code; code != 1 {
		t.Errorf("exit code %d though one was never reached", code)
	}
}

func TestGetWatchDocuments(t *testing.T) {
	e := exporterAt(t, "127.0.0.1:0", only("default-nginx=2"))
	yaml := begin(t, "get", "sp", "default-nginx", "-w", "-o", "yaml", "--address", e.server.URL)
	yaml.expect("node: node1", "event: created", "metadata:", "    namespace: k8s")
	names := begin(t, "get", "sp", "default-nginx", "-w", "-o", "name", "--address", e.server.URL)
	names.expect("default-nginx")
	objects := begin(t, "get", "sp", "default-nginx", "-w", "-o", "json", "--address", e.server.URL)
	objects.expect("{", `    "event": "created",`, `    "node": "node1",`, `    "metadata": {`)
	for line := ""; line != "}\n"; {
		var err error
		if line, err = objects.stdout.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	e.publish(only())
	objects.expect("{", `    "event": "destroyed",`, `    "node": "node1",`)
}

// An exporter that says nothing any more, as one whose machine lost its power, is left.
func TestGetWatchLeavesASilentExporter(t *testing.T) {
	requests := make(chan struct{}, 10)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests <- struct{}{}
		_, _ = io.WriteString(w, `{"event":"bookmark"}`+"\n")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}))
	t.Cleanup(server.Close)
	exporter, err := newClient(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	exporter.silence = 10 * time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	log := new(syncWriter)
	w := &watcher{exporter: exporter, path: "staticpods", printer: namePrinter{io.Discard}, log: log, known: map[string]known{},
		arrived: func(bool) error { return nil }}
	done := make(chan error, 1)
	go func() { done <- w.run(ctx) }()
	<-requests
	<-requests
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if !strings.Contains(log.String(), "the exporter has fallen silent; connecting again") {
		t.Errorf("log: %q", log)
	}
}

// A watch whose output nobody reads ends.
func TestGetWatchEndsWithItsOutput(t *testing.T) {
	e := exporterAt(t, "127.0.0.1:0", only("default-nginx=2"))
	reader, writer := io.Pipe()
	reader.Close()
	if code := run(t.Context(), []string{"get", "sp", "-w", "--address", e.server.URL}, writer, io.Discard); code != 1 {
		t.Errorf("exit code %d", code)
	}
}

func TestParseEvent(t *testing.T) {
	for line, want := range map[string]event{
		`{"event":"created","node":"n","spec":{"a":[1, 2]}}`: {"created", []byte(`{"node":"n","spec":{"a":[1, 2]}}`)},
		`{"node":"n","event":"updated"}`:                     {"updated", []byte(`{"node":"n"}`)},
		`{"event":"bookmark"}`:                               {"bookmark", nil},
	} {
		if got, err := parseEvent([]byte(line)); err != nil || got.name != want.name || string(got.object) != string(want.object) {
			t.Errorf("%s: got %s %s, %v", line, got.name, got.object, err)
		}
	}
	for _, line := range []string{"", "[]", "{", `{"event":1}`, `{"a":}`, "<html>"} {
		if _, err := parseEvent([]byte(line)); err == nil {
			t.Errorf("%q is an event", line)
		}
	}
}

func TestNewClient(t *testing.T) {
	for address, want := range map[string]string{
		"node2:10058":           "http://node2:10058",
		"node2":                 "http://node2:10058",
		"10.5.0.2":              "http://10.5.0.2:10058",
		"fd00::1":               "http://[fd00::1]:10058",
		"[fd00::1]":             "http://[fd00::1]:10058",
		"node2/prefix":          "http://node2:10058/prefix",
		"a:b@node2":             "http://a:b@node2:10058",
		"http://node2":          "http://node2",
		"[::1]:10058":           "http://[::1]:10058",
		"https://node2/prefix/": "https://node2/prefix/",
		"":                      "", "http://": "", "ftp://node2": "", "http://a b": "",
	} {
		c, err := newClient(address)
		if want == "" {
			if err == nil {
				t.Errorf("%q is an address", address)
			}
		} else if err != nil || c.base.String() != want {
			t.Errorf("%q: got %v, %v", address, c, err)
		}
	}
}
