package kubeletlog

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"
)

// An entry of the journal, with what is wanted of it.
type entry struct {
	cursor    string
	at        time.Time // when journald got it
	stream    string    // the connection it came by, "" for none
	broken    bool      // journald broke the line at its limit: the next entry of the stream goes on with it
	messageID string
	message   clip
}

// suppressed identifies journald's own word that it has left out messages of a unit, which were too many.
const suppressed = "a596d6fe7bfa4994828e72309e95d61e"

// exportFields are those that an exportReader needs, besides the ones that come with every entry.
const exportFields = "MESSAGE,MESSAGE_ID,_LINE_BREAK,_STREAM_ID"

// An exportReader reads the journal's export format: a field is NAME=text, or, where that is not all
// printable, NAME, a line feed, the length in eight bytes, the data, and a line feed; an empty line ends an
// entry. It is the one format of journalctl that neither cuts, nor escapes, nor guesses what is text. Memory is
// bounded whatever it is fed.
type exportReader struct{ *bufio.Reader }

func newExportReader(r io.Reader) exportReader { return exportReader{bufio.NewReaderSize(r, 64<<10)} }

// fieldLimit bounds the fields other than the message. A longer one is cut.
const fieldLimit = 4 << 10

var errExport = errors.New("not the journal's export format")

// next reads one entry into e. It returns io.EOF at the end, also where an entry breaks off: what is not
// whole comes again.
func (r exportReader) next(e *entry) error {
	*e = entry{}
	for begun := false; ; {
		name, text, err := r.name()
		if err != nil {
			return err
		}
		if name == "" {
			if begun {
				return nil
			}
			continue
		}
		begun = true
		if text {
			err = r.text(e, name)
		} else {
			err = r.binary(e, name)
		}
		if err != nil {
			return err
		}
	}
}

// name reads the name of the next field, up to its = (text) or its line feed. An empty line has none.
func (r exportReader) name() (name string, text bool, err error) {
	var buf [64]byte // as long as journald allows
	for n := 0; n <= len(buf); n++ {
		b, err := r.ReadByte()
		switch {
		case err != nil:
			return "", false, err
		case b == '\n':
			return string(buf[:n]), false, nil
		case b == '=' && n > 0:
			return string(buf[:n]), true, nil
		case n == len(buf) || b == 0:
			return "", false, fmt.Errorf("%w: no name of a field", errExport)
		}
		buf[n] = b
	}
	return "", false, errExport
}

func (r exportReader) text(e *entry, name string) error {
	var value []byte
	for {
		piece, err := r.ReadSlice('\n')
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
		if err == nil {
			piece = piece[:len(piece)-1]
		}
		value = e.more(name, value, piece)
		if err == nil {
			return e.set(name, value)
		}
	}
}

func (r exportReader) binary(e *entry, name string) error {
	var header [8]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return broken(err)
	}
	rest := binary.LittleEndian.Uint64(header[:])
	if rest > 1<<40 {
		return fmt.Errorf("%w: a field of %d bytes", errExport, rest)
	}
	var value []byte
	for rest > 0 {
		piece, err := r.Peek(int(min(rest, uint64(r.Size()))))
		if len(piece) == 0 {
			return broken(err)
		}
		value = e.more(name, value, piece)
		rest -= uint64(len(piece))
		_, _ = r.Discard(len(piece)) // it was peeked at
	}
	end, err := r.ReadByte()
	if err != nil {
		return broken(err)
	}
	if end != '\n' {
		return fmt.Errorf("%w: no line feed after %s", errExport, name)
	}
	return e.set(name, value)
}

func broken(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return io.EOF
	}
	return err
}

// more takes a piece of a field's value.
func (e *entry) more(name string, value, piece []byte) []byte {
	if name == "MESSAGE" {
		e.message.write(piece)
		return nil
	}
	return append(value, piece[:min(len(piece), fieldLimit-len(value))]...)
}

// set takes a field whose pieces are there.
func (e *entry) set(name string, value []byte) error {
	switch name {
	case "__CURSOR":
		e.cursor = string(value)
	case "__REALTIME_TIMESTAMP":
		micros, err := strconv.ParseInt(string(value), 10, 64)
		if err != nil {
			return fmt.Errorf("%w: no time", errExport)
		}
		e.at = time.UnixMicro(micros)
	case "MESSAGE_ID":
		e.messageID = string(value)
	case "_LINE_BREAK":
		e.broken = string(value) == "line-max"
	case "_STREAM_ID":
		e.stream = string(value)
	}
	return nil
}
