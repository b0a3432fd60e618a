package status

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/staticpod-exporter/staticpod-exporter/collector"
	"github.com/staticpod-exporter/staticpod-exporter/collector/kubeletlog"
	"github.com/staticpod-exporter/staticpod-exporter/manifest"
)

func TestRolloutEnds(t *testing.T) {
	t.Run("each change is one", func(t *testing.T) {
		s := tell(t, running())
		s.polls = false
		first := s.definition("web")
		s.after(time.Minute)
		s.goOn(s.edit("web"))
		ready(s.pod("web"), corev1.ConditionTrue, s.now.Truncate(time.Second))
		b := s.then(0).rolls(web, `ready 350ms
			changed 0s 40ms
			validated 40ms 40ms
			fetched 40ms 140ms
			accepted 140ms 150ms
			sandbox 150ms 240ms
			pull/c 240ms 340ms
			container/c 340ms 350ms
			ready 350ms 350ms`)
		s.after(time.Minute)
		again := s.edit("web")
		again.UID, again.Hash = first.UID, first.Hash
		s.goOn(again)
		ready(s.pod("web"), corev1.ConditionTrue, s.now.Add(2*time.Second).Truncate(time.Second))
		a := s.then(3*time.Second).rolls(web, `ready 1.73s
			changed 0s 40ms
			validated 40ms 40ms
			fetched 40ms 140ms
			accepted 140ms 150ms
			sandbox 150ms 240ms
			pull/c 240ms 340ms
			container/c 340ms 350ms
			ready 350ms 1.73s`)
		if a.Previous != b.TraceID || a.TraceID == b.TraceID || a.PreviousSpanID() != b.SpanID() {
			t.Errorf("%+v after %+v", a, b)
		}
		if len(s.last.Ended) > 0 {
			t.Errorf("ended: %+v", s.last.Ended)
		}
	})
	t.Run("superseded", func(t *testing.T) {
		s := tell(t, running())
		s.polls = false
		s.after(time.Second)
		s.edit("web")
		s.serve()
		s.then(0)
		s.after(time.Second)
		s.edit("web")
		s.serve()
		ro := s.then(0).rolls(web, `goes on …
			changed 0s 40ms
			validated 40ms 40ms
			fetched 40ms …`)
		if have := s.last.Ended; len(have) != 1 || have[0].ID != web || have[0].Definition.ID != "default-web" || have[0].Rollout.TraceID != ro.Previous {
			t.Fatalf("ended: %+v", have)
		}
		if have := written(s.last.Ended[0].Rollout); have != "superseded 1s\nchanged 0s 40ms\nvalidated 40ms 40ms\nfetched 40ms …" {
			t.Error(have)
		}
	})
	t.Run("refused by the exporter", func(t *testing.T) {
		s := tell(t, running())
		d := s.edit("web")
		d.UID, d.Valid = s.definition("web").UID, false
		d.Problems = []manifest.Problem{{Reason: manifest.ManifestInvalid, Level: manifest.Critical, Path: d.Path, Line: 7, Field: "spec.containers[0].image", Message: "Required value"}}
		ro := s.then(time.Second).rolls(web, `rejected 40ms
			changed 0s 40ms
			rejected 40ms 40ms ManifestInvalid`)
		if step := ro.Steps[1]; step.Path != d.Path || step.Line != 7 || step.Field != "spec.containers[0].image" || step.Message != "Required value" {
			t.Errorf("%+v", step)
		}
		// Other words about it, and time, change nothing.
		s.then(time.Hour)
		if find(t, s.last, web).Spec.Rollout != ro {
			t.Error("it was changed")
		}
		// The same content may be had after all, when what it collided with is gone.
		next := *d
		next.Valid, next.Problems = true, nil
		s.definitions[0] = &next
		s.serve()
		s.polls = false
		s.then(time.Second).rolls(web, `goes on …
			fetched 0s …`)
	})
	t.Run("garbled and mended: what runs on is done", func(t *testing.T) {
		s := tell(t, running())
		well := s.definition("web")
		bad := *well
		bad.Valid, bad.Changed, bad.Judged = false, s.now.Add(time.Second), s.now.Add(time.Second+50*ms)
		bad.Problems = []manifest.Problem{{Reason: manifest.ManifestMalformed, Level: manifest.Critical, Path: well.Path, Line: 3, Message: "could not find expected ':'"}}
		s.definitions[0] = &bad
		ro := s.then(2*time.Second).rolls(web, `rejected 50ms
			changed 0s 50ms
			rejected 50ms 50ms ManifestMalformed`)
		if ro.Revision != "" {
			t.Errorf("revision %s of a content that tells nothing", ro.Revision)
		}
		mended := *well
		mended.Changed, mended.Judged = s.now, s.now.Add(50*ms)
		s.definitions[0] = &mended
		s.then(time.Second).rolls(web, `ready 50ms
			changed 0s 50ms
			validated 50ms 50ms
			ready 50ms 50ms`)
	})
	t.Run("a file: the kubelet does not wait for us", func(t *testing.T) {
		s := tell(t, observing())
		s.after(time.Second)
		d := s.edit("web")
		d.Changed = s.now.Add(-200 * ms)
		s.now = s.now.Add(-150 * ms)
		s.goOn(d)
		s.then(time.Second).rolls(web, `goes on …
			changed 0s 60ms
			accepted 0s 60ms
			sandbox 60ms 150ms
			pull/c 150ms 250ms
			container/c 250ms 260ms
			ready 260ms …`)
	})
	t.Run("timed out, for good", func(t *testing.T) {
		s := tell(t, running())
		s.after(time.Second)
		s.goOn(s.edit("web"))
		s.then(grace + DefaultRolloutDeadline)
		s.is(web, RolloutStuck)
		want := `timedOut 3m0.26s
			changed 0s 40ms
			validated 40ms 40ms
			fetched 40ms 140ms
			accepted 140ms 150ms
			sandbox 150ms 240ms
			pull/c 240ms 340ms
			container/c 340ms 350ms
			ready 350ms … NotReady`
		s.rolls(web, want)
		ready(s.pod("web"), corev1.ConditionTrue, s.now)
		s.then(time.Second).rolls(web, want)
	})
	t.Run("not admitted, and then admitted by another kubelet", func(t *testing.T) {
		s := tell(t, running())
		s.polls = false
		s.after(time.Second)
		d := s.edit("web")
		s.serve()
		s.fetch(s.after(100 * ms).now)
		p := s.given(d)
		p.Status = corev1.PodStatus{Phase: corev1.PodFailed, Reason: "NodePorts", Message: "Pod was rejected: Predicate NodePorts failed"}
		s.say(kubeletlog.Event{Kind: kubeletlog.AdmissionDenied, UID: string(p.UID), Reason: "NodePorts", Message: "Predicate NodePorts failed", At: s.after(5 * ms).now})
		s.then(20*ms).rolls(web, `rejected 145ms
			changed 0s 40ms
			validated 40ms 40ms
			fetched 40ms 140ms
			rejected 140ms 145ms AdmissionRejected`)
		s.after(time.Minute)
		s.given(d)
		s.then(0).rolls(web, `goes on …
			accepted 0s 0s
			sandbox 0s …`)
	})
	t.Run("removed under way", func(t *testing.T) {
		s := tell(t, running())
		s.after(time.Second)
		s.edit("web")
		s.serve()
		s.then(0)
		s.definitions = nil
		s.serve()
		s.then(time.Second).rolls(web, `removed 1.04s
			changed 0s 40ms
			validated 40ms 40ms
			fetched 40ms …`)
	})
	t.Run("gone under way", func(t *testing.T) {
		s := tell(t, empty())
		s.after(time.Second)
		d := s.define("web", manifest.SourceHTTP)
		d.Changed, d.Judged, d.Updated = s.now, s.now, s.now
		s.serve()
		s.then(0)
		s.definitions = nil
		s.serve()
		s.then(time.Second)
		absent(t, s.last, web)
		if have := s.last.Ended; len(have) != 1 || written(have[0].Rollout) != "removed 1s\nchanged 0s 0s\nvalidated 0s 0s\nfetched 0s …" || have[0].Pod.Name != "web-node1" {
			t.Errorf("ended: %+v", have)
		}
	})
	t.Run("a pod that somebody else feeds", func(t *testing.T) {
		s := tell(t, empty())
		s.polls = false
		s.serving, s.document, s.directory = false, nil, manifest.Directory{}
		s.then(time.Second)
		d := s.define("web", manifest.SourceFile)
		s.definitions = nil
		s.goOn(d)
		s.then(time.Second)
		ro := s.rolls(web, `goes on …
			accepted 0s 0s
			sandbox 0s 90ms
			pull/c 90ms 190ms
			container/c 190ms 200ms
			ready 200ms …`)
		if ro.Revision != "" || ro.Version != 0 || ro.UID != string(d.UID) {
			t.Errorf("%+v", ro)
		}
		s.pods, s.sandboxes = nil, nil
		s.then(time.Second)
		if have := s.last.Ended; len(have) != 1 || have[0].Rollout.Outcome != OutcomeRemoved {
			t.Errorf("ended: %+v", have)
		}
	})
	t.Run("the log's word for a pull", func(t *testing.T) {
		s := tell(t, running())
		s.polls = false
		s.after(time.Second)
		d := s.edit("web")
		d.Pod = d.Pod.DeepCopy()
		d.Pod.Spec.Containers = append(d.Pod.Spec.Containers, corev1.Container{Name: "there"})
		s.serve()
		s.fetch(s.now)
		p := s.given(d)
		s.sandboxed()
		say := func(kind kubeletlog.Kind, container, words string) {
			s.say(kubeletlog.Event{Kind: kind, UID: string(p.UID), Namespace: p.Namespace, Pod: p.Name, Container: container, Message: words})
		}
		s.then(10 * ms)
		say(kubeletlog.PullBegun, "c", `Pulling image "registry.example/web:1"`)
		s.then(90 * ms)
		say(kubeletlog.PullEnded, "c", `Failed to pull image "registry.example/web:1": timeout`)
		s.then(400 * ms)
		say(kubeletlog.PullBegun, "c", `Pulling image "registry.example/web:1"`)
		s.then(400 * ms)
		say(kubeletlog.PullEnded, "c", `Successfully pulled image "registry.example/web:1" in 400ms`)
		s.after(30 * ms)
		s.made("c")
		s.started("c")
		s.then(0)
		at := s.after(5 * ms).now
		s.after(5 * ms)
		s.made("there")
		s.then(0) // the runtime's event comes before the kubelet's line is read
		s.say(kubeletlog.Event{At: at, Kind: kubeletlog.PullEnded, UID: string(p.UID), Container: "there", Message: `Container image "x" already present on machine and can be accessed by the pod`})
		s.then(2*time.Second).rolls(web, `goes on …
			changed 0s 40ms
			validated 40ms 40ms
			fetched 40ms 40ms
			accepted 40ms 40ms
			sandbox 40ms 40ms
			pull/c 50ms 940ms
			container/c 970ms 970ms
			container/there 980ms …`)
	})
	t.Run("before anybody looked", func(t *testing.T) {
		s := running()
		d := s.definition("web")
		d.Changed = noon.Add(-sightAge - time.Second)
		tell(t, s).rolls(web, "none")
	})
	t.Run("a start that has read no definition yet", func(t *testing.T) {
		s := tell(t, running())
		s.polls = false
		s.after(time.Second)
		s.goOn(s.edit("web"))
		before := find(t, s.last, web).Spec.Rollout
		path, o := s.keep(), s.look()
		o.Manifest.Definitions, o.Manifest.Unread = nil, true
		tracker := NewTracker(Limits{})
		if err := tracker.Restore(path); err != nil {
			t.Fatal(err)
		}
		tracker.Observe(o)
		s.last = tracker.Observe(s.look())
		if ro := find(t, s.last, web).Spec.Rollout; written(ro) != written(before) || ro.TraceID != before.TraceID {
			t.Errorf("%s\n\nwas\n%s", written(ro), written(before))
		}
		if fresh := NewTracker(Limits{}).Observe(o); find(t, fresh, web).Spec.Rollout != nil {
			t.Error("a rollout begins for which a definition may yet be read")
		}
	})
	t.Run("while nobody looked", func(t *testing.T) {
		s := tell(t, observing())
		s.after(time.Second)
		path, d := s.keep(), s.edit("web")
		d.Judged, d.Updated = s.now.Add(time.Hour-40*ms), s.now.Add(time.Hour-40*ms)
		// Nothing of it is seen while it is done.
		s.after(50 * ms)
		s.given(d)
		s.after(50 * ms)
		s.sandboxed()
		s.made("c")
		s.started("c")
		ready(s.pod("web"), corev1.ConditionTrue, s.now.Add(2*time.Second).Truncate(time.Second))
		s.after(time.Hour)
		s.restore(path)
		s.rolls(web, `ready 2.04s
			changed 0s 90ms
			accepted 0s 90ms
			sandbox 90ms 140ms
			pull/c 140ms 140ms
			container/c 140ms 140ms
			ready 140ms 2.04s`)
	})
}

