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
	"github.com/staticpod-exporter/staticpod-exporter/collector/mirror"
	"github.com/staticpod-exporter/staticpod-exporter/manifest"
)

// mirrorOf is the API server's mirror of a pod that runs.
func (s *scene) mirrorOf(name string) *mirror.Pod {
	for _, p := range s.pods {
		if p.Name == name+"-"+node {
			return &mirror.Pod{Namespace: p.Namespace, Name: p.Name, UID: "mirror-" + name, StaticUID: string(p.UID), Created: noon.Add(-50 * time.Minute), Generation: 1}
		}
	}
	panic("no pod " + name)
}

// shows has the API server say which mirror pods it has, now.
func (s *scene) shows(pods ...*mirror.Pod) {
	s.mirror = &mirror.View{At: s.now, Pods: pods}
	s.inputs[collector.InputMirror] = collector.InputState{Configured: true, Up: true, Since: noon.Add(-time.Hour), LastSuccess: s.now}
}

// fails has the kubelet log that it cannot make a mirror pod; "" is the node's.
func (s *scene) fails(name, message string) {
	e := kubeletlog.Event{Kind: kubeletlog.MirrorFailed, Message: message}
	if name != "" {
		e.Namespace, e.Pod = "default", name+"-"+node
	}
	s.say(e)
}

// mirrored returns the condition, and the problems of the mirror stage as "Reason/Detail".
func (s *story) mirrored(id string) (c Condition, problems []string) {
	s.t.Helper()
	st := find(s.t, s.last, id)
	c, _ = st.Condition(Mirrored)
	for _, p := range st.Spec.Problems {
		switch p.Reason {
		case MirrorFailed, MirrorMissing, MirrorStale, MirrorUnavailable, NodeUnregistered:
			problems = append(problems, strings.TrimSuffix(string(p.Reason)+"/"+p.Detail, "/"))
		}
	}
	return c, problems
}

// want fails unless condition and problems are these. "" is no condition.
func (s *story) want(id string, status ConditionStatus, reason string, problems ...string) Condition {
	s.t.Helper()
	c, have := s.mirrored(id)
	if c.Status != status || c.Reason != reason || !slices.Equal(have, problems) {
		s.t.Fatalf("%s: Mirrored=%s(%s) with %q, want %s(%s) with %q", id, c.Status, c.Reason, have, status, reason, problems)
	}
	return c
}

func TestMirrored(t *testing.T) {
	s := running()
	s.shows(s.mirrorOf("web"))
	st := tell(t, s)
	c := st.want(web, True, "")
	if !c.LastTransitionTime.Equal(noon.Add(-50 * time.Minute)) {
		t.Errorf("mirrored since %s", c.LastTransitionTime)
	}
	pod := find(t, st.last, web).Spec
	if pod.Pod.MirrorUID != "mirror-web" || !pod.Observed.Mirror.Equal(noon) {
		t.Errorf("the mirror is %q, observed %s", pod.Pod.MirrorUID, pod.Observed.Mirror)
	}
	version := find(t, st.last, web).Metadata.Version
	s.shows(s.mirrorOf("web"))
	if st.then(10 * time.Minute); find(t, st.last, web).Metadata.Version != version {
		t.Error("another view of the same mirror is another version")
	}
}

// Without a kubeconfig there is no condition, and a kubelet that stands alone is never told of mirrors.
func TestNoMirrorsAlone(t *testing.T) {
	st := tell(t, running())
	for range 20 {
		st.then(time.Minute).want(web, "", "")
	}
	if p := find(t, st.last, NodeID).Spec.Problems; len(p) > 0 {
		t.Errorf("the node has %+v", p)
	}
}

