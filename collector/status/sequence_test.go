package status

import (
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/staticpod-exporter/staticpod-exporter/collector"
	"github.com/staticpod-exporter/staticpod-exporter/collector/kubelet"
	"github.com/staticpod-exporter/staticpod-exporter/collector/kubeletlog"
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

func TestRefusedListIsLatched(t *testing.T) {
	s := tell(t, running())
	s.polls = false
	if v := s.last.Verdict; v.Revision != s.document.Revision || !v.Accepted || v.At.IsZero() {
		t.Fatalf("verdict on what runs: %+v", v)
	}
	accepted := s.last.Verdict
	if s.then(time.Second).last.Verdict != accepted {
		t.Error("the verdict is not stable")
	}
	before := s.document

	// A new definition is served with one that the kubelet refuses.
	s.after(time.Minute)
	s.define("bad", manifest.SourceHTTP)
	s.serve()
	s.then(0)
	if v := s.last.Verdict; v != (manifest.Verdict{}) {
		t.Errorf("verdict on what was not fetched: %+v", v)
	}
	s.after(time.Second)
	s.fetch(s.now)
	s.then(10 * time.Millisecond)
	s.say(kubeletlog.Event{Kind: kubeletlog.URLRefused, Message: "invalid pod: [spec.x: Forbidden]"})
	refusedAt := s.now
	s.then(10 * time.Millisecond)
	s.is("default/bad-node1", manifest.ListRejected)
	s.is(NodeID, manifest.ListRejected)
	s.is(web, "") // it runs on
	if v := s.last.Verdict; v.Revision != s.document.Revision || v.Accepted || v.Message != "invalid pod: [spec.x: Forbidden]" || !v.At.Equal(refusedAt) {
		t.Errorf("verdict: %+v", v)
	}

	// The next poll reads the same bytes and says so, which proves nothing; nor does a refused connection.
	for range 5 {
		s.after(20 * time.Second)
		s.fetch(s.now)
		s.say(kubeletlog.Event{Kind: kubeletlog.URLRead})
		s.say(kubeletlog.Event{Kind: kubeletlog.URLUnreachable, Message: "503"})
		s.then(time.Second).is("default/bad-node1", manifest.ListRejected)
	}
	if since := find(t, s.last, "default/bad-node1").Spec.Since; !since.Equal(refusedAt) {
		t.Errorf("since %s, want %s", since, refusedAt)
	}

	// The log's line comes again, as it may after a kill: nothing changes.
	s.say(kubeletlog.Event{Kind: kubeletlog.URLRefused, At: refusedAt, Message: "invalid pod: [spec.x: Forbidden]"})
	s.then(time.Second)
	s.counted(manifest.ListRejected, 2) // of bad and of the node

	// The store goes back: that alone clears nothing, though the kubelet's pods are those of the old list.
	s.definitions[1] = &manifest.Definition{ID: "default-bad", Namespace: "default", Name: "bad", Source: manifest.SourceHTTP, Valid: true}
	s.serve()
	if s.document.Revision != before.Revision {
		t.Fatal("the scene does not go back")
	}
	s.then(time.Second).is(NodeID, manifest.ListRejected)
	if v := s.last.Verdict; v != (manifest.Verdict{}) {
		t.Errorf("verdict on what was not fetched again: %+v", v)
	}
	s.after(10 * time.Second)
	s.fetch(s.now)
	s.then(time.Second).is(NodeID, "")
	if v := s.last.Verdict; v.Revision != before.Revision || !v.Accepted || v.At.Equal(accepted.At) {
		t.Errorf("verdict: %+v", v)
	}
	s.is("default/bad-node1", "")

	// The old line once more, from a log read again: it is older than the proof of the opposite.
	s.say(kubeletlog.Event{Kind: kubeletlog.URLRefused, At: refusedAt, Message: "invalid pod: [spec.x: Forbidden]"})
	s.then(time.Second).is(NodeID, "")
}

// The kubelet takes a list that it refused before, once it has what is in it, whatever the log says.
func TestRefusedListIsClearedByItsPods(t *testing.T) {
	s := tell(t, running())
	d := s.define("new", manifest.SourceHTTP)
	s.serve()
	s.after(time.Second)
	s.fetch(s.now)
	s.say(kubeletlog.Event{Kind: kubeletlog.URLRefused, Message: "no"})
	s.then(time.Second).is(NodeID, manifest.ListRejected)
	s.run(d)
	s.then(time.Minute)
	s.is("default/new-node1", "")
	s.is(NodeID, "")
	if !s.last.Verdict.Accepted {
		t.Errorf("verdict: %+v", s.last.Verdict)
	}
	// A pod that was removed has to be absent, too.
	s.definitions = s.definitions[:1]
	s.serve()
	s.fetch(s.now)
	if v := s.then(time.Second).last.Verdict; v != (manifest.Verdict{}) {
		t.Errorf("the kubelet still has a pod that was removed: %+v", v)
	}
}

// The refusal is of the revision that was fetched before it was logged, not of the one served when it is read.
func TestRefusalBelongsToTheFetchedRevision(t *testing.T) {
	s := tell(t, running())
	s.polls = false
	s.define("bad", manifest.SourceHTTP)
	s.serve()
	refused := s.document.Revision
	s.after(time.Second)
	s.fetch(s.now)
	at := s.now.Add(5 * time.Millisecond)
	s.then(20 * time.Second)
	s.define("later", manifest.SourceHTTP)
	s.serve()
	s.fetch(s.now)
	s.say(kubeletlog.Event{Kind: kubeletlog.URLRefused, At: at, Message: "no"})
	s.then(time.Second)
	if u := s.last.memory.url; u == nil || u.Revision != refused {
		t.Errorf("latched: %+v", u)
	}
	if v := s.last.Verdict; v != (manifest.Verdict{}) {
		t.Errorf("verdict on a list that was not judged: %+v", v)
	}
}

func TestRefusedFileIsLatched(t *testing.T) {
	const bad = "default/bad-node1"
	refuse := func(s *story) {
		s.say(kubeletlog.Event{Kind: kubeletlog.ManifestRefused, Path: "/host/manifests/bad.yaml", Message: "invalid pod: [spec.containers: Required value]"})
	}
	// A bad file was there long enough to be refused twice.
	begin := func(t *testing.T) *story {
		s := tell(t, observing())
		d := s.broken("bad", manifest.SourceFile, manifest.ManifestInvalid)
		for range 2 {
			s.after(20 * time.Second)
			refuse(s)
			s.then(0)
		}
		st := s.is(bad, manifest.ManifestInvalid)
		p := st.Spec.Problems[1]
		if p.Reason != manifest.ManifestRejected || p.Path != d.Path || p.Message != "invalid pod: [spec.containers: Required value]" || !p.Since.Equal(noon.Add(20*time.Second)) {
			t.Fatalf("the kubelet's word: %+v", p)
		}
		return s
	}
	mend := func(s *story) *manifest.Definition {
		d := s.edit("bad")
		d.Valid, d.Problems = true, nil
		return d
	}

	t.Run("an edit alone clears nothing", func(t *testing.T) {
		s := begin(t)
		mend(s)
		s.then(time.Second).is(bad, manifest.ManifestRejected)
	})
	t.Run("its pod being accepted clears it", func(t *testing.T) {
		s := begin(t)
		d := mend(s)
		s.after(2 * time.Second)
		p := s.run(d)
		p.Annotations[annotationSeen] = s.now.Format(time.RFC3339Nano)
		s.then(0).is(bad, "")
		s.counted(manifest.ManifestRejected, 1)
	})
	t.Run("a pod that was accepted before does not", func(t *testing.T) {
		s := begin(t)
		p := s.run(mend(s))
		p.Annotations[annotationSeen] = noon.Format(time.RFC3339Nano)
		s.then(time.Second).is(bad, manifest.ManifestRejected)
	})
	t.Run("the file being gone clears it", func(t *testing.T) {
		s := begin(t)
		s.definitions = s.definitions[:1]
		s.then(time.Second)
		absent(t, s.last, bad)
		absent(t, s.last, "file:/host/manifests/bad.yaml")
	})
	t.Run("a file that was never seen is not gone", func(t *testing.T) {
		s := tell(t, observing())
		refuse(s)
		s.then(time.Second).is("file:/host/manifests/bad.yaml", manifest.ManifestRejected)
	})
	t.Run("two relists of silence clear it", func(t *testing.T) {
		s := begin(t)
		mend(s).Served = false // and the kubelet lets it wait
		s.then(45*time.Second).is(bad, manifest.ManifestRejected)
		s.then(time.Second).is(bad, "")
	})
	t.Run("the kubelet's own frequency counts", func(t *testing.T) {
		s := begin(t)
		s.config = &kubelet.Config{FileCheckFrequency: time.Second}
		mend(s).Served = false
		s.then(7*time.Second).is(bad, manifest.ManifestRejected)
		s.then(time.Second).is(bad, "")
	})
	for name, input := range map[string]collector.Input{"the kubelet": collector.InputKubelet, "the log": collector.InputLog} {
		t.Run("the silence of a dead one proves nothing: "+name, func(t *testing.T) {
			s := begin(t)
			mend(s).Served = false
			s.down(input, s.now, "gone")
			s.then(time.Hour)
			if st := find(t, s.last, bad); !slices.Contains(reasons(st), manifest.ManifestRejected) {
				t.Fatalf("problems: %v", reasons(st))
			}
			s.up(input, s.now)
			s.then(45*time.Second).is(bad, manifest.ManifestRejected)
			s.then(time.Second).is(bad, "")
		})
	}
	t.Run("what was not read yet is no silence", func(t *testing.T) {
		s := begin(t)
		mend(s).Served = false
		s.lag = 1
		s.then(time.Hour).is(bad, manifest.ManifestRejected)
		s.lag = 0
		s.then(time.Second).is(bad, "")
	})
	t.Run("a kubelet that was restarted has to be silent anew", func(t *testing.T) {
		s := begin(t)
		mend(s).Served = false
		s.after(40 * time.Second)
		s.say(kubeletlog.Event{Kind: kubeletlog.KubeletStarted})
		s.then(10*time.Second).is(bad, manifest.ManifestRejected)
		s.then(36*time.Second).is(bad, "")
	})
	t.Run("a node that stood still has to be silent, too", func(t *testing.T) {
		s := begin(t)
		mend(s).Served = false
		s.lag = 1
		s.after(5 * time.Minute)
		s.say(kubeletlog.Event{Kind: kubeletlog.SyncFailed, Message: "x"}) // before the directory is read again
		s.then(0).is(bad, manifest.ManifestRejected)
	})
	t.Run("an old log that goes on without the error is no refusal", func(t *testing.T) {
		s := tell(t, observing())
		s.say(kubeletlog.Event{Kind: kubeletlog.ManifestRefused, At: noon.Add(-24 * time.Hour), Path: "/host/manifests/web.yaml", Message: "no"})
		s.say(kubeletlog.Event{Kind: kubeletlog.URLRead, At: noon.Add(-time.Hour)})
		s.then(time.Second).is(web, "")
		s.counted(manifest.ManifestRejected, 0)
	})
}

func TestWordsOfTheLogEnd(t *testing.T) {
	fail := func(s *story) {
		s.say(kubeletlog.Event{Kind: kubeletlog.SyncFailed, UID: string(s.pods[0].UID), Failures: []kubeletlog.Failure{
			{Action: "CreatePodSandbox", Target: "web-node1_default(uid)", Reason: "CreatePodSandboxError", Message: "no network"}}})
	}
	begin := func(t *testing.T) *story {
		s := tell(t, running())
		s.sandboxes = nil
		s.waiting("web", "ContainerCreating", "")
		fail(s)
		s.then(time.Second).is(web, SandboxFailed)
		return s
	}
	t.Run("when the sandbox is there", func(t *testing.T) {
		s := begin(t)
		s.sandbox(s.pods[0]).Created = s.now
		s.then(time.Second)
		if st := find(t, s.last, web); slices.Contains(reasons(st), SandboxFailed) {
			t.Errorf("problems: %v", reasons(st))
		}
	})
	t.Run("when the kubelet says that the sandbox is there", func(t *testing.T) {
		s := begin(t)
		p := s.pod("web")
		p.Status.Conditions = append(p.Status.Conditions, corev1.PodCondition{
			Type: corev1.PodReadyToStartContainers, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(s.now)})
		s.then(time.Second)
		if st := find(t, s.last, web); slices.Contains(reasons(st), SandboxFailed) {
			t.Errorf("problems: %v", reasons(st))
		}
	})
	t.Run("when it was not said again for long", func(t *testing.T) {
		s := begin(t)
		s.then(wordsLast - 2*time.Second)
		s.is(web, SandboxFailed)
		s.then(2 * time.Second)
		s.is(web, NotReady) // still not running, and nobody says why
	})
	t.Run("not while it is said again", func(t *testing.T) {
		s := begin(t)
		since := s.is(web, SandboxFailed).Spec.Since
		for range 5 {
			s.after(8 * time.Minute)
			fail(s)
			s.then(0)
		}
		if st := s.is(web, SandboxFailed); !st.Spec.Since.Equal(since) {
			t.Errorf("since %s, want %s", st.Spec.Since, since)
		}
	})
	t.Run("with the pod", func(t *testing.T) {
		s := begin(t)
		s.pods, s.definitions = nil, nil
		s.then(wordsLast + time.Second)
		s.say(kubeletlog.Event{Kind: kubeletlog.URLRead})
		s.then(time.Second)
		if n := len(s.last.memory.words); n != 0 {
			t.Errorf("the words of %d pods are kept", n)
		}
	})
}

func TestWordsAreBounded(t *testing.T) {
	s := tell(t, running())
	for i := range wordsPods + 100 {
		s.say(kubeletlog.Event{Kind: kubeletlog.SyncFailed, UID: string(uidOf(string(rune(i)))), Message: "network is not ready: x"})
	}
	for i := range fileRefusals + 100 {
		s.say(kubeletlog.Event{Kind: kubeletlog.ManifestRefused, Path: "/m/" + string(uidOf(string(rune(i))))})
	}
	s.then(time.Second)
	if n := len(s.last.memory.words); n != wordsPods {
		t.Errorf("words of %d pods", n)
	}
	if n := len(s.last.memory.files); n != fileRefusals {
		t.Errorf("%d files", n)
	}
}

func TestKubeletNotFetching(t *testing.T) {
	t.Run("since the start", func(t *testing.T) {
		s := running()
		s.fetches = nil
		st := tell(t, s)
		st.polls = false
		st.then(59*time.Second).is(web, "")
		if since := st.then(time.Second).is(web, KubeletNotFetching).Spec.Since; !since.Equal(noon) {
			t.Errorf("since %s", since)
		}
		st.fetch(st.now)
		st.then(time.Second).is(web, "")
		st.counted(KubeletNotFetching, 1)
	})
	t.Run("a kubelet that is down is known to", func(t *testing.T) {
		st := tell(t, running())
		st.polls = false
		st.down(collector.InputKubelet, st.now, "connection refused")
		st.then(10*time.Minute).is(web, KubeletDown)
		st.counted(KubeletNotFetching, 0)
	})
	t.Run("a kubelet that refuses the exporter may live", func(t *testing.T) {
		st := tell(t, running())
		st.polls = false
		st.down(collector.InputKubelet, st.now, "403")
		k := st.inputs[collector.InputKubelet]
		k.Unauthorized = true
		st.inputs[collector.InputKubelet] = k
		st.then(10*time.Minute).is(web, KubeletNotFetching)
	})
	t.Run("nobody else's fetches count", func(t *testing.T) {
		s := running()
		s.fetches = []manifest.Fetch{{At: noon, Code: 503, Kubelet: true}, {At: noon, Code: 200, Revision: s.document.Revision}}
		st := tell(t, s)
		st.polls = false
		st.then(time.Minute).is(web, KubeletNotFetching)
	})
	t.Run("not in observing mode", func(t *testing.T) {
		tell(t, observing()).then(time.Hour).is(web, "")
	})
}

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

func TestOrphans(t *testing.T) {
	begin := func(t *testing.T) *story {
		s := tell(t, running())
		s.definitions, s.pods = nil, nil // removed, and the kubelet knows; the containers are in their grace
		s.serve()
		s.fetch(s.now)
		return s
	}
	t.Run("a pod that ends in time is none", func(t *testing.T) {
		s := begin(t)
		st := s.then(time.Second).is(web, "")
		if have := conditionsOf(st); have != "Accepted=False(Gone) Started=True Ready=False(NotYetAccepted)" || st.Spec.Phase != "" {
			t.Errorf("conditions: %s, phase %q", have, st.Spec.Phase)
		}
		s.sandboxes[0].Ready = false
		s.sandboxes[0].Containers = nil
		s.then(30 * time.Second)
		absent(t, s.last, web)
	})
	t.Run("a pod that does not end is one", func(t *testing.T) {
		s := begin(t)
		s.then(time.Second)
		missing := s.now
		s.then(179*time.Second).is(web, "")
		if since := s.then(time.Second).is(web, Orphaned).Spec.Since; !since.Equal(missing) {
			t.Errorf("since %s, want %s", since, missing)
		}
	})
	t.Run("lacking a definition is no proof", func(t *testing.T) {
		s := tell(t, running())
		s.definitions = nil
		s.serve()
		s.then(time.Hour).is(web, "")
	})
	t.Run("a kubelet that does not answer is no proof", func(t *testing.T) {
		s := begin(t)
		s.then(time.Second)
		s.down(collector.InputKubelet, s.now, "gone")
		s.then(time.Hour).is(web, KubeletDown)
		s.counted(Orphaned, 1) // the clock went on: its last word was that it does not have the pod
	})
}

func TestJoins(t *testing.T) {
	t.Run("a kubelet that calls the node otherwise", func(t *testing.T) {
		s := running()
		p := s.pod("web")
		p.Name, p.Spec.NodeName = "web-other", "other"
		s.sandboxes[0].Name = "web-other"
		snapshot := Derive(nil, s.look())
		st := find(t, snapshot, web)
		if !st.Spec.Ready || st.Spec.Pod.Name != "web-other" || conditionsOf(st) != allTrue {
			t.Errorf("spec: %+v", st.Spec)
		}
		n := find(t, snapshot, NodeID)
		if n.Spec.Reason != manifest.ConfigInvalid || n.Spec.Problems[0].Field != "node" || len(snapshot.Statuses) != 2 {
			t.Errorf("node: %+v of %d", n.Spec, len(snapshot.Statuses))
		}
	})
	t.Run("a file is joined by name, its UID is a prediction", func(t *testing.T) {
		s := observing()
		s.pod("web").UID = "0123"
		s.sandboxes[0].UID = "0123"
		st := find(t, Derive(nil, s.look()), web)
		if !st.Spec.Ready || conditionsOf(st) != "Valid=True Accepted=True Started=True Ready=True Current=True" {
			t.Errorf("conditions: %s", conditionsOf(st))
		}
		p := s.pod("web") // the kubelet adds to a file's pod
		p.Spec.Tolerations = []corev1.Toleration{{Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute}}
		st = find(t, Derive(nil, s.look()), web)
		if c, _ := st.Condition(Current); c.Status != True {
			t.Errorf("current: %+v", c)
		}
		p.Spec.Containers[0].Image = "other"
		st = find(t, Derive(nil, s.look()), web)
		if c, _ := st.Condition(Current); c.Status != Unknown || c.Reason != otherRevision {
			t.Errorf("current: %+v", c)
		}
	})
	t.Run("a file's pod that is changed under its UID", func(t *testing.T) {
		s := tell(t, observing())
		s.definition("web").UID = "predicted"
		s.then(time.Second)
		s.pod("web").Spec.Containers[0].Command = []string{"other"}
		s.then(time.Second)
		if c, _ := find(t, s.last, web).Condition(Current); c.Status != Unknown {
			t.Errorf("current: %+v", c)
		}
	})
	t.Run("an http definition is joined by UID exactly", func(t *testing.T) {
		s := running()
		s.pod("web").UID = "0123"
		s.sandboxes[0].UID = "0123"
		st := find(t, Derive(nil, s.look()), web)
		if c, _ := st.Condition(Accepted); c.Status != False {
			t.Errorf("accepted: %+v", c)
		}
		if c, _ := st.Condition(Current); c.Status != False || c.Reason != otherRevision {
			t.Errorf("current: %+v", c)
		}
	})
	t.Run("names that end alike", func(t *testing.T) {
		s := empty()
		s.run(s.define("a", manifest.SourceHTTP))
		s.run(s.define("a-node1", manifest.SourceHTTP))
		s.serve()
		s.fetch(noon)
		snapshot := Derive(nil, s.look())
		for _, id := range []string{"default/a-node1", "default/a-node1-node1"} {
			if st := find(t, snapshot, id); !st.Spec.Ready {
				t.Errorf("%s: %+v", id, st.Spec)
			}
		}
		if len(snapshot.Statuses) != 3 {
			t.Errorf("%d statuses", len(snapshot.Statuses))
		}
	})
	t.Run("a pod of the kubelet without a definition", func(t *testing.T) {
		s := running()
		s.definitions = nil
		s.serve()
		st := find(t, Derive(nil, s.look()), web)
		if !st.Spec.Ready || st.Spec.Definition != (DefinitionRef{Source: manifest.SourceHTTP}) || conditionsOf(st) != "Accepted=True Started=True Ready=True" {
			t.Errorf("spec: %+v", st.Spec)
		}
	})
	t.Run("a cross-source duplicate is of the pod that runs", func(t *testing.T) {
		for _, runs := range []manifest.Source{manifest.SourceFile, manifest.SourceHTTP} {
			s := empty()
			for _, source := range []manifest.Source{manifest.SourceFile, manifest.SourceHTTP} {
				d := s.define("web", source)
				if source == runs {
					s.run(d)
				} else {
					s.accept(d)
				}
			}
			s.serve()
			s.fetch(noon)
			st := find(t, Derive(nil, s.look()), web)
			if st.Spec.Definition.Source != runs || st.Spec.Pod.UID != string(uidOf("web"+string(runs))) || !st.Spec.Ready {
				t.Errorf("%s runs: %+v", runs, st.Spec)
			}
		}
	})
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

func TestInfo(t *testing.T) {
	s := running()
	snapshot := Derive(nil, s.look())
	if want := (NodeInfo{Node: node, KubeletVersion: "v1.37.2", Runtime: "containerd", RuntimeVersion: "2.4.2", Mode: "serving"}); snapshot.Info != want || snapshot.Node != node {
		t.Errorf("have %+v, want %+v", snapshot.Info, want)
	}
	s.serving = false
	if mode := Derive(nil, s.look()).Info.Mode; mode != "observing" {
		t.Error(mode)
	}
	if s := Derive(nil, &collector.Observation{At: noon}); len(s.Pods) != 0 || s.Pods == nil || len(s.Statuses) != 1 {
		t.Errorf("a snapshot of nothing: %+v", s)
	}
}
