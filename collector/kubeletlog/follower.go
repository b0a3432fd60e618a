package kubeletlog

import (
	"context"
	"hash/maphash"
	"log/slog"
	"sync"
	"time"
)

// A Follower follows the kubelet's log and holds its events until they are drained.
//
// What is guaranteed is in docs/operations.md, for every place where a log may be; for a file it is:
//
//	renamed and made anew       nothing lost, nothing twice: the old file is read until the new one has its
//	                            first byte, which is when its writer has moved on
//	rotated several times       nothing lost: the rotated files in between are read first, in their order
//	copied and truncated        what was not read before is read from the copy; what is written between the
//	                            copying and the truncation nobody can read: one gap is counted each time
//	truncated                   the new content is read from its beginning; one gap is counted
//	deleted, back later         the deleted file is read while it grows, then the new one from its beginning
//	no file, a directory,       said by Drain, and tried again until it can be read
//	or not readable
//	restart of the exporter     reading goes on after the last record drained, also when the log was rotated
//	                            or copied and truncated meanwhile; nothing lost, nothing twice
//	kill -9, power cut          events since the last checkpoint, some seconds, come again; nothing is lost
//	rotated out of sight        files that were compressed or removed before they were read: one gap
//	first start                 the file of the day is read from its beginning, rotated ones are not
//
// A rotated file is known by its name: that of the log with a number or a date appended or, as lumberjack
// does it, put before the extension. A file is known again by device, inode and its first bytes; of one that
// was empty when it was last looked at, only dates tell whether it was copied and truncated since.
//
// The checkpoint never passes a record whose events were not drained: Drain notes how far the records
// behind its events reach, and the next Drain, or the orderly end of Run, confirms them as handled; only
// what is confirmed is written. So an exporter that is killed while it handles a batch gets that batch
// again.
//
// Memory is bounded by a block, a record clipped to its head and tail (for each of at most streamLimit
// senders, where there are any), and pendingLimit events: repeats of one event between its first and last are
// left out when there are more, and if that is not enough reading waits, since a file, a journal and a
// sender over TCP keep their lines by themselves.
type Follower struct {
	log        *slog.Logger
	transport  transport
	checkpoint *checkpoint

	mu        sync.Mutex
	pending   []Event
	stats     Stats
	err       error
	changed   chan struct{} // closed when there is something new
	news      bool          // changed is closed
	room      chan struct{} // closed by Drain
	reached   position      // the end of the records that pending and all before it come from
	drained   position      // reached at the last Drain
	confirmed position      // drained as of the Drain before it
}

const pendingLimit = 2048

// A transport brings what the kubelet logs to the Follower. It is used by one goroutine.
type transport interface {
	// run reads until ctx ends.
	run(ctx context.Context)
	// end lets go of what is open, and keeps the place.
	end()
}

// Follow returns a Follower of the log that options name. Whether there is such a log shows when it runs;
// the error is one of the options alone.
func Follow(options Options) (*Follower, error) {
	source, err := parseSource(options.Path)
	if err != nil {
		return nil, err
	}
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	f := &Follower{
		log: options.Logger, checkpoint: newCheckpoint(options.StateDirectory, options.Logger),
		changed: make(chan struct{}), room: make(chan struct{}),
	}
	f.transport = source.transport(f, options.Stdin)
	return f, nil
}

// Run follows the log until ctx ends, and then returns nil. It is called once.
func (f *Follower) Run(ctx context.Context) error {
	f.transport.run(ctx)
	f.end()
	return nil
}

// end confirms what was drained.
func (f *Follower) end() {
	f.mu.Lock()
	f.confirmed = f.drained
	f.mu.Unlock()
	f.transport.end()
	f.save()
}

// save writes the checkpoint.
func (f *Follower) save() { f.checkpoint.save(f.confirmation()) }

