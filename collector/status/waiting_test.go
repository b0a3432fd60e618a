package status

import (
	"testing"
	"time"

	"github.com/staticpod-exporter/staticpod-exporter/collector"
	"github.com/staticpod-exporter/staticpod-exporter/collector/kubelet"
	"github.com/staticpod-exporter/staticpod-exporter/collector/kubeletlog"
	"github.com/staticpod-exporter/staticpod-exporter/manifest"
)

// boot is a kubelet that starts anew and has no pods yet; the runtime has those of before. It tells of its directory,
// and of its URL if it has one.
func (s *story) boot(fetches bool) {
	s.then(time.Minute)
	s.down(collector.InputKubelet, s.now, "refused")
	s.then(5 * time.Second)
	s.up(collector.InputKubelet, s.now)
	s.pods = nil
	s.say(kubeletlog.Event{Kind: kubeletlog.KubeletStarted, Path: "/etc/kubernetes/manifests"})
	if fetches {
		s.say(kubeletlog.Event{Kind: kubeletlog.KubeletStarted, Message: "http://feed/pods"})
	}
	s.then(time.Second)
}

// awaited reports whether the node is said to wait for a source, and which.
func (s *story) awaited() (detail string, ok bool) {
	for _, p := range find(s.t, s.last, NodeID).Spec.Problems {
		if p.Reason == KubeletSourcesNotReady {
			return p.Detail, true
		}
	}
	return "", false
}

// A kubelet without the Pods API that boots while its list is not to be had removes nothing, and what it does not list
// it has not given up. It is known by its log, until it has taken a list.
func TestKubeletWaitsForItsList(t *testing.T) {
	for name, c := range map[string]struct {
		node  func() *scene
		takes func(*story)
	}{
		"ours": {running, func(s *story) { s.run(s.definition("web")) }},
		"ours, and there is nothing in it": {running, func(s *story) {
			s.definitions, s.sandboxes = nil, nil
			s.document.UIDs = nil
			s.fetch(s.now)
			s.then(30 * time.Second)
		}},
		"another server's": {fed, func(s *story) { s.problems = nil; s.run(s.definition("web")) }},
		"another server's, and there is nothing in it": {fed, func(s *story) {
			s.problems, s.definitions, s.sandboxes = nil, nil, nil
			s.feed("")
			s.then(30 * time.Second)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s := c.node()
			s.transport, s.version = "https", "v1.34.4"
			st := tell(t, s)
			st.polls = false
			if !st.serving {
				st.problems = []manifest.Problem{{Reason: manifest.ManifestUnreadable, Level: manifest.Critical, Path: "http://feed/pods", Message: "503", Since: st.now}}
			}
			st.boot(true)
			for range 4 {
				if detail, ok := st.awaited(); !ok || !st.serving && detail != sourceHTTP {
					t.Fatalf("waiting: %v, for %q", ok, detail)
				}
				for _, p := range find(t, st.last, web).Spec.Problems {
					if p.Reason == TerminationStuck || p.Reason == NotAccepted || p.Reason == Orphaned {
						t.Fatalf("of a kubelet that waits: %+v", p)
					}
				}
				st.then(2 * time.Minute)
			}
			st.counted(KubeletSourcesNotReady, 1)
			c.takes(st)
			st.then(time.Second)
			if _, ok := st.awaited(); ok {
				t.Error("it has taken a list")
			}
		})
	}
}

// One that has no URL waits for none, one that has the Pods API says so itself, and of one whose list nobody knows
// nothing is guessed.
func TestKubeletWaitsForNothing(t *testing.T) {
	for name, c := range map[string]struct {
		transport string
		version   string
		fetches   bool
		unknown   bool
	}{
		"it has no URL":                        {"https", "v1.34.4", false, false},
		"it has the Pods API":                  {kubelet.PodsAPI, "v1.34.4", true, false},
		"it has one by which it was not asked": {"https", "v1.37.0", true, false},
		"it is of a version that nobody knows": {"https", "unknown", true, false},
		"nobody knows what it fetches":         {"https", "v1.34.4", true, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := fed()
			s.transport, s.version = c.transport, c.version
			st := tell(t, s)
			st.problems = []manifest.Problem{{Reason: manifest.ManifestUnreadable, Level: manifest.Critical, Path: "http://feed/pods", Message: "503", Since: st.now}}
			if c.unknown {
				st.list, st.config, st.problems = nil, nil, nil
			}
			st.boot(c.fetches)
			if _, ok := st.awaited(); ok {
				t.Error("it is said to wait")
			}
		})
	}
}

// What a kubelet said before it started anew is no word on what it has now, and a list that is not known at first may
// be known later.
func TestKubeletThatHasNotSpokenSince(t *testing.T) {
	s := fed()
	s.transport, s.version, s.kubeletAt = "https", "v1.34.4", s.now
	st := tell(t, s)
	list, config := st.list, st.config
	st.list, st.config = nil, nil
	st.then(5 * time.Second)
	st.pods = nil
	st.say(kubeletlog.Event{Kind: kubeletlog.KubeletStarted, Message: "http://feed/pods"})
	st.then(time.Second)
	if _, ok := st.awaited(); !ok {
		t.Error("what it said is older than its start, and believed")
	}
	st.kubeletAt = time.Time{}
	st.then(time.Second)
	if _, ok := st.awaited(); ok {
		t.Error("nobody knows what it fetches, and it is said to wait for it")
	}
	unread := *list
	unread.Revision, unread.At = "", time.Time{}
	st.list, st.config = &unread, config
	st.then(time.Second)
	if _, ok := st.awaited(); !ok {
		t.Error("its list has not come")
	}
}

// The wait survives a restart of the exporter.
func TestWaitIsRemembered(t *testing.T) {
	s := fed()
	s.transport, s.version = "https", "v1.34.4"
	st := tell(t, s)
	st.problems = []manifest.Problem{{Reason: manifest.ManifestUnreadable, Level: manifest.Critical, Path: "http://feed/pods", Message: "503", Since: st.now}}
	st.boot(true)
	st.restart()
	st.then(time.Minute)
	if detail, ok := st.awaited(); !ok || detail != sourceHTTP {
		t.Errorf("waiting: %v, for %q", ok, detail)
	}
	st.counted(KubeletSourcesNotReady, 0) // by this process
}
