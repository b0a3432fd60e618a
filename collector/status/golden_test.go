package status

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/staticpod-exporter/staticpod-exporter/collector"
	"github.com/staticpod-exporter/staticpod-exporter/collector/kubeletlog"
	"github.com/staticpod-exporter/staticpod-exporter/cri"
	"github.com/staticpod-exporter/staticpod-exporter/manifest"
)

var update = flag.Bool("update", false, "write the golden files anew")

// rich is a node on which about everything happens at once.
func rich() *story {
	s := running()
	web := s.pod("web")
	web.Spec.InitContainers = []corev1.Container{
		{Name: "setup", Image: "registry.example/setup:1"},
		{Name: "proxy", Image: "registry.example/proxy:1", RestartPolicy: new(corev1.ContainerRestartPolicyAlways)},
	}
	web.Status.InitContainerStatuses = []corev1.ContainerStatus{
		{Name: "setup", ContainerID: "containerd://id-setup", State: corev1.ContainerState{Terminated: terminated(0, "Completed", noon.Add(-50*time.Minute))}},
		{Name: "proxy", ContainerID: "containerd://id-proxy", Ready: true, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(noon.Add(-50 * time.Minute))}}},
	}
	web.Status.ContainerStatuses[0].RestartCount = 1
	web.Status.ContainerStatuses[0].LastTerminationState.Terminated = terminated(137, "OOMKilled", noon.Add(-5*time.Minute))
	s.definition("web").Problems = []manifest.Problem{{Reason: manifest.UnknownField, Level: manifest.Warning,
		Message: `unknown field "spec.containerz"`, Path: s.definition("web").Path, Line: 7, Column: 3, Field: "spec.containerz", Since: noon.Add(-time.Hour)}}

	s.run(s.define("pull", manifest.SourceHTTP))
	s.waiting("pull", "ImagePullBackOff", `Back-off pulling image "registry.example/pull:1"`)
	s.run(s.define("crash", manifest.SourceHTTP))
	crash := s.waiting("crash", "CrashLoopBackOff", "back-off 5m0s restarting failed container=c")
	crash.RestartCount = 9
	crash.LastTerminationState.Terminated = terminated(1, "Error", noon.Add(-8*time.Second))
	s.run(s.define("port", manifest.SourceHTTP))
	s.pod("port").Status = corev1.PodStatus{Phase: corev1.PodFailed, Reason: "NodePorts", Message: "Pod was rejected: Predicate NodePorts failed"}
	s.sandboxes = s.sandboxes[:3]
	s.broken("bad", manifest.SourceHTTP, manifest.ManifestInvalid)
	torn := s.broken("torn", manifest.SourceHTTP, manifest.ManifestMalformed)
	torn.ID, torn.Name, torn.Namespace, torn.UID, torn.Pod, torn.Hash = "file:"+torn.Path, "", "", "", nil, ""
	s.run(s.define("agent", manifest.SourceFile))
	s.sandboxes = append(s.sandboxes, cri.Sandbox{ID: "foreign", Namespace: "kube-system", Name: "ghost-node1", UID: "ghost", Source: "file", Ready: true, Created: noon.Add(-time.Hour)})
	s.serve()
	s.fetches = nil
	s.fetch(noon.Add(-50 * time.Minute))
	s.fetch(noon.Add(-time.Second))

	s.say(kubeletlog.Event{Kind: kubeletlog.ManifestRefused, At: noon.Add(-3 * time.Second), Path: "/host/manifests/stray.bak", Message: "invalid pod: [metadata.name: Required value]"})
	s.down(collector.InputLog, noon.Add(-time.Second), "open /var/log/kubelet.log: permission denied")
	return &story{scene: s}
}

func TestGolden(t *testing.T) {
	s := rich()
	s.t = t
	s.then(0)
	s.exited("agent", 2, "Error", noon.Add(2*time.Second))
	s.then(3 * time.Second)
	have := append([]byte(wire(t, s.last)), '\n')
	path := filepath.Join("testdata", "snapshot.json")
	if *update {
		if err := os.WriteFile(path, have, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(have, want) {
		t.Errorf("the wire form changed; go test -update writes it anew\n%s", cmp.Diff(string(want), string(have)))
	}
}
