package status

import (
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/staticpod-exporter/staticpod-exporter/collector"
	"github.com/staticpod-exporter/staticpod-exporter/collector/kubeletlog"
	"github.com/staticpod-exporter/staticpod-exporter/cri"
	"github.com/staticpod-exporter/staticpod-exporter/manifest"
)

// grace is that of the scene's definitions.
const grace = corev1.DefaultTerminationGracePeriodSeconds * time.Second

// replaced has a new revision of web served and fetched, and its pod begun just now, with a container that is not ready.
func (s *story) replaced() *corev1.Pod {
	d := s.edit("web")
	s.serve()
	s.fetch(s.now)
	s.pods, s.sandboxes = nil, nil
	p := s.run(d)
	p.Annotations[annotationSeen] = s.now.Format(time.RFC3339Nano)
	begun(p, s.now)
	c := &p.Status.ContainerStatuses[0]
	c.Ready, c.State.Running.StartedAt = false, metav1.NewTime(s.now)
	s.sandboxes[0].Created, s.sandboxes[0].Containers[0].Created, s.sandboxes[0].Containers[0].Started = s.now, s.now, s.now
	return p
}

func TestRollouts(t *testing.T) {
	t.Run("a revision that is not ready in time", func(t *testing.T) {
		s := tell(t, running())
		s.replaced()
		begin := s.now
		s.then(grace+DefaultRolloutDeadline-time.Second).is(web, NotReady)
		st := s.then(time.Second).is(web, RolloutStuck)
		if !st.Spec.Since.Equal(begin) || !strings.HasSuffix(st.Spec.Message, "NotReady: containers with unready status: [c]") {
			t.Errorf("since %s: %s", st.Spec.Since, st.Spec.Message)
		}
		ready(s.pod("web"), corev1.ConditionTrue, s.now)
		s.pods[0].Status.ContainerStatuses[0].Ready = true
		s.then(time.Second).is(web, "")

		// What happens after that is no rollout.
		ready(s.pod("web"), corev1.ConditionFalse, s.now)
		s.pods[0].Status.ContainerStatuses[0].Ready = false
		s.then(time.Hour).is(web, NotReady)
		s.counted(RolloutStuck, 1)
	})
	t.Run("a file's new revision, while the pod of the old one is ready for a moment yet", func(t *testing.T) {
		s := tell(t, observing())
		d := s.edit("web")
		d.Pod = d.Pod.DeepCopy()
		d.Pod.Spec.Containers[0].Image = "registry.test/web:2"
		s.then(time.Second)
		s.pods, s.sandboxes = nil, nil
		begun(s.run(d), s.now)
		s.pods[0].Annotations[annotationSeen] = s.now.Format(time.RFC3339Nano)
		s.pods[0].Status.ContainerStatuses[0].Ready = false
		s.then(0)
		s.then(grace+DefaultRolloutDeadline).is(web, RolloutStuck)
	})
	t.Run("a revision whose conditions come late", func(t *testing.T) {
		s := tell(t, running())
		s.replaced()
		s.then(20 * time.Second)
		s.after(startGrace)
		ready(s.pod("web"), corev1.ConditionFalse, s.now)
		s.then(0)
		s.then(grace+DefaultRolloutDeadline).is(web, RolloutStuck)
	})
	t.Run("a pod that was ready before the exporter began to look", func(t *testing.T) {
		s := running()
		ready(s.pod("web"), corev1.ConditionFalse, noon.Add(-time.Minute))
		s.pods[0].Status.ContainerStatuses[0].Ready = false
		tell(t, s).is(web, NotReady)
	})
	t.Run("a cause takes the headline, and is named", func(t *testing.T) {
		s := tell(t, running())
		s.replaced()
		s.waiting("web", "CreateContainerConfigError", "no such thing")
		st := s.then(time.Hour).is(web, ContainerConfigError)
		if have := reasons(st); !slices.Equal(have, []manifest.Reason{ContainerConfigError, RolloutStuck}) || !strings.HasSuffix(st.Spec.Problems[1].Message, ": ContainerConfigError") {
			t.Errorf("problems: %+v", st.Spec.Problems)
		}
	})
	t.Run("an older incarnation that runs on", func(t *testing.T) {
		s := tell(t, running())
		d := s.edit("web")
		s.serve()
		s.fetch(s.now)
		s.accept(d).Annotations[annotationSeen] = s.now.Format(time.RFC3339Nano)
		st := s.then(grace+DefaultRolloutDeadline-time.Second).is(web, "")
		if !st.Spec.Ready {
			t.Fatal("it does not run on")
		}
		st = s.then(time.Second).is(web, RolloutStuck)
		if !strings.Contains(st.Spec.Message, "an earlier revision runs") {
			t.Errorf("message: %s", st.Spec.Message)
		}
	})
	t.Run("the deadline that is configured", func(t *testing.T) {
		tracker, s := NewTracker(Limits{RolloutDeadline: 10 * time.Second}), running()
		tracker.Observe(s.look())
		st := &story{scene: s, t: t}
		st.replaced()
		tracker.Observe(s.look())
		if have := find(t, tracker.Observe(s.after(grace+10*time.Second).look()), web); have.Spec.Reason != RolloutStuck {
			t.Errorf("headline %s", have.Spec.Reason)
		}
	})
	t.Run("the kubelet's absence does not count", func(t *testing.T) {
		s := tell(t, running())
		s.replaced()
		s.then(time.Minute)
		s.down(collector.InputKubelet, s.now, "gone")
		s.then(time.Hour)
		s.up(collector.InputKubelet, s.now)
		s.then(grace+DefaultRolloutDeadline-time.Second).is(web, NotReady)
		s.then(time.Second).is(web, RolloutStuck)
	})
	t.Run("pulls do not count", func(t *testing.T) {
		s := tell(t, running())
		s.replaced()
		c := s.waiting("web", "ContainerCreating", "")
		c.ContainerID = ""
		s.then(10*time.Minute).is(web, ImagePullSlow)
		s.waiting("web", "CreateContainerError", "no command specified") // at once after the pull
		ready(s.pods[0], corev1.ConditionFalse, noon)
		s.then(0)
		s.then(grace+DefaultRolloutDeadline-time.Second).is(web, ContainerStartFailed)
		if have := reasons(find(t, s.last, web)); len(have) != 1 {
			t.Errorf("problems: %v", have)
		}
		if have := reasons(find(t, s.then(time.Second).last, web)); len(have) != 2 {
			t.Errorf("problems: %v", have)
		}
	})
	t.Run("a pull that the kubelet's absence interrupts counts once", func(t *testing.T) {
		s := tell(t, running())
		s.replaced()
		s.waiting("web", "ContainerCreating", "").ContainerID = ""
		ready(s.pods[0], corev1.ConditionFalse, noon)
		s.then(10 * time.Minute)
		s.down(collector.InputRuntime, s.now, "gone")
		s.then(0)
		s.up(collector.InputRuntime, s.now)
		s.then(time.Second)
		s.waiting("web", "CreateContainerError", "no command specified")
		ready(s.pods[0], corev1.ConditionFalse, noon)
		s.then(0)
		s.then(grace + DefaultRolloutDeadline)
		if have := reasons(find(t, s.last, web)); len(have) != 2 {
			t.Errorf("problems: %v", have)
		}
	})
	t.Run("back to what was settled is a rollout too", func(t *testing.T) {
		s := tell(t, running())
		before := s.definition("web")
		s.edit("web")
		s.serve()
		s.fetch(s.now)
		s.then(time.Minute)
		again := *before
		again.Version, again.Updated = 3, s.now
		s.definitions[0] = &again
		s.serve()
		s.fetch(s.now)
		p := s.pod("web")
		ready(p, corev1.ConditionFalse, s.now)
		p.Annotations[annotationSeen] = s.now.Format(time.RFC3339Nano)
		begun(p, s.now)
		s.then(time.Second)
		s.then(grace+DefaultRolloutDeadline).is(web, RolloutStuck)
	})
	t.Run("a job is done when it is done", func(t *testing.T) {
		s := tell(t, running())
		p := s.replaced()
		p.Spec.RestartPolicy, p.Status.Phase = corev1.RestartPolicyNever, corev1.PodSucceeded
		s.exited("web", 0, "Completed", s.now)
		s.then(time.Hour).is(web, Completed)
		s.counted(RolloutStuck, 0)
	})
	t.Run("a rollout that is stuck is one over restarts", func(t *testing.T) {
		s := tell(t, running())
		s.replaced()
		s.then(grace + DefaultRolloutDeadline)
		since := s.is(web, RolloutStuck).Spec.Since
		s.restart()
		d := *s.definition("web")
		d.Updated = s.now // of a file that is not known to have been there before
		s.definitions[0] = &d
		if have := s.then(time.Second).is(web, RolloutStuck).Spec.Since; !have.Equal(since) {
			t.Errorf("since %s, want %s", have, since)
		}
		s.counted(RolloutStuck, 0) // in this process it did not begin
	})
}

