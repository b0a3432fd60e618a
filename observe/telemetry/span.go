package telemetry

import (
	"context"
	"errors"
	"slices"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/staticpod-exporter/staticpod-exporter/collector/status"
)

// span starts and ends the span of a part of a rollout.
func (p *part) span(tracer trace.Tracer, id string) {
	ro := &p.Rollout
	traceID, err := trace.TraceIDFromHex(ro.TraceID)
	spanID, bad := trace.SpanIDFromHex(id)
	root, worse := trace.SpanIDFromHex(ro.SpanID())
	if errors.Join(err, bad, worse) != nil {
		return // an ID that no rollout has
	}
	ctx := WithIDs(context.Background(), traceID, spanID)
	var common []attribute.KeyValue
	if p.Pod.Name != "" {
		common = []attribute.KeyValue{semconv.K8SNamespaceName(p.Pod.Namespace), semconv.K8SPodName(p.Pod.Name), semconv.K8SPodUID(ro.UID)}
	}
	if p.Step == nil {
		p.root(ctx, tracer, common)
		return
	}
	ctx = trace.ContextWithSpanContext(ctx, trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: traceID, SpanID: root, TraceFlags: trace.FlagsSampled,
	}))
	p.child(ctx, tracer, common)
}

// root is the span of the rollout itself.
func (p *part) root(ctx context.Context, tracer trace.Tracer, common []attribute.KeyValue) {
	ro := &p.Rollout
	attributes := append(common, outcomeKey.String(string(ro.Outcome)))
	if d := p.Definition; d.ID != "" {
		attributes = append(attributes, definitionIDKey.String(d.ID), definitionSourceKey.String(string(d.Source)),
			definitionVersionKey.Int64(int64(ro.Version)), definitionRevisionKey.String(ro.Revision), semconv.FilePath(d.Path))
	}
	previous := spanRef{ro.Previous, ro.PreviousSpanID()}
	_, s := tracer.Start(ctx, "rollout", trace.WithTimestamp(ro.Started), trace.WithAttributes(attributes...),
		trace.WithLinks(slices.Concat(previous.link("previous"), p.Seen.link("collection"))...))
	switch ro.Outcome {
	case status.OutcomeReady:
		s.SetStatus(codes.Ok, "")
	case status.OutcomeRejected, status.OutcomeFailed, status.OutcomeTimedOut:
		fail(s, p.Last)
	}
	s.End(trace.WithTimestamp(ro.Ended))
}

// child is the span of one step. One that was never done ends with the rollout, in an error unless somebody just changed
// his mind.
func (p *part) child(ctx context.Context, tracer trace.Tracer, common []attribute.KeyValue) {
	ro, step := &p.Rollout, p.Step
	name, attributes := string(step.Name), append(common, stepKey.String(string(step.Name)))
	if step.Container != "" {
		name += " " + step.Container
		attributes = append(attributes, semconv.K8SContainerName(step.Container))
	}
	_, s := tracer.Start(ctx, name, trace.WithTimestamp(step.Start), trace.WithAttributes(attributes...),
		trace.WithLinks(p.Seen.link("collection")...))
	end := p.end()
	if step.Reason != "" {
		at := step.Since
		if at.Before(step.Start) || at.After(end) {
			at = end
		}
		s.AddEvent("staticpod.problem", trace.WithTimestamp(at), trace.WithAttributes(problemAttributes(step)...))
	}
	gaveUp := ro.Outcome == status.OutcomeSuperseded || ro.Outcome == status.OutcomeRemoved
	if step.Name == status.StepRejected || step.End.IsZero() && !gaveUp {
		fail(s, step)
	}
	s.End(trace.WithTimestamp(end))
}

// fail has a span end in an error, with what was in the way of a step; nil for nothing that is known.
func fail(s trace.Span, step *status.Step) {
	if step == nil || step.Reason == "" {
		s.SetStatus(codes.Error, "")
		return
	}
	s.SetStatus(codes.Error, step.Reason+": "+step.Message)
	s.SetAttributes(semconv.ErrorTypeKey.String(step.Reason))
}

func problemAttributes(step *status.Step) []attribute.KeyValue {
	attributes := []attribute.KeyValue{problemReasonKey.String(step.Reason), problemMessageKey.String(step.Message)}
	if step.Path != "" {
		attributes = append(attributes, semconv.FilePath(step.Path))
	}
	if step.Line > 0 {
		attributes = append(attributes, problemLineKey.Int(step.Line))
	}
	if step.Field != "" {
		attributes = append(attributes, problemFieldKey.String(step.Field))
	}
	return attributes
}
