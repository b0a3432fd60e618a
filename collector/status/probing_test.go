package status

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/staticpod-exporter/staticpod-exporter/collector/kubeletlog"
	"github.com/staticpod-exporter/staticpod-exporter/cri"
)

// withProbes has the running pod's container probed every ten seconds, three failures being one too many.
func withProbes(s *scene) *scene {
	probe := &corev1.Probe{PeriodSeconds: 10, TimeoutSeconds: 1, FailureThreshold: 3, SuccessThreshold: 1}
	c := &s.pod("web").Spec.Containers[0]
	c.LivenessProbe, c.ReadinessProbe = probe, probe
	return s
}

// probeFailed has the kubelet log a failure of a probe.
func (s *scene) probeFailed(kind, message string) {
	s.say(kubeletlog.Event{Kind: kubeletlog.ProbeFailed, UID: string(s.pods[0].UID), Container: "c", Reason: kind, Message: message})
}

// restarted has the container c ended as the kubelet does it, and begun anew.
func (s *scene) restarted(at time.Time) {
	pod := s.pod("web")
	status := &pod.Status.ContainerStatuses[0]
	ended := terminated(137, "Error", at)
	if r := status.State.Running; r != nil {
		ended.StartedAt = r.StartedAt
	} else if status.State.Terminated != nil {
		ended = status.State.Terminated
	}
	status.LastTerminationState.Terminated = ended
	status.State = corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(at)}}
	status.Ready = status.Started == nil
	if status.Ready {
		ready(pod, corev1.ConditionTrue, at)
	}
	status.ContainerID, status.RestartCount = "containerd://next", status.RestartCount+1
	s.box("web").Containers = []cri.Container{{ID: "next", Name: "c", State: cri.Running, Created: at, Started: at}}
}

func TestLiveness(t *testing.T) {
	t.Run("failures within the threshold are none", func(t *testing.T) {
		s := tell(t, withProbes(running()))
		for range 20 { // two in a row, then a success
			s.probeFailed("Liveness", "HTTP probe failed with statuscode: 503")
			s.then(10 * time.Second)
			s.probeFailed("Liveness", "HTTP probe failed with statuscode: 503")
			s.then(20*time.Second).is(web, "")
		}
		s.counted(LivenessFailing, 0)
	})
	t.Run("the threshold", func(t *testing.T) {
		s := tell(t, withProbes(running()))
		first := s.now
		for i, message := range []string{"dial tcp: port 1", "dial tcp: port 2", "dial tcp: port 3"} {
			if i > 0 {
				s.then(10*time.Second).is(web, "")
			}
			s.probeFailed("Liveness", message)
		}
		st := s.then(0).is(web, LivenessFailing)
		if !st.Spec.Since.Equal(first) || !strings.Contains(st.Spec.Message, "dial tcp: port 3") {
			t.Errorf("since %s: %s", st.Spec.Since, st.Spec.Message)
		}
		// What comes after that on which the kubelet acts is told no more.
		s.after(10 * time.Second)
		s.probeFailed("Liveness", "dial tcp: port 4")
		if again := s.then(0).is(web, LivenessFailing); again.Metadata.Version != st.Metadata.Version {
			t.Errorf("its words changed: %s", again.Spec.Message)
		}
		// What the kubelet ends for it is no exit of its own.
		s.exited("web", 137, "Error", s.now)
		s.then(time.Second).is(web, LivenessFailing)
		s.then(time.Minute).is(web, LivenessFailing) // it is in back-off
		s.restarted(s.now)
		s.then(59*time.Second).is(web, LivenessFailing) // three periods and outlives
		s.then(time.Second).is(web, "")
		s.counted(LivenessFailing, 1)
		s.counted(ContainerExited, 0)

		// A restart for another cause is none of it.
		s.then(time.Hour)
		s.restarted(s.now)
		s.then(time.Second).is(web, "")
	})
	t.Run("again and again is one problem", func(t *testing.T) {
		s := tell(t, withProbes(running()))
		for range 5 {
			for range 3 {
				s.probeFailed("Liveness", "HTTP probe failed with statuscode: 503")
				s.then(10 * time.Second)
			}
			s.is(web, LivenessFailing)
			s.restarted(s.now)
			s.then(10*time.Second).is(web, LivenessFailing)
		}
		s.counted(LivenessFailing, 1)
	})
	t.Run("the kubelet says so itself", func(t *testing.T) {
		s := tell(t, withProbes(running()))
		s.say(kubeletlog.Event{Kind: kubeletlog.ProbeKills, Namespace: "default", Pod: "web-node1", Container: "c", Reason: "Liveness"})
		s.then(0).is(web, LivenessFailing)
	})
	t.Run("lines that are read again count once", func(t *testing.T) {
		s := tell(t, withProbes(running()))
		at := s.now
		for range 3 {
			s.say(kubeletlog.Event{At: at, Kind: kubeletlog.ProbeFailed, UID: string(s.pods[0].UID), Container: "c", Reason: "Liveness"})
		}
		s.then(time.Second).is(web, "")
	})
	t.Run("the crash loop that comes of it says so", func(t *testing.T) {
		s := tell(t, withProbes(running()))
		for range 3 {
			s.probeFailed("Liveness", "HTTP probe failed with statuscode: 503")
			s.then(10 * time.Second)
		}
		c := s.waiting("web", "CrashLoopBackOff", "back-off 10s restarting failed container=c pod=web-node1_default(uid)")
		c.RestartCount = 2
		c.LastTerminationState.Terminated = terminated(137, "Error", s.now)
		c.LastTerminationState.Terminated.StartedAt = metav1.NewTime(noon.Add(-time.Minute))
		st := s.then(0).is(web, CrashLoopBackOff)
		const want = "back-off 10s restarting failed container=c; container c exited with code 137, restarted 2 times; " +
			"the liveness probe of container c fails, for which the kubelet restarts it: HTTP probe failed with statuscode: 503"
		if st.Spec.Message != want {
			t.Errorf("have %q, want %q", st.Spec.Message, want)
		}
	})
}

