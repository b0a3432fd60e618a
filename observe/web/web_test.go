package web

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/staticpod-exporter/staticpod-exporter/collector/status"
	"github.com/staticpod-exporter/staticpod-exporter/docs"
)

var update = flag.Bool("update", false, "write the golden files")

// A feed hands out snapshots as a status.Tracker does.
type feed struct {
	mu       sync.Mutex
	snapshot *status.Snapshot
	replaced chan struct{}
}

func newFeed(s *status.Snapshot) *feed { return &feed{snapshot: s, replaced: make(chan struct{})} }

func (f *feed) latest() *status.Snapshot {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.snapshot
}

func (f *feed) changed() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.replaced
}

func (f *feed) publish(s *status.Snapshot) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.snapshot = s
	close(f.replaced)
	f.replaced = make(chan struct{})
}

// fixture reads the snapshot that golden files are of.
func fixture(t testing.TB) *status.Snapshot {
	t.Helper()
	content, err := os.ReadFile("testdata/snapshot.json")
	if err != nil {
		t.Fatal(err)
	}
	s := new(status.Snapshot)
	if err := json.Unmarshal(content, s); err != nil {
		t.Fatal(err)
	}
	return s
}

// pods returns a snapshot of definitions given as id=version or id=version@creation.
func pods(ids ...string) *status.Snapshot {
	s := &status.Snapshot{Node: "node1", At: time.Unix(1e9, 0)}
	for _, id := range ids {
		id, rest, _ := strings.Cut(id, "=")
		version, creation := 1, 1
		if _, err := fmt.Sscanf(rest, "%d@%d", &version, &creation); err != nil && version == 0 {
			panic(err)
		}
		s.Pods = append(s.Pods, &status.StaticPod{Node: "node1", Metadata: status.Metadata{
			Namespace: "k8s", Type: status.TypeStaticPod, ID: id, Version: uint64(version), Created: time.Unix(int64(creation), 0).UTC(),
		}})
	}
	slices.SortFunc(s.Pods, func(a, b *status.StaticPod) int { return cmp.Compare(a.Metadata.ID, b.Metadata.ID) })
	return s
}

// options are what a test of f needs.
func options(f *feed) Options {
	return Options{
		Latest: f.latest, Changed: f.changed,
		Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "staticpod_up 1\n") }),
		Reload:  func(context.Context) error { return nil },
		Live:    func() error { return nil },
		Version: "1.2.3", Logger: slog.New(slog.DiscardHandler),
	}
}

// start serves o and returns the server.
func start(t testing.TB, o Options) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(New(o))
	t.Cleanup(server.Close)
	return server
}

type answer struct {
	code   int
	header http.Header
	body   string
}

// ask sends a request whose headers are given as name, value, ...
func ask(t testing.TB, method, url string, headers ...string) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
		if headers[i] == "Host" {
			r.Host = headers[i+1]
		}
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{response.StatusCode, response.Header, string(body)}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs; got\n%s", path, got)
	}
}

func TestGolden(t *testing.T) {
	server := start(t, options(newFeed(fixture(t))))
	for _, test := range []struct{ path, accept, name, media string }{
		{"/staticpods", "*/*", "staticpods.json", "application/json"},
		{"/staticpods?output=yaml", "", "staticpods.yaml", "application/yaml"},
		{"/staticpods?output=table", "", "staticpods.table", "text/plain; charset=utf-8"},
		{"/staticpods?output=wide", "", "staticpods.wide", "text/plain; charset=utf-8"},
		{"/staticpodstatus", "*/*", "staticpodstatus.json", "application/json"},
		{"/staticpodstatus?output=yaml", "", "staticpodstatus.yaml", "application/yaml"},
		{"/staticpodstatus?output=table", "", "staticpodstatus.table", "text/plain; charset=utf-8"},
		{"/staticpodstatus?output=wide", "", "staticpodstatus.wide", "text/plain; charset=utf-8"},
		{"/", "*/*", "page.html", "text/html; charset=utf-8"},
		{"/?q=ETCD+crash&state=critical", "*/*", "page-filtered.html", "text/html; charset=utf-8"},
		{"/staticpodstatus/kube-system/etcd-node1", "text/html", "detail.html", "text/html; charset=utf-8"},
		{"/staticpodstatus/default/broken-node1", "text/html", "detail-refused.html", "text/html; charset=utf-8"},
		{"/staticpodstatus/default/nginx-node1", "text/html", "detail-ready.html", "text/html; charset=utf-8"},
		{"/staticpodstatus/node", "text/html", "detail-node.html", "text/html; charset=utf-8"},
	} {
		a := ask(t, "GET", server.URL+test.path, "Accept", test.accept)
		if a.code != 200 || a.header.Get("Content-Type") != test.media {
			t.Errorf("%s: %d %s", test.path, a.code, a.header.Get("Content-Type"))
		}
		if filepath.Ext(test.name) == ".html" {
			a.body = skeleton(a.body)
		}
		golden(t, test.name, a.body)
	}
}

