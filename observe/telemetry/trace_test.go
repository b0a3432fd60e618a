package telemetry

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
)

// A rollout that is told twice has the same bytes.
func TestWantedIDs(t *testing.T) {
	tell := func() tracetest.SpanStubs {
		exporter := tracetest.NewInMemoryExporter()
		tracer := sdktrace.NewTracerProvider(sdktrace.WithIDGenerator(ids{}), sdktrace.WithSyncer(exporter)).Tracer("test")
		at := time.Unix(1700000000, 0)
		ctx, root := tracer.Start(WithIDs(t.Context(), trace.TraceID{1}, trace.SpanID{2}), "rollout", trace.WithTimestamp(at), trace.WithNewRoot())
		for i := range byte(3) {
			_, stage := tracer.Start(WithIDs(ctx, trace.TraceID{1}, trace.SpanID{3 + i}), fmt.Sprint(i), trace.WithTimestamp(at))
			stage.End(trace.WithTimestamp(at.Add(time.Second)))
		}
		root.End(trace.WithTimestamp(at.Add(time.Minute)))
		return exporter.GetSpans()
	}
	first := tell()
	for i, want := range []byte{3, 4, 5, 2} {
		if got := first[i]; got.SpanContext.TraceID() != (trace.TraceID{1}) || got.SpanContext.SpanID() != (trace.SpanID{want}) {
			t.Errorf("span %d has IDs %s and %s", i, got.SpanContext.TraceID(), got.SpanContext.SpanID())
		}
		if isRoot := i == 3; first[i].Parent.IsValid() == isRoot {
			t.Errorf("span %d has parent %s", i, first[i].Parent.SpanID())
		}
	}
	if diff := cmp.Diff(first.Snapshots(), tell().Snapshots(), cmp.Comparer(func(a, b sdktrace.ReadOnlySpan) bool {
		return a.SpanContext().Equal(b.SpanContext()) && a.Parent().Equal(b.Parent()) && a.StartTime().Equal(b.StartTime()) && a.EndTime().Equal(b.EndTime())
	})); diff != "" {
		t.Error(diff)
	}
}

func TestOtherIDsAreRandom(t *testing.T) {
	seen := map[string]bool{}
	for range 100 {
		traceID, spanID := ids{}.NewIDs(t.Context())
		// What is wanted of another trace is none of this one's business.
		child := ids{}.NewSpanID(WithIDs(t.Context(), trace.TraceID{9}, trace.SpanID{9}), traceID)
		for _, id := range []string{traceID.String(), spanID.String(), child.String()} {
			if seen[id] {
				t.Errorf("%s is there twice", id)
			}
			seen[id] = true
		}
	}
}

// collect makes a collection with a question in it.
func collect(tracer trace.Tracer, took time.Duration, change func(root trace.Span)) trace.TraceID {
	began := time.Unix(1700000000, 0)
	ctx, root := tracer.Start(context.Background(), "collect", trace.WithTimestamp(began))
	_, question := tracer.Start(ctx, "ask")
	question.End()
	change(root)
	root.End(trace.WithTimestamp(began.Add(took)))
	return root.SpanContext().TraceID()
}

func tailed(ratio float64, dropped bool) (trace.Tracer, *tracetest.InMemoryExporter) {
	exporter := tracetest.NewInMemoryExporter()
	return sdktrace.NewTracerProvider(
		sdktrace.WithSampler(newSampler(ratio, dropped)),
		sdktrace.WithSpanProcessor(newTail(sdktrace.NewSimpleSpanProcessor(exporter)))).Tracer("test"), exporter
}

func TestWhichCollectionsAreKept(t *testing.T) {
	fine := func(trace.Span) {}
	changed := func(s trace.Span) { s.SetAttributes(changesKey.Int(1)) }
	unchanged := func(s trace.Span) { s.SetAttributes(changesKey.Int(0)) }
	failed := func(s trace.Span) { s.SetStatus(codes.Error, "input kubelet is down") }
	for name, test := range map[string]struct {
		ratio   float64
		dropped bool
		took    time.Duration
		change  func(trace.Span)
		want    bool
	}{
		"nothing happened":              {took: time.Millisecond, change: fine},
		"nothing changed":               {took: time.Millisecond, change: unchanged},
		"something changed":             {took: time.Millisecond, change: changed, want: true},
		"it failed":                     {took: time.Millisecond, change: failed, want: true},
		"it was slow":                   {took: slow, change: fine, want: true},
		"it was quick enough":           {took: slow - 1, change: fine},
		"all are wanted":                {ratio: 1, took: time.Millisecond, change: fine, want: true},
		"none is wanted, and it failed": {dropped: true, took: time.Hour, change: failed},
	} {
		t.Run(name, func(t *testing.T) {
			tracer, exporter := tailed(test.ratio, test.dropped)
			id := collect(tracer, test.took, test.change)
			spans := exporter.GetSpans()
			if !test.want {
				if len(spans) > 0 {
					t.Errorf("%d spans are exported", len(spans))
				}
				return
			}
			if len(spans) != 2 {
				t.Fatalf("%d spans are exported", len(spans))
			}
			for _, s := range spans {
				if s.SpanContext.TraceID() != id || !s.SpanContext.IsSampled() {
					t.Errorf("%s is of trace %s, sampled %t", s.Name, s.SpanContext.TraceID(), s.SpanContext.IsSampled())
				}
			}
		})
	}
}