func TestPulls(t *testing.T) {
	// creating is a pod with its sandbox, whose container c waits; a container before it may run.
	creating := func(t *testing.T, before ...cri.Container) *story {
		s := tell(t, running())
		p := s.pod("web")
		begun(p, s.now)
		s.sandboxes[0].Created, s.sandboxes[0].Containers = s.now, before
		s.waiting("web", "ContainerCreating", "").ContainerID = ""
		s.sandboxes[0].Containers = before
		s.pods[0].Annotations[annotationSeen] = s.now.Format(time.RFC3339Nano)
		return s
	}
	t.Run("it takes long", func(t *testing.T) {
		s := creating(t)
		begin := s.now
		s.then(pullGrace-time.Second).is(web, "")
		st := s.then(time.Second).is(web, ImagePullSlow)
		if !st.Spec.Since.Equal(begin) || st.Spec.Message != "image registry.example/web:1 of container c is still being pulled" {
			t.Errorf("since %s: %s", st.Spec.Since, st.Spec.Message)
		}
		s.then(10*time.Minute).is(web, ImagePullSlow)
		s.waiting("web", "ErrImagePull", "not found")
		s.then(time.Second).is(web, ImagePullFailed)
		s.counted(ImagePullSlow, 1)
	})
	t.Run("the container may take its time after that", func(t *testing.T) {
		s := creating(t)
		s.then(10 * time.Minute)
		s.sandboxes = slices.Clone(s.sandboxes)
		s.sandboxes[0].Containers = []cri.Container{{ID: "c", Name: "c", State: cri.Created, Created: s.now}}
		s.then(0).is(web, "")
		s.then(startGrace-time.Second).is(web, "")
		s.then(time.Second).is(web, NotReady)
	})
	t.Run("without a sandbox it is not the image", func(t *testing.T) {
		s := creating(t)
		s.sandboxes = nil
		s.then(pullGrace).is(web, NotReady)
	})
	t.Run("the log says why it is not the image", func(t *testing.T) {
		s := creating(t)
		s.say(kubeletlog.Event{Kind: kubeletlog.SyncFailed, UID: string(s.pods[0].UID), Failures: []kubeletlog.Failure{
			{Action: "StartContainer", Target: "c", Reason: "CreateContainerError", Message: "no command specified"}}})
		s.then(pullGrace).is(web, ContainerStartFailed)
		s.counted(ImagePullSlow, 0)
	})
	t.Run("of the second container it begins with the first", func(t *testing.T) {
		s := creating(t)
		p := s.pod("web")
		p.Spec.Containers = append([]corev1.Container{{Name: "a", Image: "registry.example/a:1"}}, p.Spec.Containers...)
		s.then(30 * time.Second)
		began := s.now
		s.sandboxes = slices.Clone(s.sandboxes)
		s.sandboxes[0].Containers = []cri.Container{{ID: "a", Name: "a", State: cri.Running, Created: began, Started: began}}
		s.then(pullGrace-time.Second).is(web, "")
		if st := s.then(time.Second).is(web, ImagePullSlow); !st.Spec.Since.Equal(began) {
			t.Errorf("since %s, want %s", st.Spec.Since, began)
		}
	})
	t.Run("after a container whose hook may take its time nothing is concluded", func(t *testing.T) {
		s := creating(t)
		p := s.pod("web")
		hook := &corev1.Lifecycle{PostStart: &corev1.LifecycleHandler{}}
		p.Spec.Containers = append([]corev1.Container{{Name: "a", Lifecycle: hook}}, p.Spec.Containers...)
		s.sandboxes[0].Containers = []cri.Container{{ID: "a", Name: "a", State: cri.Running, Created: s.now, Started: s.now}}
		s.then(pullGrace)
		s.counted(ImagePullSlow, 0)
	})
	t.Run("the log says when it began and ended", func(t *testing.T) {
		s := creating(t)
		about := kubeletlog.Event{Namespace: "default", Pod: "web-node1", Container: "c"}
		s.then(45 * time.Second)
		about.Kind = kubeletlog.PullBegun
		s.say(about)
		began := s.now
		s.then(pullGrace-time.Second).is(web, "")
		if st := s.then(time.Second).is(web, ImagePullSlow); !st.Spec.Since.Equal(began) {
			t.Errorf("since %s, want %s", st.Spec.Since, began)
		}
	})
}

