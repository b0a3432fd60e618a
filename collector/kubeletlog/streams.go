package kubeletlog

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"
)

const (
	streamLimit  = 16               // senders at once
	stallLimit   = time.Minute      // for a sender that has begun a line
	absenceLimit = 10 * time.Second // without a sender until that is said: it may be on its way back
	listenRetry  = 5 * time.Second
)

// Streams are a log that senders bring over TCP, such as Talos' JSON lines: one line each, ended by a line
// feed. Every sender has a decoder of its own, so their lines do not mix.
//
// A sender that is silent stays: if it were sent away its next line would be lost, since that is how it
// would notice. What is dead is found by keep-alive. When there are too many the one that was silent longest
// has to go.
type streams struct {
	address string
	to      *Follower
	limit   int
	stall   time.Duration
	absence time.Duration
	retry   time.Duration

	mu      sync.Mutex
	bound   net.Addr               // nil while it does not listen
	heard   map[net.Conn]time.Time // when each sender last sent something
	absent  *time.Timer            // runs while there is none
	crowded bool                   // and that was said
}

func newStreams(address string, to *Follower) *streams {
	return &streams{
		address: address, to: to, limit: streamLimit, stall: stallLimit, absence: absenceLimit, retry: listenRetry,
		heard: make(map[net.Conn]time.Time),
	}
}

func (s *streams) end() {}

// run listens until ctx ends.
func (s *streams) run(ctx context.Context) {
	config := net.ListenConfig{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 30 * time.Second, Interval: 10 * time.Second, Count: 6}}
	for ctx.Err() == nil {
		l, err := config.Listen(ctx, "tcp", s.address)
		if err == nil {
			err = s.serve(ctx, l)
		}
		if ctx.Err() == nil {
			s.to.report(fmt.Errorf("kubelet log: %w", err))
			wait(ctx, s.retry)
		}
	}
}

// serve takes senders from l until ctx ends or l fails.
func (s *streams) serve(ctx context.Context, l net.Listener) error {
	s.mu.Lock()
	s.bound = l.Addr()
	s.absent = time.AfterFunc(0, s.miss)
	s.mu.Unlock()
	var senders sync.WaitGroup
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer func() {
		cancel()
		stop()
		l.Close()
		s.mu.Lock()
		s.absent.Stop()
		for conn := range s.heard {
			conn.Close()
		}
		s.bound = nil
		s.mu.Unlock()
		senders.Wait()
	}()
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		s.admit(conn)
		senders.Go(func() {
			s.receive(ctx, conn)
			s.dismiss(conn)
		})
	}
}

// admit makes room for a sender.
func (s *streams) admit(conn net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.heard) >= s.limit {
		var idlest net.Conn
		for c, at := range s.heard {
			if idlest == nil || at.Before(s.heard[idlest]) {
				idlest = c
			}
		}
		idlest.Close()
		delete(s.heard, idlest)
		if !s.crowded {
			s.crowded = true
			s.to.log.Warn("Too many senders of the kubelet log: the one silent longest is sent away", "limit", s.limit)
		}
	}
	s.heard[conn] = time.Now()
	s.absent.Stop()
	s.to.report(nil)
}

func (s *streams) dismiss(conn net.Conn) {
	conn.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.heard, conn)
	if len(s.heard) == 0 {
		s.crowded = false
		s.absent.Reset(s.absence)
	}
}

// miss says that there is no sender.
func (s *streams) miss() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.heard) == 0 && s.bound != nil {
		s.to.report(fmt.Errorf("kubelet log: nobody is connected to tcp://%s to send it (on Talos add that endpoint, with the format json_lines, to machine.logging.destinations)", s.bound))
	}
}

// receive reads what one sender sends.
func (s *streams) receive(ctx context.Context, conn net.Conn) {
	d := newDecoder()
	for {
		var deadline time.Time
		if d.assembler.pending() > 0 {
			deadline = time.Now().Add(s.stall)
		}
		err := conn.SetReadDeadline(deadline)
		n := 0
		if err == nil {
			n, err = conn.Read(d.space())
		}
		if n > 0 {
			d.take(n)
			s.mu.Lock()
			if _, admitted := s.heard[conn]; admitted {
				s.heard[conn] = time.Now()
			}
			s.mu.Unlock()
		}
		torn := err != nil && d.assembler.end() // its last line was never ended
		p := d.flush()
		p.bytes = uint64(n)
		if torn {
			p.gaps = 1
		}
		s.to.publish(ctx, p)
		if err != nil {
			return
		}
	}
}

// where returns the address that is listened on, nil while there is none.
func (s *streams) where() net.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bound
}
