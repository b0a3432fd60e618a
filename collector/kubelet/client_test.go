package kubelet

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

func TestNew(t *testing.T) {
	for _, tc := range []struct {
		o    Options
		want string // in the error, or the transports
	}{
		{Options{}, ""},
		{Options{PodsSocket: "auto", Endpoint: "auto"}, "pods-api https http"},
		{Options{PodsSocket: "unix:///x.sock"}, "pods-api"},
		{Options{Endpoint: "auto"}, "https http"},
		{Options{Endpoint: "https://node1:10250"}, "https"},
		{Options{Endpoint: "http://[::1]:10255/"}, "http"},
		{Options{PodsSocket: "/x.sock"}, `error: kubelet pods-socket "/x.sock"`},
		{Options{PodsSocket: "unix://x.sock"}, "error: kubelet pods-socket"},
		{Options{Endpoint: "node1:10250"}, "error: kubelet endpoint"},
		{Options{Endpoint: "127.0.0.1:10250"}, "error: kubelet endpoint"},
		{Options{Endpoint: "ftp://node1"}, "error: kubelet endpoint"},
		{Options{Endpoint: "https://"}, "error: kubelet endpoint"},
		{Options{Endpoint: "https://node1/?x=1"}, "error: kubelet endpoint"},
		{Options{Endpoint: "https://user:secret@node1"}, "error: kubelet endpoint: credentials belong"},
		{Options{Endpoint: "https://user:secret@node1\x7f"}, "error: kubelet endpoint: no URL"},
		{Options{CertFile: "x"}, "error: kubelet cert-file"},
		{Options{KeyFile: "x"}, "error: kubelet cert-file"},
		{Options{Timeout: -1}, "error: kubelet timeout"},
	} {
		c, err := New(tc.o)
		var got []string
		if err != nil {
			got = []string{"error: " + err.Error()}
		} else {
			for _, transport := range c.transports {
				got = append(got, transport.name)
			}
		}
		if s := strings.Join(got, " "); !strings.HasPrefix(s, tc.want) || tc.want == "" && s != "" || strings.Contains(s, "secret") {
			t.Errorf("%+v: %s, want %s", tc.o, s, tc.want)
		}
	}
}

func TestDefaults(t *testing.T) {
	c, err := New(Options{PodsSocket: "auto", Endpoint: "auto"})
	if err != nil {
		t.Fatal(err)
	}
	if c.socket.socket != "/var/lib/kubelet/pods-api/pods-api.sock" ||
		c.servers[0].base.String() != "https://127.0.0.1:10250" || c.servers[1].base.String() != "http://127.0.0.1:10255" {
		t.Errorf("%s, %s, %s", c.socket.socket, c.servers[0].base, c.servers[1].base)
	}
}

