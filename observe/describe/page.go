package describe

import (
	"strings"
	"time"
	"unicode"

	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/staticpod-exporter/staticpod-exporter/observe/output"
)

const (
	labelColumns = 14 // of the labels at the margin, with their colon
	itemIndent   = 2
	itemColumns  = itemIndent + labelColumns
	subIndent    = 4
	pageColumns  = 100 // what running text is wrapped at
)

// A page is text that grows from its head to its foot.
type page struct {
	b       strings.Builder
	colours output.Colours
	now     time.Time
}

// heading begins a part of the page.
func (p *page) heading(words string) {
	p.b.WriteByte('\n')
	p.line(0, p.colours.Paint(output.Heading, words+":"))
}

// line writes text that may hold colours, as it is.
func (p *page) line(indent int, text string) {
	p.b.WriteString(strings.TrimRightFunc(strings.Repeat(" ", indent)+text, unicode.IsSpace))
	p.b.WriteByte('\n')
}

// field, item and sub write a label and its value at three depths.
func (p *page) field(label, value string) { p.painted(0, label, output.Printable(value)) }
func (p *page) item(label, value string)  { p.painted(itemIndent, label, output.Printable(value)) }
func (p *page) sub(label, value string)   { p.painted(subIndent, label, output.Printable(value)) }

// painted writes a label and a value that may hold colours, and nothing else that is not printable.
func (p *page) painted(indent int, label, value string) {
	if label != "" {
		label += ":"
	}
	p.line(indent, label+strings.Repeat(" ", max(labelColumns-output.Columns(label), 1))+value)
}

// paint is a printable text in a colour.
func (p *page) paint(colour output.Colour, text string) string {
	return p.colours.Paint(colour, output.Printable(text))
}

// text writes running text, wrapped.
func (p *page) text(indent int, words string) {
	for _, line := range wrap(words, pageColumns-indent) {
		p.line(indent, line)
	}
}

// wrap breaks text into lines of at most so many columns, but for words that are longer.
func wrap(text string, columns int) []string {
	var lines []string
	line, width := "", 0
	for _, word := range strings.Fields(text) {
		word = output.Printable(word)
		n := output.Columns(word)
		if line != "" && width+1+n > columns {
			lines = append(lines, line)
			line, width = "", 0
		}
		if line != "" {
			line += " "
			width++
		}
		line += word
		width += n
	}
	if line != "" {
		lines = append(lines, line)
	}
	return lines
}

// since says how long something has lasted; "" when that is not known.
func (p *page) since(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return " for " + output.Age(t, p.now) + ", since " + stamp(t)
}

// ago says how long ago something happened, after words; "" when that is not known.
func (p *page) ago(words string, t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return words + " " + output.Age(t, p.now) + " ago, at " + stamp(t)
}

// stamp is a time to the second, in UTC, as the kubelet's log has it.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// took is a duration, as exactly as it matters.
func took(d time.Duration) string {
	switch {
	case d < 0:
		return "0s"
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Minute:
		return d.Round(100 * time.Millisecond).String()
	}
	return duration.HumanDuration(d)
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
