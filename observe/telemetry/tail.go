package telemetry

import (
	"context"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

const (
	// slow is how long a collection takes that is kept for that.
	slow = time.Second
	// troubleInterval is the least time between two collections that are kept because they failed or were slow: an
	// input that is down for days fails every ten seconds.
	troubleInterval = time.Minute

	// What tail may hold: traces that are not over, spans of one, and traces that are over and decided, whose last
	// spans may be late because an input hangs.
	maxTraces  = 32
	maxSpans   = 1024
	maxDecided = 64
)

// changesKey is how many verdicts and definitions a collection has changed.
const changesKey = attribute.Key("staticpod.collection.changes")

// tail is the processor that decides which collections are exported. Those that were sampled from the start pass.
// Of the others it holds the spans until the root ends, and keeps the trace when something changed or, now and
// then, when it failed or was slow.
type tail struct {
	next sdktrace.SpanProcessor

	mu      sync.Mutex // guards what follows
	open    recent[[]sdktrace.ReadOnlySpan]
	decided recent[bool] // whether it was kept
	trouble time.Time    // when one was last kept because of trouble
}

func newTail(next sdktrace.SpanProcessor) *tail {
	return &tail{next: next, open: newRecent[[]sdktrace.ReadOnlySpan](maxTraces), decided: newRecent[bool](maxDecided)}
}

// OnStart has the spans of a trace held from when its root begins.
func (t *tail) OnStart(_ context.Context, s sdktrace.ReadWriteSpan) {
	if s.SpanContext().IsSampled() || !isRoot(s) {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.open.set(s.SpanContext().TraceID(), nil)
}

func isRoot(s sdktrace.ReadOnlySpan) bool { return !s.Parent().IsValid() || s.Parent().IsRemote() }

func (t *tail) OnEnd(s sdktrace.ReadOnlySpan) {
	if s.SpanContext().IsSampled() {
		t.next.OnEnd(s)
		return
	}
	for _, kept := range t.end(s) {
		t.next.OnEnd(sampled{kept})
	}
}

// end takes a span and returns those that are to be exported now.
func (t *tail) end(s sdktrace.ReadOnlySpan) []sdktrace.ReadOnlySpan {
	t.mu.Lock()
	defer t.mu.Unlock()
	id := s.SpanContext().TraceID()
	if kept, ok := t.decided.of[id]; ok {
		if kept {
			return []sdktrace.ReadOnlySpan{s}
		}
		return nil
	}
	spans, open := t.open.of[id]
	if !isRoot(s) {
		if open && len(spans) < maxSpans { // else it is too late: nobody knows any more what was decided
			t.open.set(id, append(spans, s))
		}
		return nil
	}
	t.open.forget(id)
	kept := t.keep(s)
	t.decided.set(id, kept)
	if !kept {
		return nil
	}
	return append(spans, s)
}

// keep decides by the root of a trace. t.mu is held.
func (t *tail) keep(root sdktrace.ReadOnlySpan) bool {
	for _, a := range root.Attributes() {
		if a.Key == changesKey && a.Value.AsInt64() > 0 {
			return true
		}
	}
	if root.Status().Code != codes.Error && root.EndTime().Sub(root.StartTime()) < slow {
		return false
	}
	if end := root.EndTime(); t.trouble.IsZero() || end.Sub(t.trouble) >= troubleInterval {
		t.trouble = end
		return true
	}
	return false
}

func (t *tail) Shutdown(ctx context.Context) error { return t.next.Shutdown(ctx) }

func (t *tail) ForceFlush(ctx context.Context) error { return t.next.ForceFlush(ctx) }

// sampled is a span that was only recorded, and is exported after all.
type sampled struct{ sdktrace.ReadOnlySpan }

func (s sampled) SpanContext() trace.SpanContext {
	c := s.ReadOnlySpan.SpanContext()
	return c.WithTraceFlags(c.TraceFlags().WithSampled(true))
}

// recent holds something of the traces that it was told of last.
type recent[T any] struct {
	of    map[trace.TraceID]T
	order []trace.TraceID // oldest first
	limit int
}

func newRecent[T any](limit int) recent[T] {
	return recent[T]{of: make(map[trace.TraceID]T, limit), order: make([]trace.TraceID, 0, limit), limit: limit}
}

// set tells of a trace; one too many pushes the oldest out.
func (r *recent[T]) set(id trace.TraceID, v T) {
	if _, ok := r.of[id]; !ok {
		if len(r.order) == r.limit {
			r.forget(r.order[0])
		}
		r.order = append(r.order, id)
	}
	r.of[id] = v
}

func (r *recent[T]) forget(id trace.TraceID) {
	if i := slices.Index(r.order, id); i >= 0 {
		r.order = slices.Delete(r.order, i, i+1)
	}
	delete(r.of, id)
}
