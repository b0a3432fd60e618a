package status

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/staticpod-exporter/staticpod-exporter/collector"
	"github.com/staticpod-exporter/staticpod-exporter/collector/kubeletlog"
	"github.com/staticpod-exporter/staticpod-exporter/manifest"
)

// restart ends the process with a save and begins another one.
func (s *story) restart() {
	s.t.Helper()
	path := filepath.Join(s.t.TempDir(), "status.json")
	old := NewTracker(Limits{})
	old.latest.Store(s.last)
	if err := old.Save(path); err != nil {
		s.t.Fatal(err)
	}
	next := NewTracker(Limits{})
	if err := next.Restore(path); err != nil {
		s.t.Fatal(err)
	}
	s.last = next.restored
}

// What the log says of a pod that is no static one has nothing written to the disk, however often it says so; of one that it
// is the first to tell of, it is written with the pod.
func TestTheWordsOnOthersAreNotWorthASave(t *testing.T) {
	s := tell(t, running())
	fail := func(uid string) {
		s.say(kubeletlog.Event{Kind: kubeletlog.SyncFailed, UID: uid, Failures: []kubeletlog.Failure{
			{Action: "StartContainer", Target: "c", Reason: "CrashLoopBackOff", Message: "back-off"}}})
		s.say(kubeletlog.Event{Kind: kubeletlog.PullBegun, UID: uid, Container: "c"})
		s.then(10 * time.Second)
	}
	saved := s.last.memory.mark()
	for range 3 {
		fail("of-another-pod")
	}
	if now := s.last.memory.mark(); now != saved {
		t.Errorf("have %+v, want %+v", now, saved)
	}
	fail(string(s.pods[0].UID))
	if now := s.last.memory.mark(); now.changes == saved.changes || now.laps == saved.laps {
		t.Errorf("%+v", now)
	}

	d := s.define("new", manifest.SourceHTTP)
	s.definitions = s.definitions[:1]
	fail(string(d.UID))
	saved = s.last.memory.mark()
	s.run(d)
	if now := s.then(time.Second).last.memory; now.mark() == saved || now.state().Words[string(d.UID)] == nil {
		t.Errorf("%+v", now.mark())
	}
}

