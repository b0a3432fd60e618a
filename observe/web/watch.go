package web

import (
	"context"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// The events of a watch.
const (
	created   = "created"
	updated   = "updated"
	destroyed = "destroyed"
	// bookmark tells a client that asked by ?bookmarks=true that it has been told everything up to now: it
	// ends the initial contents and comes again whenever nothing has happened for a while.
	bookmark = "bookmark"
)

// watch streams what becomes of the resources of k, or of the one named id: first each that is there as
// created, then each change. A reader that is slower than the changes gets the difference between what it was
// sent last and the latest, so that no queue is kept for it. One that reads nothing for thirty seconds is cut off.
func (h *handler) watch(w http.ResponseWriter, r *http.Request, k kind, id string) {
	f, ok := h.form(w, r, watchOffers())
	if !ok {
		return
	}
	if f == asPage {
		h.watchPage(w, r, func(rendered *rendering) (*show, error) {
			if id == "" {
				return rendered.pages.overview()
			}
			return rendered.pages.detail(pick{k.name, id})
		})
		return
	}
	if _, ok := h.snapshot(w, r); !ok {
		return
	}
	bookmarks, _ := strconv.ParseBool(r.URL.Query().Get("bookmarks")) // anything but true is no
	sent := make(map[string]*resource)
	h.stream(w, r, f == asEvents, func(s *stream) follower {
		return follower{
			interval: h.heartbeat,
			difference: func(rendered *rendering) (int, error) {
				return s.difference(sent, k.of(rendered), id)
			},
			beat: func(*rendering) error { return s.beat(bookmarks) },
		}
	})
}

// stream opens a stream, of events or else of lines, and follows the snapshots until the reader is gone.
func (h *handler) stream(w http.ResponseWriter, r *http.Request, events bool, open func(*stream) follower) {
	select {
	case h.watches <- struct{}{}:
		defer func() { <-h.watches }()
	default:
		h.refuse(w, r, http.StatusServiceUnavailable, refusal{Error: "there are " + strconv.Itoa(maxWatches) + " watches already"})
		return
	}
	media := "application/x-ndjson"
	if events {
		media = "text/event-stream"
	}
	w.Header().Set("Content-Type", media)
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Accel-Buffering", "no") // a proxy that gathers a stream makes it useless
	if r.Method == http.MethodHead {
		return
	}
	s := &stream{w: w, control: http.NewResponseController(w), patience: h.patience, events: events}
	_ = h.follow(r.Context(), s, open(s)) // the reader is gone, or we stop: either way it is over
}

// A follower says what a stream sends.
type follower struct {
	interval time.Duration // after which, when nothing happens, a beat is due
	closing  bool          // each difference ends with a beat, not the first alone
	// difference sends what has changed since it was called last and returns how much that was. Its rendering is nil
	// before the first snapshot; so is that of beat, which tells that we are there and the reader has everything.
	difference func(*rendering) (int, error)
	beat       func(*rendering) error
}

// follow sends events until the reader is gone or ctx ends.
func (h *handler) follow(ctx context.Context, s *stream, f follower) error {
	timer := time.NewTimer(f.interval)
	defer timer.Stop()
	if err := s.open(); err != nil {
		return err
	}
	for first := true; ; first = false {
		changed := h.Changed()
		rendered := h.render()
		n, err := f.difference(rendered)
		if err != nil {
			return err
		}
		if first || n > 0 && f.closing {
			if err := f.beat(rendered); err != nil {
				return err
			}
		}
		if first || n > 0 {
			if err := s.control.Flush(); err != nil {
				return err
			}
			timer.Reset(f.interval)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-changed:
		case <-timer.C:
			if err := f.beat(rendered); err != nil {
				return err
			}
			if err := s.control.Flush(); err != nil {
				return err
			}
			timer.Reset(f.interval)
		}
	}
}

// A stream writes events to one reader.
type stream struct {
	w        io.Writer
	control  *http.ResponseController
	patience time.Duration
	events   bool // server-sent events, else lines
}

// difference sends what happened between sent, which it brings up to date, and l: to all resources, or to the
// one named id. It returns how many events that were.
func (s *stream) difference(sent map[string]*resource, l *listing, id string) (n int, err error) {
	send := func(event string, r *resource) {
		if err == nil {
			err = s.send(event, r)
			n++
		}
	}
	for _, id := range slices.Sorted(maps.Keys(sent)) {
		old := sent[id]
		if now := l.byID[id]; now == nil || !now.Created.Equal(old.Created) {
			send(destroyed, old)
			delete(sent, id)
		}
	}
	for _, now := range l.resources {
		if id != "" && now.ID != id {
			continue
		}
		switch old := sent[now.ID]; {
		case old == nil:
			send(created, now)
		case old.Version != now.Version:
			send(updated, now)
		}
		sent[now.ID] = now
	}
	return n, err
}

// send sends one event: the resource with a member "event" before its own.
func (s *stream) send(event string, r *resource) error {
	object, err := r.json()
	if err != nil {
		return err
	}
	return s.write(event, `{"event":"`+event+`",`, object[1:])
}

// open starts the stream.
func (s *stream) open() error {
	if !s.events {
		return nil
	}
	return s.text("retry: 1000\n\n")
}

// beat tells the reader that we are there and that it has everything; to lines without bookmarks nothing can
// be added. Those are given time all the same: over HTTP/2 a deadline ends a stream on which nobody writes.
func (s *stream) beat(bookmarks bool) error {
	switch {
	case bookmarks:
		return s.write(bookmark, `{"event":"`+bookmark+`"}`, nil)
	case s.events:
		return s.text(": nothing new\n\n")
	}
	return s.control.SetWriteDeadline(time.Now().Add(s.patience))
}

// write sends one event whose data is a line of head and tail.
func (s *stream) write(event, head string, tail []byte) error {
	if err := s.control.SetWriteDeadline(time.Now().Add(s.patience)); err != nil {
		return err
	}
	before, after := "", "\n"
	if s.events {
		before, after = "event: "+event+"\ndata: ", "\n\n"
	}
	if _, err := io.WriteString(s.w, before+head); err != nil {
		return err
	}
	if _, err := s.w.Write(tail); err != nil {
		return err
	}
	_, err := io.WriteString(s.w, after)
	return err
}

// text sends what is no event.
func (s *stream) text(text string) error {
	if err := s.control.SetWriteDeadline(time.Now().Add(s.patience)); err != nil {
		return err
	}
	_, err := io.WriteString(s.w, text)
	return err
}
