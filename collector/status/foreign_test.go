package status

import (
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/staticpod-exporter/staticpod-exporter/collector/kubelet"
	"github.com/staticpod-exporter/staticpod-exporter/collector/kubeletlog"
	"github.com/staticpod-exporter/staticpod-exporter/manifest"
)

// fed is a node in observing mode, which another server feeds: default/web runs well.
func fed() *scene {
	s := empty()
	s.serving, s.document, s.fetches = false, nil, nil
	s.config = &kubelet.Config{StaticPodURL: "http://feed/pods", HTTPCheckFrequency: 5 * time.Second}
	s.define("web", manifest.SourceHTTP).Path = "http://feed/pods"
	s.run(s.definition("web"))
	s.feed("")
	return s
}

// feed makes the list of the http definitions, which is refused for that reason.
func (s *scene) feed(refusal string) {
	l := &manifest.List{URL: "http://feed/pods", At: s.now, Refusal: refusal}
	revision := refusal
	for _, d := range s.definitions {
		if d.Source == manifest.SourceHTTP {
			l.UIDs = append(l.UIDs, d.UID)
			revision += string(d.UID)
		}
	}
	l.Revision = digestOf(revision)
	s.list = l
}

func TestForeignList(t *testing.T) {
	s := tell(t, fed())
	w := s.is(web, "")
	if !w.Spec.Ready || conditionsOf(w) != "Valid=True Accepted=True Started=True Ready=True Current=True" {
		t.Fatalf("%s", conditionsOf(w))
	}
	if s.last.Verdict != (manifest.Verdict{}) {
		t.Errorf("a verdict on a list that is not ours: %+v", s.last.Verdict)
	}

	// A culprit: it is named, and everything in the list is refused, also what runs on.
	s.after(time.Minute)
	bad := s.broken("bad", manifest.SourceHTTP, manifest.ManifestInvalid)
	bad.Served = true
	const refusal = "the kubelet refuses the whole list because of items[1] (default/bad): invalid pod"
	s.feed(refusal)
	onset := s.now
	s.then(time.Second).is("default/bad-node1", manifest.ManifestInvalid)
	for _, id := range []string{web, NodeID} {
		if p := s.is(id, manifest.ListRejected).Spec.Problems[0]; p.Message != refusal || p.Path != "http://feed/pods" || !p.Since.Equal(onset) {
			t.Errorf("%s: %+v", id, p)
		}
	}
	if got := reasons(find(t, s.last, "default/bad-node1")); len(got) != 2 || got[1] != manifest.ListRejected {
		t.Errorf("the culprit has %v", got)
	}
	if !find(t, s.last, web).Spec.Ready {
		t.Error("what runs on is not ready")
	}
	// The kubelet says so too, once, and then that it read the list, which is false.
	s.say(kubeletlog.Event{Kind: kubeletlog.URLRefused, Message: "invalid pod: [x]"})
	s.then(time.Second)
	s.say(kubeletlog.Event{Kind: kubeletlog.URLRead})
	for range 3 {
		s.then(20*time.Second).is(web, manifest.ListRejected)
	}
	s.counted(manifest.ListRejected, 3) // web, bad and the node

	// It is mended, but the kubelet has yet to take it: what it said still holds.
	s.definitions[1] = s.edit("bad")
	s.definitions[1].Valid, s.definitions[1].Problems = true, nil
	s.feed("")
	s.then(time.Second).is("default/bad-node1", manifest.ListRejected)
	s.run(s.definitions[1])
	s.then(time.Second).is("default/bad-node1", "")
	s.is(web, "")
	s.is(NodeID, "")
}

// Pods that go are part of what the kubelet has to do before a list is taken.
func TestForeignListWithoutCulprit(t *testing.T) {
	s := tell(t, fed())
	s.define("more", manifest.SourceHTTP)
	s.feed("")
	s.then(time.Second)
	s.say(kubeletlog.Event{Kind: kubeletlog.URLRefused, Message: "unknown to us"})
	s.then(time.Second).is("default/more-node1", manifest.ListRejected)
	s.is(web, manifest.ListRejected)
	s.definitions = s.definitions[:1] // back to what it was: the kubelet has exactly that
	s.feed("")
	s.then(time.Second).is(web, "")
}

