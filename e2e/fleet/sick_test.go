package fleet

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// What goes wrong on many nodes at once pages once for all of them; what goes wrong on one does not, unless a control
// plane hangs on it. All fleets are scraped by one Prometheus, so that none is judged by what happens to another.
func TestSickFleets(t *testing.T) {
	t.Parallel()
	const length = 120 * time.Minute
	at := start.Add(65 * time.Minute)
	long := at.Add(25 * time.Minute)
	failing := func(n *node, pod int, begin time.Time) {
		n.life.add(episode{kind: unready, pod: pod, begin: begin, end: long, reason: "ImagePullFailed", level: "critical"})
	}
	tests := []struct {
		job      string
		happens  func(nodes []*node)
		critical string // what pages, each name once per alert
		warnings map[string]int
	}{
		{"healthy", func([]*node) {}, "", nil},
		{"three-in-a-hundred-pods", func(nodes []*node) {
			for _, n := range nodes[10:19] {
				failing(n, 4, at)
			}
		}, "StaticPodFleetNotReady", map[string]int{"StaticPodNotReady": 9}},
		{"two-in-a-hundred-pods", func(nodes []*node) {
			for _, n := range nodes[10:16] {
				failing(n, 4, at)
			}
		}, "", map[string]int{"StaticPodNotReady": 6}},
		{"pods-that-failed-before", func(nodes []*node) {
			for _, n := range nodes[10:25] {
				failing(n, 4, start.Add(-time.Hour))
			}
		}, "", map[string]int{"StaticPodNotReady": 15}},
		{"one-edge-pod", func(nodes []*node) {
			nodes[30].life.add(episode{kind: crashing, pod: 3, begin: at, end: long, reason: "CrashLoopBackOff", level: "critical", after: time.Second})
		}, "", map[string]int{"StaticPodNotReady": 1}},
		{"all-pods-of-two-nodes", func(nodes []*node) {
			for _, n := range nodes[20:22] {
				for pod := range n.pods {
					failing(n, pod, at)
				}
			}
		}, "", map[string]int{"StaticPodNotReady": 10}},
		{"seven-in-a-hundred-exporters", func(nodes []*node) {
			for _, n := range nodes[20:24] {
				n.life.add(episode{kind: off, pod: -1, begin: at, end: long})
			}
		}, "StaticPodFleetExportersDown", map[string]int{"StaticPodExporterDown": 4}},
		{"five-in-a-hundred-exporters", func(nodes []*node) {
			for _, n := range nodes[20:23] {
				n.life.add(episode{kind: off, pod: -1, begin: at, end: long})
			}
		}, "", map[string]int{"StaticPodExporterDown": 3}},
		{"a-site-that-is-lost", func(nodes []*node) { // as a whole: none of the job is left to tell that it was one of exporters
			for _, n := range nodes {
				n.life.add(episode{kind: off, pod: -1, begin: at, end: long})
			}
		}, "StaticPodFleetExportersDown", map[string]int{"StaticPodExporterDown": 60}},
		{"one-pod-of-a-control-plane", func(nodes []*node) { failing(nodes[0], 1, at) }, "StaticPodNotReady", nil},
		{"a-control-plane-without-a-pod", func(nodes []*node) {
			nodes[0].life.add(episode{kind: refusedNew, pod: 2, begin: at, end: long, reason: "ManifestInvalid", level: "critical"})
		}, "StaticPodManifestInvalid", nil},
		{"a-mistake-on-every-node", func(nodes []*node) { // what ran before runs on
			for _, n := range nodes {
				n.life.add(episode{kind: refused, pod: 4, begin: at, end: long, reason: "ManifestInvalid", level: "critical"})
			}
		}, "", map[string]int{"StaticPodManifestInvalid": 60}},
		{"all-rebooted-at-once", func(nodes []*node) {
			for _, n := range nodes {
				n.life.add(episode{kind: off, pod: -1, begin: at, end: at.Add(3 * time.Minute)})
				for pod := range n.pods {
					n.life.add(episode{kind: restart, pod: pod, begin: at, end: at.Add(7 * time.Minute)})
				}
			}
		}, "", nil},
		{"a-receiver-that-is-down", func(nodes []*node) {
			for _, n := range nodes[50:53] {
				n.life.add(episode{kind: unheard, pod: -1, begin: at, end: long})
			}
		}, "", map[string]int{"StaticPodTelemetryLost": 3}},
		{"a-node-that-goes-while-all-is-wrong", func(nodes []*node) { // what was told of it ends with its series
			n := nodes[40]
			failing(n, 3, at)
			n.life.add(episode{kind: refused, pod: 4, begin: at, end: long, reason: "ManifestInvalid", level: "critical"})
			n.life.add(episode{kind: unready, pod: 2, begin: at, end: long, reason: "Orphaned", level: "warning"})
			n.life.add(episode{kind: misconfigured, pod: -1, begin: at, end: long})
			n.life.add(episode{kind: blind, pod: -1, begin: at, end: long, input: "log", reason: "LogUnavailable", level: "warning"})
			n.life.add(episode{kind: off, pod: -1, begin: at.Add(10 * time.Minute), end: long})
		}, "", map[string]int{"StaticPodNotReady": 2, "StaticPodManifestInvalid": 1, "StaticPodLeftover": 1, "StaticPodConfigInvalid": 1, "StaticPodInputDown": 1, "StaticPodExporterDown": 1}},
		{"a-kubelet-that-is-down", func(nodes []*node) {
			nodes[7].life.add(episode{kind: blind, pod: -1, begin: at, end: long, input: "kubelet", reason: "KubeletDown", level: "critical"})
		}, "StaticPodInputDown", nil},
	}
	var fleets []*Fleet
	for i, test := range tests {
		f := newFleet(t, Options{Job: test.job, Nodes: 60, Pods: 5, Seed: uint64(i), Length: length, Interval: 30 * time.Second})
		test.happens(f.nodes)
		for _, n := range f.nodes {
			n.life.sort()
		}
		fleets = append(fleets, f)
	}
	fired := judge(t, at, fleets...)
	for _, test := range tests {
		t.Run(test.job, func(t *testing.T) {
			var critical []string
			warnings := map[string]int{}
			for _, firing := range fired {
				if firing.Labels["job"] != test.job {
					continue
				}
				if firing.Severity == "critical" {
					critical = append(critical, firing.Name)
				} else {
					warnings[firing.Name]++
				}
				if firing.Ended.IsZero() || len(firing.Times) != 1 {
					t.Errorf("it does not fire once and end: %s", firing)
				}
			}
			if got := strings.Join(critical, " "); got != test.critical {
				t.Errorf("pages %q, want %q", got, test.critical)
			}
			for name, count := range test.warnings {
				if warnings[name] != count {
					t.Errorf("%d tickets %s, want %d", warnings[name], name, count)
				}
				delete(warnings, name)
			}
			if len(warnings) > 0 {
				t.Errorf("tickets for nothing: %v", warnings)
			}
		})
	}
	if i := slices.IndexFunc(fired, func(f Firing) bool { return f.Name == "StaticPodFleetNotReady" }); i >= 0 {
		if said := fired[i].Annotations["description"]; !strings.HasPrefix(said, "3% of the static pods of three-in-a-hundred-pods ") || !strings.HasSuffix(said, " ImagePullFailed 9.") {
			t.Errorf("the page says %q", said)
		}
	}
}
