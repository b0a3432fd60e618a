package status

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/staticpod-exporter/staticpod-exporter/collector"
	"github.com/staticpod-exporter/staticpod-exporter/manifest"
)

func TestOrphans(t *testing.T) {
	begin := func(t *testing.T) *story {
		s := empty()
		s.run(s.define("web", manifest.SourceHTTP))
		s.definitions, s.pods = nil, nil // a kubelet that never had it
		s.serve()
		s.fetch(s.now)
		return tell(t, s)
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

// What should end is remembered for what the runtime says of it: where none is asked nothing ever would be forgotten.
func TestPodsThatAreGivenUpWithoutARuntime(t *testing.T) {
	s := running()
	s.without(collector.InputRuntime)
	st := tell(t, s)
	for range 3 {
		st.edit("web")
		st.serve()
		st.pods = nil
		st.run(st.definition("web"))
		st.then(time.Hour)
	}
	if n := len(st.last.memory.ending); n > 0 {
		t.Errorf("%d pods", n)
	}
}
