package status

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/staticpod-exporter/staticpod-exporter/collector/kubeletlog"
)

// probeFacts is what a container's own probes let it take. It is comparable.
type probeFacts struct {
	startup, liveness, readiness probe

	started bool      // the startup probe has succeeded, or there is none
	since   time.Time // when that was first seen; zero when it always was so
}

// probe is zero when there is none.
type probe struct {
	delay, period, timeout time.Duration
	failures, successes    int
}

func newProbe(p *corev1.Probe) probe {
	if p == nil {
		return probe{}
	}
	return probe{
		delay: seconds(p.InitialDelaySeconds), period: seconds(p.PeriodSeconds), timeout: seconds(p.TimeoutSeconds),
		failures: int(p.FailureThreshold), successes: int(p.SuccessThreshold),
	}
}

// patience is how long a container may take from its start until the kubelet acts on the probe.
func (p probe) patience() time.Duration { return p.delay + time.Duration(p.failures)*p.period }

// next is how long after a failure the one that follows it comes, if no probe succeeds between them. The kubelet
// does not log success: two failures that are farther apart than that are not in a row.
func (p probe) next() time.Duration { return max(p.period, p.timeout) * 3 / 2 }

// of returns the probe of a type, as the kubelet's log calls it.
func (f probeFacts) of(kind string) probe {
	switch kind {
	case "Startup":
		return f.startup
	case "Liveness":
		return f.liveness
	case "Readiness":
		return f.readiness
	}
	return probe{}
}

func newProbeFacts(c *corev1.Container, s *corev1.ContainerStatus) probeFacts {
	f := probeFacts{startup: newProbe(c.StartupProbe), liveness: newProbe(c.LivenessProbe), readiness: newProbe(c.ReadinessProbe), started: true}
	if c.StartupProbe != nil {
		f.started = s != nil && s.Started != nil && *s.Started
	}
	return f
}

func seconds(n int32) time.Duration { return time.Duration(n) * time.Second }

// follow tells from the facts before what these do not: when startup probes succeeded.
func (f *podFacts) follow(before *podFacts, now time.Time) {
	for i := range f.containers {
		c := &f.containers[i]
		j := slices.IndexFunc(before.containers, func(b containerFacts) bool { return b.name == c.name })
		if j < 0 {
			continue
		}
		b := &before.containers[j]
		switch {
		case c.probes.started && b.id != c.id:
		case c.probes.started && b.probes.started:
			c.probes.since = b.probes.since
		case c.probes.started:
			c.probes.since = now
		}
	}
}

// expired finds a container that ended after all the time that its startup probe allows, without having started.
func (f *podFacts) expired(before *podFacts) (c *containerFacts, ok bool) {
	for i := range f.containers {
		c := &f.containers[i]
		j := slices.IndexFunc(before.containers, func(b containerFacts) bool { return b.name == c.name })
		if j < 0 || !c.exit.known {
			continue
		}
		b, p := &before.containers[j], c.probes.startup
		waited := b.state == StateRunning && !b.probes.started && p.failures > 0
		// The first probe comes at once.
		if waited && c.exit.ended.After(b.exit.ended) && c.exit.ended.Sub(c.exit.started) >= p.patience()-p.period {
			return c, true
		}
	}
	return nil, false
}

// expire takes note of startup probes that never succeeded, which the kubelet's log says at verbosity 1 only.
func (r *round) expire() {
	if r.next.view == r.prev.memory.view {
		return
	}
	for _, before := range r.prev.memory.pods {
		p := r.next.podByKey[podKey{before.uid, before.namespace, before.name}]
		if p == nil || p == before {
			continue
		}
		c, ok := p.expired(before)
		if !ok {
			continue
		}
		if w, said := r.next.words[p.uid].find(StartupFailing, c.name); !said || !w.Killed.After(c.exit.started) {
			about := kubeletlog.Event{UID: p.uid, Namespace: p.namespace, Pod: p.name, At: c.exit.ended}
			r.word(about, func(w *podWords) { w.probeKills(StartupFailing, c.name, c.exit.ended) })
		}
	}
}

// readyBy is when each running container should be ready: a kubelet that was restarted probes them all anew.
func (f *podFacts) readyBy() time.Time {
	var at time.Time
	for i := range f.containers {
		c := &f.containers[i]
		if c.state != StateRunning || c.kind == KindInit {
			continue
		}
		begun := latest(c.startedAt, f.seen, c.probes.since)
		if !c.probes.started {
			begun = begun.Add(c.probes.startup.patience())
		}
		r := c.probes.readiness
		at = latest(at, latest(begun, c.startedAt.Add(r.delay)).Add(time.Duration(r.successes)*r.period))
	}
	return at
}
