package web

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/staticpod-exporter/staticpod-exporter/collector/status"
)

// A timeline is drawn within its width, whatever the times are.
func TestDrawRollout(t *testing.T) {
	began := time.Unix(1e9, 0)
	after := func(s float64) time.Time { return began.Add(time.Duration(s * float64(time.Second))) }
	step := func(name status.StepName, start, end float64) status.Step {
		s := status.Step{Name: name, Start: after(start)}
		if end >= 0 {
			s.End = after(end)
		}
		return s
	}
	hindered := func(s status.Step) status.Step {
		s.Reason = "ImagePullFailed"
		return s
	}
	waited := func(s status.Step) status.Step {
		s.Reason = "WaitingForTermination"
		return s
	}
	const open = -1
	p := newPage("1")
	for _, test := range []struct {
		name    string
		rollout *status.Rollout
		now     float64
		want    []string // the outcome and the bars: step class x+width took
	}{
		{"none", nil, 0, nil},
		{"ready", &status.Rollout{Started: began, Ended: after(10), Outcome: status.OutcomeReady, Steps: []status.Step{
			step("changed", 0, 0.02), step("validated", 0.02, 0.02), hindered(step("pull", 1, 6)), step("ready", 6, 10),
		}}, 99, []string{"Ready ok 10s", "changed ok 0+5 20ms", "validated ok 2+5 0s", "pull warning 100+500 5s", "ready ok 600+400 4s"}},
		{"goes on", &status.Rollout{Started: began, Steps: []status.Step{step("changed", 0, 1), step("ready", 1, open)}}, 4,
			[]string{"Under way starting ", "changed ok 0+250 1s", "ready starting 250+750 3s so far"}},
		{"goes on, badly", &status.Rollout{Started: began, Steps: []status.Step{hindered(step("pull", 2, open))}}, 4,
			[]string{"Under way starting ", "pull critical 500+500 2s so far"}},
		{"waits", &status.Rollout{Started: began, Steps: []status.Step{waited(step("sandbox", 0, 2)), waited(step("sandbox", 2, open))}}, 4,
			[]string{"Under way starting ", "sandbox ok 0+500 2s", "sandbox starting 500+500 2s so far"}},
		{"refused", &status.Rollout{Started: began, Ended: after(1), Outcome: status.OutcomeRejected, Steps: []status.Step{step("changed", 0, 0.5), step("rejected", 0.5, 1)}}, 99,
			[]string{"Refused critical 1s", "changed ok 0+500 500ms", "rejected critical 500+500 500ms"}},
		{"overtaken in a step", &status.Rollout{Started: began, Ended: after(2), Outcome: status.OutcomeSuperseded, Steps: []status.Step{step("fetched", 1, open)}}, 99,
			[]string{"Overtaken by another change unknown 2s", "fetched unknown 500+500 "}},
		{"no time at all", &status.Rollout{Started: began, Ended: began, Outcome: status.OutcomeReady, Steps: []status.Step{step("ready", 0, 0)}}, 99,
			[]string{"Ready ok 0s", "ready ok 0+5 0s"}},
		{"clocks that disagree", &status.Rollout{Started: began, Steps: []status.Step{step("changed", -5, 9), step("ready", 100, open)}}, -3,
			[]string{"Under way starting ", "changed ok 0+1000 14s", "ready starting 995+5 0s so far"}},
		{"an outcome of later", &status.Rollout{Started: began, Ended: after(1), Outcome: "reverted"}, 99, []string{"reverted unknown 1s"}},
	} {
		v := p.drawRollout(test.rollout, after(test.now))
		var got []string
		if v != nil {
			got = append(got, fmt.Sprintf("%s %s %s", v.Outcome, v.Class, v.Took))
			for _, s := range v.Steps {
				line := fmt.Sprintf("%s %s %d+%d %s", s.Name, s.Class, s.X, s.Width, s.Took)
				if s.Open {
					line += " so far"
				}
				got = append(got, line)
				if s.X < 0 || s.Width < leastWidth || s.X+s.Width > timelineWidth {
					t.Errorf("%s: %s is drawn at %d, %d wide", test.name, s.Name, s.X, s.Width)
				}
			}
		}
		if strings.Join(got, "\n") != strings.Join(test.want, "\n") {
			t.Errorf("%s: got\n%s\nwant\n%s", test.name, strings.Join(got, "\n"), strings.Join(test.want, "\n"))
		}
	}
}
