package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	// askedAtOnce is how many exporters are asked at a time.
	askedAtOnce = 32
	// watchPatience is how long a watch of several exporters waits for all of them before it prints the first rows.
	watchPatience = 2 * time.Second
)

// newClients returns the clients of the exporters at addresses, each once.
func newClients(addresses []string) ([]*client, error) {
	var clients []*client
	seen := map[string]bool{}
	for i, address := range addresses {
		c, err := newClient(strings.TrimSpace(address))
		if err != nil {
			// It may hold a password: it is not repeated.
			return nil, usageError{fmt.Errorf("--nodes: each is a URL (%s) or HOST[:PORT]: number %d of %d is neither", defaultAddress, i+1, len(addresses))}
		}
		if name := strings.TrimRight(c.base.String(), "/"); !seen[name] {
			seen[name] = true
			clients = append(clients, c)
		}
	}
	for _, c := range clients {
		c.among = len(clients) > 1
	}
	return clients, nil
}

// An answer is what one of several exporters said.
type answer struct {
	objects []json.RawMessage
	err     error
}

// fetchAll asks each exporter, some at a time, and returns their answers in the order of the exporters.
func fetchAll(ctx context.Context, exporters []*client, path, id string, stderr io.Writer) []answer {
	answers := make([]answer, len(exporters))
	var answered atomic.Int64
	end := startProgress(stderr, func() string {
		if len(exporters) == 1 {
			return fmt.Sprintf("waiting for the exporter at %s", exporters[0])
		}
		return fmt.Sprintf("%d of %d exporters have answered", answered.Load(), len(exporters))
	})
	defer end()
	var g errgroup.Group
	g.SetLimit(askedAtOnce)
	for i, exporter := range exporters {
		g.Go(func() error {
			defer answered.Add(1)
			answers[i].objects, answers[i].err = exporter.fetch(ctx, path, id)
			return nil
		})
	}
	_ = g.Wait() // each answer has its own error
	return answers
}

// printAll prints what the exporters answered, then says who did not; with a single one that is the error.
func printAll(answers []answer, p printer, stderr io.Writer) error {
	if len(answers) == 1 && answers[0].err != nil {
		return answers[0].err
	}
	for _, a := range answers {
		if a.err != nil {
			continue
		}
		for _, object := range a.objects {
			if err := p.print("", object); err != nil {
				return err
			}
		}
	}
	err := p.flush()
	for _, a := range answers {
		if a.err != nil {
			fmt.Fprintf(stderr, "%s: %v\n", program, a.err)
			err = cmp.Or(err, error(errIncomplete))
		}
	}
	return err
}

// watchAll prints what becomes of the resources of all exporters until ctx ends. One that cannot be reached at first is
// tried again, unless it is the only one, or none can.
func watchAll(ctx context.Context, exporters []*client, path, id string, p printer, stderr io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	end := startProgress(stderr, func() string { return "waiting for the first contents" })
	defer end()
	shared := &sharedPrinter{printer: p, waiting: len(exporters), begin: end}
	patience := time.AfterFunc(watchPatience, shared.hurry)
	defer patience.Stop()

	var watchers []*watcher
	var g errgroup.Group
	for _, exporter := range exporters {
		w := &watcher{exporter: exporter, path: path, id: id, printer: shared, log: stderr, known: map[string]known{}, persistent: len(exporters) > 1}
		counted := false
		w.arrived = func(reached bool) error {
			err := shared.arrived(reached, !counted)
			counted = true
			if shared.vain() {
				cancel()
			}
			return err
		}
		watchers = append(watchers, w)
		g.Go(func() error {
			err := w.run(ctx)
			if err != nil {
				cancel() // there is nowhere to print to
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	if shared.vain() {
		return fmt.Errorf("none of the %d exporters can be watched", len(exporters))
	}
	if slices.ContainsFunc(watchers, func(w *watcher) bool { return !w.reached }) {
		return errIncomplete
	}
	return nil
}

// A sharedPrinter lets several watchers print in turn. What they print at first is held back until each has arrived, with
// its contents or without, so that it makes one table; but not for ever.
type sharedPrinter struct {
	begin func() // is called before anything is written

	mu       sync.Mutex
	printer  printer
	waiting  int // watchers that have neither reached their exporter nor been refused
	reached  int // those that have printed its contents
	hurried  bool
	open     bool
	openFail error
}

func (s *sharedPrinter) print(event string, object []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.begin()
	return s.printer.print(event, object)
}

func (s *sharedPrinter) flush() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.open {
		return nil
	}
	return errors.Join(s.openFail, s.printer.flush())
}

// hurry ends the patience with those who have not arrived.
func (s *sharedPrinter) hurry() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hurried = true
	s.openFail = s.letOut()
}

// arrived counts a watcher that has printed its first contents, or has not reached its exporter, in which case it may come
// again with them. First is whether it has not been counted before.
func (s *sharedPrinter) arrived(reached, first bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.begin()
	if first {
		s.waiting--
	}
	if reached {
		s.reached++
	}
	return s.letOut()
}

// letOut prints what has been held back, when it is time.
func (s *sharedPrinter) letOut() error {
	if s.open || s.reached == 0 || s.waiting > 0 && !s.hurried {
		return nil
	}
	s.begin()
	s.open = true
	return s.printer.flush()
}

// vain reports whether all have arrived and none has reached its exporter.
func (s *sharedPrinter) vain() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.waiting == 0 && s.reached == 0
}
