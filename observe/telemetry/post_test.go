package telemetry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	verdict "github.com/staticpod-exporter/staticpod-exporter/collector/status"
	"github.com/staticpod-exporter/staticpod-exporter/observe/metrics"
)

// many is a node on which the rollouts of n pods have ended, of two spans each.
func many(n int) *verdict.Snapshot {
	s := snapshot(nil)
	for i := range n {
		ro := over(rolling(stage(verdict.StepChanged, "", 0, 1)), verdict.OutcomeReady, 1)
		ro.TraceID = fmt.Sprintf("%032x", i+1)
		s.Ended = append(s.Ended, verdict.EndedRollout{Rollout: ro})
	}
	return s
}

// start runs it until the end of the test, in a bubble of synctest.
func (r *teller) start(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// What is too much for a batch arrives in several, and none of them again though one fails.
func TestBacklogArrivesInBatches(t *testing.T) {
	r := newTeller(t, filepath.Join(t.TempDir(), "rollouts.json"))
	r.fails = func(sent int) error {
		if sent > r.post.batch {
			t.Errorf("%d spans at once", sent)
		}
		if r.exports == 3 {
			return errors.New("nobody is there")
		}
		return nil
	}
	r.Observe(collection, many(10))
	if arrived, err := r.tell(t.Context()); arrived || err != nil {
		t.Errorf("all of it arrived, %v", err)
	}
	if n := len(r.ledger.pending()); n != 20-2*r.post.batch {
		t.Errorf("%d spans are still to be told", n)
	}
	again := newTeller(t, r.path) // what was taken down is written
	if arrived, err := again.tell(t.Context()); !arrived || err != nil {
		t.Errorf("not all of it arrived, %v", err)
	}
	if n := len(again.names()); n != 20-2*r.post.batch || again.exports != 3 {
		t.Errorf("%d spans are told again, in %d batches", n, again.exports)
	}
}

// A receiver that does not answer is asked once in a while, whatever happens on the node, and nothing is lost that
// arrives in the end.
func TestReceiverIsAskedOnceInAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newTeller(t, filepath.Join(t.TempDir(), "rollouts.json"))
		r.fails = down
		r.start(t)
		for i := range 30 {
			r.Observe(collection, many(i+1))
			time.Sleep(time.Second)
			synctest.Wait()
		}
		if r.exports != 1 {
			t.Errorf("asked %d times in half a minute", r.exports)
		}
		if saved, err := readLedger(r.path); err != nil || len(saved.pending()) != 60 {
			t.Errorf("%d of 60 are written down, %v", len(saved.pending()), err)
		}
		time.Sleep(retryInterval)
		synctest.Wait()
		if r.exports != 2 {
			t.Errorf("asked %d times in a minute and a half", r.exports)
		}
		r.answers(nil, 0)
		time.Sleep(retryInterval)
		synctest.Wait()
		if got, want := r.account.count(), (metrics.Signal{Name: signalTraces, Queued: true, Exported: 60}); got != want || len(r.names()) != 60 {
			t.Errorf("%d spans, %+v", len(r.names()), got)
		}
		if log := r.log.String(); strings.Count(log, "cannot be exported") != 1 || strings.Count(log, "is exported again") != 1 || !strings.Contains(log, "lost=0") {
			t.Errorf("it says\n%s", log)
		}
		r.Observe(collection, many(31))
		synctest.Wait()
		if n := len(r.names()); n != 62 {
			t.Errorf("once it is up, %d spans are told without a wait", n)
		}
	})
}

// A receiver may take its time, as long as that of a batch.
func TestReceiverThatIsSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newTeller(t, filepath.Join(t.TempDir(), "rollouts.json"))
		r.answers(nil, 20*time.Second)
		r.start(t)
		r.Observe(collection, many(1))
		time.Sleep(20 * time.Second)
		synctest.Wait()
		if n := len(r.names()); n != 2 || r.exports != 1 {
			t.Errorf("%d spans in %d exports", n, r.exports)
		}
		r.answers(nil, time.Hour)
		r.Observe(collection, many(2))
		time.Sleep(r.post.timeout)
		synctest.Wait()
		if !strings.Contains(r.log.String(), "cannot be exported") {
			t.Error("it is waited for, for ever")
		}
	})
}

// The end waits for a receiver that hangs, but not for long, and what was being sent is sent once more.
func TestRolloutsAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newTeller(t, filepath.Join(t.TempDir(), "rollouts.json"))
		r.delay = time.Hour
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- r.Run(ctx) }()
		r.Observe(collection, many(1))
		synctest.Wait()
		cancel()
		began := time.Now()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took != lastTimeout || r.exports != 2 {
			t.Errorf("%s and %d exports", took, r.exports)
		}
		if got := r.account.count(); got.Failed > 0 || len(r.ledger.pending()) != 2 {
			t.Errorf("it is given up: %+v", got)
		}
	})
}

