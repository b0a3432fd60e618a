package status

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// probeFacts is what a container's own probes let it take. It is comparable.
type probeFacts struct {
	startup, liveness, readiness probe

	started bool      // the startup probe has succeeded, or there is none
	since   time.Time // when that was first seen; zero when it always was so
	// expired is when the attempt before ended for taking longer to start than the startup probe allows; zero when
	// it did not, or this one has started.
	expired time.Time
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

// follow tells from the facts before what these do not: when startup probes succeeded, and which never did.
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
		case c.exit.known && c.exit.ended.After(b.exit.ended) && !b.probes.started && b.state == StateRunning:
			if p := c.probes.startup; c.exit.ended.Sub(c.exit.started) >= p.patience()-p.period { // the first probe comes at once
				c.probes.expired = c.exit.ended
			}
		default:
			c.probes.expired = b.probes.expired
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
