package kubeletlog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// A Line is one line of the kubelet's log as it may be shown: the event it tells of and what it says.
type Line struct {
	Event
	// Text is the line's message with its path, container and error after it, as klog writes them. Like the
	// event it holds no credentials and no manifests.
	Text string
}

// Read reads the log that is at path, an Options.Path, once: what is there now, rotated files first, of a
// journal since the node booted. It returns the lines about static pods that match accepts, in the order of the
// log; of more than pendingLimit those in the middle that repeat others, and then the oldest, are left out. It
// writes no checkpoint. A log that comes over the network or by standard input is kept nowhere: an error.
func Read(ctx context.Context, path string, match func(*Event) bool) ([]Line, error) {
	s, err := parseSource(path)
	if err != nil {
		return nil, fmt.Errorf("kubelet log: %w", err)
	}
	if s.scheme == Auto {
		chosen, why := newAuto(nil).choose(ctx, "")
		if chosen == nil {
			return nil, fmt.Errorf("kubelet log: it is in none of the places where distributions keep it (name its place with kubelet.log): %s", why)
		}
		s = chosen.source
	}
	r := &reading{match: match, decoder: newDecoder()}
	r.decoder.assembler.emit = r.record
	switch s.scheme {
	case schemeFile:
		err = r.files(ctx, s.path)
	case schemeJournald:
		err = r.journal(ctx, s.journal)
	default:
		err = fmt.Errorf("what comes by %s is kept nowhere (let the kubelet log to a file or to the journal, too, and name that with kubelet.log)", s.name)
	}
	if err != nil {
		return r.lines, fmt.Errorf("kubelet log: %w", err)
	}
	return r.lines, nil
}

// A reading is one pass over the log.
type reading struct {
	match   func(*Event) bool
	decoder *decoder
	lines   []Line
}

// record takes over from the decoder, which forgets what a record said.
func (r *reading) record(record []byte) {
	d := r.decoder
	before := len(d.events)
	d.record(record)
	if len(d.events) == before {
		return
	}
	e := d.events[before]
	d.events = d.events[:before]
	if !r.match(&e) {
		return
	}
	r.lines = append(r.lines, Line{e, e.text(strings.Clone(d.parser.fields.msg))})
	if len(r.lines) > 2*pendingLimit {
		r.lines = condense(r.lines, func(l *Line) *Event { return &l.Event })
		r.lines = slices.Delete(r.lines, 0, max(0, len(r.lines)-pendingLimit))
	}
}

// text is what a record with a message says.
func (e *Event) text(message string) string {
	var b strings.Builder
	b.WriteString(Words(message))
	add := func(key, value string) {
		if value != "" && !strings.Contains(b.String(), value) {
			b.WriteString(" " + key + "=" + strconv.Quote(value))
		}
	}
	add("path", e.Path)
	if e.Pod != "" {
		add("pod", cmp.Or(e.Namespace, "?")+"/"+e.Pod)
	}
	add("containerName", e.Container)
	add("reason", e.Reason)
	add("err", e.Message)
	return b.String()
}

// files reads the rotated files of a log, and then the log.
func (r *reading) files(ctx context.Context, path string) error {
	files, _, err := list(path)
	defer closeExcept(files, nil)
	if len(files) == 0 {
		return advise(err)
	}
	for _, file := range files {
		for {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			n, err := file.Read(r.decoder.space())
			r.decoder.take(n)
			if err != nil {
				break // its end, or as good as that
			}
		}
		r.decoder.assembler.end()
	}
	return nil
}

// journal reads the entries of a unit.
func (r *reading) journal(ctx context.Context, source journalSource) error {
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	child, err := startJournalctl(inner, source, "")
	if err != nil {
		return err
	}
	j := &journal{source: source, decoder: r.decoder}
	var e entry
	for err = child.next(&e); err == nil; err = child.next(&e) {
		j.take(&e)
	}
	r.decoder.assembler.end()
	if !errors.Is(err, io.EOF) {
		cancel() // it may have more to say, which nobody reads
		_ = child.wait()
		return cmp.Or(ctx.Err(), err)
	}
	switch err := child.wait(); {
	case err != nil && (j.last != "" || !strings.Contains(err.Error(), " boot")):
		return err
	case j.last == "":
		return errNoEntry(source)
	}
	return ctx.Err()
}
