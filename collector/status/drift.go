package status

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/staticpod-exporter/staticpod-exporter/cri"
	"github.com/staticpod-exporter/staticpod-exporter/manifest"
)

const (
	// orphanGrace is what a pod that the kubelet gave up may take beyond its own grace period (V8).
	orphanGrace = 150 * time.Second
	// terminationGrace is what the kubelet and the runtime may take to kill a pod once its grace period is over: that
	// takes seconds, and more on a node that is busy ending many.
	terminationGrace = 30 * time.Second
	// duplicateGrace is what the runtime may take to end the sandbox that another one replaces.
	duplicateGrace = 30 * time.Second
)

// judgeDrift asks whether what runs is what should.
func (f *findings) judgeDrift() {
	f.judgeSandboxes()
	f.judgeTermination()
	f.judgeOrphans()
	f.judgeRollout()
	f.judgeHistory()
}

// judgeOrphans finds sandboxes that the kubelet has nothing to do with. One that it gave up is not lost: it is still
// at it.
func (f *findings) judgeOrphans() {
	if f.missing.IsZero() || !f.lostFor(f.grace()+orphanGrace) {
		return
	}
	var ids []string
	for _, s := range f.sandboxes {
		if _, _, ends := f.end(s); !ends && alive(s) && !f.r.next.listed[s.UID] {
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

// judgeTermination finds a pod that was removed or replaced and does not end.
func (f *findings) judgeTermination() {
	if p := f.pod(); p != nil && p.deleting && f.reached(p.deleted.Add(terminationGrace)) {
		if what := f.remains(f.incarnation()...); what != "" {
			f.add(manifest.Problem{Reason: TerminationStuck, Since: p.deleted, Message: "the pod was deleted and its grace period is over: " + what + f.words.why()})
		}
		return
	}
	for _, s := range f.sandboxes {
		if end, by, ok := f.end(s); ok && f.reached(by.Add(terminationGrace)) {
			f.add(manifest.Problem{Reason: TerminationStuck, Since: end.since,
				Message: "the kubelet gave up the pod with UID " + s.UID + " and its grace period is over: " + f.remains(s) + end.words.why()})
			return
		}
	}
}

// An ending is what is known of the end of a pod that runs and that the kubelet does not have. It is comparable.
type ending struct {
	uid   string
	since time.Time // when the kubelet was first seen not to have it
	by    time.Time // when its grace period is over, if the kubelet was seen to give it up
	words *podWords
}

func (r *round) endsOf(e *evidence) []ending {
	var all []ending
	for _, s := range e.sandboxes {
		if since, ok := r.next.missing[s.UID]; ok {
			all = append(all, ending{s.UID, since, r.next.ending[s.UID], r.next.words[s.UID]})
		}
	}
	return all
}

// end is when the grace period of a sandbox's pod is over, if the kubelet is known to be ending it: it had the pod and
// gave it up, or says that it cannot end it.
func (f *findings) end(s *cri.Sandbox) (e ending, by time.Time, ok bool) {
	for _, e := range f.ends {
		if e.uid != s.UID {
			continue
		}
		if !e.by.IsZero() {
			return e, e.by, true
		}
		w, ok := e.words.last(TerminationStuck)
		return e, e.since.Add(f.grace()), ok && f.lastsUntil(w.Last.Add(wordsLast))
	}
	return ending{}, time.Time{}, false
}

// remains says what of some sandboxes is left; "" when that is nothing.
func (f *findings) remains(sandboxes ...*cri.Sandbox) string {
	var running, ready []string
	for _, s := range sandboxes {
		for _, c := range s.Containers {
			if c.State == cri.Running {
				running = append(running, c.Name)
			}
		}
		if s.Ready {
			ready = append(ready, s.ID)
		}
	}
	switch {
	case len(running) > 0:
		return "its container " + strings.Join(running, ", ") + " runs"
	case len(ready) > 0:
		return "its sandbox " + strings.Join(ready, ", ") + " is ready"
	}
	return ""
}

// why is what the kubelet says of a pod that it cannot end.
func (w *podWords) why() string {
	said, ok := w.last(TerminationStuck)
	if !ok {
		return ""
	}
	return "; the kubelet's log says: " + said.Message
}

// judgeSandboxes finds a pod that runs in two sandboxes at once: in two attempts, or two pods of one name.
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
	newest := f.since()
	if len(ready) > 0 {
		newest = plain(ready[0].Created)
	}
	both := len(ready) > 1
	if len(ready) > 0 && runs(ready[0]) {
		for _, s := range f.otherIncarnations() {
			if s.Ready && runs(s) {
				ready, both = append(ready, s), true
				newest = latest(newest, plain(s.Created))
			}
		}
	}
	if !both || !f.reached(newest.Add(duplicateGrace)) {
		return
	}
	var ids []string
	for _, s := range ready {
		ids = append(ids, s.ID)
	}
	f.add(manifest.Problem{Reason: DuplicateSandbox, Since: newest,
		Message: fmt.Sprintf("%d sandboxes of the pod are ready at once, the newest first: %s", len(ready), strings.Join(ids, ", "))})
}

// runs reports whether a container of a sandbox runs.
func runs(s *cri.Sandbox) bool {
	return slices.ContainsFunc(s.Containers, func(c cri.Container) bool { return c.State == cri.Running })
}

// giveUp takes note of the pods that the kubelet had and has no longer, and by when they should have ended. What it
// said of them, but for their end, is over: one that comes back as it was has the same UID.
func (r *round) giveUp(before []*podFacts) {
	for _, p := range before {
		if r.next.listed[p.uid] {
			continue
		}
		r.reword(p.uid, func(f *failure) bool { return f.Reason != TerminationStuck })
		if p.untouched || p.rejected() || !r.world.runtime.configured {
			continue
		}
		r.ownEnding()
		r.next.ending[p.uid] = r.now.Add(p.grace)
	}
}

// ended forgets the pods that ended after all, and those that are back.
func (r *round) ended() {
	for uid := range r.next.ending {
		if _, missing := r.next.missing[uid]; !missing {
			r.ownEnding()
			delete(r.next.ending, uid)
		}
	}
}

// ownEnding makes the map of what should end this round's own, once.
func (r *round) ownEnding() {
	if !r.endingOwned {
		r.endingOwned = true
		if r.next.ending = maps.Clone(r.next.ending); r.next.ending == nil {
			r.next.ending = map[string]time.Time{}
		}
	}
	r.next.changes++
}

// miss dates the pods that run and that the kubelet does not have. It learns nothing while either of them
// does not answer, and lacking a definition is never proof (V8).
func (r *round) miss() {
	w := &r.world
	if !w.kubelet.fresh() || w.sourcesNotReady {
		return
	}
	if r.next.view != r.prev.memory.view {
		r.giveUp(r.prev.memory.pods)
	}
	if !w.runtime.fresh() {
		return
	}
	defer r.ended()
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
