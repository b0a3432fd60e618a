package observing

import (
	"fmt"
	"syscall"
	"testing"

	"github.com/staticpod-exporter/staticpod-exporter/e2e/exporter"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/node"
)

// resync is short, because what hangs is found by a resync alone.
const resync = "--kubelet.resync-interval=2s"

// Kubelet and runtime come and go, each by itself; some exporters may ask only one of them.
func TestInputs(t *testing.T) {
	n := start(t, node.Options{})
	write(t, n, "web.yaml", pod("web", "sleep", "1h"))
	t.Run("without the kubelet, the runtime tells what goes on", func(t *testing.T) { kubeletStopped(t, n) })
	t.Run("a kubelet that hangs is one that is down", func(t *testing.T) { kubeletFrozen(t, n) })
	t.Run("without the runtime, the kubelet's word is old", func(t *testing.T) { containerdStopped(t, n) })
	t.Run("the kubelet alone is enough", func(t *testing.T) { kubeletAlone(t, n) })
	t.Run("the runtime alone is enough to tell what runs", func(t *testing.T) { runtimeAlone(t, n) })
}

func kubeletStopped(t *testing.T, n *node.Node) {
	e := observe(t, n, resync)
	before := expect(t, e, "default/web-node1", ready, container("running"))

	n.Kubelet.Stop(t.Context())
	kubeletDown := problem(exporter.Problem{Reason: "KubeletDown", Level: "critical"})
	expect(t, e, "node", unready, headline("KubeletDown"), kubeletDown)
	s := expect(t, e, "default/web-node1", stale(true), unready, condition("Ready", "Unknown"), container("running"))
	if got, want := s.Spec.Containers[0], before.Spec.Containers[0]; got.ID != want.ID || got.PID != want.PID {
		t.Errorf("the container is %+v and was %+v", got, want)
	}
	if why := reasonOf(s, "Ready"); why != "KubeletDown" {
		t.Errorf("it is stale because of %q: %+v", why, s.Spec)
	}
	shows(t, e,
		value(0, "staticpod_input_up", "input", "kubelet"), value(1, "staticpod_input_up", "input", "runtime"),
		value(1, "staticpod_stale", "pod", "web-node1"), value(0, "staticpod_ready", "pod", "web-node1"),
		value(none, "staticpod_condition", "pod", "web-node1", "condition", "Ready"),
		value(1, "staticpod_container_state", "pod", "web-node1", "container", "main", "state", "running"))

	// Nobody restarts a container that dies now, and the runtime tells of it.
	if err := syscall.Kill(s.Spec.Containers[0].PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	s = expect(t, e, "default/web-node1", stale(true), unready, container("exited"))
	if exit := s.Spec.Containers[0].LastExit; exit == nil || exit.Code != 137 {
		t.Errorf("how it ended: %+v", exit)
	}

	if err := n.Kubelet.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	expect(t, e, "node", healthy)
	after := expect(t, e, "default/web-node1", ready, container("running"), another(before.Spec.Containers[0]))
	if after.Spec.Pod.UID != before.Spec.Pod.UID {
		t.Errorf("the pod's UID is %s and was %s", after.Spec.Pod.UID, before.Spec.Pod.UID)
	}
	shows(t, e, value(1, "staticpod_input_up", "input", "kubelet"), value(0, "staticpod_stale", "pod", "web-node1"),
		value(1, "staticpod_ready", "pod", "web-node1"), problems(1, "KubeletDown"))
}

// kubeletFrozen is a kubelet that holds its sockets and answers nothing, as one does that waits for a dead disk.
func kubeletFrozen(t *testing.T, n *node.Node) {
	e := observe(t, n, resync)
	expect(t, e, "default/web-node1", ready)
	if err := n.Kubelet.Freeze(); err != nil {
		t.Fatal(err)
	}
	expect(t, e, "node", headline("KubeletDown"))
	expect(t, e, "default/web-node1", stale(true), unready, condition("Ready", "Unknown"), container("running"))
	if err := n.Kubelet.Thaw(); err != nil {
		t.Fatal(err)
	}
	expect(t, e, "node", healthy)
	expect(t, e, "default/web-node1", ready, container("running"))
}

func containerdStopped(t *testing.T, n *node.Node) {
	e := observe(t, n, resync)
	before := expect(t, e, "default/web-node1", ready, container("running"))

	n.Containerd.Kill()
	expect(t, e, "node", unready, headline("RuntimeDown"), problem(exporter.Problem{Reason: "RuntimeDown", Level: "critical"}))
	s := expect(t, e, "default/web-node1", stale(true), unready, container("running"))
	if s.Spec.Containers[0].ID != before.Spec.Containers[0].ID {
		t.Errorf("the container is %+v and was %+v", s.Spec.Containers[0], before.Spec.Containers[0])
	}
	shows(t, e, value(0, "staticpod_input_up", "input", "runtime"), value(1, "staticpod_stale", "pod", "web-node1"), value(0, "staticpod_ready", "pod", "web-node1"))

	if err := n.Containerd.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	expect(t, e, "node", healthy)
	s = expect(t, e, "default/web-node1", ready, container("running"))
	if got, want := s.Spec.Containers[0], before.Spec.Containers[0]; got.ID != want.ID || got.PID != want.PID {
		t.Errorf("the container is %+v and was %+v", got, want)
	}
	shows(t, e, value(1, "staticpod_input_up", "input", "runtime"), value(0, "staticpod_stale", "pod", "web-node1"), problems(1, "RuntimeDown"))
}

// kubeletAlone is an exporter that may not read the runtime's socket, which is as good as being root.
func kubeletAlone(t *testing.T, n *node.Node) {
	e := observe(t, n, "--cri.endpoint=")
	s := expect(t, e, "default/web-node1", ready, phase("Running"), container("running"), condition("Accepted", "True"), condition("Current", "True"))
	if c := s.Spec.Containers[0]; c.ID == "" || c.PID != 0 || !c.Ready {
		t.Errorf("the container, as the kubelet tells it: %+v", c)
	}
	expect(t, e, "node", healthy, sound)
	shows(t, e, value(none, "staticpod_input_up", "input", "runtime"), value(1, "staticpod_ready", "pod", "web-node1"))
}

// runtimeAlone is an exporter without credentials for the kubelet, beside one that has no Pods API.
func runtimeAlone(t *testing.T, n *node.Node) {
	e := observe(t, n, "--kubelet.endpoint=", "--kubelet.pods-socket=")
	s := expect(t, e, "default/web-node1", container("running"), condition("Accepted", "True"), condition("Started", "True"))
	if c := s.Spec.Containers[0]; c.ID == "" || c.PID == 0 || s.Spec.Definition.Source != "file" {
		t.Errorf("the container, as the runtime tells it: %+v of %+v", c, s.Spec.Definition)
	}
	if n.PredictsUIDs() {
		expect(t, e, "default/web-node1", ready, condition("Current", "True"))
	} else {
		// What an older kubelet made of the definition can only be compared with what it says itself.
		expect(t, e, "default/web-node1", unready, condition("Current", "Unknown"), condition("Ready", "Unknown"))
	}
	expect(t, e, "node", healthy, sound)
	shows(t, e, value(none, "staticpod_input_up", "input", "kubelet"))

	// Nor does it need the definitions: then a probe may say what it likes, and nobody knows whether the pod is ready.
	blind := observe(t, n, "--kubelet.endpoint=", "--kubelet.pods-socket=", "--kubelet.manifest-directory=")
	expect(t, blind, "default/web-node1", sound, unready, container("running"), condition("Ready", "Unknown"), condition("Valid", ""))
	if err := syscall.Kill(s.Spec.Containers[0].PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	restarts := s.Spec.Containers[0].RestartCount
	for _, e := range []*exporter.Exporter{e, blind} {
		expect(t, e, "default/web-node1", another(s.Spec.Containers[0]), container("running"), func(s exporter.Status) error {
			if exit := s.Spec.Containers[0].LastExit; s.Spec.Containers[0].RestartCount != restarts+1 || exit == nil || exit.Code != 137 {
				return fmt.Errorf("after it was killed and restarted: %+v, %+v", s.Spec.Containers[0], exit)
			}
			return nil
		})
	}
}

// healthy is the status of a node that is all right. It has no conditions.
func healthy(s exporter.Status) error {
	if !s.Spec.Ready || s.Spec.Stale {
		return fmt.Errorf("it is not ready: %s", s.Spec.Reason)
	}
	return nil
}

func reasonOf(s exporter.Status, name string) string {
	for _, c := range s.Spec.Conditions {
		if c.Type == name {
			return c.Reason
		}
	}
	return ""
}
