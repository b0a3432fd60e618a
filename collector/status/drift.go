package status

import (
	"fmt"
	"maps"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/staticpod-exporter/staticpod-exporter/cri"
	"github.com/staticpod-exporter/staticpod-exporter/manifest"
)

const (
	// orphanGrace is what a pod that the kubelet gave up may take beyond its own grace period (V8).
	orphanGrace = 150 * time.Second
	// duplicateGrace is what the runtime may take to end the sandbox that another one replaces.
	duplicateGrace = 30 * time.Second
)

// judgeDrift asks whether what runs is what should.
func (f *findings) judgeDrift() {
	f.judgeSandboxes()
	if f.missing.IsZero() || !f.lostFor(f.grace()+orphanGrace) {
		return
	}
	var ids []string
	for _, s := range f.sandboxes {
		if alive(s) && !f.r.next.listed[s.UID] {
			ids = append(ids, s.ID)
		}
	}
	if len(ids) > 0 {
		f.add(manifest.Problem{Reason: Orphaned, Since: f.missing,
			Message: "the kubelet does not have the pod of the running sandbox " + strings.Join(ids, ", ")})
	}
}

// lostFor reports whether the kubelet has not had the pod for so long.
func (f *findings) lostFor(d time.Duration) bool { return f.reached(f.missing.Add(d)) }

// grace is what the pod may take to end: the kubelet's word was lost with the pod, so the definition's.
func (f *findings) grace() time.Duration {
	for _, d := range f.definitions {
		if d.Pod != nil {
			return gracePeriod(&d.Pod.Spec)
		}
	}
	return corev1.DefaultTerminationGracePeriodSeconds * time.Second
}

// judgeSandboxes finds a pod that runs in two sandboxes at once.
func (f *findings) judgeSandboxes() {
	if !f.r.world.runtime.known {
		return
	}
	var ready []*cri.Sandbox
	for _, s := range f.incarnation() {
		if s.Ready {
			ready = append(ready, s)
		}
	}
	if len(ready) < 2 {
		return
	}
	newest := plain(ready[0].Created)
	if !f.reached(newest.Add(duplicateGrace)) {
		return
	}
	f.add(manifest.Problem{Reason: DuplicateSandbox, Since: newest,
		Message: fmt.Sprintf("%d sandboxes of the pod are ready, %s and %s among them", len(ready), ready[0].ID, ready[1].ID)})
}

// miss dates the pods that run and that the kubelet does not have. It learns nothing while either of them
// does not answer, and lacking a definition is never proof (V8).
func (r *round) miss() {
	w := &r.world
	if !w.kubelet.fresh() || w.sourcesNotReady || !w.runtime.fresh() {
		return
	}
	missing := map[string]time.Time{}
	for _, s := range r.next.sandboxes {
		if r.next.listed[s.UID] || !alive(s) {
			continue
		}
		since, ok := r.next.missing[s.UID]
		if !ok {
			// A sandbox younger than the kubelet's list says nothing against it.
			if plain(s.Created).After(plain(r.o.Kubelet.At)) {
				continue
			}
			since = r.now
		}
		missing[s.UID] = since
	}
	if !maps.Equal(missing, r.next.missing) {
		r.next.missing = missing
		r.next.changes++
	}
}

// missingSince is when the kubelet was first seen not to have a pod of the evidence that runs.
func (r *round) missingSince(e *evidence) time.Time {
	var since time.Time
	for _, s := range e.sandboxes {
		if at, ok := r.next.missing[s.UID]; ok {
			since = earliest(since, at)
		}
	}
	return since
}
