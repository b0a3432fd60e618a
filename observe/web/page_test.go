package web

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/staticpod-exporter/staticpod-exporter/collector"
	"github.com/staticpod-exporter/staticpod-exporter/collector/status"
	"github.com/staticpod-exporter/staticpod-exporter/manifest"
)

// browser is what browsers accept.
const browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"

// look gets a page as a browser does.
func look(t testing.TB, url string) answer { return ask(t, "GET", url, "Accept", browser) }

// verdict is a status whose pod is called as its ID says.
func verdict(id string, ready status.ConditionStatus, problems ...manifest.Problem) *status.StaticPodStatus {
	s := &status.StaticPodStatus{Node: "node1", Metadata: status.Metadata{Namespace: "k8s", Type: status.TypeStaticPodStatus, ID: id, Version: 1, Created: time.Unix(1, 0).UTC()}}
	s.Spec.Pod.Namespace, s.Spec.Pod.Name, _ = strings.Cut(id, "/")
	s.Spec.Ready = ready == status.True
	s.Spec.Conditions = []status.Condition{{Type: status.Ready, Status: ready}}
	s.Spec.Problems = problems
	if len(problems) > 0 {
		s.Spec.Reason, s.Spec.Message, s.Spec.Since = problems[0].Reason, problems[0].Message, problems[0].Since
	}
	return s
}

// verdicts is a snapshot of those.
func verdicts(all ...*status.StaticPodStatus) *status.Snapshot {
	return &status.Snapshot{Node: "node1", At: time.Unix(1e9, 0), Statuses: all}
}

func problem(reason manifest.Reason, level manifest.Level) manifest.Problem {
	return manifest.Problem{Reason: reason, Level: level, Message: "words of " + string(reason), Since: time.Unix(9e8, 0)}
}

// The policy lets exactly the page's own style and script through, and no page needs anything else.
func TestPolicy(t *testing.T) {
	server := start(t, options(newFeed(fixture(t))))
	for _, path := range []string{"/", "/staticpodstatus/kube-system/etcd-node1", "/staticpodstatus/node", "/reasons", "/nothing"} {
		a := look(t, server.URL+path)
		policy := a.header.Get("Content-Security-Policy")
		for _, directive := range []string{"default-src 'none'", "base-uri 'none'", "frame-ancestors 'none'"} {
			if !strings.Contains(policy, directive) {
				t.Errorf("%s: the policy %q lacks %s", path, policy, directive)
			}
		}
		if strings.Contains(policy, "unsafe") || strings.Contains(policy, "*") {
			t.Errorf("%s: the policy is %q", path, policy)
		}
		for kind, inline := range map[string]*regexp.Regexp{
			"style-src": regexp.MustCompile(`(?s)<style>(.*?)</style>`), "script-src": regexp.MustCompile(`(?s)<script>(.*?)</script>`),
		} {
			for _, match := range inline.FindAllStringSubmatch(a.body, -1) {
				if want := kind + " " + hashOf(match[1]) + ";"; !strings.Contains(policy, want) {
					t.Errorf("%s: the policy %q lacks %q", path, policy, want)
				}
			}
		}
		if elements := skeleton(a.body); regexp.MustCompile(`(?i) style=|<[^>]+ on[a-z]+=|<script [a-z]|<link rel="stylesheet|<img|="https?:`).MatchString(elements) {
			t.Errorf("%s has something that the policy forbids:\n%s", path, elements)
		}
	}
	if a := look(t, server.URL+"/"); strings.Count(a.body, "<script>") != 1 || strings.Contains(a.body, "<script>alert") {
		t.Error("the page of the node has not its one script")
	}
	if a := look(t, server.URL+"/reasons"); strings.Contains(a.body, "<script>") {
		t.Error("a page that does not change has a script")
	}
}

// Whoever writes a manifest, or the kubelet that quotes it, writes no HTML.
func TestWordsOfOthersAreEscaped(t *testing.T) {
	const words = `"><script>alert(1)</script><img src=x onerror=alert(2)>'` + "`javascript:alert(3)"
	evil := manifest.Problem{Reason: manifest.ManifestInvalid, Level: manifest.Critical, Message: words, Detail: words, Path: words, Line: 1, Field: words, Since: time.Unix(1, 0)}
	bad := verdict(words, status.False, evil, manifest.Problem{Reason: words, Level: words, Message: words})
	bad.Spec.Definition = status.DefinitionRef{ID: words, Version: 1, Path: words, Hash: words}
	bad.Spec.Conditions[0].Reason, bad.Spec.Conditions[0].Message = words, words
	bad.Spec.Containers = []status.ContainerStatus{{Name: words, Kind: words, Image: words, State: words, Reason: words, LastExit: &status.Exit{Reason: words}}}
	node := verdict(status.NodeID, status.False, evil)
	s := verdicts(bad, node)
	s.Node = words
	s.Inputs = []collector.InputState{{Input: words, Configured: true, Err: words}}
	s.Info = status.NodeInfo{KubeletVersion: words, Runtime: words, Mode: words}
	server := start(t, options(newFeed(s)))
	for _, path := range []string{"/", "/?q=" + "%22%3E%3Cscript%3Ealert(1)%3C/script%3E", "/staticpodstatus/" + strings.TrimPrefix(hrefOf(words), "/staticpodstatus/"), "/staticpodstatus/node", "/staticpodstatus/%3Cscript%3Ealert(1)"} {
		a := look(t, server.URL+path)
		body := skeleton(a.body)
		if a.code == http.StatusInternalServerError || strings.Contains(body, "<script>alert") || strings.Contains(body, "<img") || regexp.MustCompile(`href="(java|[^/#d])`).MatchString(body) {
			t.Errorf("%s: %d\n%s", path, a.code, body)
		}
	}
	parts, _ := open(t, server.URL+"/?watch=true").batch()
	for id, html := range parts {
		if strings.Contains(html, "<script") || strings.Contains(html, "<img") {
			t.Errorf("the stream has as %s %s", id, html)
		}
	}
}

