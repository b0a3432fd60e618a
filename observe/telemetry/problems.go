package telemetry

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/log"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/staticpod-exporter/staticpod-exporter/collector/status"
	"github.com/staticpod-exporter/staticpod-exporter/manifest"
)

// The names of events.
const (
	problemBegan = "staticpod.problem.began"
	problemEnded = "staticpod.problem.ended"
)

// Observe exports a log record for each problem that began or ended, and tells the span of ctx, that of a collection,
// how much the collection changed. Call it with each Snapshot in turn.
func (t *Telemetry) Observe(ctx context.Context, s *status.Snapshot) {
	if t.traces != nil {
		trace.SpanFromContext(ctx).SetAttributes(changesKey.Int(t.versions.changes(s)))
	}
	if t.records == nil {
		return
	}
	for _, transition := range s.Transitions {
		record := recordOf(transition, s)
		t.problems.Emit(rolloutContext(ctx, transition.Status.Spec.Rollout), record)
	}
}

// rolloutContext has the span of the rollout that the pod is in, or came from, in the place of the collection's.
func rolloutContext(ctx context.Context, ro *status.Rollout) context.Context {
	if ro == nil {
		return ctx
	}
	traceID, err := trace.TraceIDFromHex(ro.TraceID)
	spanID, bad := trace.SpanIDFromHex(ro.SpanID())
	if err != nil || bad != nil {
		return ctx
	}
	return trace.ContextWithSpanContext(ctx, trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: traceID, SpanID: spanID, TraceFlags: trace.FlagsSampled,
	}))
}

func recordOf(t status.Transition, s *status.Snapshot) log.Record {
	p, spec := t.Problem, &t.Status.Spec
	var r log.Record
	r.SetObservedTimestamp(s.At)
	r.SetSeverityText(string(p.Level))
	attributes := []attribute.KeyValue{
		statusIDKey.String(t.Status.Metadata.ID),
		problemReasonKey.String(string(p.Reason)),
		problemLevelKey.String(string(p.Level)),
	}
	if t.Ended {
		r.SetEventName(problemEnded)
		r.SetTimestamp(s.At)
		r.SetSeverity(log.SeverityInfo)
		if !p.Since.IsZero() {
			attributes = append(attributes, problemDurationKey.Float64(max(0, s.At.Sub(p.Since).Seconds())))
		}
	} else {
		r.SetEventName(problemBegan)
		r.SetTimestamp(p.Since)
		r.SetSeverity(severity(p.Level))
	}
	r.SetBody(attribute.StringValue(p.Message))
	for _, a := range []attribute.KeyValue{
		problemDetailKey.String(p.Detail), semconv.FilePath(p.Path), problemFieldKey.String(p.Field),
		semconv.K8SNamespaceName(spec.Pod.Namespace), semconv.K8SPodName(spec.Pod.Name), semconv.K8SPodUID(spec.Pod.UID),
		definitionIDKey.String(spec.Definition.ID), definitionSourceKey.String(string(spec.Definition.Source)),
	} {
		if a.Value.AsString() != "" {
			attributes = append(attributes, a)
		}
	}
	if p.Line > 0 {
		attributes = append(attributes, problemLineKey.Int(p.Line))
	}
	r.AddAttributes(attributes...)
	return r
}

func severity(l manifest.Level) log.Severity {
	switch l {
	case manifest.Critical:
		return log.SeverityError
	case manifest.Warning:
		return log.SeverityWarn
	}
	return log.SeverityInfo
}

// versions are those of all definitions and statuses, of the Snapshot before. Nil stands for none before.
type versions map[string]uint64

// changes counts what is new, gone or of another version in s, and remembers s.
func (v *versions) changes(s *status.Snapshot) int {
	now := make(versions, len(s.Pods)+len(s.Statuses))
	for _, d := range s.Pods {
		now["definition "+d.Metadata.ID] = d.Metadata.Version
	}
	for _, st := range s.Statuses {
		now["status "+st.Metadata.ID] = st.Metadata.Version
	}
	changes := 0
	for id, version := range now {
		if before, ok := (*v)[id]; !ok || before != version {
			changes++
		}
	}
	for id := range *v {
		if _, ok := now[id]; !ok {
			changes++
		}
	}
	*v = now
	return changes
}
