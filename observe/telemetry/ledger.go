package telemetry

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/staticpod-exporter/staticpod-exporter/collector/status"
	"github.com/staticpod-exporter/staticpod-exporter/manifest"
)

// ledgerVersion is that of the file; one that is newer cannot be read.
const ledgerVersion = 1

// A ledger remembers which spans of rollouts were told, and holds those that are to be.
type ledger struct {
	Version int                `json:"version"`
	Traces  map[string]*record `json:"traces"` // by trace ID
}

// A record is what is known of one trace.
type record struct {
	Told    []string  `json:"told,omitempty"` // span IDs
	Waiting []waiting `json:"waiting,omitempty"`

	seen time.Time // when a pod last had it, as far as this process knows
}

type waiting struct {
	ID    string    `json:"id"` // of the span
	Since time.Time `json:"since"`
	Part  part      `json:"part"`
}

// A part is all that the span of a step, or of a whole rollout, is made of.
type part struct {
	Pod        status.PodRef        `json:"pod"`
	Definition status.DefinitionRef `json:"definition"`
	Rollout    status.Rollout       `json:"rollout"` // without its steps
	Step       *status.Step         `json:"step,omitempty"`
	Last       *status.Step         `json:"last,omitempty"` // of a whole rollout: the step that it ended in, if not well
	Seen       spanRef              `json:"seen,omitzero"`  // the collection that saw it
}

// A spanRef is another span, in hexadecimal digits; zero for none.
type spanRef struct {
	TraceID string `json:"traceId"`
	SpanID  string `json:"spanId"`
}

func newSpanRef(c trace.SpanContext) spanRef {
	if !c.IsValid() {
		return spanRef{}
	}
	return spanRef{c.TraceID().String(), c.SpanID().String()}
}

// link returns a link to the span, said to be of a kind; none when there is no span.
func (s spanRef) link(kind string) []trace.Link {
	traceID, err := trace.TraceIDFromHex(s.TraceID)
	spanID, bad := trace.SpanIDFromHex(s.SpanID)
	if err != nil || bad != nil {
		return nil
	}
	return []trace.Link{{
		SpanContext: trace.NewSpanContext(trace.SpanContextConfig{TraceID: traceID, SpanID: spanID, TraceFlags: trace.FlagsSampled}),
		Attributes:  []attribute.KeyValue{linkKey.String(kind)},
	}}
}

// readLedger reads what a former process left; nothing is no error.
func readLedger(path string) (ledger, error) {
	empty := ledger{Version: ledgerVersion, Traces: map[string]*record{}}
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return empty, nil
	}
	if err != nil {
		return empty, fmt.Errorf("ledger of rollouts: %w", err)
	}
	var l ledger
	if err := json.Unmarshal(data, &l); err != nil {
		return empty, fmt.Errorf("ledger of rollouts %s: %w", path, err)
	}
	if l.Version != ledgerVersion {
		return empty, fmt.Errorf("ledger of rollouts %s: its version is %d and this program's %d", path, l.Version, ledgerVersion)
	}
	for id, r := range l.Traces {
		if r != nil {
			empty.Traces[id] = r
		}
	}
	return empty, nil
}

// saveLedger writes the ledger to path, 0600 and atomically.
func saveLedger(path string, data []byte) error {
	if err := manifest.WritePrivate(filepath.Dir(path), filepath.Base(path), data); err != nil {
		return fmt.Errorf("ledger of rollouts: %w", err)
	}
	return nil
}

func (l *ledger) marshal() []byte {
	data, err := json.Marshal(l)
	if err != nil {
		return nil // it is plain data: it cannot fail
	}
	return data
}

// trace is the record of a trace, made when it is new.
func (l *ledger) trace(id string) *record {
	r := l.Traces[id]
	if r == nil {
		r = &record{}
		l.Traces[id] = r
	}
	return r
}

// pending lists what waits in the order of its end, a rollout after its steps.
func (l *ledger) pending() []waiting {
	var all []waiting
	for _, r := range l.Traces {
		all = append(all, r.Waiting...)
	}
	slices.SortStableFunc(all, func(a, b waiting) int {
		return cmp.Or(a.Part.end().Compare(b.Part.end()), a.Part.whole()-b.Part.whole(), a.Part.start().Compare(b.Part.start()), cmp.Compare(a.ID, b.ID))
	})
	return all
}

// forget drops the traces that no pod has had for long, once all of them is told. A pod may be out of sight for a while:
// after a restart there is no more than what was asked first.
func (l *ledger) forget(live map[string]bool, now time.Time) {
	for id, r := range l.Traces {
		switch {
		case live[id] || r.seen.IsZero():
			r.seen = now
		case len(r.Waiting) == 0 && now.Sub(r.seen) > rolloutAge:
			delete(l.Traces, id)
		}
	}
}

// end is when the part was over: that of the rollout for a step that was never done.
func (p *part) end() time.Time {
	if p.Step == nil || p.Step.End.IsZero() {
		return p.Rollout.Ended
	}
	return p.Step.End
}

// whole is 1 for a rollout and 0 for a step.
func (p *part) whole() int {
	if p.Step == nil {
		return 1
	}
	return 0
}

func (p *part) start() time.Time {
	if p.Step == nil {
		return p.Rollout.Started
	}
	return p.Step.Start
}

func (r *record) isNew() bool { return len(r.Told) == 0 && len(r.Waiting) == 0 }

func (r *record) has(id string) bool {
	return slices.Contains(r.Told, id) || slices.ContainsFunc(r.Waiting, func(w waiting) bool { return w.ID == id })
}

// tell takes down that a span was told, and reports whether that is new.
func (r *record) tell(id string) bool {
	r.Waiting = slices.DeleteFunc(r.Waiting, func(w waiting) bool { return w.ID == id })
	if slices.Contains(r.Told, id) {
		return false
	}
	r.Told = append(r.Told, id)
	return true
}
