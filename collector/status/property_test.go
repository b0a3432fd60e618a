package status

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
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

// wire is all of a Snapshot that anybody sees.
func wire(t testing.TB, s *Snapshot) string {
	t.Helper()
	data, err := json.MarshalIndent(struct {
		Node     string
		At       time.Time
		Pods     []*StaticPod
		Statuses []*StaticPodStatus
		Total    map[manifest.Reason]uint64
		Info     NodeInfo
		Verdict  manifest.Verdict
	}{s.Node, s.At, s.Pods, s.Statuses, s.ProblemsTotal, s.Info, s.Verdict}, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// A fate changes a scene at random.
type fate struct {
	*rand.Rand
	s *scene
	n int
}

func (f *fate) chance(percent int) bool { return f.IntN(100) < percent }

func (f *fate) one(of ...string) string { return of[f.IntN(len(of))] }

// strike does one thing to the scene.
func (f *fate) strike() string {
	s := f.s
	switch f.IntN(14) {
	case 0:
		f.n++
		source := manifest.Source(f.one("http", "file"))
		d := s.define(fmt.Sprintf("p%d", f.n), source)
		s.serve()
		if f.chance(80) {
			s.run(d)
		}
		return "define"
	case 1:
		f.n++
		s.broken(fmt.Sprintf("p%d", f.n), manifest.Source(f.one("http", "file")), manifest.ManifestInvalid)
		return "break"
	case 2:
		if len(s.definitions) > 0 {
			s.edit(s.definitions[f.IntN(len(s.definitions))].Name)
			s.serve()
		}
		return "edit"
	case 3:
		if len(s.definitions) > 0 {
			i := f.IntN(len(s.definitions))
			s.definitions = slices.Delete(slices.Clone(s.definitions), i, i+1)
			s.serve()
		}
		return "remove"
	case 4:
		s.fetch(s.now)
		return "fetch"
	case 5:
		for _, d := range s.definitions {
			if d.Valid && !slices.ContainsFunc(s.pods, func(p *corev1.Pod) bool { return p.UID == d.UID }) && f.chance(50) {
				s.accept(d)
			}
		}
		return "accept"
	case 6:
		if len(s.pods) > 0 {
			i := f.IntN(len(s.pods))
			s.pods = slices.Delete(slices.Clone(s.pods), i, i+1)
		}
		return "lose"
	case 7:
		if len(s.sandboxes) > 0 {
			i := f.IntN(len(s.sandboxes))
			s.sandboxes = slices.Clone(s.sandboxes)
			if f.chance(50) {
				s.sandboxes[i].Ready = !s.sandboxes[i].Ready
			} else {
				s.sandboxes = slices.Delete(s.sandboxes, i, i+1)
			}
		}
		return "sandbox"
	case 8, 9:
		f.container()
		return "container"
	case 10:
		name := collector.Input(f.one("kubelet", "runtime", "log"))
		if s.inputs[name].Up {
			s.down(name, s.now, "gone")
		} else {
			s.up(name, s.now)
		}
		return "input"
	case 11:
		s.kubeletAt = s.now
		if f.chance(50) {
			s.kubeletAt = time.Time{}
		}
		return "view"
	default:
		f.line()
		return "line"
	}
}

// container changes how the first container of a pod is.
func (f *fate) container() {
	s := f.s
	if len(s.pods) == 0 {
		return
	}
	i := f.IntN(len(s.pods))
	pod := s.pods[i].DeepCopy()
	s.pods[i] = pod
	status := corev1.ContainerStatus{Name: "c", ContainerID: "containerd://x", RestartCount: int32(f.IntN(3))}
	switch f.IntN(4) {
	case 0:
		status.State.Waiting = &corev1.ContainerStateWaiting{Reason: f.one("ContainerCreating", "ErrImagePull", "ImagePullBackOff", "CrashLoopBackOff", "RunContainerError", "CreateContainerConfigError")}
	case 1:
		status.State.Terminated = terminated(f.IntN(3), f.one("Error", "OOMKilled", "StartError", "Completed"), s.now)
	default:
		status.State.Running = &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(s.now)}
		status.Ready = true
	}
	if f.chance(50) {
		status.LastTerminationState.Terminated = terminated(f.IntN(3), f.one("Error", "OOMKilled", "StartError"), s.now.Add(-time.Minute))
	}
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{status}
	if f.chance(30) {
		probe := &corev1.Probe{PeriodSeconds: int32(f.IntN(20)), FailureThreshold: int32(1 + f.IntN(3)), SuccessThreshold: 1}
		c := &pod.Spec.Containers[0]
		c.StartupProbe, c.LivenessProbe = probe, probe
		pod.Status.ContainerStatuses[0].Started = new(f.chance(50))
	}
	if f.chance(50) {
		pod.Status.Phase = corev1.PodPhase(f.one("Pending", "Running", "Failed", "Succeeded"))
		pod.Spec.RestartPolicy = corev1.RestartPolicy(f.one("Always", "OnFailure", "Never"))
		begun(pod, s.now)
		if status.Ready {
			ready(pod, corev1.ConditionTrue, s.now)
		}
	}
	s.sandboxes = slices.Clone(s.sandboxes)
	for j := range s.sandboxes {
		if b := &s.sandboxes[j]; b.UID == string(pod.UID) && f.chance(70) {
			b.Containers = append(slices.Clone(b.Containers), cri.Container{
				ID: fmt.Sprintf("c%d", s.now.UnixNano()), Name: f.one("c", "d"), State: cri.State(f.one("running", "exited", "created")),
				Created: s.now, Started: s.now, ExitCode: f.IntN(2), Finished: s.now.Add(time.Second),
			})
		}
	}
}

// line has the kubelet log something.
func (f *fate) line() {
	s := f.s
	e := kubeletlog.Event{Message: f.one("network is not ready: x", "unmounted volumes=[s]", "other"), At: s.now.Add(-time.Duration(f.IntN(60)) * time.Second)}
	e.Kind = kubeletlog.Kind(f.one("ManifestRefused", "URLRefused", "URLRead", "AdmissionDenied", "SyncFailed", "VolumeFailed", "KubeletStarted",
		"ProbeFailed", "ProbeKills", "PullBegun", "PullEnded", "KillFailed", "NameDuplicate", "PriorityIncomplete"))
	switch e.Kind {
	case kubeletlog.ManifestRefused:
		e.Path = fmt.Sprintf("/host/p%d.yaml", f.IntN(f.n+1))
	case kubeletlog.AdmissionDenied, kubeletlog.SyncFailed, kubeletlog.VolumeFailed:
		if len(s.pods) > 0 {
			e.UID = string(s.pods[f.IntN(len(s.pods))].UID)
		}
		if f.chance(50) {
			e.Failures = []kubeletlog.Failure{{Action: "StartContainer", Target: "c", Reason: f.one("ErrImagePull", "CrashLoopBackOff", "RunContainerError", "PostStartHookError", "KillContainerError", "RemoveContainerError"), Message: "m"}}
		}
		e.Reason = "NodePorts"
	case kubeletlog.ProbeFailed, kubeletlog.ProbeKills, kubeletlog.PullBegun, kubeletlog.PullEnded, kubeletlog.KillFailed,
		kubeletlog.NameDuplicate, kubeletlog.PriorityIncomplete:
		if len(s.pods) > 0 {
			p := s.pods[f.IntN(len(s.pods))]
			e.Namespace, e.Pod, e.Container = p.Namespace, p.Name, "c"
		}
		e.Reason = f.one("Liveness", "Startup", "Readiness", "http")
	}
	s.say(e)
}

// shuffled is the same observation in another order.
func (f *fate) shuffled(o *collector.Observation) *collector.Observation {
	p := *o
	if o.Manifest != nil {
		set := *o.Manifest
		set.Definitions = slices.Clone(set.Definitions)
		f.Shuffle(len(set.Definitions), func(i, j int) { set.Definitions[i], set.Definitions[j] = set.Definitions[j], set.Definitions[i] })
		p.Manifest = &set
	}
	if o.Kubelet != nil {
		view := *o.Kubelet
		view.Pods = slices.Clone(view.Pods)
		f.Shuffle(len(view.Pods), func(i, j int) { view.Pods[i], view.Pods[j] = view.Pods[j], view.Pods[i] })
		p.Kubelet = &view
	}
	if o.Runtime != nil {
		view := *o.Runtime
		view.Sandboxes = slices.Clone(view.Sandboxes)
		f.Shuffle(len(view.Sandboxes), func(i, j int) {
			view.Sandboxes[i], view.Sandboxes[j] = view.Sandboxes[j], view.Sandboxes[i]
		})
		p.Runtime = &view
	}
	p.Inputs = slices.Clone(o.Inputs)
	slices.Reverse(p.Inputs)
	return &p
}

// TestDeriveIsPure tells random stories and asks of every step: the same again gives the same, nothing that
// went in is changed, the order of what goes in does not matter, and what was not looked at again because
// nothing had changed is what looking again would have given.
func TestDeriveIsPure(t *testing.T) {
	for seed := range uint64(50) {
		f := &fate{Rand: rand.New(rand.NewPCG(seed, 7)), s: running()}
		f.s.serving = seed%3 != 0
		var prev *Snapshot
		var told []string
		for step := range 40 {
			for range f.IntN(3) {
				told = append(told, f.strike())
			}
			f.s.after(time.Duration(f.IntN(45000)) * time.Millisecond)
			o := f.s.look()
			before, observed := "", marshal(t, o)
			if prev != nil {
				before = wire(t, prev) + remembered(t, prev)
			}
			next := Derive(prev, o)
			want := wire(t, next)
			fail := func(what string, have string) {
				t.Helper()
				t.Fatalf("seed %d, step %d (%s): %s\n%s", seed, step, strings.Join(told, " "), what, cmp.Diff(want, have))
			}
			if have := wire(t, Derive(prev, o)); have != want {
				fail("the same again gives something else", have)
			}
			if have := wire(t, Derive(prev, f.shuffled(o))); have != want {
				fail("the order of the inputs matters", have)
			}
			if prev != nil {
				forgetful := *prev
				m := &forgetful.memory // so that every pod is looked at again
				m.world.node, m.view, m.podByKey, m.runtime, m.sandboxIDs, m.definitions = "elsewhere", nil, nil, nil, nil, nil
				if have := wire(t, Derive(&forgetful, o)); have != want {
					fail("looking again gives something else", have)
				}
				if wire(t, prev)+remembered(t, prev) != before {
					t.Fatalf("seed %d, step %d: the snapshot before was changed", seed, step)
				}
			}
			if marshal(t, o) != observed {
				t.Fatalf("seed %d, step %d: the observation was changed", seed, step)
			}
			sound(t, next)
			prev = next
		}
	}
}

// reborn is what another process makes of what this one saved.
func reborn(t testing.TB, s *Snapshot) *Snapshot {
	t.Helper()
	path := filepath.Join(t.TempDir(), "status.json")
	old, next := NewTracker(Limits{}), NewTracker(Limits{})
	old.latest.Store(s)
	if err := old.Save(path); err != nil {
		t.Fatal(err)
	}
	if err := next.Restore(path); err != nil {
		t.Fatal(err)
	}
	return next.restored
}

// onsets counts what began from one Snapshot to the next.
func onsets(before, after map[manifest.Reason]uint64) map[manifest.Reason]uint64 {
	n := map[manifest.Reason]uint64{}
	for reason, count := range after {
		if count > before[reason] {
			n[reason] = count - before[reason]
		}
	}
	return n
}

// fresh are the problems of a Snapshot that the one before does not have: of the same pod, or of another incarnation.
func fresh(before, after *Snapshot) map[manifest.Reason]uint64 {
	codes, n := newCodes(), map[manifest.Reason]uint64{}
	for _, st := range after.Statuses {
		i := slices.IndexFunc(before.Statuses, func(old *StaticPodStatus) bool { return old.Metadata.ID == st.Metadata.ID })
		for _, p := range st.Spec.Problems {
			stage := codes[p.Reason].Stage
			ofPod := stage == StageAdmission || stage == StageStart || stage == StageRun
			known := i >= 0 && slices.ContainsFunc(before.Statuses[i].Spec.Problems, func(q manifest.Problem) bool {
				return q.Same(p) || ofPod && q.Reason == p.Reason && q.Field == p.Field
			})
			if another := i >= 0 && ofPod && st.Spec.Pod.UID != "" && before.Statuses[i].Spec.Pod.UID != "" && before.Statuses[i].Spec.Pod.UID != st.Spec.Pod.UID; !known || another {
				n[p.Reason]++
			}
		}
	}
	return n
}

// TestEachOnsetCountsOnce tells random stories and asks of every step: what the log repeats is no onset, and neither is
// what another process finds that this one knew.
func TestEachOnsetCountsOnce(t *testing.T) {
	for seed := range uint64(8) {
		f := &fate{Rand: rand.New(rand.NewPCG(seed, 11)), s: running()}
		f.s.serving = seed%3 != 0
		prev := Derive(nil, f.s.look())
		var told []string
		for step := range 40 {
			for range f.IntN(3) {
				told = append(told, f.strike())
			}
			f.s.after(time.Duration(f.IntN(45000)) * time.Millisecond)
			o := f.s.look()
			next := Derive(prev, o)
			where := fmt.Sprintf("seed %d, step %d (%s)", seed, step, strings.Join(told, " "))

			again := *o
			again.At = o.At.Add(time.Millisecond)
			quiet := again
			quiet.Log = nil
			if diff := cmp.Diff(onsets(next.ProblemsTotal, Derive(next, &quiet).ProblemsTotal), onsets(next.ProblemsTotal, Derive(next, &again).ProblemsTotal)); diff != "" {
				t.Fatalf("%s: lines that are read again are onsets\n%s", where, diff)
			}

			other := Derive(reborn(t, prev), o)
			if diff := cmp.Diff(fresh(prev, other), onsets(nil, other.ProblemsTotal)); diff != "" {
				t.Fatalf("%s: another process counts what this one knew, or does not what is new (-new +counted)\n%s", where, diff)
			}
			if diff := cmp.Diff(fresh(prev, next), onsets(prev.ProblemsTotal, next.ProblemsTotal)); diff != "" {
				t.Fatalf("%s: counted is not what is new (-new +counted)\n%s", where, diff)
			}
			prev = next
		}
	}
}

// remembered is what of a Snapshot's memory is saved.
func remembered(t testing.TB, s *Snapshot) string {
	data, err := json.Marshal(s.memory.state())
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func marshal(t testing.TB, o *collector.Observation) string {
	data, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// sound checks what holds for every snapshot.
func sound(t *testing.T, s *Snapshot) {
	t.Helper()
	table := newCodes()
	if !slices.IsSortedFunc(s.Statuses, func(a, b *StaticPodStatus) int { return strings.Compare(a.Metadata.ID, b.Metadata.ID) }) {
		t.Fatal("the statuses are not sorted")
	}
	seen := map[string]bool{}
	for _, st := range s.Statuses {
		id, spec := st.Metadata.ID, st.Spec
		if seen[id] {
			t.Fatalf("%s is there twice", id)
		}
		seen[id] = true
		if spec.Ready && spec.Stale {
			t.Errorf("%s: ready and stale", id)
		}
		if spec.Since.IsZero() || spec.Conditions == nil || spec.Problems == nil || spec.Containers == nil {
			t.Errorf("%s: not whole: %+v", id, spec)
		}
		for _, p := range spec.Problems {
			if _, ok := table[p.Reason]; !ok || p.Since.IsZero() || p.Level == "" {
				t.Errorf("%s: problem %+v", id, p)
			}
			if s.ProblemsTotal[p.Reason] == 0 {
				t.Errorf("%s: %s was not counted", id, p.Reason)
			}
		}
		for _, c := range spec.Conditions {
			if c.LastTransitionTime.IsZero() || c.Status != True && c.Reason == "" {
				t.Errorf("%s: condition %+v", id, c)
			}
		}
		if len(spec.Problems) > 0 && spec.Reason == "" {
			t.Errorf("%s: problems and no headline", id)
		}
	}
}
