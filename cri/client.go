package cri

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"
	internalapi "k8s.io/cri-api/pkg/apis"
	cri "k8s.io/cri-client/pkg"

	"github.com/staticpod-exporter/staticpod-exporter/collector/change"
)

const defaultTimeout = 5 * time.Second

// Options of a Client.
type Options struct {
	// Endpoint is unix:///path/to.sock, or "auto" (as is ""): the first of the usual sockets that exists and
	// answers, probed again whenever the runtime stops answering.
	Endpoint string
	// Timeout bounds every call but the event stream. Default 5 s.
	Timeout time.Duration
	// TracerProvider receives one span per call; nil for none.
	TracerProvider trace.TracerProvider
	// Logger gets one line at each transition, and what the CRI client library says at debug. Default: none.
	Logger *slog.Logger
}

// A Client asks one container runtime. It dials when it is asked and dials again after an error, so a runtime
// that is missing costs an error per question and nothing else. Its methods may be called concurrently.
type Client struct {
	endpoints []string // candidates, best first
	timeout   time.Duration
	tracer    trace.TracerProvider
	log       *slog.Logger

	listening atomic.Bool  // the event stream is open
	listed    atomic.Int64 // when the lists of the last View were asked for, in ns since the epoch
	changed   change.Signal
	foreign   foreign

	mu      sync.Mutex // one View at a time; guards what follows
	session *session   // nil until dialled
	details map[string]*detail
}

// New returns a Client; it does not dial. An error is a mistake in o.
func New(o Options) (*Client, error) {
	endpoints, err := candidates(o.Endpoint)
	if err != nil {
		return nil, err
	}
	if o.Timeout < 0 {
		return nil, fmt.Errorf("cri timeout: %s is negative", o.Timeout)
	}
	if o.Timeout == 0 {
		o.Timeout = defaultTimeout
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Client{
		endpoints: endpoints,
		timeout:   o.Timeout,
		tracer:    o.TracerProvider,
		log:       o.Logger,
	}, nil
}

// Changed returns a channel that is closed once something happened to a static pod, or may have, that the
// last View does not show. The next View replaces it.
func (c *Client) Changed() <-chan struct{} { return c.changed.Wait() }

// Healthy reports whether changes are signalled as they happen: the event stream is open. While it is not,
// only asking tells.
func (c *Client) Healthy() bool { return c.listening.Load() }

// Close releases the connection that View uses. View dials again when called after it.
func (c *Client) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.hangUp()
}

// hangUp drops the connection of View. c.mu is held.
func (c *Client) hangUp() error {
	if c.session == nil {
		return nil
	}
	err := c.session.close()
	c.session = nil
	return err
}

// A session is a connection to a runtime that has answered.
type session struct {
	internalapi.RuntimeService
	endpoint, runtime, version string
}

func (s *session) close() error { return s.Close(context.Background()) }

// dial connects to the first endpoint that answers. The error is that of the first that exists.
func (c *Client) dial(ctx context.Context, tracer trace.TracerProvider) (*session, error) {
	var first error
	for _, endpoint := range c.endpoints {
		if len(c.endpoints) > 1 && !exists(endpoint) {
			continue
		}
		s, err := c.connect(ctx, endpoint, tracer)
		if err == nil {
			return s, nil
		}
		if first == nil {
			first = err
		}
	}
	if first == nil {
		first = fmt.Errorf("%w (looked for %s)", ErrNoSocket, strings.Join(c.endpoints, ", "))
	}
	return nil, first
}

// connect asks for the version on a connection of its own before it builds the service: Build does not close
// the connection of a runtime that does not answer it, and would leave one behind at every attempt.
func (c *Client) connect(ctx context.Context, endpoint string, tracer trace.TracerProvider) (*session, error) {
	version, err := probe(ctx, endpoint, c.timeout)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", endpoint, err)
	}
	service, err := cri.NewRemoteRuntimeServiceBuilder().
		WithEndpoint(endpoint).
		WithConnectionTimeout(c.timeout).
		WithTracerProvider(tracer). // nil leaves the instrumentation out
		WithUseStreaming(true).
		Build(ctx)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", endpoint, err)
	}
	return &session{
		RuntimeService: service,
		endpoint:       endpoint,
		runtime:        version.GetRuntimeName(),
		version:        plain(version.GetRuntimeVersion()),
	}, nil
}

// ErrNoSocket says that none of the places has a socket where a runtime usually has one.
var ErrNoSocket = errors.New("no runtime socket exists")
