package status

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/staticpod-exporter/staticpod-exporter/collector"
	"github.com/staticpod-exporter/staticpod-exporter/collector/kubelet"
	"github.com/staticpod-exporter/staticpod-exporter/collector/kubeletlog"
	"github.com/staticpod-exporter/staticpod-exporter/collector/mirror"
	"github.com/staticpod-exporter/staticpod-exporter/cri"
	"github.com/staticpod-exporter/staticpod-exporter/manifest"
)

// noon is when every scene begins. Everything in it has been well for an hour.
var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

const node = "node1"

// A scene is what the inputs say, for tests: make it, change it, look at it.
type scene struct {
	now         time.Time
	serving     bool
	definitions []*manifest.Definition
	problems    []manifest.Problem
	directory   manifest.Directory
	list        *manifest.List
	address     string // of the manifest listener
	refused     time.Time
	fetches     []manifest.Fetch
	document    *manifest.Document
	pods        []*corev1.Pod
	sandboxes   []cri.Sandbox
	config      *kubelet.Config
	mirror      *mirror.View // what the API server said last
	events      []kubeletlog.Event
	lag         int64
	inputs      map[collector.Input]collector.InputState
	kubeletAt   time.Time // zero: now
	noKubelet   bool      // it has never answered
	noRuntime   bool
	version     string // of the kubelet; "" is v1.37.2
	transport   string // by which it is asked; "" is the Pods API
	polls       bool   // the kubelet fetches all the time
}

// empty is a node in serving mode on which nothing runs.
func empty() *scene {
	s := &scene{now: noon, serving: true, directory: manifest.Directory{Path: "/etc/kubernetes/manifests", State: manifest.DirectoryRead}, inputs: map[collector.Input]collector.InputState{}}
	for _, i := range []collector.Input{collector.InputManifest, collector.InputKubelet, collector.InputRuntime, collector.InputLog} {
		s.inputs[i] = collector.InputState{Input: i, Configured: true, Up: true, Since: noon.Add(-time.Hour), LastSuccess: noon}
	}
	s.serve()
	s.fetch(noon.Add(-5 * time.Second))
	return s
}

// running is a node on which the http definition default/web is served, fetched, and runs well.
func running() *scene {
	s := empty()
	s.define("web", manifest.SourceHTTP)
	s.serve()
	s.fetches = nil
	s.fetch(noon.Add(-50 * time.Minute))
	s.fetch(noon.Add(-5 * time.Second))
	s.run(s.definition("web"))
	return s
}

// observing is a node that is fed by files: default/web runs well.
func observing() *scene {
	s := empty()
	s.serving, s.document, s.fetches = false, nil, nil
	s.define("web", manifest.SourceFile)
	s.run(s.definition("web"))
	return s
}

// define adds a definition of a pod with one container c.
func (s *scene) define(name string, source manifest.Source) *manifest.Definition {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name},
		Spec: corev1.PodSpec{
			Containers:    []corev1.Container{{Name: "c", Image: "registry.example/" + name + ":1"}},
			RestartPolicy: corev1.RestartPolicyAlways,
		},
	}
	d := &manifest.Definition{
		ID: "default-" + name, Namespace: "default", Name: name, Source: source,
		Path: "/etc/staticpods/" + name + ".yaml", Line: 1, Version: 1,
		Created: noon.Add(-time.Hour), Updated: noon.Add(-time.Hour), Changed: noon.Add(-time.Hour), Judged: noon.Add(-time.Hour),
		Hash: digestOf(name + string(source)), UID: uidOf(name + string(source)),
		Served: true, Valid: true, Pod: pod,
	}
	if source == manifest.SourceFile {
		d.Path = "/etc/kubernetes/manifests/" + name + ".yaml"
	}
	s.definitions = append(s.definitions, d)
	return d
}

// broken adds an invalid definition that is not served.
func (s *scene) broken(name string, source manifest.Source, reason manifest.Reason) *manifest.Definition {
	d := s.define(name, source)
	d.Valid, d.Served = false, source == manifest.SourceFile
	d.Problems = []manifest.Problem{{
		Reason: reason, Level: manifest.Critical, Message: "invalid pod: [spec.containers: Required value]",
		Path: d.Path, Line: 4, Field: "spec.containers", Since: noon.Add(-time.Minute),
	}}
	return d
}

