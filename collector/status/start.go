package status

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/staticpod-exporter/staticpod-exporter/manifest"
)

// judgeStart asks what keeps the pod's containers from starting.
func (f *findings) judgeStart() {
	if f.over() {
		return
	}
	f.judgeSurroundings()
	for i := range f.containers {
		c := &f.containers[i]
		if p, ok := f.startProblem(c); ok {
			p.Field = c.field()
			f.add(p)
		}
	}
	f.believeLog()
	f.judgePull()
}

// over reports whether the pod has no start or run to judge: it was not admitted, has not begun, or is going.
func (f *findings) over() bool {
	p, w := f.pod(), &f.r.world
	// What the runtime still has of a pod that the kubelet does not have is of a former life of it.
	former := p == nil && w.kubelet.fresh() && !w.sourcesNotReady
	return f.uid == "" || former || f.terminating() || f.waits() || p != nil && (p.rejected() || p.deleting)
}

// judgeSurroundings finds what only the log tells: a sandbox that cannot be made, a volume that cannot be
// mounted. A container that ran since says that it is over.
func (f *findings) judgeSurroundings() {
	if f.words == nil {
		return
	}
	for _, w := range f.words.Failures {
		if w.Reason != SandboxFailed && w.Reason != VolumeMountFailed || f.surroundedSince(w.Last) || !f.lastsUntil(w.Last.Add(wordsLast)) {
			continue
		}
		f.add(manifest.Problem{Reason: w.Reason, Detail: w.Detail, Message: w.Message, Since: w.First})
	}
}

// surroundedSince reports whether the pod has had its sandbox, and so its volumes, since a time.
func (f *findings) surroundedSince(t time.Time) bool {
	if f.r.world.runtime.fresh() {
		for _, s := range f.incarnation() {
			if s.Ready && plain(s.Created).After(t) {
				return true
			}
		}
	}
	if p := f.pod(); p != nil && p.sandbox.status == corev1.ConditionTrue && p.sandbox.since.After(t) {
		return true
	}
	return slices.ContainsFunc(f.containers, func(c container) bool { return c.State == StateRunning || c.exit.known && c.exit.ended.After(t) })
}

// startProblem is what keeps one container from starting.
func (f *findings) startProblem(c *container) (manifest.Problem, bool) {
	if c.State == StateWaiting {
		switch reason := failureReason(c.Reason); reason {
		case ImagePullFailed, ContainerConfigError, ContainerStartFailed:
			return manifest.Problem{
				Reason: reason, Detail: failureDetail(c.Reason, c.message), Message: firstOf(c.message, c.Reason),
				Since: f.saidSince(reason, c.Name),
			}, true
		case CrashLoopBackOff:
			if neverStarted(c.exit.reason) {
				return manifest.Problem{Reason: ContainerStartFailed, Detail: runError, Message: firstOf(c.exit.message, c.message), Since: c.exit.ended}, true
			}
			if p, ok := f.hookProblem(c); ok {
				return p, true
			}
		}
	}
	if p, ok := f.hookProblem(c); ok {
		return p, true
	}
	if w, ok := f.saidOf(c); ok && w.Reason != CrashLoopBackOff {
		return manifest.Problem{Reason: w.Reason, Detail: w.Detail, Message: w.Message, Since: w.First}, true
	}
	if c.State == StateExited && neverStarted(c.exit.reason) {
		return manifest.Problem{Reason: ContainerStartFailed, Detail: runError, Message: firstOf(c.exit.message, c.exit.reason), Since: c.exit.ended}, true
	}
	if c.Kind == KindInit {
		return f.initProblem(c)
	}
	return manifest.Problem{}, false
}

// hookProblem finds a container that the kubelet ends, each time, because its PostStart hook fails. In between it runs or
// is backed off from, and neither is the cause.
func (f *findings) hookProblem(c *container) (manifest.Problem, bool) {
	w, ok := f.words.find(ContainerStartFailed, c.Name)
	if !ok || w.Detail != hookError {
		return manifest.Problem{}, false
	}
	p := manifest.Problem{Reason: ContainerStartFailed, Detail: w.Detail, Message: w.Message, Since: w.First}
	if _, before := f.was(ContainerStartFailed, c.field()); before {
		if c.State == StateRunning || c.State == StateCreated {
			return p, !f.outlived(c)
		}
		if f.lastsUntil(c.exit.ended.Add(exitGrace)) {
			return p, true // the kubelet has yet to say why it ended this attempt
		}
	}
	return p, c.State != StateRunning && c.exit.known && !w.Last.Before(c.exit.ended)
}

// saidOf is what the log says of a container that does not run, where it knows more than the kubelet's status. That
// is written before the kubelet tries, and again ten seconds later or more.
func (f *findings) saidOf(c *container) (failure, bool) {
	var newest failure
	switch {
	case f.words == nil || !f.r.world.kubelet.fresh():
		return newest, false
	case c.State == StateExited, c.State == StateCreated:
	case c.State != StateWaiting || failureReason(c.Reason) != "":
		return newest, false
	}
	for _, w := range f.words.Failures {
		switch w.Reason {
		case ImagePullFailed, ContainerConfigError, ContainerStartFailed, CrashLoopBackOff:
			if w.Container == c.Name && w.Last.After(newest.Last) {
				newest = w
			}
		}
	}
	said := newest.Last.After(latest(c.exit.ended, c.StartedAt)) && f.lastsUntil(newest.Last.Add(wordsLast))
	return newest, said
}

// initProblem finds an init container that ended badly, and one that is at it again and has not outlived the
// attempt before.
func (f *findings) initProblem(c *container) (manifest.Problem, bool) {
	p := manifest.Problem{Reason: InitContainerFailed, Message: c.ended(), Since: c.exit.ended}
	if !c.exit.known || c.exit.code == 0 {
		return p, false
	}
	if c.State == StateRunning || c.State == StateCreated {
		old, ok := f.was(InitContainerFailed, c.field())
		return old, ok && !f.outlived(c)
	}
	return p, c.State == StateExited || c.State == StateWaiting
}

// saidSince dates a failure that the kubelet's status does not date: by the log, else by the pod's start.
func (f *findings) saidSince(reason manifest.Reason, name string) time.Time {
	if w, ok := f.words.find(reason, name); ok {
		return w.First
	}
	if p := f.pod(); p != nil {
		return latest(p.started, p.seen)
	}
	return time.Time{}
}

// believeLog takes the log's word for containers while the kubelet itself cannot be asked.
func (f *findings) believeLog() {
	if f.words == nil || f.r.world.kubelet.fresh() {
		return
	}
	for _, w := range f.words.Failures {
		switch w.Reason {
		case ImagePullFailed, ContainerConfigError, ContainerStartFailed, CrashLoopBackOff:
		default:
			continue
		}
		p := manifest.Problem{Reason: w.Reason, Detail: w.Detail, Message: w.Message, Since: w.First, Field: "spec.containers{" + w.Container + "}"}
		i := slices.IndexFunc(f.containers, func(c container) bool { return c.Name == w.Container })
		if i >= 0 {
			c := &f.containers[i]
			if c.State == StateRunning && c.StartedAt.After(w.Last) {
				continue // the runtime knows better
			}
			p.Field = c.field()
			if c.Kind == KindInit && p.Reason == CrashLoopBackOff {
				p.Reason = InitContainerFailed
			}
		}
		said := slices.ContainsFunc(f.problems, p.Same)
		if !said && f.lastsUntil(w.Last.Add(wordsLast)) {
			f.add(p)
		}
	}
}

// firstOf returns the first string that says anything.
func firstOf(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}
