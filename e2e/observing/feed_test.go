package observing

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/staticpod-exporter/staticpod-exporter/e2e/await"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/exporter"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/node"
)

// secret is in the URL, in the header and in the pods of another server. The exporter needs the first two to look
// where the kubelet looks, and must never show any of them.
const secret = "hunter2-correct-horse"

// A feed is the server that feeds a kubelet, and not ours.
type feed struct {
	*httptest.Server
	mu   sync.Mutex
	code int
	body string
	seen map[string]int // requests with the right token, by user agent
}

func newFeed(t *testing.T) *feed {
	f := &feed{code: http.StatusOK, body: list(), seen: map[string]int{}}
	f.Server = httptest.NewServer(f)
	t.Cleanup(f.Close)
	return f
}

func (f *feed) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if r.Header.Get("Authorization") != "Bearer "+secret || r.FormValue("token") != secret {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	f.seen[r.UserAgent()]++
	w.WriteHeader(f.code)
	_, _ = io.WriteString(w, f.body)
}

// gives has the server answer so from now on.
func (f *feed) gives(code int, body string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.code, f.body = code, body
}

// asked waits until the kubelet has come so many times more.
func (f *feed) asked(t *testing.T, times int) {
	t.Helper()
	count := func() int {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.seen["Go-http-client/1.1"]
	}
	before := count()
	await.Nil(t, "the kubelet's requests", func(context.Context) error {
		if n := count() - before; n < times {
			return fmt.Errorf("it came %d times", n)
		}
		return nil
	})
}

// options are those of a node that the server feeds.
func (f *feed) options(o *node.Options) {
	o.ManifestURL = strings.Replace(f.URL, "http://", "http://user:"+secret+"@", 1) + "/list?token=" + secret
	o.ManifestURLHeader = map[string][]string{"Authorization": {"Bearer " + secret}}
}

// shown is the URL as the exporter shows it.
func (f *feed) shown() string {
	return strings.Replace(f.URL, "http://", "http://xxxxx@", 1) + "/list?token=xxxxx"
}

// list is a PodList of definitions.
func list(pods ...string) string {
	if len(pods) == 0 {
		return "apiVersion: v1\nkind: PodList\nitems: []\n"
	}
	var b strings.Builder
	b.WriteString("apiVersion: v1\nkind: PodList\nitems:\n")
	for _, p := range pods {
		b.WriteString("- " + strings.ReplaceAll(strings.TrimSuffix(p, "\n"), "\n", "\n  ") + "\n")
	}
	return b.String()
}

// sleeper is a pod that sleeps, and whose environment holds a secret.
func sleeper(name string) string {
	return strings.Replace(pod(name, "sleep", "1h"), `"1h"]}`, `"1h"], env: [{name: TOKEN, value: `+secret+`}]}`, 1)
}

