package web

import (
	"html/template"
	"net/http"
	"slices"
	"time"
)

// The events of a page that is kept up to date.
const (
	// partEvent has one element of the page: its ID and its HTML.
	partEvent = "part"
	// orderEvent has the IDs of all rows, in their order: one that is not there is gone.
	orderEvent = "order"
	// nowEvent comes after the others, and every few seconds when there are none: what the time is here, of when the
	// snapshot is, and which build of the page this is.
	nowEvent = "now"
)

// A show is what a page consists of, at one moment. It is immutable once it is made.
type show struct {
	title   string
	bad     bool
	at      moment
	numbers map[class]int
	parts   []part
	rows    []*row // in their order; nil for a page that has none
}

// A piece is a part to be: the template of its name makes it of the data.
type piece struct {
	name string
	data any
}

// fill makes parts.
func (p *page) fill(v *show, pieces ...piece) error {
	for _, piece := range pieces {
		made, err := p.part(piece.name, piece.name, piece.data)
		if err != nil {
			return err
		}
		v.parts = append(v.parts, made)
	}
	return nil
}

// watchPage streams a page: first all its parts, then those that change. Like any watch it sends a slow reader the latest
// and keeps no queue, and it counts as a watch. It waits for the first snapshot where that is not there yet.
func (h *handler) watchPage(w http.ResponseWriter, r *http.Request, of func(*rendering) (*show, error)) {
	h.stream(w, r, true, func(s *stream) follower {
		shown := &shown{stream: s, parts: make(map[string]template.HTML)}
		return follower{
			interval: h.pulse, closing: true,
			difference: func(rendered *rendering) (int, error) {
				if rendered == nil {
					return 0, nil
				}
				now, err := of(rendered)
				if err != nil {
					h.Logger.Error("Cannot render the snapshot", "err", err)
					return 0, err
				}
				return shown.difference(now)
			},
			beat: func(rendered *rendering) error { return s.now(rendered, h.page.build) },
		}
	})
}

// shown is what one reader has been sent of a page.
type shown struct {
	*stream
	parts map[string]template.HTML
	order []string // of the rows; nil before it was sent
}

// difference sends what is otherwise in now. It returns how many events that were.
func (s *shown) difference(now *show) (n int, err error) {
	send := func(p part) {
		if err != nil || s.parts[p.id] == p.html {
			return
		}
		s.parts[p.id] = p.html
		n++
		err = event(s.stream, partEvent, struct {
			ID   string `json:"id"`
			HTML string `json:"html"`
		}{p.id, string(p.html)})
	}
	for _, p := range now.parts {
		send(p)
	}
	order := make([]string, 0, len(now.rows))
	there := make(map[string]bool, len(now.rows))
	for _, row := range now.rows {
		send(row.part)
		order = append(order, row.id)
		there[row.id] = true
	}
	if err != nil || now.rows == nil || s.order != nil && slices.Equal(order, s.order) {
		return n, err
	}
	for _, id := range s.order {
		if !there[id] {
			delete(s.parts, id)
		}
	}
	s.order = order
	return n + 1, event(s.stream, orderEvent, order)
}

// now tells the time.
func (s *stream) now(rendered *rendering, build string) error {
	tell := struct {
		Now   time.Time `json:"now"`
		At    time.Time `json:"at,omitzero"`
		Build string    `json:"build"`
	}{Now: time.Now().UTC(), Build: build}
	if rendered != nil {
		tell.At = rendered.snapshot.At.UTC()
	}
	return event(s, nowEvent, tell)
}

// event sends one event.
func event[T any](s *stream, name string, data T) error {
	line, err := encode(&data)
	if err != nil {
		return err
	}
	return s.write(name, "", line)
}