// What is decided in the end must not be promised to others before.
func TestOthersSeeNoFlagOfWhatIsOnlyRecorded(t *testing.T) {
	tracer, _ := tailed(0, false)
	ctx, root := tracer.Start(t.Context(), "collect")
	_, question := tracer.Start(ctx, "ask")
	if root.SpanContext().IsSampled() || question.SpanContext().IsSampled() || !question.IsRecording() {
		t.Error("it has the flag, or is not recorded")
	}
	tracer, _ = tailed(1, false)
	ctx, root = tracer.Start(t.Context(), "collect")
	_, question = tracer.Start(ctx, "ask")
	if !root.SpanContext().IsSampled() || !question.SpanContext().IsSampled() {
		t.Error("it has no flag")
	}
}

func TestRatioOfCollections(t *testing.T) {
	const ratio, collections = 0.1, 5000
	tracer, exporter := tailed(ratio, false)
	for range collections {
		collect(tracer, time.Millisecond, func(trace.Span) {})
	}
	// Ten standard deviations to either side.
	if kept := len(exporter.GetSpans()) / 2; kept < 290 || kept > 710 {
		t.Errorf("%d of %d are kept", kept, collections)
	}
}

// An input that is down for long is no news.
func TestTroubleIsKeptNowAndThen(t *testing.T) {
	tracer, exporter := tailed(0, false)
	began := time.Unix(1700000000, 0)
	for second := 0; second < 300; second += 10 {
		at := began.Add(time.Duration(second) * time.Second)
		_, root := tracer.Start(t.Context(), "collect", trace.WithTimestamp(at))
		root.SetStatus(codes.Error, "input kubelet is down")
		root.End(trace.WithTimestamp(at))
	}
	if kept := len(exporter.GetSpans()); kept != 5 {
		t.Errorf("%d are kept in five minutes", kept)
	}
}

// A question may outlast its collection: it goes the way of that.
func TestLateSpans(t *testing.T) {
	for _, changes := range []int{0, 1} {
		tracer, exporter := tailed(0, false)
		ctx, root := tracer.Start(t.Context(), "collect")
		_, question := tracer.Start(ctx, "ask")
		root.SetAttributes(changesKey.Int(changes))
		root.End()
		question.End()
		if got := len(exporter.GetSpans()); got != 2*changes {
			t.Errorf("%d changes: %d spans", changes, got)
		}
	}
}

// One that comes when nobody knows any more what was decided is nowhere, and is not held either.
func TestSpanThatIsMuchTooLate(t *testing.T) {
	exporter := tracetest.NewInMemoryExporter()
	next := newTail(sdktrace.NewSimpleSpanProcessor(exporter))
	tracer := sdktrace.NewTracerProvider(sdktrace.WithSampler(newSampler(0, false)), sdktrace.WithSpanProcessor(next)).Tracer("test")
	ctx, root := tracer.Start(t.Context(), "collect")
	_, question := tracer.Start(ctx, "ask")
	root.SetAttributes(changesKey.Int(1))
	root.End()
	for range maxDecided {
		collect(tracer, time.Millisecond, func(trace.Span) {})
	}
	question.End()
	if got := len(exporter.GetSpans()); got != 1 || len(next.open.of) > 0 {
		t.Errorf("%d spans are exported, %d traces are held", got, len(next.open.of))
	}
}

func TestTailIsBounded(t *testing.T) {
	provider := sdktrace.NewTracerProvider(sdktrace.WithSampler(newSampler(0, false)))
	tracer := provider.Tracer("test")
	next := newTail(sdktrace.NewSimpleSpanProcessor(tracetest.NewInMemoryExporter()))
	provider.RegisterSpanProcessor(next)
	var roots []trace.Span
	for range 10 * maxTraces {
		ctx, root := tracer.Start(t.Context(), "collect")
		for range 10 {
			_, question := tracer.Start(ctx, "ask")
			question.End()
		}
		roots = append(roots, root)
	}
	if n := len(next.open.of); n != maxTraces || len(next.open.order) != n {
		t.Errorf("%d traces are held, and %d of them known", n, len(next.open.order))
	}
	ctx, root := tracer.Start(t.Context(), "collect")
	for range 2 * maxSpans {
		_, question := tracer.Start(ctx, "ask")
		question.End()
	}
	if n := len(next.open.of[root.SpanContext().TraceID()]); n != maxSpans {
		t.Errorf("%d spans of one trace are held", n)
	}
	for _, root := range slices.Concat(roots, []trace.Span{root}) {
		root.End()
	}
	if len(next.open.of) > 0 || len(next.decided.of) != maxDecided || len(next.decided.order) != maxDecided {
		t.Errorf("in the end %d are held and %d decided", len(next.open.of), len(next.decided.of))
	}
}