func TestMirrorMissing(t *testing.T) {
	s := running()
	s.shows(s.mirrorOf("web"))
	st := tell(t, s)
	s.shows()
	gone := st.then(time.Minute).now
	st.want(web, False, notYetMirrored)
	st.then(mirrorPatience-time.Second).want(web, False, notYetMirrored)
	st.then(time.Second).want(web, False, "MirrorMissing", "MirrorMissing")
	spec := find(t, st.last, web).Spec
	if p := spec.Problems[0]; !p.Since.Equal(gone) || p.Level != manifest.Warning || !spec.Ready || spec.Stale || spec.Pod.MirrorUID != "" {
		t.Errorf("since %s, level %s, ready %v, stale %v, uid %q", p.Since, p.Level, spec.Ready, spec.Stale, spec.Pod.MirrorUID)
	}

	// While the API server is down nobody says that it has come; when it is back, the first look does.
	s.down(collector.InputMirror, s.now, "connection refused")
	st.then(time.Minute).want(web, Unknown, "MirrorUnavailable", "MirrorMissing")
	s.shows()
	s.up(collector.InputMirror, s.now)
	st.then(time.Second).want(web, False, "MirrorMissing", "MirrorMissing")
	s.shows(s.mirrorOf("web"))
	st.then(time.Second).want(web, True, "")
	st.counted(MirrorMissing, 1)
}

// An API server that comes back has no mirrors of pods that are younger than its end, and the kubelet's turn is next.
func TestMirrorPatienceBeginsWithTheAPIServer(t *testing.T) {
	s := running()
	s.shows(s.mirrorOf("web"))
	st := tell(t, s)
	s.define("api", manifest.SourceHTTP)
	s.serve()
	s.fetch(s.now)
	s.run(s.definition("api"))
	st.then(time.Second).want("default/api-node1", False, notYetMirrored)
	s.down(collector.InputMirror, s.now, "connection refused")
	st.then(time.Hour).want(web, Unknown, "MirrorUnavailable")
	st.want("default/api-node1", Unknown, "MirrorUnavailable")
	if uid := find(t, st.last, web).Spec.Pod.MirrorUID; uid != "mirror-web" {
		t.Errorf("what was known is %q", uid)
	}
	s.shows()
	s.up(collector.InputMirror, s.now)
	st.then(time.Second).want(web, False, notYetMirrored)
	st.want("default/api-node1", False, notYetMirrored)
	st.then(mirrorPatience).want(web, False, "MirrorMissing", "MirrorMissing")
	st.want("default/api-node1", False, "MirrorMissing", "MirrorMissing")
}

// Pods that the kubelet makes no mirror of do not miss one.
func TestNoMirrorWanted(t *testing.T) {
	tests := map[string]struct {
		change func(*scene)
		reason string
	}{
		"completed": {func(s *scene) { s.pod("web").Status.Phase = corev1.PodSucceeded }, notYetMirrored},
		"rejected": {func(s *scene) {
			p := s.pod("web")
			p.Status = corev1.PodStatus{Phase: corev1.PodFailed, Reason: "NodePorts", Message: "Pod was rejected: no ports", StartTime: p.Status.StartTime}
		}, "AdmissionRejected"},
		"deleting":  {func(s *scene) { s.pod("web").DeletionTimestamp = &metav1.Time{Time: noon} }, notYetAccepted},
		"not begun": {func(s *scene) { s.pod("web").Status = corev1.PodStatus{Phase: corev1.PodPending} }, notYetMirrored},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := running()
			test.change(s)
			s.shows()
			s.fails("web", `namespaces "default" not found`)
			st := tell(t, s)
			st.then(mirrorPatience)
			c, problems := st.mirrored(web)
			if len(problems) > 0 || c.Status != False || name != "not begun" && c.Reason != test.reason {
				t.Errorf("Mirrored=%s(%s) with %q", c.Status, c.Reason, problems)
			}
		})
	}
}

func TestMirrorStale(t *testing.T) {
	tests := map[string]struct {
		change func(*mirror.Pod)
		status ConditionStatus
		reason string // before it is a problem
		detail string
	}{
		"another revision": {func(m *mirror.Pod) { m.StaticUID, m.Created = "0123", noon }, False, otherRevision, mirrorOtherRevision},
		"terminating":      {func(m *mirror.Pod) { m.Deleting = noon.Add(time.Minute) }, False, mirrorTerminating, mirrorTerminating},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := running()
			s.shows(s.mirrorOf("web"))
			st := tell(t, s)
			m := s.mirrorOf("web")
			test.change(m)
			s.shows(m)
			st.then(time.Minute).want(web, test.status, test.reason)
			if uid := find(t, st.last, web).Spec.Pod.MirrorUID; uid != "mirror-web" {
				t.Errorf("its UID is %q", uid)
			}
			st.then(mirrorPatience).want(web, test.status, "MirrorStale", "MirrorStale/"+test.detail)
			st.down(collector.InputMirror, s.now, "gone")
			st.then(time.Minute).want(web, Unknown, "MirrorUnavailable", "MirrorStale/"+test.detail)
			s.shows(s.mirrorOf("web"))
			st.then(time.Second).want(web, True, "")
			st.counted(MirrorStale, 1)
		})
	}
}

