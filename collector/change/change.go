// Package change tells whoever waits that something has happened since it last looked.
package change

import "sync"

// A Signal is a channel that closes once something has happened since that was last taken note of. The zero value is
// ready. Its methods may be called concurrently.
type Signal struct {
	mu    sync.Mutex
	ch    chan struct{}
	fired bool
}

// Wait returns the channel of now. Noted replaces it when it is closed.
func (s *Signal) Wait() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.channel()
}

// Fire closes the channel, unless it is closed.
func (s *Signal) Fire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.fired {
		s.fired = true
		close(s.channel())
	}
}

// Noted is called before looking, so that what happens while looking is not lost.
func (s *Signal) Noted() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fired {
		s.ch, s.fired = nil, false
	}
}

func (s *Signal) channel() chan struct{} {
	if s.ch == nil {
		s.ch = make(chan struct{})
	}
	return s.ch
}