// What a page says of all static pods is a sentence.
func TestSentence(t *testing.T) {
	for _, test := range []struct {
		numbers map[class]int
		want    string
	}{
		{nil, "The node has no static pods."},
		{map[class]int{fine: 1}, "The one static pod runs as defined."},
		{map[class]int{fine: 12}, "All 12 static pods run as defined."},
		{map[class]int{critical: 1}, "The one static pod does not run as defined."},
		{map[class]int{critical: 1, fine: 3}, "1 of 4 static pods does not run as defined."},
		{map[class]int{critical: 2, warning: 1, fine: 9}, "2 of 12 static pods do not run as defined, 1 has a warning."},
		{map[class]int{unknown: 3}, "All 3 static pods cannot be judged."},
		{map[class]int{warning: 2, unknown: 1, starting: 2}, "2 of 5 static pods have warnings, 1 cannot be judged, 2 are starting."},
	} {
		n := 0
		for _, k := range test.numbers {
			n += k
		}
		if got := sentence(n, test.numbers); got != test.want {
			t.Errorf("%v: %q, want %q", test.numbers, got, test.want)
		}
	}
}

// What needs somebody comes first, and has a class by which it is found.
func TestClasses(t *testing.T) {
	completed := verdict("a/completed", status.False, problem(status.Completed, manifest.Info))
	waiting := verdict("a/waiting", status.False, problem(status.WaitingForTermination, manifest.Info))
	s := verdicts(completed,
		verdict("a/crash", status.False, problem(status.CrashLoopBackOff, manifest.Critical)),
		verdict("a/kept", status.True, problem(manifest.ManifestInvalid, manifest.Critical), problem(manifest.LastRevisionKept, manifest.Warning)),
		verdict("a/new", status.False),
		verdict("a/odd", status.True, problem(manifest.UnknownField, manifest.Warning)),
		verdict("a/stale", status.Unknown),
		verdict("a/sure", status.True),
		waiting,
	)
	p := newPage("1")
	v, err := render(s, nil, p).pages.overview()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range v.rows {
		got = append(got, fmt.Sprintf("%s %s", r.id, r.class))
	}
	want := "pod:a/crash critical,pod:a/kept critical,pod:a/odd warning,pod:a/stale unknown,pod:a/new starting,pod:a/waiting starting,pod:a/completed ok,pod:a/sure ok"
	if strings.Join(got, ",") != want {
		t.Errorf("got %s", strings.Join(got, ","))
	}
	if v.title != "(3) Static pods on node1" || !v.bad {
		t.Errorf("%q, bad %t", v.title, v.bad)
	}
}