// The mirror is there all the same, and somebody believes that he changed the pod.
func TestMirrorEdited(t *testing.T) {
	s := running()
	m := s.mirrorOf("web")
	m.Generation = 2
	s.shows(m)
	tell(t, s).want(web, True, "", "MirrorStale/Edited")
}

// What the kubelet gave up and the API server still shows is nobody's pod: the node's problem.
func TestMirrorLeftOver(t *testing.T) {
	s := running()
	s.shows(s.mirrorOf("web"), &mirror.Pod{Namespace: "default", Name: "old-node1", UID: "m", StaticUID: "s"})
	st := tell(t, s)
	st.then(mirrorPatience-time.Second).want(NodeID, "", "")
	st.then(time.Second).want(NodeID, "", "", "MirrorStale/Leftover")
	if p := find(t, st.last, NodeID).Spec.Problems[0]; !strings.HasSuffix(p.Message, ": default/old-node1") || !p.Since.Equal(noon) {
		t.Errorf("%q since %s", p.Message, p.Since)
	}
	s.shows(s.mirrorOf("web"))
	st.then(time.Second).want(NodeID, "", "")

	// A kubelet that has not seen all its sources gave up nothing yet.
	s.shows(s.mirrorOf("web"), &mirror.Pod{Namespace: "default", Name: "old-node1", UID: "m", StaticUID: "s"})
	in := s.inputs[collector.InputKubelet]
	in.SourcesNotReady = true
	s.inputs[collector.InputKubelet] = in
	st.then(time.Second)
	st.then(time.Hour).want(NodeID, "", "")
}

// The API server refuses; without a kubeconfig the kubelet's silence is all that tells the end of it.
func TestMirrorFailedByTheLogAlone(t *testing.T) {
	st := tell(t, running())
	const words = `pods "web-node1" is forbidden: exceeded quota: q, requested: pods=1, used: pods=0, limited: pods=0`
	first := st.after(time.Second).now
	st.fails("web", words)
	st.then(0).want(web, "", "", "MirrorFailed/Quota")
	spec := find(t, st.last, web).Spec
	if p := spec.Problems[0]; p.Message != words || !p.Since.Equal(first) || !spec.Ready {
		t.Errorf("%+v, ready %v", p, spec.Ready)
	}
	for range 3 {
		st.after(90 * time.Second)
		st.fails("web", words)
		st.then(0).want(web, "", "", "MirrorFailed/Quota")
	}
	// The clock of the log stands still with the log, the kubelet, and what was not read yet.
	st.lag = 1
	st.then(10*time.Minute).want(web, "", "", "MirrorFailed/Quota")
	st.lag = 0
	st.down(collector.InputLog, st.now, "gone")
	st.then(10*time.Minute).want(web, "", "", "MirrorFailed/Quota")
	st.up(collector.InputLog, st.now)
	st.then(mirrorPatience).want(web, "", "", "MirrorFailed/Quota")
	st.then(time.Second).want(web, "", "")
	st.counted(MirrorFailed, 1)
}

// With a kubeconfig the mirror itself tells, at once.
func TestMirrorFailedUntilSeen(t *testing.T) {
	s := running()
	s.shows()
	st := tell(t, s)
	s.after(time.Second)
	s.fails("web", `namespaces "default" not found`)
	st.then(time.Second).want(web, False, "MirrorFailed", "MirrorFailed/NamespaceMissing")
	s.shows(s.mirrorOf("web"))
	st.then(time.Second).want(web, True, "")

	// It is gone, for whatever reason: the refusal of before is no more, and the kubelet falls silent.
	s.shows()
	st.then(time.Second).want(web, False, notYetMirrored)
	s.fails("web", "no")
	st.then(time.Second).want(web, False, "MirrorFailed", "MirrorFailed")
	st.then(mirrorPatience+time.Second).want(web, False, "MirrorMissing", "MirrorMissing")
}

