package kubelet

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	corev1 "k8s.io/api/core/v1"
	podsv1alpha1 "k8s.io/kubelet/pkg/apis/pods/v1alpha1"
)

const (
	pending = corev1.PodPending
	running = corev1.PodRunning
	failed  = corev1.PodFailed
)

// crowd are two static pods among others.
func crowd() []*corev1.Pod {
	return []*corev1.Pod{
		newPod("web-node1", "http", running), newPod("api", "api", running),
		newPod("dns-node1", "file", running), newPod("none", "", running),
	}
}

func TestViewOverThePodsAPI(t *testing.T) {
	k, path := newSocketKubelet(t, crowd()...), socketPath(t)
	k.start(path)
	c := newClient(t, Options{PodsSocket: "unix://" + path})
	before := time.Now()
	v := view(t, c, true)
	if v.Transport != "pods-api" || v.At.Before(before) || v.Config != nil || v.Version != "" {
		t.Errorf("view %+v", v)
	}
	if got := names(v.Pods); got != "dns-node1=Running web-node1=Running" {
		t.Errorf("pods %s", got)
	}
	if got := v.Pods[1]; got.UID != "uid-web-node1" || got.Spec.Containers[0].Image != "registry.test/app:1" {
		t.Errorf("pod %v", got)
	}
	if c.Healthy() {
		t.Error("healthy without a watch")
	}
}

// A pod that did not change keeps its pointer, over lists and over the watch.
func TestPodsKeepTheirPointers(t *testing.T) {
	k, path := newSocketKubelet(t, crowd()...), socketPath(t)
	k.start(path)
	c := newClient(t, Options{PodsSocket: "unix://" + path})
	first := view(t, c, true)
	run(t, c)
	<-k.watching
	for range 3 {
		again := view(t, c, true)
		for i := range first.Pods {
			if first.Pods[i] != again.Pods[i] {
				t.Errorf("%s has another pointer", first.Pods[i].Name)
			}
		}
	}
	k.set(func() { k.pods = append(crowd()[:2:2], newPod("dns-node1", "file", failed)) })
	again := view(t, c, true)
	if first.Pods[0] == again.Pods[0] || first.Pods[1] != again.Pods[1] {
		t.Error("the pointers do not tell which pod changed")
	}
}

// What each event does to the next View, and whether it takes a list: the kubelet logs each one.
func TestWatch(t *testing.T) {
	web, dns, api, waiting := newPod("web-node1", "http", running), newPod("dns-node1", "file", running), newPod("api", "api", running), newPod("new-node1", "http", pending)
	k, path := newSocketKubelet(t, web, dns, api), socketPath(t)
	c := newClient(t, Options{PodsSocket: "unix://" + path})
	run(t, c)
	changed := c.Changed()
	k.start(path) // after Run
	await(t, changed, "change when the watch begins")
	if got := names(view(t, c, false).Pods); got != "dns-node1=Running web-node1=Running" {
		t.Errorf("pods %s", got)
	}
	if n := k.asked("ListPods"); n != 0 {
		t.Errorf("%d lists though the watch tells all", n)
	}
	if !c.Healthy() {
		t.Error("not healthy with a watch")
	}

	rejected := newPod("web-node1", "http", failed)
	for _, step := range []struct {
		name  string
		event *podsv1alpha1.WatchPodsEvent // nil: a resync finds what no event tells
		pods  []*corev1.Pod                // of the kubelet, from then on
		lists int
		want  string
	}{
		{"a status", modified(t, newPod("web-node1", "http", pending)), nil, 0, "dns-node1=Running web-node1=Pending"},
		{"a status told as an addition", added(t, web), nil, 0, "dns-node1=Running web-node1=Running"},
		{"a name-waiter has no event", nil, []*corev1.Pod{web, dns, api, waiting}, 1, "dns-node1=Running new-node1=Pending web-node1=Running"},
		{"it starts", added(t, newPod("new-node1", "http", running)), nil, 0, "dns-node1=Running new-node1=Running web-node1=Running"},
		{"one that is desired and rejected is deleted", deleted(t, web), []*corev1.Pod{rejected, dns, api}, 1, "dns-node1=Running web-node1=Failed"},
		{"one that is removed still has a status", modified(t, newPod("new-node1", "http", failed)), nil, 1, "dns-node1=Running web-node1=Failed"},
		{"the rejected one is removed without an event", nil, []*corev1.Pod{dns, api}, 1, "dns-node1=Running"},
		{"a new one", added(t, web), []*corev1.Pod{web, dns, api}, 1, "dns-node1=Running web-node1=Running"},
		{"one is gone", deleted(t, dns), []*corev1.Pod{web, api}, 1, "web-node1=Running"},
	} {
		if step.pods != nil {
			k.set(func() { k.pods = step.pods })
		}
		lists := k.asked("ListPods")
		if step.event != nil {
			changed := c.Changed()
			k.live <- step.event
			await(t, changed, "change: "+step.name)
		}
		v := view(t, c, step.event == nil)
		if got := names(v.Pods); got != step.want {
			t.Errorf("%s: %s, want %s", step.name, got, step.want)
		}
		if n := k.asked("ListPods") - lists; n != step.lists {
			t.Errorf("%s: %d lists, want %d", step.name, n, step.lists)
		}
		if !c.Healthy() {
			t.Errorf("%s: not healthy after a view", step.name)
		}
	}

	// Events of other pods tell nothing; the one after them does, and is the only one that is seen.
	k.set(func() { k.pods = []*corev1.Pod{web} })
	changed = c.Changed()
	lists := k.asked("ListPods")
	for _, event := range []*podsv1alpha1.WatchPodsEvent{modified(t, api), deleted(t, api), added(t, newPod("other", "api", pending)), deleted(t, dns)} {
		k.live <- event
	}
	k.live <- modified(t, newPod("web-node1", "http", pending))
	await(t, changed, "change")
	if got := names(view(t, c, false).Pods); got != "web-node1=Pending" || k.asked("ListPods") != lists {
		t.Errorf("pods %s after %d lists", got, k.asked("ListPods")-lists)
	}
}

