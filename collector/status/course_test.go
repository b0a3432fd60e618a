package status

import (
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/staticpod-exporter/staticpod-exporter/cri"
	"github.com/staticpod-exporter/staticpod-exporter/manifest"
)

const ms = time.Millisecond

// rollout writes the rollout of a status: a line for it, and one for each step, with the time since it began.
func (s *story) rollout(id string) string {
	s.t.Helper()
	return written(find(s.t, s.last, id).Spec.Rollout)
}

func written(ro *Rollout) string {
	if ro == nil {
		return "none"
	}
	since := func(t time.Time) string {
		if t.IsZero() {
			return "…"
		}
		return t.Sub(ro.Started).String()
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s", firstOf(string(ro.Outcome), "goes on"), since(ro.Ended))
	for _, step := range ro.Steps {
		fmt.Fprintf(&b, "\n%s %s %s", strings.TrimSuffix(string(step.Name)+"/"+step.Container, "/"), since(step.Start), since(step.End))
		if step.Reason != "" {
			fmt.Fprintf(&b, " %s", step.Reason)
		}
	}
	return b.String()
}

func (s *story) rolls(id, want string) *Rollout {
	s.t.Helper()
	want = strings.ReplaceAll(strings.TrimSpace(want), "\t", "")
	if have := s.rollout(id); have != want {
		s.t.Fatalf("the rollout of %s:\n%s\n\nwant:\n%s", id, have, want)
	}
	ro := find(s.t, s.last, id).Spec.Rollout
	if ro != nil {
		s.sound(ro)
	}
	return ro
}

// sound fails unless the steps lie within the rollout, in order, each once.
func (s *story) sound(ro *Rollout) {
	s.t.Helper()
	seen := map[string]bool{}
	for i, step := range ro.Steps {
		if i > 0 && step.Start.Before(ro.Steps[i-1].Start) {
			s.t.Errorf("%s begins before %s", step.Name, ro.Steps[i-1].Name)
		}
		if step.Start.Before(ro.Started) || !step.End.IsZero() && step.End.Before(step.Start) || !ro.Ended.IsZero() && step.End.After(ro.Ended) {
			s.t.Errorf("%s/%s is from %s to %s, the rollout from %s to %s", step.Name, step.Container, step.Start, step.End, ro.Started, ro.Ended)
		}
		if id := ro.StepSpanID(step); seen[id] || len(id) != 16 {
			s.t.Errorf("span %q of %s", id, step.Name)
		} else {
			seen[id] = true
		}
	}
	if len(ro.TraceID) != 32 || len(ro.SpanID()) != 16 || seen[ro.SpanID()] {
		s.t.Errorf("trace %q, span %q", ro.TraceID, ro.SpanID())
	}
}

// rich gives web two init containers, a sidecar and two containers.
func (s *story) richer() *manifest.Definition {
	d := s.edit("web")
	d.Pod = d.Pod.DeepCopy()
	always := corev1.ContainerRestartPolicyAlways
	d.Pod.Spec.InitContainers = []corev1.Container{{Name: "one"}, {Name: "side", RestartPolicy: &always}, {Name: "two"}}
	d.Pod.Spec.Containers = []corev1.Container{{Name: "a"}, {Name: "b"}}
	s.serve()
	return d
}

// given has the kubelet have the pod of a definition now, with which it has not begun.
func (s *story) given(d *manifest.Definition) *corev1.Pod {
	s.pods, s.sandboxes = nil, nil
	p := s.accept(d)
	p.Annotations[annotationSeen] = s.now.Format(time.RFC3339Nano)
	return p
}

// made has the runtime make a container, in its first sandbox.
func (s *story) made(name string) *cri.Container {
	b := s.box("web")
	b.Containers = append(b.Containers, cri.Container{ID: "id-" + name, Name: name, State: cri.Created, Created: s.now})
	return &b.Containers[len(b.Containers)-1]
}

func (s *story) started(name string) {
	for i := range s.box("web").Containers {
		if c := &s.sandboxes[0].Containers[i]; c.Name == name {
			c.State, c.Started = cri.Running, s.now
		}
	}
}

func (s *story) ended(name string, code int) {
	for i := range s.box("web").Containers {
		if c := &s.sandboxes[0].Containers[i]; c.Name == name {
			c.State, c.Finished, c.ExitCode = cri.Exited, s.now, code
		}
	}
}

// sandboxed has the kubelet begin with the pod and the runtime make its sandbox.
func (s *story) sandboxed() {
	p := s.pod("web")
	begun(p, s.now.Truncate(time.Second))
	s.sandbox(p)
	s.sandboxes[0].Created = s.now
}

func TestRolloutOfManyContainers(t *testing.T) {
	s := tell(t, running())
	s.rolls(web, "none")
	s.polls = false
	s.after(time.Second)
	d := s.richer()
	s.then(0).rolls(web, `goes on …
		changed 0s 40ms
		validated 40ms 40ms
		fetched 40ms …`)
	s.fetch(s.after(100 * ms).now)
	s.then(0).rolls(web, `goes on …
		changed 0s 40ms
		validated 40ms 40ms
		fetched 40ms 140ms
		accepted 140ms …`)
	s.after(10 * ms)
	s.given(d)
	s.then(0)
	s.after(90 * ms)
	s.sandboxed()
	s.then(0).rolls(web, `goes on …
		changed 0s 40ms
		validated 40ms 40ms
		fetched 40ms 140ms
		accepted 140ms 150ms
		sandbox 150ms 240ms
		pull/one 240ms …`)
	for _, name := range []string{"one", "side", "two"} {
		s.after(100 * ms)
		s.made(name)
		s.then(50 * ms)
		s.after(10 * ms)
		s.started(name)
		s.then(0)
		if name != "side" {
			s.after(200 * ms)
			s.ended(name, 0)
			s.then(0)
		} else {
			p := s.pod("web")
			p.Status.InitContainerStatuses = []corev1.ContainerStatus{{Name: "side", Started: new(true), State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}}
			s.then(0)
		}
	}
	s.after(30 * ms)
	s.made("a")
	s.after(10 * ms)
	s.started("a")
	s.then(0)
	s.after(5 * time.Second)
	s.made("b")
	s.after(20 * ms)
	s.started("b")
	s.then(0)
	ready(s.pod("web"), corev1.ConditionTrue, s.now.Truncate(time.Second))
	now := s.now
	ro := s.then(300*ms).rolls(web, `ready 6.18s
		changed 0s 40ms
		validated 40ms 40ms
		fetched 40ms 140ms
		accepted 140ms 150ms
		sandbox 150ms 240ms
		pull/one 240ms 340ms
		container/one 340ms 600ms
		pull/side 600ms 700ms
		container/side 700ms 760ms
		pull/two 760ms 860ms
		container/two 860ms 1.12s
		pull/a 1.12s 1.15s
		container/a 1.15s 1.16s
		pull/b 1.16s 6.16s
		container/b 6.16s 6.18s
		ready 6.18s 6.18s`)
	if !ro.Ended.Equal(now) || ro.UID != string(d.UID) || ro.Revision != d.Hash || ro.Version != d.Version || ro.Previous != "" {
		t.Errorf("the rollout: %+v", ro)
	}

	// What happens after that is no part of it, and the very same rollout stays.
	s.ended("a", 1)
	s.then(time.Minute)
	if find(t, s.last, web).Spec.Rollout != ro || len(s.last.Laps) > 0 {
		t.Error("a rollout that is over was changed")
	}
}

// goOn plays the kubelet: it fetches, takes the pod, and makes its sandbox and its container c, which is not ready.
func (s *story) goOn(d *manifest.Definition) {
	if d.Source == manifest.SourceHTTP {
		s.serve()
		s.fetch(s.after(100 * ms).now)
	}
	s.after(10 * ms)
	s.given(d)
	s.after(90 * ms)
	s.sandboxed()
	s.then(0)
	s.after(100 * ms)
	s.made("c")
	s.after(10 * ms)
	s.started("c")
	s.pod("web").Status.Phase = corev1.PodRunning
	s.then(0)
}
