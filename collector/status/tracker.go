package status

import (
	"sync"
	"sync/atomic"

	"github.com/staticpod-exporter/staticpod-exporter/collector"
)

// memory is what Derive remembers besides what a Snapshot shows: latched refusals and the like.
type memory struct{}

// A Tracker holds the latest Snapshot. Readers take it with Latest and learn of the next by Changed.
type Tracker struct {
	latest  atomic.Pointer[Snapshot]
	mu      sync.Mutex
	changed chan struct{}
}

// NewTracker returns a Tracker that has no Snapshot yet.
func NewTracker() *Tracker {
	return &Tracker{changed: make(chan struct{})}
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
	next := Derive(t.latest.Load(), o)
	t.latest.Store(next)
	close(t.changed)
	t.changed = make(chan struct{})
	return next
}
