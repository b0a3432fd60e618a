package kubelet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
	corev1 "k8s.io/api/core/v1"

	"github.com/staticpod-exporter/staticpod-exporter/collector/change"
)

const (
	auto           = "auto"
	unixScheme     = "unix://"
	defaultSocket  = "unix:///var/lib/kubelet/pods-api/pods-api.sock"
	defaultTimeout = 5 * time.Second
	// A transport that failed is left out for this long while another one works.
	failedTransport = 30 * time.Second
)

// Options of a Client. Each transport is ruled by its own option: "auto" tries what is usual, "" does without,
// and a value is the one place that is asked.
type Options struct {
	// PodsSocket of the Pods API: auto is unix:///var/lib/kubelet/pods-api/pods-api.sock.
	PodsSocket string
	// Endpoint of the HTTP server: auto is https://127.0.0.1:10250, then the read-only http://127.0.0.1:10255.
	Endpoint string
	// CAFile verifies the kubelet, the system's authorities when it is "". CertFile and KeyFile are a client
	// certificate, TokenFile holds a bearer token; neither is used without TLS. All are read again when they
	// change.
	CAFile, CertFile, KeyFile, TokenFile string
	// ServerName is expected in the kubelet's certificate instead of the endpoint's host.
	ServerName string
	// InsecureSkipVerify accepts any certificate.
	InsecureSkipVerify bool
	// Timeout bounds every question. Default 5 s.
	Timeout time.Duration
	// TracerProvider receives one span per question; nil for none.
	TracerProvider trace.TracerProvider
	// Logger gets one line at each transition. Default: none.
	Logger *slog.Logger
}

// A Client asks one kubelet. It dials when it is asked, so a kubelet that is missing costs an error per
// question and nothing else. Its methods may be called concurrently.
type Client struct {
	socket  *podsAPI  // nil for none
	servers []*server // best first
	timeout time.Duration
	log     *slog.Logger
	changed *change.Signal

	mu         sync.Mutex // one View at a time; guards what follows
	transports []*transported
	last       string // the transport of the View before, "" when there was none
	described  description
}

// A transported is a way to the pods.
type transported struct {
	name  string
	pods  func(ctx context.Context, resync bool) ([]*corev1.Pod, time.Time, error)
	alive func() bool // whether it is known to work without being asked; nil when that cannot be known
	again time.Time   // when to try it again; zero while it works
}

