package describe

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/staticpod-exporter/staticpod-exporter/collector/kubeletlog"
	"github.com/staticpod-exporter/staticpod-exporter/collector/status"
	"github.com/staticpod-exporter/staticpod-exporter/docs"
	"github.com/staticpod-exporter/staticpod-exporter/manifest"
	"github.com/staticpod-exporter/staticpod-exporter/observe/output"
)

// rollout is the way of the last change to a pod that is ready.
func (p *page) rollout(r *status.Rollout) {
	if r == nil {
		return
	}
	p.heading("Rollout")
	outcome, colour, end := string(r.Outcome), output.Bad, r.Ended
	switch r.Outcome {
	case "":
		outcome, colour, end = "going on", output.Doubtful, p.now
	case status.OutcomeReady:
		colour = output.Good
	case status.OutcomeSuperseded, status.OutcomeRemoved:
		colour = output.Plain
	}
	words := p.paint(colour, outcome)
	if r.Outcome == "" {
		words += " for " + took(end.Sub(r.Started))
	} else if !end.IsZero() {
		words += " after " + took(end.Sub(r.Started))
	}
	p.painted(itemIndent, "Outcome", words)
	p.item("Version", fmt.Sprint(r.Version))
	p.item("Started", stamp(r.Started)+", "+output.Age(r.Started, p.now)+" ago")
	p.item("Trace ID", r.TraceID)
	if len(r.Steps) == 0 {
		return
	}
	var table strings.Builder
	t := output.NewTable(&table, []string{"STEP", "CONTAINER", "BEGAN", "TOOK", ""})
	for _, s := range r.Steps {
		lasted := "not done"
		switch {
		case !s.End.IsZero():
			lasted = took(s.End.Sub(s.Start))
		case s.Name == status.StepRejected:
			lasted = "-"
		case r.Outcome == "":
			lasted = took(p.now.Sub(s.Start)) + " so far"
		}
		t.Row([]string{string(s.Name), or(s.Container, "-"), "+" + took(s.Start.Sub(r.Started)), lasted, s.Reason})
	}
	_ = t.Flush() // a strings.Builder takes everything
	for line := range strings.Lines(table.String()) {
		p.line(itemIndent, strings.TrimRight(line, " \n"))
	}
}

// problems are what is wrong, the headline first, and what to do about each.
func (p *page) problems(spec status.StatusSpec) {
	if len(spec.Problems) == 0 {
		return
	}
	p.heading("Problems")
	for _, problem := range spec.Problems {
		level := p.paint(output.ColourOf(problem.Level), string(problem.Level))
		p.line(itemIndent, p.paint(output.Heading, string(problem.Reason))+" ("+level+")"+p.since(problem.Since))
		message := problem.Message
		if problem.Detail != "" && !strings.Contains(message, problem.Detail) {
			message = problem.Detail + ": " + message
		}
		p.text(subIndent, message)
		if where := place(problem); where != "" {
			p.sub("Where", where)
		}
		if runbook, ok := docs.Find(string(problem.Reason)); ok {
			p.text(subIndent, "What to do: "+docs.Plain(runbook.Remedy))
		}
	}
}

func place(p manifest.Problem) string {
	where := p.Path
	if where != "" && p.Line > 0 {
		where += fmt.Sprintf(":%d", p.Line)
		if p.Column > 0 {
			where += fmt.Sprintf(":%d", p.Column)
		}
	}
	switch {
	case p.Field == "":
		return where
	case where == "":
		return p.Field
	}
	return where + ", " + p.Field
}

// maxSayings is how many different lines of the log are told.
const maxSayings = 20

// A saying is a line of the log, as often as the kubelet repeated it.
type saying struct {
	text        string
	first, last time.Time
	times       int
}

// log are the kubelet's own words.
func (p *page) log(s Subject) {
	said := sayings(s.Log)
	if len(said) == 0 && s.LogNote == "" {
		s.LogNote = "the kubelet's log says nothing of it"
	}
	p.heading("Kubelet's log")
	if left := len(said) - maxSayings; left > 0 {
		p.line(itemIndent, fmt.Sprintf("(%d other lines before these)", left))
		said = said[left:]
	}
	for _, l := range said {
		words := stamp(l.last)
		if l.times > 1 {
			words += fmt.Sprintf(" (%d times since %s)", l.times, stamp(l.first))
		}
		p.line(itemIndent, words)
		p.text(subIndent, l.text)
	}
	if s.LogNote != "" {
		p.text(itemIndent, s.LogNote)
	}
}

// sayings joins the lines that say the same, in the order in which they were said last.
func sayings(lines []kubeletlog.Line) []saying {
	var said []saying
	at := map[string]int{}
	for _, l := range lines {
		i, known := at[l.Text]
		if !known {
			i = len(said)
			at[l.Text] = i
			said = append(said, saying{text: l.Text, first: l.At})
		}
		said[i].last = l.At
		said[i].times++
	}
	slices.SortStableFunc(said, func(a, b saying) int { return a.last.Compare(b.last) })
	return said
}
