package status

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/staticpod-exporter/staticpod-exporter/cri"
	"github.com/staticpod-exporter/staticpod-exporter/manifest"
)

// A story is a scene that is looked at again and again.
type story struct {
	*scene
	t    *testing.T
	last *Snapshot
}

func tell(t *testing.T, s *scene) *story {
	st := &story{scene: s, t: t}
	defer func() { s.polls = s.serving }()
	st.then(0)
	return st
}

// then lets time pass and looks.
func (s *story) then(d time.Duration) *story {
	s.after(d)
	s.last = Derive(s.last, s.look())
	return s
}

// is fails unless the headline of a status is the reason.
func (s *story) is(id string, reason manifest.Reason) *StaticPodStatus {
	s.t.Helper()
	st := find(s.t, s.last, id)
	if st.Spec.Reason != reason {
		s.t.Fatalf("%s: have %q (%s), want %q", id, st.Spec.Reason, st.Spec.Message, reason)
	}
	return st
}

func (s *story) counted(reason manifest.Reason, n uint64) {
	s.t.Helper()
	if have := s.last.ProblemsTotal[reason]; have != n {
		s.t.Errorf("%s was counted %d times, want %d", reason, have, n)
	}
}

func TestVersions(t *testing.T) {
	s := tell(t, running())
	first := find(t, s.last, web)
	if m := first.Metadata; m.Version != 1 || !m.Created.Equal(noon) || !m.Updated.Equal(noon) || m.Namespace != "k8s" || m.Type != "StaticPodStatus" {
		t.Fatalf("metadata: %+v", m)
	}

	s.then(time.Second)
	if find(t, s.last, web) != first {
		t.Error("an unchanged pod lost its pointer")
	}
	if find(t, s.last, NodeID).Metadata.Version != 1 {
		t.Error("an unchanged node has a new version")
	}
	if pod := s.last.Pods[0]; pod.Metadata.ID != "default-web" || pod != s.then(time.Second).last.Pods[0] {
		t.Error("an unchanged definition lost its pointer")
	}

	// The dates of its evidence alone are brought up now and then, without a new version.
	s.then(observedLag)
	dated := find(t, s.last, web)
	if dated == first || dated.Metadata != first.Metadata || !dated.Spec.Observed.Kubelet.Equal(s.now) {
		t.Errorf("observed: %+v, metadata %+v", dated.Spec.Observed, dated.Metadata)
	}

	s.exited("web", 1, "Error", s.now)
	s.then(time.Second)
	if m := find(t, s.last, web).Metadata; m.Version != 2 || !m.Updated.Equal(s.now) || !m.Created.Equal(noon) {
		t.Errorf("after an exit: %+v", m)
	}
	if first.Spec.Reason != "" || first.Metadata.Version != 1 {
		t.Error("an earlier snapshot was changed")
	}

	s.definitions, s.pods, s.sandboxes = nil, nil, nil
	s.then(time.Second)
	absent(t, s.last, web)
}

func TestOnsetsAreKeptAndCounted(t *testing.T) {
	s := tell(t, running())
	s.waiting("web", "ErrImagePull", "not found")
	s.then(time.Second)
	since := s.is(web, ImagePullFailed).Spec.Since
	for i := range 5 { // the two take turns
		s.waiting("web", []string{"ImagePullBackOff", "ErrImagePull"}[i%2], "words change")
		s.then(10 * time.Second)
		if st := s.is(web, ImagePullFailed); !st.Spec.Since.Equal(since) {
			t.Fatalf("since %s, want %s", st.Spec.Since, since)
		}
	}
	s.counted(ImagePullFailed, 1)

	well := running()
	s.pods, s.sandboxes = well.pods, well.sandboxes
	s.then(time.Second)
	s.is(web, "")
	s.waiting("web", "ErrImagePull", "not found")
	s.then(time.Second)
	s.counted(ImagePullFailed, 2)
}

