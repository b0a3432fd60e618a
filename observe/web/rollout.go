package web

import (
	"time"

	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/staticpod-exporter/staticpod-exporter/collector/status"
	"github.com/staticpod-exporter/staticpod-exporter/manifest"
)

// How wide a timeline is drawn, and the least of it that a step is, in units of its own.
const (
	timelineWidth = 1000
	leastWidth    = 5
)

// A rolloutView is the way of one revision from its change to a pod that is ready, drawn.
type rolloutView struct {
	TraceID, Revision string
	Class             class
	Outcome           string
	Started           moment
	Took              string // "" while it goes on
	Steps             []stepView
}

// A stepView is one step, and the bar that it is drawn as.
type stepView struct {
	Name, Container        string
	Class                  class
	Reason, Message, Where string
	After                  string // since the rollout began
	Took                   string // "" for one that ended with the rollout
	Open                   bool   // it goes on
	X, Width               int    // of timelineWidth
}

// drawRollout draws r as it is at now. It returns nil for none.
func (p *page) drawRollout(r *status.Rollout, now time.Time) *rolloutView {
	if r == nil {
		return nil
	}
	words, class := outcome(r.Outcome)
	v := &rolloutView{
		TraceID: r.TraceID, Revision: r.Revision[:min(len(r.Revision), 12)], Outcome: words, Class: class, Started: at(r.Started),
	}
	end := r.Ended
	if end.IsZero() {
		end = now
	} else {
		v.Took = took(end.Sub(r.Started))
	}
	for _, step := range r.Steps {
		if step.End.After(end) {
			end = step.End
		}
	}
	whole := max(end.Sub(r.Started), time.Millisecond)
	place := func(t time.Time) int {
		return min(max(int(timelineWidth*t.Sub(r.Started)/whole), 0), timelineWidth)
	}
	for _, step := range r.Steps {
		view := stepView{
			Name: string(step.Name), Container: step.Container, Reason: step.Reason, Message: step.Message,
			Where: where(step.Path, step.Line, 0, step.Field), After: "+" + took(max(step.Start.Sub(r.Started), 0)),
			Open: step.End.IsZero() && r.Outcome == "",
		}
		stop := step.End
		if stop.IsZero() {
			stop = end
		}
		if !step.End.IsZero() || view.Open {
			view.Took = took(max(stop.Sub(step.Start), 0))
		}
		view.Class = p.stepClass(step, view.Open)
		view.X = min(place(step.Start), timelineWidth-leastWidth)
		view.Width = max(place(stop)-view.X, leastWidth)
		v.Steps = append(v.Steps, view)
	}
	return v
}

// outcome says how a rollout ended.
func outcome(o status.Outcome) (string, class) {
	switch o {
	case "":
		return "Under way", starting
	case status.OutcomeReady:
		return "Ready", fine
	case status.OutcomeRejected:
		return "Refused", critical
	case status.OutcomeFailed:
		return "Failed", critical
	case status.OutcomeTimedOut:
		return "Not ready in time", warning
	case status.OutcomeSuperseded:
		return "Overtaken by another change", unknown
	case status.OutcomeRemoved:
		return "Removed", unknown
	}
	return string(o), unknown
}

// stepClass is what colour a step has. One that something was in the way of, and that was done in the end, will hurt
// again.
func (p *page) stepClass(step status.Step, open bool) class {
	hindered := step.Reason != "" && p.levels[manifest.Reason(step.Reason)] != manifest.Info
	switch {
	case step.Name == status.StepRejected, hindered && step.End.IsZero():
		return critical
	case hindered:
		return warning
	case open:
		return starting
	case step.End.IsZero():
		return unknown
	}
	return fine
}

// took is how long something took: exactly while it is short, then as everywhere.
func took(d time.Duration) string {
	switch {
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < 10*time.Second:
		return d.Round(100 * time.Millisecond).String()
	}
	return duration.HumanDuration(d)
}
