package status

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/staticpod-exporter/staticpod-exporter/collector"
	"github.com/staticpod-exporter/staticpod-exporter/collector/kubeletlog"
	"github.com/staticpod-exporter/staticpod-exporter/cri"
	"github.com/staticpod-exporter/staticpod-exporter/manifest"
)

func TestStaleness(t *testing.T) {
	t.Run("the kubelet goes away", func(t *testing.T) {
		s := tell(t, running())
		s.after(30 * time.Second)
		at := s.now
		s.kubeletAt = noon
		s.down(collector.InputKubelet, at, "connection refused")
		st := s.then(time.Second).is(web, KubeletDown)
		spec := st.Spec
		if !spec.Stale || spec.Ready || spec.Phase != "Running" || !spec.Since.Equal(at) || !spec.Observed.Kubelet.Equal(noon) || !spec.Observed.Runtime.Equal(s.now) {
			t.Errorf("spec: %+v", spec)
		}
		if c, _ := st.Condition(Ready); c.Status != Unknown || c.Reason != string(KubeletDown) {
			t.Errorf("ready: %+v", c)
		}
		if c := spec.Containers[0]; c.State != StateRunning || c.PID != 4711 || c.Ready {
			t.Errorf("container: %+v", c)
		}
		// The runtime still tells what runs.
		r := &s.box("web").Containers[0]
		r.State, r.ExitCode, r.Reason, r.Finished, r.PID = cri.Exited, 9, "Error", s.now, 0
		st = s.then(time.Second).is(web, ContainerExited)
		if c, _ := st.Condition(Ready); c.Status != False {
			t.Errorf("ready: %+v", c)
		}
	})
	t.Run("what was wrong is kept and dated", func(t *testing.T) {
		s := tell(t, running())
		s.waiting("web", "ImagePullBackOff", "not found")
		since := s.then(time.Second).is(web, ImagePullFailed).Spec.Since
		s.down(collector.InputKubelet, s.now, "connection refused")
		st := s.then(time.Hour).is(web, ImagePullFailed)
		if !st.Spec.Stale || !st.Spec.Since.Equal(since) {
			t.Errorf("spec: %+v", st.Spec)
		}
	})
	t.Run("the runtime goes away", func(t *testing.T) {
		s := tell(t, running())
		s.down(collector.InputRuntime, s.now, "connection refused")
		st := s.then(time.Second).is(web, RuntimeDown)
		if !st.Spec.Stale || st.Spec.Ready {
			t.Errorf("spec: %+v", st.Spec)
		}
		// The kubelet still answers, and so tells the containers.
		if c := st.Spec.Containers[0]; c.State != StateRunning || c.ID == "" || c.PID != 0 {
			t.Errorf("container: %+v", c)
		}
		s.up(collector.InputRuntime, s.now)
		if !s.then(time.Second).is(web, "").Spec.Ready {
			t.Error("not ready when all is back")
		}
	})
	t.Run("an error that changes each time does not raise versions", func(t *testing.T) {
		s := tell(t, running())
		s.down(collector.InputKubelet, s.now, "read tcp 127.0.0.1:40001: reset")
		first := find(t, s.then(time.Second).last, web)
		s.down(collector.InputKubelet, s.inputs[collector.InputKubelet].Since, "read tcp 127.0.0.1:40002: reset")
		if find(t, s.then(time.Second).last, web) != first {
			t.Error("the pod has another status")
		}
	})
	t.Run("log alone: the kubelet cannot be asked", func(t *testing.T) {
		s := running()
		s.noKubelet, s.pods, s.sandboxes = true, nil, nil
		s.down(collector.InputKubelet, noon, "connection refused")
		st := tell(t, s)
		st.say(kubeletlog.Event{Kind: kubeletlog.AdmissionDenied, UID: string(s.definitions[0].UID), Reason: "NodePorts", Message: "no port"})
		st.then(time.Second)
		if p := st.is(web, AdmissionRejected).Spec.Problems[0]; p.Detail != "NodePorts" {
			t.Errorf("problem: %+v", p)
		}
	})
	t.Run("log and runtime: the kubelet cannot be asked", func(t *testing.T) {
		s := running()
		s.noKubelet, s.pods = true, nil
		s.sandboxes[0].Containers = nil
		s.down(collector.InputKubelet, noon, "connection refused")
		st := tell(t, s)
		st.say(kubeletlog.Event{Kind: kubeletlog.SyncFailed, UID: s.sandboxes[0].UID, Failures: []kubeletlog.Failure{
			{Action: "StartContainer", Target: "c", Reason: "ErrImagePull", Message: "not found"}}})
		st.then(time.Second).is(web, ImagePullFailed)
		s.sandboxes[0].Containers = []cri.Container{{ID: "x", Name: "c", State: cri.Running, Created: s.now, Started: s.now.Add(time.Second)}}
		st.then(time.Second).is(web, KubeletDown)
	})
}

