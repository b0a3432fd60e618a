package manifest

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// podList is a PodList of YAML items.
func podList(items ...string) string {
	if len(items) == 0 {
		return "apiVersion: v1\nkind: PodList\nitems: []\n"
	}
	var b strings.Builder
	b.WriteString("apiVersion: v1\nkind: PodList\nitems:\n")
	for _, item := range items {
		b.WriteString("- " + strings.ReplaceAll(strings.TrimSuffix(item, "\n"), "\n", "\n  ") + "\n")
	}
	return b.String()
}

const feedURL = "http://feed.example:8000/pods?token=hunter2"

func TestForeignLists(t *testing.T) {
	bad := strings.Replace(block("bad"), "image: i", "imag: i", 1)
	for _, test := range []struct {
		name, body string
		unread     bool
		want       string // outline of the candidates
		faults     string // reasons of what names no pod
		refusal    string
		uids       int
		undecoded  bool
	}{
		{name: "one pod", body: block("a"), want: "1 default/a\n", uids: 1},
		{name: "a list", body: podList(block("a"), block("b")), want: "4 default/a\n12 default/b\n", uids: 2},
		{name: "a list without pods", body: podList()},
		{name: "a list without items", body: "apiVersion: v1\nkind: PodList\n"},
		{name: "nothing at all", body: ""},
		{name: "a culprit between others", body: podList(block("a"), bad, block("c")),
			want: "4 default/a\n12 default/bad ManifestInvalid:18 UnknownField:19\n20 default/c\n", uids: 3,
			refusal: "the kubelet refuses the whole list because of items[1] (default/bad): invalid pod: [spec.containers[0].image: Required value]"},
		{name: "the first culprit is the one", body: podList(block("a"), strings.Replace(block("b"), "image: i", "image: i\n    env: [{name: A, valueFrom: {secretKeyRef: {name: s, key: k}}}]", 1), bad),
			want: "4 default/a\n12 default/b APIReference:20\n21 default/bad ManifestInvalid:27 UnknownField:28\n", uids: 3,
			refusal: "the kubelet refuses the whole list because of items[1] (default/b): static pods may not reference secrets"},
		{name: "a culprit without a name", body: podList(block("a"), "apiVersion: v1\nkind: Pod\nspec: {containers: []}\n"),
			want: "4 default/a\n", faults: "ManifestInvalid", uids: 2, refusal: "the kubelet refuses the whole list because of items[1]: invalid pod: name is needed for the pod"},
		{name: "one name twice, of which the kubelet takes the first", body: podList(block("a"), strings.Replace(block("a"), "image: i", "image: j", 1)),
			want: "4 default/a\n12 default/a DuplicateName:15\n", uids: 1},
		{name: "a List is none", body: strings.Replace(podList(block("a")), "PodList", "List", 1), faults: "NotAPod", undecoded: true, uids: 1,
			refusal: "the kubelet refuses the whole list: neither a Pod nor a PodList: invalid pod: this is a List, not a Pod"},
		{name: "HTML", body: "<html><body>502 hunter2</body></html>", faults: "ManifestMalformed", undecoded: true, uids: 1,
			refusal: "the kubelet refuses the whole list: neither a Pod nor a PodList: it is not a mapping (an error page, perhaps)"},
		{name: "half of a list", body: `{"apiVersion":"v1","kind":"PodList","items":[{"metadata":`, faults: "ManifestMalformed", undecoded: true, uids: 1,
			refusal: "the kubelet refuses the whole list: couldn't get version/kind; json parse error: unexpected end of JSON input"},
		{name: "items that are none", body: "apiVersion: v1\nkind: PodList\nitems: {}\n", faults: "ManifestMalformed", undecoded: true, uids: 1,
			refusal: "the kubelet refuses the whole list: items is not a list"},
		{name: "more documents", body: podList(block("a")) + "---\n" + block("b"), want: "4 default/a ExtraDocument:13\n", uids: 1},
		{name: "the bytes of before", body: block("a"), unread: true, want: "1 default/a\n", uids: 1,
			refusal: "the server answered with zero length, and then with the very bytes of before"},
		{name: "a mirror pod", body: podList(withMetadata("a", "annotations: {kubernetes.io/config.mirror: x}")), want: "4 default/a UnsafeMetadata:8\n", uids: 1},
		{name: "one host port", body: podList(withPorts("a", "80"), withPorts("b", "80")), want: "4 default/a HostPortConflict:13\n14 default/b HostPortConflict:23\n", uids: 2},
		{name: "runtime class, which the kubelet takes and crashes on", body: podList(strings.Replace(block("a"), "spec:\n", "spec:\n  runtimeClassName: r\n", 1)), want: "4 default/a RuntimeClassUnsupported:9\n", uids: 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			v := NewValidator(Rules{Node: "n", Standalone: true})
			r := v.foreign(Feed{URL: feedURL}, &body{data: []byte(test.body), revision: "r", unread: test.unread})
			if got := outline(r.candidates); got != test.want {
				t.Errorf("got\n%swant\n%sof\n%s", got, test.want, test.body)
			}
			faults := ""
			for _, p := range r.faults {
				faults += string(p.Reason)
				if p.Line == 0 || p.Path == "" {
					t.Errorf("nowhere: %+v", p)
				}
			}
			if faults != test.faults || !strings.HasPrefix(r.list.Refusal, test.refusal) || (r.list.Refusal == "") != (test.refusal == "") {
				t.Errorf("faults %q, refusal\n%q want\n%q", faults, r.list.Refusal, test.refusal)
			}
			if len(r.list.UIDs) != test.uids || r.decoded == test.undecoded {
				t.Errorf("UIDs %q, decoded %t", r.list.UIDs, r.decoded)
			}
			if all := fmt.Sprintf("%+v %+v %+v", r.candidates, r.faults, *r.list); strings.Contains(all, "hunter2") {
				t.Errorf("the token of the URL: %s", all)
			}
		})
	}
}

