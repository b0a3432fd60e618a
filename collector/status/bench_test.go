package status

import (
	"fmt"
	"testing"
	"time"

	"github.com/staticpod-exporter/staticpod-exporter/collector"
	"github.com/staticpod-exporter/staticpod-exporter/manifest"
)

// crowd is a node with n pods that run well.
func crowd(n int) *scene {
	s := empty()
	for i := range n {
		s.run(s.define(fmt.Sprintf("pod-%d", i), manifest.SourceHTTP))
	}
	s.serve()
	s.fetches = nil
	s.fetch(noon.Add(-time.Second))
	return s
}

// flip changes one pod's readiness.
func flip(s *scene, i int) {
	pod := s.pods[i].DeepCopy()
	s.pods[i] = pod
	pod.Status.ContainerStatuses[0].RestartCount++
}

// BenchmarkDerive compares a round in which one of 500 pods changed with one that looks at all of them again,
// and says how much cheaper it is.
func BenchmarkDerive(b *testing.B) {
	const n = 500
	s := crowd(n)
	first := Derive(nil, s.look())
	var observations []*collector.Observation
	for i := range 16 {
		flip(s, i)
		s.after(time.Second)
		s.fetch(s.now)
		observations = append(observations, s.look())
	}
	var all, one time.Duration
	b.Run("all", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			Derive(nil, observations[i%len(observations)])
		}
		all = b.Elapsed() / time.Duration(b.N)
	})
	b.Run("one", func(b *testing.B) {
		b.ReportAllocs()
		prev := first
		for i := 0; b.Loop(); i++ {
			prev = Derive(prev, observations[i%len(observations)])
		}
		one = b.Elapsed() / time.Duration(b.N)
		if all > 0 {
			b.ReportMetric(float64(one)/float64(all), "of-all")
		}
	})
	b.Run("relisted", func(b *testing.B) { // every pod of the kubelet is a new pointer, and one is new
		b.ReportAllocs()
		copies := make([]*collector.Observation, len(observations))
		for i, o := range observations {
			view := *o.Kubelet
			view.Pods = nil
			for _, p := range o.Kubelet.Pods {
				view.Pods = append(view.Pods, p.DeepCopy())
			}
			next := *o
			next.Kubelet = &view
			copies[i] = &next
		}
		prev := first
		for i := 0; b.Loop(); i++ {
			prev = Derive(prev, copies[i%len(copies)])
		}
		if all > 0 {
			b.ReportMetric(float64(b.Elapsed()/time.Duration(b.N))/float64(all), "of-all")
		}
	})
}

// One change of 500 pods looks at that pod alone. (How long it takes is for the benchmark.)
func TestOneChangeLooksAtOnePod(t *testing.T) {
	s := crowd(500)
	before := Derive(nil, s.look())
	flip(s, 7)
	after := Derive(before, s.after(time.Second).look())
	changed := 0
	for i := range after.Statuses {
		if after.Statuses[i] != before.Statuses[i] {
			changed++
		}
	}
	if changed != 1 {
		t.Errorf("%d statuses are new", changed)
	}
	one := testing.AllocsPerRun(5, func() { Derive(before, after.Observation) })
	all := testing.AllocsPerRun(5, func() { Derive(nil, after.Observation) })
	if one > all/4 {
		t.Errorf("%.0f allocations for one change, %.0f for all", one, all)
	}
}
