package kubeletlog

import "bytes"

const (
	blockSize = 256 << 10     // read at once
	lineLimit = blockSize / 2 // a longer line is not kept whole
	clipSize  = 64 << 10      // kept of the beginning and of the end of an oversized record

	escapeLimit = len(`\U0001F4A9`) // the longest escape sequence
)

// An assembler cuts blocks into lines, joins the lines of one record, and emits the records that may say
// something about a static pod. Its memory is bounded whatever it is fed.
//
// A record is one line, but for klog's text format, where a value of several lines reads
//
//	E1122 14:38:27.064857   29116 file.go:186] "Could not process manifest file" err=<
//	<tab>first line
//	<tab>second line
//	 > path="/etc/kubernetes/manifests/web.yaml"
//
// A line that begins with a tab is never the beginning of a record, so what a manifest says cannot pass for
// a line of the kubelet. Of a record longer than a block can hold the head and the tail are kept: the
// message stands at the head, and what the kubelet makes of a received body after that body.
type assembler struct {
	emit func(record []byte)

	buf  []byte // blockSize, so that a transport can read straight into it
	fill int    // of buf: the beginning of a line whose end has not come
	gone int64  // bytes of the unfinished record that are no longer in buf

	record  clip
	joining bool // record waits for more lines
	long    bool // the beginning of the line at hand did not fit buf
	keep    bool // and it belongs to record
	body    bool // and it begins with a tab

	part   part   // of a line that a container runtime wrote in pieces
	header []byte // which that runtime put before the line at hand, nil where there is none

	lines, oversized uint64
	noise            Noise
}

func newAssembler(emit func(record []byte)) *assembler {
	return &assembler{emit: emit, buf: make([]byte, blockSize)}
}

// space is where the next bytes of the log go. It is never empty.
func (a *assembler) space() []byte { return a.buf[a.fill:] }

// pending is how many bytes at the end of what was taken belong to no finished record.
func (a *assembler) pending() int64 { return a.gone + int64(a.fill) }

// end is called where the log breaks off: a record that waits for more lines is emitted as it is, the
// beginning of a line is dropped. It reports whether there was such a beginning.
func (a *assembler) end() (lost bool) {
	lost = a.fill > 0 || a.long
	if a.joining && !a.long {
		a.finish()
	}
	a.discard()
	return lost
}

// discard forgets the unfinished record.
func (a *assembler) discard() {
	a.record.reset()
	a.part, a.header = part{}, nil
	a.fill, a.gone = 0, 0
	a.joining, a.long, a.keep, a.body = false, false, false, false
}

// take accepts the n bytes that were put into space.
func (a *assembler) take(n int) {
	data := a.buf[:a.fill+n]
	if a.long {
		data = a.endLong(data)
	}
	for len(data) > 0 {
		end := bytes.IndexByte(data, '\n')
		if end < 0 {
			break
		}
		line := data[:end]
		data = data[end+1:]
		a.lines++
		if a.joining || a.part.open || end > 0 && line[0] <= '9' { // no first line of the kubelet's own begins like that
			a.wrapped(line)
		} else if c := classify(line); c != dull {
			a.open(line, c)
		} else {
			continue
		}
		if a.joining || a.part.open {
			a.gone += int64(end) + 1
		} else {
			a.gone = 0
		}
	}
	if a.gone == 0 && !a.long {
		data = bytes.TrimLeft(data, "\x00") // so that a hole is no oversized line
	}
	if len(data) >= lineLimit {
		a.beginLong(data)
		data = nil
	}
	a.fill = copy(a.buf, data)
}

// line accepts a whole line.
func (a *assembler) line(line []byte) {
	if a.joining {
		a.join(line)
	} else if c := classify(line); c != dull {
		a.open(line, c)
	}
}

// open accepts a line that is not dull and belongs to no record before it.
func (a *assembler) open(line []byte, c class) {
	if c == telling {
		a.begin(line)
	} else {
		a.noise.count(c)
	}
}

// begin starts a record with a line that may matter.
func (a *assembler) begin(line []byte) {
	line = bytes.TrimSuffix(line, []byte("\r"))
	if !opensValue(line) {
		a.emit(line)
		return
	}
	a.joining = true
	a.record.write(line)
}

