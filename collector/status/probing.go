package status

import (
	"fmt"
	"strings"
	"time"

	"github.com/staticpod-exporter/staticpod-exporter/manifest"
)

// judgeProbes finds a container that the kubelet ends, or is about to, for a probe of its. Failures below the probe's
// threshold are none: that is what it is there for.
func (f *findings) judgeProbes(c *container) {
	for _, probe := range []struct {
		reason manifest.Reason
		kind   string
	}{{StartupFailing, "Startup"}, {LivenessFailing, "Liveness"}} {
		p, ok := f.probeProblem(c, probe.reason, probe.kind)
		if !ok {
			continue
		}
		p.Reason, p.Field = probe.reason, c.field()
		f.add(p)
	}
}

// probeProblem is by the log, and for startup probes by the kubelet's status alone too.
func (f *findings) probeProblem(c *container, reason manifest.Reason, kind string) (manifest.Problem, bool) {
	limits := c.probes.of(kind)
	if w, ok := f.words.find(reason, c.Name); ok && limits.failures > 0 && !w.Killed.IsZero() {
		// The next attempt is given the time in which it would have failed too.
		again := latest(w.Killed, c.StartedAt).Add(limits.patience() + outlives)
		// It is about this attempt, or the one before.
		of := !w.Killed.Before(c.StartedAt) && !c.StartedAt.IsZero() || c.exit.known && !w.Killed.Before(c.exit.started)
		if of && (c.State != StateRunning || f.lastsUntil(again)) {
			message := "the " + strings.ToLower(kind) + " probe of container " + c.Name + " fails, for which the kubelet restarts it"
			if w.Message != "" {
				message += ": " + w.Message
			}
			return manifest.Problem{Message: message, Since: w.First}, true
		}
	}
	if at := c.probes.expired; reason == StartupFailing && !at.IsZero() {
		message := fmt.Sprintf("container %s ended without its startup probe having succeeded in the %s that it allows", c.Name, limits.patience())
		return manifest.Problem{Message: message, Since: at}, true
	}
	return manifest.Problem{}, false
}

// endedForProbe reports whether the kubelet ended a container for a probe: that is the problem, not the exit.
func (f *findings) endedForProbe(c *container) bool {
	p, ok := f.probed(c)
	return ok && !p.Since.After(c.exit.ended)
}

// probed returns the problem that was found with a probe of a container.
func (f *findings) probed(c *container) (manifest.Problem, bool) {
	for _, p := range f.problems {
		if (p.Reason == LivenessFailing || p.Reason == StartupFailing) && p.Field == c.field() {
			return p, true
		}
	}
	return manifest.Problem{}, false
}

// probeCause is what of a crash loop a probe is the cause of.
func (f *findings) probeCause(c *container) string {
	if p, ok := f.probed(c); ok {
		return "; " + p.Message
	}
	return ""
}

// probeSays is what the log has on a probe that failed about when a time was, or since.
func (f *findings) probeSays(c *container, reason manifest.Reason, since time.Time) string {
	w, ok := f.words.find(reason, c.Name)
	if !ok || w.Message == "" || w.Last.Before(since.Add(-2*c.probes.readiness.next())) {
		return ""
	}
	return "; " + c.Name + ": " + w.Message
}
