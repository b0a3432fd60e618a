package telemetry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/staticpod-exporter/staticpod-exporter/collector/status"
	"github.com/staticpod-exporter/staticpod-exporter/manifest"
)

var dawn = time.Date(2026, 1, 2, 6, 0, 0, 0, time.UTC)

// A teller is a Rollouts whose spans are kept.
type teller struct {
	*Rollouts
	exporter *tracetest.InMemoryExporter
	account  *signal
	log      bytes.Buffer
	exports  int

	mu    sync.Mutex           // guards what follows: a test changes it while Run runs
	fails func(sent int) error // what the receiver answers; nil for yes
	delay time.Duration        // after which it does
}

func newTeller(t *testing.T, path string) *teller {
	t.Helper()
	r := &teller{exporter: tracetest.NewInMemoryExporter()}
	log := slog.New(slog.NewTextHandler(&r.log, nil))
	r.account = &signal{name: signalTraces, limit: 8, log: log}
	r.Rollouts = newRollouts(newPost(r, r.account, 4, 30*time.Second), path, log)
	return r
}

// ExportSpans is the receiver.
func (r *teller) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	r.mu.Lock()
	r.exports++
	fails, delay := r.fails, r.delay
	r.mu.Unlock()
	if delay > 0 {
		select {
		case <-time.After(delay):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if fails != nil {
		return fails(len(spans))
	}
	return r.exporter.ExportSpans(ctx, spans)
}

// answers changes what the receiver does.
func (r *teller) answers(fails func(sent int) error, delay time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fails, r.delay = fails, delay
}

func (r *teller) Shutdown(context.Context) error { return nil }

// down is a receiver that is not there.
func down(int) error { return errors.New("nobody is there") }

// sees has the rollouts of a snapshot observed and told.
func (r *teller) sees(t *testing.T, s *status.Snapshot) []string {
	t.Helper()
	r.Observe(collection, s)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.Run(ctx); err != nil {
		t.Fatal(err)
	}
	return r.names()
}

func (r *teller) names() []string {
	var names []string
	for _, s := range r.exporter.GetSpans() {
		names = append(names, s.Name)
	}
	return names
}

// collection is the context of a collection that is traced.
var collection, _ = sdktrace.NewTracerProvider(sdktrace.WithIDGenerator(ids{})).Tracer("test").
	Start(WithIDs(context.Background(), trace.TraceID{7}, trace.SpanID{7}), "collect")

// stage is a step from one second of the rollout to another; to 0 is for one that goes on.
func stage(name status.StepName, container string, from, to int) status.Step {
	s := status.Step{Name: name, Container: container, Start: dawn.Add(time.Duration(from) * time.Second)}
	if to > 0 {
		s.End = dawn.Add(time.Duration(to) * time.Second)
	}
	return s
}

func rolling(steps ...status.Step) *status.Rollout {
	return &status.Rollout{
		TraceID: strings.Repeat("ab", 16), Previous: strings.Repeat("cd", 16), UID: "0f1e", Revision: "hash", Version: 3, Started: dawn, Steps: steps,
	}
}

// over ends a copy of a rollout at a second of it.
func over(ro *status.Rollout, outcome status.Outcome, at int) *status.Rollout {
	next := *ro
	next.Outcome, next.Ended = outcome, dawn.Add(time.Duration(at)*time.Second)
	return &next
}

func snapshot(ro *status.Rollout, ended ...status.EndedRollout) *status.Snapshot {
	s := &status.Snapshot{Node: "node1", At: dawn.Add(time.Minute), Ended: ended}
	st := &status.StaticPodStatus{Metadata: status.Metadata{ID: "default/web-node1"}}
	st.Spec.Pod = status.PodRef{Namespace: "default", Name: "web-node1", UID: "0f1e"}
	st.Spec.Definition = status.DefinitionRef{ID: "default-web", Version: 3, Source: manifest.SourceHTTP, Path: "/pods/web.yaml", Hash: "hash"}
	st.Spec.Rollout = ro
	s.Statuses = []*status.StaticPodStatus{st, {Metadata: status.Metadata{ID: status.NodeID}}}
	return s
}

func TestRolloutIsATrace(t *testing.T) {
	r := newTeller(t, filepath.Join(t.TempDir(), "rollouts.json"))
	changed, pull, ready := stage(status.StepChanged, "", 0, 1), stage(status.StepPull, "c", 1, 9), stage(status.StepReady, "", 9, 11)
	open := pull
	open.End = time.Time{}
	for _, step := range []struct {
		ro   *status.Rollout
		want []string
	}{
		{nil, nil},
		{rolling(changed, open), []string{"changed"}},
		{rolling(changed, pull), []string{"changed", "pull c"}},
		{over(rolling(changed, pull, ready), status.OutcomeReady, 11), []string{"changed", "pull c", "ready", "rollout"}},
		{over(rolling(changed, pull, ready), status.OutcomeReady, 11), []string{"changed", "pull c", "ready", "rollout"}},
	} {
		if have := r.sees(t, snapshot(step.ro)); !slices.Equal(have, step.want) {
			t.Fatalf("told: %q, want %q", have, step.want)
		}
	}
	spans := r.exporter.GetSpans()
	root, pulled := spans[3], spans[1]
	ro := rolling()
	if root.SpanContext.TraceID().String() != ro.TraceID || root.SpanContext.SpanID().String() != ro.SpanID() || root.Parent.IsValid() {
		t.Errorf("root %s of %s, parent %s", root.SpanContext.SpanID(), root.SpanContext.TraceID(), root.Parent.SpanID())
	}
	if pulled.Parent.SpanID() != root.SpanContext.SpanID() || pulled.SpanContext.SpanID().String() != ro.StepSpanID(pull) || pulled.Parent.IsRemote() {
		t.Errorf("pull %s, parent %s", pulled.SpanContext.SpanID(), pulled.Parent.SpanID())
	}
	if !root.StartTime.Equal(dawn) || !root.EndTime.Equal(ready.End) || !pulled.StartTime.Equal(pull.Start) || !pulled.EndTime.Equal(pull.End) {
		t.Errorf("root from %s to %s, pull from %s to %s", root.StartTime, root.EndTime, pulled.StartTime, pulled.EndTime)
	}
	if len(root.Links) != 2 || root.Links[0].SpanContext.TraceID().String() != ro.Previous || root.Links[0].SpanContext.SpanID().String() != ro.PreviousSpanID() ||
		root.Links[1].SpanContext.SpanID() != (trace.SpanID{7}) {
		t.Errorf("links: %+v", root.Links)
	}
	if len(pulled.Links) != 1 || pulled.Links[0].SpanContext.TraceID() != (trace.TraceID{7}) {
		t.Errorf("links of the pull: %+v", pulled.Links)
	}
	want := map[string]string{
		"k8s.namespace.name": "default", "k8s.pod.name": "web-node1", "k8s.pod.uid": "0f1e", "staticpod.rollout.outcome": "ready",
		"staticpod.definition.id": "default-web", "staticpod.definition.source": "http", "staticpod.definition.version": "3",
		"staticpod.definition.revision": "hash", "file.path": "/pods/web.yaml",
	}
	if diff := cmp.Diff(want, attributesOf(root)); diff != "" {
		t.Error(diff)
	}
	if root.Status.Code != codes.Ok || pulled.Status.Code != codes.Unset || attributesOf(pulled)["k8s.container.name"] != "c" {
		t.Errorf("root %v, pull %v of %v", root.Status, pulled.Status, pulled.Attributes)
	}
}

func attributesOf(s tracetest.SpanStub) map[string]string {
	all := map[string]string{}
	for _, a := range s.Attributes {
		all[string(a.Key)] = a.Value.String()
	}
	return all
}

func TestRolloutThatEndsBadly(t *testing.T) {
	refused := stage(status.StepRejected, "", 1, 1)
	refused.Reason, refused.Message, refused.Path, refused.Line, refused.Field = "ManifestInvalid", "Required value", "/pods/web.yaml", 7, "spec.containers"
	refused.Since = dawn.Add(time.Second)
	stuck := stage(status.StepPull, "c", 1, 0)
	stuck.Reason, stuck.Message, stuck.Since = "ImagePullFailed", "not found", dawn.Add(2*time.Second)
	for _, test := range []struct {
		ro    *status.Rollout
		root  codes.Code
		step  codes.Code
		event string
	}{
		{over(rolling(stage(status.StepChanged, "", 0, 1), refused), status.OutcomeRejected, 1), codes.Error, codes.Error, "ManifestInvalid|Required value|/pods/web.yaml|7|spec.containers"},
		{over(rolling(stage(status.StepChanged, "", 0, 1), stuck), status.OutcomeTimedOut, 180), codes.Error, codes.Error, "ImagePullFailed|not found|||"},
		{over(rolling(stage(status.StepChanged, "", 0, 1), stuck), status.OutcomeSuperseded, 20), codes.Unset, codes.Unset, "ImagePullFailed|not found|||"},
	} {
		t.Run(string(test.ro.Outcome), func(t *testing.T) {
			r := newTeller(t, filepath.Join(t.TempDir(), "rollouts.json"))
			// It may be told of one that no status shows.
			e := status.EndedRollout{Pod: status.PodRef{Namespace: "default", Name: "web-node1"}, Rollout: test.ro}
			if have := r.sees(t, snapshot(nil, e)); len(have) != 3 {
				t.Fatalf("told: %q", have)
			}
			var root, step tracetest.SpanStub
			for _, s := range r.exporter.GetSpans() {
				switch s.Name {
				case "rollout":
					root = s
				case "rejected", "pull c":
					step = s
				}
			}
			if root.Status.Code != test.root || step.Status.Code != test.step || !step.EndTime.Equal(root.EndTime) {
				t.Errorf("root %v until %s, step %v until %s", root.Status, root.EndTime, step.Status, step.EndTime)
			}
			words := test.ro.Steps[1].Reason + ": " + test.ro.Steps[1].Message
			if test.root == codes.Error && (root.Status.Description != words || step.Status.Description != words || attributesOf(root)["error.type"] != test.ro.Steps[1].Reason) {
				t.Errorf("%q and %q", root.Status.Description, step.Status.Description)
			}
			if len(step.Events) != 1 || !step.Events[0].Time.Equal(test.ro.Steps[1].Since) {
				t.Fatalf("events: %+v", step.Events)
			}
			told := map[string]string{}
			for _, a := range step.Events[0].Attributes {
				told[string(a.Key)] = a.Value.String()
			}
			have := strings.Join([]string{told["staticpod.problem.reason"], told["staticpod.problem.message"], told["file.path"], told["staticpod.problem.line"], told["staticpod.problem.field"]}, "|")
			if have != test.event {
				t.Errorf("the event says %s, want %s", have, test.event)
			}
		})
	}
}

// Wherever the exporter is killed, each span is told, and those that are told twice are the same to the byte.
func TestRolloutOverKills(t *testing.T) {
	dir := t.TempDir()
	steps := []status.Step{stage(status.StepChanged, "", 0, 1), stage(status.StepSandbox, "", 1, 2), stage(status.StepReady, "", 2, 3)}
	story := []*status.Rollout{rolling(steps[:1]...), rolling(steps[:2]...), over(rolling(steps...), status.OutcomeReady, 3)}
	told := map[string]string{}
	count := 0
	tell := func(spans tracetest.SpanStubs) {
		for _, s := range spans {
			count++
			data, err := json.Marshal(s)
			if err != nil {
				t.Fatal(err)
			}
			id := s.SpanContext.SpanID().String()
			if before, ok := told[id]; ok && before != string(data) {
				t.Errorf("%s was told as\n%s\nand is now\n%s", s.Name, before, data)
			}
			told[id] = string(data)
		}
	}
	path := filepath.Join(dir, "rollouts.json")
	for i, ro := range story {
		// Killed after it was told and before that was written.
		r := newTeller(t, path)
		r.Observe(collection, snapshot(ro))
		if err := saveLedger(path, r.ledger.marshal()); err != nil {
			t.Fatal(err)
		}
		written, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		r.sees(t, snapshot(ro))
		tell(r.exporter.GetSpans())
		if err := os.WriteFile(path, written, 0o600); err != nil {
			t.Fatal(err)
		}
		// What sees it the next time is another collection.
		r = newTeller(t, path)
		r.Observe(context.Background(), snapshot(ro))
		r.sees(t, snapshot(ro))
		tell(r.exporter.GetSpans())
		// And in peace.
		r = newTeller(t, path)
		if have := r.sees(t, snapshot(ro)); len(have) > 0 {
			t.Errorf("told again after look %d: %q", i, have)
		}
	}
	if len(told) != 4 || count != 8 {
		t.Errorf("%d spans told %d times", len(told), count)
	}
}

// What was rolled out long before anybody asked is not told, and what nobody asks about any more is forgotten.
func TestLedgerIsBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rollouts.json")
	r := newTeller(t, path)
	old := over(rolling(stage(status.StepReady, "", 0, 1)), status.OutcomeReady, 1)
	late := snapshot(old)
	late.At = old.Ended.Add(rolloutAge + time.Second)
	if have := r.sees(t, late); len(have) > 0 {
		t.Errorf("told: %q", have)
	}
	if len(r.ledger.Traces) != 1 {
		t.Errorf("%d traces are remembered", len(r.ledger.Traces))
	}
	gone := snapshot(nil)
	for _, step := range []struct {
		after time.Duration
		want  int
	}{{rolloutAge, 1}, {rolloutAge + time.Second, 0}} {
		gone.At = late.At.Add(step.after)
		r.sees(t, gone)
		if have := len(r.ledger.Traces); have != step.want {
			t.Errorf("%d traces are remembered %s after the pod went", have, step.after)
		}
	}
	// What is not told yet stays until it is given up, and counted.
	r.Observe(collection, snapshot(rolling(stage(status.StepChanged, "", 0, 1))))
	gone.At = gone.At.Add(2 * rolloutAge)
	r.Observe(collection, gone)
	if n := len(r.ledger.pending()); n != 1 {
		t.Errorf("%d spans wait", n)
	}
}

