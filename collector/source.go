package collector

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/staticpod-exporter/staticpod-exporter/collector/kubelet"
	"github.com/staticpod-exporter/staticpod-exporter/collector/mirror"
)

// A source is an input that is asked. It belongs to the goroutine of Run; only the question itself runs
// elsewhere, one at a time.
type source[V any] struct {
	state   InputState
	view    *V
	ask     func(ctx context.Context, resync bool) (*V, error) // nil when it is not configured
	changed func() <-chan struct{}
	healthy func() bool // whether its changes are told

	wake   <-chan struct{}
	dirty  time.Time // when to ask because of a change; zero for not
	resync time.Time // when to ask anew in any case
	begun  time.Time // of the question under way
	// resynced is when it was last asked anew.
	resynced time.Time
	asking   bool
	hangs    bool // the question under way is past its deadline
	asked    int
	limit    time.Duration
}

// listen takes the channel of changes, unless it is closed because of one that has yet to be looked at.
func (s *source[V]) listen() {
	s.wake = nil
	if s.ask != nil && !s.asking && s.dirty.IsZero() {
		s.wake = s.changed()
	}
}

// stir has the source asked soon: not at once, because changes come in bursts, nor all the time.
func (s *source[V]) stir(now time.Time) {
	s.dirty = latest(now.Add(coalesce), s.begun.Add(2*s.state.Duration))
}

// suspect has a source that answers asked because another one has news: one that does not tell its changes, and
// with more of it one that does, because it does not tell everything. More news does not put the question off.
func (s *source[V]) suspect(now time.Time, more bool) {
	switch {
	case s.ask == nil || !s.state.Up:
	case !s.healthy():
		if s.dirty.IsZero() {
			s.dirty = now.Add(hearsay)
		}
	case more:
		s.resync = earliest(s.resync, latest(now.Add(hearsay), s.resynced.Add(retryInterval)))
	}
}

// begin asks the question that is due.
func (s *source[V]) begin(ctx context.Context, now time.Time, c *Collector, questions *sync.WaitGroup) {
	resync := !now.Before(s.resync)
	if s.ask == nil || s.asking || !resync && (s.dirty.IsZero() || now.Before(s.dirty)) {
		return
	}
	s.asking, s.hangs, s.begun, s.dirty, s.limit = true, false, now, time.Time{}, c.options.Timeout
	if resync {
		s.resynced = now
	}
	asked, span := c.cycle.ask(s.state.Input, resync)
	questions.Go(func() {
		question, cancel := context.WithTimeout(asked, s.limit)
		defer cancel()
		view, err := s.ask(question, resync)
		fail(span, err)
		span.End()
		select {
		case c.answers <- func(now time.Time) { s.answer(now, c, resync, view, err) }:
		case <-ctx.Done():
		}
	})
}

// answer takes what the source said. Only a question that was asked anew puts off the next such one: on a busy node
// changes never pause for as long as an interval.
func (s *source[V]) answer(now time.Time, c *Collector, resync bool, view *V, err error) {
	s.asking, s.hangs = false, false
	s.asked++
	s.state.Duration = now.Sub(s.begun)
	s.state.Unauthorized = errors.Is(err, kubelet.ErrUnauthorized) || errors.Is(err, mirror.ErrUnauthorized)
	s.state.SourcesNotReady = errors.Is(err, kubelet.ErrSourcesNotReady)
	if s.state.SourcesNotReady && view != nil {
		err = nil // the kubelet says what it has: it is up
	}
	if err == nil && view == nil {
		err = errors.New("an empty answer")
	}
	c.transition(&s.state, now, err)
	due := s.resync
	s.resync = now.Add(min(retryInterval, c.options.ResyncInterval))
	if err == nil {
		s.view, s.state.LastSuccess = view, now
		if s.healthy() {
			s.resync = now.Add(c.options.ResyncInterval)
			if !resync {
				s.resync = earliest(due, s.resync)
			}
		}
	}
}

// overdue takes a question that is past its deadline for an answer: whoever does not keep it hangs. Should the
// answer come after all, it counts.
func (s *source[V]) overdue(now time.Time, c *Collector) {
	if !s.asking || s.hangs || now.Before(s.begun.Add(s.limit+lateness)) {
		return
	}
	s.hangs = true
	s.asked++
	c.transition(&s.state, now, fmt.Errorf("no answer within %s", s.limit))
	c.publish(now)
}

// answered reports whether the source has nothing to wait for at the start.
func (s *source[V]) answered() bool { return s.ask == nil || s.asked > 0 }

// fresh reports whether the source was asked so lately that its answer is worth waiting for.
func (s *source[V]) fresh(now time.Time) bool { return s.asking && now.Before(s.freshUntil()) }

func (s *source[V]) freshUntil() time.Time {
	if !s.asking {
		return time.Time{}
	}
	return s.begun.Add(coalesce)
}

// next is when the source has to be looked at; zero for not before it answers.
func (s *source[V]) next() time.Time {
	switch {
	case s.ask == nil || s.asking && s.hangs:
		return time.Time{}
	case s.asking:
		return s.begun.Add(s.limit + lateness)
	}
	return earliest(s.dirty, s.resync)
}

// earliest of the times that are not zero; zero when all are.
func earliest(times ...time.Time) time.Time {
	var first time.Time
	for _, t := range times {
		if first.IsZero() || !t.IsZero() && t.Before(first) {
			first = t
		}
	}
	return first
}

func latest(times ...time.Time) time.Time {
	var last time.Time
	for _, t := range times {
		if t.After(last) {
			last = t
		}
	}
	return last
}

// messageLimit is how much of an error is kept.
const messageLimit = 1024

func clip(s string) string {
	if len(s) <= messageLimit {
		return s
	}
	return strings.ToValidUTF8(s[:messageLimit-len("…")], "") + "…"
}
