package status

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/staticpod-exporter/staticpod-exporter/manifest"
)

const (
	// settled is when the kubelet itself forgets a container's back-off: after it ran that long.
	settled = 10 * time.Minute
	// outlives is the least a container has to run before it counts as recovered.
	outlives = 30 * time.Second
	// exitGrace is how long after an exit the kubelet is given to know of it, or to say that it has given the pod up: a
	// little longer than the time after which it is asked in any case.
	exitGrace = 12 * time.Second
	// readyGrace is how long a started pod may take to become ready, beyond what its probes allow, before it is a
	// problem.
	readyGrace = 10 * time.Second
	// startGrace is how long a pod may take to start without a word of why it does not.
	startGrace = time.Minute
)

// judgeRun asks whether the pod runs as it should once it is started.
func (f *findings) judgeRun() {
	if f.over() {
		f.resume()
		return
	}
	if f.judgeCompletion() {
		return
	}
	given := f.pod() != nil && f.pod().phase == corev1.PodFailed && f.pod().reason != ""
	for i := range f.containers {
		c := &f.containers[i]
		f.judgeProbes(c)
		if p, ok := f.runProblem(c); ok && !f.about(c) && !given {
			p.Field = c.field()
			f.add(p)
		}
		if c.exit.known && c.exit.reason == string(OOMKilled) && f.lastsUntil(c.exit.ended.Add(settled)) {
			f.add(manifest.Problem{Reason: OOMKilled, Field: c.field(), Message: c.ended(), Since: c.exit.ended})
		}
	}
	f.judgeFailure()
	f.judgeReadiness()
}

// resume keeps what was found of a pod that a kubelet, started a moment ago, has yet to look at, or even to list.
func (f *findings) resume() {
	w := &f.r.world
	unlisted := f.pod() == nil && w.kubelet.fresh() && (w.sourcesNotReady || f.lastsUntil(w.kubelet.since.Add(logLag)))
	unseen := f.waits() && f.lastsUntil(f.pod().seen.Add(startGrace))
	if len(f.incarnation()) == 0 || !unlisted && !unseen {
		return
	}
	b := f.r.before(f.id)
	for _, p := range b.problems {
		if stage := f.r.next.codes[p.Reason].Stage; b.uid == f.uid && (stage == StageStart || stage == StageRun) {
			f.add(p)
		}
	}
}

// about reports whether a start problem of the container was found: it is the cause of how it runs.
func (f *findings) about(c *container) bool {
	return slices.ContainsFunc(f.problems, func(p manifest.Problem) bool {
		return p.Field == c.field() && f.r.next.codes[p.Reason].Stage == StageStart
	})
}

// judgeCompletion finds a pod that ended well, as its restart policy lets it.
func (f *findings) judgeCompletion() bool {
	p := f.pod()
	ended := f.policy() != corev1.RestartPolicyAlways &&
		f.every(func(c *container) bool { return c.State == StateExited && c.exit.known && c.exit.code == 0 })
	if !ended && f.startedAnew() {
		_, ended = f.was(Completed, "")
	}
	if !ended && (p == nil || p.phase != corev1.PodSucceeded) {
		return false
	}
	var at time.Time
	for i := range f.containers {
		at = latest(at, f.containers[i].exit.ended)
	}
	f.add(manifest.Problem{Reason: Completed, Message: "every container has ended and none is to be restarted", Since: at})
	return true
}

// startedAnew reports whether the kubelet, started a moment ago, has yet to see what became of a pod that the runtime has
// from before: until then it says Pending, and that its containers wait.
func (f *findings) startedAnew() bool {
	p := f.pod()
	return p != nil && p.phase == corev1.PodPending && len(f.incarnation()) > 0 && f.r.before(f.id).uid == f.uid && f.lastsUntil(p.seen.Add(startGrace))
}

// runProblem is what is wrong with one container that was started.
func (f *findings) runProblem(c *container) (manifest.Problem, bool) {
	if c.Kind == KindInit {
		return manifest.Problem{}, false
	}
	looped, before := f.was(CrashLoopBackOff, c.field())
	switch c.State {
	case StateWaiting:
		if failureReason(c.Reason) == CrashLoopBackOff {
			return manifest.Problem{Reason: CrashLoopBackOff, Message: c.looped(c.message) + f.probeCause(c), Since: c.exit.ended}, true
		}
	case StateRunning, StateCreated:
		if before && !f.outlived(c) {
			return looped, true
		}
	case StateExited:
		if f.mayEnd(c) {
			return manifest.Problem{}, false
		}
		if w, ok := f.saidOf(c); ok && w.Reason == CrashLoopBackOff {
			return manifest.Problem{Reason: CrashLoopBackOff, Message: c.looped(w.Message) + f.probeCause(c), Since: c.exit.ended}, true
		}
		if before {
			return looped, true
		}
		if f.mayBeMeant(c) || f.endedForProbe(c) {
			return manifest.Problem{}, false
		}
		return manifest.Problem{Reason: ContainerExited, Message: c.ended(), Since: c.exit.ended}, true
	}
	return manifest.Problem{}, false
}

