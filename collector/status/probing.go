package status

import (
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

// probeProblem is what is known of a probe that the kubelet had to act on.
func (f *findings) probeProblem(c *container, reason manifest.Reason, kind string) (p manifest.Problem, ok bool) {
	limits := c.probes.of(kind)
	w, ok := f.words.find(reason, c.Name)
	if !ok || limits.failures == 0 || w.Killed.IsZero() {
		return p, false
	}
	// It is about this attempt, or the one before.
	this := w.Killed.After(c.StartedAt) && !c.StartedAt.IsZero()
	if !this && !(c.exit.known && !w.Killed.Before(c.exit.started)) {
		return p, false
	}
	if c.State == StateRunning {
		// The next attempt is given the time in which it would have failed too.
		succeeded := reason == StartupFailing && !this && c.probes.started
		if succeeded || !f.lastsUntil(latest(w.Killed, c.StartedAt).Add(limits.patience()+outlives)) {
			return p, false
		}
	}
	message := "the " + strings.ToLower(kind) + " probe of container " + c.Name + " fails, for which the kubelet restarts it"
	if w.Message != "" {
		message += ": " + w.Message
	}
	return manifest.Problem{Message: message, Since: w.First}, true
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
