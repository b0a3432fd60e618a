package report

import (
	"fmt"
	"io"
	"strings"

	"github.com/staticpod-exporter/staticpod-exporter/manifest"
	"github.com/staticpod-exporter/staticpod-exporter/observe/output"
)

// Text writes the report as a compiler does: a line for each problem, PATH:LINE:COLUMN: LEVEL: MESSAGE [REASON], and
// below it the line of the file with a caret under the place.
func (r *Report) Text(w io.Writer, colours output.Colours) error {
	var b strings.Builder
	for _, p := range r.Problems {
		where := output.Printable(p.Path)
		if p.Line > 0 {
			where = fmt.Sprintf("%s:%d:%d", where, p.Line, max(p.Column, 1))
		}
		level := output.ColourOf(p.Level)
		fmt.Fprintf(&b, "%s %s %s %s\n", colours.Paint(output.Heading, where+":"), colours.Paint(level, string(p.Level)+":"),
			output.Printable(words(p)), colours.Paint(output.Aside, "["+string(p.Reason)+"]"))
		text, marks := r.snippet(p)
		if text == "" {
			continue
		}
		gutter := fmt.Sprintf("%5d", p.Line)
		fmt.Fprintf(&b, "%s %s\n", colours.Paint(output.Aside, gutter+" |"), text)
		fmt.Fprintf(&b, "%s %s\n", colours.Paint(output.Aside, strings.Repeat(" ", len(gutter))+" |"), colours.Paint(level, marks))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// snippet is the line that a problem is at, and the caret below it; "" when there is nothing to be shown.
func (r *Report) snippet(p manifest.Problem) (text, marks string) {
	source, ok := r.Sources[p.Path]
	if !ok || p.Line == 0 {
		return "", ""
	}
	line := manifest.SourceLine(source, p.Line)
	if p.Field == "" || p.Reason == manifest.DuplicateKey {
		// The place of what cannot be parsed is guessed, and keys may be written twice in what is no pod.
		return excerpt(outline(line), 0, false)
	}
	// What a field that does not exist was meant for, and so whether it holds a secret, nobody knows.
	secret := p.Reason == manifest.UnknownField || secretFields.MatchString(p.Field)
	return excerpt(line, p.Column, secret)
}
