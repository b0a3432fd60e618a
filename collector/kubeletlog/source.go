package kubeletlog

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Sources of the log. A file may also be given as a plain absolute path.
const (
	// Auto looks until it finds the log where a distribution keeps it: see choose.
	Auto = "auto"
	// Stdin is the exporter's own standard input.
	Stdin = "stdin"

	schemeFile     = "file"
	schemeJournald = "journald"
	schemeTCP      = "tcp"
	schemeUDP      = "udp"

	defaultUnit = "kubelet.service"

	supported = "file:///PATH, journald:UNIT, tcp://HOST:PORT, udp://HOST:PORT, " + Stdin + " or " + Auto
)

// Options of a Follower.
type Options struct {
	// Path is where the kubelet logs: file:///var/log/kubelet.log, journald:kubelet.service,
	// tcp://127.0.0.1:5170, udp://127.0.0.1:5170, Stdin or Auto.
	Path string
	// StateDirectory holds the checkpoint. Without one ("") every start reads the log from its beginning.
	StateDirectory string
	// Stdin is the standard input, for that source.
	Stdin  *os.File
	Logger *slog.Logger
}

// A source is an Options.Path taken apart.
type source struct {
	scheme  string
	name    string // as it was given, in one of its spellings
	path    string // of a file
	address string // to listen on
	journal journalSource
}

// A journalSource names the entries of one unit.
type journalSource struct {
	unit      string
	directory string // where the journal is, if it is not this machine's
	root      string // of the system whose journalctl is run, "" for ours
}

// Check reports what is wrong with an Options.Path.
func Check(path string) error {
	_, err := parseSource(path)
	return err
}

func parseSource(text string) (source, error) {
	s := source{name: text}
	if text == Auto || text == Stdin {
		s.scheme = text
		return s, nil
	}
	scheme, rest, ok := strings.Cut(text, ":")
	if strings.HasPrefix(text, "/") {
		scheme, rest, ok = schemeFile, text, true
	}
	if strings.Contains(text, "@") && (scheme == schemeTCP || scheme == schemeUDP) {
		return source{}, errors.New("holds a user or password: nobody logs in there")
	}
	err := fmt.Errorf("it is none of %s", supported)
	if ok {
		switch s.scheme = scheme; scheme {
		case schemeFile:
			err = s.parseFile(rest)
		case schemeJournald:
			err = s.parseJournal(rest)
		case schemeTCP, schemeUDP:
			err = s.parseAddress(rest)
		}
	}
	if err != nil {
		return source{}, fmt.Errorf("%q: %w", text, err)
	}
	return s, nil
}

func (s *source) parseFile(rest string) error {
	if path, ok := strings.CutPrefix(rest, "//"); ok {
		rest = strings.TrimPrefix(path, "localhost")
	}
	if !filepath.IsAbs(rest) {
		return errors.New("it needs an absolute path: file:///PATH")
	}
	s.path = filepath.Clean(rest)
	return nil
}

// unitName is the name of a unit without patterns. What systemd would escape it does not allow in one.
var unitName = regexp.MustCompile(`^[A-Za-z0-9:_.\\@-]+$`)

func (s *source) parseJournal(rest string) error {
	unit, query, _ := strings.Cut(strings.TrimPrefix(rest, "//"), "?")
	if unit == "" {
		unit = defaultUnit
	}
	if !unitName.MatchString(unit) || strings.HasPrefix(unit, "-") {
		return fmt.Errorf("%q is no name of a unit: journald:%s", unit, defaultUnit)
	}
	if !strings.Contains(unit, ".") {
		unit += ".service"
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return errors.New("what comes after ? is not KEY=VALUE")
	}
	s.journal = journalSource{unit: unit, directory: values.Get("directory"), root: values.Get("root")}
	for key := range values {
		if !slices.Contains([]string{"directory", "root"}, key) {
			return fmt.Errorf("%q is neither directory nor root", key)
		}
		if len(values[key]) != 1 || !filepath.IsAbs(values.Get(key)) {
			return fmt.Errorf("%s is not one absolute path", key)
		}
	}
	s.name = s.journal.String()
	return nil
}

// String returns the source as it is written in the configuration.
func (s journalSource) String() string {
	query := url.Values{}
	if s.directory != "" {
		query.Set("directory", s.directory)
	}
	if s.root != "" {
		query.Set("root", s.root)
	}
	name := schemeJournald + ":" + s.unit
	if len(query) > 0 {
		name += "?" + query.Encode()
	}
	return name
}

func (s *source) parseAddress(rest string) error {
	address, ok := strings.CutPrefix(rest, "//")
	host, port, err := net.SplitHostPort(address)
	if !ok || err != nil || port == "" {
		return fmt.Errorf("it needs an address to listen on: %s://127.0.0.1:5170", s.scheme)
	}
	if host == "" {
		host = "127.0.0.1" // who wants the world to write into the kubelet's log has to say so
	}
	s.address = net.JoinHostPort(host, port)
	return nil
}

// transport returns what brings the log from s.
func (s source) transport(to *Follower, stdin *os.File) transport {
	switch s.scheme {
	case schemeFile:
		return newTail(s.path, to)
	case schemeJournald:
		return newJournal(s.journal, to)
	case schemeTCP:
		return newStreams(s.address, to)
	case schemeUDP:
		return newDatagrams(s.address, to)
	case Stdin:
		return &input{file: stdin, to: to}
	}
	return newAuto(to)
}
