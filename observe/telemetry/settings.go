package telemetry

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"time"
)

// An exporterKind is where a signal goes.
type exporterKind string

const (
	exportNone    exporterKind = "none"
	exportOTLP    exporterKind = "otlp"
	exportConsole exporterKind = "console"
)

// The protocols of OTLP.
const (
	protocolGRPC = "grpc"
	protocolHTTP = "http/protobuf"
)

// The signals, as they are called in metrics and log lines.
const (
	signalTraces  = "traces"
	signalMetrics = "metrics"
	signalLogs    = "logs"
)

// A destination is where and how one signal is exported.
type destination struct {
	exporter exporterKind
	protocol string
}

func (d destination) used() bool { return d.exporter != exportNone }

// Settings are what the standard variables ask for, as far as this package itself decides by them. What they say
// of endpoints, headers, certificates, timeouts and batches the OpenTelemetry SDK reads by itself.
type Settings struct {
	traces, metrics, logs destination

	// ratio of the collections whose trace is exported whatever happens in them; dropped when none is, not even
	// those in which something happens.
	ratio   float64
	dropped bool

	spans, records batching

	delta       bool // the change of counters and histograms since the last export, rather than their total
	deltaCounts bool // also of what is not measured at the time of its event
	exponential bool // histograms have exponential buckets, where they have both

	observeSDK bool // the SDK's metrics about itself
}

// batching is how spans or log records wait for their export.
type batching struct {
	queue   int           // how many may wait
	batch   int           // how many are exported at once
	timeout time.Duration // for a batch
}

// Used reports whether anything is exported.
func (s Settings) Used() bool { return s.traces.used() || s.metrics.used() || s.logs.used() }

// defaultRatio of collections are exported although nothing happened in them: one in about a quarter of an hour on
// an idle node.
const defaultRatio = 0.01

// ReadSettings reads the OTEL_ variables of the environment and checks every one that the SDK reads as well: it would
// pass over a value that it does not understand. The error names each variable that has such a value.
//
// A signal is exported when its exporter is named (OTEL_TRACES_EXPORTER, OTEL_METRICS_EXPORTER, OTEL_LOGS_EXPORTER),
// or when none is but an endpoint is set. With OTEL_SDK_DISABLED the other variables do not count at all.
func ReadSettings(getenv func(string) string) (Settings, error) {
	e := environment{getenv: getenv}
	none := destination{exporter: exportNone}
	if disabled := e.flag("OTEL_SDK_DISABLED"); disabled || len(e.errs) > 0 {
		return Settings{traces: none, metrics: none, logs: none}, errors.Join(e.errs...)
	}
	s := Settings{
		traces:  e.destination(signalTraces),
		metrics: e.destination(signalMetrics),
		logs:    e.destination(signalLogs),
	}
	s.ratio, s.dropped = e.sampler()
	s.spans = e.batches("OTEL_BSP_")
	s.records = e.batches("OTEL_BLRP_")
	e.milliseconds("OTEL_METRIC_EXPORT_INTERVAL", 1)
	e.milliseconds("OTEL_METRIC_EXPORT_TIMEOUT", 1)
	for _, name := range limits {
		e.number(name, 0)
	}
	e.choice("OTEL_METRICS_EXEMPLAR_FILTER", "always_on", "always_off", "trace_based")
	preference := e.choice("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "cumulative", "delta", "lowmemory")
	s.delta, s.deltaCounts = preference == "delta" || preference == "lowmemory", preference == "delta"
	s.exponential = e.choice("OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION",
		"explicit_bucket_histogram", "base2_exponential_bucket_histogram") == "base2_exponential_bucket_histogram"
	s.observeSDK = strings.EqualFold(e.get("OTEL_GO_X_OBSERVABILITY"), "true")
	e.resource()
	for _, name := range []string{"OTEL_CONFIG_FILE", "OTEL_EXPERIMENTAL_CONFIG_FILE"} {
		if e.get(name) != "" {
			e.refuse(name, "is set, and a configuration file of OpenTelemetry is not read: use the other OTEL_ variables")
		}
	}
	return s, errors.Join(e.errs...)
}

// limits of what a span or a log record may carry.
var limits = [...]string{
	"OTEL_ATTRIBUTE_COUNT_LIMIT", "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT",
	"OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT",
	"OTEL_SPAN_EVENT_COUNT_LIMIT", "OTEL_SPAN_LINK_COUNT_LIMIT",
	"OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", "OTEL_LINK_ATTRIBUTE_COUNT_LIMIT",
	"OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT", "OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT",
}

// destination reads where a signal goes, and checks what is said of the way there.
func (e *environment) destination(signal string) destination {
	const general = "OTEL_EXPORTER_OTLP_"
	upper := strings.ToUpper(signal)
	own := general + upper + "_"
	d := destination{protocol: protocolHTTP}
	switch exporter := e.choice("OTEL_"+upper+"_EXPORTER", string(exportNone), string(exportOTLP), string(exportConsole)); {
	case exporter != "":
		d.exporter = exporterKind(exporter)
	case e.get(own+"ENDPOINT") != "" || e.get(general+"ENDPOINT") != "":
		d.exporter = exportOTLP
	default:
		d.exporter = exportNone
	}
	for _, prefix := range []string{own, general} {
		e.endpoint(prefix + "ENDPOINT")
		e.flag(prefix + "INSECURE")
		e.headers(prefix + "HEADERS")
		e.choice(prefix+"COMPRESSION", "none", "gzip")
		e.milliseconds(prefix+"TIMEOUT", 1)
		e.certificates(prefix)
	}
	d.protocol = cmp.Or(
		e.choice(own+"PROTOCOL", protocolGRPC, protocolHTTP),
		e.choice(general+"PROTOCOL", protocolGRPC, protocolHTTP),
		protocolHTTP)
	return d
}

// sampler reads OTEL_TRACES_SAMPLER. A collection never has a parent: with and without parentbased_ is one.
func (e *environment) sampler() (ratio float64, dropped bool) {
	const name = "OTEL_TRACES_SAMPLER"
	argument, given := e.fraction(name + "_ARG")
	switch strings.TrimPrefix(e.choice(name, "always_on", "always_off", "traceidratio",
		"parentbased_always_on", "parentbased_always_off", "parentbased_traceidratio"), "parentbased_") {
	case "always_on":
		return 1, false
	case "always_off":
		return 0, true
	case "traceidratio":
		if given {
			return argument, false
		}
		return 1, false // as the standard has it
	}
	return defaultRatio, false
}

// batches reads the variables of a batch processor.
func (e *environment) batches(prefix string) batching {
	const queue, batch, timeout = 2048, 512, 30 * time.Second // as the standard has it
	e.milliseconds(prefix+"SCHEDULE_DELAY", 0)
	b := batching{
		queue:   cmp.Or(e.number(prefix+"MAX_QUEUE_SIZE", 1), queue),
		batch:   e.number(prefix+"MAX_EXPORT_BATCH_SIZE", 1),
		timeout: cmp.Or(e.milliseconds(prefix+"EXPORT_TIMEOUT", 1), timeout),
	}
	if b.batch > b.queue {
		e.refuse(prefix+"MAX_EXPORT_BATCH_SIZE", fmt.Sprintf("is %d, more than the %d of %sMAX_QUEUE_SIZE", b.batch, b.queue, prefix))
	}
	b.batch = cmp.Or(b.batch, min(batch, b.queue))
	return b
}

// milliseconds reads a time, 0 when it is not set.
func (e *environment) milliseconds(name string, least int) time.Duration {
	return time.Duration(e.number(name, least)) * time.Millisecond
}
