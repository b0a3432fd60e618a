package telemetry

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/staticpod-exporter/staticpod-exporter/collector/status"
)

// rolloutAge is how long ago a rollout may have ended that is told of for the first time: there is no end to what was
// rolled out before anybody asked for traces.
const rolloutAge = time.Hour

// retryInterval is how long after a failure the same is told again, with what has come since.
const retryInterval = time.Minute

// lastTimeout bounds what Run waits for a receiver at the end. What it does not tell then, the next process does.
const lastTimeout = 2 * time.Second

// Rollouts makes a trace of each rollout: a span for each step when it is done, and the span of the whole at its end.
//
// IDs and times are those of the rollout, so that what is told again is the same to the byte. What is to be told is
// written to a ledger first, and what has arrived is remembered there: a restart neither loses a span nor changes it.
type Rollouts struct {
	post *post // nil when no traces are exported
	path string
	log  *slog.Logger
	wake chan struct{}

	mu     sync.Mutex // guards what follows
	ledger ledger
	known  map[string]*status.Rollout // as last looked at, by trace ID
	now    time.Time                  // of the last look
}

// NewRollouts returns a Rollouts that keeps its ledger in a file. When no traces are exported it does nothing.
func (t *Telemetry) NewRollouts(path string) *Rollouts {
	if t.post == nil {
		return &Rollouts{}
	}
	return newRollouts(t.post, path, t.log)
}

func newRollouts(post *post, path string, log *slog.Logger) *Rollouts {
	r := &Rollouts{post: post, path: path, log: log, wake: make(chan struct{}, 1), known: map[string]*status.Rollout{}}
	var err error
	if r.ledger, err = readLedger(path); err != nil {
		log.Warn("traces of rollouts may be told twice", "err", err)
	}
	return r
}

// Observe takes down what of rollouts was done, for Run to tell. It does not wait. The span of ctx is that of the
// collection that saw it.
func (r *Rollouts) Observe(ctx context.Context, s *status.Snapshot) {
	if r.post == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	known := make(map[string]*status.Rollout, len(r.known))
	live := make(map[string]bool, len(r.known))
	news := false
	var seen spanRef
	if collection := trace.SpanFromContext(ctx); collection.IsRecording() { // it is exported, because something changed
		seen = newSpanRef(collection.SpanContext())
	}
	look := func(e status.EndedRollout) {
		live[e.Rollout.TraceID] = true
		if known[e.Rollout.TraceID] = e.Rollout; r.known[e.Rollout.TraceID] != e.Rollout {
			news = r.take(s.At, e, seen) || news
		}
	}
	for _, e := range s.Ended {
		look(e)
	}
	for _, st := range s.Statuses {
		if ro := st.Spec.Rollout; ro != nil {
			look(status.EndedRollout{ID: st.Metadata.ID, Pod: st.Spec.Pod, Definition: st.Spec.Definition, Rollout: ro})
		}
	}
	r.ledger.forget(live, s.At)
	r.known, r.now = known, s.At
	if news {
		r.stir()
	}
}

// take puts down what is done of one rollout and was not yet. r.mu is held.
func (r *Rollouts) take(now time.Time, e status.EndedRollout, seen spanRef) (news bool) {
	ro, over := e.Rollout, !e.Rollout.Ended.IsZero()
	told := r.ledger.trace(ro.TraceID)
	old := told.isNew() && over && now.Sub(ro.Ended) > rolloutAge
	put := func(id string, p part) {
		switch {
		case told.has(id):
		case old:
			told.tell(id)
		default:
			p.Pod, p.Definition, p.Seen, p.Rollout = e.Pod, e.Definition, seen, *ro
			p.Rollout.Steps = nil
			told.Waiting = append(told.Waiting, waiting{id, now, p})
			news = true
		}
	}
	var last *status.Step
	for _, step := range ro.Steps {
		if !step.End.IsZero() || over {
			put(ro.StepSpanID(step), part{Step: &step})
		}
		if step.End.IsZero() || step.Name == status.StepRejected {
			last = &step
		}
	}
	if over {
		put(ro.SpanID(), part{Last: last})
	}
	return news
}

// Run tells what Observe takes down, until ctx ends and once more then. What does not arrive is told again, after a
// while: what comes in the meantime waits with it.
func (r *Rollouts) Run(ctx context.Context) error {
	if r.post == nil {
		return nil
	}
	var failing error
	remember := func(err error) {
		switch {
		case err != nil && failing == nil:
			r.log.Error("the traces of rollouts cannot be remembered", "err", err)
		case err == nil && failing != nil:
			r.log.Info("the traces of rollouts are remembered again")
		}
		failing = err
	}
	var again <-chan time.Time
	r.stir() // what a former process left
	for {
		select {
		case <-ctx.Done():
		case <-r.wake:
			if again != nil && ctx.Err() == nil {
				remember(r.save())
				continue
			}
		case <-again:
		}
		if ctx.Err() != nil {
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastTimeout)
			defer cancel()
			_, err := r.tell(last)
			remember(err)
			return nil
		}
		arrived, err := r.tell(ctx)
		remember(err)
		if again = nil; !arrived {
			again = time.After(retryInterval)
		}
	}
}

// stir has Run look at what waits.
func (r *Rollouts) stir() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// save writes the ledger.
func (r *Rollouts) save() error {
	r.mu.Lock()
	data := r.ledger.marshal()
	r.mu.Unlock()
	return saveLedger(r.path, data)
}

// tell writes the ledger, tells what waits in it, as much at once as may be, and takes down what need not be told again.
// What cannot be written is told all the same; what nobody takes is given up when it has waited for long.
func (r *Rollouts) tell(ctx context.Context) (arrived bool, err error) {
	r.mu.Lock()
	pending := r.ledger.pending()
	r.mu.Unlock()
	if len(pending) == 0 {
		return true, nil
	}
	err = r.save()
	for some := range slices.Chunk(pending, r.post.batch) {
		if !r.post.deliver(ctx, some) {
			r.post.account.lose(r.settle(pending, func(w waiting) bool { return r.now.Sub(w.Since) > rolloutAge }))
			return false, r.save()
		}
		r.settle(some, func(waiting) bool { return true })
		err = r.save()
	}
	return true, err
}

// settle takes down those that need not be told again, and returns how many they are.
func (r *Rollouts) settle(all []waiting, done func(waiting) bool) (settled int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, w := range all {
		if done(w) && r.ledger.trace(w.Part.Rollout.TraceID).tell(w.ID) {
			settled++
		}
	}
	return settled
}
