package kubelet

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// What remains of events and lists that come at once, in either order.
func TestWatched(t *testing.T) {
	a, a2, b := newPod("a", "http", pending), newPod("a", "http", running), newPod("b", "http", running)
	ended := newPod("a", "http", running)
	ended.Status.ContainerStatuses = []corev1.ContainerStatus{{ContainerID: "x", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{}}}}
	still := ended.DeepCopy()
	now := time.Unix(1, 0)
	type step func(w *watched) (news bool)
	begin := func(pods ...*corev1.Pod) step {
		return func(w *watched) bool { w.begin(pods, now); return true }
	}
	changed := func(pod *corev1.Pod) step { return func(w *watched) bool { return w.changed(pod, now) } }
	deleted := func(pod *corev1.Pod) step { return func(w *watched) bool { return w.deleted(pod.UID, now) } }
	listing := func(w *watched) bool { w.listing(); return true }
	listed := func(pods ...*corev1.Pod) step {
		return func(w *watched) bool { w.listed(pods, now); return true }
	}
	unlisted := func(w *watched) bool { w.unlisted(); return true }
	end := func(w *watched) bool { return w.end() }
	for _, tc := range []struct {
		name  string
		steps []step
		want  string
		sure  bool
		quiet bool // the last step is no news
	}{
		{"nothing", nil, "", false, false},
		{"a list without a watch", []step{listing, listed(a)}, "a=Pending", false, false},
		{"a watch", []step{begin(a, b)}, "a=Pending b=Running", true, false},
		{"a watch that ended", []step{begin(a), end}, "a=Pending", false, false},
		{"one that had not begun", []step{end}, "", false, true},
		{"a status", []step{begin(a), changed(a2)}, "a=Running", true, false},
		{"the same again", []step{begin(a), changed(a2), changed(a2)}, "a=Running", true, true},
		{"an unknown pod", []step{begin(a), changed(b)}, "a=Pending", false, false},
		{"a deleted pod", []step{begin(a), deleted(a)}, "a=Pending", false, false},
		{"a container that ended", []step{begin(a), changed(ended)}, "a=Running", false, false},
		{"one that had ended before", []step{begin(ended), changed(still)}, "a=Running", true, false},
		{"one that ends while it is listed", []step{begin(a), listing, changed(ended), listed(a)}, "a=Running", false, false},
		{"another's", []step{begin(a), deleted(b)}, "a=Pending", true, true},
		{"settled by a list", []step{begin(a), deleted(a), listing, listed()}, "", true, false},
		{"not settled, the list fails", []step{begin(a), deleted(a), listing, unlisted}, "a=Pending", false, false},
		{"sure, but the list fails", []step{begin(a), listing, unlisted}, "a=Pending", false, false},
		{"an event is younger than the list", []step{begin(a), listing, changed(a2), listed(a)}, "a=Running", true, false},
		{"an event before the list is older", []step{begin(a2), changed(a2), listing, listed(a)}, "a=Pending", true, false},
		{"a pod added while it is listed, listed", []step{begin(), listing, changed(a2), listed(a)}, "a=Running", true, false},
		{"a pod added while it is listed, not listed", []step{begin(), listing, changed(a), listed()}, "", false, false},
		{"a pod deleted while it is listed, listed", []step{begin(), listing, deleted(a), listed(a)}, "a=Pending", false, false},
		{"a pod deleted while it is listed, not listed", []step{begin(a), listing, deleted(a), listed()}, "", true, false},
		{"the watch begins while it is listed", []step{listing, begin(a2), listed(a)}, "a=Running", true, false},
		{"the watch begins with less", []step{listing, begin(), listed(a)}, "a=Pending", true, false},
		{"the watch begins with more", []step{listing, begin(a, b), listed(a)}, "a=Pending", false, false},
	} {
		var w watched
		news := true
		for _, s := range tc.steps {
			news = s(&w)
		}
		pods := w.pods
		all := []*corev1.Pod{}
		for _, pod := range pods {
			all = append(all, pod)
		}
		if got := names(sorted(all)); got != tc.want {
			t.Errorf("%s: %s, want %s", tc.name, got, tc.want)
		}
		if _, _, sure := w.sure(); sure != tc.sure || w.settled() != tc.sure {
			t.Errorf("%s: sure %v, want %v", tc.name, sure, tc.sure)
		}
		if news == tc.quiet {
			t.Errorf("%s: news %v", tc.name, news)
		}
	}
}
