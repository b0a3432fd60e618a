package status

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"

	"github.com/staticpod-exporter/staticpod-exporter/manifest"
)

// Reasons of conditions that are no problem (yet), and so no codes.
const (
	notYetFetched  = "NotYetFetched"
	notYetAccepted = "NotYetAccepted"
	notYetStarted  = "NotYetStarted"
	notYetMirrored = "NotYetMirrored"
	otherRevision  = "OtherRevision"
	notSeen        = "NotSeen"
	gone           = "Gone"
)

// conditions are the steps from definition to a running pod, in the order of cause. One that does not apply is
// absent; the time of each is its evidence's.
func (f *findings) conditions() []Condition {
	all := make([]Condition, 0, 7)
	if d := f.definition(); d != nil {
		all = append(all, f.valid(d))
		if d.Source == manifest.SourceHTTP && f.r.world.serving {
			all = append(all, f.fetchedCondition(d))
		}
	}
	all = append(all, f.accepted(), f.started(), f.ready())
	if d := f.definition(); d != nil {
		all = append(all, f.current(d))
	}
	if f.r.world.mirror.configured {
		all = append(all, f.mirroredCondition())
	}
	return all
}

func (f *findings) valid(d *manifest.Definition) Condition {
	if d.Valid {
		return Condition{Type: Valid, Status: True, LastTransitionTime: plain(d.Updated)}
	}
	for _, p := range f.problems {
		if p.Level == manifest.Critical && slices.ContainsFunc(d.Problems, p.Same) {
			return Condition{Type: Valid, Status: False, Reason: string(p.Reason), Message: clip(p.Message), LastTransitionTime: plain(p.Since)}
		}
	}
	return Condition{Type: Valid, Status: False, Reason: string(manifest.ManifestInvalid), LastTransitionTime: plain(d.Updated)}
}

func (f *findings) fetchedCondition(d *manifest.Definition) Condition {
	c := Condition{Type: Fetched, Status: False}
	switch p, ok := f.found(KubeletNotFetching); {
	case !d.Served:
		c.Reason, c.Message = f.cause(StageDefinition, StageDelivery)
		c.Reason = firstOf(c.Reason, notYetFetched)
	case !f.fetched.IsZero():
		c.Status, c.LastTransitionTime = True, f.fetched
	case ok:
		c.Reason, c.Message = string(p.Reason), p.Message
	default:
		c.Reason, c.Message = notYetFetched, "the kubelet has not fetched this revision yet"
	}
	return c
}

// cause is the first problem of some stages, as a condition's reason.
func (f *findings) cause(stages ...Stage) (reason, message string) {
	for _, p := range f.problems {
		if code := f.r.next.codes[p.Reason]; p.Level == manifest.Critical && slices.Contains(stages, code.Stage) {
			return string(p.Reason), clip(p.Message)
		}
	}
	return "", ""
}

func (f *findings) accepted() Condition {
	c := Condition{Type: Accepted, Status: False}
	w, d, p := &f.r.world, f.definition(), f.pod()
	listed := p != nil && (d == nil || d.Name == "" || f.listed(d))
	switch {
	case listed:
		if reason, message := f.cause(StageAdmission); reason != "" {
			c.Reason, c.Message = reason, message
			return c
		}
		c.Status, c.LastTransitionTime = True, p.seen
	case w.kubelet.known:
		c.Reason, c.Message = f.cause(StageDefinition, StageDelivery, StageAdmission)
		if c.Reason == "" && d == nil {
			c.Reason, c.Message = gone, "the kubelet does not have the pod"
		}
		if c.Reason == "" {
			c.Reason, c.Message = notYetAccepted, "the kubelet does not have the pod yet"
		}
	case f.uid != "" && (d == nil || f.runs(d) || d.Source == manifest.SourceFile):
		c.Status = True // what runs was taken by a kubelet
		c.LastTransitionTime = plain(f.sandboxes[len(f.sandboxes)-1].Created)
	default:
		c.Status, c.Reason, c.Message = f.unknown()
	}
	return c
}

// unknown is what to say where the kubelet alone knows and cannot be asked.
func (f *findings) unknown() (ConditionStatus, string, string) {
	if stale := f.r.world.stale; stale != "" {
		return Unknown, string(stale), f.r.staleMessage()
	}
	return Unknown, notSeen, "the kubelet is not asked"
}

func (f *findings) started() Condition {
	c := Condition{Type: Started, Status: False}
	w := &f.r.world
	switch {
	case f.uid != "" && f.every((*container).begun):
		c.Status, c.LastTransitionTime = True, f.youngest()
	case f.uid == "" && !w.kubelet.known && !w.runtime.known:
		c.Status, c.Reason, c.Message = f.unknown()
	default:
		c.Reason, c.Message = f.cause(StageDefinition, StageDelivery, StageAdmission, StageStart, StageRun)
		if c.Reason == "" && f.waits() {
			c.Reason = string(WaitingForTermination)
		}
		c.Reason = firstOf(c.Reason, notYetStarted)
	}
	return c
}

