package cri

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

const (
	// How long to wait before opening the event stream again: doubled from least to most while it fails.
	leastWait = 100 * time.Millisecond
	mostWait  = 5 * time.Second
	// A runtime without events may be replaced by one that has them.
	unimplementedWait = 5 * time.Minute
	// A stream that is refused is refused sooner than this.
	provenAfter = 250 * time.Millisecond
	// Events that wait to be judged. The runtime blocks on a subscriber that does not read.
	eventBuffer = 64
)

// Run listens to the runtime's events until ctx is done, and then returns nil. It opens the stream again
// whenever it ends; a runtime without events is left in peace, for a resync to heal.
func (c *Client) Run(ctx context.Context) error {
	wait, silent := leastWait, false
	for {
		opened := time.Now()
		err := c.listen(ctx)
		if ctx.Err() != nil {
			return nil
		}
		heard := c.listening.Swap(false)
		wait = pause(wait, err, heard && time.Since(opened) > mostWait)
		if heard {
			c.changed.Fire() // the runtime may be gone, or have acted since
		}
		if heard || !silent {
			c.log.Info("no container events", "err", err)
			silent = true
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}

// pause is how long to wait after a stream ended, given how long that was the time before and whether the
// stream had lasted.
func pause(before time.Duration, err error, lasted bool) time.Duration {
	switch {
	case status.Code(err) == codes.Unimplemented:
		return unimplementedWait
	case lasted:
		return leastWait
	}
	return min(2*before, mostWait)
}

// listen holds one event stream. It has a connection of its own, without instrumentation: a span would last
// as long as the stream.
func (c *Client) listen(ctx context.Context) error {
	ctx = c.quietly(ctx)
	s, err := c.dial(ctx, nil)
	if err != nil {
		return fmt.Errorf("runtime: %w", err)
	}
	defer s.close()

	opened := make(chan struct{})
	events := make(chan *runtimeapi.ContainerEventResponse, eventBuffer)
	var judge sync.WaitGroup
	judge.Go(func() { c.judge(s.endpoint, opened, events) })
	err = s.GetContainerEvents(ctx, events, func(runtimeapi.RuntimeService_GetContainerEventsClient) {
		close(opened)
	})
	close(events)
	judge.Wait()
	if errors.Is(err, io.EOF) {
		return errors.New("runtime events: the runtime closed the stream")
	}
	return fmt.Errorf("runtime events: %w", err)
}

// judge signals what the events tell until there are no more. A stream counts as heard when it has said
// something or was not refused for a while: a runtime without events lets it be opened too.
func (c *Client) judge(endpoint string, opened <-chan struct{}, events <-chan *runtimeapi.ContainerEventResponse) {
	var proven <-chan time.Time
	heard := func() {
		opened, proven = nil, nil
		if !c.listening.Swap(true) {
			c.log.Info("listening to container events", "endpoint", endpoint)
			c.changed.Fire() // what happened before the stream was open
		}
	}
	for {
		select {
		case <-opened:
			opened, proven = nil, time.After(provenAfter)
		case <-proven:
			heard()
		case e, ok := <-events:
			if !ok {
				return
			}
			heard()
			if c.tells(e) {
				c.changed.Fire()
			}
		}
	}
}

// tells reports whether an event says something of a static pod that the last View does not show. An event
// from before the lists of that View were asked for does not: so the minutes of history that containerd
// plays to a new subscriber wake nobody.
func (c *Client) tells(e *runtimeapi.ContainerEventResponse) bool {
	if e.GetCreatedAt() < c.listed.Load() {
		return false
	}
	if sandbox := e.GetPodSandboxStatus(); sandbox != nil {
		return static(sandbox.GetAnnotations())
	}
	// The event of a sandbox that is gone carries only its ID.
	return !c.foreign.has(e.GetContainerId())
}

// foreign are the sandboxes of other pods, as last listed.
type foreign struct {
	mu  sync.Mutex
	ids map[string]struct{}
}

func (f *foreign) has(id string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, ok := f.ids[id]
	return ok
}

func (f *foreign) set(ids map[string]struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ids = ids
}
