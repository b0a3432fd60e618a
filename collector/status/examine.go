package status

import (
	"slices"
	"time"

	"github.com/staticpod-exporter/staticpod-exporter/collector/kubelet"
	"github.com/staticpod-exporter/staticpod-exporter/manifest"
)

// findings is what the examination of one static pod gathers.
type findings struct {
	*evidence
	r          *round
	containers []container
	ends       []ending // of those of its sandboxes that the kubelet does not have
	history    history
	sight      sight
	due        time.Time // when the deadline of the rollout was over, if it is
	problems   []manifest.Problem
	spec       StatusSpec
	until      time.Time // when time alone would change a finding; zero for never
}

// examine gives the verdict on one static pod, stage by stage.
func (r *round) examine(e *evidence) *findings {
	if r.outdated(e) {
		own := *e
		own.uid, own.sandboxes, e = "", nil, &own
	}
	f := &findings{evidence: e, r: r, ends: r.endsOf(e), history: r.before(e.id).history}
	f.mergeContainers()
	f.lose()
	f.judgeDefinition()
	f.judgeDelivery()
	f.judgeAdmission()
	f.judgeStart()
	f.judgeRun()
	f.judgeDrift()
	f.judgeMirror()
	f.carry()
	slices.SortFunc(f.problems, r.next.codes.compare)
	f.fill()
	return f
}

// outdated reports whether all that is known to have run of the name is an earlier pod that has ended. While the kubelet
// has never answered, what has ended may else be in its back-off.
func (r *round) outdated(e *evidence) bool {
	d := e.definition()
	if d == nil || d.UID == "" || e.uid == "" || len(e.pods) > 0 || r.world.kubelet.known || !d.Valid {
		return false
	}
	for _, s := range e.sandboxes {
		certain := d.Source == manifest.SourceHTTP && r.world.serving || plain(s.Created).Before(plain(d.Updated))
		if alive(s) || s.UID == string(d.UID) || !certain {
			return false
		}
	}
	return true
}

// add adds a problem. Its level is that of its code; its Since is the evidence's, or zero.
func (f *findings) add(p manifest.Problem) {
	if p.Level == "" {
		p.Level = f.r.next.codes[p.Reason].Level
	}
	f.problems = append(f.problems, p)
}

// reached reports whether it is t already, and has the verdict looked at again then if not.
func (f *findings) reached(t time.Time) bool {
	if !f.r.now.Before(t) {
		return true
	}
	f.lookAgain(t)
	return false
}

// lookAgain has the verdict looked at again at t, whatever happens until then.
func (f *findings) lookAgain(t time.Time) {
	f.until = earliest(f.until, t)
}

// lastsUntil reports whether it is not t yet, and has the verdict looked at again then.
func (f *findings) lastsUntil(t time.Time) bool { return !f.reached(t) }

// askedSince reports whether what the kubelet says, if it answers, is from t or later. One that does not tell its changes
// may say otherwise when it is asked next: the verdict is looked at again then.
func (f *findings) askedSince(t time.Time) bool {
	k := f.r.o.Kubelet
	if !f.r.world.kubelet.fresh() || k.Transport == kubelet.PodsAPI || !k.At.Before(t) {
		return true
	}
	f.lookAgain(f.r.now)
	return false
}

// has reports whether a problem of one of these stages was found that keeps the pod from running.
func (f *findings) has(stages ...Stage) bool {
	return slices.ContainsFunc(f.problems, func(p manifest.Problem) bool {
		return p.Level == manifest.Critical && slices.Contains(stages, f.r.next.codes[p.Reason].Stage)
	})
}

// found returns the first problem of a code.
func (f *findings) found(reasons ...manifest.Reason) (manifest.Problem, bool) {
	for _, p := range f.problems {
		if slices.Contains(reasons, p.Reason) {
			return p, true
		}
	}
	return manifest.Problem{}, false
}

// was returns the problem as it was in the round before, in the same incarnation of the pod.
func (f *findings) was(reason manifest.Reason, field string) (manifest.Problem, bool) {
	b := f.r.before(f.id)
	return b.problem(manifest.Problem{Reason: reason, Field: field}, true, f.uid)
}

// carry keeps what a former process knew from evidence that this one has not had yet: it is old and dated,
// and dropped when an input says otherwise.
func (f *findings) carry() {
	w := &f.r.world
	for _, p := range f.r.before(f.id).problems {
		var unknown bool
		switch f.r.next.codes[p.Reason].Stage {
		case StageAdmission, StageStart, StageRun:
			unknown = w.kubelet.configured && !w.kubelet.known
		case StageDrift:
			unknown = w.runtime.configured && !w.runtime.known || w.kubelet.configured && !w.kubelet.known
		}
		if p.Reason == NotAccepted {
			unknown = w.kubelet.configured && !w.kubelet.known
		}
		if unknown && !f.refuted(p) && !slices.ContainsFunc(f.problems, p.Same) {
			f.problems = append(f.problems, p)
		}
	}
}

// refuted reports whether the runtime knows better than a problem of old.
func (f *findings) refuted(p manifest.Problem) bool {
	if !f.r.world.runtime.fresh() {
		return false
	}
	for i := range f.containers {
		if c := &f.containers[i]; c.field() == p.Field {
			return c.State == StateRunning && c.StartedAt.After(p.Since) && f.outlived(c)
		}
	}
	switch p.Reason {
	case SandboxFailed, VolumeMountFailed:
		return f.surroundedSince(p.Since)
	case AdmissionRejected, NodeShutdown, NotAccepted:
		return slices.ContainsFunc(f.incarnation(), alive)
	}
	return false
}

// terminating reports whether the kubelet has given the pod up, so that its end is no problem of its own.
func (f *findings) terminating() bool {
	return f.r.world.kubelet.known && len(f.pods) == 0
}

// fill writes down what was found, all but what publish adds.
func (f *findings) fill() {
	r := f.r
	s := &f.spec
	s.Pod = PodRef{Namespace: f.namespace, Name: f.name, UID: f.uid}
	if m := f.mirror.pod; m != nil {
		s.Pod.MirrorUID = m.UID
	}
	if p := f.pod(); p != nil {
		s.Pod.Namespace, s.Pod.Name, s.Definition.Source = p.namespace, p.name, manifest.Source(p.source)
	} else if len(f.sandboxes) > 0 {
		s.Pod.Namespace, s.Pod.Name, s.Definition.Source = f.sandboxes[0].Namespace, f.sandboxes[0].Name, manifest.Source(f.sandboxes[0].Source)
	}
	if d := f.definition(); d != nil {
		s.Definition = DefinitionRef{ID: d.ID, Version: d.Version, Source: d.Source, Path: d.Path, Hash: d.Hash}
	} else if f.file != nil {
		s.Definition = DefinitionRef{ID: f.id, Source: manifest.SourceFile, Path: f.file.Path}
	}
	s.Phase = f.phase()
	s.Stale = r.world.stale != ""
	s.Conditions = f.conditions()
	for _, c := range s.Conditions {
		if c.Type == Ready {
			s.Ready = c.Status == True && !s.Stale
		}
	}
	s.Containers = make([]ContainerStatus, len(f.containers))
	for i := range f.containers {
		s.Containers[i] = f.containers[i].wire()
	}
	s.Observed = r.observed(f.evidence)
}
