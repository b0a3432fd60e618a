package collector

import "time"

// clockStep is how far a clock may be corrected, or a node stand still, without notice.
const clockStep = 2 * time.Second

// A clock is the node's, as it was looked at last. It may be set by hours when a node without one of its own has found out what
// time it is, and goes on so when a virtual machine does that stood still.
type clock struct {
	wall, run time.Time // by the time of day, and by what passes
}

// set reports whether the clock was set since it was looked at last.
func (c *clock) set(now time.Time) bool {
	before := *c
	*c = clock{now.Round(0), now}
	step := c.wall.Sub(before.wall) - now.Sub(before.run)
	return !before.wall.IsZero() && step.Abs() > clockStep
}

// clockSet dates an input that is up anew: whoever waits for time to pass since then would wait for hours, or has waited for
// nothing. One that is down has been so for as long as it says, if that is not yet to come.
func (s *InputState) clockSet(now time.Time) {
	if s.Configured && (s.Up || s.Since.Round(0).After(now.Round(0))) {
		s.Since = now
	}
}
