package kubeletlog

import (
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	wordsLimit   = 1 << 10 // of the kubelet's words
	pathLimit    = 4 << 10 // as long as Linux allows
	nameLimit    = 253     // as long as Kubernetes allows
	failureLimit = 16      // of one sync error
	sharedLimit  = 4 << 10 // a longer record is not kept in memory for the parts of it that an event holds
)

// detach copies what an event holds of its record.
func (e *Event) detach() {
	for _, s := range []*string{&e.Path, &e.Namespace, &e.Pod, &e.UID, &e.Container, &e.Reason, &e.Message} {
		*s = strings.Clone(*s)
	}
	for i := range e.Failures {
		f := &e.Failures[i]
		for _, s := range []*string{&f.Action, &f.Target, &f.Reason, &f.Message} {
			*s = strings.Clone(*s)
		}
	}
}

// clean bounds what an event holds and takes out what must not be kept.
func (e *Event) clean() {
	e.Path = printable(e.Path, pathLimit)
	e.Namespace, e.Pod = printable(e.Namespace, nameLimit), printable(e.Pod, nameLimit)
	e.UID, e.Container = printable(e.UID, nameLimit), printable(e.Container, nameLimit)
	e.Reason = printable(e.Reason, nameLimit)
	e.Message = Words(e.Message)
	for i := range e.Failures {
		f := &e.Failures[i]
		f.Action, f.Reason = printable(f.Action, nameLimit), printable(f.Reason, nameLimit)
		f.Target, f.Message = printable(f.Target, wordsLimit), Words(f.Message)
	}
}

// Words returns what may be kept of what the kubelet said, in its log or anywhere else. Nearly all it says needs nothing taken out, and
// one look at its bytes tells so.
func Words(s string) string {
	var quoted, braced, slashed bool
	plain := true
	for i := range len(s) {
		switch c := s[i]; {
		case c == '\'' || c == '"' || c == '(' || c == '`':
			quoted = true
		case c == '{' || c == '[':
			braced = true
		case c == '/':
			slashed = true
		case !printed(c):
			plain = false
		}
	}
	if quoted || braced {
		s = withoutValues(withoutBody(s))
	}
	if quoted {
		s = withoutCommands(s)
	}
	if slashed {
		s = withoutURLSecrets(s)
	}
	if plain && len(s) <= wordsLimit {
		return s
	}
	return printable(s, wordsLimit)
}

func printed(c byte) bool { return c == '\n' || c == '\t' || (c >= ' ' && c < 0x7f) }

// printable returns s as valid UTF-8 without control characters, at most limit bytes of it.
func printable(s string, limit int) string {
	if len(s) > limit {
		s = s[:limit-len("…")]
		for len(s) > 0 { // no torn rune
			if r, n := utf8.DecodeLastRuneInString(s); r != utf8.RuneError || n != 1 {
				break
			}
			s = s[:len(s)-1]
		}
		s += "…"
	}
	for i := range len(s) {
		if !printed(s[i]) {
			return strings.Map(func(r rune) rune {
				if unicode.IsControl(r) && r != '\n' && r != '\t' {
					return '?'
				}
				return r
			}, strings.ToValidUTF8(s, "?"))
		}
	}
	return s
}

// withoutBody takes out the manifests that the kubelet quotes, and keeps what it says of them:
//
//	<url>: received '<body>', but couldn't parse as single (<err>) or multiple pods (<err>)
//	<path>: couldn't parse as pod(<err>), please check config file
//
// where <err> may quote the body again. A body may hold these very phrases: where it is not beyond doubt
// what is the kubelet's, nothing after the first quote is kept.
func withoutBody(s string) string {
	const (
		received, after = "received '", "', but couldn't parse as single ("
		or              = ") or multiple pods ("
		file, check     = "couldn't parse as pod(", "), please check config file"
	)
	if head, rest, ok := strings.Cut(s, received); ok {
		const verdict = "couldn't parse as single or multiple pods"
		if strings.Count(rest, after) != 1 || strings.Count(rest, or) != 1 || !strings.HasSuffix(rest, ")") {
			return head + verdict
		}
		_, rest, _ = strings.Cut(rest, after)
		single, multiple, ok := strings.Cut(strings.TrimSuffix(rest, ")"), or)
		if !ok {
			return head + verdict
		}
		return head + "couldn't parse as single (" + withoutQuote(single) + or + withoutQuote(multiple) + ")"
	}
	if head, rest, ok := strings.Cut(s, file); ok {
		return head + file + withoutQuote(strings.TrimSuffix(rest, check)) + check
	}
	return withoutQuote(s)
}

var dump = regexp.MustCompile(`(?s)(invalid pods? ?(?:list)?: )&?([\w.]+)\{.*`)

