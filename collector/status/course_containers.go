package status

import (
	"slices"
	"time"

	"github.com/staticpod-exporter/staticpod-exporter/cri"
)

// An attempt is a container that was made, by the runtime's times or else by the kubelet's, which are seconds.
type attempt struct {
	made, started, ended time.Time // zero when it did not happen
	well                 bool      // it ended with 0
	coarse               bool
}

// start is the part of the containers: the init containers one after another, then the others, each of which the kubelet
// makes once it has started the one before. It reports whether all have started.
func (c *course) start(p *podFacts) bool {
	if len(c.sandboxes) == 0 && c.running() {
		return true // it runs on as it did before
	}
	base, all := c.at, c.expected(p)
	for i := range all {
		if all[i].kind == KindApp {
			continue
		}
		at, ok := c.begun(&all[i], []time.Time{base})
		if !ok {
			return false
		}
		base = latest(base, at)
	}
	started, every := []time.Time{base}, true
	for i := range all {
		if all[i].kind != KindApp || !every && c.untouched(&all[i]) {
			continue // the kubelet is at another one
		}
		at, ok := c.begun(&all[i], started)
		if every = every && ok; ok {
			started = append(started, at)
		}
	}
	return every
}

// untouched reports whether nothing is known of a container but that it is to be.
func (c *course) untouched(k *containerFacts) bool {
	begun, _ := c.words.pullOf(k.name)
	if !begun.IsZero() || len(c.attemptsAt(k)) > 0 || c.now.step(StepContainer, k.name) != nil {
		return false
	}
	_, hindered := c.obstacleOf(Step{Name: StepPull, Container: k.name})
	return !hindered
}

// expected are the containers of the pod, in its order.
func (c *course) expected(p *podFacts) []containerFacts {
	d := c.definition()
	switch {
	case p != nil:
		return p.containers
	case d != nil && d.Pod != nil && string(d.UID) == c.now.UID:
		return definedContainers(&d.Pod.Spec)
	}
	var all []containerFacts
	for _, s := range c.sandboxes {
		for _, a := range s.Containers {
			if !slices.ContainsFunc(all, func(k containerFacts) bool { return k.name == a.Name }) {
				all = append(all, containerFacts{name: a.Name, kind: KindApp})
			}
		}
	}
	return all
}

// begun is the part of one container, after others. It reports whether it is done with, and when: when the container
// has started, or has ended well if it is an init container.
func (c *course) begun(k *containerFacts, after []time.Time) (at time.Time, ok bool) {
	if c.done(StepContainer, k.name) {
		at = c.at
		if was := c.old.step(StepPull, k.name); was != nil && was.End.IsZero() {
			c.pull(k, was.Start, c.now.step(StepContainer, k.name).Start)
		}
		return at, true
	}
	attempts := c.attemptsAt(k)
	if len(attempts) == 0 {
		c.pull(k, latest(after...), time.Time{})
		return at, false
	}
	first := attempts[0]
	base := after[0]
	for _, t := range after {
		if !t.After(first.made) {
			base = latest(base, t)
		}
	}
	c.pull(k, base, first.made)
	for _, a := range attempts {
		end := a.started
		if k.kind == KindInit {
			end = a.ended
		}
		if end.IsZero() || k.kind == KindInit && !a.well {
			continue
		}
		s := Step{Name: StepContainer, Container: k.name, Start: first.made, End: end}
		if a.coarse {
			c.coarse(s)
		} else {
			c.pass(s)
		}
		return end, true
	}
	c.open(StepContainer, k.name, first.made)
	return at, false
}

// pull is the time in which the container's image is pulled: as the log says, else until the container is made.
func (c *course) pull(k *containerFacts, base, made time.Time) {
	begun, ended := c.words.pullOf(k.name)
	switch {
	case ended.Before(base): // or never
	case begun.IsZero():
		return // its image was there already
	case !begun.Before(base):
		c.pass(Step{Name: StepPull, Container: k.name, Start: begun, End: ended})
		return
	}
	if made.IsZero() || !c.final && !c.reached(made.Add(second)) { // the log may be read later than the runtime's event
		c.open(StepPull, k.name, latest(base, begun))
	} else {
		c.pass(Step{Name: StepPull, Container: k.name, Start: base, End: made})
	}
}

// attemptsAt lists the attempts at a container since the rollout began, oldest first. The kubelet's word stands for a
// runtime that is not asked, and for what the runtime no longer has.
func (c *course) attemptsAt(k *containerFacts) []attempt {
	var all []attempt
	for _, s := range c.sandboxes {
		for _, a := range s.Containers {
			if a.Name != k.name || plain(a.Created).Before(c.now.Started) {
				continue
			}
			next := attempt{made: plain(a.Created), started: plain(a.Started)}
			if a.State == cri.Exited {
				next.ended, next.well = plain(a.Finished), a.ExitCode == 0
				if neverStarted(a.Reason) {
					next.started = time.Time{}
				}
			}
			all = append(all, next)
		}
	}
	slices.SortStableFunc(all, func(a, b attempt) int { return a.made.Compare(b.made) })
	if len(all) > 0 || c.r.world.runtime.configured && k.kind != KindInit {
		return all
	}
	a := attempt{made: k.startedAt, started: k.startedAt, coarse: true}
	if k.exit.known {
		a = attempt{made: k.exit.started, ended: k.exit.ended, well: k.exit.code == 0, coarse: true}
		if !neverStarted(k.exit.reason) {
			a.started = k.exit.started
		}
	}
	if a.made.IsZero() || !a.made.Add(second).After(c.now.Started) {
		return nil
	}
	return []attempt{a}
}