// mayEnd reports whether the restart policy has no objection to how a container ended.
func (f *findings) mayEnd(c *container) bool {
	return c.Kind == KindApp && f.policy() != corev1.RestartPolicyAlways && c.exit.known && c.exit.code == 0
}

// mayBeMeant reports whether it is too early to call an exit a problem. The kubelet ends the containers of a pod
// that it removes or replaces, and says so only afterwards; the runtime tells of them at once.
func (f *findings) mayBeMeant(c *container) bool {
	if p := f.pod(); p != nil && !c.exit.ended.After(p.seen) {
		// It is of a life of the pod before the kubelet saw it: of one taken away and brought back as it was, say.
		_, said := f.was(ContainerExited, c.field())
		return !said && !f.reached(p.seen.Add(exitGrace))
	}
	return c.unconfirmed && !f.reached(c.exit.ended.Add(exitGrace))
}

// outlived reports whether a container that was restarted has run longer than the attempt that failed. Until
// then it is not known to have recovered: otherwise every attempt of a crash loop would end the problem.
func (f *findings) outlived(c *container) bool {
	switch {
	case !c.exit.known:
		return true
	case c.StartedAt.IsZero(): // it is created only
		return false
	}
	enough := min(max(outlives, c.exit.ended.Sub(c.exit.started)+outlives), settled)
	return f.reached(c.StartedAt.Add(enough))
}

// ended says how a container ended last. What its process left as a message is not repeated: it is the
// author's and may hold anything.
func (c *container) ended() string {
	if !c.exit.known {
		return ""
	}
	text := fmt.Sprintf("container %s exited with code %d", c.Name, c.exit.code)
	if c.exit.reason != "" && c.exit.reason != "Error" {
		text += " (" + c.exit.reason + ")"
	}
	return text
}

// looped says why a container waits, how it ended and how often it was tried.
func (c *container) looped(backOff string) string {
	// The kubelet goes on to name the pod, which whoever reads this knows.
	backOff, _, _ = strings.Cut(backOff, " pod=")
	text := backOff
	if ended := c.ended(); ended != "" {
		text = strings.TrimPrefix(backOff+"; "+ended, "; ")
	}
	switch {
	case c.RestartCount == 1:
		text += ", restarted once"
	case c.RestartCount > 1:
		text += fmt.Sprintf(", restarted %d times", c.RestartCount)
	}
	return text
}

// judgeFailure finds a pod that the kubelet gave up, for a reason that is not a container's.
func (f *findings) judgeFailure() {
	p := f.pod()
	if p == nil || p.phase != corev1.PodFailed || f.has(StageAdmission) {
		return
	}
	if p.reason == "" && f.has(StageStart, StageRun) {
		return
	}
	f.add(manifest.Problem{Reason: ContainerExited, Detail: p.reason, Message: firstOf(p.message, "the pod has failed"), Since: p.ready.since})
}

// judgeReadiness finds a pod that is not ready, where nothing found before explains it.
func (f *findings) judgeReadiness() {
	p := f.pod()
	if p == nil || p.ready.status == corev1.ConditionTrue || f.has(StageAdmission, StageStart, StageRun) {
		return
	}
	if f.doneInPart() {
		return
	}
	if _, _, pulls := f.pulling(); pulls {
		return // which is slow, or not yet worth a word
	}
	running := f.every(func(c *container) bool { return c.State == StateRunning })
	begun := latest(p.started, p.seen, f.history.PulledUntil)
	switch {
	case running:
		by := latest(f.youngest(), p.readyBy()).Add(readyGrace)
		if !f.reached(by) || !f.askedSince(by) {
			return
		}
	case !f.reached(begun.Add(startGrace)):
		return
	}
	since := p.ready.since
	if since.IsZero() {
		since = begun
	}
	message := firstOf(p.ready.message, "the pod is not ready")
	for i := range f.containers {
		switch c := &f.containers[i]; {
		case c.State == StateWaiting && c.Reason != "":
			message += "; " + c.Name + ": " + c.Reason
		case c.Kind == KindInit && c.State == StateRunning:
			message += "; init container " + c.Name + " has not ended"
		case c.State == StateRunning && !c.Ready:
			message += f.probeSays(c, NotReady, p.ready.since)
		}
	}
	for _, reason := range []manifest.Reason{"", TerminationStuck} {
		if w, ok := f.words.last(reason); ok && f.lastsUntil(w.Last.Add(wordsLast)) {
			message += "; the kubelet's log says: " + w.Message
		}
	}
	f.add(manifest.Problem{Reason: NotReady, Message: message, Since: since})
}

// doneInPart reports whether some containers have ended, as they may, and all others are ready. Such a pod is
// never Ready, and nothing is wrong with it.
func (f *findings) doneInPart() bool {
	ended := false
	return f.every(func(c *container) bool {
		done := c.State == StateExited && f.mayEnd(c)
		ended = ended || done
		return done || c.Ready
	}) && ended
}