func digestOf(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

func uidOf(s string) types.UID { return types.UID(digestOf(s)[:32]) }

// edit returns the definition with new content: another UID and version.
func (s *scene) edit(name string) *manifest.Definition {
	for i, d := range s.definitions {
		if d.Name == name {
			next := *d
			next.Version++
			next.Updated, next.Changed, next.Judged = s.now, s.now.Add(-40*time.Millisecond), s.now
			next.UID, next.Hash = uidOf(string(d.UID)+"edited"), digestOf(d.Hash+"edited")
			s.definitions[i] = &next
			return &next
		}
	}
	panic("no definition " + name)
}

func (s *scene) definition(name string) *manifest.Definition {
	for _, d := range s.definitions {
		if d.Name == name {
			return d
		}
	}
	panic("no definition " + name)
}

// serve makes the document of the served http definitions.
func (s *scene) serve() {
	d := &manifest.Document{At: s.now}
	for _, def := range s.definitions {
		if def.Source == manifest.SourceHTTP && def.Served {
			d.UIDs = append(d.UIDs, def.UID)
			d.Revision += string(def.UID)
		}
	}
	d.Revision = digestOf(d.Revision)
	s.document = d
}

// fetch has the kubelet fetch the document.
func (s *scene) fetch(at time.Time) {
	s.fetches = append(s.fetches, manifest.Fetch{At: at, Revision: s.document.Revision, Code: 200, Kubelet: true})
}

// accept gives the kubelet the definition's pod, with which it has not begun yet.
func (s *scene) accept(d *manifest.Definition) *corev1.Pod {
	pod := d.Pod.DeepCopy()
	pod.Name += "-" + node
	pod.UID = d.UID
	pod.Spec.NodeName = node
	pod.Annotations = map[string]string{
		annotationSource: string(d.Source),
		annotationSeen:   s.now.Add(-50 * time.Minute).Format(time.RFC3339Nano),
	}
	pod.Status.Phase = corev1.PodPending
	s.pods = append(s.pods, pod)
	return pod
}

// run gives the kubelet the definition's pod, running and ready, and the runtime its sandbox.
func (s *scene) run(d *manifest.Definition) *corev1.Pod {
	pod := s.accept(d)
	start := s.now.Add(-50 * time.Minute)
	begun(pod, start)
	pod.Status.Phase = corev1.PodRunning
	ready(pod, corev1.ConditionTrue, start.Add(2*time.Second))
	sb := s.sandbox(pod)
	for _, c := range pod.Spec.Containers {
		id := "id-" + string(pod.UID[:4]) + "-" + c.Name
		pod.Status.ContainerStatuses = append(pod.Status.ContainerStatuses, corev1.ContainerStatus{
			Name: c.Name, Ready: true, ContainerID: "containerd://" + id, Image: c.Image, ImageID: "sha256:1",
			State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(start)}},
		})
		sb.Containers = append(sb.Containers, cri.Container{
			ID: id, Name: c.Name, Image: c.Image, ImageID: "sha256:1", State: cri.Running, PID: 4711,
			Created: start, Started: start,
		})
	}
	return pod
}

// begun has the kubelet begin with the pod.
func begun(pod *corev1.Pod, at time.Time) {
	pod.Status.StartTime = &metav1.Time{Time: at}
	ready(pod, corev1.ConditionFalse, at)
}

// ready sets the pod's Ready condition.
func ready(pod *corev1.Pod, status corev1.ConditionStatus, since time.Time) {
	c := corev1.PodCondition{Type: corev1.PodReady, Status: status, LastTransitionTime: metav1.NewTime(since)}
	if status != corev1.ConditionTrue {
		c.Reason, c.Message = "ContainersNotReady", "containers with unready status: [c]"
	}
	i := slices.IndexFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool { return c.Type == corev1.PodReady })
	if i < 0 {
		pod.Status.Conditions = append(pod.Status.Conditions, c)
		return
	}
	pod.Status.Conditions[i] = c
}

// sandbox gives the runtime a ready sandbox of the pod.
func (s *scene) sandbox(pod *corev1.Pod) *cri.Sandbox {
	s.sandboxes = append(s.sandboxes, cri.Sandbox{
		ID: "sandbox-" + string(pod.UID[:4]), Namespace: pod.Namespace, Name: pod.Name, UID: string(pod.UID),
		Source: pod.Annotations[annotationSource], Ready: true, Created: s.now.Add(-50 * time.Minute),
	})
	return &s.sandboxes[len(s.sandboxes)-1]
}

// pod is a copy of the kubelet's pod, put in its place: what was observed before does not change.
func (s *scene) pod(name string) *corev1.Pod {
	for i, p := range s.pods {
		if strings.TrimSuffix(p.Name, "-"+node) == name {
			s.pods[i] = p.DeepCopy()
			return s.pods[i]
		}
	}
	panic("no pod " + name)
}

// box is the runtime's first sandbox of a pod.
func (s *scene) box(name string) *cri.Sandbox {
	for i := range s.sandboxes {
		if b := &s.sandboxes[i]; strings.TrimSuffix(b.Name, "-"+node) == name {
			b.Containers = slices.Clone(b.Containers)
			return b
		}
	}
	panic("no sandbox " + name)
}

// waiting has the kubelet say that the container c waits, in a pod that is not ready.
func (s *scene) waiting(name, reason, message string) *corev1.ContainerStatus {
	pod := s.pod(name)
	ready(pod, corev1.ConditionFalse, s.now.Add(-10*time.Second))
	if len(pod.Status.ContainerStatuses) == 0 {
		pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "c"}}
	}
	c := &pod.Status.ContainerStatuses[0]
	c.Ready = false
	c.State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}
	for i := range s.sandboxes {
		if s.sandboxes[i].UID == string(pod.UID) {
			s.sandboxes[i].Containers = nil
		}
	}
	return c
}

