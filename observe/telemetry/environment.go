package telemetry

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
)

// An environment reads variables and gathers what is wrong with their values. A variable that is set to nothing is
// not set, as the standard has it. Values of headers are secrets, and are never in an error.
type environment struct {
	getenv func(string) string
	errs   WrongVariables
	said   map[string]bool // variables in errs: several signals read the general ones
	wrong  bool            // something was, since somebody last asked
}

// A WrongVariable has a value that cannot be used.
type WrongVariable struct{ Name, Why string }

// WrongVariables are all of an environment, at least one, in the order in which they are read.
type WrongVariables []WrongVariable

func (w WrongVariables) Error() string {
	lines := make([]string, len(w))
	for i, v := range w {
		lines[i] = v.Name + " " + v.Why
	}
	return strings.Join(lines, "\n")
}

// err is nil when nothing is wrong.
func (e *environment) err() error {
	if len(e.errs) == 0 {
		return nil
	}
	return e.errs
}

func (e *environment) get(name string) string { return strings.TrimSpace(e.getenv(name)) }

func (e *environment) refuse(name, why string) {
	e.wrong = true
	if e.said[name] {
		return
	}
	if e.said == nil {
		e.said = map[string]bool{}
	}
	e.said[name] = true
	e.errs = append(e.errs, WrongVariable{name, why})
}

// choice reads one of several words, "" when it is not set or is none of them.
func (e *environment) choice(name string, words ...string) string {
	value := strings.ToLower(e.get(name))
	if value == "" || slices.Contains(words, value) {
		return value
	}
	e.refuse(name, fmt.Sprintf("is %q, and none of %s", value, strings.Join(words, ", ")))
	return ""
}

// flag reads true or false.
func (e *environment) flag(name string) bool { return e.choice(name, "true", "false") == "true" }

// number reads a whole number, 0 when it is not set.
func (e *environment) number(name string, least int) int {
	value := e.get(name)
	if value == "" {
		return 0
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < least {
		e.refuse(name, fmt.Sprintf("is %q, and no whole number from %d on", value, least))
		return 0
	}
	return n
}

// fraction reads a number from 0 to 1, and whether it is set.
func (e *environment) fraction(name string) (float64, bool) {
	value := e.get(name)
	if value == "" {
		return 0, false
	}
	f, err := strconv.ParseFloat(value, 64)
	if err != nil || !(f >= 0 && f <= 1) {
		e.refuse(name, fmt.Sprintf("is %q, and no number from 0 to 1", value))
		return 0, false
	}
	return f, true
}

// endpoint reads a URL, nil when it is not set.
func (e *environment) endpoint(name string) *url.URL {
	value := e.get(name)
	if value == "" {
		return nil
	}
	u, err := url.Parse(value)
	switch {
	case err == nil && u.User != nil:
		e.refuse(name, "has credentials in it: they belong in a header")
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		e.refuse(name, "is no URL of the form http://HOST:PORT, or https:// for TLS")
	default:
		return u
	}
	return nil
}

// headers checks a list of KEY=VALUE.
func (e *environment) headers(name string) {
	value := e.get(name)
	if value == "" {
		return
	}
	for pair := range strings.SplitSeq(value, ",") {
		key, content, ok := strings.Cut(pair, "=")
		if _, err := url.PathUnescape(content); !ok || err != nil || !isToken(strings.TrimSpace(key)) {
			e.refuse(name, "is no list of KEY=VALUE, with commas between and values in URL encoding")
			return
		}
	}
}

// isToken reports whether s may be the name of a header (RFC 9110 §5.6.2).
func isToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return !(r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || strings.ContainsRune("!#$%&'*+-.^_`|~", r))
	})
}

// certificates checks the files of TLS.
func (e *environment) certificates(prefix string) {
	if path := e.get(prefix + "CERTIFICATE"); path != "" {
		if pem, err := os.ReadFile(path); err != nil {
			e.refuse(prefix+"CERTIFICATE", fmt.Sprintf("cannot be read: %v", err))
		} else if !x509.NewCertPool().AppendCertsFromPEM(pem) {
			e.refuse(prefix+"CERTIFICATE", fmt.Sprintf("is %s, which has no certificate in it", path))
		}
	}
	certificate, key := e.get(prefix+"CLIENT_CERTIFICATE"), e.get(prefix+"CLIENT_KEY")
	switch {
	case certificate == "" && key == "":
	case key == "":
		e.refuse(prefix+"CLIENT_CERTIFICATE", "needs "+prefix+"CLIENT_KEY")
	case certificate == "":
		e.refuse(prefix+"CLIENT_KEY", "needs "+prefix+"CLIENT_CERTIFICATE")
	default:
		if _, err := tls.LoadX509KeyPair(certificate, key); err != nil {
			e.refuse(prefix+"CLIENT_CERTIFICATE", fmt.Sprintf("and %sCLIENT_KEY cannot be used: %v", prefix, err))
		}
	}
}

// resource checks OTEL_RESOURCE_ATTRIBUTES.
func (e *environment) resource() {
	const name = "OTEL_RESOURCE_ATTRIBUTES"
	value := e.get(name)
	if value == "" {
		return
	}
	for pair := range strings.SplitSeq(value, ",") {
		key, content, ok := strings.Cut(pair, "=")
		if _, err := url.PathUnescape(content); !ok || err != nil || strings.TrimSpace(key) == "" {
			e.refuse(name, fmt.Sprintf("has %q in it, which is no KEY=VALUE with the value in URL encoding", pair))
			return
		}
	}
}
