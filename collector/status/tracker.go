package status

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/staticpod-exporter/staticpod-exporter/collector"
)

// A Tracker holds the latest Snapshot. Readers take it with Latest and learn of the next by Changed.
type Tracker struct {
	latest  atomic.Pointer[Snapshot]
	mu      sync.Mutex
	changed chan struct{}
	// restored is what a former process left, if anything; it precedes the first Snapshot and is no Snapshot to
	// be seen.
	restored *Snapshot

	saving       sync.Mutex // guards what follows
	saved, tried saveMark
}

// Limits are what the configuration lets things take.
type Limits struct {
	// RolloutDeadline is how long a new revision may take to be Ready, besides its grace period and the time in
	// which images are pulled; 0 is DefaultRolloutDeadline.
	RolloutDeadline time.Duration
}

// NewTracker returns a Tracker that has no Snapshot yet.
func NewTracker(limits Limits) *Tracker {
	return &Tracker{changed: make(chan struct{}), restored: &Snapshot{memory: memory{limits: limits}}}
}

// Latest returns the latest Snapshot, nil before the first.
func (t *Tracker) Latest() *Snapshot { return t.latest.Load() }

// Changed returns a channel that closes when the Snapshot that Latest returned before is replaced. Take the
// channel first, then the Snapshot.
func (t *Tracker) Changed() <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.changed
}

// Observe derives the next Snapshot from o and publishes it.
func (t *Tracker) Observe(o *collector.Observation) *Snapshot {
	t.mu.Lock()
	defer t.mu.Unlock()
	prev := t.latest.Load()
	if prev == nil {
		prev = t.restored
	}
	next := Derive(prev, o)
	t.latest.Store(next)
	close(t.changed)
	t.changed = make(chan struct{})
	return next
}
