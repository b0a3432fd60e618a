package matrix

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/staticpod-exporter/staticpod-exporter/e2e/exporter"
)

// told is all that an exporter's watch ever told: what is, and what was, however short.
type told struct {
	mu      sync.Mutex
	now     map[string]exporter.Status
	past    map[string][]was // by ID, oldest first
	onsets  []onset
	skipped uint64 // changes of a status that were not told: a watch tells the difference when it is slower than they are
	log     io.Writer
	changed chan struct{}
}

// was is a status that was told at a time.
type was struct {
	at time.Time
	exporter.Status
}

// An onset is a problem that began.
type onset struct {
	at time.Time // when we heard of it
	id string    // of the status
	exporter.Problem
}

func (o onset) String() string {
	return fmt.Sprintf("%s %s %s %s: %s %q (%s:%d %s)", o.at.Format("15:04:05.000"), o.id, o.Level, o.Reason, o.Detail, o.Message, o.Path, o.Line, o.Field)
}

func newTold(log io.Writer) *told {
	return &told{now: map[string]exporter.Status{}, past: map[string][]was{}, log: log, changed: make(chan struct{})}
}

// follow watches until ctx is done, over the exporter's restarts.
func (w *told) follow(ctx context.Context, e *exporter.Exporter) {
	for ctx.Err() == nil {
		initial := map[string]bool{} // nil once they are all told
		e.Watch(ctx, func(event exporter.Event) {
			w.hear(event, initial)
			if event.Event == "bookmark" {
				initial = nil
			}
		})
		select {
		case <-ctx.Done():
		case <-time.After(scrapeInterval): // the exporter restarts
		}
	}
}

func (w *told) hear(event exporter.Event, initial map[string]bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	id := event.Metadata.ID
	fmt.Fprintf(w.log, "%s %s %s: %s\n", time.Now().Format("15:04:05.000"), event.Event, id, describe(event.Status, event.Event != "destroyed"))
	switch event.Event {
	case "created", "updated":
		w.past[id] = append(w.past[id], was{time.Now(), event.Status})
		before, ok := w.now[id]
		if version := before.Metadata.Version; ok && event.Metadata.Version > version+1 {
			w.skipped += event.Metadata.Version - version - 1
		}
		for _, p := range event.Spec.Problems {
			known := slices.ContainsFunc(before.Spec.Problems, func(q exporter.Problem) bool { return same(p, q) })
			// A file whose pod becomes known is no longer a status of its own, and has the same problem.
			moved := p.Path != "" && slices.ContainsFunc(w.onsets, func(o onset) bool { return same(p, o.Problem) })
			if !known && !moved {
				w.onsets = append(w.onsets, onset{time.Now(), id, p})
			}
		}
		w.now[id] = event.Status
		if initial != nil {
			initial[id] = true
		}
	case "destroyed":
		delete(w.now, id)
	case "bookmark":
		for id := range w.now {
			if initial != nil && !initial[id] {
				delete(w.now, id)
			}
		}
	}
	close(w.changed)
	w.changed = make(chan struct{})
}

// same reports whether two problems are one: a later one of the kind has another onset.
func same(p, q exporter.Problem) bool {
	placed := (p.Path == "") != (q.Path == "") // it was found before its place was known
	return p.Reason == q.Reason && p.Detail == q.Detail && p.Since.Equal(q.Since) &&
		(placed || p.Path == q.Path && p.Line == q.Line && p.Field == q.Field)
}

// status returns what is told of one status.
func (w *told) status(id string) (exporter.Status, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s, ok := w.now[id]
	return s, ok
}

// of lists the onsets that any of those statuses had since a time.
func (w *told) of(since time.Time, ids ...string) (found []onset) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, o := range w.onsets {
		if slices.Contains(ids, o.id) && !o.at.Before(since) {
			found = append(found, o)
		}
	}
	return found
}

// unseen is how many changes there were that the watch did not tell of one by one.
func (w *told) unseen() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.skipped
}

// since lists the onsets since a time.
func (w *told) since(t time.Time) (found []onset) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, o := range w.onsets {
		if !o.at.Before(t) {
			found = append(found, o)
		}
	}
	return found
}

// until waits until what is told passes the check, which is called with w locked.
func (w *told) until(ctx context.Context, patience time.Duration, id string, check func(s exporter.Status, ok bool) error) (exporter.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		w.mu.Lock()
		s, ok := w.now[id]
		changed := w.changed
		err := check(s, ok)
		w.mu.Unlock()
		if err == nil {
			return s, nil
		}
		select {
		case <-ctx.Done():
			return s, fmt.Errorf("%s: %w, after %s; it is %s", id, err, patience, describe(s, ok))
		case <-changed:
		}
	}
}

// once waits until what is told, or was since a time, passes the check.
func (w *told) once(ctx context.Context, since time.Time, patience time.Duration, id string, check func(s exporter.Status) error) (exporter.Status, error) {
	return w.until(ctx, patience, id, func(s exporter.Status, _ bool) error {
		err := errors.New("it was not told")
		past := w.past[id] // until holds the lock
		for i, told := range past {
			if i+1 < len(past) && past[i+1].at.Before(since) {
				continue // it was over then
			}
			if err = check(told.Status); err == nil {
				return nil
			}
		}
		return err
	})
}

// describe says what there is to say of a status.
func describe(s exporter.Status, ok bool) string {
	if !ok {
		return "not there"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "ready %t, stale %t, phase %q, reason %q, UID %s", s.Spec.Ready, s.Spec.Stale, s.Spec.Phase, s.Spec.Reason, s.Spec.Pod.UID)
	for _, p := range s.Spec.Problems {
		fmt.Fprintf(&b, "\n\t%s %s %s: %q (%s:%d %s)", p.Level, p.Reason, p.Detail, p.Message, p.Path, p.Line, p.Field)
	}
	for _, c := range s.Spec.Containers {
		fmt.Fprintf(&b, "\n\t%s container %s is %s %s, ready %t, %d restarts", c.Kind, c.Name, c.State, c.Reason, c.Ready, c.RestartCount)
		if c.LastExit != nil {
			fmt.Fprintf(&b, ", exited %d %s", c.LastExit.Code, c.LastExit.Reason)
		}
	}
	return b.String()
}