func (f *findings) ready() Condition {
	c := Condition{Type: Ready, Status: False}
	w, p := &f.r.world, f.pod()
	if stopped, ok := f.stopped(); ok {
		c.Reason, c.Message = f.cause(StageAdmission, StageStart, StageRun)
		if c.Reason == "" {
			c.Reason, c.Message = string(ContainerExited), stopped.ended()
			if _, completed := f.found(Completed); completed {
				c.Reason = string(Completed)
			}
		}
		c.LastTransitionTime = stopped.exit.ended
		return c
	}
	switch {
	case p != nil && w.kubelet.fresh():
		c.LastTransitionTime = p.ready.since
		if p.ready.status == corev1.ConditionTrue {
			c.Status = True
			return c
		}
		c.Reason, c.Message = f.cause(StageAdmission, StageStart, StageRun)
		if c.Reason == "" {
			c.Reason, c.Message = firstOf(p.ready.reason, string(NotReady)), p.ready.message
		}
	case w.kubelet.down():
		c.Status, c.Reason, c.Message = f.unknown()
		c.LastTransitionTime = w.kubelet.since
	case w.kubelet.fresh(): // and the pod is not there
		c.Reason, c.Message = f.cause(StageDefinition, StageDelivery, StageAdmission)
		c.Reason = firstOf(c.Reason, notYetAccepted)
	case f.uid == "" && w.runtime.fresh():
		c.Reason, c.Message = f.cause(StageDefinition, StageDelivery, StageAdmission)
		c.Reason = firstOf(c.Reason, notYetStarted)
	case f.uid != "" && w.runtime.fresh() && f.unprobed():
		c.Status, c.LastTransitionTime = True, f.youngest()
	default:
		c.Status, c.Reason, c.Message = f.unknown()
	}
	return c
}

// stopped returns an app container of which the runtime knows, better than the kubelet, that it does not run.
func (f *findings) stopped() (*container, bool) {
	if f.uid == "" || !f.r.world.runtime.fresh() {
		return nil, false
	}
	for i := range f.containers {
		if c := &f.containers[i]; c.Kind == KindApp && c.State == StateExited {
			return c, true
		}
	}
	return nil, false
}

// unprobed reports whether all the definition's containers run and none has a probe that may still say no, so
// that the kubelet cannot but call the pod ready.
func (f *findings) unprobed() bool {
	d := f.definition()
	if d == nil || d.Pod == nil || len(d.Pod.Spec.ReadinessGates) > 0 || string(d.UID) != f.uid {
		return false
	}
	for _, c := range d.Pod.Spec.Containers {
		if c.ReadinessProbe != nil || c.StartupProbe != nil {
			return false
		}
	}
	return f.every(func(c *container) bool { return c.State == StateRunning })
}

// current compares what runs with the definition as it was last read (V8).
func (f *findings) current(d *manifest.Definition) Condition {
	c := Condition{Type: Current, Status: False, LastTransitionTime: f.since()}
	switch {
	case f.uid == "" && !f.r.world.kubelet.known && !f.r.world.runtime.known:
		c.Status, c.Reason, c.Message = f.unknown()
		c.LastTransitionTime = time.Time{}
	case f.uid == "":
		c.Reason, c.Message = f.cause(StageDefinition, StageDelivery, StageAdmission)
		c.Reason = firstOf(c.Reason, notYetAccepted)
		c.LastTransitionTime = time.Time{}
	case !d.Valid:
		c.Reason, c.Message = f.cause(StageDefinition)
		if _, ok := f.found(manifest.LastRevisionKept); ok {
			c.Reason, c.Message = string(manifest.LastRevisionKept), "an earlier revision runs"
		}
	case string(d.UID) == f.uid, f.r.predicted(d) && f.sameSpec(d):
		c.Status = True
	case f.r.predicted(d):
		c.Status, c.Reason, c.Message = Unknown, otherRevision, "the pod's UID and specification are not those predicted: a kubelet of another minor version may default them otherwise"
	default:
		c.Reason, c.Message = otherRevision, "UID "+f.uid+" runs, which is not that of the definition"
	}
	return c
}

// since is when the incarnation of the pod began.
func (f *findings) since() time.Time {
	if p := f.pod(); p != nil {
		return latest(p.seen, p.started)
	}
	if len(f.sandboxes) > 0 {
		return plain(f.sandboxes[0].Created)
	}
	return time.Time{}
}

// sameSpec compares the kubelet's pod with a file's definition, but for what the kubelet puts in itself.
func (f *findings) sameSpec(d *manifest.Definition) bool {
	p := f.pod()
	if p == nil || d.Pod == nil {
		return false
	}
	return equality.Semantic.DeepEqual(withoutKubelet(&p.pod.Spec), withoutKubelet(&d.Pod.Spec))
}

// withoutKubelet is a specification without the node's name and the toleration that file pods get.
func withoutKubelet(s *corev1.PodSpec) *corev1.PodSpec {
	plain := *s
	plain.NodeName = ""
	plain.Tolerations = slices.DeleteFunc(slices.Clone(s.Tolerations), func(t corev1.Toleration) bool {
		return t == corev1.Toleration{Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute}
	})
	return &plain
}
