package mirror

import (
	"context"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func names(v *View) []string {
	var all []string
	if v != nil {
		for _, p := range v.Pods {
			all = append(all, p.Name+"="+p.UID)
		}
	}
	return all
}

func has(want ...string) func(*View, error) bool {
	return func(v *View, err error) bool { return err == nil && slices.Equal(names(v), want) }
}

func TestMirrorsOfOneNode(t *testing.T) {
	s := serve(t, object("web-node1", "m1", "s1"), object("job", "j1", ""), object("etcd-node1", "m2", "s2"))
	c := run(t, s.kubeconfig("sesame"), 0)
	v, _ := eventually(t, c, "the list", has("etcd-node1=m2", "web-node1=m1"))
	if p := *v.Pods[1]; p != (Pod{Namespace: "default", Name: "web-node1", UID: "m1", StaticUID: "s1", Created: p.Created, Generation: 1}) || !p.Created.Equal(created) {
		t.Errorf("the mirror is %+v", p)
	}
	if v.At.IsZero() || !c.Healthy() {
		t.Errorf("at %s, healthy %v", v.At, c.Healthy())
	}

	s.tell(event{"ADDED", object("api-node1", "m3", "s3")})
	eventually(t, c, "one more", has("api-node1=m3", "etcd-node1=m2", "web-node1=m1"))
	other := object("web-node1", "m1", "s1")
	other.Generation, other.DeletionTimestamp = 2, &metav1.Time{Time: created.Add(time.Minute)}
	s.tell(event{"MODIFIED", other})
	w, _ := eventually(t, c, "its deletion", func(v *View, err error) bool {
		return err == nil && !v.Pods[2].Deleting.IsZero()
	})
	if w.Pods[2].Generation != 2 || w.Pods[1] != v.Pods[0] {
		t.Errorf("after an edit: %+v, and what was not edited is another: %v", w.Pods[2], w.Pods[1] != v.Pods[0])
	}
	s.tell(event{"DELETED", other})
	s.tell(event{"MODIFIED", object("etcd-node1", "m2", "")}) // a mirror no longer
	eventually(t, c, "two less", has("api-node1=m3"))

	for _, q := range s.queries {
		u, err := url.Parse(q)
		if err != nil || u.Path != "/api/v1/pods" || u.Query().Get("fieldSelector") != "spec.nodeName=node1" {
			t.Errorf("it asked %s", q)
		}
	}
}

// What does not change a mirror is no news.
func TestNoNews(t *testing.T) {
	s := serve(t, object("web-node1", "m1", "s1"))
	c := run(t, s.kubeconfig("sesame"), 0)
	before, _ := eventually(t, c, "the list", has("web-node1=m1"))
	changed := c.Changed()
	relabelled := object("web-node1", "m1", "s1")
	relabelled.Labels = map[string]string{"a": "b"}
	s.tell(event{"MODIFIED", relabelled})
	s.tell(event{"BOOKMARK", object("", "", "")})
	s.tell(event{"ADDED", object("job", "j", "")})
	s.tell(event{"DELETED", object("job", "j", "")})
	select {
	case <-changed:
		t.Error("it told of a change")
	default:
	}
	s.tell(event{"ADDED", object("x-node1", "m2", "s2")})
	after, _ := eventually(t, c, "news", has("web-node1=m1", "x-node1=m2"))
	if after.Pods[0] != before.Pods[0] {
		t.Error("what did not change is another")
	}
}

// The API server goes, and comes back with other pods and another history.
func TestServerGone(t *testing.T) {
	s := serve(t, object("web-node1", "m1", "s1"))
	c := run(t, s.kubeconfig("sesame"), 0)
	before, _ := eventually(t, c, "the list", has("web-node1=m1"))
	s.set(func() { s.refusal = 503 })
	s.CloseClientConnections()
	_, err := eventually(t, c, "an outage", func(_ *View, err error) bool { return err != nil })
	if errors.Is(err, ErrUnauthorized) || !strings.Contains(err.Error(), "mirror pods: ") || c.Healthy() {
		t.Errorf("down: %v, healthy %v", err, c.Healthy())
	}
	s.set(func() { s.refusal, s.items = 0, append(s.items, object("x-node1", "m2", "s2")) })
	after, _ := eventually(t, c, "its return", has("web-node1=m1", "x-node1=m2"))
	if after.Pods[0] != before.Pods[0] {
		t.Error("what did not change is another")
	}
}

// A history that is gone is no outage: the list is taken again at once.
func TestHistoryGone(t *testing.T) {
	s := serve(t, object("web-node1", "m1", "s1"))
	c := run(t, s.kubeconfig("sesame"), 0)
	eventually(t, c, "the list", has("web-node1=m1"))
	s.set(func() { s.items = []metav1.PartialObjectMetadata{object("x-node1", "m2", "s2")} })
	s.tell(event{"ERROR", status(410, "too old")})
	eventually(t, c, "the list after", func(v *View, err error) bool {
		if err != nil {
			t.Errorf("an outage: %v", err)
			return true
		}
		return slices.Equal(names(v), []string{"x-node1=m2"})
	})
}

func TestUnauthorized(t *testing.T) {
	for _, code := range []int{401, 403} {
		s := serve(t)
		s.refusal = code
		c := run(t, s.kubeconfig("sesame"), 0)
		if _, err := c.View(t.Context(), true); !errors.Is(err, ErrUnauthorized) || !strings.Contains(err.Error(), "the reason why") {
			t.Errorf("%d: %v", code, err)
		}
	}
}

// Credentials that are replaced in the kubeconfig are used at the next try.
func TestRotation(t *testing.T) {
	s := serve(t, object("web-node1", "m1", "s1"))
	path := s.kubeconfig("old secret")
	c := run(t, path, 0)
	_, err := eventually(t, c, "a refusal", func(_ *View, err error) bool { return err != nil })
	if !errors.Is(err, ErrUnauthorized) || strings.Contains(err.Error(), "secret") {
		t.Errorf("refused: %v", err)
	}
	s.rewrite(path, "sesame")
	eventually(t, c, "the list", has("web-node1=m1"))
}

// Where the credentials are replaced while a watch is open, the next one uses them.
func TestRotationWhileWatching(t *testing.T) {
	s := serve(t, object("web-node1", "m1", "s1"))
	path := s.kubeconfig("sesame")
	c := run(t, path, 0)
	eventually(t, c, "the list", has("web-node1=m1"))
	s.rewrite(path, "open")
	s.set(func() { s.token, s.items = "open", append(s.items, object("x-node1", "m2", "s2")) })
	s.tell(event{}) // the watch's time is over
	eventually(t, c, "the list after", func(v *View, err error) bool {
		if err != nil {
			t.Errorf("an outage: %v", err)
			return true
		}
		return len(v.Pods) == 2
	})
}

// Something in between that ends every watch is an outage, and no reason to ask all the time.
func TestShortWatch(t *testing.T) {
	s := serve(t, object("web-node1", "m1", "s1"))
	c := run(t, s.kubeconfig("sesame"), 0)
	eventually(t, c, "the list", has("web-node1=m1"))
	s.tell(event{})
	eventually(t, c, "an outage", func(_ *View, err error) bool { return errors.Is(err, errShortWatch) })
	eventually(t, c, "the end of it", has("web-node1=m1"))
}

// What differs from one try to the next is not in the error: it would be news each time.
func TestRefusedConnection(t *testing.T) {
	s := serve(t)
	path := s.kubeconfig("sesame")
	s.Close()
	c := run(t, path, 0)
	_, err := eventually(t, c, "an outage", func(_ *View, err error) bool { return err != nil })
	if host := strings.TrimPrefix(s.URL, "https://"); err.Error() != "mirror pods: "+host+": dial tcp "+host+": connect: connection refused" {
		t.Errorf("it says %v", err)
	}
}

func TestKubeconfig(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{
		"none":    "",
		"garbage": "users: [{name: u, user: {token: *secret}}]\n",
		"empty":   "apiVersion: v1\nkind: Config\n",
		"missing": "",
	} {
		path := filepath.Join(dir, name)
		if name != "missing" {
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		_, err := run(t, path, 0).View(t.Context(), false)
		if err == nil || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, o := range []Options{{Kubeconfig: "kubelet.conf", Node: "n"}, {Kubeconfig: "/k"}, {Kubeconfig: "/k", Node: "n", Timeout: -1}} {
		if _, err := New(o); err == nil {
			t.Errorf("%+v is no mistake", o)
		}
	}
}

// Nobody waits longer than he likes for an API server that says nothing.
func TestSilence(t *testing.T) {
	c, err := New(Options{Kubeconfig: "/k", Node: "n"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := c.View(ctx, false); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("before the first answer: %v", err)
	}

	s := serve(t, object("web-node1", "m1", "s1"))
	s.hangs = true
	c = run(t, s.kubeconfig("sesame"), 50*time.Millisecond)
	if _, err := eventually(t, c, "a watch that hangs", func(_ *View, err error) bool { return err != nil }); !errors.Is(err, errSlowWatch) {
		t.Errorf("a watch that hangs: %v", err)
	}
}
