package telemetry

import (
	"context"
	"encoding/binary"
	"math/rand/v2"

	"go.opentelemetry.io/otel/trace"
)

// WithIDs returns a context in which the next span that Rollouts starts has these IDs: a root has both, a child the
// span ID, if it is of that trace. Each span needs a context of its own, or it takes the IDs of another.
//
// A trace whose IDs are derived from what it is about can be told again, after a restart, and is still the same one.
func WithIDs(ctx context.Context, traceID trace.TraceID, spanID trace.SpanID) context.Context {
	return context.WithValue(ctx, wantedKey{}, wanted{traceID, spanID})
}

type wantedKey struct{}

type wanted struct {
	trace trace.TraceID
	span  trace.SpanID
}

// ids gives the IDs that the context asks for, else random ones.
type ids struct{}

func (ids) NewIDs(ctx context.Context) (trace.TraceID, trace.SpanID) {
	if w, ok := ctx.Value(wantedKey{}).(wanted); ok && w.trace.IsValid() && w.span.IsValid() {
		return w.trace, w.span
	}
	var t trace.TraceID
	for !t.IsValid() {
		binary.NativeEndian.PutUint64(t[:8], rand.Uint64())
		binary.NativeEndian.PutUint64(t[8:], rand.Uint64())
	}
	return t, randomSpan()
}

func (ids) NewSpanID(ctx context.Context, t trace.TraceID) trace.SpanID {
	if w, ok := ctx.Value(wantedKey{}).(wanted); ok && w.trace == t && w.span.IsValid() {
		return w.span
	}
	return randomSpan()
}

func randomSpan() trace.SpanID {
	var s trace.SpanID
	for !s.IsValid() {
		binary.NativeEndian.PutUint64(s[:], rand.Uint64())
	}
	return s
}