// Drain returns the events since the last Drain in the order of the log, the counters, and the error that
// keeps the log unreadable now, nil while it is alive. By calling it the caller confirms that it has
// handled the events of the Drain before. It does not block.
func (f *Follower) Drain() ([]Event, Stats, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	events := f.pending
	f.pending = nil
	f.confirmed, f.drained = f.drained, f.reached
	if f.news {
		f.news, f.changed = false, make(chan struct{})
	}
	close(f.room)
	f.room = make(chan struct{})
	return events, f.stats, f.err
}

// Changed returns a channel that closes when there are events to drain or the error changed.
func (f *Follower) Changed() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.changed
}

// signal is called with the lock held.
func (f *Follower) signal() {
	if !f.news {
		f.news = true
		close(f.changed)
	}
}

// progress is what a transport has to report after a block. All but lag and reached count what is new.
type progress struct {
	events           []Event
	lines, oversized uint64
	noise            Noise
	bytes            uint64
	gaps             uint64
	lag              int64
	reached          position // the end of the last finished record
}

// publish takes over a block's events. It waits while too many are pending.
func (f *Follower) publish(ctx context.Context, p progress) {
	f.mu.Lock()
	f.pending = append(f.pending, p.events...)
	if len(f.pending) > pendingLimit {
		f.pending = condense(f.pending, func(e *Event) *Event { return e })
	}
	f.stats.Lines += p.lines
	f.stats.Oversized += p.oversized
	f.stats.Noise.add(p.noise)
	f.stats.Bytes += p.bytes
	f.stats.Gaps += p.gaps
	f.stats.Events += uint64(len(p.events))
	f.stats.Lag = p.lag
	f.reached = p.reached
	if len(p.events) > 0 {
		f.signal()
	}
	room, full := f.room, len(f.pending) > pendingLimit
	f.mu.Unlock()
	if full {
		select {
		case <-room:
		case <-ctx.Done():
		}
	}
}

// report notes why the log cannot be read, nil when it can.
func (f *Follower) report(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err == nil && f.err == nil || err != nil && f.err != nil && err.Error() == f.err.Error() {
		return
	}
	f.err = err
	f.signal()
	if err != nil {
		f.log.Warn("Kubelet log cannot be read", "err", err)
	} else {
		f.log.Info("Kubelet log can be read again")
	}
}

// condense leaves out repeats of an event between its first and its last. It works in place. of is the event of an
// element.
func condense[T any](events []T, of func(*T) *Event) []T {
	type place struct{ first, last int }
	seed := maphash.MakeSeed()
	keys := make([]uint64, len(events))
	places := make(map[uint64]place, len(events)/4)
	for i := range events {
		e := of(&events[i])
		var h maphash.Hash
		h.SetSeed(seed)
		for _, s := range [...]string{string(e.Kind), e.Path, e.Namespace, e.Pod, e.UID, e.Container, e.Reason, e.Message} {
			h.WriteString(s)
			h.WriteByte(0)
		}
		keys[i] = h.Sum64()
		p, ok := places[keys[i]]
		if !ok {
			p.first = i
		}
		p.last = i
		places[keys[i]] = p
	}
	kept := events[:0]
	for i := range events {
		if p := places[keys[i]]; i == p.first || i == p.last {
			kept = append(kept, events[i])
		}
	}
	clear(events[len(kept):])
	return kept
}

// resume notes where the run before this one ended.
func (f *Follower) resume(p position) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reached, f.drained, f.confirmed = p, p, p
}

// confirmation returns how far the records are handled.
func (f *Follower) confirmation() position {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.confirmed
}

// The paces of a tail.
type pace struct {
	hold     time.Duration // between two reads in a burst; the first line after silence is read at once
	poll     time.Duration // heals what the watch missed
	deafPoll time.Duration // instead of poll, without a watch
	grace    time.Duration // how long a log may be missing while the file that had its name is still read
	forget   time.Duration // how long a deleted file that does not grow is kept open
}

func defaultPace() pace {
	return pace{hold: 50 * time.Millisecond, poll: 5 * time.Second, deafPoll: 2 * time.Second, grace: 10 * time.Second, forget: 10 * time.Minute}
}