func TestRecreations(t *testing.T) {
	// another gives web's pod another UID.
	another := func(s *story) {
		p := s.pod("web")
		s.sandboxes = slices.Clone(s.sandboxes)
		p.UID = uidOf(string(p.UID) + "again")
		p.Annotations[annotationSeen] = s.now.Format(time.RFC3339Nano)
		begun(p, s.now)
		ready(p, corev1.ConditionTrue, s.now)
		s.sandboxes[0].ID, s.sandboxes[0].UID, s.sandboxes[0].Created = "another", string(p.UID), s.now
	}
	t.Run("with the kubelet's upgrade", func(t *testing.T) {
		s := tell(t, observing())
		another(s)
		at := s.now
		s.version = "v1.38.0"
		s.then(recreationGrace-time.Second).is(web, "")
		st := s.then(time.Second).is(web, UnplannedRecreation)
		if !st.Spec.Ready || !st.Spec.Since.Equal(at) || !strings.Contains(st.Spec.Message, "upgrade from v1.37.2 to v1.38.0") {
			t.Errorf("since %s: %s", st.Spec.Since, st.Spec.Message)
		}
		s.restart()
		s.then(time.Second).is(web, UnplannedRecreation)
		s.then(recreationLasts).is(web, "")
	})
	t.Run("with a file that is renamed", func(t *testing.T) {
		s := tell(t, observing())
		d := *s.definition("web")
		d.Path = "/etc/kubernetes/manifests/other.yaml"
		s.definitions[0] = &d
		another(s)
		if st := s.then(recreationGrace).is(web, UnplannedRecreation); !strings.Contains(st.Spec.Message, "web.yaml became /etc/kubernetes/manifests/other.yaml") {
			t.Errorf("message: %s", st.Spec.Message)
		}
	})
	t.Run("of a sandbox", func(t *testing.T) {
		s := tell(t, running())
		s.sandboxes = slices.Clone(s.sandboxes)
		s.sandboxes[0].ID, s.sandboxes[0].Attempt, s.sandboxes[0].Created = "another", 1, s.now
		if st := s.then(recreationGrace).is(web, UnplannedRecreation); !strings.Contains(st.Spec.Message, "sandbox-") || !strings.Contains(st.Spec.Message, "another") {
			t.Errorf("message: %s", st.Spec.Message)
		}
		s.counted(UnplannedRecreation, 1)
	})
	t.Run("an edit is none", func(t *testing.T) {
		s := tell(t, running())
		s.run(s.edit("web"))
		s.pods, s.sandboxes = s.pods[1:], s.sandboxes[1:]
		s.serve()
		s.fetch(s.now)
		s.then(time.Minute).is(web, "")
	})
	t.Run("nor is one that the kubelet reads first", func(t *testing.T) {
		s := tell(t, observing())
		another(s)
		s.then(time.Second)
		d := *s.definition("web")
		d.UID, d.Hash = s.pods[0].UID, digestOf("edited")
		s.definitions[0] = &d
		s.then(time.Second)
		s.then(recreationGrace)
		s.counted(UnplannedRecreation, 0)
	})
	t.Run("nor a definition that was removed and is back", func(t *testing.T) {
		s := tell(t, running())
		definitions, pods, sandboxes := s.definitions, s.pods, s.sandboxes
		s.definitions, s.pods = nil, nil
		s.then(time.Second)
		s.sandboxes = nil
		s.then(time.Second)
		s.definitions, s.pods, s.sandboxes = definitions, pods, slices.Clone(sandboxes)
		s.sandboxes[0].ID = "another"
		s.then(time.Hour).is(web, "")
	})
}