// skeleton leaves out of a page what the golden files need not repeat: the style, the script and the name of the build.
func skeleton(page string) string {
	return regexp.MustCompile(`(?s)<(style|script)>.*?</(?:style|script)>| data-build="[0-9a-f]+"`).ReplaceAllString(page, "<$1>")
}

// One resource is what its listing holds, whichever way its ID is written.
func TestOneResource(t *testing.T) {
	s := fixture(t)
	server := start(t, options(newFeed(s)))
	for path, want := range map[string]*status.StaticPodStatus{
		"/staticpodstatus/default/nginx-node1":                                   s.Statuses[1],
		"/staticpodstatus/default%2Fnginx-node1":                                 s.Statuses[1],
		"/staticpodstatus/file:/etc/staticpod-exporter/pods.d/half.yaml":         s.Statuses[2],
		"/staticpodstatus/file:%2Fetc%2Fstaticpod-exporter%2Fpods.d%2Fhalf.yaml": s.Statuses[2],
		"/staticpodstatus/file%3A%2Fetc/staticpod-exporter/pods.d/half.yaml":     s.Statuses[2],
		"/staticpodstatus/node":                                                  s.Statuses[4],
	} {
		a := ask(t, "GET", server.URL+path)
		var got status.StaticPodStatus
		if err := json.Unmarshal([]byte(a.body), &got); err != nil || a.code != 200 {
			t.Fatalf("%s: %d %v %s", path, a.code, err, a.body)
		}
		if got.Metadata != want.Metadata {
			t.Errorf("%s: got %v", path, got.Metadata)
		}
	}
	if a := ask(t, "GET", server.URL+"/staticpods/default-nginx?output=table"); a.body !=
		"NODE    NAMESPACE   TYPE        ID              VERSION\nnode1   k8s         StaticPod   default-nginx   2\n" {
		t.Errorf("got\n%s", a.body)
	}
	if a := ask(t, "GET", server.URL+"/staticpods/default-nginx?output=yaml"); !strings.HasPrefix(a.body, "node: node1\nmetadata:\n    namespace: k8s\n") {
		t.Errorf("got\n%s", a.body)
	}
	if a, b := ask(t, "GET", server.URL+"/staticpods/"), ask(t, "GET", server.URL+"/staticpods"); a.body != b.body {
		t.Errorf("a slash behind the path gives\n%s", a.body)
	}
}

func TestEmpty(t *testing.T) {
	server := start(t, options(newFeed(pods())))
	for path, want := range map[string]string{
		"/staticpods":                   "{\"items\":[]}\n",
		"/staticpods?output=yaml":       "",
		"/staticpods?output=table":      "NODE   NAMESPACE   TYPE   ID   VERSION\n",
		"/staticpodstatus?output=table": "NODE   NAMESPACE   TYPE   ID   VERSION   READY\n",
	} {
		if a := ask(t, "GET", server.URL+path); a.code != 200 || a.body != want {
			t.Errorf("%s: %d %q, want %q", path, a.code, a.body, want)
		}
	}
	if a := ask(t, "GET", server.URL+"/staticpods/x", "Accept", "text/plain"); a.body != "no StaticPod \"x\": the node has none\n" {
		t.Errorf("got %q", a.body)
	}
}

