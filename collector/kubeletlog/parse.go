package kubeletlog

import (
	"bytes"
	"strings"
	"time"
)

// Parse makes an Event of one record of the kubelet's log, in its JSON or its text format (in that one a
// record may be several lines) and in the wordings of releases since 1.18. It reports false for a record
// that says nothing about a static pod. read is when the record was read: it gives the year, the zone and,
// where a record has no time at all, the time.
func Parse(record []byte, read time.Time) (Event, bool) {
	return new(parser).parse(record, read, time.Time{})
}

// A parser parses one record after the other with the same memory.
type parser struct {
	fields fields
	event  Event
}

// parse is Parse. written is when the record came to be where it was read, if that is known: it knows the year and the zone
// better than read does.
func (p *parser) parse(record []byte, read, written time.Time) (Event, bool) {
	f, e := &p.fields, &p.event
	*f = fields{}
	if len(record) > 0 && record[0] == '{' {
		if !f.decodeJSON(record) || f.service != "" && f.service != "kubelet" {
			return Event{}, false
		}
		if f.at.IsZero() {
			f.at = written
		}
		if len(f.msg) > 1 && isDigit(f.msg[1]) { // a line of text, as Talos ships it
			f.decodeText([]byte(f.msg), read, f.at)
		}
	} else if !f.decodeText(record, read, written) {
		return Event{}, false
	}
	if f.msg == "" { // of a line of text that is a header alone
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

// message returns the line from its message on.
func message(line []byte) []byte {
	if len(line) == 0 || line[0] == '\t' {
		return nil
	}
	if line[0] == '{' {
		msg := jsonMessage(line)
		if len(msg) > 1 && isDigit(msg[1]) { // a line of text, as Talos ships it
			if body := textBody(msg); body > 0 {
				return bytes.TrimPrefix(msg[body:], []byte(`\"`))
			}
		}
		return msg
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

func isDigit(b byte) bool { return '0' <= b && b <= '9' }

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
