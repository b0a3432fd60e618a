package containerlog

import (
	"bufio"
	"bytes"
	"io"
	"time"
)

// Options say what of a log is printed, and how.
type Options struct {
	// Tail is how many lines are printed of what is there at the beginning, -1 for all.
	Tail int
	// Since leaves out what the runtime got before.
	Since time.Time
	// Timestamps puts before each line when the runtime got it.
	Timestamps bool
	// Raw prints the lines of the file as they are, pieces and all.
	Raw bool
	// Damaged, when not nil, is told of a compressed file that cannot be read, wholly or to its end, and is left there.
	Damaged func(path string, err error)
}

const (
	// pieceLimit is how much of a line is held back until its end comes.
	pieceLimit = 1 << 20
	// stampFormat has the same width always.
	stampFormat = "2006-01-02T15:04:05.000000000Z07:00"
)

// A Printer makes lines of the entries of logs and prints them.
type Printer struct {
	w       *bufio.Writer
	options Options
	open    [streams]*bytes.Buffer // the beginning of a line
	torn    [streams]bool          // whose beginning was too long to hold back, and is printed
	last    struct {
		stamp []byte // of the last entry
		ended bool   // what was printed last ends in a line feed
	}
	ring *ring // while only the last lines count
}

// NewPrinter returns a Printer on w.
func NewPrinter(w io.Writer, o Options) *Printer {
	p := &Printer{w: bufio.NewWriterSize(w, 64<<10), options: o}
	for i := range p.open {
		p.open[i] = new(bytes.Buffer)
	}
	p.last.ended = true
	return p
}

// line prints one line of a log file, which is given without its line feed.
func (p *Printer) line(line []byte) error {
	e := parse(line)
	if e.stamp != nil {
		p.last.stamp = append(p.last.stamp[:0], e.stamp...)
	}
	if !p.options.Since.IsZero() {
		stamp := entry{stamp: p.last.stamp} // a line without one is as old as that before it
		if stamp.at().Before(p.options.Since) {
			return nil
		}
	}
	if p.options.Raw {
		return p.write(line, true)
	}
	open := p.open[e.stream]
	if open.Len() == 0 && !p.torn[e.stream] && p.options.Timestamps {
		if at := e.at(); !at.IsZero() {
			open.WriteString(at.Format(stampFormat))
			open.WriteByte(' ')
		}
	}
	open.Write(e.text)
	if e.more && open.Len() < pieceLimit && !p.torn[e.stream] {
		return nil
	}
	p.torn[e.stream] = e.more
	err := p.write(open.Bytes(), !e.more)
	open.Reset()
	return err
}

// write prints a line, or a piece of one.
func (p *Printer) write(text []byte, ended bool) error {
	if p.ring != nil {
		p.ring.add(text, ended)
		return nil
	}
	p.last.ended = ended
	if _, err := p.w.Write(text); err != nil {
		return err
	}
	if ended {
		return p.w.WriteByte('\n')
	}
	return nil
}

// end prints what was begun and has no end, when the log has none.
func (p *Printer) end() error {
	for i, open := range p.open {
		if open.Len() > 0 {
			if err := p.write(open.Bytes(), false); err != nil {
				return err
			}
			open.Reset()
		}
		p.torn[i] = false
	}
	return nil
}

// feed begins a new line unless one begins already.
func (p *Printer) feed() error {
	if p.last.ended {
		return nil
	}
	return p.write(nil, true)
}

// damaged tells of a compressed file that cannot be read.
func (p *Printer) damaged(g *generation, err error) {
	if p.options.Damaged != nil {
		p.options.Damaged(g.Name(), err)
	}
}

// Flush hands on what was printed.
func (p *Printer) Flush() error { return p.w.Flush() }

// only has the printer keep the last n lines until all says that those are printed.
func (p *Printer) only(n int) { p.ring = &ring{lines: make([][]byte, 0, min(n, 1<<10)), limit: n} }

func (p *Printer) all() error {
	r := p.ring
	if r == nil {
		return nil
	}
	p.ring = nil
	for i := range r.lines {
		line := r.lines[(r.first+i)%len(r.lines)]
		text, ended := bytes.CutSuffix(line, []byte("\n"))
		if err := p.write(text, ended); err != nil {
			return err
		}
	}
	return nil
}

// A ring keeps the last lines.
type ring struct {
	lines [][]byte
	limit int
	first int  // index of the oldest line, once there are limit of them
	open  bool // the newest has no end yet
}

func (r *ring) add(text []byte, ended bool) {
	if r.limit == 0 {
		return
	}
	newest := (r.first + len(r.lines) - 1) % max(1, len(r.lines))
	switch {
	case r.open:
		r.lines[newest] = append(r.lines[newest], text...)
	case len(r.lines) < r.limit:
		newest = len(r.lines)
		r.lines = append(r.lines, bytes.Clone(text))
	default:
		newest = r.first
		r.lines[newest] = append(r.lines[newest][:0], text...)
		r.first = (r.first + 1) % r.limit
	}
	if ended {
		r.lines[newest] = append(r.lines[newest], '\n')
	}
	r.open = !ended
}