// Between two attempts of a crash loop the container runs: the problem goes on until it has outlived the
// attempt before.
func TestCrashLoopGoesOnBetweenAttempts(t *testing.T) {
	s := tell(t, running())
	died := s.now
	crash := func() {
		died = s.now
		c := s.waiting("web", "CrashLoopBackOff", "back-off 40s")
		c.LastTerminationState.Terminated = terminated(7, "Error", died)
	}
	attempt := func() {
		pod := s.pod("web")
		c := &pod.Status.ContainerStatuses[0]
		c.State = corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(s.now)}}
		c.Ready = true
		ready(pod, corev1.ConditionTrue, s.now)
		s.sandboxes[0].Containers = []cri.Container{{ID: "next", Name: "c", State: cri.Running, Created: s.now, Started: s.now}}
	}
	crash()
	s.then(0)
	since := s.is(web, CrashLoopBackOff).Spec.Since
	s.after(40 * time.Second)
	attempt()
	st := s.then(0).is(web, CrashLoopBackOff)
	if !st.Spec.Ready {
		t.Error("a pod that is ready is not shown so")
	}
	s.after(10 * time.Second)
	s.exited("web", 7, "Error", s.now) // gone again, and not in back-off yet
	s.then(0).is(web, CrashLoopBackOff)
	s.after(time.Second)
	crash()
	if have := s.then(0).is(web, CrashLoopBackOff).Spec.Since; !have.Equal(since) {
		t.Errorf("since %s, want %s", have, since)
	}
	s.counted(CrashLoopBackOff, 1)
	s.counted(ContainerExited, 0)

	// It ran for ten seconds when it died: after forty it has outlived that.
	s.after(40 * time.Second)
	attempt()
	s.then(39*time.Second).is(web, CrashLoopBackOff)
	s.then(time.Second).is(web, "")
}

// The kubelet ends the containers of a pod that it removes, and says so only afterwards.
func TestAnExitThatIsMeant(t *testing.T) {
	exit := func(s *story) {
		r := &s.box("web").Containers[0]
		r.State, r.PID, r.ExitCode, r.Reason, r.Finished = cri.Exited, 0, 137, "Error", s.now
		s.kubeletAt = s.now.Add(-time.Second)
	}
	t.Run("the pod is removed", func(t *testing.T) {
		s := tell(t, running())
		exit(s)
		if st := s.then(time.Second).is(web, ""); st.Spec.Ready || st.Spec.Containers[0].State != StateExited {
			t.Errorf("the exit is not shown: %+v", st.Spec)
		}
		s.kubeletAt, s.pods = time.Time{}, nil
		s.then(time.Second)
		s.counted(ContainerExited, 0)
	})
	t.Run("the kubelet knows of it", func(t *testing.T) {
		s := tell(t, running())
		exit(s)
		s.then(time.Second).is(web, "")
		s.kubeletAt = time.Time{}
		s.then(time.Second).is(web, "") // it tells of other pods
		s.exited("web", 137, "Error", s.now)
		s.then(0).is(web, ContainerExited)
	})
	t.Run("the kubelet says nothing", func(t *testing.T) {
		s := tell(t, running())
		exit(s)
		s.then(exitGrace-time.Millisecond).is(web, "")
		s.then(time.Millisecond).is(web, ContainerExited)
	})
}

// A new revision does not inherit the onset of the old one's problem.
func TestANewRevisionBeginsAnew(t *testing.T) {
	s := tell(t, running())
	s.waiting("web", "ImagePullBackOff", "not found")
	s.then(time.Second)
	old := s.is(web, ImagePullFailed).Spec.Since
	s.after(time.Minute)
	d := s.edit("web")
	s.serve()
	s.fetch(s.now)
	s.pods, s.sandboxes = nil, nil
	p := s.accept(d)
	p.Annotations[annotationSeen] = s.now.Format(time.RFC3339Nano)
	begun(p, s.now)
	s.waiting("web", "ImagePullBackOff", "not found")
	s.then(time.Second)
	if have := s.is(web, ImagePullFailed).Spec.Since; !have.After(old) {
		t.Errorf("since %s", have)
	}
	s.counted(ImagePullFailed, 2)
}

// What a process leaves behind when it ends may hold anything, and is nobody's business.
func TestTerminationMessagesStayInside(t *testing.T) {
	s := tell(t, running())
	const secret = "postgres://user:hunter2@db"
	s.exited("web", 1, "Error", s.now)
	s.pods[0].Status.ContainerStatuses[0].State.Terminated.Message = secret
	s.sandboxes[0].Containers[0].Message = secret
	s.then(time.Second).is(web, ContainerExited)
	c := s.waiting("web", "CrashLoopBackOff", "back-off 10s")
	c.LastTerminationState.Terminated = terminated(1, "OOMKilled", s.now)
	c.LastTerminationState.Terminated.Message = secret
	s.then(time.Second).is(web, CrashLoopBackOff)
	if strings.Contains(wire(t, s.last)+remembered(t, s.last), secret) {
		t.Error("it is told")
	}
}

