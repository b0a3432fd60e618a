package status

import (
	"cmp"
	"reflect"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/staticpod-exporter/staticpod-exporter/cri"
	"github.com/staticpod-exporter/staticpod-exporter/manifest"
)

const (
	// maxSteps bounds the steps of a rollout, containerSteps those of its containers.
	maxSteps, containerSteps = 64, 56
	// second is how exact the kubelet's status is.
	second = time.Second
)

// A course is a rollout that is brought up to what was found, step after step. A step that was done stays as it is: its
// evidence may be gone, or of a later life of the kubelet.
type course struct {
	*findings
	old, now  *Rollout
	at        time.Time      // the end of the step before
	final     bool           // the rollout ends now, and nothing is waited for
	sandboxes []*cri.Sandbox // of the pod, made since the rollout began, oldest first
}

// advance returns the rollout as it is now; the very same when nothing was done.
func (f *findings) advance(old *Rollout) *Rollout {
	now := *old
	now.Steps = []Step{}
	for _, s := range old.Steps {
		if !s.End.IsZero() {
			now.Steps = append(now.Steps, s)
		}
	}
	c := &course{findings: f, old: old, now: &now, at: now.Started}
	c.run()
	slices.SortStableFunc(now.Steps, func(a, b Step) int {
		return cmp.Or(a.Start.Compare(b.Start), cmp.Compare(slices.Index(Steps(), a.Name), slices.Index(Steps(), b.Name)))
	})
	if reflect.DeepEqual(&now, old) {
		return old
	}
	return &now
}

func (c *course) run() {
	if !c.define() {
		return
	}
	p := c.podOfRollout(c.now)
	if p != nil {
		c.now.UID = p.uid
	}
	c.box()
	if !c.accept(p) {
		c.expire()
		return
	}
	ready, at, how := c.arrived(p)
	c.final = ready
	started := c.surround(p) && c.start(p)
	switch {
	case ready:
		c.now.Steps = slices.DeleteFunc(c.now.Steps, func(s Step) bool { return s.End.IsZero() })
		s := Step{Name: StepReady, Start: c.lastDone(), End: latest(at, c.lastDone())}
		if how.Reason != "" {
			s.blame(how)
		}
		c.pass(s)
		c.finish(OutcomeReady, c.at)
	case p != nil && p.phase == corev1.PodFailed && p.reason != "Terminated":
		c.finish(OutcomeFailed, c.exited())
	case started:
		c.open(StepReady, "", c.lastDone())
		c.expire()
	default:
		c.expire()
	}
}

// define is the part of the definition, up to its being fetched. It reports whether the kubelet can have it.
func (c *course) define() bool {
	d := c.definition()
	if d == nil {
		for _, name := range []StepName{StepChanged, StepValidated, StepFetched} {
			c.done(name, "")
		}
		return true
	}
	judged, p := plain(d.Judged), c.podOfRollout(c.now)
	ours := d.Source == manifest.SourceHTTP && c.r.world.serving
	quicker := !ours && p != nil && p.seen.Before(judged) // the kubelet does not wait for us
	if quicker {
		judged = p.seen
	}
	c.pass(Step{Name: StepChanged, Start: c.now.Started, End: judged})
	if !d.Valid {
		if p, ok := refusing(d); ok {
			c.reject(p, judged)
		} else {
			c.open(StepValidated, "", c.at)
		}
		return false
	}
	if ours && !d.Served {
		c.open(StepValidated, "", c.at)
		return false
	}
	valid := judged
	if doc := c.r.o.Manifest.Document; ours && doc != nil && hasUID(doc.UIDs, string(d.UID)) {
		valid = latest(valid, plain(doc.At))
	}
	if !quicker {
		c.pass(Step{Name: StepValidated, Start: c.at, End: valid})
	}
	switch {
	case !ours:
		c.at = c.now.Started // the kubelet reads it whatever we make of it
	case p != nil && p.seen.After(c.now.Started) && c.fetched.After(p.seen.Add(fetchSlack)):
		c.done(StepFetched, "") // nobody saw the fetch that the kubelet has it from
	case c.fetched.IsZero():
		c.open(StepFetched, "", c.at)
		c.expire()
		return false
	default:
		c.pass(Step{Name: StepFetched, Start: c.at, End: c.fetched})
	}
	return d.Name != ""
}

// refusing is the problem for which a definition is refused. That it cannot be read is no refusal.
func refusing(d *manifest.Definition) (manifest.Problem, bool) {
	for _, p := range d.Problems {
		if p.Level == manifest.Critical && p.Reason != manifest.ManifestUnreadable {
			return p, true
		}
	}
	return manifest.Problem{}, false
}

