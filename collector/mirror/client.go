package mirror

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/staticpod-exporter/staticpod-exporter/collector/change"
)

const (
	defaultTimeout = 10 * time.Second
	// An API server that does not answer is asked again after firstRetry, and then less and less often: it may have
	// to come up with thousands of nodes asking.
	firstRetry = 500 * time.Millisecond
	lastRetry  = 15 * time.Second
)

// Options of a Client.
type Options struct {
	// Kubeconfig is the path of a kubeconfig. It is read again whenever a connection is made, and the certificates
	// and tokens that it names are when they change; the node's own (/etc/kubernetes/kubelet.conf) will do.
	Kubeconfig string
	// Node is the name of the node whose pods are looked at, as the API server knows it.
	Node string
	// Timeout bounds every question, a watch's only until it is answered. Default 10 s.
	Timeout time.Duration
}

// A Client watches the mirror pods of one node. Run does the work; the other methods tell what it found, may be
// called concurrently and never ask the API server.
type Client struct {
	kubeconfig, node string
	timeout          time.Duration
	changed          *change.Signal
	told             chan struct{} // closed when the API server was first asked, whatever came of it

	mu   sync.Mutex // guards what follows
	pods map[name]*Pod
	list []*Pod // of pods, sorted; nil when it has to be made anew
	open bool   // what is known is what the API server has
	err  error  // why not
}

type name struct{ namespace, name string }

// New returns a Client; it does not dial and reads no file. An error is a mistake in o.
func New(o Options) (*Client, error) {
	switch {
	case o.Timeout < 0:
		return nil, fmt.Errorf("mirror timeout: %s is negative", o.Timeout)
	case !filepath.IsAbs(o.Kubeconfig):
		return nil, fmt.Errorf("mirror kubeconfig %q: not an absolute path", o.Kubeconfig)
	case o.Node == "":
		return nil, errors.New("mirror node: no name")
	}
	if o.Timeout == 0 {
		o.Timeout = defaultTimeout
	}
	return &Client{kubeconfig: o.Kubeconfig, node: o.Node, timeout: o.Timeout, changed: new(change.Signal), told: make(chan struct{})}, nil
}

// Run lists and watches until ctx is done, and then returns nil. It does so again whenever that fails.
func (c *Client) Run(ctx context.Context) error {
	retry := firstRetry
	for {
		listed, err := c.follow(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if listed {
			retry = firstRetry
		}
		if err == nil { // there is a reason to begin anew at once
			continue
		}
		c.fail(err)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(retry/2 + rand.N(retry/2+1)):
		}
		retry = min(2*retry, lastRetry)
	}
}

// Changed returns a channel that is closed once something happened to a mirror pod, or to the connection, that the
// last View does not show. The next View replaces it.
func (c *Client) Changed() <-chan struct{} { return c.changed.Wait() }

// Healthy reports whether a watch is open, so that Changed tells all there is.
func (c *Client) Healthy() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.open
}

// View returns what the API server has, or why that is not known, which wraps ErrUnauthorized when it refuses the
// credentials. It waits for the first answer only. There is nothing to resync: the watch tells all.
func (c *Client) View(ctx context.Context, _ bool) (*View, error) {
	select {
	case <-c.told:
	case <-ctx.Done():
		return nil, fmt.Errorf("mirror pods: no answer yet: %w", context.Cause(ctx))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.changed.Noted()
	if !c.open {
		return nil, fmt.Errorf("mirror pods: %w", c.err)
	}
	if c.list == nil {
		c.list = make([]*Pod, 0, len(c.pods))
		for _, p := range c.pods {
			c.list = append(c.list, p)
		}
		slices.SortFunc(c.list, func(a, b *Pod) int {
			return strings.Compare(a.Namespace+"/"+a.Name, b.Namespace+"/"+b.Name)
		})
	}
	return &View{At: time.Now(), Pods: c.list}, nil
}

// replace takes a whole list.
func (c *Client) replace(all []*Pod) {
	c.mu.Lock()
	before := c.pods
	c.pods, c.list = make(map[name]*Pod, len(all)), nil
	for _, p := range all {
		key := name{p.Namespace, p.Name}
		if old := before[key]; old != nil && old.equal(p) {
			p = old
		}
		c.pods[key] = p
	}
	c.open, c.err = true, nil
	c.tell()
}

// set takes one mirror pod.
func (c *Client) set(p *Pod) {
	c.mu.Lock()
	key := name{p.Namespace, p.Name}
	if old := c.pods[key]; old != nil && old.equal(p) {
		c.mu.Unlock() // its status changed, or a label
		return
	}
	c.pods[key], c.list = p, nil
	c.tell()
}

// drop forgets what has a name.
func (c *Client) drop(key name) {
	c.mu.Lock()
	if c.pods[key] == nil {
		c.mu.Unlock()
		return
	}
	delete(c.pods, key)
	c.list = nil
	c.tell()
}

// fail takes down why the API server does not tell.
func (c *Client) fail(err error) {
	c.mu.Lock()
	c.open, c.err = false, err
	c.tell()
}

// tell ends a change: it lets c.mu go.
func (c *Client) tell() {
	select {
	case <-c.told:
	default:
		close(c.told)
	}
	c.changed.Fire()
	c.mu.Unlock()
}

func (p *Pod) equal(q *Pod) bool {
	return p.Namespace == q.Namespace && p.Name == q.Name && p.UID == q.UID && p.StaticUID == q.StaticUID &&
		p.Created.Equal(q.Created) && p.Deleting.Equal(q.Deleting) && p.Generation == q.Generation
}