// The filter works without the script: it is in the URL, and what it hides is not sent.
func TestFilter(t *testing.T) {
	server := start(t, options(newFeed(fixture(t))))
	all := []string{"default/broken-node1", "file:/etc/staticpod-exporter/pods.d/half.yaml", "kube-system/etcd-node1", "default/nginx-node1"}
	for query, want := range map[string][]int{
		"":                          {0, 1, 2, 3},
		"?q=NODE1":                  {0, 2, 3},
		"?q=etcd":                   {2},
		"?q=crashloop+etcd":         {2},
		"?q=hostnetwrk":             {2}, // of a problem that is not the headline
		"?q=pods.d/half.yaml:3":     {1},
		"?state=critical":           {0, 1, 2},
		"?state=ok":                 {3},
		"?state=warning":            {},
		"?state=ok&q=etcd":          {},
		"?state=nonsense":           {0, 1, 2, 3},
		"?q=%3Cscript%3E":           {1},
		"?q=+&state=":               {0, 1, 2, 3},
		"?q=nothing+has+these+word": {},
	} {
		body := look(t, server.URL+"/"+query).body
		shown := map[int]bool{}
		for _, i := range want {
			shown[i] = true
		}
		for i, id := range all {
			if strings.Contains(body, `<tr id="pod:`+id+`"`) != shown[i] {
				t.Errorf("%q: %s is shown: %t", query, id, !shown[i])
			}
		}
		if none := strings.Contains(body, `<p id="none">`); none != (len(want) == 0) {
			t.Errorf("%q: says that there is none: %t", query, none)
		}
	}
	body := look(t, server.URL+"/?q=a%26b&state=ok").body
	for _, want := range []string{`value="a&amp;b"`, `<input type="hidden" name="state" value="ok">`, `href="/?q=a%26b&amp;state=critical"`, `href="/?q=a%26b"`, `data-state="ok" aria-current="true"`} {
		if !strings.Contains(body, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
}

// A node without static pods says so, and what to do.
func TestPageOfAnEmptyNode(t *testing.T) {
	s := pods()
	s.Info.Mode = "serving"
	f := newFeed(s)
	server := start(t, options(f))
	golden(t, "page-empty.html", skeleton(look(t, server.URL+"/").body))
	s = pods()
	s.Info.Mode = "observing"
	f.publish(s)
	if body := look(t, server.URL+"/").body; !strings.Contains(body, "manifest directory is empty") {
		t.Error(body)
	}
}

// Before the first snapshot the page says so and comes back by itself, with or without a script.
func TestPageBeforeTheFirstSnapshot(t *testing.T) {
	server := start(t, options(newFeed(nil)))
	a := look(t, server.URL+"/")
	if a.code != http.StatusServiceUnavailable || a.header.Get("Refresh") == "" {
		t.Errorf("%d %v", a.code, a.header)
	}
	golden(t, "page-waiting.html", skeleton(a.body))
	if a := look(t, server.URL+"/staticpodstatus/default/x-node1"); a.code != http.StatusServiceUnavailable || !strings.Contains(a.body, "</html>") {
		t.Errorf("%d %s", a.code, a.body)
	}
}

// A person who is refused gets a page that leads on.
func TestPageOfARefusal(t *testing.T) {
	server := start(t, options(newFeed(pods("a-a", "b-b"))))
	for path, code := range map[string]int{"/nothing": 404, "/staticpods/c-c": 404, "/staticpods?watch=maybe": 400} {
		a := look(t, server.URL+path)
		if a.code != code || a.header.Get("Content-Type") != "text/html; charset=utf-8" || !strings.Contains(a.body, `<a href="/">`) {
			t.Errorf("%s: %d %v\n%s", path, a.code, a.header, a.body)
		}
	}
	golden(t, "page-refusal.html", skeleton(look(t, server.URL+"/staticpods/c-c").body))
}

// The page of a definition is that of the verdicts on it; one from which nothing has come yet says so.
func TestPageOfADefinition(t *testing.T) {
	s := fixture(t)
	s.Statuses = s.Statuses[1:] // no verdict on default-broken
	server := start(t, options(newFeed(s)))
	if body := look(t, server.URL+"/staticpods/kube-system-etcd").body; !strings.Contains(body, "etcd-node1</h1>") || !strings.Contains(body, "CrashLoopBackOff") {
		t.Error(body)
	}
	if a := look(t, server.URL+"/staticpods/default-broken"); a.code != 200 || !strings.Contains(a.body, "no static pod of this name") {
		t.Errorf("%d %s", a.code, a.body)
	}
}

// A row is rendered again when its verdict or its definition is another, and else never.
func TestRowsAreKept(t *testing.T) {
	s := fixture(t)
	p := newPage("1")
	before := render(s, nil, p)
	next := *s
	next.At = s.At.Add(time.Minute)
	next.Pods = append([]*status.StaticPod(nil), s.Pods...)
	moved := *s.Pods[1] // default-nginx
	moved.Spec.Line = 77
	next.Pods[1] = &moved
	after := render(&next, before, p)
	old, err := before.pages.overview()
	if err != nil {
		t.Fatal(err)
	}
	now, err := after.pages.overview()
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range now.rows {
		if kept := r == old.rows[i]; kept != (r.id != "pod:default/nginx-node1") {
			t.Errorf("%s is kept: %t", r.id, kept)
		}
	}
	if last := now.rows[len(now.rows)-1]; !strings.Contains(string(last.html), "nginx.yaml:77") {
		t.Error(last.html)
	}
}

// BenchmarkOverview is the page of 200 static pods, of which one has changed since the page before.
func BenchmarkOverview(b *testing.B) {
	all := make([]*status.StaticPodStatus, 200)
	for i := range all {
		all[i] = verdict(fmt.Sprintf("default/pod-%03d-node1", i), status.True)
	}
	p := newPage("1")
	var r *rendering
	for i := 0; b.Loop(); i++ {
		all[i%len(all)] = verdict(all[i%len(all)].Metadata.ID, status.True)
		r = render(verdicts(all...), r, p)
		if _, err := r.pages.overview(); err != nil {
			b.Fatal(err)
		}
	}
}
