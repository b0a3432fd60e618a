package web

import (
	"fmt"
	"html/template"
	"slices"
	"strconv"
	"strings"

	"github.com/staticpod-exporter/staticpod-exporter/collector"
	"github.com/staticpod-exporter/staticpod-exporter/collector/status"
	"github.com/staticpod-exporter/staticpod-exporter/manifest"
)

// A summary is the node in one sentence.
type summary struct {
	Node, Title, Sentence string
	Facts                 []string
	Class                 class
	Empty                 string // what to do when there are no static pods
}

// overview shows the whole node.
func (p *page) overview(s *status.Snapshot, rows []rowOf) (*show, error) {
	v := &show{at: at(s.At), numbers: make(map[class]int), rows: make([]*row, 0, len(rows))}
	for _, r := range rows {
		row, err := r.made()
		if err != nil {
			return nil, err
		}
		v.rows = append(v.rows, row)
		v.numbers[row.class]++
	}
	order := make(map[class]int)
	for i, c := range classes() {
		order[c] = i
	}
	slices.SortStableFunc(v.rows, func(a, b *row) int { return order[a.class] - order[b.class] })
	problems := nodeProblems(s)
	sum := summarise(s, v.numbers, problems)
	v.title, v.bad = sum.Title, sum.Class == critical
	return v, p.fill(v,
		piece{"summary", sum},
		piece{"node", p.problems(problems)},
		piece{"counts", counts(v.numbers, filter{})},
		piece{"inputs", inputs(s.Inputs)},
	)
}

// overviewSheet lays out the page of the whole node, of which f picks the rows.
func (p *page) overviewSheet(v *show, f filter) (sheet, error) {
	frame := struct {
		Summary, Node, Counts, Inputs template.HTML
		Filter                        filter
		Rows                          []template.HTML
		All                           int
	}{Summary: v.parts[0].html, Node: v.parts[1].html, Inputs: v.parts[3].html, Filter: f, All: len(v.rows)}
	chosen, err := p.part("counts", "counts", counts(v.numbers, f))
	if err != nil {
		return sheet{}, err
	}
	frame.Counts = chosen.html
	for _, r := range v.rows {
		if f.shows(r) {
			frame.Rows = append(frame.Rows, r.html)
		}
	}
	main, err := p.part("main", "overview", frame)
	return sheet{Title: v.title, Bad: v.bad, Live: true, At: v.at, Main: main.html}, err
}

// summarise says how the node does.
func summarise(s *status.Snapshot, numbers map[class]int, problems []manifest.Problem) summary {
	v := summary{Node: s.Node, Facts: facts(s.Info), Class: fine, Title: "Static pods on " + s.Node}
	n := 0
	for _, c := range slices.Backward(classes()) {
		if n += numbers[c]; numbers[c] > 0 {
			v.Class = c
		}
	}
	for _, problem := range problems {
		if problem.Level == manifest.Critical {
			v.Class = critical
		}
	}
	v.Sentence = sentence(n, numbers)
	if n == 0 {
		v.Empty = "Nothing defines one: the kubelet's manifest directory is empty, and so is the list it reads from a URL, if it reads one."
		if s.Info.Mode == "serving" {
			v.Empty = "Nothing defines one. A file with a Pod, in a directory that manifest.files names, is proven, served and shown here at once."
		}
	}
	if waiting := numbers[critical] + numbers[warning] + len(problems); waiting > 0 {
		v.Title = "(" + strconv.Itoa(waiting) + ") " + v.Title
	}
	return v
}

// sentence says how many of n static pods do how.
func sentence(n int, numbers map[class]int) string {
	if n == 0 {
		return "The node has no static pods."
	}
	phrases := map[class][2]string{
		critical: {"does not run as defined", "do not run as defined"},
		warning:  {"has a warning", "have warnings"},
		unknown:  {"cannot be judged", "cannot be judged"},
		starting: {"is starting", "are starting"},
	}
	var said []string
	for _, c := range classes() {
		k := numbers[c]
		phrase, worth := phrases[c]
		if k == 0 || !worth {
			continue
		}
		subject := strconv.Itoa(k)
		switch {
		case len(said) > 0:
		case n == 1:
			subject = "The one static pod"
		case k == n:
			subject = fmt.Sprintf("All %d static pods", n)
		default:
			subject = fmt.Sprintf("%d of %d static pods", k, n)
		}
		said = append(said, subject+" "+phrase[min(k, 2)-1])
	}
	switch {
	case len(said) > 0:
		return strings.Join(said, ", ") + "."
	case n == 1:
		return "The one static pod runs as defined."
	}
	return fmt.Sprintf("All %d static pods run as defined.", n)
}

// facts are what is known of the node's programs.
func facts(i status.NodeInfo) []string {
	var facts []string
	if i.KubeletVersion != "" {
		facts = append(facts, "kubelet "+i.KubeletVersion)
	}
	if runtime := strings.TrimSpace(i.Runtime + " " + i.RuntimeVersion); runtime != "" {
		facts = append(facts, runtime)
	}
	if i.Mode != "" {
		facts = append(facts, i.Mode)
	}
	return facts
}

// nodeProblems returns the problems of the node itself.
func nodeProblems(s *status.Snapshot) []manifest.Problem {
	for _, verdict := range s.Statuses {
		if verdict.Metadata.ID == status.NodeID {
			return verdict.Spec.Problems
		}
	}
	return nil
}

// An inputView is how well one input answers.
type inputView struct {
	Name, State string
	Class       class
	Verb        string // what it did last
	Last        moment
	Error       string
}

func inputs(states []collector.InputState) []inputView {
	views := make([]inputView, 0, len(states))
	for _, i := range states {
		v := inputView{Name: string(i.Input), State: "Up", Class: fine, Verb: "answered", Last: at(i.LastSuccess), Error: i.Err}
		switch {
		case !i.Configured:
			v.State, v.Class = "Not configured", unknown
		case !i.Up:
			v.State, v.Class = "Down", critical
		}
		views = append(views, v)
	}
	return views
}