func TestRestart(t *testing.T) {
	t.Run("versions go on", func(t *testing.T) {
		s := tell(t, running())
		s.exited("web", 1, "Error", s.now)
		before := find(t, s.then(time.Second).last, web)
		nodeBefore := find(t, s.last, NodeID)
		s.restart()
		after := find(t, s.then(time.Second).last, web)
		if after.Metadata != before.Metadata || !after.Spec.Since.Equal(before.Spec.Since) {
			t.Errorf("before %+v, after %+v", before.Metadata, after.Metadata)
		}
		if n := find(t, s.last, NodeID); n.Metadata != nodeBefore.Metadata {
			t.Errorf("before %+v, after %+v", nodeBefore.Metadata, n.Metadata)
		}
		s.counted(ContainerExited, 0) // it did not begin in this process
		s.pods, s.sandboxes = running().pods, running().sandboxes
		if m := find(t, s.then(time.Second).last, web).Metadata; m.Version != before.Metadata.Version+1 || !m.Created.Equal(before.Metadata.Created) {
			t.Errorf("metadata: %+v", m)
		}
	})
	t.Run("onsets are kept", func(t *testing.T) {
		s := tell(t, running())
		s.waiting("web", "ErrImagePull", "not found")
		since := s.then(time.Second).is(web, ImagePullFailed).Spec.Since
		s.after(time.Hour)
		s.restart()
		s.waiting("web", "ErrImagePull", "not found")
		s.pod("web").Annotations[annotationSeen] = s.now.Format(time.RFC3339Nano) // the kubelet was restarted, too
		if have := s.then(0).is(web, ImagePullFailed).Spec.Since; !have.Equal(since) {
			t.Errorf("since %s, want %s", have, since)
		}
	})
	t.Run("a refused list is remembered: the kubelet said it once", func(t *testing.T) {
		s := tell(t, running())
		d := s.define("bad", manifest.SourceHTTP)
		s.serve()
		s.after(time.Second)
		s.fetch(s.now)
		s.say(kubeletlog.Event{Kind: kubeletlog.URLRefused, Message: "no"})
		at := s.now
		s.then(0)
		s.restart()
		s.polls, s.fetches = false, nil
		s.then(time.Minute).is("default/bad-node1", manifest.ListRejected)
		if v := s.last.Verdict; v.Accepted || v.Revision != s.document.Revision || !v.At.Equal(at) {
			t.Errorf("verdict: %+v", v)
		}
		s.run(d)
		s.then(time.Second)
		if st := find(t, s.last, "default/bad-node1"); st.Spec.Reason == manifest.ListRejected {
			t.Errorf("spec: %+v", st.Spec)
		}
	})
	t.Run("a refused file is remembered", func(t *testing.T) {
		s := tell(t, observing())
		s.broken("bad", manifest.SourceFile, manifest.ManifestInvalid)
		s.say(kubeletlog.Event{Kind: kubeletlog.ManifestRefused, Path: "/host/manifests/bad.yaml", Message: "no"})
		s.then(0)
		s.restart()
		s.then(time.Second)
		if st := find(t, s.last, "default/bad-node1"); len(st.Spec.Problems) != 2 {
			t.Errorf("problems: %+v", st.Spec.Problems)
		}
		s.definitions = s.definitions[:1] // and that it was seen, so that it can be gone
		s.then(time.Second)
		absent(t, s.last, "default/bad-node1")
	})
	t.Run("what the kubelet fetched is remembered", func(t *testing.T) {
		s := tell(t, running())
		s.restart()
		s.polls, s.fetches = false, nil
		s.then(time.Second)
		if st := s.is(web, ""); conditionsOf(st) != allTrue {
			t.Errorf("conditions: %s", conditionsOf(st))
		}
		// And it is not held against the kubelet that it did not fetch while nobody served.
		s.restart()
		s.then(time.Hour).is(web, "")
		s.then(59*time.Second).is(web, "")
		s.then(time.Second).is(web, KubeletNotFetching)
	})
	t.Run("words are remembered", func(t *testing.T) {
		s := tell(t, running())
		s.sandboxes = nil
		s.waiting("web", "ContainerCreating", "")
		s.say(kubeletlog.Event{Kind: kubeletlog.VolumeFailed, UID: string(s.pods[0].UID), Message: "no such volume"})
		s.then(0).is(web, VolumeMountFailed)
		s.restart()
		s.then(time.Second).is(web, VolumeMountFailed)
	})
	t.Run("an orphan's time goes on", func(t *testing.T) {
		s := running()
		s.definitions, s.pods = nil, nil
		s.serve()
		p := tell(t, s)
		p.then(2 * time.Minute)
		p.restart()
		p.then(time.Minute).is(web, Orphaned)
	})
	t.Run("the grace of a pod that was given up goes on", func(t *testing.T) {
		s := running()
		s.pods[0].Spec.TerminationGracePeriodSeconds = new(int64(100))
		p := tell(t, s)
		p.definitions, p.pods = nil, nil
		p.serve()
		p.then(time.Second)
		p.restart()
		p.then(100*time.Second+terminationGrace-time.Second).is(web, "")
		p.then(time.Second).is(web, TerminationStuck)
	})
	t.Run("with the kubelet down, what was wrong is kept and dated", func(t *testing.T) {
		s := tell(t, running())
		c := s.waiting("web", "CrashLoopBackOff", "back-off")
		c.LastTerminationState.Terminated = terminated(3, "Error", s.now)
		before := s.then(time.Second).is(web, CrashLoopBackOff)
		s.restart()
		s.noKubelet = true
		s.down(collector.InputKubelet, s.now, "connection refused")
		for range 3 {
			st := s.then(time.Minute).is(web, CrashLoopBackOff)
			if !st.Spec.Stale || !st.Spec.Since.Equal(before.Spec.Since) {
				t.Fatalf("spec: %+v", st.Spec)
			}
		}
		s.noKubelet = false
		s.up(collector.InputKubelet, s.now)
		s.pods, s.sandboxes = running().pods, running().sandboxes
		s.then(time.Second).is(web, "")
	})
	t.Run("with the kubelet down, it is down since then", func(t *testing.T) {
		s := tell(t, running())
		since := s.now
		s.down(collector.InputKubelet, since, "connection refused")
		s.then(time.Hour).is(web, KubeletDown)
		s.restart()
		s.down(collector.InputKubelet, s.now, "connection refused")
		for _, id := range []string{web, NodeID} {
			if have := s.then(time.Second).is(id, KubeletDown).Spec.Since; !have.Equal(since) {
				t.Errorf("%s since %s, want %s", id, have, since)
			}
		}
	})
	t.Run("what is gone is forgotten", func(t *testing.T) {
		s := tell(t, running())
		s.restart()
		s.definitions, s.pods, s.sandboxes = nil, nil, nil
		s.serve()
		s.then(time.Second)
		if len(s.last.memory.records) == 0 {
			t.Error("a pod that may come back within the first minute is forgotten")
		}
		s.then(recordsKept)
		if n := len(s.last.memory.state().Status); n != 1 {
			t.Errorf("%d records are kept", n)
		}
	})
}

