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
// the prefix of syslog. The time has no year and no zone: it is the last such time in the zone of read that
// is not after read.
func decodeText(record []byte, read time.Time) (f fields, ok bool) {
	first, _, _ := bytes.Cut(record, []byte("\n"))
	body := textBody(first)
	if body < 0 {
		return f, false
	}
	header := strings.Fields(string(record[:body-2]))
	if len(header) < 4 {
		return f, false
	}
	header = header[len(header)-4:]
	if len(header[0]) != 5 || !strings.Contains("IWEF", header[0][:1]) {
		return f, false
	}
	f.at = yearless(header[0][1:]+" "+header[1], read)
	rest := string(record[body:])
	quoted, err := strconv.QuotedPrefix(rest)
	if err != nil {
		f.msg, f.plain = rest, true
		return f, rest != ""
	}
	f.msg, err = strconv.Unquote(quoted)
	f.values = pairs(rest[len(quoted):])
	return f, err == nil && f.msg != ""
}

// textBody returns where the message begins: after the first "] ", which ends the header.
func textBody(line []byte) int {
	i := bytes.Index(line[:min(len(line), headerLimit)], []byte("] "))
	if i < 0 {
		return -1
	}
	return i + 2
}

// headerLimit is how far into a line klog's header may reach.
const headerLimit = 256

// yearless resolves "1122 14:38:27.064857". A time that lies ahead of read is one of the year before,
// unless it is so near that only the zones of writer and reader differ: then it is read itself.
func yearless(text string, read time.Time) time.Time {
	t, err := time.ParseInLocation("20060102 15:04:05.999999", "2000"+text, read.Location()) // 2000: a leap year
	if err != nil {
		return time.Time{}
	}
	for year := read.Year() + 1; year > read.Year()-9; year-- {
		at := time.Date(year, t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), read.Location())
		switch {
		case at.Day() != t.Day(): // 29 February of another year
		case !at.After(read):
			return at
		case at.Sub(read) <= 24*time.Hour:
			return read
		}
	}
	return time.Time{}
}

// pairs reads ` key=value …`. Only the keys that matter are decoded.
func pairs(rest string) (values []value) {
	for {
		rest = strings.TrimLeft(rest, " \n")
		key, after, ok := strings.Cut(rest, "=")
		if !ok || strings.ContainsAny(key, " \n\"") {
			return values
		}
		text, raw, ok := textValue(after)
		if !ok {
			return values
		}
		rest = after[len(raw):]
		if mattering([]byte(key)) {
			values = append(values, value{key, text})
		}
	}
}

// textValue reads one value and returns it with the raw text it was written as. A value of several lines
// may lack its end, when that was cut off.
func textValue(s string) (text, raw string, ok bool) {
	switch {
	case strings.HasPrefix(s, `"`):
		raw, err := strconv.QuotedPrefix(s)
		if err != nil {
			return "", "", false
		}
		text, err = strconv.Unquote(raw)
		return text, raw, err == nil
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