// podOfRollout is the kubelet's pod that a rollout makes; nil when it has none yet.
func (f *findings) podOfRollout(ro *Rollout) *podFacts {
	for _, p := range f.pods {
		if p.uid == ro.UID {
			return p
		}
	}
	d, p := f.definition(), f.pod()
	if d == nil || p == nil || !f.r.predicted(d) || !p.seen.After(ro.Started) || f.current(d).Status == False {
		return nil
	}
	return p // whose UID, or even specification, is not as predicted; but it came after the change
}

// box finds the sandboxes of the pod.
func (c *course) box() {
	for _, s := range slices.Backward(c.findings.sandboxes) {
		if s.UID == c.now.UID && !plain(s.Created).Before(c.now.Started) {
			c.sandboxes = append(c.sandboxes, s)
		}
	}
}

// running reports whether the pod has a sandbox from before the rollout.
func (c *course) running() bool {
	return slices.ContainsFunc(c.findings.sandboxes, func(s *cri.Sandbox) bool {
		return s.UID == c.now.UID && alive(s) && plain(s.Created).Before(c.now.Started)
	})
}

// accept reports whether the kubelet has the pod.
func (c *course) accept(p *podFacts) bool {
	var made time.Time
	if len(c.sandboxes) > 0 {
		made = plain(c.sandboxes[0].Created)
	}
	switch {
	case c.done(StepAccepted, "") && (p == nil || !p.rejected()):
	case p != nil && p.rejected():
		problem, _ := c.findings.found(AdmissionRejected, NodeShutdown)
		c.reject(problem, c.deniedAt(p))
		return false
	case p != nil:
		c.pass(Step{Name: StepAccepted, Start: c.at, End: earliest(p.seen, made)})
	case (!made.IsZero() || c.running()) && (!c.r.world.kubelet.configured || c.r.world.kubelet.down()):
	default: // also where the runtime is ahead of the kubelet, which is about to say when it took the pod
		if f := c.file; f != nil && c.refused(f) {
			problem, _ := c.findings.found(manifest.ManifestRejected)
			c.reject(problem, f.First)
			return false
		}
		c.open(StepAccepted, "", c.at)
		return false
	}
	return true
}

// refused reports whether the kubelet means it when it refuses a file that is sound to us: it may have read half of it.
func (c *course) refused(f *fileRefusal) bool {
	return f.First.After(c.now.Started) && (f.Last.After(f.First) || c.reached(f.First.Add(2*c.r.world.fileCheck+logLag)))
}

// surround is the part of the pod's surroundings. It reports whether the pod has its sandbox.
func (c *course) surround(p *podFacts) bool {
	switch {
	case c.done(StepSandbox, ""):
	case len(c.sandboxes) > 0:
		c.pass(Step{Name: StepSandbox, Start: c.at, End: plain(c.sandboxes[0].Created)})
	case c.running():
	case c.r.world.runtime.configured:
		c.open(StepSandbox, "", c.at)
		return false
	case p == nil || p.sandbox.status == "":
	case p.sandbox.status != corev1.ConditionTrue:
		c.open(StepSandbox, "", c.at)
		return false
	default:
		c.coarse(Step{Name: StepSandbox, Start: c.at, End: p.sandbox.since})
	}
	return true
}

// arrived reports whether the rollout is done, since when, and how if not by being ready.
func (c *course) arrived(p *podFacts) (ok bool, at time.Time, how manifest.Problem) {
	d := c.definition()
	if d != nil && c.current(d).Status == False || p != nil && p.uid != c.uid {
		return false, at, how
	}
	if p == nil && c.uid != c.now.UID {
		return false, at, how
	}
	for _, s := range c.spec.Conditions {
		if s.Type == Ready && s.Status == True {
			return true, s.LastTransitionTime, how
		}
	}
	if done, ok := c.findings.found(Completed); ok {
		return true, done.Since, done
	}
	h := &c.history
	if d != nil && p != nil && h.Settled && h.Rollout == d.Hash && c.r.world.kubelet.fresh() && !c.over() {
		return true, p.ready.since, how // it was ready for a moment
	}
	return false, at, how
}

// exited is when the last container ended.
func (c *course) exited() time.Time {
	var at time.Time
	for i := range c.containers {
		at = latest(at, c.containers[i].exit.ended)
	}
	return at
}

