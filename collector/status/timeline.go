package status

import (
	"crypto/sha256"
	"encoding/hex"
	"time"
)

// A Rollout is the way of one change of a definition to a pod that is ready, as it was observed. Its times are those
// of the evidence: of files, of the kubelet's log and status, of the runtime. It is immutable.
type Rollout struct {
	// TraceID stands for the change: it is made of the UID and of Started, so that a content that comes back is
	// another rollout. Previous is that of the pod's rollout before, "" when none is known.
	TraceID  string `json:"traceId"`
	Previous string `json:"previous,omitempty"`
	UID      string `json:"uid"`      // of the pod that the change makes
	Revision string `json:"revision"` // the definition's hash; "" when no definition is to be seen
	Version  uint64 `json:"version"`  // of the definition
	// Started is when the definition was changed, or when its pod was first heard of where no definition is to be
	// seen; Ended is zero while the rollout goes on.
	Started time.Time `json:"started"`
	Ended   time.Time `json:"ended,omitzero"`
	Outcome Outcome   `json:"outcome"`
	Steps   []Step    `json:"steps"` // in the order of their start, at most 64
}

// Outcome is how a rollout ended.
type Outcome string

// The outcomes; "" while it goes on.
const (
	OutcomeReady      Outcome = "ready"      // the pod is ready, or has ended well as its restart policy lets it
	OutcomeRejected   Outcome = "rejected"   // the exporter or the kubelet refuses the definition or the pod
	OutcomeFailed     Outcome = "failed"     // the pod has ended badly and is not to be restarted
	OutcomeSuperseded Outcome = "superseded" // another change came before it was done
	OutcomeTimedOut   Outcome = "timedOut"   // it was not done by its deadline: RolloutStuck
	OutcomeRemoved    Outcome = "removed"    // the definition, or the pod without one, went away
)

// A Step is a part of a rollout. End is zero while it goes on, and for good in a step that the rollout ended in.
// Reason and Message say what was in its way, Path, Line and Field where that is; a step that was done in the end keeps
// them.
type Step struct {
	Name      StepName  `json:"name"`
	Container string    `json:"container"` // of pull and container, else ""
	Start     time.Time `json:"start"`
	End       time.Time `json:"end,omitzero"`
	Reason    string    `json:"reason"`
	Message   string    `json:"message"` // at most 1 KiB
	Path      string    `json:"path,omitempty"`
	Line      int       `json:"line,omitempty"`
	Field     string    `json:"field,omitempty"`
	Since     time.Time `json:"since,omitzero"` // of the reason
}

// StepName says what a step does.
type StepName string

// The steps, in the order of cause. One for which there is no evidence is left out.
const (
	StepChanged   StepName = "changed"   // from the change of the file to its being read
	StepValidated StepName = "validated" // until it is found sound and, in serving mode, served
	StepFetched   StepName = "fetched"   // until the kubelet fetches it, in serving mode
	StepAccepted  StepName = "accepted"  // until the kubelet has the pod
	StepRejected  StepName = "rejected"  // until it is refused
	StepSandbox   StepName = "sandbox"   // until the pod's sandbox is made: what was there before ends, volumes are mounted
	// StepPull is until the image is pulled, as the kubelet's log says at verbosity 3, else until the container is
	// made, which is an instant after.
	StepPull      StepName = "pull"
	StepContainer StepName = "container" // from the making of a container to its start, or to its end if it is an init container
	StepReady     StepName = "ready"     // from the last container's start to the pod's being ready
)

// Steps returns the names of all steps, in the order of cause.
func Steps() []StepName {
	return []StepName{StepChanged, StepValidated, StepFetched, StepAccepted, StepRejected, StepSandbox, StepPull, StepContainer, StepReady}
}

// A Lap is a part of a rollout that was done: a step, or with the Step "" a whole rollout whose pod became ready.
type Lap struct {
	Rollout  *Rollout
	Step     StepName
	SpanID   string
	Duration time.Duration
}

// An EndedRollout is one that no status shows: another followed it, or its pod is gone.
type EndedRollout struct {
	ID         string        `json:"id"` // of the status
	Pod        PodRef        `json:"pod"`
	Definition DefinitionRef `json:"definition"`
	Rollout    *Rollout      `json:"rollout"`
}

// idSpace keeps the IDs of rollouts apart from whatever else is made of the same facts.
const idSpace = "staticpod-rollout/v1"

// newTraceID is the trace of a rollout: 32 hexadecimal digits.
func newTraceID(uid string, started time.Time) string {
	return digestID(16, idSpace, uid, started.UTC().Format(time.RFC3339Nano))
}

// SpanID is the span of the whole rollout: 16 hexadecimal digits.
func (r *Rollout) SpanID() string { return rootSpanID(r.TraceID) }

// PreviousSpanID is that of the rollout before; "" when there is none.
func (r *Rollout) PreviousSpanID() string {
	if r.Previous == "" {
		return ""
	}
	return rootSpanID(r.Previous)
}

// StepSpanID is the span of a step.
func (r *Rollout) StepSpanID(s Step) string {
	return digestID(8, idSpace, r.TraceID, string(s.Name), s.Container)
}

func rootSpanID(traceID string) string { return digestID(8, idSpace, traceID, "rollout", "") }

// digestID makes n bytes of some words, in hexadecimal digits. The one ID that may not be is that of zeros, which no
// digest is.
func digestID(n int, words ...string) string {
	h := sha256.New()
	for _, w := range words {
		h.Write([]byte(w))
		h.Write([]byte{0})
	}
	return hex.EncodeToString(h.Sum(nil)[:n])
}

// step returns a step by name and container; nil when there is none.
func (r *Rollout) step(name StepName, container string) *Step {
	if r == nil {
		return nil
	}
	for i := range r.Steps {
		if s := &r.Steps[i]; s.Name == name && s.Container == container {
			return s
		}
	}
	return nil
}