func TestNothingConfigured(t *testing.T) {
	c := newClient(t, Options{})
	if v, err := c.View(t.Context(), true); err == nil || v != nil {
		t.Errorf("view %v, error %v", v, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Run(ctx); err != nil || c.Healthy() {
		t.Errorf("run: %v", err)
	}
}

// The best transport that works is taken, a dead one costs nothing, and is tried again later.
func TestTransports(t *testing.T) {
	ca := newAuthority(t, "ca")
	secured, plain := newWebKubelet(crowd()...), newWebKubelet(crowd()...)
	plain.config = "" // as the read-only port
	s, p := secure(t, secured, ca, nil), httptest.NewServer(plain)
	t.Cleanup(p.Close)
	k, path := newSocketKubelet(t, crowd()...), socketPath(t)
	f := newFolder(t)
	var out lockedBuffer
	c := newClient(t, Options{PodsSocket: "unix://" + path, Endpoint: "auto", CAFile: f.write("ca", ca.pem),
		TokenFile: f.write("token", []byte("wrong")), Logger: slog.New(slog.NewTextHandler(&out, nil))})
	for i, url := range []string{s.URL, p.URL} {
		base, err := basesOf(url)
		if err != nil {
			t.Fatal(err)
		}
		c.servers[i].base = base[0]
	}
	elapse := func() {
		for _, transport := range c.transports {
			transport.again = time.Time{}
		}
	}
	secured.bearer = "right"

	v := view(t, c, true)
	if v.Transport != "http" || v.Config != nil || v.Version != "v1.37.2" {
		t.Errorf("view %+v", v)
	}
	view(t, c, true)
	if n := secured.asked("/pods"); n != 1 {
		t.Errorf("a transport that failed just now was asked %d times", n)
	}
	f.write("token", []byte("right"))
	elapse()
	if v := view(t, c, true); v.Transport != "https" || v.Config == nil {
		t.Errorf("view %+v", v)
	}
	k.start(path)
	if v := view(t, c, true); v.Transport != "https" {
		t.Errorf("transport %s, before it was time to try the better one", v.Transport)
	}
	elapse()
	if v := view(t, c, true); v.Transport != "pods-api" || v.Config == nil || v.Version != "v1.37.2" {
		t.Errorf("view %+v", v)
	}
	k.stop()
	if v := view(t, c, true); v.Transport != "https" {
		t.Errorf("transport %s after the socket died", v.Transport)
	}
	// The watch says that the socket is back, before it is time to try.
	changed := c.Changed()
	run(t, c)
	k.start(path)
	await(t, changed, "change")
	if v := view(t, c, true); v.Transport != "pods-api" {
		t.Errorf("transport %s after the socket came back", v.Transport)
	}

	// Nothing is left: the error tells of all, and the last resort is tried also when it failed just now.
	k.stop()
	secured.set(func() { secured.bearer = "other" })
	plain.set(func() { plain.answers["/pods"] = http.NotFound })
	for range 2 {
		_, err := c.View(t.Context(), true)
		if !errors.Is(err, ErrUnauthorized) {
			t.Fatalf("error %v", err)
		}
		for _, part := range []string{"kubelet pods-api: ", "; kubelet https: ", "; kubelet http: "} {
			if !strings.Contains("; "+err.Error(), part) {
				t.Errorf("error %v lacks %s", err, part)
			}
		}
	}
	plain.set(func() { delete(plain.answers, "/pods") })
	refusals := secured.asked("/pods")
	for range 2 {
		if v := view(t, c, true); v.Transport != "http" {
			t.Errorf("transport %s", v.Transport)
		}
	}
	if n := secured.asked("/pods") - refusals; n != 1 {
		t.Errorf("a transport that failed just now was asked %d times, when another one works again", n)
	}
	if n := strings.Count(out.String(), "asking the kubelet"); n != 6 {
		t.Errorf("%d lines about it, want one at each change:\n%s", n, out.String())
	}
}

// A transport that hangs leaves time for the others.
func TestTransportThatHangs(t *testing.T) {
	k, path := newSocketKubelet(t, crowd()...), socketPath(t)
	k.hangs["ListPods"] = true
	k.start(path)
	web := newWebKubelet(crowd()...)
	s := httptest.NewServer(web)
	t.Cleanup(s.Close)
	c := newClient(t, Options{PodsSocket: "unix://" + path, Endpoint: s.URL, Timeout: time.Hour})
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	v, err := c.View(ctx, true)
	if err != nil || v.Transport != "http" {
		t.Errorf("view %v, error %v", v, err)
	}
}

// An endpoint that is named is the only one that is asked.
func TestNamedEndpoint(t *testing.T) {
	c := newClient(t, Options{Endpoint: "http://127.0.0.1:1", PodsSocket: "unix://" + socketPath(t)})
	_, err := c.View(t.Context(), true)
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "127.0.0.1:1:") || strings.Contains(err.Error(), "10255") {
		t.Errorf("error %v", err)
	}
}

func TestTraces(t *testing.T) {
	recorder := tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder))
	k, path := newSocketKubelet(t, crowd()...), socketPath(t)
	web := newWebKubelet(crowd()...)
	web.config = ""
	s := httptest.NewServer(web)
	t.Cleanup(s.Close)
	c := newClient(t, Options{PodsSocket: "unix://" + path, Endpoint: s.URL, TracerProvider: provider})
	view(t, c, true)
	k.start(path)
	c.transports[0].again = time.Time{}
	view(t, c, true)
	var got []string
	for _, span := range recorder.Ended() {
		got = append(got, span.Name()+" "+span.Status().Code.String())
	}
	want := "v1alpha1.Pods/ListPods Error, GET /pods Unset, GET /configz Error, GET /metrics Unset, v1alpha1.Pods/ListPods Unset"
	if s := strings.Join(got, ", "); s != want {
		t.Errorf("spans %s\nwant %s", s, want)
	}
}

func TestConcurrentUse(t *testing.T) {
	k, path := newSocketKubelet(t, crowd()...), socketPath(t)
	k.start(path)
	web := newWebKubelet(crowd()...)
	s := secure(t, web, newAuthority(t, "ca"), nil)
	c := newClient(t, Options{PodsSocket: "unix://" + path, Endpoint: s.URL, InsecureSkipVerify: true})
	run(t, c)
	var users sync.WaitGroup
	for i := range 4 {
		users.Go(func() {
			for range 20 {
				if _, err := c.View(context.Background(), i%2 == 0); err != nil {
					t.Error(err)
				}
				c.Changed()
				c.Healthy()
			}
		})
	}
	users.Go(func() {
		for range 20 {
			k.live <- modified(t, newPod("web-node1", "http", pending))
			k.live <- modified(t, newPod("web-node1", "http", running))
		}
	})
	users.Wait()
}