// A kubelet whose UIDs we cannot predict has taken back what it had before: nothing that it runs tells so, but it would
// have refused it aloud.
func TestForeignListThatIsPassedOver(t *testing.T) {
	const page = "neither a Pod nor a PodList"
	for name, c := range map[string]struct {
		refusal string        // by our validation, of what the kubelet refuses
		read    time.Duration // when we read that, after the kubelet
		mended  time.Duration // when we read what it was before, after that
		ends    bool
	}{
		"refused by us too":              {page, 0, time.Second, true},
		"read by us after the kubelet":   {page, 4 * time.Second, time.Second, true},
		"refused by the kubelet alone":   {"", 0, 30 * time.Second, true},
		"which of the two is not known":  {"", 0, time.Second, false},
		"refused by us for long already": {page, -time.Minute, 90 * time.Second, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := fed()
			s.pods, s.sandboxes = nil, nil
			other := *s.definition("web")
			other.UID, other.Pod = uidOf("another kubelet's"), other.Pod.DeepCopy()
			s.run(&other)
			st := tell(t, s)
			before := *st.list
			st.after(2 * time.Minute)
			refused := kubeletlog.Event{Kind: kubeletlog.URLRefused, Message: "couldn't parse as single"}
			if c.read < 0 {
				st.feed(c.refusal)
				st.then(-c.read)
			}
			st.say(refused)
			st.then(max(c.read, 0))
			if c.read >= 0 {
				st.feed(c.refusal + "other bytes")
				st.list.Refusal = c.refusal
			}
			st.then(c.mended).is(web, manifest.ListRejected)
			again := before
			again.At = st.now
			st.list = &again
			st.then(9*time.Second).is(web, manifest.ListRejected)
			want := manifest.Reason("")
			if !c.ends {
				want = manifest.ListRejected
			}
			st.then(10*time.Second).is(web, want)
			if !c.ends {
				return
			}
			// What it says once more counts once more.
			st.say(refused)
			st.then(time.Second).is(web, manifest.ListRejected)
		})
	}
}

// An exporter that starts reads a list for the first time that the kubelet may have refused long ago: that it is new to
// us does not make it another one.
func TestForeignListThatIsNewToUsOnly(t *testing.T) {
	other := func() *scene {
		s := fed()
		s.pods, s.sandboxes = nil, nil
		d := *s.definition("web")
		d.UID, d.Pod = uidOf("another kubelet's"), d.Pod.DeepCopy()
		s.run(&d)
		return s
	}
	for name, start := range map[string]func(t *testing.T) *story{
		"again": func(t *testing.T) *story {
			st := tell(t, other())
			st.after(2 * time.Minute)
			st.feed("other bytes")
			st.list.Refusal = "" // we take it, the kubelet does not
			st.say(kubeletlog.Event{Kind: kubeletlog.URLRefused, Message: "couldn't parse as single"})
			st.then(10*time.Minute).is(web, manifest.ListRejected)
			st.restart()
			again := *st.list
			again.At = st.after(time.Second).now
			st.list = &again
			return st.then(0)
		},
		"for the first time": func(t *testing.T) *story {
			s := other()
			s.feed("other bytes")
			s.list.Refusal = ""
			s.say(kubeletlog.Event{Kind: kubeletlog.URLRefused, Message: "couldn't parse as single", At: s.now.Add(-3 * time.Minute)})
			return tell(t, s)
		},
	} {
		t.Run(name, func(t *testing.T) {
			st := start(t)
			for range 6 {
				st.is(web, manifest.ListRejected)
				st.then(10 * time.Second)
			}
			// Another body, which it does not refuse, ends it.
			st.feed("good bytes")
			st.list.Refusal = ""
			st.then(time.Second).is(web, manifest.ListRejected)
			st.then(20*time.Second).is(web, "")
		})
	}
}

