package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/staticpod-exporter/staticpod-exporter/collector/status"
	"github.com/staticpod-exporter/staticpod-exporter/observe/fleet/fleettest"
	"github.com/staticpod-exporter/staticpod-exporter/observe/web"
)

var update = flag.Bool("update", false, "write the golden output in the scripts")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){program: main})
}

// TestScripts runs the real command against a real listener on $ADDRESS that serves a snapshot; at $OTHER
// there is a server of another kind. $NODE2 and $NODE3 are exporters of other nodes, at $DEAD nobody listens, and
// $PROMETHEUS has scraped all of them; $SECURED is the same, but asks who it is. In the scripts "snapshot NAME"
// replaces the snapshot, "exporter stop" takes the listener away, "runtime start FILE" and "runtime stop" do so with a
// container runtime at $RUNTIME, and "exitcode N COMMAND" runs a command that must exit with N.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:           "testdata/script",
		UpdateScripts: *update,
		Setup: func(env *testscript.Env) error {
			e, err := newExporter("127.0.0.1:0", snapshot("fixture"))
			if err != nil {
				return err
			}
			env.Defer(e.server.Close)
			env.Setenv("ADDRESS", e.server.URL)
			env.Setenv("HOSTPORT", e.server.Listener.Addr().String())
			env.Values[exporterKey{}] = e
			other := httptest.NewServer(http.NotFoundHandler())
			env.Defer(other.Close)
			env.Setenv("OTHER", other.URL)
			env.Setenv("OTHERHOSTPORT", other.Listener.Addr().String())
			return errors.Join(setNodes(env), setUpRuntime(env))
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"runtime": runtimeCommand,
			"snapshot": func(ts *testscript.TestScript, _ bool, args []string) {
				ts.Value(exporterKey{}).(*exporter).publish(snapshot(args[0]))
			},
			"exitcode": func(ts *testscript.TestScript, neg bool, args []string) {
				if neg || len(args) < 2 {
					ts.Fatalf("usage: exitcode N COMMAND...")
				}
				got := 0
				if err := ts.Exec(args[1], args[2:]...); err != nil {
					exit, ok := errors.AsType[*exec.ExitError](err)
					if !ok {
						ts.Fatalf("%v", err)
					}
					got = exit.ExitCode()
				}
				if strconv.Itoa(got) != args[0] {
					ts.Fatalf("exit code %d, want %s", got, args[0])
				}
			},
			"exporter": func(ts *testscript.TestScript, neg bool, args []string) {
				if neg || len(args) != 1 || args[0] != "stop" {
					ts.Fatalf("usage: exporter stop")
				}
				ts.Value(exporterKey{}).(*exporter).server.Close()
			},
		},
	})
}

// setNodes starts the exporters of other nodes, and a Prometheus that scrapes them and one that is down.
func setNodes(env *testscript.Env) error {
	prometheus := fleettest.Start()
	env.Defer(prometheus.Close)
	env.Setenv("PROMETHEUS", prometheus.URL)
	for i, name := range []string{"node1", "node2", "ノード3"} {
		s := snapshot("fixture")
		s.Node, s.Info.Node = name, name
		for _, p := range s.Pods {
			p.Node = name
		}
		for _, st := range s.Statuses {
			st.Node = name
		}
		// Not all nodes have the same.
		s.Pods, s.Statuses = s.Pods[:len(s.Pods)-i], s.Statuses[:len(s.Statuses)-i]
		if i > 0 {
			e, err := newExporter("127.0.0.1:0", s)
			if err != nil {
				return err
			}
			env.Defer(e.server.Close)
			env.Setenv(fmt.Sprintf("NODE%d", i+1), e.server.Listener.Addr().String())
		}
		target := fleettest.Target{Labels: model.LabelSet{"job": "static", "instance": model.LabelValue(fmt.Sprintf("10.0.0.%d:10058", i+1))}}
		if err := prometheus.Scrape(s, target); err != nil {
			return err
		}
	}
	prometheus.Down(fleettest.Target{Labels: model.LabelSet{"job": "static", "instance": "10.0.0.4:10058"}})

	secured := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		if user != "operator" || password != "hunter2" || r.Header.Get("X-Scope-OrgID") != "edge" {
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		}
		prometheus.ServeHTTP(w, r)
	}))
	env.Defer(secured.Close)
	env.Setenv("SECURED", secured.URL)

	dead, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	env.Setenv("DEAD", dead.Addr().String())
	return dead.Close()
}

type exporterKey struct{}

// An exporter serves a snapshot as the real one does.
type exporter struct {
	server *httptest.Server

	mu       sync.Mutex
	snapshot *status.Snapshot
	replaced chan struct{}
}

// newExporter listens on address.
func newExporter(address string, s *status.Snapshot) (*exporter, error) {
	e := &exporter{snapshot: s, replaced: make(chan struct{})}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	e.server = &httptest.Server{Listener: listener, Config: &http.Server{Handler: web.New(web.Options{
		Latest: func() *status.Snapshot {
			e.mu.Lock()
			defer e.mu.Unlock()
			return e.snapshot
		},
		Changed: func() <-chan struct{} {
			e.mu.Lock()
			defer e.mu.Unlock()
			return e.replaced
		},
		Metrics: http.NotFoundHandler(),
		Reload:  func(context.Context) error { return errors.New("not here") },
		Live:    func() error { return nil },
		Logger:  slog.New(slog.DiscardHandler),
	})}}
	e.server.Start()
	return e, nil
}

func (e *exporter) publish(s *status.Snapshot) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.snapshot = s
	close(e.replaced)
	e.replaced = make(chan struct{})
}

// snapshot returns a snapshot: the fixture, one that is as if observed just now (recent), one whose values
// would break a table (wild), one without pods (empty), or none at all (none).
func snapshot(name string) *status.Snapshot {
	s := &status.Snapshot{Node: "node1", At: time.Now()}
	switch name {
	case "none":
		return nil
	case "empty":
		return s
	case "wild":
		for i, id := range []string{"default-ポッド", "default-two\nlines", "default-\x1b[31mred", "file:/etc/100%25?#.yaml"} {
			s.Pods = append(s.Pods, &status.StaticPod{Node: "node1", Metadata: status.Metadata{
				Namespace: status.Namespace, Type: status.TypeStaticPod, ID: id, Version: uint64(i + 1),
			}})
		}
		return s
	}
	content, err := os.ReadFile("../../observe/web/testdata/snapshot.json")
	if err != nil {
		panic(err)
	}
	if err := json.Unmarshal(content, s); err != nil {
		panic(err)
	}
	if name == "recent" {
		created := time.Now().Add(-77*time.Hour - 30*time.Minute)
		for _, p := range s.Pods {
			p.Metadata.Created = created
		}
		for _, p := range s.Statuses {
			p.Metadata.Created = created
		}
	}
	return s
}

// A syncWriter may be written and read at once.
type syncWriter struct {
	mu sync.Mutex
	b  []byte
}

func (w *syncWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.b = append(w.b, p...)
	return len(p), nil
}

func (w *syncWriter) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return string(w.b)
}
