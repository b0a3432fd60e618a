package kubelet

import (
	"maps"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// watched is what the Pods API has said: the static pods of the last list, or of the beginning of a watch,
// brought up to date by events. It knows which events it cannot be brought up to date by.
//
// An event tells of a status that was written, not of what is desired. So a change of a pod that is listed is
// taken as it comes. But a pod that is not listed may be new, or one that is being removed; and DELETED says
// that containers are gone, while the pod may still be desired and have been rejected. And when a container has
// ended, the kubelet may have ended it because the pod is no longer desired. All these leave the state unsure,
// until a list settles it. What no event tells at all (a pod that waits for its name, the removal of one that was
// rejected) only a resync finds.
type watched struct {
	mu     sync.Mutex
	pods   map[types.UID]*corev1.Pod
	open   bool      // a watch is open and has told of everything there is
	unsure bool      // only a list can tell
	heard  time.Time // when the kubelet last said something
	// What events said while a list was under way, with a nil pod for DELETED: they may be younger than it.
	// Nil when none is.
	meanwhile map[types.UID]*corev1.Pod
}

// begin takes note of a watch that has told of everything there is.
func (w *watched) begin(pods []*corev1.Pod, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pods = index(pods)
	w.open, w.unsure, w.heard = true, false, now
	if w.meanwhile != nil {
		maps.Copy(w.meanwhile, w.pods)
	}
}

// end takes note of a watch that ended, and reports whether it had begun.
func (w *watched) end() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	was := w.open
	w.open = false
	return was
}

// changed takes an ADDED or MODIFIED event of a static pod, and reports whether it says something new.
func (w *watched) changed(pod *corev1.Pod, now time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.heard = now
	if w.meanwhile != nil {
		w.meanwhile[pod.UID] = pod
		return true
	}
	known, ok := w.pods[pod.UID]
	if !ok {
		w.unsure = true
		return true
	}
	w.pods[pod.UID] = pod
	w.unsure = w.unsure || ended(known, pod)
	return known != pod
}

// ended reports whether a container has ended that had not before.
func ended(before, now *corev1.Pod) bool {
	for _, c := range now.Status.ContainerStatuses {
		if c.State.Terminated != nil && !slices.ContainsFunc(before.Status.ContainerStatuses, func(b corev1.ContainerStatus) bool {
			return b.ContainerID == c.ContainerID && b.State.Terminated != nil
		}) {
			return true
		}
	}
	return false
}

// deleted takes a DELETED event, and reports whether it says something new.
func (w *watched) deleted(uid types.UID, now time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.heard = now
	if w.meanwhile != nil {
		w.meanwhile[uid] = nil
		return true
	}
	if _, ok := w.pods[uid]; !ok {
		return false // not a static pod, or one that the last list no longer had
	}
	w.unsure = true
	return true
}

// settled reports whether a watch keeps the state up to date and nothing is to be settled by a list.
func (w *watched) settled() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.open && !w.unsure
}

// sure reports whether the state needs no list, and returns it.
func (w *watched) sure() (pods []*corev1.Pod, heard time.Time, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.open || w.unsure {
		return nil, time.Time{}, false
	}
	return sorted(slices.Collect(maps.Values(w.pods))), w.heard, true
}

// listing is called before a list is asked for.
func (w *watched) listing() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.unsure = false
	w.meanwhile = make(map[types.UID]*corev1.Pod)
}

// listed settles the state by a list that began with listing, and returns it.
func (w *watched) listed(pods []*corev1.Pod, now time.Time) []*corev1.Pod {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pods, w.heard = index(pods), now
	for uid, pod := range w.meanwhile {
		switch known, ok := w.pods[uid]; {
		case ok && pod != nil:
			w.pods[uid] = pod
			w.unsure = w.unsure || ended(known, pod)
		case ok, pod != nil:
			w.unsure = true // it is listed and deleted, or neither
		}
	}
	w.meanwhile = nil
	return sorted(slices.Collect(maps.Values(w.pods)))
}

// unlisted takes note that the list did not come.
func (w *watched) unlisted() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.unsure = true
	w.meanwhile = nil
}

func index(pods []*corev1.Pod) map[types.UID]*corev1.Pod {
	byUID := make(map[types.UID]*corev1.Pod, len(pods))
	for _, p := range pods {
		byUID[p.UID] = p
	}
	return byUID
}
