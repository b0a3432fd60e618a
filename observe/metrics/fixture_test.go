package metrics

import (
	"fmt"
	"strings"
	"time"

	"github.com/staticpod-exporter/staticpod-exporter/collector"
	"github.com/staticpod-exporter/staticpod-exporter/collector/kubeletlog"
	"github.com/staticpod-exporter/staticpod-exporter/collector/status"
	"github.com/staticpod-exporter/staticpod-exporter/manifest"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func at(minutes int) time.Time { return noon.Add(time.Duration(minutes) * time.Minute) }

// sick is a node on which every family has something to say.
func sick() *status.Snapshot {
	broken := []manifest.Problem{
		{Reason: manifest.ManifestInvalid, Level: manifest.Critical, Message: "spec.containers: Required value", Path: "/etc/pods/broken.yaml", Line: 4, Field: "spec.containers", Since: at(3)},
		{Reason: manifest.UnknownField, Level: manifest.Warning, Path: "/etc/pods/broken.yaml", Line: 9, Field: "spec.containerz", Since: at(5)},
		{Reason: manifest.UnknownField, Level: manifest.Warning, Path: "/etc/pods/broken.yaml", Line: 5, Field: "spec.hostNetwrk", Since: at(2)},
	}
	malformed := []manifest.Problem{
		{Reason: manifest.ManifestMalformed, Level: manifest.Critical, Path: "/etc/kubernetes/manifests/\"odd\\\n.yaml", Line: 1, Since: at(1)},
	}
	set := &manifest.Set{
		Node: "node1", Serving: true, LastReload: true,
		Rejections: map[string]uint64{"validation": 2},
		Fetches: manifest.Fetches{
			Recent: []manifest.Fetch{{At: at(7), Code: 200, Kubelet: true}, {At: at(8), Code: 200, Kubelet: true}},
			ByCode: map[int]uint64{200: 21, 404: 1},
		},
	}
	inputs := []collector.InputState{
		{Input: collector.InputManifest, Configured: true, Up: true, LastSuccess: at(9), Duration: 2 * time.Millisecond},
		{Input: collector.InputKubelet, Configured: true, Up: true, LastSuccess: at(9), Duration: 1500 * time.Microsecond},
		{Input: collector.InputRuntime, Configured: true, Up: true, LastSuccess: at(9), Duration: 3 * time.Millisecond},
		{Input: collector.InputLog, Configured: true, Up: false},
		{Input: collector.InputMirror},
	}
	return &status.Snapshot{
		Node: "node1", At: at(10),
		Pods: []*status.StaticPod{
			{
				Metadata: status.Metadata{ID: "default-broken", Version: 4, Updated: at(3)},
				Spec:     status.StaticPodSpec{Namespace: "default", Name: "broken", Source: manifest.SourceHTTP, Path: "/etc/pods/broken.yaml", Line: 1, Problems: broken},
			},
			{
				Metadata: status.Metadata{ID: "default-nginx", Version: 1, Updated: at(0)},
				Spec:     status.StaticPodSpec{Namespace: "default", Name: "nginx", Source: manifest.SourceHTTP, Path: "/etc/pods/nginx.yaml", Line: 1, Valid: true, Served: true},
			},
			{
				Metadata: status.Metadata{ID: "file:/etc/kubernetes/manifests/\"odd\\\n.yaml"},
				Spec:     status.StaticPodSpec{Source: manifest.SourceFile, Path: "/etc/kubernetes/manifests/\"odd\\\n.yaml", Problems: malformed},
			},
		},
		Statuses: []*status.StaticPodStatus{
			{
				Metadata: status.Metadata{ID: "default/broken-node1", Version: 2, Updated: at(3)},
				Spec: status.StatusSpec{
					Pod:        status.PodRef{Namespace: "default", Name: "broken-node1"},
					Definition: status.DefinitionRef{ID: "default-broken", Version: 4, Source: manifest.SourceHTTP},
					Conditions: []status.Condition{{Type: status.Valid, Status: status.False}, {Type: status.Ready, Status: status.Unknown}},
					Problems:   broken,
				},
			},
			{
				Metadata: status.Metadata{ID: "default/nginx-node1", Version: 7, Updated: at(6)},
				Spec: status.StatusSpec{
					Pod:        status.PodRef{Namespace: "default", Name: "nginx-node1", UID: "0f1e2d", MirrorUID: "a1b2c3"},
					Definition: status.DefinitionRef{ID: "default-nginx", Version: 1, Source: manifest.SourceHTTP},
					Ready:      true, Phase: "Running", Stale: true,
					Conditions: []status.Condition{
						{Type: status.Valid, Status: status.True}, {Type: status.Fetched, Status: status.True},
						{Type: status.Accepted, Status: status.True}, {Type: status.Started, Status: status.True},
						{Type: status.Ready, Status: status.True}, {Type: status.Current, Status: status.True},
						{Type: status.Mirrored, Status: status.True},
					},
					Problems: []manifest.Problem{
						{Reason: "CrashLoopBackOff", Level: manifest.Critical, Message: "back-off 10s", Since: at(6)},
					},
					Containers: []status.ContainerStatus{
						{Name: "setup", Kind: status.KindInit, Image: "busybox:1", ImageID: "sha256:1", ID: "c1", State: "exited", Ready: true, LastExit: &status.Exit{Code: 0, At: at(1)}},
						{Name: "nginx", Kind: status.KindApp, Image: "nginx:1", ImageID: "sha256:2", ID: "c2", State: "running", RestartCount: 3, LastExit: &status.Exit{Code: 7, At: at(6)}},
					},
				},
			},
			{
				Metadata: status.Metadata{ID: "file:/etc/kubernetes/manifests/\"odd\\\n.yaml", Version: 1},
				Spec: status.StatusSpec{
					Definition: status.DefinitionRef{ID: "file:/etc/kubernetes/manifests/\"odd\\\n.yaml", Source: manifest.SourceFile},
					Problems:   malformed,
				},
			},
			{
				Metadata: status.Metadata{ID: status.NodeID, Version: 1},
				Spec: status.StatusSpec{
					Problems: []manifest.Problem{{Reason: "LogUnavailable", Level: manifest.Warning, Since: at(0)}},
				},
			},
		},
		Inputs:        inputs,
		ProblemsTotal: map[manifest.Reason]uint64{manifest.ManifestInvalid: 2, manifest.UnknownField: 1},
		Info:          status.NodeInfo{Node: "node1", KubeletVersion: "v1.37.2", Runtime: "containerd", RuntimeVersion: "2.4.2", Mode: "serving"},
		Observation: &collector.Observation{
			Manifest: set, Inputs: inputs,
			LogStats: kubeletlog.Stats{Lines: 1000, Bytes: 200000, Events: 12, Gaps: 1, Lag: 512},
		},
	}
}

// crowd is a node with n pods of one container each: about 20 series a pod.
func crowd(n int) *status.Snapshot {
	s := sick()
	s.Pods, s.Statuses = nil, nil
	for i := range n {
		name := fmt.Sprintf("pod-%04d", i)
		s.Pods = append(s.Pods, &status.StaticPod{
			Metadata: status.Metadata{ID: "kube-system-" + name, Version: 1, Updated: at(i)},
			Spec:     status.StaticPodSpec{Namespace: "kube-system", Name: name, Source: manifest.SourceHTTP, Path: "/etc/pods/" + name + ".yaml", Valid: true, Served: true},
		})
		s.Statuses = append(s.Statuses, member(name, 1))
	}
	return s
}

// member is one pod of a crowd, with everything a healthy pod can have.
func member(name string, version uint64) *status.StaticPodStatus {
	return &status.StaticPodStatus{
		Metadata: status.Metadata{ID: "kube-system/" + name + "-node1", Version: version, Updated: at(0)},
		Spec: status.StatusSpec{
			Pod:        status.PodRef{Namespace: "kube-system", Name: name + "-node1", UID: "uid-" + name, MirrorUID: "mirror-" + name},
			Definition: status.DefinitionRef{ID: "kube-system-" + name, Source: manifest.SourceHTTP},
			Ready:      true, Phase: "Running",
			Conditions: []status.Condition{
				{Type: status.Valid, Status: status.True}, {Type: status.Accepted, Status: status.True},
				{Type: status.Ready, Status: status.True}, {Type: status.Current, Status: status.False},
				{Type: status.Fetched, Status: status.True}, {Type: status.Started, Status: status.True},
				{Type: status.Mirrored, Status: status.True},
			},
			Containers: []status.ContainerStatus{{
				Name: "app", Kind: status.KindApp, Image: "app:1", ImageID: "sha256:" + name, ID: "id-" + name, State: "running",
				Ready: true, RestartCount: 1, LastExit: &status.Exit{Code: 1, At: at(1)},
			}},
		},
	}
}

// ugly is a node that tries to break the exposition: bytes that are not UTF-8, look-alikes, unknown times, and
// an author who misspells without end.
func ugly() *status.Snapshot {
	const id = "default-\xff"
	var many []manifest.Problem
	for i := range 1000 {
		many = append(many, manifest.Problem{Reason: manifest.UnknownField, Level: manifest.Warning, Path: "/p\xfe", Line: i / 2, Field: strings.Repeat("é", 1000), Since: at(-i)})
	}
	twice := status.ContainerStatus{Name: "app\xff", State: "exited", LastExit: &status.Exit{}}
	s := &status.Snapshot{
		Node: "node1", At: at(10),
		Pods: []*status.StaticPod{
			{Metadata: status.Metadata{ID: id}, Spec: status.StaticPodSpec{Name: "a", Namespace: "default", Source: "\xff", Problems: many}},
			{Metadata: status.Metadata{ID: "default-a~2"}, Spec: status.StaticPodSpec{Name: "a", Namespace: "default", Problems: append(many[:1:1], manifest.Problem{Reason: manifest.DuplicateName})}},
		},
		Statuses: []*status.StaticPodStatus{{Spec: status.StatusSpec{
			Pod:        status.PodRef{Namespace: "default", Name: "a-node1"},
			Definition: status.DefinitionRef{ID: id},
			Problems:   many,
			Containers: []status.ContainerStatus{twice, twice},
		}}},
		ProblemsTotal: map[manifest.Reason]uint64{},
	}
	return s
}