// keep saves the state of the last Snapshot.
func (s *story) keep() string {
	s.t.Helper()
	tracker, path := NewTracker(Limits{}), filepath.Join(s.t.TempDir(), "status.json")
	tracker.latest.Store(s.last)
	if err := tracker.Save(path); err != nil {
		s.t.Fatal(err)
	}
	return path
}

// restore goes on in another process.
func (s *story) restore(path string) *Tracker {
	s.t.Helper()
	tracker := NewTracker(Limits{})
	if err := tracker.Restore(path); err != nil {
		s.t.Fatal(err)
	}
	s.last = tracker.Observe(s.look())
	return tracker
}

// Whenever the exporter is restarted in a rollout it goes on, and each part of it is told once.
func TestRolloutOverRestarts(t *testing.T) {
	play := func(restart int) (ro *Rollout, laps []string) {
		s := tell(t, running())
		s.polls = false
		n := 0
		look := func() {
			s.then(0)
			for _, l := range s.last.Laps {
				laps = append(laps, fmt.Sprint(l.Step, l.SpanID, l.Duration))
			}
			if n++; n == restart {
				version := find(t, s.last, web).Metadata.Version
				s.restore(s.keep())
				if st := find(t, s.last, web); len(s.last.Laps) > 0 || st.Metadata.Version != version {
					t.Errorf("after a restart: laps %+v, version %d after %d", s.last.Laps, st.Metadata.Version, version)
				}
			}
		}
		s.after(time.Second)
		d := s.richer()
		look()
		s.fetch(s.after(100 * ms).now)
		look()
		s.after(10 * ms)
		s.given(d)
		look()
		s.after(90 * ms)
		s.sandboxed()
		look()
		for _, name := range []string{"one", "side", "two", "a", "b"} {
			s.after(100 * ms)
			s.made(name)
			look()
			s.after(10 * ms)
			s.started(name)
			look()
			if name == "one" || name == "two" {
				s.after(200 * ms)
				s.ended(name, 0)
				look()
			}
			if name == "side" { // another life of the kubelet sees the pod anew
				p := s.pod("web")
				p.Annotations[annotationSeen] = s.now.Format(time.RFC3339Nano)
				p.Status.InitContainerStatuses = []corev1.ContainerStatus{{Name: "side", Started: new(true), State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}}
			}
		}
		ready(s.pod("web"), corev1.ConditionTrue, s.now.Truncate(time.Second))
		look()
		return find(t, s.last, web).Spec.Rollout, laps
	}
	want, laps := play(0)
	if len(laps) != len(want.Steps)+1 || want.Outcome != OutcomeReady {
		t.Fatalf("laps %q of %s", laps, written(want))
	}
	for restart := 1; restart <= 17; restart++ {
		have, told := play(restart)
		if written(have) != written(want) || have.TraceID != want.TraceID {
			t.Errorf("with a restart after look %d:\n%s\n\nwithout:\n%s", restart, written(have), written(want))
		}
		if !slices.Equal(told, laps) {
			t.Errorf("with a restart after look %d the laps are %q, without %q", restart, told, laps)
		}
	}
}

