package collector

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// A cycle is the span of one collection, from the first question or news after the Observation before until whoever
// takes the next one is done with it. A question is a child of the cycle that it was asked in, and may outlast it.
type cycle struct {
	tracer trace.Tracer
	base   context.Context // of the run
	ctx    context.Context // of the span; nil before there is one
	span   trace.Span
}

// begin returns the context of the span, which it starts when there is none.
func (c *cycle) begin() context.Context {
	if c.ctx == nil {
		c.ctx, c.span = c.tracer.Start(c.base, "collect")
	}
	return c.ctx
}

// ask starts the span of a question.
func (c *cycle) ask(input Input, resync bool) (context.Context, trace.Span) {
	return c.tracer.Start(c.begin(), "ask "+string(input), trace.WithAttributes(inputKey.String(string(input)), resyncKey.Bool(resync)))
}

// look makes the span of an input that is looked at and not asked.
func (c *cycle) look(input Input, look func() error) {
	_, span := c.tracer.Start(c.ctx, "look at "+string(input), trace.WithAttributes(inputKey.String(string(input))))
	fail(span, look())
	span.End()
}

// fail says that an input does not answer.
func (c *cycle) fail(input Input) {
	c.begin()
	c.span.SetStatus(codes.Error, "the input "+string(input)+" is down")
}

func (c *cycle) end() {
	c.span.End()
	c.ctx, c.span = nil, nil
}

func fail(span trace.Span, err error) {
	if err != nil {
		span.SetStatus(codes.Error, clip(err.Error()))
	}
}

const (
	inputKey  = attribute.Key("staticpod.input")
	resyncKey = attribute.Key("staticpod.input.resync") // whether it was asked anew what it may have cached
	eventsKey = attribute.Key("staticpod.kubelet.log.events")
)