// The UID of a pod of another server's list depends on its URL, not on the node, and on whether it is an item.
func TestForeignUIDs(t *testing.T) {
	uid := func(node, url, text string) string {
		r := NewValidator(Rules{Node: node}).foreign(Feed{URL: url}, &body{data: []byte(text), revision: "r"})
		return string(r.list.UIDs[0])
	}
	one := uid("n", "http://a/", podList(block("a")))
	if other := uid("m", "http://a/", podList(block("a"))); other != one {
		t.Error("it depends on the node")
	}
	if other := uid("n", "http://b/", podList(block("a"))); other == one {
		t.Error("it does not depend on the URL")
	}
	if fixed := uid("n", "http://a/", podList(withMetadata("a", "uid: mine"))); fixed != "mine" {
		t.Errorf("the author's own is %s", fixed)
	}
}

func TestMaskURL(t *testing.T) {
	for raw, want := range map[string]string{
		"":                          "",
		"http://127.0.0.1:959/pods": "http://127.0.0.1:959/pods",
		"https://user:hunter2@h/p?token=hunter2&b=c#hunter2": "https://xxxxx@h/p?b=xxxxx&token=xxxxx",
		"http://hunter2@h/":     "http://xxxxx@h/",
		"http://h/%zz?hunter2=": "a URL that cannot be parsed",
	} {
		if got := MaskURL(raw); got != want {
			t.Errorf("%s is shown as %s, want %s", raw, got, want)
		}
	}
	f := Feed{URL: feedURL, Header: http.Header{"Authorization": {"Bearer hunter2"}}}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "feed", f)
	if said := fmt.Sprintf("%v %+v %#v %s %d", f, f, &f, Kubelet{Feed: f}.Feed, f) + log.String(); strings.Contains(said, "hunter2") {
		t.Error(said)
	}
}

