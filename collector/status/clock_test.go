package status

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/staticpod-exporter/staticpod-exporter/collector"
	"github.com/staticpod-exporter/staticpod-exporter/collector/kubeletlog"
	"github.com/staticpod-exporter/staticpod-exporter/manifest"
)

// A clock that is set ahead, as by a node without one of its own that finds out what time it is, lets nothing be late that
// had its time yet.
func TestAClockThatIsSetAhead(t *testing.T) {
	s := tell(t, running())
	s.polls = false
	s.edit("web")
	s.serve()
	s.fetch(s.now)
	s.then(time.Second).is(web, "")
	s.setBack(-24 * time.Hour)
	s.then(0).is(web, "")
	s.then(10*time.Second).is(web, "")
	s.then(4*checkFrequency).is(web, KubeletNotFetching)
}

// setBack sets the clock of the node, whose inputs the collector dates anew.
func (s *scene) setBack(by time.Duration) {
	s.now = s.now.Add(-by)
	for _, name := range []collector.Input{collector.InputKubelet, collector.InputRuntime, collector.InputLog} {
		s.up(name, s.now)
	}
}

// A clock that is ahead when a node starts, and is set back, holds up nothing until it is there again.
func TestAClockThatIsSetBack(t *testing.T) {
	t.Run("a refused list is mended", func(t *testing.T) {
		s := tell(t, running())
		s.polls = false
		s.define("bad", manifest.SourceHTTP)
		s.serve()
		s.after(time.Second)
		s.fetch(s.now)
		s.say(kubeletlog.Event{Kind: kubeletlog.URLRefused, Message: "no"})
		s.then(time.Second).is(NodeID, manifest.ListRejected)
		before, at := s.last, s.last.memory.url.At
		s.setBack(2 * time.Hour)
		s.then(0).is(NodeID, manifest.ListRejected)
		if !before.memory.url.At.Equal(at) {
			t.Error("the Snapshot before was changed")
		}
		s.definitions = s.definitions[:1]
		s.serve()
		s.after(20 * time.Second)
		s.fetch(s.now)
		s.then(time.Second).is(NodeID, "")

		d := s.define("new", manifest.SourceHTTP)
		d.Updated, d.Changed, d.Judged = s.now, s.now, s.now
		s.serve()
		s.after(20 * time.Second)
		s.fetch(s.now)
		fetched := s.now
		st := find(t, s.then(time.Second).last, "default/new-node1")
		if c, _ := st.Condition(Fetched); c.Status != True || !c.LastTransitionTime.Equal(fetched) {
			t.Errorf("fetched: %+v", c)
		}
		// What was fetched by the clock of before is no fetch of now.
		s.then(4*checkFrequency).is(web, KubeletNotFetching)
	})
	t.Run("a refused file is mended", func(t *testing.T) {
		s := tell(t, observing())
		refuse := func() {
			s.say(kubeletlog.Event{Kind: kubeletlog.ManifestRefused, Path: "/etc/kubernetes/manifests/web.yaml", Message: "no containers"})
		}
		refuse()
		s.then(time.Second).is(web, manifest.ManifestRejected)
		s.setBack(2 * time.Hour)
		for range 3 {
			refuse() // when the kubelet saw the pod by the clock of before is no proof that it took the file since
			s.then(checkFrequency).is(web, manifest.ManifestRejected)
		}
		s.then(2*checkFrequency+logLag).is(web, "")
	})
	t.Run("while the exporter was away", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "status.json")
		s := running()
		s.waiting("web", "ContainerCreating", "")
		s.sandboxes = nil
		s.say(kubeletlog.Event{Kind: kubeletlog.VolumeFailed, UID: string(s.pods[0].UID), Message: "MountVolume.SetUp failed"})
		former := NewTracker(Limits{})
		former.Observe(s.look())
		if err := former.Save(path); err != nil {
			t.Fatal(err)
		}
		s.setBack(2 * time.Hour)
		tracker := NewTracker(Limits{})
		if err := tracker.Restore(path); err != nil {
			t.Fatal(err)
		}
		for uid, w := range tracker.Observe(s.look()).memory.words {
			if f, _ := w.find(VolumeMountFailed, ""); w.Last.After(s.now) || f.Last.After(s.now) || f.First.After(s.now) {
				t.Errorf("%s: %+v", uid, w)
			}
		}
	})
}
