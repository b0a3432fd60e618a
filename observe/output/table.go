// Package output prints static pods and their statuses as talosctl prints resources: aligned tables, YAML
// documents, indented JSON.
//
// Its contract: whatever a value holds, a row stays one line and nothing reaches the terminal that could
// steer it; for the same data the default columns are byte for byte those of talosctl.
package output

import (
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/text/width"
)

const (
	padding = 3 // columns are this far apart, as in talosctl and kubectl
	none    = "<none>"
)

// A Table aligns rows in columns. Rows are held back until Flush; later batches keep the columns of the
// earlier ones and widen them only where they must, so that a watch stays readable.
type Table struct {
	// Colours are off by default.
	Colours Colours

	w      io.Writer
	header []string
	rows   [][]string
	widths []int
}

// NewTable returns a Table on w whose first row is header. The caller calls Flush.
func NewTable(w io.Writer, header []string) *Table {
	t := &Table{w: w, header: header, widths: make([]int, len(header))}
	t.Row(header)
	return t
}

// Row adds a row, which has as many cells as the header.
func (t *Table) Row(cells []string) {
	row := make([]string, len(cells))
	for i, cell := range cells {
		row[i] = Printable(cell)
		t.widths[i] = max(t.widths[i], Columns(row[i]))
	}
	t.rows = append(t.rows, row)
}

// Flush writes the rows added since the last Flush.
func (t *Table) Flush() error {
	var b strings.Builder
	for _, row := range t.rows {
		for i, cell := range row {
			b.WriteString(t.Colours.Paint(colourOf(t.header[i], cell), cell))
			if i < len(row)-1 {
				b.WriteString(strings.Repeat(" ", t.widths[i]-Columns(cell)+padding))
			}
		}
		b.WriteByte('\n')
	}
	t.rows = nil
	_, err := io.WriteString(t.w, b.String())
	return err
}

// WithEvent returns cells with that of a watch's event put behind NODE, where talosctl has it.
func WithEvent(cells []string, event string) []string {
	return slices.Insert(slices.Clone(cells), 1, event)
}

// Printable returns s with every character escaped that would break the row or steer a terminal: controls,
// separators of lines, marks of direction, bytes that are no UTF-8.
func Printable(s string) string {
	// U+FFFD is printable when the author wrote it; strings.IndexFunc cannot tell it from a broken byte, so
	// quoting decides. Escaping one that was meant does no harm.
	if strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar }) < 0 {
		return s
	}
	quoted := strconv.Quote(s)
	quoted = quoted[1 : len(quoted)-1]
	return strings.NewReplacer(`\"`, `"`, `\\`, `\`).Replace(quoted)
}

// PrintableText is Printable for text of many lines and tabs.
func PrintableText(s string) string {
	var b strings.Builder
	for part := range strings.SplitAfterSeq(s, "\n") {
		line, ended := strings.CutSuffix(part, "\n")
		for i, cell := range strings.Split(line, "\t") {
			if i > 0 {
				b.WriteByte('\t')
			}
			b.WriteString(Printable(cell))
		}
		if ended {
			b.WriteByte('\n')
		}
	}
	return b.String()
}

// Columns returns how many columns of a terminal s takes, of which every character is printable.
func Columns(s string) int {
	n := 0
	for _, r := range s {
		switch {
		case r < unicode.MaxASCII:
			n++
		case unicode.In(r, unicode.Mn, unicode.Me):
		default:
			switch width.LookupRune(r).Kind() {
			case width.EastAsianWide, width.EastAsianFullwidth:
				n += 2
			default:
				n++
			}
		}
	}
	return n
}
