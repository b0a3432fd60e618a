package mirror

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"github.com/staticpod-exporter/staticpod-exporter/e2e/await"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/exporter"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/node"
)

// The exporter asks as the node itself, with the kubelet's own kubeconfig, as which it may see the node's pods alone.
func TestMirrors(t *testing.T) {
	n, e, api := cluster(t)
	write(t, n, "web.yaml", pod("web", "sleep", "1h"))
	t.Run("a pod and its mirror", func(t *testing.T) { seen(t, e, api) })
	t.Run("without an API server", func(t *testing.T) { apiServerKilled(t, n, e, api) })
	t.Run("a kubelet that starts without an API server", func(t *testing.T) { kubeletAlone(t, n, e) })
	t.Run("an edit that the kubelet ignores", func(t *testing.T) { edited(t, n, e, api) })
}

// cluster starts a node with an API server, and an exporter that asks as the node itself. The tests wait for the kubelet
// most of the time, so each has a node of its own and they wait at once.
func cluster(t *testing.T) (*node.Node, *exporter.Exporter, *kubernetes.Clientset) {
	t.Helper()
	t.Parallel()
	n := start(t, node.Options{Cluster: true})
	return n, observe(t, n, "--mirror.kubeconfig="+n.Cluster.KubeletKubeconfig()), admin(t, n)
}

func seen(t *testing.T, e *exporter.Exporter, api *kubernetes.Clientset) {
	s := expect(t, e, "default/web-node1", ready, sound, mirrored("True", ""))
	mirror := mirrorOf(t, api, "default", "web-node1")
	if s.Spec.Pod.MirrorUID != string(mirror.UID) || s.Spec.Pod.UID != mirror.Annotations["kubernetes.io/config.hash"] {
		t.Errorf("the mirror of %s is %s; the API server has %s of %v", s.Spec.Pod.UID, s.Spec.Pod.MirrorUID, mirror.UID, mirror.Annotations)
	}
	shows(t, e, 1, "staticpod_mirror_info", "pod", "web-node1", "uid", s.Spec.Pod.UID, "mirror_uid", string(mirror.UID))
	shows(t, e, 1, "staticpod_input_up", "input", "mirror")
	expect(t, e, "node", sound)
}

// An API server that is gone takes nothing with it but what only it can tell.
func apiServerKilled(t *testing.T, n *node.Node, e *exporter.Exporter, api *kubernetes.Clientset) {
	before := expect(t, e, "default/web-node1", ready, mirrored("True", ""))
	n.Cluster.APIServer.Kill()
	expect(t, e, "node", problem("MirrorUnavailable", "", "connection refused"))
	s := expect(t, e, "default/web-node1", ready, sound, mirrored("Unknown", "MirrorUnavailable"))
	if s.Spec.Pod.MirrorUID != before.Spec.Pod.MirrorUID {
		t.Errorf("the last known mirror is %q and was %q", s.Spec.Pod.MirrorUID, before.Spec.Pod.MirrorUID)
	}
	shows(t, e, 0, "staticpod_input_up", "input", "mirror")
	shows(t, e, 1, "staticpod_mirror_info", "pod", "web-node1")
	shows(t, e, 0, "staticpod_stale", "pod", "web-node1")

	write(t, n, "broken.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {name: broken}\nspec: {containers: [{name: A, image: x}]}\n")
	expect(t, e, "default/broken-node1", named("ManifestInvalid"))
	write(t, n, "crash.yaml", pod("crash", "exit", "7"))
	expect(t, e, "default/crash-node1", named("CrashLoopBackOff"), mirrored("Unknown", "MirrorUnavailable"), without("MirrorMissing"))
	write(t, n, "late.yaml", pod("late", "sleep", "1h"))
	expect(t, e, "default/late-node1", ready, sound, mirrored("Unknown", "MirrorUnavailable"))

	if err := n.Cluster.APIServer.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	expect(t, e, "node", sound)
	after := expect(t, e, "default/web-node1", ready, sound, mirrored("True", ""))
	if after.Spec.Pod != before.Spec.Pod {
		t.Errorf("the pod is %+v and was %+v", after.Spec.Pod, before.Spec.Pod)
	}
	late := expect(t, e, "default/late-node1", ready, sound, mirrored("True", ""))
	if uid := mirrorOf(t, api, "default", "late-node1").UID; late.Spec.Pod.MirrorUID != string(uid) {
		t.Errorf("its mirror is %s, not %s", late.Spec.Pod.MirrorUID, uid)
	}
	shows(t, e, 1, "staticpod_input_up", "input", "mirror")
	shows(t, e, 0, "staticpod_problems_total", "reason", "MirrorMissing")
}

// The kubelet cannot know which pods the API server has for it: it cleans nothing up.
func kubeletAlone(t *testing.T, n *node.Node, e *exporter.Exporter) {
	n.Cluster.APIServer.Kill()
	n.Kubelet.Kill()
	if err := n.Kubelet.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	expect(t, e, "node", named("KubeletSourcesNotReady"), named("MirrorUnavailable"), without("KubeletDown"))
	expect(t, e, "default/web-node1", ready, sound, mirrored("Unknown", "MirrorUnavailable"))
	if err := n.Cluster.APIServer.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	expect(t, e, "node", sound)
	expect(t, e, "default/web-node1", ready, sound, mirrored("True", ""))
}

