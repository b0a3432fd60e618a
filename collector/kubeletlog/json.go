package kubeletlog

import (
	"bytes"
	"iter"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"
)

// decodeJSON takes a record of the JSON format apart. It walks the object once and decodes only the keys
// that matter; that is five times as fast as encoding/json. It is more lenient than that one, never
// stricter: an object that breaks off gives what it has, and ok is false when there is no message in it.
func (f *fields) decodeJSON(line []byte) (ok bool) {
	for key, raw := range members(line) {
		f.take(key, raw)
	}
	return f.msg != ""
}

// members yields the keys, still escaped, and the raw values of an object until it ends or breaks off.
func members(object []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(key, raw []byte) bool) {
		s := scanner{data: object}
		for more := s.byte('{'); more; more = s.byte(',') {
			s.space()
			key, ok := s.text()
			if !ok {
				return
			}
			s.space()
			if !s.byte(':') {
				return
			}
			s.space()
			start := s.at
			if !s.skip() || !yield(key, object[start:s.at]) {
				return
			}
			s.space()
		}
	}
}

// take keeps one member of the object if it matters.
func (f *fields) take(key, raw []byte) {
	switch string(key) {
	case "msg":
		f.msg = unquoteJSON(raw)
	case "ts":
		if raw[0] == '"' {
			f.at, _ = time.Parse(time.RFC3339Nano, unquoteJSON(raw))
		} else {
			f.at = epoch(raw)
		}
	case "talos-time": // Talos moves ts there when it ships logs
		f.at, _ = time.Parse(time.RFC3339Nano, unquoteJSON(raw))
	case "talos-service":
		f.service = unquoteJSON(raw)
	default:
		known := mattering(key)
		switch {
		case known == "":
		case raw[0] == '"':
			f.put(known, unquoteJSON(raw))
		case raw[0] == '{':
			f.put(known, reference(raw))
		default:
			f.put(known, string(raw))
		}
	}
}

// reference writes {"name":…,"namespace":…} as klog's text format does.
func reference(raw []byte) string {
	var name, namespace string
	for key, raw := range members(raw) {
		switch string(key) {
		case "name":
			name = unquoteJSON(raw)
		case "namespace":
			namespace = unquoteJSON(raw)
		}
	}
	if namespace == "" {
		return name
	}
	return namespace + "/" + name
}

// A scanner walks over JSON.
type scanner struct {
	data []byte
	at   int
}

func (s *scanner) space() {
	for s.at < len(s.data) && (s.data[s.at] == ' ' || s.data[s.at] == '\t' || s.data[s.at] == '\n' || s.data[s.at] == '\r') {
		s.at++
	}
}

func (s *scanner) byte(b byte) bool {
	if s.at < len(s.data) && s.data[s.at] == b {
		s.at++
		return true
	}
	return false
}

// text returns what stands between quotation marks, still escaped.
func (s *scanner) text() ([]byte, bool) {
	if !s.byte('"') {
		return nil, false
	}
	for start, from := s.at, s.at; ; {
		i := bytes.IndexByte(s.data[from:], '"')
		if i < 0 {
			return nil, false
		}
		end := from + i
		slash := end
		for slash > start && s.data[slash-1] == '\\' {
			slash--
		}
		if (end-slash)%2 == 0 {
			s.at = end + 1
			return s.data[start:end], true
		}
		from = end + 1
	}
}

// skip moves past one value and reports whether it is there and ends.
func (s *scanner) skip() bool {
	if s.at >= len(s.data) {
		return false
	}
	switch s.data[s.at] {
	case '"':
		_, ok := s.text()
		return ok
	case '{', '[':
		for depth := 0; s.at < len(s.data); {
			switch s.data[s.at] {
			case '"':
				if _, ok := s.text(); !ok {
					return false
				}
				continue
			case '{', '[':
				depth++
			case '}', ']':
				depth--
			}
			s.at++
			if depth == 0 {
				return true
			}
		}
		return false
	}
	start := s.at
	for s.at < len(s.data) && !strings.ContainsRune(",]} \t\r\n", rune(s.data[s.at])) {
		s.at++
	}
	return s.at > start
}

// unquoteJSON decodes a JSON string; what is no string gives "".
func unquoteJSON(raw []byte) string {
	if len(raw) < 2 || raw[0] != '"' {
		return ""
	}
	raw = raw[1 : len(raw)-1]
	next := bytes.IndexByte(raw, '\\')
	if next < 0 {
		return string(raw)
	}
	out := make([]byte, 0, len(raw))
	for next >= 0 && next+1 < len(raw) {
		out = append(out, raw[:next]...)
		escape := raw[next+1]
		raw = raw[next+2:]
		switch escape {
		case 'n':
			out = append(out, '\n')
		case 't':
			out = append(out, '\t')
		case 'r':
			out = append(out, '\r')
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'u':
			r := hex4(raw)
			if r < 0 {
				break
			}
			raw = raw[4:]
			if utf16.IsSurrogate(r) {
				low := rune(-1)
				if len(raw) >= 6 && raw[0] == '\\' && raw[1] == 'u' {
					low = hex4(raw[2:])
				}
				if r = utf16.DecodeRune(r, low); r != utf8.RuneError {
					raw = raw[6:]
				}
			}
			out = utf8.AppendRune(out, r)
		default:
			out = append(out, escape)
		}
		next = bytes.IndexByte(raw, '\\')
	}
	return string(append(out, raw...))
}

func hex4(b []byte) rune {
	if len(b) < 4 {
		return -1
	}
	n, err := strconv.ParseUint(string(b[:4]), 16, 16)
	if err != nil {
		return -1
	}
	return rune(n)
}