// A kubelet that is started anew has, for a moment, pods of which it says nothing yet: what was wrong with them is
// no new problem when it has looked at them.
func TestAKubeletsRestartIsNoNewOnset(t *testing.T) {
	for name, test := range map[string]struct {
		reason manifest.Reason
		given  func(s *scene)
	}{
		"a job that has ended": {Completed, func(s *scene) {
			s.pod("web").Spec.RestartPolicy = corev1.RestartPolicyNever
			s.exited("web", 0, "Completed", s.now.Add(-time.Minute))
			s.pod("web").Status.Phase = corev1.PodSucceeded
		}},
		"a crash loop": {CrashLoopBackOff, func(s *scene) {
			s.exited("web", 7, "Error", s.now.Add(-time.Minute))
			s.waiting("web", "CrashLoopBackOff", "back-off 5m0s restarting failed container")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s := running()
			test.given(s)
			st := tell(t, s)
			since := st.is(web, test.reason).Spec.Since
			before := s.pod("web").Status
			s.pod("web").Status = corev1.PodStatus{Phase: corev1.PodPending}
			s.pod("web").Annotations[annotationSeen] = s.now.Format(time.RFC3339Nano)
			st.then(time.Second).is(web, test.reason)
			st.then(waitingGrace).is(web, test.reason)
			s.pod("web").Status = before
			if again := st.then(time.Second).is(web, test.reason).Spec.Since; !again.Equal(since) {
				t.Errorf("it began at %s, and at %s after the kubelet's restart", since, again)
			}
			st.counted(test.reason, 1)
			st.counted(WaitingForTermination, 0)
		})
	}
}

// The kubelet looks every 10 to 15 s whether an earlier pod of the name has ended: until then it waits.
func TestWaitingIsOneOnset(t *testing.T) {
	s := running()
	st := tell(t, s)
	d := s.edit("web")
	s.serve()
	s.fetch(s.now)
	s.pods = nil
	s.accept(d).Annotations[annotationSeen] = s.now.Format(time.RFC3339Nano)
	st.then(time.Second).is(web, WaitingForTermination)
	s.sandboxes = nil
	st.then(time.Second).is(web, WaitingForTermination)
	st.then(waitingGrace).is(web, WaitingForTermination)
	st.counted(WaitingForTermination, 1)
}

// The two pods of one name may be seen before the file of the second is read: it is one problem, that got its place.
func TestAProblemThatGetsItsPlaceIsNoNewOnset(t *testing.T) {
	s := running()
	st := tell(t, s)
	twin := s.define("web", manifest.SourceFile)
	s.definitions = s.definitions[:1]
	s.run(twin)
	st.then(time.Second)
	st.counted(manifest.CrossSourceDuplicate, 1)
	twin.Problems = []manifest.Problem{{Reason: manifest.CrossSourceDuplicate, Level: manifest.Critical, Path: twin.Path, Line: 4, Field: "metadata.name", Message: "served too"}}
	s.definitions = append(s.definitions, twin)
	st.then(time.Second)
	st.counted(manifest.CrossSourceDuplicate, 1)
}

// An edit of labels leaves the specification as it was: the pod that runs is of the old content, and its successor is
// no recreation.
func TestAnEditOfLabelsIsNoRecreation(t *testing.T) {
	s := observing()
	st := tell(t, s)
	st.then(time.Second)
	d := s.edit("web")
	st.then(5 * time.Second)
	s.pods, s.sandboxes = nil, nil
	p := s.run(d)
	p.Annotations[annotationSeen] = s.now.Format(time.RFC3339Nano)
	st.then(time.Second)
	st.then(recreationGrace + time.Minute)
	st.counted(UnplannedRecreation, 0)
}

// A definition that is taken away and brought back as it was has the UID that it had: that its containers have ended
// is of its former life.
func TestAPodThatIsBroughtBackHasNotExited(t *testing.T) {
	s := running()
	st := tell(t, s)
	definitions, pods := s.definitions, s.pods
	s.definitions, s.pods = nil, nil
	s.serve()
	s.fetch(s.now)
	r := &s.box("web").Containers[0]
	r.State, r.PID, r.Reason, r.Finished = cri.Exited, 0, "Completed", s.now
	s.sandboxes[0].Ready = false
	st.then(20 * time.Second)
	s.definitions = definitions
	s.serve()
	s.fetch(s.now)
	st.then(time.Second)
	st.counted(ContainerExited, 0)
	s.pods = pods
	s.exited("web", 0, "Completed", r.Finished)
	s.pods[0].Annotations[annotationSeen] = s.now.Format(time.RFC3339Nano)
	st.then(time.Second)
	st.counted(ContainerExited, 0)
	st.then(exitGrace)
	st.counted(ContainerExited, 1) // the kubelet does not start it
}
