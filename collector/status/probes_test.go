package status

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/staticpod-exporter/staticpod-exporter/cri"
)

// A pod may take as long to be ready as its probes allow, from its own start and from the kubelet's.
func TestNotReadyHeedsProbes(t *testing.T) {
	// starting is a pod whose container started just now and is not ready.
	starting := func(t *testing.T, c corev1.Container) *story {
		s := tell(t, running())
		p := s.pod("web")
		ready(p, corev1.ConditionFalse, s.now)
		p.Spec.Containers[0].StartupProbe, p.Spec.Containers[0].ReadinessProbe = c.StartupProbe, c.ReadinessProbe
		status := &p.Status.ContainerStatuses[0]
		status.Ready, status.Started = false, new(c.StartupProbe == nil)
		status.State.Running.StartedAt = metav1.NewTime(s.now)
		s.box("web").Containers[0].Started = s.now
		return s
	}
	probe := func(delay, period, failures, successes int32) *corev1.Probe {
		return &corev1.Probe{InitialDelaySeconds: delay, PeriodSeconds: period, FailureThreshold: failures, SuccessThreshold: successes}
	}
	notUntil := func(s *story, allowed time.Duration) {
		s.t.Helper()
		s.then(allowed+readyGrace-time.Second).is(web, "")
		s.then(time.Second).is(web, NotReady)
	}
	t.Run("no probe", func(t *testing.T) { notUntil(starting(t, corev1.Container{}), 0) })
	t.Run("a readiness probe that begins late", func(t *testing.T) {
		notUntil(starting(t, corev1.Container{ReadinessProbe: probe(20, 5, 3, 2)}), 30*time.Second)
	})
	t.Run("a startup probe that lets it take its time", func(t *testing.T) {
		notUntil(starting(t, corev1.Container{StartupProbe: probe(15, 5, 10, 1), ReadinessProbe: probe(0, 2, 3, 1)}), 67*time.Second)
	})
	t.Run("a startup probe that has succeeded", func(t *testing.T) {
		s := starting(t, corev1.Container{StartupProbe: probe(0, 10, 24, 1), ReadinessProbe: probe(0, 2, 3, 1)})
		s.then(100*time.Second).is(web, "")
		s.pod("web").Status.ContainerStatuses[0].Started = new(true)
		s.then(0)
		notUntil(s, 2*time.Second)
	})
	t.Run("a kubelet that was restarted", func(t *testing.T) {
		s := starting(t, corev1.Container{ReadinessProbe: probe(0, 10, 3, 1)})
		s.after(time.Hour)
		s.pod("web").Annotations[annotationSeen] = s.now.Format(time.RFC3339Nano)
		s.then(0)
		notUntil(s, 10*time.Second)
	})
	t.Run("readiness that is lost", func(t *testing.T) {
		s := starting(t, corev1.Container{ReadinessProbe: probe(0, 10, 3, 1)})
		ready(s.pod("web"), corev1.ConditionTrue, s.now)
		s.then(time.Hour).is(web, "")
		ready(s.pod("web"), corev1.ConditionFalse, s.now)
		s.then(0).is(web, NotReady)
	})
}

// A job of two containers, one of which is done.
func TestNotReadyOfAPodThatIsDoneInPart(t *testing.T) {
	s := tell(t, running())
	p := s.pod("web")
	p.Spec.RestartPolicy = corev1.RestartPolicyOnFailure
	p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: "other", Image: "x"})
	p.Status.ContainerStatuses = append(p.Status.ContainerStatuses, corev1.ContainerStatus{Name: "other", ContainerID: "containerd://other",
		Ready: true, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(s.now)}}})
	b := s.box("web")
	b.Containers = append(b.Containers, cri.Container{ID: "other", Name: "other", State: cri.Running, Created: s.now, Started: s.now})
	s.exited("web", 0, "Completed", s.now)
	s.then(time.Hour).is(web, "")

	s.pod("web").Status.ContainerStatuses[1].Ready = false
	s.then(time.Hour).is(web, NotReady)
}