// Our validation may be wrong about another version of the kubelet, whose pods say so.
func TestForeignListThatTheKubeletTakes(t *testing.T) {
	s := tell(t, fed())
	s.edit("web").Problems = []manifest.Problem{{Reason: manifest.ManifestInvalid, Level: manifest.Critical, Message: "x", Since: s.now}}
	s.feed("the kubelet refuses the whole list")
	s.then(time.Second)
	if got := reasons(find(t, s.last, web)); len(got) != 2 || got[1] != manifest.ListRejected {
		t.Fatal(got)
	}
	s.pods, s.sandboxes = nil, nil
	s.run(s.definition("web"))
	s.then(time.Second)
	if got := reasons(find(t, s.last, web)); len(got) != 1 {
		t.Errorf("the kubelet has it: %v", got)
	}
	s.is(NodeID, "")
}

// An edit that the kubelet does not come for is seen by the UID of what it runs, once one was as predicted.
func TestForeignListThatIsNotTaken(t *testing.T) {
	for _, exact := range []bool{true, false} {
		s := fed()
		if !exact {
			s.pods, s.sandboxes = nil, nil
			other := *s.definition("web")
			other.UID, other.Pod = uidOf("another kubelet's"), other.Pod.DeepCopy()
			other.Pod.Spec.Hostname = "of another default"
			s.run(&other)
		}
		st := tell(t, s)
		st.edit("web")
		st.definition("web").Pod = st.definition("web").Pod.DeepCopy()
		st.definition("web").Pod.Spec.Containers[0].Image = "registry.example/web:2"
		st.feed("")
		st.then(9*time.Second).is(web, "")
		if !exact {
			w := st.then(time.Minute).is(web, "")
			if c := conditionsOf(w); c != "Valid=True Accepted=True Started=True Ready=True Current=Unknown(OtherRevision)" {
				t.Error(c)
			}
			continue
		}
		w := st.then(5*time.Second).is(web, NotAccepted)
		if c := conditionsOf(w); c != "Valid=True Accepted=False(NotAccepted) Started=True Ready=True Current=False(OtherRevision)" {
			t.Error(c)
		}
	}
}

// Whoever says it first, the kubelet or we, it is one problem.
func TestForeignRefusalIsCountedOnce(t *testing.T) {
	s := tell(t, fed())
	s.say(kubeletlog.Event{Kind: kubeletlog.URLRefused, Message: "invalid pod"})
	s.edit("web")
	s.feed("")
	s.then(time.Second).is(web, manifest.ListRejected)
	s.feed("the kubelet refuses the whole list because of items[0]")
	s.then(time.Second).is(NodeID, manifest.ListRejected)
	s.counted(manifest.ListRejected, 2) // web and the node
}

// A clock that was set back dates a new refusal before an old one: it counts all the same.
func TestRefusalFromBefore(t *testing.T) {
	s := tell(t, fed())
	s.define("more", manifest.SourceHTTP)
	s.feed("")
	s.say(kubeletlog.Event{Kind: kubeletlog.URLRefused, Message: "one"})
	s.then(time.Second)
	s.say(kubeletlog.Event{Kind: kubeletlog.URLRefused, Message: "two", At: noon.Add(-time.Hour)})
	s.then(time.Second)
	if m := s.is(web, manifest.ListRejected).Spec.Message; m != "two" {
		t.Error(m)
	}
}

func TestPrediction(t *testing.T) {
	s := fed()
	st := tell(t, s)
	if !st.last.memory.world.exact {
		t.Fatal("the kubelet has the UID that was predicted")
	}
	st.list.UIDs = []types.UID{"another"}
	if !st.then(time.Second).last.memory.world.exact {
		t.Error("it was right once")
	}
	o := st.look()
	o.Kubelet.Version = "v1.99.0"
	if Derive(st.last, o).memory.world.exact {
		t.Error("of another kubelet")
	}
}