// The watch that was too slow begins again, and one that ends while the kubelet restarts.
func TestWatchEndsAndBeginsAgain(t *testing.T) {
	for _, overflow := range []bool{false, true} {
		k, path := newSocketKubelet(t, crowd()...), socketPath(t)
		k.overflow = overflow
		k.start(path)
		c := newClient(t, Options{PodsSocket: "unix://" + path})
		run(t, c)
		for c.opened() < 1 {
			await(t, c.Changed(), "beginning")
		}
		<-k.watching
		view(t, c, false)

		changed := c.Changed()
		k.set(func() { k.pods = crowd()[:2] })
		k.live <- nil
		await(t, changed, "change when the watch ends")
		view(t, c, false)
		<-k.watching
		for c.opened() < 2 {
			await(t, c.Changed(), "second beginning")
		}
		lists := k.asked("ListPods")
		if got := names(view(t, c, false).Pods); got != "web-node1=Running" {
			t.Errorf("pods %s", got)
		}
		if n := k.asked("ListPods"); n != lists {
			t.Error("a list after the watch began again")
		}

		view(t, c, false)
		changed = c.Changed()
		k.stop()
		await(t, changed, "change when the kubelet stops")
		if c.Healthy() {
			t.Error("healthy without a kubelet")
		}
		if v, err := c.View(t.Context(), false); err == nil {
			t.Errorf("view %v of a kubelet that is gone", v)
		}
		k.start(path)
		<-k.watching
		for c.opened() < 3 {
			await(t, c.Changed(), "third beginning")
		}
		view(t, c, false)
	}
}

func (c *Client) opened() uint64 { return c.socket.opened.Load() }

func TestSourcesNotReady(t *testing.T) {
	web := newWebKubelet(crowd()...)
	server := secure(t, web, newAuthority(t, "ca"), nil)
	k, path := newSocketKubelet(t, crowd()...), socketPath(t)
	k.refusal = status.Error(codes.FailedPrecondition, "Kubelet is initializing")
	k.start(path)
	c := newClient(t, Options{PodsSocket: "unix://" + path, Endpoint: server.URL, InsecureSkipVerify: true})
	v, err := c.View(t.Context(), true)
	if !errors.Is(err, ErrSourcesNotReady) || v == nil || v.Transport != "https" || len(v.Pods) != 2 {
		t.Errorf("view %v, error %v, want what it has so far", v, err)
	}
	web.set(func() { web.bearer = "x" })
	if v, err := c.View(t.Context(), true); !errors.Is(err, ErrSourcesNotReady) || errors.Is(err, ErrUnauthorized) || v != nil {
		t.Errorf("not over https either: view %v, error %v", v, err)
	}
	k.set(func() { k.refusal = nil })
	if v := view(t, c, true); v.Transport != "pods-api" { // at once, since it did not fail
		t.Errorf("transport %s", v.Transport)
	}
}