// An image may be changed in the API server, and nothing comes of it.
func edited(t *testing.T, n *node.Node, e *exporter.Exporter, api *kubernetes.Clientset) {
	before := expect(t, e, "default/web-node1", ready, mirrored("True", ""))
	patch := []byte(`{"spec":{"containers":[{"name":"main","image":"staticpod.test/other:1"}]}}`)
	must[*corev1.Pod](t)(api.CoreV1().Pods("default").Patch(t.Context(), "web-node1", types.StrategicMergePatchType, patch, metav1.PatchOptions{}))
	s := expect(t, e, "default/web-node1", ready, mirrored("True", ""), problem("MirrorStale", "Edited"))
	if s.Spec.Containers[0].Image != before.Spec.Containers[0].Image || s.Spec.Containers[0].ID != before.Spec.Containers[0].ID {
		t.Errorf("the container is %+v", s.Spec.Containers[0])
	}
	if err := api.CoreV1().Pods("default").Delete(t.Context(), "web-node1", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	s = expect(t, e, "default/web-node1", ready, sound, mirrored("True", ""), func(s exporter.Status) error {
		if s.Spec.Pod.MirrorUID == before.Spec.Pod.MirrorUID {
			return fmt.Errorf("the mirror is still %s", before.Spec.Pod.MirrorUID)
		}
		return nil
	})
	if c := s.Spec.Containers[0]; c.ID != before.Spec.Containers[0].ID {
		t.Errorf("a mirror that was deleted took the container with it: %+v", c)
	}
}

// A kubelet that stands still mends nothing, and the API server shows what is not.
func TestKubeletFrozen(t *testing.T) {
	n, e, api := cluster(t)
	for _, name := range []string{"gone", "going", "other"} {
		write(t, n, name+".yaml", pod(name, "sleep", "1h"))
	}
	for _, name := range []string{"gone", "going", "other"} {
		expect(t, e, "default/"+name+"-node1", ready, sound, mirrored("True", ""))
	}
	if err := n.Kubelet.Freeze(); err != nil {
		t.Fatal(err)
	}
	pods := api.CoreV1().Pods("default")
	deletion := func(name string, seconds int64) {
		t.Helper()
		if err := pods.Delete(t.Context(), name, metav1.DeleteOptions{GracePeriodSeconds: &seconds}); err != nil {
			t.Fatal(err)
		}
	}
	other := mirrorOf(t, api, "default", "other-node1")
	deletion("gone-node1", 0)
	deletion("going-node1", 1)
	deletion("other-node1", 0)
	another := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "other-node1", Annotations: other.Annotations}, Spec: other.Spec}
	another.Annotations["kubernetes.io/config.mirror"] = "0123456789abcdef0123456789abcdef"
	must[*corev1.Pod](t)(pods.Create(t.Context(), another, metav1.CreateOptions{}))

	const frozen = "the kubelet does not answer"
	expect(t, e, "default/gone-node1", mirrored("False", "MirrorMissing"), problem("MirrorMissing", "", frozen))
	expect(t, e, "default/other-node1", mirrored("False", "MirrorStale"), problem("MirrorStale", "OtherRevision", frozen, "0123456789abcdef"))
	expect(t, e, "default/going-node1", mirrored("False", "MirrorStale"), problem("MirrorStale", "Terminating", frozen))
	if err := n.Kubelet.Thaw(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"gone-node1", "going-node1", "other-node1"} {
		s := expect(t, e, "default/"+name, ready, sound, mirrored("True", ""))
		if uid := mirrorOf(t, api, "default", name).UID; s.Spec.Pod.MirrorUID != string(uid) {
			t.Errorf("the mirror of %s is %s, not %s", name, s.Spec.Pod.MirrorUID, uid)
		}
	}
	shows(t, e, 1, "staticpod_problems_total", "reason", "MirrorMissing")
}

// A node that was deleted has no mirrors of pods that come after that, until its kubelet starts anew.
func TestNodeDeleted(t *testing.T) {
	n, e, api := cluster(t)
	write(t, n, "web.yaml", pod("web", "sleep", "1h"))
	expect(t, e, "default/web-node1", ready, sound, mirrored("True", ""))
	if err := api.CoreV1().Nodes().Delete(t.Context(), "node1", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	write(t, n, "late.yaml", pod("late", "sleep", "1h"))
	expect(t, e, "default/late-node1", mirrored("False", "MirrorMissing"), problem("MirrorMissing", ""))
	expect(t, e, "node", problem("NodeUnregistered", "", `"node1" not found`))
	n.Kubelet.Stop(t.Context())
	if err := n.Kubelet.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	expect(t, e, "default/late-node1", ready, sound, mirrored("True", ""))
	expect(t, e, "node", sound)
}

// A kubelet that stands alone says for ever that it creates mirror pods, and nobody misses them.
func TestAlone(t *testing.T) {
	t.Parallel()
	n := start(t, node.Options{})
	e := observe(t, n)
	write(t, n, "web.yaml", pod("web", "sleep", "1h"))
	expect(t, e, "default/web-node1", ready, sound, mirrored("", ""))
	await.Nil(t, "what the kubelet says", func(context.Context) error {
		if !strings.Contains(n.KubeletLog().Tail(64<<10), "Creating a mirror pod for static pod") {
			return errors.New("it does not say that it creates one")
		}
		return nil
	})
	await.Always(t, 10*time.Second, "a pod without a mirror", func(ctx context.Context) error {
		statuses, err := e.Statuses(ctx)
		if err != nil {
			return err
		}
		for _, id := range []string{"node", "default/web-node1"} {
			if err := sound(statuses[id]); err != nil {
				return fmt.Errorf("%s: %w", id, err)
			}
		}
		return nil
	})
}