// A pod that a process does not see at first, because an input is still down, is told of no second time.
func TestPodThatIsOutOfSight(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rollouts.json")
	ro := over(rolling(stage(status.StepChanged, "", 0, 1)), status.OutcomeReady, 1)
	newTeller(t, path).sees(t, snapshot(ro))
	r := newTeller(t, path)
	r.sees(t, many(1)) // another pod's
	r.exporter.Reset()
	again := snapshot(ro)
	again.At = again.At.Add(rolloutAge / 2)
	if have := r.sees(t, again); len(have) > 0 {
		t.Errorf("told again: %q", have)
	}
}

// What does not arrive is told again, for as long as anybody may want it.
func TestRolloutThatDoesNotArrive(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rollouts.json")
	r := newTeller(t, path)
	r.fails = down
	ro := over(rolling(stage(status.StepChanged, "", 0, 1)), status.OutcomeReady, 1)
	r.sees(t, snapshot(ro))
	r = newTeller(t, path)
	r.fails = down
	r.sees(t, snapshot(ro))
	r.fails = nil
	if have := r.sees(t, snapshot(ro)); !slices.Equal(have, []string{"changed", "rollout"}) {
		t.Errorf("told: %q", have)
	}

	path = filepath.Join(t.TempDir(), "rollouts.json")
	r = newTeller(t, path)
	r.fails = down
	r.sees(t, snapshot(ro))
	late := snapshot(ro)
	late.At = late.At.Add(rolloutAge + time.Second)
	r.sees(t, late)
	if len(r.ledger.pending()) > 0 {
		t.Error("it is told for ever")
	}
	if got := r.account.count(); got.Failed != 2 || got.Exported != 0 {
		t.Errorf("what was given up is not lost: %+v", got)
	}
}

func TestLedgerThatCannotBeWritten(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "none", "rollouts.json")
	r := newTeller(t, path)
	r.Observe(collection, snapshot(rolling(stage(status.StepChanged, "", 0, 1))))
	r.Observe(collection, snapshot(over(rolling(stage(status.StepChanged, "", 0, 1)), status.OutcomeReady, 1)))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if have := r.names(); !slices.Equal(have, []string{"changed", "rollout"}) {
		t.Errorf("told: %q", have)
	}
	if n := strings.Count(r.log.String(), "level=ERROR"); n != 1 {
		t.Errorf("%d errors:\n%s", n, r.log.String())
	}
	if err := os.WriteFile(filepath.Join(dir, "bad.json"), []byte(`{"version":9}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if bad := newTeller(t, filepath.Join(dir, "bad.json")); !strings.Contains(bad.log.String(), "its version is 9 and this program's 1") {
		t.Errorf("log: %s", bad.log.String())
	}
}
