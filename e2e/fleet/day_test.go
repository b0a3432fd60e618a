package fleet

import (
	"slices"
	"testing"
	"time"
)

// A healthy fleet pages nobody in a day of rollouts, reboots, restarts and upgrades, and each ticket is for something that
// happened and lasted.
func TestHealthyDay(t *testing.T) {
	t.Parallel()
	f := newFleet(t, Options{Nodes: *nodes, Seed: *seed, Length: 24 * time.Hour})
	f.Ordinary()
	certain, possible := tickets(f)
	seen := map[ticket]bool{}
	for _, firing := range judge(t, start, f) {
		if firing.Severity == "critical" {
			t.Errorf("somebody is woken: %s", firing)
		}
		it := ticket{firing.Name, firing.Labels["instance"], firing.Labels["pod"]}
		if seen[it] = true; !slices.Contains(possible, it) {
			t.Errorf("for nothing: %s", firing)
		}
	}
	for _, it := range certain {
		if !seen[it] {
			t.Errorf("nobody was told: %s", it)
		}
	}
	for _, name := range []string{"StaticPodManifestInvalid", "StaticPodNotReady", "StaticPodExporterDown", "StaticPodKubeletLogIncomplete"} {
		if !slices.ContainsFunc(certain, func(it ticket) bool { return it.alert == name }) {
			t.Errorf("the day had nothing for %s", name)
		}
	}
	t.Logf("%d tickets", len(seen))
}

type ticket struct{ alert, instance, pod string }

// tickets returns what must be told of a day, and what may: what lasted as long as its rule waits, but not much longer,
// may be missed between two scrapes.
func tickets(f *Fleet) (certain, possible []ticket) {
	const between = 2 * time.Minute
	for _, n := range f.nodes {
		n.each(func(e *episode) {
			it, wait := ticket{instance: n.instance}, 5*time.Minute
			switch e.kind {
			case refused:
				it.alert, wait = "StaticPodManifestInvalid", 30*time.Second
			case rollout, restart, unready:
				it.alert = "StaticPodNotReady"
			case off:
				it.alert = "StaticPodExporterDown"
			case gap:
				it.alert, wait = "StaticPodKubeletLogIncomplete", 0
			default:
				return
			}
			if e.pod >= 0 {
				it.pod = n.pods[e.pod].name
			}
			lasted := e.end.Sub(e.begin)
			if lasted < wait {
				return
			}
			possible = append(possible, it)
			disturbed := slices.ContainsFunc(n.life.node, func(o episode) bool {
				return (o.kind == off || o.kind == exporting || o.kind == blind) && o.begin != e.begin && o.begin.Before(e.end.Add(between)) && o.end.After(e.begin.Add(-between))
			})
			if !disturbed && (lasted > wait+between || e.kind == gap) {
				certain = append(certain, it)
			}
		})
	}
	return certain, possible
}
