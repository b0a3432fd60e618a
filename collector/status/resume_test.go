package status

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/staticpod-exporter/staticpod-exporter/collector"
	"github.com/staticpod-exporter/staticpod-exporter/collector/kubelet"
	"github.com/staticpod-exporter/staticpod-exporter/collector/kubeletlog"
	"github.com/staticpod-exporter/staticpod-exporter/manifest"
)

// A kubelet that has just come back lists nothing for a moment: a job that was done is done all the while.
func TestJobOverAKubeletsRestart(t *testing.T) {
	s := tell(t, running())
	p := s.pod("web")
	p.Spec.RestartPolicy, p.Status.Phase = corev1.RestartPolicyNever, corev1.PodSucceeded
	s.definition("web").Pod.Spec.RestartPolicy = corev1.RestartPolicyNever
	s.exited("web", 0, "Completed", s.now)
	s.box("web").Ready = false // the kubelet stops the sandbox of what is done
	s.then(time.Hour).is(web, Completed)

	pods := s.pods
	s.down(collector.InputKubelet, s.now, "refused")
	s.then(time.Second)
	s.up(collector.InputKubelet, s.now)
	s.pods = nil
	s.then(time.Second)
	s.is(web, Completed)
	// Then it lists the pod, and has yet to see what became of it.
	fresh := pods[0].DeepCopy()
	fresh.Annotations[annotationSeen] = s.now.Format(time.RFC3339Nano)
	fresh.Status.Phase = corev1.PodPending
	fresh.Status.ContainerStatuses[0].State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ContainerCreating"}}
	s.pods = []*corev1.Pod{fresh}
	s.then(time.Second).is(web, Completed)
	s.pods = pods
	s.then(time.Second).is(web, Completed)
	s.counted(Completed, 1)
}

// A kubelet that does not tell its changes is asked now and then: that its pod was not ready when it was asked last, a
// moment after the container had started, is no evidence by the time that it should be.
func TestReadinessOfAPolledKubelet(t *testing.T) {
	for _, transport := range []string{"https", kubelet.PodsAPI} {
		t.Run(transport, func(t *testing.T) {
			scene := running()
			scene.transport = transport
			s := tell(t, scene)
			s.then(time.Hour).is(web, "")
			ready(s.pod("web"), corev1.ConditionFalse, s.now)
			s.pod("web").Status.ContainerStatuses[0].Ready = false
			s.pod("web").Status.ContainerStatuses[0].State = corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(s.now)}}
			s.box("web").Containers[0].Started = s.now
			s.kubeletAt = s.now.Add(time.Second)
			s.then(time.Second).is(web, "")
			late := NotReady
			if transport != kubelet.PodsAPI {
				late = ""
			}
			s.then(readyGrace+time.Second).is(web, late)
			s.kubeletAt = s.now
			s.then(0).is(web, NotReady)
			s.counted(NotReady, 1)
		})
	}
}

// A kubelet of another release may default a field otherwise: the pod that came after the edit is that of the edit.
func TestRolloutByAnotherRelease(t *testing.T) {
	scene := observing()
	scene.version = "v1.34.4"
	s := tell(t, scene)
	s.after(time.Minute)
	d := s.edit("web")
	s.after(10 * ms)
	p := s.given(d)
	p.UID, p.Spec.SchedulerName = "another-uid", "another"
	s.after(90 * ms)
	s.sandboxed()
	s.then(0)
	s.after(100 * ms)
	s.made("c")
	s.started("c")
	s.pod("web").Status.Phase = corev1.PodRunning
	ready(s.pod("web"), corev1.ConditionTrue, s.now.Truncate(time.Second).Add(time.Second))
	s.then(2 * time.Second)
	if ro := find(t, s.last, web).Spec.Rollout; ro.Outcome != OutcomeReady {
		t.Errorf("it is %s", written(ro))
	}
}

// A kubelet that restarts sees the pods of somebody else's list anew, and lists none for a moment: none of that is a rollout.
func TestKubeletsRestartIsNoRollout(t *testing.T) {
	scene := observing()
	scene.directory, scene.definitions = manifest.Directory{}, nil
	scene.without(collector.InputRuntime)
	s := tell(t, scene)
	if ro := find(t, s.last, web).Spec.Rollout; ro != nil {
		t.Fatalf("before: %s", written(ro))
	}
	pods := s.pods
	s.down(collector.InputKubelet, s.now, "refused")
	s.then(5 * time.Second)
	s.up(collector.InputKubelet, s.now)
	s.pods = nil
	s.say(kubeletlog.Event{Kind: kubeletlog.KubeletStarted, Path: "/etc/kubernetes/manifests"})
	s.then(time.Second)
	s.pods = pods
	p := s.pod("web")
	p.Annotations[annotationSeen] = s.now.Format(time.RFC3339Nano)
	begun(p, s.now)
	ready(p, corev1.ConditionTrue, s.now)
	s.then(2 * time.Second)
	if ro := find(t, s.last, web).Spec.Rollout; ro != nil {
		t.Errorf("it is %s", written(ro))
	}

	// Neither is it one to an exporter that starts then.
	again := tell(t, s.scene)
	if ro := find(t, again.last, web).Spec.Rollout; ro != nil {
		t.Errorf("of a fresh exporter it is %s", written(ro))
	}
}

// A kubelet that looks each second takes longer than that to take in what it has read when its node is busy.
func TestKubeletThatLooksOften(t *testing.T) {
	scene := running()
	scene.config = &kubelet.Config{HTTPCheckFrequency: time.Second}
	s := tell(t, scene)
	s.define("new", manifest.SourceHTTP).Updated = s.now
	s.serve()
	s.fetch(s.now)
	const id = "default/new-node1"
	s.then(8*time.Second).is(id, "")
	s.then(3*time.Second).is(id, NotAccepted)
}
