package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/staticpod-exporter/staticpod-exporter/collector/status"
)

const (
	reconnectSoonest = 250 * time.Millisecond
	reconnectLatest  = 5 * time.Second
)

// A watcher prints what becomes of the resources of one exporter, over broken connections.
type watcher struct {
	exporter *client
	path, id string
	printer  printer
	log      io.Writer
	known    map[string]known // by ID: what has been printed
	said     string           // what the log was told last

	persistent bool                     // tries again when the first connection fails
	arrived    func(reached bool) error // is told when the first attempt to connect fails, and when the first connection comes to be
	reached    bool                     // a connection has come to be
}

// known is a resource that has been printed and is not gone.
type known struct {
	status.Metadata
	object []byte
}

// A printError is the end of a watch: there is nowhere to print to.
type printError struct{ error }

// run prints until ctx ends, which is no error; a first connection that fails is one, unless it is persistent.
func (w *watcher) run(ctx context.Context) error {
	wait := reconnectSoonest
	for first := true; ; first = false {
		connected, err := w.follow(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if broken, ok := errors.AsType[printError](err); ok {
			return broken.error
		}
		if first && !connected {
			if !w.persistent {
				return err
			}
			if err := w.arrived(false); err != nil {
				return err
			}
		}
		if connected {
			wait, w.said = reconnectSoonest, ""
		}
		if message := err.Error(); message != w.said {
			w.said = message
			fmt.Fprintf(w.log, "%s: %s; connecting again\n", program, message)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
		wait = min(2*wait, reconnectLatest)
	}
}

// follow prints one connection's events until it breaks. Connected is whether the initial contents came.
func (w *watcher) follow(ctx context.Context) (connected bool, err error) {
	s, err := w.exporter.watch(ctx, w.path, w.id)
	if err != nil {
		return false, err
	}
	defer s.close()
	var (
		initial []known
		e       event
	)
	for {
		if e, err = s.next(); err != nil {
			return connected, fmt.Errorf("watch of %s broke: %w", w.exporter, err)
		}
		if e.name == "bookmark" {
			if !connected {
				if w.said != "" {
					fmt.Fprintf(w.log, "%s: connected again\n", program)
				}
				connected = true
				err := w.catchUp(initial)
				if err == nil && !w.reached {
					err = w.arrived(true)
				}
				w.reached = true
				if err != nil {
					return connected, printError{err}
				}
			}
			continue
		}
		m, err := metadata(e.object)
		if err != nil {
			return connected, err
		}
		k := known{m, e.object}
		if !connected {
			initial = append(initial, k)
			continue
		}
		if err := w.tell(e.name, k); err != nil {
			return connected, printError{err}
		}
		if err := w.printer.flush(); err != nil {
			return connected, printError{err}
		}
	}
}

// catchUp prints what happened between what is known and the contents at the beginning of a connection.
func (w *watcher) catchUp(contents []known) error {
	now := make(map[string]known, len(contents))
	for _, k := range contents {
		now[k.ID] = k
	}
	for _, id := range slices.Sorted(maps.Keys(w.known)) {
		if k, ok := now[id]; !ok || !k.Created.Equal(w.known[id].Created) {
			if err := w.tell("destroyed", w.known[id]); err != nil {
				return err
			}
		}
	}
	for _, k := range contents {
		event := "created"
		if old, ok := w.known[k.ID]; ok {
			if event = "updated"; old.Version == k.Version {
				continue
			}
		}
		if err := w.tell(event, k); err != nil {
			return err
		}
	}
	return w.printer.flush()
}

// tell prints one event and remembers it.
func (w *watcher) tell(event string, k known) error {
	if event == "destroyed" {
		delete(w.known, k.ID)
	} else {
		w.known[k.ID] = k
	}
	return w.printer.print(event, k.object)
}
