// Package otlp receives what is exported by OpenTelemetry, over both protocols, and is strict: it decodes with the
// Collector's own code and asks more than that of what it finds. What it refuses, and why, is kept for the test.
package otlp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"slices"
	"sync"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"
)

// The protocols, as OTEL_EXPORTER_OTLP_PROTOCOL names them.
const (
	GRPC = "grpc"
	HTTP = "http/protobuf"
)

// Options of a Receiver.
type Options struct {
	TLS *tls.Config // nil for none
	// Before is called before a request is answered: what it returns is its answer, nil a good one. It may wait.
	Before func(ctx context.Context) error
	// Partly is called for what was taken, items of one signal, and returns how many of them it says were rejected all
	// the same, and why; nil rejects none and says nothing.
	Partly func(items int) (rejected int, message string)
}

// A Span is one that was received.
type Span struct {
	ptrace.Span
	Resource pcommon.Resource
	Scope    pcommon.InstrumentationScope
}

// A Record is a log record that was received.
type Record struct {
	plog.LogRecord
	Resource pcommon.Resource
	Scope    pcommon.InstrumentationScope
}

// A Metric is one that was received: all points of one export.
type Metric struct {
	pmetric.Metric
	Resource pcommon.Resource
	Scope    pcommon.InstrumentationScope
}

// A Receiver listens on loopback until Close.
type Receiver struct {
	options Options
	grpc    *grpc.Server
	http    *http.Server
	grpcAt  net.Addr
	httpAt  net.Addr
	serving sync.WaitGroup
	mu      sync.Mutex // guards what follows
	changed chan struct{}
	spans   []Span
	records []Record
	exports [][]Metric
	errs    []error
}

// Listen starts a Receiver.
func Listen(ctx context.Context, o Options) (*Receiver, error) {
	r := &Receiver{options: o, changed: make(chan struct{})}
	var options []grpc.ServerOption
	if o.TLS != nil {
		options = append(options, grpc.Creds(credentials.NewTLS(o.TLS)))
	}
	r.grpc = grpc.NewServer(options...)
	ptraceotlp.RegisterGRPCServer(r.grpc, &traces{receiver: r})
	pmetricotlp.RegisterGRPCServer(r.grpc, &metrics{receiver: r})
	plogotlp.RegisterGRPCServer(r.grpc, &logs{receiver: r})
	r.http = &http.Server{Handler: r.routes(), TLSConfig: o.TLS, ErrorLog: log.New(io.Discard, "", 0)} // handshakes that fail are a test's own

	listeners := make([]net.Listener, 2)
	for i := range listeners {
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			r.Close()
			return nil, fmt.Errorf("otlp receiver: %w", err)
		}
		listeners[i] = l
	}
	r.grpcAt, r.httpAt = listeners[0].Addr(), listeners[1].Addr()
	r.serving.Go(func() { r.ended(r.grpc.Serve(listeners[0])) })
	r.serving.Go(func() {
		if o.TLS != nil {
			r.ended(r.http.ServeTLS(listeners[1], "", ""))
		} else {
			r.ended(r.http.Serve(listeners[1]))
		}
	})
	return r, nil
}

func (r *Receiver) ended(err error) {
	if err != nil && !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, grpc.ErrServerStopped) {
		r.refused(err)
	}
}

// Close ends it, whatever is under way.
func (r *Receiver) Close() {
	r.grpc.Stop()
	r.http.Close()
	r.serving.Wait()
}

// Environment is what an exporter must have in its environment to export everything here.
func (r *Receiver) Environment(protocol string) []string {
	return []string{"OTEL_EXPORTER_OTLP_PROTOCOL=" + protocol, "OTEL_EXPORTER_OTLP_ENDPOINT=" + r.Endpoint(protocol)}
}

// Endpoint is the URL for OTEL_EXPORTER_OTLP_ENDPOINT.
func (r *Receiver) Endpoint(protocol string) string {
	scheme, at := "http", r.httpAt
	if r.options.TLS != nil {
		scheme = "https"
	}
	if protocol == GRPC {
		at = r.grpcAt
	}
	return scheme + "://" + at.String()
}

// Changed returns a channel that is closed when more was received than has been by now.
func (r *Receiver) Changed() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.changed
}

// Spans returns all that were received, in their order.
func (r *Receiver) Spans() []Span {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.spans)
}

// Records returns all log records that were received, in their order.
func (r *Receiver) Records() []Record {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.records)
}

// Metrics returns every export of metrics that was received, in their order.
func (r *Receiver) Metrics() [][]Metric {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.exports)
}

// Refused says what was wrong with what was received; nil when nothing was.
func (r *Receiver) Refused() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return errors.Join(r.errs...)
}

func (r *Receiver) refused(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.errs = append(r.errs, err)
	r.wake()
}

// wake tells who waits. r.mu is held.
func (r *Receiver) wake() {
	close(r.changed)
	r.changed = make(chan struct{})
}

// before lets the test decide on the answer.
func (r *Receiver) before(ctx context.Context) error {
	if r.options.Before == nil {
		return nil
	}
	return r.options.Before(ctx)
}

func (r *Receiver) partly(items int) (rejected int64, message string) {
	if r.options.Partly == nil {
		return 0, ""
	}
	n, message := r.options.Partly(items)
	return int64(n), message
}

func (r *Receiver) takeTraces(t ptrace.Traces) error {
	var spans []Span
	for _, resource := range t.ResourceSpans().All() {
		for _, scope := range resource.ScopeSpans().All() {
			for _, span := range scope.Spans().All() {
				s := Span{span, resource.Resource(), scope.Scope()}
				if err := s.check(); err != nil {
					err = fmt.Errorf("span %q of %s: %w", s.Name(), s.Scope.Name(), err)
					r.refused(err)
					return status.Error(codes.InvalidArgument, err.Error())
				}
				spans = append(spans, s)
			}
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.spans = append(r.spans, spans...)
	r.wake()
	return nil
}

func (r *Receiver) takeMetrics(m pmetric.Metrics) error {
	var export []Metric
	for _, resource := range m.ResourceMetrics().All() {
		for _, scope := range resource.ScopeMetrics().All() {
			for _, metric := range scope.Metrics().All() {
				one := Metric{metric, resource.Resource(), scope.Scope()}
				if err := one.check(); err != nil {
					err = fmt.Errorf("metric %q: %w", one.Name(), err)
					r.refused(err)
					return status.Error(codes.InvalidArgument, err.Error())
				}
				export = append(export, one)
			}
		}
	}
	if err := unique(export); err != nil {
		r.refused(err)
		return status.Error(codes.InvalidArgument, err.Error())
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.exports = append(r.exports, export)
	r.wake()
	return nil
}

func (r *Receiver) takeLogs(l plog.Logs) error {
	var records []Record
	for _, resource := range l.ResourceLogs().All() {
		for _, scope := range resource.ScopeLogs().All() {
			for _, record := range scope.LogRecords().All() {
				one := Record{record, resource.Resource(), scope.Scope()}
				if err := one.check(); err != nil {
					err = fmt.Errorf("log record %q: %w", one.EventName(), err)
					r.refused(err)
					return status.Error(codes.InvalidArgument, err.Error())
				}
				records = append(records, one)
			}
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.records = append(r.records, records...)
	r.wake()
	return nil
}
