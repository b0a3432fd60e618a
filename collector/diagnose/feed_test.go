package diagnose

import (
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/staticpod-exporter/staticpod-exporter/collector/kubelet"
	"github.com/staticpod-exporter/staticpod-exporter/manifest"
)

func TestFeedURL(t *testing.T) {
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const listen = "127.0.0.1:959"
	serving := Feed{Listen: listen}
	for name, test := range map[string]struct {
		feed    Feed
		config  *kubelet.Config
		outcome Outcome
		parts   []string
	}{
		"not known":         {serving, nil, Skipped, []string{"see kubelet.endpoint"}},
		"ours":              {serving, &kubelet.Config{StaticPodURL: "http://127.0.0.1:959/pods"}, OK, []string{"is the exporter"}},
		"ours by name":      {serving, &kubelet.Config{StaticPodURL: "http://localhost:959/pods"}, OK, nil},
		"ours on all":       {Feed{Listen: ":959"}, &kubelet.Config{StaticPodURL: "http://127.0.0.1:959/pods"}, OK, nil},
		"ours on all, none": {Feed{Listen: "[::]:959"}, &kubelet.Config{}, Fail, []string{"set staticPodURL: http://127.0.0.1:959/pods"}},
		"another's address": {Feed{Listen: ":959"}, &kubelet.Config{StaticPodURL: "http://203.0.113.77:959/pods"}, Fail, []string{"the exporter serves at http://127.0.0.1:959/pods"}},
		"none":              {serving, &kubelet.Config{}, Fail, []string{"has no staticPodURL", "set staticPodURL: http://127.0.0.1:959/pods"}},
		"another port":      {serving, &kubelet.Config{StaticPodURL: "http://u:hunter2@127.0.0.1:80/x?token=hunter2"}, Fail, []string{"the exporter serves at http://127.0.0.1:959/pods"}},
		"another host":      {serving, &kubelet.Config{StaticPodURL: "http://192.0.2.1:959/pods"}, Fail, nil},
		"TLS":               {serving, &kubelet.Config{StaticPodURL: "https://127.0.0.1:959/pods"}, Fail, nil},
		"another path":      {serving, &kubelet.Config{StaticPodURL: "http://127.0.0.1:959/manifests"}, Fail, []string{"where the exporter has nothing"}},
		"no URL":            {serving, &kubelet.Config{StaticPodURL: "http://[::1"}, Fail, nil},
		"with the token":    {Feed{listen, token}, &kubelet.Config{StaticPodURL: "http://127.0.0.1:959/pods", StaticPodURLHeader: kubelet.Header{"authorization": {"Bearer secret"}}}, OK, []string{"has its token"}},
		"with another":      {Feed{listen, token}, &kubelet.Config{StaticPodURL: "http://127.0.0.1:959/pods", StaticPodURLHeader: kubelet.Header{"Authorization": {"Bearer hunter2"}}}, Fail, []string{"staticPodURLHeader"}},
		"without a token":   {Feed{listen, token}, &kubelet.Config{StaticPodURL: "http://127.0.0.1:959/pods"}, Fail, nil},
		"a missing token":   {Feed{listen, "/missing"}, &kubelet.Config{StaticPodURL: "http://127.0.0.1:959/pods"}, Fail, []string{"/missing"}},
		"none, observing":   {Feed{}, &kubelet.Config{}, OK, []string{"the exporter observes"}},
		"no URL, observing": {Feed{}, &kubelet.Config{StaticPodURL: "http://[::1"}, Fail, nil},
	} {
		t.Run(name, func(t *testing.T) {
			check := test.feed.URL(&Kubelet{known: facts{config: test.config}})
			expect(t, check, test.outcome, test.parts...)
			for _, f := range check.Run(t.Context()) {
				if strings.Contains(f.Message+f.Advice, "hunter2") || strings.Contains(f.Message+f.Advice, "secret") {
					t.Errorf("it tells a credential: %+v", f)
				}
			}
		})
	}
}

// The kubelet may fetch by any address of the machine where the exporter listens on all.
func TestFeedURLByAnAddressOfTheMachine(t *testing.T) {
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addresses {
		network, ok := a.(*net.IPNet)
		if !ok || !network.IP.IsGlobalUnicast() {
			continue
		}
		k := &Kubelet{known: facts{config: &kubelet.Config{StaticPodURL: "http://" + net.JoinHostPort(network.IP.String(), "959") + "/pods"}}}
		for listen, want := range map[string]Outcome{":959": OK, "0.0.0.0:959": OK, "[::]:959": OK, ":960": Fail, "127.0.0.1:959": Fail} {
			expect(t, Feed{Listen: listen}.URL(k), want)
		}
	}
}

