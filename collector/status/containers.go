package status

import (
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/staticpod-exporter/staticpod-exporter/cri"
)

// A container is one of the pod's, as the kubelet and the runtime together tell it.
type container struct {
	ContainerStatus
	message string    // of the state
	exit    exitFacts // of the newest attempt that ended
	// unconfirmed is an exit of which the runtime tells, and the kubelet not yet.
	unconfirmed bool
	hooked      bool // the kubelet runs a hook of it before it begins with the next one
	probes      probeFacts
}

// field names the container as the kubelet's events do.
func (c *container) field() string {
	if c.Kind == KindApp {
		return "spec.containers{" + c.Name + "}"
	}
	return "spec.initContainers{" + c.Name + "}"
}

// begun reports whether the container was ever started.
func (c *container) begun() bool {
	return c.State == StateRunning || c.exit.known && !neverStarted(c.exit.reason)
}

// neverStarted reports whether a container ended before its process began.
func neverStarted(reason string) bool {
	return reason == "StartError" || reason == "ContainerCannotRun"
}

func (c *container) wire() ContainerStatus {
	s := c.ContainerStatus
	if c.exit.known {
		s.LastExit = &Exit{Code: c.exit.code, Reason: c.exit.reason, At: c.exit.ended}
	}
	return s
}

// mergeContainers lists the containers of the pod the status is about. The runtime is ahead of the kubelet
// in what runs; only the kubelet knows why one waits and whether one is ready.
func (f *findings) mergeContainers() {
	if f.uid == "" {
		return
	}
	attempts := f.attempts()
	if p := f.pod(); p != nil {
		for i := range p.containers {
			f.containers = append(f.containers, f.merge(&p.containers[i], attempts[p.containers[i].name]))
			delete(attempts, p.containers[i].name)
		}
		if f.r.world.kubelet.fresh() {
			return // what the kubelet does not list is of no container
		}
	} else if d := f.definition(); d != nil && d.Pod != nil && string(d.UID) == f.uid {
		for _, c := range definedContainers(&d.Pod.Spec) {
			f.containers = append(f.containers, f.merge(&c, attempts[c.name]))
			delete(attempts, c.name)
		}
	}
	var rest []string
	for name := range attempts {
		rest = append(rest, name)
	}
	slices.SortFunc(rest, func(a, b string) int {
		if n := attempts[a][0].Created.Compare(attempts[b][0].Created); n != 0 {
			return n
		}
		return strings.Compare(a, b)
	})
	for _, name := range rest {
		f.containers = append(f.containers, f.merge(&containerFacts{name: name, kind: KindApp, state: StateUnknown}, attempts[name]))
	}
}

// definedContainers are the containers as defined, of a pod that the kubelet does not tell of.
func definedContainers(s *corev1.PodSpec) []containerFacts {
	all := make([]containerFacts, 0, len(s.InitContainers)+len(s.Containers))
	for i := range s.InitContainers {
		all = append(all, newContainerFacts(&s.InitContainers[i], initKind(&s.InitContainers[i]), nil))
	}
	for i := range s.Containers {
		all = append(all, newContainerFacts(&s.Containers[i], KindApp, nil))
	}
	return all
}

// attempts are the runtime's containers of the pod by name, oldest first, over all its sandboxes. While the
// runtime does not answer and the kubelet does, the runtime's last word is not asked for.
func (f *findings) attempts() map[string][]cri.Container {
	if f.r.world.kubelet.fresh() && !f.r.world.runtime.fresh() {
		return nil
	}
	all := map[string][]cri.Container{}
	for _, s := range slices.Backward(f.incarnation()) {
		for _, c := range s.Containers {
			all[c.Name] = append(all[c.Name], c)
		}
	}
	for name := range all {
		slices.SortStableFunc(all[name], func(a, b cri.Container) int { return a.Created.Compare(b.Created) })
	}
	return all
}

func (f *findings) merge(k *containerFacts, attempts []cri.Container) container {
	c := container{ContainerStatus: ContainerStatus{
		Name: k.name, Kind: k.kind, Image: k.image, ImageID: k.imageID, ID: k.id, State: k.state, Reason: k.reason,
		RestartCount: k.restarts, StartedAt: k.startedAt,
	}, message: k.message, exit: k.exit, hooked: k.hooked, probes: k.probes}
	fresh := f.r.world.kubelet.fresh()
	if len(attempts) == 0 {
		c.Ready = k.ready && k.state == StateRunning && fresh
		return c
	}
	newest := &attempts[len(attempts)-1]
	c.ID, c.PID = newest.ID, newest.PID
	c.ImageID = newest.ImageID
	if c.Image == "" {
		c.Image = newest.Image
	}
	c.RestartCount = max(c.RestartCount, newest.RestartCount)
	c.StartedAt = plain(newest.Started)
	waits := k.known && k.state == StateWaiting && fresh
	if !waits || newest.State == cri.Running {
		c.State, c.Reason, c.message = string(newest.State), "", ""
		if newest.State == cri.Exited {
			c.Reason, c.message = newest.Reason, said(newest.Message)
			c.unconfirmed = fresh && k.state == StateRunning
		}
	}
	c.Ready = k.ready && newest.State == cri.Running && fresh && (k.id == "" || k.id == newest.ID)
	for i := range attempts {
		if a := &attempts[i]; a.State == cri.Exited && !plain(a.Finished).Before(c.exit.ended) {
			c.exit = exitFacts{
				code: a.ExitCode, reason: a.Reason, message: said(a.Message),
				started: plain(a.Started), ended: plain(a.Finished), known: true,
			}
		}
	}
	return c
}

// policy is the pod's restart policy.
func (f *findings) policy() corev1.RestartPolicy {
	if p := f.pod(); p != nil && p.restartPolicy != "" {
		return p.restartPolicy
	}
	if d := f.definition(); d != nil && d.Pod != nil && d.Pod.Spec.RestartPolicy != "" {
		return d.Pod.Spec.RestartPolicy
	}
	return corev1.RestartPolicyAlways
}

// phase is the kubelet's, or like it where the runtime alone knows.
func (f *findings) phase() string {
	if p := f.pod(); p != nil {
		return string(p.phase)
	}
	if f.r.world.kubelet.known || f.uid == "" {
		return ""
	}
	running, ended, failed := 0, 0, 0
	for i := range f.containers {
		c := &f.containers[i]
		if c.Kind != KindApp {
			continue
		}
		switch c.State {
		case StateRunning:
			running++
		case StateExited:
			ended++
			if c.exit.code != 0 {
				failed++
			}
		}
	}
	switch policy := f.policy(); {
	case running > 0 || ended > 0 && policy == corev1.RestartPolicyAlways:
		return string(corev1.PodRunning)
	case ended == 0:
		return string(corev1.PodPending)
	case failed == 0:
		return string(corev1.PodSucceeded)
	case policy == corev1.RestartPolicyNever:
		return string(corev1.PodFailed)
	}
	return string(corev1.PodRunning)
}

// youngest is when the app container that started last did.
func (f *findings) youngest() time.Time {
	var start time.Time
	for i := range f.containers {
		if f.containers[i].Kind == KindApp {
			start = latest(start, f.containers[i].StartedAt)
		}
	}
	return start
}

// every reports whether there are app containers and all of them are so.
func (f *findings) every(is func(*container) bool) bool {
	n := 0
	for i := range f.containers {
		if f.containers[i].Kind != KindApp {
			continue
		}
		if !is(&f.containers[i]) {
			return false
		}
		n++
	}
	return n > 0
}
