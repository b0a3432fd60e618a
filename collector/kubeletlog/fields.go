package kubeletlog

import (
	"strconv"
	"time"
)

// fields is a record taken apart: its time, its message and the values of the keys that matter. References
// to objects are "namespace/name" in both formats.
type fields struct {
	at      time.Time // zero when the record does not say
	msg     string
	service string // whose record it is, where that is said
	values  [8]value
	n       int // of values
}

type value struct{ key, text string }

// get returns the value of a key, "" when there is none.
func (f *fields) get(key string) string {
	for i := range f.n {
		if f.values[i].key == key {
			return f.values[i].text
		}
	}
	return ""
}

// put keeps a value. No record of the kubelet has more that matter than there is room for.
func (f *fields) put(key, text string) {
	if f.n < len(f.values) {
		f.values[f.n] = value{key, text}
		f.n++
	}
}

// mattering returns key if its value matters, else "". Only such values are decoded; in particular "header"
// is none: it carries tokens.
func mattering(key []byte) string {
	for _, k := range [...]string{
		"path", "err", "pod", "podUID", "podName", "containerName", "reason", "message", "operation",
		"source", "URL", "mode", "volumeName", "probeType", "output", "object", "fieldPath", "containerMessage",
	} {
		if string(key) == k {
			return k
		}
	}
	return ""
}

// epoch reads the time of a JSON record: milliseconds since 1970 with a fraction, as the kubelet writes
// them, or seconds.
func epoch(number []byte) time.Time {
	whole, frac := number, []byte(nil)
	for i, b := range number {
		if b == '.' {
			whole, frac = number[:i], number[i+1:]
			break
		}
	}
	n, err := strconv.ParseInt(string(whole), 10, 64)
	if err != nil || n <= 0 || n > 1e14 {
		return time.Time{}
	}
	unit := time.Millisecond
	if n < 1e11 { // 1973 in milliseconds, 5138 in seconds
		unit = time.Second
	}
	rest := time.Duration(0)
	for i, scale := 0, unit/10; i < len(frac) && scale > 0; i, scale = i+1, scale/10 {
		if frac[i] < '0' || frac[i] > '9' {
			return time.Time{}
		}
		rest += time.Duration(frac[i]-'0') * scale
	}
	if unit == time.Second {
		return time.Unix(n, int64(rest))
	}
	return time.UnixMilli(n).Add(rest)
}