// What the kubelet makes of every kind of answer, the feeder does too.
func TestFetching(t *testing.T) {
	var served atomic.Int32
	mux := http.NewServeMux()
	mux.HandleFunc("/ok", func(w http.ResponseWriter, r *http.Request) {
		served.Add(1)
		fmt.Fprintf(w, "%s %s %s", r.Method, r.Header["X-Token"], r.UserAgent())
	})
	mux.HandleFunc("/moved", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/ok", http.StatusFound) })
	mux.HandleFunc("/for-ever", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/for-ever", http.StatusFound) })
	mux.HandleFunc("/packed", func(w http.ResponseWriter, r *http.Request) {
		if !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
			t.Error("it does not accept gzip")
		}
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		_, _ = io.WriteString(z, "packed")
		_ = z.Close()
	})
	large := func(n int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, n)) }
	}
	mux.HandleFunc("/large", large(maxFileBytes-1))
	mux.HandleFunc("/too-large", large(maxFileBytes))
	mux.HandleFunc("/empty", large(0))
	mux.HandleFunc("/broken", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "hunter2", http.StatusInternalServerError) })
	mux.HandleFunc("/nothing", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	server := httptest.NewServer(mux)
	defer server.Close()
	gone := httptest.NewServer(mux)
	gone.Close()

	header := http.Header{"X-Token": {"a", "b"}}
	for _, test := range []struct {
		url    string
		header http.Header
		want   string // the answer, or its length
		err    string
	}{
		{server.URL + "/ok", header, "GET [a b] staticpod-exporter", ""},
		{server.URL + "/ok", http.Header{"User-Agent": {"mine"}}, "GET [] mine", ""},
		{server.URL + "/moved", header, "GET [a b] staticpod-exporter", ""},
		{server.URL + "/for-ever?token=hunter2", nil, "", "stopped after 10 redirects"},
		{server.URL + "/packed", nil, "packed", ""},
		{server.URL + "/large", nil, fmt.Sprint(maxFileBytes - 1), ""},
		{server.URL + "/too-large", nil, "", "the read limit is reached"},
		{server.URL + "/empty", nil, "", "zero-length data received"},
		{server.URL + "/broken", nil, "", "500 Internal Server Error"},
		{server.URL + "/nothing", nil, "", "204 No Content"},
		{gone.URL + "/ok?token=hunter2", nil, "", "connection refused"},
		{"http://user:hunter2@%zz/", nil, "", "invalid URL escape"},
		{"hunter2", nil, "", "unsupported protocol scheme"},
	} {
		f := newFeeder(time.Now, func() {})
		data, err := f.fetch(t.Context(), Feed{URL: test.url, Header: test.header})
		got := string(data)
		if len(got) > 100 {
			got = fmt.Sprint(len(got))
		}
		if got != test.want || (err == nil) != (test.err == "") || err != nil && (!strings.Contains(err.Error(), test.err) || strings.Contains(err.Error(), "hunter2")) {
			t.Errorf("%s: %q, %v; want %q, %s", test.url, got, err, test.want, test.err)
		}
	}
}

// One that comes and goes, with news told once.
func TestFeed(t *testing.T) {
	now := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	changes := 0
	f := newFeeder(func() time.Time { return now }, func() { changes++ })
	feed := Feed{URL: feedURL}
	f.follow(feed)
	step := func(what string, data string, err error, wantChange bool, wantTold, wantBody string, unread bool) {
		t.Helper()
		now = now.Add(time.Minute)
		before := changes
		f.take(feed, []byte(data), err)
		s := f.current()
		got := "none"
		if s.body != nil {
			got = string(s.body.data)
		}
		if changes-before != map[bool]int{true: 1}[wantChange] || s.told() != wantTold || got != wantBody || s.body != nil && s.body.unread != unread {
			t.Errorf("%s: %d changes, told %q, body %q, %+v", what, changes-before, s.told(), got, s.body)
		}
	}
	refused := fmt.Errorf("refused")
	step("nothing was ever read", "", refused, true, "refused", "none", false)
	since := now
	step("nor now", "", refused, false, "refused", "none", false)
	if !f.current().since.Equal(since) {
		t.Errorf("it began at %s", f.current().since)
	}
	step("a list", "a", nil, true, "", "a", false)
	step("the same", "a", nil, false, "", "a", false)
	step("one failure", "", refused, false, "", "a", false)
	step("two", "", refused, true, "refused", "a", false)
	step("it is back", "a", nil, true, "", "a", false)
	step("zero length", "", errEmptyBody, true, errEmptyBody.Error(), "", false)
	step("still", "", errEmptyBody, false, errEmptyBody.Error(), "", false)
	step("the bytes of before, which the kubelet does not read again", "a", nil, true, "", "a", true)
	step("others", "b", nil, true, "", "b", false)
	step("zero length again", "", errEmptyBody, true, errEmptyBody.Error(), "", false)
	step("other bytes", "c", nil, true, "", "c", false)
	f.follow(Feed{URL: feedURL, Header: http.Header{"A": {"b"}}})
	if s := f.current(); s.body == nil {
		t.Error("another header is another list")
	}
	before := changes
	f.take(feed, []byte("late"), nil)
	if string(f.current().body.data) != "c" || changes != before {
		t.Error("an answer to the headers of before")
	}
	f.follow(Feed{URL: "http://elsewhere"})
	if s := f.current(); s.body != nil {
		t.Error("another URL is the same list")
	}
}

