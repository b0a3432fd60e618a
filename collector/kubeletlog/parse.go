package kubeletlog

import (
	"bytes"
	"encoding/binary"
	"strings"
	"time"
)

// Parse makes an Event of one record of the kubelet's log, in its JSON or its text format (in that one a
// record may be several lines) and in the wordings of releases since 1.18. It reports false for a record
// that says nothing about a static pod. read is when the record was read: it gives the year, the zone and,
// where a record has no time at all, the time.
func Parse(record []byte, read time.Time) (Event, bool) { return new(parser).parse(record, read) }

// A parser parses one record after the other with the same memory.
type parser struct {
	fields fields
	event  Event
}

func (p *parser) parse(record []byte, read time.Time) (Event, bool) {
	f, e := &p.fields, &p.event
	*f = fields{}
	var ok bool
	if len(record) > 0 && record[0] == '{' {
		ok = f.decodeJSON(record)
	} else {
		ok = f.decodeText(record, read)
	}
	if !ok {
		return Event{}, false
	}
	for i := range rules[f.msg[0]] {
		rule := &rules[f.msg[0]][i]
		rest, found := strings.CutPrefix(f.msg, rule.prefix)
		if !found {
			continue
		}
		*e = Event{At: f.at, Read: read, Kind: rule.kind}
		if e.At.IsZero() {
			e.At = read
		}
		if !rule.fill(e, f, rest) {
			return Event{}, false
		}
		e.clean()
		if len(record) > sharedLimit {
			e.detach()
		}
		return *e, true
	}
	return Event{}, false
}

// wanted reports whether a line may begin a record that Parse makes an event of. It looks at nothing but
// the beginning of the message, since nearly all lines end here.
func wanted(line []byte) bool {
	msg := message(line)
	if len(msg) < 8 {
		return false
	}
	head := binary.LittleEndian.Uint64(msg)
	candidates := rules[msg[0]]
	for i := range candidates {
		r := &candidates[i]
		if head&r.mask == r.head && len(msg) >= len(r.prefix) && string(msg[:len(r.prefix)]) == r.prefix {
			return true
		}
	}
	return false
}

// message returns the line from its message on.
func message(line []byte) []byte {
	if len(line) == 0 || line[0] == '\t' {
		return nil
	}
	if line[0] == '{' {
		return jsonMessage(line)
	}
	body := textBody(line)
	if body < 0 {
		return nil
	}
	if line = line[body:]; len(line) > 0 && line[0] == '"' {
		line = line[1:]
	}
	return line
}

// jsonMessage returns the line from the value of "msg" on. The kubelet's own order of keys, with a time of 13
// digits and a fraction, is tried first, since to search for the key is three times as slow.
func jsonMessage(line []byte) []byte {
	const ts, digits, caller, msg = `{"ts":`, 13, `,"caller":"`, `","msg":"`
	if len(line) > 128 && string(line[:len(ts)]) == ts {
		at := len(ts) + digits
		for at < len(ts)+digits+8 && line[at] != ',' {
			at++
		}
		if string(line[at:at+len(caller)]) == caller {
			at += len(caller)
			if i := bytes.IndexByte(line[at:], '"'); i >= 0 && len(line) > at+i+len(msg) && string(line[at+i:at+i+len(msg)]) == msg {
				return line[at+i+len(msg):]
			}
		}
	}
	const key = `"msg":"`
	i := bytes.Index(line, []byte(key))
	if i < 0 {
		return nil
	}
	return line[i+len(key):]
}
