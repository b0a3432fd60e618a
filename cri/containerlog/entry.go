// Package containerlog reads what containers have written: the files in which a container runtime keeps their
// output, over the rotation of a file and over the attempts at running a container.
//
// Its contract: while a log is followed no line is lost and none comes twice, whatever the kubelet does to the
// file: rename it, compress what it had renamed before, remove it. What was written in pieces comes as one line.
// The bytes of a container are never changed.
package containerlog

import (
	"bytes"
	"encoding/json"
	"time"
)

// An entry is one line of a log file: a line that a container wrote, or a piece of one.
//
//	2026-11-22T14:38:27.064857123Z stdout P the beginning of a long line
//	2026-11-22T14:38:27.064857124Z stdout F  and its end
type entry struct {
	stamp  []byte // when the runtime got it, RFC 3339; nil when the line does not say
	stream stream
	text   []byte // without its line feed
	more   bool   // the rest of the line is in the next entry of the stream
}

type stream uint8

const (
	stdout stream = iota
	stderr
	streams
)

// at is when the runtime got e, zero when that is not known.
func (e *entry) at() time.Time {
	at, err := time.Parse(time.RFC3339Nano, string(e.stamp))
	if err != nil {
		return time.Time{}
	}
	return at
}

// parse takes a line of a log file apart, which is given without its line feed. A line of no known format is an
// entry as a whole: nothing that a file holds is left out.
func parse(line []byte) entry {
	if len(line) > 0 && line[0] == '{' {
		if e, ok := parseDocker(line); ok {
			return e
		}
	}
	stamp, rest, ok := bytes.Cut(line, []byte(" "))
	if !ok || len(stamp) < len("2006-01-02T15:04:05Z") || stamp[4] != '-' || stamp[10] != 'T' {
		return entry{text: line}
	}
	e := entry{stamp: stamp}
	name, rest, ok := bytes.Cut(rest, []byte(" "))
	switch string(name) {
	case "stdout":
	case "stderr":
		e.stream = stderr
	default:
		return entry{text: line}
	}
	tags, text, found := bytes.Cut(rest, []byte(" "))
	tag, _, _ := bytes.Cut(tags, []byte(":"))
	if !ok || !found || string(tag) != "P" && string(tag) != "F" {
		return entry{text: line}
	}
	e.text, e.more = text, tag[0] == 'P'
	return e
}

// parseDocker reads {"log":"…\n","stream":"stdout","time":"…"}, the format of Docker behind cri-dockerd.
func parseDocker(line []byte) (entry, bool) {
	var j struct {
		Log    *string `json:"log"`
		Stream string  `json:"stream"`
		Time   string  `json:"time"`
	}
	if json.Unmarshal(line, &j) != nil || j.Log == nil || j.Stream == "" {
		return entry{}, false
	}
	text, whole := bytes.CutSuffix([]byte(*j.Log), []byte("\n"))
	e := entry{stamp: []byte(j.Time), text: text, more: !whole}
	if j.Stream == "stderr" {
		e.stream = stderr
	}
	return e, true
}
