package mirror

import "sync"

// A change is a channel that closes once something has happened since it was last taken note of. The zero
// value is ready.
type change struct {
	mu    sync.Mutex
	ch    chan struct{}
	fired bool
}

func (c *change) wait() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.channel()
}

func (c *change) fire() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.fired {
		c.fired = true
		close(c.channel())
	}
}

// noted is called before looking, so that what happens while looking is not lost.
func (c *change) noted() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fired {
		c.ch, c.fired = nil, false
	}
}

func (c *change) channel() chan struct{} {
	if c.ch == nil {
		c.ch = make(chan struct{})
	}
	return c.ch
}
