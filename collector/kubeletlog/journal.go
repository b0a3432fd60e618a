package kubeletlog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// A journal reads the log where it is the journal of systemd, by a journalctl as a child: that one can read
// every format of journal files that its distribution writes, and knows what belongs to a unit. It reads what
// is there, up to its end, and then follows; when the child ends, or nothing came for a while, it begins
// anew after the last entry.
//
// It resumes at that last entry and not after it, and drops it: journalctl --after-cursor passes over an
// entry that nobody has seen when the one with the cursor is gone. If another comes first, some are lost.
type journal struct {
	source    journalSource
	to        *Follower
	pace      journalPace
	decoder   *decoder
	elsewhere func(ctx context.Context) bool // as of a tail

	started bool
	last    string   // cursor of the last entry read
	reached position // the last entry that ended a record
	line    string   // stream of a line that journald broke, whose end has not come
	bytes   uint64   // not yet published, and so on
	gaps    uint64
	cut     uint64
}

type journalPace struct {
	retry   time.Duration // between attempts
	silence time.Duration // after which the journal is opened anew, in case it was replaced
	save    time.Duration // between checkpoints
}

func newJournal(source journalSource, to *Follower) *journal {
	return &journal{
		source: source, to: to, decoder: newDecoder(),
		pace: journalPace{retry: 5 * time.Second, silence: 5 * time.Minute, save: 5 * time.Second},
	}
}

// run reads the journal until ctx ends, or the log is to be had elsewhere.
func (j *journal) run(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	var saver sync.WaitGroup
	defer saver.Wait()
	defer cancel()
	saver.Go(func() {
		for ctx.Err() == nil {
			wait(ctx, j.pace.save)
			j.to.save()
		}
	})
	for ctx.Err() == nil {
		err := j.session(ctx)
		switch {
		case ctx.Err() != nil, err == nil:
			continue
		case j.elsewhere != nil && j.elsewhere(ctx):
			return
		}
		j.to.report(fmt.Errorf("kubelet log: %w", err))
		wait(ctx, j.pace.retry)
	}
}

func (j *journal) end() {}

var errSilent = errors.New("silent")

// session reads what is there, and then follows until that ends. It returns nil when all is well and the
// journal is only to be opened anew.
func (j *journal) session(ctx context.Context) error {
	if !j.started {
		j.started = true
		if p, ok := j.to.checkpoint.load(j.source.String()); ok {
			j.last, j.reached = p.Cursor, p
			j.to.resume(p)
		}
	}
	any, err := j.read(ctx)
	switch {
	case j.last != "" && !any && (err == nil || strings.Contains(err.Error(), "cursor")):
		j.gaps++ // not even the last entry is left, nor what came after it
		j.last = ""
		return nil
	case err != nil && !any && strings.Contains(err.Error(), " boot"), err == nil && !any:
		return errNoEntry(j.source)
	case errors.Is(err, errSilent):
		return errors.New("journalctl does not answer")
	case err != nil:
		return err
	}
	j.publish(ctx, 0)
	j.to.report(nil)
	if _, err = j.read(ctx, "--follow", "--no-tail"); errors.Is(err, errSilent) {
		return nil
	}
	return err
}

// read hands on entries after the last one, until journalctl has no more. any is whether it had one at all.
func (j *journal) read(ctx context.Context, arguments ...string) (any bool, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	child, err := startJournalctl(ctx, j.source, j.last, arguments...)
	if err != nil {
		return false, err
	}
	silence := time.AfterFunc(j.pace.silence, func() { cancel(errSilent) })
	defer silence.Stop()
	var e entry
	for {
		if err = child.next(&e); err != nil {
			break
		}
		silence.Reset(j.pace.silence)
		if !any && j.last != "" && sameEntry(e.cursor, j.last) {
			any = true
			continue
		}
		if !any && j.last != "" {
			j.gaps++ // that entry is gone, and maybe others after it
		}
		any = true
		j.take(&e)
		if child.Buffered() == 0 || j.bytes >= blockSize {
			lag := int64(j.bytes)
			if len(arguments) > 0 {
				lag = 0
			}
			j.publish(ctx, lag)
		}
	}
	cause := context.Cause(ctx)
	if cause == nil && !errors.Is(err, io.EOF) {
		cause = err
		cancel(nil) // one that has no more to say ends by itself, and how is of interest
	}
	if failed := child.wait(); cause == nil {
		cause = failed
	}
	if cause == nil && len(arguments) > 0 {
		cause = errors.New("journalctl ended")
	}
	return any, cause
}

// take feeds one entry to the decoder: a line, or a piece of one.
func (j *journal) take(e *entry) {
	j.last = e.cursor
	if e.messageID == suppressed {
		j.gaps++
		return
	}
	if j.line != "" && j.line != e.stream {
		j.decoder.write([]byte{'\n'}) // another writer came between: its head is what there is
	}
	if e.message.cut {
		j.cut++
	}
	message := e.message.bytes()
	j.bytes += uint64(len(message))
	j.decoder.written = e.at
	j.decoder.write(message)
	j.line = ""
	if e.broken {
		j.line = e.stream
	}
	if j.line == "" {
		j.decoder.write([]byte{'\n'})
	}
	if j.decoder.assembler.pending() == 0 {
		j.reached = position{Path: j.source.String(), Cursor: e.cursor}
	}
}

// errNoEntry says what may be wrong where a journal has nothing of the kubelet.
func errNoEntry(source journalSource) error {
	return fmt.Errorf("the journal has no entry of %s since the node booted (is that the name of the kubelet's unit, and may the exporter read the journal? root may, and the group systemd-journal)", source.unit)
}

func (j *journal) publish(ctx context.Context, lag int64) {
	p := j.decoder.flush()
	p.bytes, p.gaps, p.lag, p.reached = j.bytes, j.gaps, lag, j.reached
	p.oversized += j.cut
	j.bytes, j.gaps, j.cut = 0, 0, 0
	j.to.publish(ctx, p)
}
