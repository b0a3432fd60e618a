package telemetry

import (
	"context"
	"errors"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// A post takes the spans of rollouts to the receiver, and waits for its answer. They do not go through the queue of
// the others: the ledger is their queue, and needs to know what became of each.
type post struct {
	exporter sdktrace.SpanExporter
	account  *signal
	batch    int           // how many spans are sent at once
	timeout  time.Duration // for a batch

	tracer trace.Tracer // its spans end up in ended
	ended  *endedSpans
}

func newPost(exporter sdktrace.SpanExporter, account *signal, batch int, timeout time.Duration, options ...sdktrace.TracerProviderOption) *post {
	p := &post{exporter: exporter, account: account, batch: batch, timeout: timeout, ended: &endedSpans{}}
	p.tracer = sdktrace.NewTracerProvider(append(options, sdktrace.WithSampler(sdktrace.AlwaysSample()),
		sdktrace.WithIDGenerator(ids{}), sdktrace.WithSpanProcessor(p.ended))...).Tracer(scope + "/rollout")
	return p
}

// deliver sends a batch of spans and reports whether it is done with: they have arrived, or the receiver does not want
// them and must not be sent them again. It is called from one goroutine.
func (p *post) deliver(ctx context.Context, batch []waiting) bool {
	for _, w := range batch {
		w.Part.span(p.tracer, w.ID)
	}
	spans := p.ended.take()
	bound, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	err := p.exporter.ExportSpans(bound, spans)
	switch {
	case err == nil || final(err):
		p.account.answered(len(spans), err)
		return true
	case !errors.Is(ctx.Err(), context.Canceled): // which is no fault of the receiver
		p.account.answered(0, err)
	}
	return false
}

// endedSpans is a processor that keeps spans for whoever ended them.
type endedSpans struct{ spans []sdktrace.ReadOnlySpan }

func (*endedSpans) OnStart(context.Context, sdktrace.ReadWriteSpan) {}

func (e *endedSpans) OnEnd(s sdktrace.ReadOnlySpan) { e.spans = append(e.spans, s) }

func (e *endedSpans) take() []sdktrace.ReadOnlySpan {
	spans := e.spans
	e.spans = nil
	return spans
}

func (*endedSpans) Shutdown(context.Context) error { return nil }

func (*endedSpans) ForceFlush(context.Context) error { return nil }
