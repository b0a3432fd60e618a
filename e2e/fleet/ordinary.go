package fleet

import (
	"math/rand/v2"
	"time"
)

// Ordinary lets happen to the fleet what does on any day, much of it to each node about once: definitions are rolled out,
// nodes are rebooted, kubelets and runtimes restarted, the exporter upgraded, containers end and are started again. Some
// of it is worth a ticket: an image that takes long, a mistake in an edit, a node that is switched off for a while.
func (f *Fleet) Ordinary() {
	const day = 24 * time.Hour
	for i, n := range f.nodes {
		d := &draw{rand.New(rand.NewPCG(f.o.Seed, 1<<32|uint64(i))), f.o.Start, f.o.Length}
		for _, t := range d.times(day / 2) {
			d.reboot(n, t)
		}
		for _, t := range d.times(day) {
			d.restartKubelet(n, t)
		}
		for _, t := range d.times(4 * day) {
			n.life.add(episode{kind: blind, pod: -1, begin: t, end: t.Add(d.between(5*time.Second, 30*time.Second)), input: "runtime", reason: "RuntimeDown", level: "critical"})
		}
		for j := range n.pods {
			for _, t := range d.times(5 * day) {
				n.life.add(episode{kind: restart, pod: j, begin: t, end: t.Add(d.between(2*time.Second, 20*time.Second)), reason: "ContainerExited", level: "critical"})
			}
		}
		if i%10 == 9 { // a job of the node's, done long ago
			last := len(n.pods) - 1
			n.life.add(episode{kind: completed, pod: last, begin: n.born.Add(time.Minute), end: f.end(), reason: "Completed", level: "info"})
		}
		// One node in five has something that is worth a ticket.
		switch at := f.o.Start.Add(d.between(f.o.Length/10, f.o.Length*8/10)); i % 20 {
		case 3:
			d.mistake(n, at)
		case 8:
			n.life.add(episode{kind: off, pod: -1, begin: at, end: at.Add(d.between(15*time.Minute, 40*time.Minute))})
		case 13:
			n.life.add(episode{kind: gap, pod: -1, begin: at, end: at})
		}
		// The exporter is upgraded from node to node, in an hour.
		upgrade := f.o.Start.Add(f.o.Length / 3).Add(d.between(0, time.Hour))
		n.life.add(episode{kind: exporting, pod: -1, begin: upgrade, end: upgrade.Add(d.between(time.Second, 20*time.Second))})
		// Three definitions a day change on every node, in half an hour each, and the control plane is upgraded pod by pod.
		for k := range max(1, int(3*f.o.Length/day)) {
			begin := f.o.Start.Add(f.o.Length * time.Duration(3*k+1) / time.Duration(3*max(1, int(3*f.o.Length/day)))).Add(d.between(0, 30*time.Minute))
			d.rollOut(n, len(n.pods)-2-k, begin, k == 0 && i%20 == 18)
		}
		begin := f.o.Start.Add(f.o.Length / 2).Add(d.between(0, 2*time.Hour))
		for j, p := range n.pods {
			if p.namespace == "kube-system" {
				n.life.add(episode{kind: rollout, pod: j, begin: begin, end: begin.Add(d.between(10*time.Second, 100*time.Second))})
				begin = begin.Add(3 * time.Minute)
			}
		}
		n.life.sort()
	}
}

func (f *Fleet) end() time.Time { return f.o.Start.Add(f.o.Length) }

// A draw is the luck of one node.
type draw struct {
	*rand.Rand
	start  time.Time
	length time.Duration
}

func (d *draw) between(low, high time.Duration) time.Duration {
	return low + time.Duration(d.Float64()*float64(high-low))
}

// times returns when something happens that does once in every on average.
func (d *draw) times(every time.Duration) []time.Time {
	var all []time.Time
	for t := d.start; ; {
		t = t.Add(time.Duration(d.ExpFloat64() * float64(every)))
		if !t.Before(d.start.Add(d.length)) {
			return all
		}
		all = append(all, t)
	}
}

// reboot shuts the node down. It is away for a minute or two, and its pods take some time after that.
func (d *draw) reboot(n *node, t time.Time) {
	away := t.Add(d.between(5*time.Second, 30*time.Second))
	back := away.Add(d.between(45*time.Second, 150*time.Second))
	n.life.add(episode{kind: off, pod: -1, begin: away, end: back})
	n.life.add(episode{kind: noted, pod: -1, begin: back, end: back.Add(d.between(5*time.Second, 15*time.Second)), reason: "KubeletSourcesNotReady", level: "warning"})
	for j := range n.pods {
		n.life.add(episode{kind: unready, pod: j, begin: t, end: away, reason: "NodeShutdown", level: "critical"})
		n.life.add(episode{kind: restart, pod: j, begin: away, end: back.Add(d.between(5*time.Second, 150*time.Second))})
	}
}

// restartKubelet leaves containers alone; but of pods nothing is known meanwhile.
func (d *draw) restartKubelet(n *node, t time.Time) {
	up := t.Add(d.between(3*time.Second, 40*time.Second))
	n.life.add(episode{kind: blind, pod: -1, begin: t, end: up, input: "kubelet", reason: "KubeletDown", level: "critical"})
	n.life.add(episode{kind: noted, pod: -1, begin: up, end: up.Add(d.between(5*time.Second, 15*time.Second)), reason: "KubeletSourcesNotReady", level: "warning"})
}

// rollOut changes a definition. Some images come slowly.
func (d *draw) rollOut(n *node, pod int, t time.Time, slow bool) {
	e := episode{kind: rollout, pod: pod, begin: t, end: t.Add(d.between(8*time.Second, 120*time.Second))}
	if slow {
		e.end = t.Add(d.between(7*time.Minute, 12*time.Minute))
		e.reason, e.level, e.after = "ImagePullSlow", "warning", 2*time.Minute
	}
	n.life.add(e)
}

// mistake makes an edit that is refused, and mended some minutes later.
func (d *draw) mistake(n *node, t time.Time) {
	pod := len(n.pods) - 1 - d.IntN(len(n.pods)-4)
	end := t.Add(d.between(3*time.Minute, 20*time.Minute))
	n.life.add(episode{kind: refused, pod: pod, begin: t, end: end, reason: "ManifestInvalid", level: "critical"})
	n.life.add(episode{kind: noted, pod: pod, begin: t, end: end, reason: "LastRevisionKept", level: "warning"})
}
