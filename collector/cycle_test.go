package collector

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/staticpod-exporter/staticpod-exporter/collector/kubelet"
)

// traced runs a collector of b's inputs for a time and returns its spans.
func traced(t *testing.T, b *bench, d time.Duration, emit func(context.Context, *Observation)) tracetest.SpanStubs {
	t.Helper()
	exporter := tracetest.NewInMemoryExporter()
	c := New(Options{
		Manifests: b.store, Kubelet: b.kubelet, Runtime: b.runtime, Log: b.log,
		TracerProvider: sdktrace.NewTracerProvider(sdktrace.WithSyncer(exporter)),
	})
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := c.Run(ctx, emit); err != nil {
			t.Error(err)
		}
	})
	time.Sleep(d) // of the bubble
	synctest.Wait()
	spans := exporter.GetSpans()
	cancel()
	running.Wait()
	return spans
}

// tree is the names of the first collection's spans: its own, then those of its children.
func tree(spans tracetest.SpanStubs) []string {
	first := slices.IndexFunc(spans, func(s tracetest.SpanStub) bool { return !s.Parent.IsValid() })
	if first < 0 {
		return nil
	}
	names := []string{spans[first].Name}
	for _, s := range spans {
		if s.Parent.SpanID() == spans[first].SpanContext.SpanID() {
			names = append(names, s.Name)
		}
	}
	slices.Sort(names[1:])
	return names
}

func TestCollectionIsATrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		var seen []trace.SpanContext
		spans := traced(t, b, 500*time.Millisecond, func(ctx context.Context, _ *Observation) {
			if !trace.SpanFromContext(ctx).IsRecording() {
				t.Error("the span has ended before whoever takes the Observation")
			}
			seen = append(seen, trace.SpanContextFromContext(ctx))
		})
		want := []string{"collect", "ask kubelet", "ask runtime", "look at log", "look at manifest"}
		if got := tree(spans); !slices.Equal(got, want) {
			t.Fatalf("spans %q, want %q", got, want)
		}
		for _, s := range spans {
			if s.SpanContext.TraceID() != seen[0].TraceID() || s.Status.Code == codes.Error {
				t.Errorf("%s is of trace %s, and %s", s.Name, s.SpanContext.TraceID(), s.Status.Description)
			}
		}
	})
}

// Each collection is a trace of its own, and one in which nothing is asked has no questions.
func TestHeartbeatIsATrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var collections []trace.TraceID
		spans := traced(t, newBench(t), heartbeat+time.Second, func(ctx context.Context, _ *Observation) {
			collections = append(collections, trace.SpanContextFromContext(ctx).TraceID())
		})
		if len(collections) != 2 || collections[0] == collections[1] {
			t.Fatalf("collections %v", collections)
		}
		spans = slices.DeleteFunc(spans, func(s tracetest.SpanStub) bool { return s.SpanContext.TraceID() != collections[1] })
		if got, want := tree(spans), []string{"collect", "look at log", "look at manifest"}; !slices.Equal(got, want) {
			t.Errorf("spans %q, want %q", got, want)
		}
	})
}

func TestFailureIsInTheTrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.kubelet.set(hangs[kubelet.View])
		spans := traced(t, b, DefaultTimeout+lateness+time.Second, func(context.Context, *Observation) {})
		var asked, failed tracetest.SpanStub
		for _, s := range spans {
			switch {
			case s.Name == "ask kubelet":
				asked = s
			case s.Name == "collect" && s.Status.Code == codes.Error:
				failed = s
			}
		}
		if asked.Status.Code != codes.Error || !strings.Contains(asked.Status.Description, "deadline") || asked.EndTime.Sub(asked.StartTime) != DefaultTimeout {
			t.Errorf("the question: %+v", asked.Status)
		}
		if failed.Status.Description != "the input kubelet is down" {
			t.Errorf("the collection: %+v", failed.Status)
		}
		// It was asked in the first collection, which did not wait for it.
		if first := slices.IndexFunc(spans, func(s tracetest.SpanStub) bool { return s.Name == "collect" }); spans[first].SpanContext.TraceID() != asked.SpanContext.TraceID() ||
			spans[first].EndTime.Sub(spans[first].StartTime) != firstWait {
			t.Errorf("the first collection: %+v", spans[first])
		}
	})
}