// withoutQuote takes the manifest out of an error of the decoder, which ends in it.
func withoutQuote(err string) string {
	const missing = " is missing"
	if head, _, ok := strings.Cut(err, missing+" in '"); ok {
		return head + missing
	}
	if strings.Contains(err, "{") && strings.Contains(err, "invalid pod") {
		return dump.ReplaceAllString(err, "${1}not a pod but a $2")
	}
	return err
}

var snippet = regexp.MustCompile("(cannot unmarshal !!\\w+ )`[^`]*`")

// withoutValues takes whole structures out of what validation says: they hold environments and commands.
// Plain values stay, without them nobody could mend anything.
func withoutValues(s string) string {
	if strings.Contains(s, "cannot unmarshal !!") {
		s = snippet.ReplaceAllString(s, "${1}value")
	}
	const value = "value: "
	for from := 0; ; {
		i := strings.Index(s[from:], value)
		if i < 0 {
			return s
		}
		from += i + len(value)
		open := strings.IndexAny(s[from:], "{[ \",]")
		if open < 0 || (s[from+open] != '{' && s[from+open] != '[') {
			continue
		}
		scan := scanner{data: []byte(s), at: from + open}
		for scan.at < len(s) && (s[scan.at] == '{' || s[scan.at] == '[') { // []core.EnvVar{…} has two
			if !scan.skip() {
				return s[:from] + "…"
			}
			if word := strings.IndexAny(s[scan.at:], "{[ \",:"); s[scan.at-1] == ']' && word >= 0 && s[scan.at+word] == '{' {
				scan.at += word
			}
		}
		s = s[:from] + "…" + s[scan.at:]
	}
}

var commands = []struct {
	guard   string
	pattern *regexp.Regexp
	instead string
}{
	{"lifecycle hook ([", regexp.MustCompile(`(?s)lifecycle hook \(\[.*\]\) for`), "lifecycle hook for"},
	{"exited with", regexp.MustCompile(`(?s)command '.*' exited with`), "command exited with"},
	{"timed out", regexp.MustCompile(`(?s)command \\?".*" timed out`), "command timed out"},
}

// withoutCommands takes out the commands of hooks and probes.
func withoutCommands(s string) string {
	for _, c := range commands {
		if strings.Contains(s, c.guard) {
			s = c.pattern.ReplaceAllString(s, c.instead)
		}
	}
	return s
}

// probeWords keeps what the kubelet says of a probe that failed. What a command of the author's prints may be
// anything, and is not kept.
func probeWords(output string) string {
	for _, own := range []string{
		"HTTP probe failed with statuscode: ", `Get "http`, "dial tcp ", `command "`, "timeout: failed to connect service ",
		"timeout: health rpc ", "error: failed to connect service ", "error: this server ", "error: health rpc ", "service unhealthy ",
	} {
		if strings.HasPrefix(output, own) {
			line, _, _ := strings.Cut(output, "\n")
			return line
		}
	}
	return ""
}

var urls = regexp.MustCompile(`https?://[^\s"'\\]+`)

// withoutURLSecrets takes user, password and query out of URLs.
func withoutURLSecrets(s string) string {
	if !strings.Contains(s, "://") {
		return s
	}
	return urls.ReplaceAllStringFunc(s, func(url string) string {
		bare := strings.TrimRight(url, ":,;)")
		end := url[len(bare):]
		bare, _, _ = strings.Cut(bare, "#")
		bare, _, _ = strings.Cut(bare, "?")
		scheme, rest, _ := strings.Cut(bare, "://")
		host, path, slash := strings.Cut(rest, "/")
		host = host[strings.LastIndex(host, "@")+1:]
		if slash {
			host += "/" + path
		}
		return scheme + "://" + host + end
	})
}

// failures reads the grammar of a sync error,
//
//	failed to "<Action>" for "<Target>" with <Reason>: "<message>"
//
// alone, among other errors, or several as `[a, b]`. The strings are quoted, so nothing in them is taken
// for a failure of its own.
func failures(s string) (all []Failure) {
	const begin = `failed to "`
	for len(all) < failureLimit {
		i := strings.Index(s, begin)
		if i < 0 {
			return all
		}
		s = s[i+len(begin)-1:]
		var f Failure
		rest := s
		ok := unquoteInto(&f.Action, &rest) && skipInto(&rest, " for ") && unquoteInto(&f.Target, &rest) && skipInto(&rest, " with ")
		if !ok {
			continue
		}
		f.Reason, rest, ok = strings.Cut(rest, ": \"")
		rest = `"` + rest
		if !ok || !unquoteInto(&f.Message, &rest) {
			continue
		}
		all, s = append(all, f), rest
	}
	return all
}

// unquoteInto reads a quoted string at the beginning of s.
func unquoteInto(into, s *string) bool {
	quoted, err := strconv.QuotedPrefix(*s)
	if err != nil {
		return false
	}
	*s = (*s)[len(quoted):]
	*into, err = strconv.Unquote(quoted)
	return err == nil
}

func skipInto(s *string, prefix string) (ok bool) {
	*s, ok = strings.CutPrefix(*s, prefix)
	return ok
}