// expire ends a rollout whose deadline is over.
func (c *course) expire() {
	stuck, ok := c.findings.found(RolloutStuck)
	if !ok || !c.due.After(c.now.Started) {
		return
	}
	for i := range c.now.Steps {
		if s := &c.now.Steps[i]; s.End.IsZero() && s.Reason == "" {
			s.Reason, s.Message, s.Since = string(stuck.Reason), clip(stuck.Message), c.due
		}
	}
	c.finish(OutcomeTimedOut, c.due)
}

// reject ends the rollout with the refusal.
func (c *course) reject(p manifest.Problem, at time.Time) {
	start := c.lastDone()
	c.now.Steps = slices.DeleteFunc(c.now.Steps, func(s Step) bool { return s.End.IsZero() })
	s := Step{Name: StepRejected, Start: start, End: latest(at, start)}
	s.blame(p)
	c.pass(s)
	c.finish(OutcomeRejected, c.at)
}

func (c *course) finish(outcome Outcome, at time.Time) { *c.now = *c.now.ended(outcome, at) }

// done takes over a step that was done before.
func (c *course) done(name StepName, container string) bool {
	s := c.now.step(name, container)
	if s == nil || s.End.IsZero() {
		return false
	}
	c.at = s.End
	return true
}

// lastDone is when the last step was done.
func (c *course) lastDone() time.Time {
	last := c.at
	for _, s := range c.now.Steps {
		last = latest(last, s.End)
	}
	return last
}

// pass takes a step that is done. One that was done before the rollout began is none of its steps.
func (c *course) pass(s Step) {
	if c.done(s.Name, s.Container) || s.End.IsZero() || s.End.Before(c.now.Started) || c.full(s) {
		return
	}
	if was := c.old.step(s.Name, s.Container); was != nil && s.Reason == "" {
		s.Reason, s.Message, s.Path, s.Line, s.Field, s.Since = was.Reason, was.Message, was.Path, was.Line, was.Field, was.Since
	}
	s.Start = latest(sooner(s.Start, s.End), c.now.Started)
	c.now.Steps = append(c.now.Steps, s)
	c.at = s.End
}

// coarse is pass for an end of which the kubelet says the second only: it may be later than the start by less.
func (c *course) coarse(s Step) {
	if s.End.Add(second).After(c.now.Started) {
		s.End = latest(s.End, s.Start)
	}
	c.pass(s)
}

// open takes a step that goes on, with what is in its way.
func (c *course) open(name StepName, container string, start time.Time) {
	s := Step{Name: name, Container: container, Start: latest(start, c.now.Started)}
	if was := c.old.step(name, container); was != nil {
		first := s.Start
		if s = *was; name != StepContainer { // whose first attempt may be gone
			s.Start = first
		}
	}
	if c.full(s) {
		return
	}
	if p, ok := c.obstacleOf(s); ok {
		s.blame(p)
	}
	c.now.Steps = append(c.now.Steps, s)
}

// full reports whether there is no room for a step.
func (c *course) full(s Step) bool {
	return len(c.now.Steps) >= containerSteps && s.Container != "" || len(c.now.Steps) >= maxSteps
}

// blame says what is in the way of a step.
func (s *Step) blame(p manifest.Problem) {
	s.Reason, s.Message, s.Since = string(p.Reason), clip(p.Message), plain(p.Since)
	s.Path, s.Line, s.Field = p.Path, p.Line, p.Field
}

// obstacleOf is the most causal problem that keeps a step from being done.
func (c *course) obstacleOf(s Step) (manifest.Problem, bool) {
	field := ""
	for i := range c.containers {
		if c.containers[i].Name == s.Container {
			field = c.containers[i].field()
		}
	}
	for _, p := range c.spec.Problems {
		if p.Reason != RolloutStuck && p.Reason != UnplannedRecreation && c.r.hinders(p, s.Name, field) {
			return p, true
		}
	}
	return manifest.Problem{}, false
}

// hinders reports whether a problem can be what keeps a step from being done.
func (r *round) hinders(p manifest.Problem, step StepName, field string) bool {
	stage := r.next.codes[p.Reason].Stage
	critical := p.Level == manifest.Critical
	switch step {
	case StepValidated:
		return stage == StageDefinition && critical
	case StepFetched, StepAccepted:
		return critical && (stage == StageDefinition || stage == StageDelivery)
	case StepSandbox:
		return stage == StageAdmission || stage == StageStart && p.Field == "" || p.Reason == TerminationStuck || p.Reason == manifest.CrossSourceDuplicate
	case StepPull, StepContainer:
		return (stage == StageStart || stage == StageRun) && p.Field == field
	case StepReady:
		return stage == StageRun
	}
	return false
}