// New returns a Client; it does not dial and reads no file. An error is a mistake in o.
func New(o Options) (*Client, error) {
	if o.Timeout < 0 {
		return nil, fmt.Errorf("kubelet timeout: %s is negative", o.Timeout)
	}
	if o.Timeout == 0 {
		o.Timeout = defaultTimeout
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if (o.CertFile == "") != (o.KeyFile == "") {
		return nil, errHalfPair
	}
	if o.TracerProvider == nil {
		o.TracerProvider = noop.NewTracerProvider()
	}
	tracer := o.TracerProvider.Tracer("github.com/staticpod-exporter/staticpod-exporter/collector/kubelet")
	c := &Client{timeout: o.Timeout, log: o.Logger, changed: new(change.Signal)}
	socket, err := socketOf(o.PodsSocket)
	if err != nil {
		return nil, err
	}
	bases, err := basesOf(o.Endpoint)
	if err != nil {
		return nil, err
	}
	if socket != "" {
		c.socket = &podsAPI{
			socket: strings.TrimPrefix(socket, unixScheme), timeout: o.Timeout, decoder: newDecoder(),
			changed: c.changed, tracer: tracer, log: o.Logger,
		}
		c.transports = append(c.transports, &transported{name: PodsAPI, pods: c.socket.view, alive: c.socket.alive})
	}
	for _, base := range bases {
		s := newServer(base, o, tracer)
		c.servers = append(c.servers, s)
		c.transports = append(c.transports, &transported{name: s.name, pods: s.view})
	}
	return c, nil
}

func socketOf(option string) (string, error) {
	switch {
	case option == "":
		return "", nil
	case option == auto:
		return defaultSocket, nil
	case strings.HasPrefix(option, unixScheme) && filepath.IsAbs(strings.TrimPrefix(option, unixScheme)):
		return option, nil
	}
	return "", fmt.Errorf("kubelet pods-socket %q: neither auto nor unix:///absolute/path", option)
}

func basesOf(option string) ([]*url.URL, error) {
	switch option {
	case "":
		return nil, nil
	case auto:
		return []*url.URL{
			{Scheme: "https", Host: "127.0.0.1:10250"},
			{Scheme: "http", Host: "127.0.0.1:10255"},
		}, nil
	}
	base, err := url.Parse(option)
	if err != nil {
		return nil, errors.New("kubelet endpoint: no URL") // the error quotes it, and it may hold a password
	}
	switch {
	case base.User != nil:
		return nil, errors.New("kubelet endpoint: credentials belong in cert-file, key-file or token-file")
	case base.Scheme != "https" && base.Scheme != "http" || base.Hostname() == "" || base.RawQuery != "" || base.Fragment != "":
		return nil, fmt.Errorf("kubelet endpoint %q: neither auto nor http(s)://host:port", option)
	}
	return []*url.URL{base}, nil
}

// Run watches the kubelet's pods until ctx is done, and then returns nil. It watches again whenever the watch
// ends.
func (c *Client) Run(ctx context.Context) error {
	if c.socket == nil {
		<-ctx.Done()
		return nil
	}
	c.socket.run(ctx)
	return nil
}

// Changed returns a channel that is closed once something happened to a static pod, or may have, that the
// last View does not show. The next View replaces it.
func (c *Client) Changed() <-chan struct{} { return c.changed.Wait() }

// Healthy reports whether a watch is open and nothing that it said needs a list: a resync once a minute is
// then enough to find what no event tells. While it is not, only asking tells.
func (c *Client) Healthy() bool { return c.socket != nil && c.socket.state.settled() }

// Close releases the connections. They are made again when they are needed after it.
func (c *Client) Close() error {
	for _, s := range c.servers {
		s.close()
	}
	if c.socket == nil {
		return nil
	}
	return c.socket.close()
}

// View returns the kubelet's static pods over the best transport that works: the Pods API, then HTTP. Without
// resync, a watch that is open answers for the Pods API; with it, the kubelet is asked.
//
// The error wraps ErrUnauthorized when a transport refused the exporter and no other worked. It is
// ErrSourcesNotReady, and nothing else, when the kubelet says so; then there is a View all the same if the
// kubelet can be asked over HTTP, of the pods that it has so far. A nil View comes with every other error.
func (c *Client) View(ctx context.Context, resync bool) (*View, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.changed.Noted()
	pods, at, transport, err := c.pods(ctx, resync)
	if transport == "" {
		return nil, err
	}
	v := &View{At: at, Transport: transport, Pods: pods}
	v.Config, v.Version = c.describe(ctx)
	return v, err
}

// pods asks the transports in order, those that failed lately after the others. The transport is that which
// answered, "" for none. c.mu is held.
func (c *Client) pods(ctx context.Context, resync bool) (pods []*corev1.Pod, at time.Time, transport string, err error) {
	now := time.Now()
	order := make([]*transported, 0, len(c.transports))
	for _, late := range []bool{false, true} {
		for _, t := range c.transports {
			if t.failed(now) == late {
				order = append(order, t)
			}
		}
	}
	if len(order) == 0 {
		return nil, time.Time{}, "", errNoTransport
	}
	var notReady error
	for i, t := range order {
		var failure error
		pods, at, failure = t.ask(ctx, resync, c.share(ctx, len(order)-i))
		if failure == nil {
			t.again = time.Time{}
			if t.name != c.last {
				c.log.Info("asking the kubelet", "transport", t.name, "before", c.last, "err", cmp.Or(err, notReady))
				c.last = t.name
			}
			return pods, at, t.name, notReady
		}
		failure = fmt.Errorf("kubelet %s: %w", t.name, failure)
		switch {
		case errors.Is(failure, ErrSourcesNotReady):
			t.again, notReady = time.Time{}, failure // the transport works
			continue
		case err == nil:
			err = failure
		default:
			err = fmt.Errorf("%w; %w", err, failure)
		}
		t.again = now.Add(failedTransport)
		if ctx.Err() != nil {
			break
		}
	}
	if notReady != nil {
		err = notReady
	}
	return nil, time.Time{}, "", err
}

// share is how long one of the transports that are left may take.
func (c *Client) share(ctx context.Context, left int) time.Duration {
	deadline, ok := ctx.Deadline()
	if !ok {
		return c.timeout
	}
	return min(c.timeout, time.Until(deadline)/time.Duration(left))
}

// failed reports whether the transport failed lately and nothing says that it works again.
func (t *transported) failed(now time.Time) bool {
	return now.Before(t.again) && (t.alive == nil || !t.alive())
}

func (t *transported) ask(ctx context.Context, resync bool, timeout time.Duration) ([]*corev1.Pod, time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return t.pods(ctx, resync)
}

// generation changes whenever the kubelet may be another process than before.
func (c *Client) generation() uint64 {
	var n uint64
	if c.socket != nil {
		n = c.socket.opened.Load()
	}
	for _, s := range c.servers {
		n += s.answered.Load()
	}
	return n
}

var errNoTransport = errors.New("kubelet: neither an endpoint nor a pods socket is configured")