func TestTermination(t *testing.T) {
	removed := func(t *testing.T) *story {
		s := running()
		s.pods[0].Spec.TerminationGracePeriodSeconds = new(int64(100))
		st := tell(t, s)
		st.definitions, st.pods = nil, nil
		st.serve()
		st.fetch(st.now)
		st.then(time.Second)
		return st
	}
	t.Run("a process that takes its time is none", func(t *testing.T) {
		s := removed(t)
		s.then(100*time.Second+terminationGrace-time.Second).is(web, "")
	})
	t.Run("a process that does not end", func(t *testing.T) {
		s := removed(t)
		at := s.now
		s.say(kubeletlog.Event{Kind: kubeletlog.KillFailed, UID: s.sandboxes[0].UID, Container: "c", Message: "context deadline exceeded"})
		st := s.then(100*time.Second+terminationGrace).is(web, TerminationStuck)
		if !st.Spec.Since.Equal(at) || !strings.HasSuffix(st.Spec.Message, "its container c runs; the kubelet's log says: context deadline exceeded") {
			t.Errorf("since %s: %s", st.Spec.Since, st.Spec.Message)
		}
		s.then(time.Hour).is(web, TerminationStuck)
		s.counted(Orphaned, 0)
	})
	t.Run("a kubelet that was restarted knows nothing of it", func(t *testing.T) {
		s := removed(t)
		s.after(time.Second)
		s.say(kubeletlog.Event{Kind: kubeletlog.KubeletStarted})
		s.then(time.Minute)
		s.then(time.Hour).is(web, Orphaned)
	})
	t.Run("one that says it cannot", func(t *testing.T) {
		s := running()
		s.definitions, s.pods = nil, nil // never seen with it
		st := tell(t, s)
		st.say(kubeletlog.Event{Kind: kubeletlog.SyncFailed, UID: s.sandboxes[0].UID, Message: "error killing terminating pod: x", Failures: []kubeletlog.Failure{
			{Action: "KillContainer", Target: "c", Reason: "KillContainerError", Message: "context deadline exceeded"}}})
		st.then(grace+terminationGrace).is(web, TerminationStuck)
	})
	t.Run("a pod that is replaced", func(t *testing.T) {
		s := tell(t, running())
		d := s.edit("web")
		s.serve()
		s.fetch(s.now)
		s.pods = nil
		s.accept(d)
		s.then(0).is(web, WaitingForTermination)
		s.then(grace+terminationGrace-time.Second).is(web, WaitingForTermination)
		s.then(time.Second).is(web, TerminationStuck)
	})
	t.Run("a pod that is deleted", func(t *testing.T) {
		s := tell(t, running())
		s.pod("web").DeletionTimestamp = &metav1.Time{Time: s.now.Add(grace)}
		s.then(grace+terminationGrace-time.Second).is(web, "")
		s.then(time.Second).is(web, TerminationStuck)
	})
}