// The whole way: from another server to definitions, and back when it goes away.
func TestObservedFeed(t *testing.T) {
	var answer atomic.Pointer[http.HandlerFunc]
	says := func(code int, body string) {
		h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code); _, _ = io.WriteString(w, body) })
		answer.Store(&h)
	}
	says(200, podList(block("a"), block("b")))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer hunter2" {
			w.WriteHeader(401)
			return
		}
		(*answer.Load())(w, r)
	}))
	defer server.Close()
	b := &bench{t: t, dir: t.TempDir(), state: t.TempDir(), running: Running{}}
	b.start(func(o *Options) { o.Serving = false })
	defer func() { b.stop() }()
	feed := Feed{URL: server.URL + "/pods?key=hunter2", Header: http.Header{"Authorization": {"Bearer hunter2"}}, Period: time.Millisecond}
	b.SetKubelet(Kubelet{Feed: feed})

	shown := MaskURL(feed.URL)
	set := b.until("both", func(s *Set) bool { return s.List != nil && len(s.Definitions) == 2 })
	a := b.find(set, "default-a")
	if a.Source != SourceHTTP || a.Path != shown || a.Line != 4 || !a.Served || !a.Valid || a.Version != 1 || len(a.Problems) != 0 || a.Pod == nil || a.UID != set.List.UIDs[0] {
		t.Errorf("%+v", a)
	}
	if set.Document != nil || set.List.URL != shown || set.List.Refusal != "" || len(set.Problems) != 0 {
		t.Errorf("%+v %+v", set.List, set.Problems)
	}

	says(200, podList(block("a"), strings.Replace(block("b"), "image: i", "imag: hunter2", 1)))
	set = b.until("a culprit", func(s *Set) bool { return s.List.Refusal != "" })
	if d := b.find(set, "default-b"); d.Valid || d.Version != 2 || headline(d) != ManifestInvalid || d.Problems[0].Line != 18 {
		t.Errorf("%+v", d)
	}
	if d := b.find(set, "default-a"); !d.Valid || d.Version != 1 || d.UID != a.UID {
		t.Errorf("%+v", d)
	}

	says(200, "<html>hunter2")
	set = b.until("no list at all", func(s *Set) bool { return len(s.Definitions) == 3 })
	if d := b.find(set, "url:"+shown); d == nil || d.Valid || d.Served || headline(d) != ManifestMalformed || b.find(set, "default-a") == nil || len(set.List.UIDs) != 1 {
		t.Errorf("%+v", set.Definitions)
	}

	says(500, "hunter2")
	set = b.until("an error", func(s *Set) bool { return len(s.Problems) == 1 })
	if p := set.Problems[0]; p.Reason != ManifestUnreadable || p.Path != shown || !strings.Contains(p.Message, "500 Internal Server Error") || p.Since.IsZero() {
		t.Errorf("%+v", p)
	}
	if said := fmt.Sprintf("%+v", *set); strings.Contains(said, "hunter2") {
		t.Error(said)
	}

	says(200, podList(block("a")))
	set = b.until("one", func(s *Set) bool { return len(s.Definitions) == 1 && len(s.Problems) == 0 })
	if d := b.find(set, "default-a"); d.Version != 1 || set.List.Refusal != "" {
		t.Errorf("%+v", d)
	}
	b.SetKubelet(Kubelet{})
	b.until("nothing", func(s *Set) bool { return s.List == nil && len(s.Definitions) == 0 })
}

// A store that feeds the kubelet itself reads nobody else's list.
func TestServingReadsNoFeed(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("it was read") }))
	defer server.Close()
	b := newBench(t)
	b.SetKubelet(Kubelet{Feed: Feed{URL: server.URL}})
	b.write("a.yaml", block("a"))
	b.until("its own", func(s *Set) bool { return len(s.Definitions) == 1 && s.List == nil })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	b.feeder.run(ctx) // which has nothing to ask
}
