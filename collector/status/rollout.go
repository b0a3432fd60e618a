package status

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/staticpod-exporter/staticpod-exporter/manifest"
)

// DefaultRolloutDeadline is how long a new revision may take, as OpenShift gives its static pods.
const DefaultRolloutDeadline = 150 * time.Second

// judgeRollout finds a revision that is not running and ready in time. What keeps it from that is a problem of its own,
// or an earlier incarnation of the pod. The clock stands while the kubelet was away and while images are pulled.
func (f *findings) judgeRollout() {
	d, w := f.definition(), &f.r.world
	if d == nil || d.Name == "" || !d.Valid || !d.Served || !w.kubelet.fresh() {
		return
	}
	begun := latest(plain(d.Updated), plain(d.Judged))
	if d.Source == manifest.SourceHTTP && w.serving {
		if f.fetched.IsZero() {
			return // that the kubelet does not come for it is another problem
		}
		begun = f.fetched
	}
	h := &f.history
	// A file that was mended holds what it did before, and the kubelet has stopped its pod meanwhile.
	mended := d.Source == manifest.SourceFile && !h.Changed.IsZero() && !h.Changed.Equal(plain(d.Changed))
	if h.Rollout != d.Hash || mended {
		h.Rollout, h.Begun, h.Settled = d.Hash, begun, false
	}
	h.Changed = plain(d.Changed)
	if p := f.pod(); h.Settled || f.settles(d) || p != nil && p.phase == corev1.PodFailed {
		return // it is done, or the kubelet is done with it: nothing is late
	}
	begun = latest(h.Begun, w.kubelet.since)
	if f.uid == string(d.UID) {
		begun = latest(begun, f.since()) // a pod that a node's or kubelet's start began anew
	}
	old, stuck := f.r.before(f.id).problem(manifest.Problem{Reason: RolloutStuck}, false, "")
	if stuck = stuck && !old.Since.Before(h.Begun); stuck {
		begun = old.Since
	}
	deadline := f.r.next.limits.RolloutDeadline
	if deadline <= 0 {
		deadline = DefaultRolloutDeadline
	}
	due := begun.Add(f.grace() + deadline + h.Pulled)
	if !stuck && (!h.Pulling.IsZero() || !f.reached(due)) {
		return
	}
	f.due = due
	f.add(manifest.Problem{Reason: RolloutStuck, Since: begun,
		Message: fmt.Sprintf("revision %d of the definition is not running and ready %s after its grace period: %s", d.Version, deadline, f.obstacle(d))})
}

// settles reports whether the definition's content is rolled out now, and remembers it: what happens to the pod after
// that is no rollout.
func (f *findings) settles(d *manifest.Definition) bool {
	p := f.pod()
	if p == nil || f.over() {
		return false
	}
	switch h := &f.history; f.current(d).Status {
	case False:
		return false
	case Unknown:
		if h.UID == f.uid && h.Hash != d.Hash {
			return false // for all that is known it is of the content before
		}
	}
	_, completed := f.found(Completed)
	// Of a pod that is seen for the first time: one that was not ready from its start on, and not only since then, was
	// ready between.
	lost := f.r.before(f.id).version == 0 && p.ready.status == corev1.ConditionFalse && !p.started.IsZero() &&
		p.ready.since.After(latest(p.started, p.seen).Add(startGrace))
	if p.ready.status != corev1.ConditionTrue && !lost && !completed && !f.doneInPart() {
		return false
	}
	f.history.Settled = true
	return true
}

// obstacle says what stands in the way of a definition.
func (f *findings) obstacle(d *manifest.Definition) string {
	table := f.r.next.codes
	first := manifest.Problem{}
	for _, p := range f.problems {
		if stage := table[p.Reason].Stage; stage == StageDefinition || p.Level == manifest.Info && p.Reason != WaitingForTermination {
			continue
		}
		if first.Reason == "" || table.compare(p, first) < 0 {
			first = p
		}
	}
	switch p := f.pod(); {
	case first.Level == manifest.Critical:
		return string(first.Reason) // which says the rest itself
	case first.Reason != "":
		return string(first.Reason) + ": " + first.Message
	case p == nil:
		return "the kubelet does not have its pod"
	case f.current(d).Status == False:
		return "an earlier revision runs, with UID " + f.uid
	default:
		return firstOf(p.ready.message, "the pod is not ready")
	}
}
