package telemetry

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/staticpod-exporter/staticpod-exporter/collector/status"
)

// rolloutAge is how long ago a rollout may have ended that is told of for the first time: there is no end to what was
// rolled out before anybody asked for traces.
const rolloutAge = time.Hour

// retryInterval is how long after a failure the same is told again.
const retryInterval = time.Minute

// Rollouts makes a trace of each rollout: a span for each step when it is done, and the span of the whole at its end.
//
// IDs and times are those of the rollout, so that what is told again is the same to the byte. What is to be told is
// written to a ledger first, and what has arrived is remembered there: a restart neither loses a span nor changes it.
type Rollouts struct {
	tracer trace.Tracer // nil when no traces are exported
	flush  func(context.Context) error
	path   string
	log    *slog.Logger
	wake   chan struct{}

	mu     sync.Mutex // guards what follows
	ledger ledger
	known  map[string]*status.Rollout // as last looked at, by trace ID
	now    time.Time                  // of the last look
}

// NewRollouts returns a Rollouts that keeps its ledger in a file. When no traces are exported it does nothing.
func (t *Telemetry) NewRollouts(path string) *Rollouts {
	if t.traces == nil {
		return &Rollouts{}
	}
	return newRollouts(t.rollouts, t.flushRollouts, path, t.log)
}

func newRollouts(tracer trace.Tracer, flush func(context.Context) error, path string, log *slog.Logger) *Rollouts {
	r := &Rollouts{tracer: tracer, flush: flush, path: path, log: log, wake: make(chan struct{}, 1), known: map[string]*status.Rollout{}}
	var err error
	if r.ledger, err = readLedger(path); err != nil {
		log.Warn("traces of rollouts may be told twice", "err", err)
	}
	return r
}

// Observe takes down what of rollouts was done, for Run to tell. It does not wait. The span of ctx is that of the
// collection that saw it.
func (r *Rollouts) Observe(ctx context.Context, s *status.Snapshot) {
	if r.tracer == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	known := make(map[string]*status.Rollout, len(r.known))
	live := make(map[string]bool, len(r.known))
	changed, news := false, false
	var seen spanRef
	if collection := trace.SpanFromContext(ctx); collection.IsRecording() { // it is exported, because something changed
		seen = newSpanRef(collection.SpanContext())
	}
	look := func(e status.EndedRollout) {
		live[e.Rollout.TraceID] = true
		if known[e.Rollout.TraceID] = e.Rollout; r.known[e.Rollout.TraceID] != e.Rollout {
			changed, news = true, r.take(s.At, e, seen) || news
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
	if changed || len(known) != len(r.known) {
		r.ledger.forget(live)
	}
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
			told.Waiting = append(told.Waiting, waiting{id, p})
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

// Run tells what Observe takes down, until ctx ends and once more then. What does not arrive is told again.
func (r *Rollouts) Run(ctx context.Context) error {
	if r.tracer == nil {
		return nil
	}
	var failing error
	var again <-chan time.Time
	r.stir() // what a former process left
	for over := false; !over; {
		select {
		case <-ctx.Done():
			over = true
		case <-r.wake:
		case <-again:
		}
		arrived, err := r.tell(ctx)
		if again = nil; !arrived {
			again = time.After(retryInterval)
		}
		switch {
		case err != nil && failing == nil:
			r.log.Error("the traces of rollouts cannot be remembered", "err", err)
		case err == nil && failing != nil:
			r.log.Info("the traces of rollouts are remembered again")
		}
		failing = err
	}
	return nil
}

// stir has Run look at what waits.
func (r *Rollouts) stir() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// tell writes the ledger, tells what waits in it, and takes down what arrived. What cannot be written is told all the
// same; what nobody takes is given up when it is old.
func (r *Rollouts) tell(ctx context.Context) (arrived bool, err error) {
	r.mu.Lock()
	waiting := r.ledger.pending()
	data := r.ledger.marshal()
	r.mu.Unlock()
	if len(waiting) == 0 {
		return true, nil
	}
	err = saveLedger(r.path, data)
	for _, w := range waiting {
		w.Part.span(r.tracer, w.ID)
	}
	if ctx.Err() != nil { // at the end it has a moment more
		ctx = context.WithoutCancel(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, flushTimeout)
	defer cancel()
	arrived = r.flush(ctx) == nil
	r.mu.Lock()
	for _, w := range waiting {
		if arrived || r.now.Sub(w.Part.end()) > rolloutAge {
			r.ledger.trace(w.Part.Rollout.TraceID).tell(w.ID)
		}
	}
	data = r.ledger.marshal()
	r.mu.Unlock()
	return arrived, errors.Join(err, saveLedger(r.path, data))
}

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
