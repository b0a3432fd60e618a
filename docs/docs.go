// Package docs holds the runbooks of docs/reasons.md for the programs that show them: where they are needed there
// may be no network to read them over.
package docs

import (
	_ "embed"
	"strings"
)

//go:embed reasons.md
var reasons string

// Reasons returns docs/reasons.md as it is.
func Reasons() string { return reasons }

// A Stage is a chapter of the document.
type Stage struct {
	Name     string
	Intro    string // Markdown of one paragraph
	Runbooks []Runbook
}

// A Runbook is what the document says of one reason. All but the name is Markdown of one paragraph: see Spans.
type Runbook struct {
	Reason  string
	Meaning string // begins with the level, in emphasis
	SeenBy  string
	Kubelet string // what the kubelet does next
	Remedy  string
}

// Stages returns the document, in its order.
func Stages() []Stage {
	var stages []Stage
	for _, chapter := range strings.Split(reasons, "\n## ")[1:] {
		name, text, _ := strings.Cut(chapter, "\n")
		sections := strings.Split(text, "\n### ")
		stage := Stage{Name: name, Intro: paragraph(sections[0])}
		for _, section := range sections[1:] {
			reason, text, _ := strings.Cut(section, "\n\n") // below the name is its anchor
			reason, _, _ = strings.Cut(reason, "\n")
			stage.Runbooks = append(stage.Runbooks, runbook(reason, text))
		}
		stages = append(stages, stage)
	}
	return stages
}

// Find returns the runbook of a reason.
func Find(reason string) (Runbook, bool) {
	for _, stage := range Stages() {
		for _, r := range stage.Runbooks {
			if r.Reason == reason {
				return r, true
			}
		}
	}
	return Runbook{}, false
}

func runbook(reason, text string) Runbook {
	r := Runbook{Reason: reason}
	meaning, items, _ := strings.Cut(text, "\n- ")
	r.Meaning = paragraph(meaning)
	for _, item := range strings.Split(items, "\n- ") {
		label, words, _ := strings.Cut(item, ": ")
		switch strings.Trim(label, "* ") {
		case "Seen by":
			r.SeenBy = paragraph(words)
		case "The kubelet":
			r.Kubelet = paragraph(words)
		case "What to do":
			r.Remedy = paragraph(words)
		}
	}
	return r
}

// paragraph joins the lines of a text.
func paragraph(text string) string { return strings.Join(strings.Fields(text), " ") }

// A Span is a piece of a paragraph: words, or code to be shown as it is.
type Span struct {
	Text string
	Code bool
}

// Spans takes a paragraph of Markdown apart. Of links it leaves the words: they lead to other files of docs.
func Spans(text string) []Span {
	var spans []Span
	for i, part := range strings.Split(text, "`") {
		code := i%2 == 1
		if !code {
			part = strings.ReplaceAll(Unlinked(part), "*", "")
		}
		if part != "" {
			spans = append(spans, Span{part, code})
		}
	}
	return spans
}

// Plain is a paragraph of Markdown as plain text.
func Plain(text string) string {
	var b strings.Builder
	for _, s := range Spans(text) {
		b.WriteString(s.Text)
	}
	return b.String()
}

// Unlinked turns [words](where) into words: links lead to other files of docs.
func Unlinked(text string) string {
	var b strings.Builder
	for {
		before, rest, ok := strings.Cut(text, "[")
		words, after, closed := strings.Cut(rest, "](")
		_, end, ends := strings.Cut(after, ")")
		if !ok || !closed || !ends {
			b.WriteString(text)
			return b.String()
		}
		b.WriteString(before)
		b.WriteString(words)
		text = end
	}
}