// Without a runtime the kubelet's status stands for it, to the second.
func TestRolloutByTheKubeletAlone(t *testing.T) {
	s := running()
	s.without(collector.InputRuntime)
	st := tell(t, s)
	st.polls = false
	st.after(1500 * ms)
	d := st.edit("web")
	st.serve()
	st.fetch(st.now)
	p := st.given(d)
	begun(p, st.now.Truncate(time.Second))
	p.Status.Conditions = append(p.Status.Conditions, corev1.PodCondition{
		Type: corev1.PodReadyToStartContainers, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(st.now.Truncate(time.Second)),
	})
	st.then(0)
	p = st.pod("web")
	p.Status.Phase = corev1.PodRunning
	p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "c", ContainerID: "containerd://id", Ready: true,
		State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(st.after(2 * time.Second).now.Truncate(time.Second))}}}}
	ready(p, corev1.ConditionTrue, st.now.Truncate(time.Second))
	st.then(0).rolls(web, `ready 1.54s
		changed 0s 40ms
		validated 40ms 40ms
		fetched 40ms 40ms
		accepted 40ms 40ms
		sandbox 40ms 40ms
		pull/c 40ms 1.54s
		container/c 1.54s 1.54s
		ready 1.54s 1.54s`)
}

func TestRolloutIsBounded(t *testing.T) {
	s := tell(t, running())
	s.polls = false
	s.after(time.Second)
	d := s.edit("web")
	d.Pod = d.Pod.DeepCopy()
	d.Pod.Spec.Containers = nil
	for i := range 100 {
		d.Pod.Spec.Containers = append(d.Pod.Spec.Containers, corev1.Container{Name: fmt.Sprintf("c%02d", i)})
	}
	s.serve()
	s.fetch(s.now)
	s.given(d)
	s.sandboxed()
	for _, c := range d.Pod.Spec.Containers {
		s.after(10 * ms)
		s.made(c.Name)
		s.started(c.Name)
	}
	s.then(0)
	ready(s.pod("web"), corev1.ConditionTrue, s.now.Truncate(time.Second))
	s.then(0)
	ro := find(t, s.last, web).Spec.Rollout
	if len(ro.Steps) > maxSteps || ro.Outcome != OutcomeReady || ro.Steps[len(ro.Steps)-1].Name != StepReady {
		t.Errorf("%d steps: %s", len(ro.Steps), written(ro))
	}
	for range 2 * endedRollouts {
		s.after(time.Second)
		s.edit("web")
		s.serve()
		s.then(0)
	}
	if len(s.last.Ended) != endedRollouts {
		t.Errorf("%d ended rollouts are remembered", len(s.last.Ended))
	}
}