// join adds a line to a record, or ends the record that it does not belong to.
func (a *assembler) join(line []byte) {
	line = bytes.TrimSuffix(line, []byte("\r"))
	switch {
	case bytes.HasPrefix(line, []byte("\t")):
		a.grow(line)
	case bytes.HasPrefix(line, []byte(" >")):
		a.grow(line)
		if !opensValue(line) {
			a.finish()
		}
	default: // the rest never came
		a.finish()
		a.line(line)
	}
}

func (a *assembler) grow(line []byte) {
	a.record.write([]byte{'\n'})
	a.record.write(line)
}

// finish emits the record.
func (a *assembler) finish() {
	if a.record.cut {
		a.oversized++
	}
	a.joining, a.gone = false, 0
	a.emit(a.record.bytes())
	a.record.reset()
}

// beginLong takes the beginning of a line that is too long for buf.
func (a *assembler) beginLong(data []byte) {
	if a.beginPiece(data) {
		return
	}
	a.long, a.body = true, data[0] == '\t'
	if a.joining && !a.body && !bytes.HasPrefix(data, []byte(" >")) {
		a.finish()
	}
	switch {
	case a.joining:
		a.keep = true
		a.record.write([]byte{'\n'})
		a.record.write(data)
	case classify(data) == telling:
		a.keep = true
		a.record.write(data)
	default:
		a.keep = false
		a.oversized++
	}
	a.gone += int64(len(data))
}

// endLong takes more of such a line and returns what comes after it.
func (a *assembler) endLong(data []byte) (rest []byte) {
	end := bytes.IndexByte(data, '\n')
	ended := end >= 0
	if !ended {
		end = len(data)
	}
	a.gone += int64(end)
	switch {
	case a.part.long:
		a.part.write(data[:end])
	case a.keep:
		a.record.write(data[:end])
	}
	if !ended {
		return nil
	}
	a.gone++
	a.lines++
	a.long = false
	switch {
	case a.part.long:
		a.endPiece()
	case !a.keep:
		a.gone = 0
	case a.joining && a.body: // one of the lines of a value
	case a.record.endsWith(valueOpens):
		a.joining = true
	default:
		a.finish()
	}
	return data[end+1:]
}

// valueOpens ends a line when the value of its last key follows on the next ones.
const valueOpens = "=<"

func opensValue(line []byte) bool {
	return len(line) >= 2 && line[len(line)-1] == '<' && line[len(line)-2] == '='
}

// A clip keeps the head and the tail of what is written to it.
type clip struct {
	head, tail []byte
	cut        bool // between the two something is missing
}

func (c *clip) write(p []byte) {
	n := min(len(p), clipSize-len(c.head))
	c.head = append(c.head, p[:n]...)
	p = p[n:]
	if len(p) > clipSize {
		p, c.tail, c.cut = p[len(p)-clipSize:], c.tail[:0], true
	}
	if spill := len(c.tail) + len(p) - 2*clipSize; spill > 0 {
		kept := copy(c.tail, c.tail[len(c.tail)-clipSize:])
		c.tail, c.cut = c.tail[:kept], true
	}
	c.tail = append(c.tail, p...)
}

func (c *clip) endsWith(s string) bool {
	if len(c.tail) >= len(s) {
		return bytes.HasSuffix(c.tail, []byte(s))
	}
	return bytes.HasSuffix(append(bytes.Clone(c.head), c.tail...), []byte(s))
}

// bytes returns what is kept as one record. Where something is missing no escape sequence is torn: one that
// the head ends with is dropped, and so is the tail up to a byte that surely begins a new one.
func (c *clip) bytes() []byte {
	if !c.cut {
		return append(c.head, c.tail...)
	}
	head, tail := c.head, c.tail
	if last := bytes.LastIndexByte(head, '\\'); last >= len(head)-escapeLimit {
		slashes := last + 1 - len(bytes.TrimRight(head[:last+1], "\\"))
		if slashes%2 == 1 { // of an even number each two are one sequence
			head = head[:last]
		}
	}
	for i, b := range tail {
		if b != '\\' { // whatever it is part of, the byte after it is not escaped
			tail = tail[i+1:]
			break
		}
	}
	return append(append(head, "…"...), tail...)
}

func (c *clip) reset() { *c = clip{} }
