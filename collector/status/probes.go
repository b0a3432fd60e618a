package status

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// probeFacts is how long a container may take to be ready, by its own probes. It is comparable.
type probeFacts struct {
	startup time.Duration // the longest that the startup probe lets it take; 0 without one
	delay   time.Duration // until the readiness probe begins, after the container started
	success time.Duration // that the readiness probe then takes to succeed
	started bool          // the startup probe has succeeded, or there is none
	since   time.Time     // when that was first seen; zero when it always was so
}

func newProbeFacts(c *corev1.Container, s *corev1.ContainerStatus) probeFacts {
	f := probeFacts{started: true}
	if p := c.StartupProbe; p != nil {
		f.startup = seconds(p.InitialDelaySeconds) + time.Duration(p.FailureThreshold)*seconds(p.PeriodSeconds)
		f.started = s.Started != nil && *s.Started
	}
	if p := c.ReadinessProbe; p != nil {
		f.delay = seconds(p.InitialDelaySeconds)
		f.success = time.Duration(p.SuccessThreshold) * seconds(p.PeriodSeconds)
	}
	return f
}

func seconds(n int32) time.Duration { return time.Duration(n) * time.Second }

// follow dates what the facts before did not have: the success of startup probes.
func (f *podFacts) follow(before *podFacts, now time.Time) {
	for i := range f.containers {
		c := &f.containers[i]
		j := slices.IndexFunc(before.containers, func(b containerFacts) bool { return b.name == c.name && b.id == c.id })
		switch {
		case j < 0 || !c.probes.started:
		case before.containers[j].probes.started:
			c.probes.since = before.containers[j].probes.since
		default:
			c.probes.since = now
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
			begun = begun.Add(c.probes.startup)
		}
		at = latest(at, latest(begun, c.startedAt.Add(c.probes.delay)).Add(c.probes.success))
	}
	return at
}
