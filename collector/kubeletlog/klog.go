package kubeletlog

import (
	"bytes"
	"strconv"
	"strings"
	"time"
)

// decodeText takes a record of klog's text format apart:
//
//	Lmmdd hh:mm:ss.uuuuuu threadid file:line] "message" key="value" key=<…>
//
// or, from an unstructured call, header and message alone. Something may stand before the header, such as
// the prefix of syslog. The time has no year and no zone: it is the last such time in the zone of written,
// or else of read, that is not after that. What is far from written was of another zone, and is written
// itself.
func (f *fields) decodeText(record []byte, read, written time.Time) (ok bool) {
	first, _, _ := bytes.Cut(record, []byte("\n"))
	body := textBody(first)
	if body < 0 {
		return false
	}
	header := record[:body-2]
	var word [4][]byte // the last four of the header
	for i := len(word) - 1; i >= 0; i-- {
		header = bytes.TrimRight(header, " ")
		start := bytes.LastIndexByte(header, ' ') + 1
		header, word[i] = header[:start], header[start:]
	}
	if len(word[0]) != 5 || bytes.IndexByte([]byte("IWEF"), word[0][0]) < 0 {
		return false
	}
	if written.IsZero() {
		f.at = yearless(word[0][1:], word[1], read)
	} else if f.at = yearless(word[0][1:], word[1], written); f.at.Sub(written).Abs() > zoneDistance {
		f.at = written
	}
	rest := string(record[body:])
	msg, quoted, ok := unquoteText(rest)
	if !ok {
		f.msg = rest
		return rest != ""
	}
	f.msg = msg
	f.pairs(rest[len(quoted):])
	return f.msg != ""
}

// unquoteText reads a string in Go's quotes at the beginning of s and returns it with the raw text it was
// written as.
func unquoteText(s string) (text, raw string, ok bool) {
	if !strings.HasPrefix(s, `"`) {
		return "", "", false
	}
	if end := strings.IndexAny(s[1:], "\"\\\n") + 1; s[end] == '"' && end > 0 { // nothing is escaped
		return s[1:end], s[:end+1], true
	}
	raw, err := strconv.QuotedPrefix(s)
	if err != nil {
		return "", "", false
	}
	text, err = strconv.Unquote(raw)
	return text, raw, err == nil
}

// textBody returns where the message begins: after the first "] ", which ends the header.
func textBody(line []byte) int {
	i := bytes.Index(line[:min(len(line), headerLimit)], []byte("] "))
	if i < 0 {
		return -1
	}
	return i + 2
}

// zoneDistance is less than lies between any two zones, and more than a line is under way.
const zoneDistance = 10 * time.Minute

// headerLimit is how far into a line klog's header may reach.
const headerLimit = 256

// yearless resolves "1122" and "14:38:27.064857". A time that lies ahead of read is one of the year before,
// unless it is so near that only the zones of writer and reader differ: then it is read itself.
func yearless(date, clock []byte, read time.Time) time.Time {
	if len(date) != 4 || len(clock) != len("14:38:27.064857") || clock[2] != ':' || clock[5] != ':' || clock[8] != '.' {
		return time.Time{}
	}
	month, day := number(date[:2]), number(date[2:])
	hour, minute, second, micro := number(clock[:2]), number(clock[3:5]), number(clock[6:8]), number(clock[9:])
	if min(month-1, day-1, hour, minute, second, micro) < 0 || month > 12 || hour > 23 || minute > 59 || second > 60 {
		return time.Time{}
	}
	for year := read.Year() + 1; year > read.Year()-9; year-- {
		at := time.Date(year, time.Month(month), day, hour, minute, second, micro*1000, read.Location())
		switch {
		case at.Month() != time.Month(month): // no such day in that year
		case !at.After(read):
			return at
		case at.Sub(read) <= 24*time.Hour:
			return read
		}
	}
	return time.Time{}
}

// number reads digits alone, -1 when there is anything else.
func number(digits []byte) int {
	n := 0
	for _, d := range digits {
		if d < '0' || d > '9' {
			return -1
		}
		n = 10*n + int(d-'0')
	}
	return n
}

// pairs reads ` key=value …`. Only the keys that matter are decoded.
func (f *fields) pairs(rest string) {
	for {
		rest = strings.TrimLeft(rest, " \n")
		key, after, ok := strings.Cut(rest, "=")
		if !ok || strings.ContainsAny(key, " \n\"") {
			return
		}
		text, raw, ok := textValue(after)
		if !ok {
			return
		}
		rest = after[len(raw):]
		if known := mattering([]byte(key)); known != "" {
			f.put(known, text)
		}
	}
}

// textValue reads one value and returns it with the raw text it was written as. A value of several lines
// may lack its end, when that was cut off.
func textValue(s string) (text, raw string, ok bool) {
	switch {
	case strings.HasPrefix(s, `"`):
		return unquoteText(s)
	case strings.HasPrefix(s, "<\n"):
		var lines []string
		for at := 2; at < len(s); {
			line, _, more := strings.Cut(s[at:], "\n")
			body, inside := strings.CutPrefix(line, "\t")
			if !inside {
				if strings.HasPrefix(line, " >") {
					return strings.Join(lines, "\n"), s[:at+2], true
				}
				return "", "", false
			}
			lines = append(lines, body)
			at += len(line)
			if more {
				at++
			}
		}
		return strings.Join(lines, "\n"), s, true
	case strings.HasPrefix(s, "{"), strings.HasPrefix(s, "["):
		scan := scanner{data: []byte(s)}
		if !scan.skip() {
			return "", "", false
		}
		return s[:scan.at], s[:scan.at], true
	default:
		end := strings.IndexAny(s, " \n")
		if end < 0 {
			end = len(s)
		}
		return s[:end], s[:end], end > 0
	}
}