// What is seen late is waited for as long as anything else.
func TestStepSeenLateIsNotGivenUp(t *testing.T) {
	r := newTeller(t, filepath.Join(t.TempDir(), "rollouts.json"))
	changed := stage(verdict.StepChanged, "", 0, 1)
	r.sees(t, snapshot(rolling(changed)))
	late := snapshot(over(rolling(changed, stage(verdict.StepReady, "", 1, 2)), verdict.OutcomeReady, 2))
	late.At = dawn.Add(2 * rolloutAge)
	r.fails = down
	r.sees(t, late)
	r.fails = nil
	if have, want := r.sees(t, late), []string{"changed", "ready", "rollout"}; !slices.Equal(have, want) {
		t.Errorf("told: %q, want %q", have, want)
	}
}

// What the receiver does not want is not sent it again.
func TestReceiverThatDoesNotWant(t *testing.T) {
	for name, test := range map[string]struct {
		err   error
		again bool
		want  metrics.Signal
	}{
		"a part":          {err: errors.New("traces export: OTLP partial success: old (1 spans rejected)"), want: metrics.Signal{Exported: 1, Failed: 1}},
		"a word":          {err: errors.New("traces export: OTLP partial success: old (0 spans rejected)"), want: metrics.Signal{Exported: 2}},
		"all":             {err: fmt.Errorf("traces export: %w", status.Error(codes.InvalidArgument, "bad")), want: metrics.Signal{Failed: 2}},
		"not from you":    {err: fmt.Errorf("traces export: %w", status.Error(codes.Unauthenticated, "who?")), want: metrics.Signal{Failed: 2}},
		"nobody is there": {err: fmt.Errorf("traces export: %w", status.Error(codes.Unavailable, "no")), again: true},
		"too much":        {err: fmt.Errorf("traces export: %w", status.Error(codes.ResourceExhausted, "no")), again: true},
		"an accident":     {err: fmt.Errorf("traces export: %w", status.Error(codes.Internal, "no")), again: true},
	} {
		t.Run(name, func(t *testing.T) {
			r := newTeller(t, filepath.Join(t.TempDir(), "rollouts.json"))
			r.fails = func(int) error { return test.err }
			r.Observe(collection, many(1))
			for range 3 {
				if _, err := r.tell(t.Context()); err != nil {
					t.Error(err)
				}
			}
			if again := r.exports > 1; again != test.again {
				t.Errorf("sent %d times", r.exports)
			}
			test.want.Name, test.want.Queued = signalTraces, true
			if got := r.account.count(); got != test.want {
				t.Errorf("%+v, want %+v", got, test.want)
			}
		})
	}
}

// The words by which the SDK says what a receiver has answered over HTTP are those that are looked for.
func TestAnswersOverHTTP(t *testing.T) {
	for code, again := range map[int]bool{200: false, 400: false, 401: false, 404: false, 413: false, 408: true, 429: true, 500: true, 502: true, 503: true} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				w.WriteHeader(code)
			}))
			defer server.Close()
			telemetry := start(t, nil, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT="+server.URL, "OTEL_BSP_EXPORT_TIMEOUT=200")
			r := telemetry.NewRollouts(filepath.Join(t.TempDir(), "rollouts.json"))
			r.Observe(collection, many(1))
			if arrived, err := r.tell(t.Context()); arrived == again || err != nil {
				t.Errorf("done with: %t, %v", arrived, err)
			}
			_ = telemetry.Close(t.Context()) // it has nothing more to send
		})
	}
}

// The spans say whose they are, and are counted.
func TestRolloutsHaveTheResource(t *testing.T) {
	var console bytes.Buffer
	settings, err := ReadSettings(variables("OTEL_TRACES_EXPORTER=console"))
	if err != nil {
		t.Fatal(err)
	}
	telemetry, err := New(t.Context(), Options{Settings: settings, Node: "node1", Version: "1.2.3", Console: &console})
	if err != nil {
		t.Fatal(err)
	}
	r := telemetry.NewRollouts(filepath.Join(t.TempDir(), "rollouts.json"))
	r.Observe(collection, many(3))
	if arrived, err := r.tell(t.Context()); !arrived || err != nil {
		t.Errorf("all of it arrived: %t, %v", arrived, err)
	}
	if n := strings.Count(console.String(), `"node1"`); n != 6 || !strings.Contains(console.String(), `"Name":"rollout"`) {
		t.Errorf("%d spans are of the node:\n%s", n, console.String())
	}
	if got, want := telemetry.Signals(), []metrics.Signal{{Name: signalTraces, Queued: true, Exported: 6}}; !slices.Equal(got, want) {
		t.Errorf("%+v", got)
	}
	if err := telemetry.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// busy is an exporter that must not be used by two at once.
type busy struct {
	*tracetest.InMemoryExporter
	using chan struct{}
}

func (b busy) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	select {
	case b.using <- struct{}{}:
	default:
		return errors.New("somebody else uses it")
	}
	time.Sleep(time.Second) // of a bubble
	<-b.using
	return b.InMemoryExporter.ExportSpans(ctx, spans)
}

func TestExportersAreUsedInTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := inTurn{busy{tracetest.NewInMemoryExporter(), make(chan struct{}, 1)}, make(chan struct{}, 1)}
		errs := make(chan error)
		for range 3 {
			go func() { errs <- e.ExportSpans(t.Context(), nil) }()
		}
		for range 3 {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
		go func() { errs <- e.ExportSpans(t.Context(), nil) }()
		synctest.Wait()
		bound, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if err := e.ExportSpans(bound, nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("it waits longer than it may: %v", err)
		}
		<-errs
	})
}