func TestRefusals(t *testing.T) {
	server := start(t, options(newFeed(pods("a-a", "b-b"))))
	for _, test := range []struct {
		method, path, accept string
		code                 int
		want                 string
	}{
		{"GET", "/staticpods/c-c", "*/*", 404, `{"error":"no StaticPod \"c-c\"","exists":["a-a","b-b"]}` + "\n"},
		{"GET", "/staticpods/c-c?output=table", "", 404, "no StaticPod \"c-c\"; there are: a-a, b-b\n"},
		{"GET", "/staticpods?output=xml", "", 400, "unknown output \"xml\": there are json, yaml, table, wide\n"},
		{"GET", "/staticpods", "image/png", 406, "not acceptable: there are application/json, application/yaml, application/x-yaml, text/yaml, text/plain, text/html\n"},
		{"GET", "/staticpods", "application/json;q=0", 406, "not acceptable: there are application/json, application/yaml, application/x-yaml, text/yaml, text/plain, text/html\n"},
		{"GET", "/staticpods?watch=maybe", "", 400, `{"error":"watch=\"maybe\" is neither true nor false"}` + "\n"},
		{"GET", "/staticpods?watch=true&output=table", "", 400, "unknown output \"table\": a watch has json, or html for the parts of the page, or server-sent events by the header Accept: text/event-stream\n"},
		{"GET", "/staticpods?watch=true", "image/png", 406, "not acceptable: there are application/x-ndjson, application/json, text/event-stream\n"},
		{"GET", "/pods", "text/plain", 404, "no such path; there are: /, /staticpods, /staticpodstatus, /reasons, /metrics, /-/healthy, /-/ready, /-/reload, /livez, /readyz\n"},
		{"POST", "/staticpods", "", 405, "Method Not Allowed\n"},
		{"GET", "/-/reload", "", 405, "POST it\n"},
		{"POST", "/metrics", "", 405, "Method Not Allowed\n"},
	} {
		a := ask(t, test.method, server.URL+test.path, "Accept", test.accept)
		if a.code != test.code || test.want != "" && a.body != test.want {
			t.Errorf("%s %s for %q: %d %q, want %d %q", test.method, test.path, test.accept, a.code, a.body, test.code, test.want)
		}
	}
	many := make([]string, 30)
	for i := range many {
		many[i] = fmt.Sprintf("pod-%02d", i)
	}
	server = start(t, options(newFeed(pods(many...))))
	if a := ask(t, "GET", server.URL+"/staticpods/x", "Accept", "text/plain"); !strings.HasSuffix(a.body, "pod-18, pod-19, 10 more\n") {
		t.Errorf("got %q", a.body)
	}
}

// What to do about a reason can be read where the node has no way out, by people and by curl.
func TestReasons(t *testing.T) {
	server := start(t, options(newFeed(nil)))
	page := ask(t, "GET", server.URL+"/reasons", "Accept", "text/html,*/*;q=0.8")
	if page.code != 200 || !strings.HasPrefix(page.header.Get("Content-Type"), "text/html") || page.header.Get("ETag") == "" {
		t.Errorf("%d %v", page.code, page.header)
	}
	for _, code := range status.Reasons() {
		if !strings.Contains(page.body, fmt.Sprintf("id=%q", string(code.Reason))) {
			t.Errorf("the page has no section %s", code.Reason)
		}
	}
	if strings.Contains(page.body, "`") || strings.Contains(page.body, "](") {
		t.Error("the page has Markdown in it")
	}
	text := ask(t, "GET", server.URL+"/reasons")
	if text.code != 200 || text.body != docs.Reasons() || !strings.HasPrefix(text.header.Get("Content-Type"), "text/plain") {
		t.Errorf("%d %v", text.code, text.header)
	}
	if a := ask(t, "GET", server.URL+"/reasons", "Accept", "image/png"); a.code != 406 {
		t.Errorf("%d %q", a.code, a.body)
	}
}

func TestNegotiation(t *testing.T) {
	for accept, want := range map[string]form{
		"":                 asJSON,
		"*/*":              asJSON,
		"application/json": asJSON,
		"application/yaml": asYAML,
		"text/plain":       asTable,
		"text/*":           asYAML,
		"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8": asPage,
		"application/json, text/plain, */*":                               asJSON,
		"text/plain;q=0.5, application/yaml;q=0.9":                        asYAML,
		"*/*, application/json;q=0":                                       asYAML,
		"garbage;;;, text/html":                                           asPage,
		"text/html;q=2, application/yaml;q=0.1":                           asYAML,
		"text/html, */*":                                                  asPage,
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Accept", accept)
		if got, err := negotiate(r, offers()); got != want || err != nil {
			t.Errorf("%q gets %q %v, want %q", accept, got, err, want)
		}
	}
}

func TestBeforeTheFirstSnapshot(t *testing.T) {
	f := newFeed(nil)
	server := start(t, options(f))
	for _, path := range []string{"/staticpods", "/staticpodstatus/node", "/staticpods?watch=true", "/-/ready", "/readyz", "/"} {
		if a := ask(t, "GET", server.URL+path); a.code != 503 || a.header.Get("Retry-After") == "" || a.header.Get("ETag") != "" {
			t.Errorf("%s: %d %v", path, a.code, a.header)
		}
	}
	if a := ask(t, "GET", server.URL+"/", "Accept", "text/html"); !strings.Contains(a.body, "not been observed yet") {
		t.Errorf("got %s", a.body)
	}
	for _, path := range []string{"/metrics", "/-/healthy", "/livez", "/healthz"} {
		if a := ask(t, "GET", server.URL+path); a.code != 200 {
			t.Errorf("%s: %d", path, a.code)
		}
	}
	f.publish(pods("a-a"))
	for _, path := range []string{"/staticpods", "/-/ready", "/readyz", "/"} {
		if a := ask(t, "GET", server.URL+path); a.code != 200 {
			t.Errorf("%s: %d", path, a.code)
		}
	}
}

