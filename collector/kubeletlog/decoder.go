package kubeletlog

import (
	"strings"
	"time"
)

// A decoder makes events of the bytes of one log, or of one connection: a transport fills space with them
// and calls take, and flush gives what became of it.
type decoder struct {
	assembler *assembler
	parser    parser
	read      time.Time // when the bytes at hand were read
	written   time.Time // when they were written, where the transport knows that

	events []Event
	missed Noise // by the assembler: what only a whole record tells to be noise
	told   told
}

// told is what flush has given already.
type told struct {
	lines, oversized uint64
	noise            Noise
}

func newDecoder() *decoder {
	d := &decoder{}
	d.assembler = newAssembler(d.record)
	return d
}

func (d *decoder) record(record []byte) {
	written := d.assembler.written()
	if written.IsZero() {
		written = d.written
	}
	e, ok := d.parser.parse(record, d.read, written)
	if !ok {
		return
	}
	if e.Kind == DirectoryMissing && strings.HasPrefix(e.Message, "path does not exist") {
		d.missed.DirectoryMissing++
	}
	d.events = append(d.events, e)
}

// space is where the next bytes go. It is never empty.
func (d *decoder) space() []byte { return d.assembler.space() }

// take accepts the n bytes that were put into space.
func (d *decoder) take(n int) {
	d.read = time.Now()
	d.assembler.take(n)
}

// write is take for bytes that are elsewhere.
func (d *decoder) write(data []byte) {
	for len(data) > 0 {
		n := copy(d.space(), data)
		data = data[n:]
		d.take(n)
	}
}

// flush returns what is new since the last flush. Its events are valid until the next take.
func (d *decoder) flush() progress {
	now := told{d.assembler.lines, d.assembler.oversized, d.assembler.noise}
	now.noise.add(d.missed)
	p := progress{
		events: d.events, lines: now.lines - d.told.lines, oversized: now.oversized - d.told.oversized,
		noise: now.noise.minus(d.told.noise),
	}
	d.told, d.events = now, d.events[:0]
	return p
}