func TestRuntimeAlone(t *testing.T) {
	alone := func() *scene {
		s := running()
		s.without(collector.InputKubelet)
		s.without(collector.InputLog)
		s.pods = nil
		return s
	}
	t.Run("it tells what runs", func(t *testing.T) {
		st := find(t, Derive(nil, alone().look()), web)
		if st.Spec.Phase != "Running" || !st.Spec.Ready || st.Spec.Stale || st.Spec.Reason != "" {
			t.Errorf("spec: %+v", st.Spec)
		}
		if have := conditionsOf(st); have != allTrue {
			t.Errorf("conditions: %s", have)
		}
		if c := st.Spec.Containers[0]; c.Name != "c" || c.Image != "registry.example/web:1" || c.PID != 4711 || c.State != StateRunning {
			t.Errorf("container: %+v", c)
		}
	})
	t.Run("not whether a probe succeeds", func(t *testing.T) {
		s := alone()
		d := s.definition("web")
		d.Pod.Spec.Containers[0].ReadinessProbe = &corev1.Probe{}
		st := find(t, Derive(nil, s.look()), web)
		if c, _ := st.Condition(Ready); c.Status != Unknown || st.Spec.Ready {
			t.Errorf("ready: %+v", c)
		}
	})
	t.Run("a pod without a definition", func(t *testing.T) {
		s := alone()
		s.definitions = nil
		s.serve()
		st := find(t, Derive(nil, s.look()), web)
		if st.Spec.Phase != "Running" || st.Spec.Definition.ID != "" || st.Spec.Definition.Source != manifest.SourceHTTP || st.Spec.Pod.UID != s.sandboxes[0].UID {
			t.Errorf("spec: %+v", st.Spec)
		}
		if have := conditionsOf(st); have != "Accepted=True Started=True Ready=Unknown(NotSeen)" {
			t.Errorf("conditions: %s", have)
		}
	})
	t.Run("a container that exited", func(t *testing.T) {
		s := alone()
		r := &s.box("web").Containers[0]
		r.State, r.ExitCode, r.Reason, r.Finished = cri.Exited, 4, "Error", noon
		st := find(t, Derive(nil, s.look()), web)
		if st.Spec.Reason != ContainerExited || st.Spec.Ready || st.Spec.Phase != "Running" {
			t.Errorf("spec: %+v", st.Spec)
		}
	})
	t.Run("a pod that completed", func(t *testing.T) {
		s := alone()
		s.definition("web").Pod.Spec.RestartPolicy = corev1.RestartPolicyOnFailure
		r := &s.box("web").Containers[0]
		r.State, r.Reason, r.Finished = cri.Exited, "Completed", noon
		s.sandboxes[0].Ready = false
		st := find(t, Derive(nil, s.look()), web)
		if st.Spec.Reason != Completed || st.Spec.Ready || st.Spec.Phase != "Succeeded" {
			t.Errorf("spec: %+v", st.Spec)
		}
	})
	t.Run("all attempts of a container are one", func(t *testing.T) {
		s := alone()
		b := s.box("web")
		old := b.Containers[0]
		old.ID, old.State, old.ExitCode, old.Reason = "old", cri.Exited, 5, "Error"
		old.Created, old.Finished = noon.Add(-time.Hour), noon.Add(-51*time.Minute)
		b.Containers[0].RestartCount = 1
		b.Containers = []cri.Container{old, b.Containers[0]}
		c := find(t, Derive(nil, s.look()), web).Spec.Containers
		if len(c) != 1 || c[0].RestartCount != 1 || c[0].LastExit == nil || c[0].LastExit.Code != 5 || c[0].State != StateRunning {
			t.Errorf("containers: %+v", c)
		}
	})
}

func TestKubeletAlone(t *testing.T) {
	s := running()
	s.without(collector.InputRuntime)
	s.without(collector.InputLog)
	s.sandboxes = nil
	snapshot := Derive(nil, s.look())
	st := find(t, snapshot, web)
	if !st.Spec.Ready || st.Spec.Stale || conditionsOf(st) != allTrue || st.Spec.Containers[0].ID == "" {
		t.Errorf("spec: %+v", st.Spec)
	}
	if n := find(t, snapshot, NodeID); !n.Spec.Ready || len(n.Spec.Problems) != 0 {
		t.Errorf("node: %+v", n.Spec)
	}
}

// Views of different age: what is older than the question cannot answer it.
func TestOldViewsProveNothing(t *testing.T) {
	t.Run("a list older than the patience with a definition", func(t *testing.T) {
		s := tell(t, running())
		s.define("new", manifest.SourceHTTP)
		s.serve()
		s.after(time.Second)
		s.fetch(s.now)
		s.kubeletAt = s.now.Add(30 * time.Second)
		s.then(0)
		s.then(50*time.Second).is("default/new-node1", "")
		s.kubeletAt = s.now
		s.then(time.Second).is("default/new-node1", NotAccepted)
	})
	t.Run("a sandbox younger than the kubelet's list", func(t *testing.T) {
		s := tell(t, running())
		s.kubeletAt = s.now
		s.after(time.Minute)
		d := s.define("new", manifest.SourceHTTP)
		s.run(d)
		s.pods = s.pods[:1]
		s.sandboxes[1].Created = s.now
		s.then(time.Second)
		if n := len(s.last.memory.missing); n != 0 {
			t.Errorf("%d pods are missing", n)
		}
	})
	t.Run("the readiness of the attempt before", func(t *testing.T) {
		s := tell(t, running())
		b := s.box("web")
		b.Containers = append(b.Containers, cri.Container{ID: "next", Name: "c", State: cri.Running, Created: s.now, Started: s.now})
		s.then(time.Second)
		if c := find(t, s.last, web).Spec.Containers[0]; c.ID != "next" || c.Ready {
			t.Errorf("container: %+v", c)
		}
	})
}