func TestHealth(t *testing.T) {
	o := options(newFeed(pods()))
	o.Live = func() error { return errors.New("no observation for 3m") }
	server := start(t, o)
	for _, path := range []string{"/-/healthy", "/livez", "/healthz"} {
		if a := ask(t, "GET", server.URL+path); a.code != 503 || a.body != "no observation for 3m\n" {
			t.Errorf("%s: %d %q", path, a.code, a.body)
		}
	}
}

func TestHealthOfWhoeverAnswers(t *testing.T) {
	o := options(newFeed(pods()))
	o.Live = nil
	server := start(t, o)
	if a := ask(t, "GET", server.URL+"/livez"); a.code != 200 || a.body != "ok\n" {
		t.Errorf("%d %q", a.code, a.body)
	}
}

func TestEntityTag(t *testing.T) {
	f := newFeed(pods("a-a", "b-b"))
	server := start(t, options(f))
	for _, path := range []string{"/staticpods", "/staticpods?output=yaml", "/staticpods/a-a", "/"} {
		first := ask(t, "GET", server.URL+path)
		tag := first.header.Get("ETag")
		if again := ask(t, "GET", server.URL+path, "If-None-Match", tag); tag == "" || again.code != 304 || again.body != "" {
			t.Errorf("%s: %d with tag %q", path, again.code, tag)
		}
	}
	tag := ask(t, "GET", server.URL+"/staticpods").header.Get("ETag")
	f.publish(pods("a-a", "b-b"))
	if a := ask(t, "GET", server.URL+"/staticpods", "If-None-Match", tag); a.code != 304 {
		t.Errorf("a snapshot of the same gives %d", a.code)
	}
	f.publish(pods("a-a", "b-b=2"))
	if a := ask(t, "GET", server.URL+"/staticpods", "If-None-Match", tag); a.code != 200 {
		t.Errorf("a snapshot of something else gives %d", a.code)
	}
}

func TestHead(t *testing.T) {
	server := start(t, options(newFeed(fixture(t))))
	for _, path := range []string{"/", "/staticpods", "/staticpodstatus/node", "/metrics", "/livez", "/staticpods?watch=true"} {
		if a := ask(t, "HEAD", server.URL+path); a.code != 200 || a.body != "" {
			t.Errorf("%s: %d %q", path, a.code, a.body)
		}
	}
	if a := ask(t, "HEAD", server.URL+"/staticpods"); a.header.Get("Content-Length") == "" {
		t.Error("no length")
	}
}

func TestSecurityHeaders(t *testing.T) {
	server := start(t, options(newFeed(fixture(t))))
	for _, path := range []string{"/", "/staticpods", "/nothing", "/metrics"} {
		header := ask(t, "GET", server.URL+path, "Origin", "http://elsewhere").header
		for name, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer",
			"Cross-Origin-Resource-Policy": "same-origin", "Access-Control-Allow-Origin": "",
		} {
			if got := header.Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", path, name, got, want)
			}
		}
	}
}

// Nothing is computed twice for one snapshot, and for the next only what changed.
func TestRenderingIsKept(t *testing.T) {
	first := pods("a-a", "b-b")
	next := pods("b-b=2")
	next.Pods = []*status.StaticPod{first.Pods[0], next.Pods[0]}
	f := newFeed(first)
	h := newHandler(options(f))
	before := h.render()
	if h.render() != before {
		t.Error("rendered twice")
	}
	one, err := before.pods.byID["a-a"].json()
	if err != nil {
		t.Fatal(err)
	}
	f.publish(next)
	after := h.render()
	same, err := after.pods.byID["a-a"].json()
	if err != nil {
		t.Fatal(err)
	}
	if &one[0] != &same[0] {
		t.Error("a pod that did not change was rendered again")
	}
	if after.pods.byID["b-b"] == before.pods.byID["b-b"] {
		t.Error("a pod that changed was not rendered again")
	}
	x, err := after.pods.body(asJSON)
	if err != nil {
		t.Fatal(err)
	}
	y, _ := after.pods.body(asJSON)
	if !bytes.Contains(x.bytes, []byte(`"version":2`)) || &x.bytes[0] != &y.bytes[0] {
		t.Errorf("got %s", x.bytes)
	}
}

// Readers and a writer at once, for the race detector.
func TestConcurrentReaders(t *testing.T) {
	f := newFeed(fixture(t))
	server := start(t, options(f))
	var readers sync.WaitGroup
	for _, path := range []string{"/", "/staticpods", "/staticpodstatus?output=yaml", "/staticpodstatus?output=wide", "/staticpods/default-nginx"} {
		readers.Go(func() {
			for range 20 {
				if a := ask(t, "GET", server.URL+path); a.code != 200 {
					t.Errorf("%s: %d", path, a.code)
				}
			}
		})
	}
	for range 20 {
		f.publish(fixture(t))
	}
	readers.Wait()
}
