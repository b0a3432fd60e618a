// Package telemetry exports the verdict by OpenTelemetry: metrics, traces of what was collected and of rollouts, and
// a log record for each problem that begins or ends.
//
// The standard OTEL_ variables decide. Nothing is exported unless they ask for it, and then nothing of the SDK runs and
// nothing is dialled. What is exported waits in bounded queues; whoever has something to export never waits. What
// does not arrive is counted, and said in the log once.
package telemetry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/log"
	lognoop "go.opentelemetry.io/otel/log/noop"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/staticpod-exporter/staticpod-exporter/observe/metrics"
)

const (
	scope = "github.com/staticpod-exporter/staticpod-exporter"
	// flushTimeout bounds what Close waits for a receiver that does not answer. Rollouts have waited before.
	flushTimeout = 5*time.Second - lastTimeout
)

// Options of a Telemetry.
type Options struct {
	Settings Settings
	Node     string
	Version  string // of the exporter
	Console  io.Writer
	Logger   *slog.Logger // hears when an export begins to fail and when it works again; default: none
}

// Telemetry is what is exported. Make it with New, and Close it when all that tells it something has ended.
type Telemetry struct {
	log      *slog.Logger
	signals  []*signal // of what is exported
	resource *resource.Resource
	options  Options

	traces   *sdktrace.TracerProvider // nil when they are not exported, as are the others
	post     *post                    // of rollouts; nil when traces are not exported
	versions versions
	records  *sdklog.LoggerProvider
	problems log.Logger
	metrics  *sdkmetric.MeterProvider
}

// New makes what o.Settings ask for. An error says what of that is not exported; the Telemetry does the rest.
func New(ctx context.Context, o Options) (*Telemetry, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	t := &Telemetry{log: o.Logger, options: o, problems: lognoop.Logger{}}
	if !o.Settings.Used() {
		return t, nil
	}
	// The SDK tells its troubles to the process. Those of exports are counted and logged here already.
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { o.Logger.Debug("opentelemetry", "err", err) }))
	otel.SetLogger(logr.FromSlogHandler(quiet{o.Logger.Handler()}))

	var errs []error
	var err error
	if t.resource, err = newResource(ctx, o); err != nil {
		errs = append(errs, err) // it has the rest all the same
	}
	if o.Settings.traces.used() {
		errs = append(errs, t.exportTraces(ctx))
	}
	if o.Settings.logs.used() {
		errs = append(errs, t.exportLogs(ctx))
	}
	return t, errors.Join(errs...)
}

func (t *Telemetry) signal(name string, queue int) *signal {
	s := &signal{name: name, limit: uint64(queue), log: t.log}
	t.signals = append(t.signals, s)
	return s
}

func (t *Telemetry) exportTraces(ctx context.Context) error {
	s := t.options.Settings
	exporter, err := newSpanExporter(ctx, s.traces, t.options.Console)
	if err != nil {
		return err
	}
	account := t.signal(signalTraces, s.spans.queue)
	shared := inTurn{exporter, make(chan struct{}, 1)}
	t.traces = sdktrace.NewTracerProvider(
		sdktrace.WithResource(t.resource),
		sdktrace.WithSampler(newSampler(s.ratio, s.dropped)),
		sdktrace.WithSpanProcessor(newTail(spanQueue{sdktrace.NewBatchSpanProcessor(accountedSpans{shared, account}), account})))
	// Rollouts share the connection, and nothing else: they are few, and each is wanted.
	t.post = newPost(shared, account, s.spans.batch, s.spans.timeout, sdktrace.WithResource(t.resource))
	return nil
}

func (t *Telemetry) exportLogs(ctx context.Context) error {
	s := t.options.Settings
	exporter, err := newLogExporter(ctx, s.logs, t.options.Console)
	if err != nil {
		return err
	}
	account := t.signal(signalLogs, s.records.queue)
	t.records = sdklog.NewLoggerProvider(
		sdklog.WithResource(t.resource),
		sdklog.WithProcessor(recordQueue{sdklog.NewBatchProcessor(accountedRecords{exporter, account}), account}))
	t.problems = t.records.Logger(scope + "/problem")
	return nil
}

// Traces is for collections, and for the questions that are asked in them. It is nil when no traces are exported.
// A collection whose root has an attribute staticpod.collection.changes above 0 is exported in any case.
func (t *Telemetry) Traces() trace.TracerProvider {
	if t.traces == nil {
		return nil
	}
	return t.traces
}

// Signals returns the account of what is exported, one of each signal.
func (t *Telemetry) Signals() []metrics.Signal {
	counts := make([]metrics.Signal, 0, len(t.signals))
	for _, s := range t.signals {
		counts = append(counts, s.count())
	}
	return counts
}

// Close exports what waits, for as long as is reasonable, and ends.
func (t *Telemetry) Close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTimeout)
	defer cancel()
	var ends []func(context.Context) error
	if t.traces != nil {
		ends = append(ends, t.traces.Shutdown)
	}
	if t.records != nil {
		ends = append(ends, t.records.Shutdown)
	}
	if t.metrics != nil {
		ends = append(ends, t.metrics.Shutdown)
	}
	errs := make([]error, len(ends))
	var waiting sync.WaitGroup
	for i, end := range ends {
		waiting.Go(func() { errs[i] = end(ctx) })
	}
	waiting.Wait()
	for _, s := range t.signals {
		errs = append(errs, s.missing()) // of which the SDK says nothing
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("telemetry was not exported in full: %w", err)
	}
	return nil
}

// quiet hands on what the SDK says of itself as debug messages, whatever it thinks of them.
type quiet struct{ slog.Handler }

func (q quiet) Enabled(ctx context.Context, _ slog.Level) bool {
	return q.Handler.Enabled(ctx, slog.LevelDebug)
}

func (q quiet) Handle(ctx context.Context, r slog.Record) error {
	r.Level = slog.LevelDebug
	return q.Handler.Handle(ctx, r)
}

func (q quiet) WithAttrs(attrs []slog.Attr) slog.Handler { return quiet{q.Handler.WithAttrs(attrs)} }

func (q quiet) WithGroup(name string) slog.Handler { return quiet{q.Handler.WithGroup(name)} }