// A refusal is of the revision that was tried.
func TestMirrorFailedIsOfARevision(t *testing.T) {
	st := tell(t, running())
	st.after(time.Second)
	st.fails("web", "no")
	st.then(0).want(web, "", "", "MirrorFailed")
	st.after(time.Second)
	st.pod("web").Annotations[annotationSeen] = st.now.Format(time.RFC3339Nano)
	st.then(time.Second).want(web, "", "")
}

// A kubelet that starts, or whose API server does, makes mirrors that it does not know it has made.
func TestMirrorThatIsThere(t *testing.T) {
	st := tell(t, running())
	for range 2 {
		st.fails("web", `pods "web-node1" already exists`)
		st.then(mirrorPatience-30*time.Second).want(web, "", "")
	}
	st.fails("web", `pods "web-node1" already exists`) // somebody else's pod
	st.then(time.Second).want(web, "", "", "MirrorFailed/NameTaken")
}

// An API server that comes and goes is nobody's refusal: only one that stays away is.
func TestMirrorFailedUnreachable(t *testing.T) {
	st := tell(t, running())
	const words = `Post "https://10.0.0.1:6443/api/v1/namespaces/default/pods": dial tcp 10.0.0.1:6443: connect: connection refused`
	for range 3 {
		st.fails("web", words)
		st.then(40*time.Second).want(web, "", "")
	}
	st.fails("web", words)
	st.then(0).want(web, "", "", "MirrorFailed/Unreachable")
	// Twice within an hour is not for two minutes, though nobody read the log meanwhile.
	st.down(collector.InputLog, st.now, "gone")
	st.then(time.Hour)
	st.up(collector.InputLog, st.now)
	st.fails("web", words)
	st.then(0).want(web, "", "")
	// A refusal proper is another problem, from now on.
	st.after(time.Second)
	st.fails("web", "admission webhook \"pods.example.test\" denied the request: no static pods here")
	at := st.now
	st.then(0).want(web, "", "", "MirrorFailed/Webhook")
	if p := find(t, st.last, web).Spec.Problems[0]; !p.Since.Equal(at) {
		t.Errorf("since %s, want %s", p.Since, at)
	}
}

// A node that registers late is as it should be at the start; one that never does is not.
func TestNodeUnregistered(t *testing.T) {
	st := tell(t, running())
	begun := st.now
	for range 12 {
		st.want(NodeID, "", "")
		st.fails("", `node "node1" not found`)
		st.then(10 * time.Second)
	}
	st.fails("", `failed to get node info from the cluster: node "node1" not found`)
	st.then(0).want(NodeID, "", "", "NodeUnregistered")
	st.want(web, "", "")
	if p := find(t, st.last, NodeID).Spec.Problems[0]; !p.Since.Equal(begun) || !find(t, st.last, NodeID).Spec.Ready {
		t.Errorf("since %s, want %s", p.Since, begun)
	}
	st.then(mirrorPatience).want(NodeID, "", "", "NodeUnregistered")
	st.then(time.Second).want(NodeID, "", "")

	// A mirror that was made since proves that it is there.
	for range 3 {
		st.then(time.Minute)
		st.fails("", `node "node1" not found`)
		st.then(500 * time.Millisecond)
	}
	st.shows(st.mirrorOf("web"))
	st.then(0).want(NodeID, "", "", "NodeUnregistered")
	made := st.mirrorOf("web")
	made.Created = st.now.Truncate(time.Second)
	st.shows(made)
	st.then(0).want(NodeID, "", "")
}