// Another server is asked with the kubelet's own credentials, which go nowhere else.
func TestForeignURL(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		t.Error("a redirect was followed")
	}))
	t.Cleanup(elsewhere.Close)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Header.Get("Authorization") != "Bearer hunter2" || r.UserAgent() != userAgent:
			w.WriteHeader(http.StatusTeapot)
		case r.URL.Path == "/moved":
			http.Redirect(w, r, elsewhere.URL, http.StatusFound)
		case r.URL.Path != "/pods":
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(server.Close)
	at := func(url string) Check {
		return Feed{}.URL(&Kubelet{known: facts{config: &kubelet.Config{StaticPodURL: url, StaticPodURLHeader: kubelet.Header{"authorization": {"Bearer hunter2"}}}}})
	}
	expect(t, at(server.URL+"/pods"), OK, "another server's, answers")
	expect(t, at(server.URL+"/gone"), Fail, "404 Not Found", "look at the server")
	expect(t, at(server.URL+"/moved"), Fail, "302")
	server.Close()
	expect(t, at(server.URL+"/pods"), Fail, "connection refused")
}

func TestListener(t *testing.T) {
	server := manifest.ServerName
	serve := func(code int) string {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.UserAgent() != userAgent || r.Header.Get("Authorization") != "" {
				t.Errorf("asked as %q", r.UserAgent())
			}
			w.Header().Set("Server", server)
			w.WriteHeader(code)
		}))
		t.Cleanup(s.Close)
		return s.Listener.Addr().String()
	}
	expect(t, Feed{Listen: serve(200)}.Listener(), OK, "serves a list")
	expect(t, Feed{}.Listener(), Skipped, "observes")
	expect(t, Feed{Listen: serve(401), TokenFile: "x"}.Listener(), OK, "wants its token")
	expect(t, Feed{Listen: serve(401)}.Listener(), Fail, "another configuration")
	expect(t, Feed{Listen: serve(503)}.Listener(), Warn, "serves no list now")
	expectHangs(t, Feed{Listen: hangs(t)}.Listener())
	_, port, err := net.SplitHostPort(serve(200))
	if err != nil {
		t.Fatal(err)
	}
	expect(t, Feed{Listen: ":" + port}.Listener(), OK, "http://127.0.0.1:"+port+"/pods serves a list")
	server = "nginx"
	for _, code := range []int{200, 401, 404, 503} {
		expect(t, Feed{Listen: serve(code), TokenFile: "x"}.Listener(), Fail, strconv.Itoa(code), "not as a staticpod-exporter does", "ss -ltnp")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	expect(t, Feed{Listen: l.Addr().String()}.Listener(), Warn, "is free", "systemctl start")
	expect(t, Feed{Listen: "192.0.2.1.invalid:80"}.Listener(), Fail)
}

// hangs is the address of a program that was stopped: its kernel takes connections, and that is all.
func hangs(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.Addr().String()
}

func expectHangs(t *testing.T, c Check) {
	t.Helper()
	found := c.within(t.Context(), 100*time.Millisecond)
	if len(found) != 1 || found[0].Outcome != Fail || !strings.Contains(found[0].Message, "does not answer") || !strings.Contains(found[0].Advice, "it hangs: look at journalctl") {
		t.Errorf("%s: %+v", c.Name, found)
	}
}

func TestExporter(t *testing.T) {
	serve := func(secure bool, code int, body string) string {
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(code)
			_, _ = w.Write([]byte(body))
		}))
		if s.Start(); secure {
			s.Close()
			s = httptest.NewTLSServer(s.Config.Handler)
		}
		t.Cleanup(s.Close)
		return s.Listener.Addr().String()
	}
	_, port, err := net.SplitHostPort(serve(false, 200, "ok\n"))
	if err != nil {
		t.Fatal(err)
	}
	expect(t, Exporter([]string{":" + port}, false), OK, "the exporter runs and answers at http://127.0.0.1:"+port)
	expect(t, Exporter([]string{serve(true, 200, "ok\n")}, true), OK, "https://")
	expect(t, Exporter([]string{serve(true, 401, "")}, true), OK, "wants a password")
	expect(t, Exporter([]string{serve(false, 200, "ok\n")}, true), Fail, "the web configuration differs")
	expectHangs(t, Exporter([]string{hangs(t)}, false))
	expectHangs(t, Exporter([]string{hangs(t)}, true))
	expect(t, Exporter([]string{serve(false, 503, "not yet")}, false), Warn, "not ready: not yet")
	expect(t, Exporter([]string{serve(false, 200, "<html>")}, false), Fail, "another program")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	expect(t, Exporter([]string{l.Addr().String()}, false), Warn, "the exporter does not run")
	expect(t, Exporter(nil, false), Skipped, "systemd")
	expect(t, Exporter([]string{"x"}, false), Fail, "HOST:PORT")
}