// A kubelet that boots opens its HTTP server first. That the Pods API was not there then does not keep it from being
// asked as soon as it is, and as long as it has something to say.
func TestSourcesNotReadyOfAKubeletThatBoots(t *testing.T) {
	web := newWebKubelet(crowd()...)
	server := secure(t, web, newAuthority(t, "ca"), nil)
	k, path := newSocketKubelet(t, crowd()...), socketPath(t)
	k.refusal = status.Error(codes.FailedPrecondition, "Kubelet is initializing")
	c := newClient(t, Options{PodsSocket: "unix://" + path, Endpoint: server.URL, InsecureSkipVerify: true})
	if v := view(t, c, true); v.Transport != "https" {
		t.Errorf("transport %s", v.Transport)
	}
	changed := c.Changed()
	run(t, c)
	k.start(path)
	await(t, changed, "change")
	for range 3 {
		if v, err := c.View(t.Context(), true); !errors.Is(err, ErrSourcesNotReady) || v == nil || v.Transport != "https" {
			t.Errorf("view %v, error %v", v, err)
		}
	}
}

// Both may be gone for a moment; that is forgotten when the kubelet answers.
func TestSourcesNotReadyAfterAFailure(t *testing.T) {
	web := newWebKubelet(crowd()...)
	server := secure(t, web, newAuthority(t, "ca"), nil)
	k, path := newSocketKubelet(t, crowd()...), socketPath(t)
	k.refusal = status.Error(codes.FailedPrecondition, "Kubelet is initializing")
	c := newClient(t, Options{PodsSocket: "unix://" + path, Endpoint: server.URL, InsecureSkipVerify: true})
	web.set(func() { web.bearer = "x" })
	if v, err := c.View(t.Context(), true); err == nil {
		t.Errorf("view %v of a kubelet that is gone", v)
	}
	k.start(path)
	web.set(func() { web.bearer = "" })
	for range 3 {
		if v, err := c.View(t.Context(), true); !errors.Is(err, ErrSourcesNotReady) || v == nil || v.Transport != "https" {
			t.Errorf("view %v, error %v", v, err)
		}
	}
}

func TestPodsAPIErrors(t *testing.T) {
	path := socketPath(t)
	c := newClient(t, Options{PodsSocket: "unix://" + path, Timeout: 50 * time.Millisecond})
	if _, err := c.View(t.Context(), true); !errors.Is(err, fs.ErrNotExist) || !strings.HasPrefix(err.Error(), "kubelet pods-api: dial unix ") {
		t.Errorf("no socket: %v", err)
	}
	k := newSocketKubelet(t, crowd()...)
	k.hangs["ListPods"] = true
	k.start(path)
	// It is tried at once, though it failed just now.
	if err := errOf(c.View(t.Context(), true)); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("hung: %v", err)
	}
	c.timeout = defaultTimeout
	for _, code := range []codes.Code{codes.PermissionDenied, codes.Unauthenticated} {
		k.set(func() { k.hangs["ListPods"], k.refusal = false, status.Error(code, "no") })
		if err := errOf(c.View(t.Context(), true)); !errors.Is(err, ErrUnauthorized) {
			t.Errorf("%v: %v", code, err)
		}
	}
}

func errOf(_ *View, err error) error { return err }

// A watch that does not begin is given up, and the next may.
func TestWatchThatDoesNotBegin(t *testing.T) {
	k, path := newSocketKubelet(t, crowd()...), socketPath(t)
	k.hangs["WatchPods"] = true
	k.start(path)
	c := newClient(t, Options{PodsSocket: "unix://" + path, Timeout: 50 * time.Millisecond})
	err := c.socket.watch(t.Context())
	if err == nil || !strings.Contains(err.Error(), "did not begin") {
		t.Errorf("error %v", err)
	}
	k.set(func() { k.hangs["WatchPods"] = false })
	changed := c.Changed()
	run(t, c)
	await(t, changed, "change")
}

func TestSocketThatMayNotBeOpened(t *testing.T) {
	c := newClient(t, Options{PodsSocket: "unix:///nowhere"})
	var denied error = fs.ErrPermission
	c.socket.refused.Store(&denied)
	if err := c.socket.explain(status.Error(codes.Unavailable, "x")); !errors.Is(err, ErrUnauthorized) {
		t.Errorf("error %v", err)
	}
}

func TestPause(t *testing.T) {
	none := status.Error(codes.Unimplemented, "x")
	for _, tc := range []struct {
		before time.Duration
		err    error
		lasted bool
		want   time.Duration
	}{
		{leastWait, io.EOF, false, 2 * leastWait},
		{mostWait, io.EOF, false, mostWait},
		{mostWait / 2 * 3 / 2, io.EOF, false, mostWait},
		{mostWait, io.EOF, true, leastWait},
		{leastWait, none, false, unimplementedWait},
		{leastWait, fmt.Errorf("wrapped: %w", none), true, unimplementedWait},
		{unimplementedWait, io.EOF, false, mostWait},
	} {
		if got := pause(tc.before, tc.err, tc.lasted); got != tc.want {
			t.Errorf("after %v, %v, %v: %v, want %v", tc.before, tc.err, tc.lasted, got, tc.want)
		}
	}
}