func TestRestoreStartsAfresh(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "status.json")
	if err := NewTracker(Limits{}).Restore(path); err != nil {
		t.Errorf("without a file: %v", err)
	}
	for name, content := range map[string]string{
		"empty": "", "cut off": `{"version":1,"sta`, "no object": `[1]`, "newer": `{"version":2}`, "of no version": `{}`,
		"of another type": `{"version":1,"status":{"a":7}}`,
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			tracker := NewTracker(Limits{})
			err := tracker.Restore(path)
			if err == nil || !strings.Contains(err.Error(), path) {
				t.Errorf("error: %v", err)
			}
			if s := tracker.Observe(running().look()); find(t, s, web).Metadata.Version != 1 {
				t.Error("not afresh")
			}
			if err := tracker.Save(path); err != nil {
				t.Error(err)
			}
			if err := NewTracker(Limits{}).Restore(path); err != nil {
				t.Errorf("the next one: %v", err)
			}
		})
	}
}

// FuzzRestore: whatever is in the file, the next process starts and derives.
func FuzzRestore(f *testing.F) {
	s := Derive(nil, running().look())
	data, err := json.Marshal(s.memory.state())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte(`{"version":1,"files":{"a":{}},"words":{"u":{"failures":[{}]}},"url":{},"missing":{"x":"2026-01-02T12:00:00Z"}}`))
	f.Add([]byte(`{"version":1,"files":{"a":null},"words":{"u":null}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(t.TempDir(), "status.json")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		tracker := NewTracker(Limits{})
		if err := tracker.Restore(path); err != nil {
			return
		}
		scene := running()
		for range 3 {
			tracker.Observe(scene.after(time.Minute).look())
		}
		if err := tracker.Save(path); err != nil {
			t.Error(err)
		}
	})
}

func TestSaveIsPrivateAtomicAndLazy(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "status.json")
	tracker := NewTracker(Limits{})
	if err := tracker.Save(path); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("a tracker without a snapshot was saved")
	}
	s := running()
	tracker.Observe(s.look())
	if err := os.WriteFile(path+".tmp", []byte("left by a crash"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := tracker.Save(path); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v, %v", info.Mode(), err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("%d files, %v", len(entries), err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	tracker.Observe(s.after(time.Second).look())
	if err := tracker.Save(path); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("nothing changed, and it was saved")
	}
	if err := tracker.Save(filepath.Join(dir, "none", "status.json")); err != nil {
		t.Errorf("nothing to save: %v", err)
	}
	s.exited("web", 1, "Error", s.now)
	tracker.Observe(s.after(time.Second).look())
	if err := tracker.Save(filepath.Join(dir, "none", "status.json")); err == nil || !strings.HasPrefix(err.Error(), "status state: ") {
		t.Errorf("error: %v", err)
	}
	if err := tracker.Save(path); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Errorf("it is not tried again: %v", err)
	}
}

func TestPersist(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		path := filepath.Join(dir, "status.json")
		log := &lockedBuffer{}
		tracker, s := NewTracker(Limits{}), running()
		s.fetches = nil
		s.fetch(s.now)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- tracker.Persist(ctx, path, slog.New(slog.NewTextHandler(log, nil))) }()
		saved := func() bool {
			synctest.Wait()
			_, err := os.Stat(path)
			if err == nil {
				err = os.Remove(path)
			}
			return err == nil
		}
		tracker.Observe(s.look())
		if !saved() {
			t.Error("the first snapshot is not saved at once")
		}
		s.exited("web", 1, "Error", s.now)
		tracker.Observe(s.after(time.Second).look())
		time.Sleep(saveInterval - time.Second)
		if saved() {
			t.Error("saved too soon")
		}
		time.Sleep(time.Second)
		if !saved() {
			t.Error("not saved in time")
		}
		s.exited("web", 2, "OOMKilled", s.now)
		tracker.Observe(s.after(time.Second).look())
		s.say(kubeletlog.Event{Kind: kubeletlog.URLRefused, Message: "no"})
		s.kubeletAt = s.now.Add(-time.Second)
		tracker.Observe(s.look())
		if !saved() {
			t.Error("a refusal is not saved at once")
		}
		time.Sleep(time.Hour)
		if saved() {
			t.Error("nothing changed, and it was saved")
		}

		// The directory goes away and comes back: one line each.
		if err := os.Rename(dir, dir+"-away"); err != nil {
			t.Fatal(err)
		}
		for i := range 5 {
			s.exited("web", 10+i, "Error", s.now)
			tracker.Observe(s.after(time.Second).look())
			time.Sleep(2 * saveInterval)
		}
		if err := os.Rename(dir+"-away", dir); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * saveInterval)
		if !saved() {
			t.Error("it is not tried again")
		}
		if text := log.String(); strings.Count(text, "\n") != 2 || strings.Count(text, "cannot be saved") != 1 || strings.Count(text, "saved again") != 1 {
			t.Errorf("logged:\n%s", text)
		}

		s.exited("web", 20, "Error", s.now)
		tracker.Observe(s.after(time.Second).look())
		synctest.Wait()
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if !saved() {
			t.Error("not saved at the end")
		}
	})
}

type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func TestTrackerTellsOfTheNext(t *testing.T) {
	tracker, s := NewTracker(Limits{}), running()
	if tracker.Latest() != nil {
		t.Error("a snapshot before the first")
	}
	changed := tracker.Changed()
	first := tracker.Observe(s.look())
	select {
	case <-changed:
	default:
		t.Error("not told of the first")
	}
	if tracker.Latest() != first {
		t.Error("another one is the latest")
	}
	changed = tracker.Changed()
	select {
	case <-changed:
		t.Error("told of nothing")
	default:
	}
	if second := tracker.Observe(s.look()); second == first || tracker.Latest() != second {
		t.Error("the second is not the latest")
	}
	<-changed
}

// Readers and the writer at once, for the race detector.
func TestTrackerConcurrently(t *testing.T) {
	tracker, s := NewTracker(Limits{}), running()
	path := filepath.Join(t.TempDir(), "status.json")
	tracker.Observe(s.look())
	done := make(chan struct{})
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for {
				changed := tracker.Changed()
				wire(t, tracker.Latest())
				if err := tracker.Save(path); err != nil {
					t.Error(err)
				}
				select {
				case <-done:
					return
				case <-changed:
				}
			}
		})
	}
	for i := range 50 {
		s.exited("web", i%3, "Error", s.now)
		s.say(kubeletlog.Event{Kind: kubeletlog.SyncFailed, UID: string(s.pods[0].UID), Message: "network is not ready"})
		s.say(kubeletlog.Event{Kind: kubeletlog.ManifestRefused, Path: "/m/a.yaml"})
		tracker.Observe(s.after(time.Second).look())
	}
	close(done)
	tracker.Observe(s.look())
	readers.Wait()
}
