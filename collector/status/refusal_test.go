package status

import (
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/staticpod-exporter/staticpod-exporter/collector"
	"github.com/staticpod-exporter/staticpod-exporter/collector/kubelet"
	"github.com/staticpod-exporter/staticpod-exporter/collector/kubeletlog"
	"github.com/staticpod-exporter/staticpod-exporter/manifest"
)

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

// The kubelet says once of a file that it is not there when that was taken away while it read its directory, and at each
// reading of a link to nowhere.
func TestFileThatIsNotThere(t *testing.T) {
	s := tell(t, observing())
	gone := func() *story {
		s.say(kubeletlog.Event{Kind: kubeletlog.ManifestRefused, Path: "/etc/kubernetes/manifests/web.yaml", Message: "stat /etc/kubernetes/manifests/web.yaml: no such file or directory"})
		return s.then(100 * time.Millisecond)
	}
	gone().is(web, "")
	s.then(9*time.Second).is(web, "")
	s.say(kubeletlog.Event{Kind: kubeletlog.KubeletStarted, Path: "/etc/kubernetes/manifests"})
	s.then(10*time.Second).is(web, "")
	gone().is(web, "")
	s.then(19*time.Second).is(web, "")
	s.counted(manifest.ManifestRejected, 0)
	gone().is(web, manifest.ManifestRejected)
	s.counted(manifest.ManifestRejected, 1)
}