func TestStartup(t *testing.T) {
	slow := func(t *testing.T) *story {
		s := running()
		p := s.pod("web")
		p.Spec.Containers[0].StartupProbe = &corev1.Probe{InitialDelaySeconds: 5, PeriodSeconds: 10, FailureThreshold: 3}
		ready(p, corev1.ConditionFalse, s.now)
		c := &p.Status.ContainerStatuses[0]
		c.Started, c.Ready = new(false), false
		c.State.Running.StartedAt = metav1.NewTime(s.now)
		s.box("web").Containers[0].Started = s.now
		return tell(t, s)
	}
	t.Run("by the status alone", func(t *testing.T) {
		s := slow(t)
		s.then(25*time.Second).is(web, "")
		s.restarted(s.now)
		st := s.then(time.Second).is(web, StartupFailing)
		if !st.Spec.Since.Equal(s.now.Add(-time.Second)) || !strings.Contains(st.Spec.Message, "startup probe of container c fails") {
			t.Errorf("since %s: %s", st.Spec.Since, st.Spec.Message)
		}
		for range 3 {
			s.then(40*time.Second).is(web, StartupFailing)
			s.restarted(s.now)
			s.then(time.Second).is(web, StartupFailing)
		}
		c := &s.pod("web").Status.ContainerStatuses[0]
		c.Started, c.Ready = new(true), true
		ready(s.pods[0], corev1.ConditionTrue, s.now)
		s.then(time.Second).is(web, "")
		s.counted(StartupFailing, 1)
	})
	t.Run("one that ended before its time is up is no proof", func(t *testing.T) {
		s := slow(t)
		s.then(24 * time.Second)
		s.restarted(s.now)
		s.then(time.Second)
		s.counted(StartupFailing, 0)
	})
	t.Run("by the log", func(t *testing.T) {
		s := slow(t)
		s.then(5 * time.Second)
		for range 3 {
			s.is(web, "")
			s.probeFailed("Startup", "dial tcp 127.0.0.1:80: connect: connection refused")
			s.then(10 * time.Second)
		}
		if st := s.is(web, StartupFailing); !strings.Contains(st.Spec.Message, "connection refused") {
			t.Errorf("message: %s", st.Spec.Message)
		}
	})
}

// Why a pod is not ready is in the log, from verbosity 1 on.
func TestReadinessSaysWhy(t *testing.T) {
	s := tell(t, withProbes(running()))
	for range 3 {
		s.probeFailed("Readiness", "HTTP probe failed with statuscode: 503")
		s.then(10*time.Second).is(web, "")
	}
	p := s.pod("web")
	ready(p, corev1.ConditionFalse, s.now)
	p.Status.ContainerStatuses[0].Ready = false
	st := s.then(0).is(web, NotReady)
	if want := "containers with unready status: [c]; c: HTTP probe failed with statuscode: 503"; st.Spec.Message != want {
		t.Errorf("have %q, want %q", st.Spec.Message, want)
	}
	version := st.Metadata.Version
	for range 3 {
		s.probeFailed("Readiness", "HTTP probe failed with statuscode: 500")
		s.then(10 * time.Second)
	}
	if st := s.is(web, NotReady); st.Metadata.Version != version {
		t.Errorf("each failure is news: version %d, then %d", version, st.Metadata.Version)
	}
}