func TestMirrorUnavailable(t *testing.T) {
	s := running()
	s.shows(s.mirrorOf("web"))
	st := tell(t, s)
	in := s.inputs[collector.InputMirror]
	in.Unauthorized = true
	s.inputs[collector.InputMirror] = in
	s.down(collector.InputMirror, s.now, "mirror pods: forbidden")
	st.then(time.Second).want(NodeID, "", "", "MirrorUnavailable/Unauthorized")
	spec := find(t, st.last, web).Spec
	if spec.Stale || !spec.Ready || !find(t, st.last, NodeID).Spec.Ready {
		t.Errorf("stale %v, ready %v", spec.Stale, spec.Ready)
	}
	st.want(web, Unknown, "MirrorUnavailable")
	s.shows(s.mirrorOf("web"))
	st.then(time.Second).want(NodeID, "", "")
}

// Refusals survive a restart of the exporter, and so do the problems of mirrors, without a new onset.
func TestMirrorsSurviveARestart(t *testing.T) {
	s := running()
	s.define("api", manifest.SourceHTTP)
	s.serve()
	s.fetch(noon)
	s.run(s.definition("api"))
	s.shows()
	st := tell(t, s)
	st.fails("web", "no")
	st.then(mirrorPatience).want("default/api-node1", False, "MirrorMissing", "MirrorMissing")
	st.want(web, False, "MirrorFailed", "MirrorFailed")
	since := find(t, st.last, "default/api-node1").Spec.Problems[0].Since

	path := t.TempDir() + "/status.json"
	old, next := NewTracker(Limits{}), NewTracker(Limits{})
	old.latest.Store(st.last)
	if err := old.Save(path); err != nil {
		t.Fatal(err)
	}
	if err := next.Restore(path); err != nil {
		t.Fatal(err)
	}
	s.up(collector.InputMirror, s.now)
	s.up(collector.InputKubelet, s.now)
	s.after(time.Second)
	st.last = next.Observe(s.look())
	st.want(web, False, "MirrorFailed", "MirrorFailed")
	st.want("default/api-node1", False, "MirrorMissing", "MirrorMissing")
	if at := find(t, st.last, "default/api-node1").Spec.Problems[0].Since; !at.Equal(since) {
		t.Errorf("since %s, before the restart %s", at, since)
	}
	st.counted(MirrorMissing, 0)
}

// The words are those of a real API server 1.37.
func TestMirrorDetail(t *testing.T) {
	for message, want := range map[string]string{
		`namespaces "nope" not found`: "NamespaceMissing",
		`pods "x" is forbidden: unable to create new content in namespace gone because it is being terminated`:                                                                                     "NamespaceTerminating",
		`pods "x" is forbidden: maximum cpu usage per Container is 100m, but limit is 200m`:                                                                                                        "LimitRange",
		`pods "x" is forbidden: exceeded quota: q, requested: pods=1, used: pods=0, limited: pods=0`:                                                                                               "Quota",
		`pods "x" is forbidden: status unknown for quota: q, resources: pods`:                                                                                                                      "Quota",
		`pods "x" is forbidden: violates PodSecurity "restricted:latest": host namespaces (hostNetwork=true)`:                                                                                      "PodSecurity",
		`pods "x" is forbidden: no PriorityClass with name gone was found`:                                                                                                                         "Priority",
		`pods "x" is forbidden: the integer value of priority (5) must not be provided in pod spec; priority admission controller computed 0 from the given PriorityClass name`:                    "Priority",
		`pods "x" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no`:                                                                                                 "AdmissionPolicy",
		`admission webhook "hook.example.test" denied the request: violates PodSecurity "x"`:                                                                                                       "Webhook",
		`Internal error occurred: failed calling webhook "hook.example.test": failed to call webhook: Post "https://127.0.0.1:1/x?timeout=10s": dial tcp 127.0.0.1:1: connect: connection refused`: "Webhook",
		`pods "x" already exists`:                        "NameTaken",
		`failed to get node UID: node "node1" not found`: "NodeMissing",
		`Post "https://127.0.0.1:6443/api/v1/namespaces/default/pods": dial tcp 127.0.0.1:6443: connect: connection refused`: "Unreachable",
		`pods is forbidden: User "system:node:a" cannot create resource "pods" in API group "" in the namespace "default"`:   "Unauthorized",
		`Pod "x" is invalid: spec.containers[0].image: Required value`:                                                       "",
	} {
		if have, _ := mirrorDetail(message); have != want {
			t.Errorf("%s: %q, want %q", message, have, want)
		}
	}
}