// exited has kubelet and runtime say that the container c exited.
func (s *scene) exited(name string, code int, reason string, at time.Time) {
	pod := s.pod(name)
	ready(pod, corev1.ConditionFalse, at)
	c := &pod.Status.ContainerStatuses[0]
	c.Ready = false
	c.State = corev1.ContainerState{Terminated: terminated(code, reason, at)}
	r := &s.box(name).Containers[0]
	r.State, r.PID, r.ExitCode, r.Reason, r.Finished = cri.Exited, 0, code, reason, at
}

func terminated(code int, reason string, at time.Time) *corev1.ContainerStateTerminated {
	return &corev1.ContainerStateTerminated{
		ExitCode: int32(code), Reason: reason, StartedAt: metav1.NewTime(at.Add(-10 * time.Second)), FinishedAt: metav1.NewTime(at),
	}
}

// down takes an input down at a time.
func (s *scene) down(name collector.Input, since time.Time, err string) {
	state := s.inputs[name]
	state.Up, state.Since, state.Err = false, since, err
	s.inputs[name] = state
}

func (s *scene) up(name collector.Input, since time.Time) {
	state := s.inputs[name]
	state.Up, state.Since, state.Err = true, since, ""
	s.inputs[name] = state
}

// without makes an input one that is not configured.
func (s *scene) without(name collector.Input) {
	s.inputs[name] = collector.InputState{Input: name}
	switch name {
	case collector.InputKubelet:
		s.noKubelet = true
	case collector.InputRuntime:
		s.noRuntime = true
	}
}

// say has the kubelet log an event.
func (s *scene) say(e kubeletlog.Event) {
	if e.At.IsZero() {
		e.At = s.now
	}
	e.Read = s.now
	s.events = append(s.events, e)
}

// look is the Observation of the scene; events are told once.
func (s *scene) look() *collector.Observation {
	o := &collector.Observation{At: s.now, Log: s.events, LogStats: kubeletlog.Stats{Lag: s.lag}}
	s.events, o.Mirror = nil, s.mirror
	o.Manifest = &manifest.Set{
		Node: node, At: s.now, Serving: s.serving, Definitions: slices.Clone(s.definitions), Problems: s.problems,
		Directory: s.directory, List: s.list, Address: s.address,
		Fetches: manifest.Fetches{Recent: slices.Clone(s.fetches), Unauthorized: s.refused}, LastReload: true,
	}
	if s.serving {
		o.Manifest.Document = s.document
	}
	if !s.noKubelet {
		at := s.kubeletAt
		if at.IsZero() {
			at = s.now
		}
		o.Kubelet = &kubelet.View{At: at, Transport: cmp.Or(s.transport, kubelet.PodsAPI), Pods: slices.Clone(s.pods), Version: cmp.Or(s.version, "v1.37.2"), Config: s.config}
	}
	if !s.noRuntime {
		o.Runtime = &cri.View{At: s.now, Runtime: "containerd", Version: "2.4.2", Sandboxes: slices.Clone(s.sandboxes)}
	}
	for _, i := range []collector.Input{collector.InputManifest, collector.InputKubelet, collector.InputRuntime, collector.InputLog, collector.InputMirror} {
		state := s.inputs[i]
		state.Input = i
		o.Inputs = append(o.Inputs, state)
	}
	return o
}

// after lets time pass.
func (s *scene) after(d time.Duration) *scene {
	s.now = s.now.Add(d)
	if s.polls {
		s.fetch(s.now)
	}
	return s
}

// find returns a status by ID.
func find(t *testing.T, s *Snapshot, id string) *StaticPodStatus {
	t.Helper()
	for _, st := range s.Statuses {
		if st.Metadata.ID == id {
			return st
		}
	}
	var ids []string
	for _, st := range s.Statuses {
		ids = append(ids, st.Metadata.ID)
	}
	t.Fatalf("no status %q, only %q", id, ids)
	return nil
}

// absent fails when there is a status of that ID.
func absent(t *testing.T, s *Snapshot, id string) {
	t.Helper()
	for _, st := range s.Statuses {
		if st.Metadata.ID == id {
			t.Fatalf("status %q: want none, have %+v", id, st.Spec)
		}
	}
}

// reasons are the problems of a status, in order.
func reasons(st *StaticPodStatus) []manifest.Reason {
	all := []manifest.Reason{}
	for _, p := range st.Spec.Problems {
		all = append(all, p.Reason)
	}
	return all
}

// conditionsOf writes the conditions as "Valid=True Ready=False(NotReady)".
func conditionsOf(st *StaticPodStatus) string {
	var all []string
	for _, c := range st.Spec.Conditions {
		text := string(c.Type) + "=" + string(c.Status)
		if c.Status != True {
			text += "(" + c.Reason + ")"
		}
		all = append(all, text)
	}
	return strings.Join(all, " ")
}