// Another server feeds the kubelet. What the kubelet makes of its list nobody says: one bad pod in it, and none of
// it is taken any more.
func TestFeed(t *testing.T) {
	f := newFeed(t)
	o := node.Options{}
	f.options(&o)
	n := start(t, o)
	var log bytes.Buffer
	e := install(t, n)
	e.Configure(func(o *exporter.Options) { o.Log = io.MultiWriter(&log, o.Log) })
	launch(t, e)

	a, b := sleeper("a"), sleeper("b")
	f.gives(200, list(a))
	first := expect(t, e, "default/a-node1", ready, container("running"), condition("Valid", "True"), condition("Accepted", "True"), condition("Current", "True"))
	if d := first.Spec.Definition; d.Source != "http" || d.Path != f.shown() {
		t.Errorf("its definition is %+v", d)
	}
	pods, err := e.StaticPods(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if d := pods["default-a"].Spec; n.PredictsUIDs() && d.UID != first.Spec.Pod.UID || !d.Served || !d.Valid || d.Line != 4 {
		t.Errorf("the definition is %+v, and UID %s runs", d, first.Spec.Pod.UID)
	}
	undisturbed := func() {
		t.Helper()
		if s := expect(t, e, "default/a-node1", container("running")); s.Spec.Containers[0].ID != first.Spec.Containers[0].ID || !s.Spec.Ready {
			t.Errorf("it runs on, but in %+v", s.Spec.Containers[0])
		}
	}

	// A culprit between two good ones.
	f.gives(200, list(a, strings.Replace(sleeper("bad"), "name: main,", "nam: main,", 1), b))
	culprit := "items[1] (default/bad)"
	expect(t, e, "default/bad-node1", headline("ManifestInvalid"), unready, phase(""), condition("Valid", "False"), condition("Accepted", "False"),
		problem(exporter.Problem{Reason: "ManifestInvalid", Level: "critical", Message: "spec.containers[0].name: Required value", Path: f.shown(), Line: 19, Field: "spec.containers[0].name"}),
		problem(exporter.Problem{Reason: "ListRejected", Message: culprit}))
	for _, id := range []string{"default/a-node1", "default/b-node1", "node"} {
		expect(t, e, id, headline("ListRejected"), problem(exporter.Problem{Reason: "ListRejected", Level: "critical", Message: culprit, Path: f.shown()}))
	}
	expect(t, e, "default/b-node1", unready, phase(""), condition("Valid", "True"), condition("Accepted", "False"))
	undisturbed()
	shows(t, e, problems(1, "ManifestInvalid"), problems(4, "ListRejected"), problems(0, "NotAccepted"),
		value(0, "staticpod_manifest_valid", "definition", "default-bad", "source", "http"), value(1, "staticpod_ready", "pod", "a-node1"))
	// The kubelet then says that it has read its pods from the URL, which is false.
	await.Nil(t, "the false word of the kubelet", func(context.Context) error {
		said, err := os.ReadFile(n.KubeletLog().Path())
		if err == nil && !bytes.Contains(said, []byte("Successfully read pods from URL")) {
			err = errors.New("not yet")
		}
		return err
	})
	f.asked(t, 3)
	expect(t, e, "default/b-node1", headline("ListRejected"))

	// It is mended.
	f.gives(200, list(a, b))
	expect(t, e, "default/b-node1", ready, condition("Current", "True"))
	expect(t, e, "default/a-node1", ready)
	expect(t, e, "node", sound)
	absent(t, e, "default/bad-node1")
	undisturbed()

	// It fails: what runs, runs on, and no change would come.
	f.gives(500, secret)
	expect(t, e, "node", headline("ManifestUnreadable"), problem(exporter.Problem{Reason: "ManifestUnreadable", Message: "500 Internal Server Error", Path: f.shown()}))
	expect(t, e, "default/a-node1", ready)
	undisturbed()

	// An error page instead of a list.
	f.gives(200, "<html>"+secret+"</html>")
	expect(t, e, "url:"+f.shown(), headline("ManifestMalformed"), unready, problem(exporter.Problem{Reason: "ManifestMalformed", Message: "an error page, perhaps"}))
	expect(t, e, "default/b-node1", headline("ListRejected"))
	undisturbed()
	f.gives(200, list(a, b))
	expect(t, e, "node", sound)
	expect(t, e, "default/a-node1", ready)

	// An answer of no length has the kubelet stop everything; the same bytes as before are not read again.
	f.gives(200, "")
	expect(t, e, "node", headline("ManifestUnreadable"), problem(exporter.Problem{Reason: "ManifestUnreadable", Message: "zero-length data received"}))
	absent(t, e, "default/b-node1")
	f.gives(200, list(a, b))
	expect(t, e, "default/b-node1", headline("ListRejected"), unready, problem(exporter.Problem{Reason: "ListRejected", Message: "the very bytes of before"}))
	f.gives(200, list(a, b)+"\n")
	expect(t, e, "default/b-node1", ready)
	expect(t, e, "node", sound)

	// The kubelet is sent elsewhere.
	other := newFeed(t)
	other.gives(200, list(sleeper("c")))
	n.Kubelet.Stop(t.Context())
	n.Configure(other.options)
	if err := n.Kubelet.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := expect(t, e, "default/c-node1", ready, condition("Current", "True")); s.Spec.Definition.Path != other.shown() {
		t.Errorf("it is from %s", s.Spec.Definition.Path)
	}
	absent(t, e, "default/a-node1")

	f.mu.Lock()
	if f.seen["staticpod-exporter"] == 0 || f.seen["Go-http-client/1.1"] == 0 {
		t.Errorf("who asked: %v", f.seen)
	}
	f.mu.Unlock()
	nothingLeaks(t, e, &log)
}

// nothingLeaks looks for the secret in all that the exporter says.
func nothingLeaks(t *testing.T, e *exporter.Exporter, log *bytes.Buffer) {
	t.Helper()
	for _, path := range []string{"/", "/metrics", "/staticpods", "/staticpodstatus", "/staticpods?output=yaml", "/staticpodstatus?output=wide", "/-/config"} {
		said, err := e.Get(t.Context(), path)
		if err == nil && bytes.Contains(said, []byte(secret)) {
			t.Errorf("%s shows the secret", path)
		}
	}
	for _, args := range [][]string{{"get", "staticpodstatus", "-o", "json"}, {"get", "staticpods", "-o", "yaml"}} {
		said, err := e.Run(t.Context(), append(args, "--address", e.URL())...)
		if err != nil || strings.Contains(said, secret) {
			t.Errorf("%v, %v: %s", args, err, said)
		}
	}
	e.Kill()
	if bytes.Contains(log.Bytes(), []byte(secret)) {
		t.Error("the log holds the secret")
	}
	if log.Len() == 0 {
		t.Error("there is no log")
	}
	fmt.Fprintln(t.Output(), "the log has", log.Len(), "bytes")
}
