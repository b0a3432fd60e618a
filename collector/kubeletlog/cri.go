package kubeletlog

import (
	"bytes"
	"time"
)

// A kubelet that runs in a container logs to a file of the container runtime, which puts a header before
// each line and writes a long one in pieces, P but for the last, F:
//
//	2026-11-22T14:38:27.064857123Z stderr P {"ts":1795358307064.8572,"caller":"config/fi
//	2026-11-22T14:38:27.064857123Z stderr F le.go:186","msg":"Could not process manifest file"}
//
// Each line says by itself that it is one of those, so a log may have both kinds.

// A part is the beginning of a line that a container runtime wrote in pieces.
type part struct {
	open   bool
	stream byte // of which it is a line: the fourth letter of stdout or stderr
	keep   bool // it may matter
	long   bool // the piece at hand is itself too long for the buffer
	last   bool // and the last one
	clip   clip
}

// pieceLength is enough of a line to tell by whether it may matter.
const pieceLength = 512

func (p *part) write(piece []byte) {
	if p.keep {
		p.clip.write(piece)
	}
}

// cutHeader takes the header off a piece. more is whether another one follows.
func cutHeader(line []byte) (header, body []byte, more, ok bool) {
	const least, most = len("2026-11-22T14:38:27Z"), len("2026-11-22T14:38:27.064857123+01:00")
	end := bytes.IndexByte(line[:min(len(line), most+1)], ' ')
	if end < least || line[4] != '-' || line[7] != '-' || line[10] != 'T' || !isDigit(line[0]) {
		return nil, nil, false, false
	}
	stream := line[end+1:]
	if !bytes.HasPrefix(stream, []byte("stderr ")) && !bytes.HasPrefix(stream, []byte("stdout ")) {
		return nil, nil, false, false
	}
	tags, body, found := bytes.Cut(stream[len("stderr "):], []byte(" "))
	if !found || len(tags) == 0 || tags[0] != 'P' && tags[0] != 'F' || len(tags) > 1 && tags[1] != ':' {
		return nil, nil, false, false
	}
	return line[:end+len(" std")+1], body, tags[0] == 'P', true
}

// wrapped accepts a line that a container runtime may have put a header before, or that lies behind a hole.
func (a *assembler) wrapped(line []byte) {
	if len(line) > 0 && line[0] == 0 {
		line = bytes.TrimLeft(line, "\x00") // which a copytruncate leaves before a writer's offset
	}
	header, body, more, ok := cutHeader(line)
	switch {
	case !ok:
		a.endPart() // its end never came
		a.line(line)
		return
	case a.part.open && a.part.stream != header[len(header)-1]:
		if !more { // the two streams mix; what is in pieces on both is lost
			a.whole(header, body)
		}
		return
	case !a.part.open && !more:
		a.whole(header, body)
		return
	case !a.part.open:
		a.openPart(header, body)
	}
	a.part.write(body)
	if !more {
		a.header = header
		a.endPart()
	}
}

func (a *assembler) whole(header, line []byte) {
	a.header = header
	a.line(line)
	a.header = nil
}

func (a *assembler) openPart(header, body []byte) {
	a.part = part{
		open: true, stream: header[len(header)-1],
		keep: a.joining || len(body) < pieceLength || classify(body) == telling,
	}
}

// endPart makes one line of the pieces.
func (a *assembler) endPart() {
	p := a.part
	a.part = part{}
	if p.clip.cut {
		a.oversized++
	}
	if p.open && p.keep {
		a.line(p.clip.bytes())
	}
	a.header = nil
}

// beginPiece is beginLong for a piece, if data is the beginning of one.
func (a *assembler) beginPiece(data []byte) bool {
	header, body, more, ok := cutHeader(data)
	if !ok {
		return false
	}
	if !a.part.open {
		a.openPart(header, body)
		if !a.part.keep {
			a.oversized++
		}
	}
	a.part.write(body)
	a.long, a.part.long, a.part.last = true, true, !more
	a.gone += int64(len(data))
	return true
}

// endPiece is endLong for it.
func (a *assembler) endPiece() {
	a.part.long = false
	if a.part.last {
		a.endPart()
	}
	if !a.joining && !a.part.open {
		a.gone = 0
	}
}

// written is when the container runtime wrote the record at hand, zero for any other.
func (a *assembler) written() time.Time {
	if a.header == nil {
		return time.Time{}
	}
	text, _, _ := bytes.Cut(a.header, []byte(" "))
	at, err := time.Parse(time.RFC3339Nano, string(text))
	if err != nil {
		return time.Time{}
	}
	return at
}