// A pod of one name may run twice: the old one goes on beside the new.
func TestTwoPodsOfOneName(t *testing.T) {
	s := tell(t, running())
	d := s.edit("web")
	s.serve()
	s.fetch(s.now)
	s.pods = nil
	s.run(d)
	s.sandboxes[1].Created = s.now
	s.then(duplicateGrace-time.Second).is(web, "")
	if st := s.then(time.Second).is(web, DuplicateSandbox); !strings.Contains(st.Spec.Message, s.sandboxes[1].ID+", "+s.sandboxes[0].ID) {
		t.Errorf("message: %s", st.Spec.Message)
	}
}

// A kubelet that was never heard says nothing against what ended before the definition was made.
func TestAnEarlierPodOfTheName(t *testing.T) {
	s := running()
	s.exited("web", 1, "Error", noon.Add(-time.Minute))
	s.sandboxes[0].Ready = false
	s.edit("web")
	s.serve()
	s.fetch(noon)
	s.noKubelet, s.pods = true, nil
	s.down(collector.InputKubelet, noon, "initializing")
	st := find(t, Derive(nil, s.look()), web)
	if len(st.Spec.Problems) > 0 || st.Spec.Pod.UID != "" {
		t.Errorf("problems %v of UID %q", reasons(st), st.Spec.Pod.UID)
	}
}
