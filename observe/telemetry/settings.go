package telemetry

import (
	"cmp"
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
	protocol string // of OTLP, as are what follows
	endpoint string // its URL, whose scheme says whether there is TLS
}

func (d destination) used() bool { return d.exporter != exportNone }

func (d destination) secure() bool { return strings.HasPrefix(d.endpoint, "https:") }

// Settings are what the standard variables ask for, as far as this package itself decides by them. What they say
// of headers, certificates, timeouts and batches the OpenTelemetry SDK reads by itself.
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

// ReadSettings reads the OTEL_ variables of the environment and checks every one that counts, also those that only the
// SDK reads: it would pass over a value that it does not understand. The error is WrongVariables, and in the Settings the
// signals that it is about are not exported: with them one can run all the same.
//
// A signal is exported when its exporter is named (OTEL_TRACES_EXPORTER, OTEL_METRICS_EXPORTER, OTEL_LOGS_EXPORTER),
// or when none is but an endpoint is set. With OTEL_SDK_DISABLED the other variables do not count at all, and what is
// said of a signal that is not exported does not either.
func ReadSettings(getenv func(string) string) (Settings, error) {
	e := environment{getenv: getenv}
	none := destination{exporter: exportNone}
	nothing := Settings{traces: none, metrics: none, logs: none}
	if disabled := e.flag("OTEL_SDK_DISABLED"); disabled || e.wrong {
		return nothing, e.err()
	}
	for _, name := range []string{"OTEL_CONFIG_FILE", "OTEL_EXPERIMENTAL_CONFIG_FILE"} {
		if e.get(name) != "" {
			e.refuse(name, "is set, and a configuration file of OpenTelemetry is not read: use the other OTEL_ variables")
		}
	}
	unread := e.wrong
	var s Settings
	s.traces = e.signal(signalTraces, func() {
		s.ratio, s.dropped = e.sampler()
		s.spans = e.batches("OTEL_BSP_")
		e.limits(spanLimits)
	})
	s.metrics = e.signal(signalMetrics, func() {
		e.milliseconds("OTEL_METRIC_EXPORT_INTERVAL", 1)
		e.milliseconds("OTEL_METRIC_EXPORT_TIMEOUT", 1)
		e.choice("OTEL_METRICS_EXEMPLAR_FILTER", "always_on", "always_off", "trace_based")
		preference := e.choice("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "cumulative", "delta", "lowmemory")
		s.delta, s.deltaCounts = preference == "delta" || preference == "lowmemory", preference == "delta"
		s.exponential = e.choice("OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION",
			"explicit_bucket_histogram", "base2_exponential_bucket_histogram") == "base2_exponential_bucket_histogram"
		s.observeSDK = strings.EqualFold(e.get("OTEL_GO_X_OBSERVABILITY"), "true")
	})
	s.logs = e.signal(signalLogs, func() {
		s.records = e.batches("OTEL_BLRP_")
		e.limits(recordLimits)
	})
	if e.wrong = unread; s.Used() {
		e.resource()
	}
	if e.wrong { // which is about all of them
		s = nothing
	}
	return s, e.err()
}

// signal reads where a signal goes and, where it goes anywhere, the rest that is about it. One about which something is
// wrong goes nowhere.
func (e *environment) signal(name string, rest func()) destination {
	e.wrong = false
	d := e.destination(name)
	if d.used() {
		rest()
	}
	if e.wrong {
		return destination{exporter: exportNone}
	}
	return d
}

// destination reads where a signal goes, and checks what is said of the way there.
func (e *environment) destination(signal string) destination {
	const general = "OTEL_EXPORTER_OTLP_"
	upper := strings.ToUpper(signal)
	own := general + upper + "_"
	d := destination{exporter: exporterKind(e.choice("OTEL_"+upper+"_EXPORTER", string(exportNone), string(exportOTLP), string(exportConsole)))}
	if d.exporter == "" {
		d.exporter = exportNone
		if e.get(own+"ENDPOINT") != "" || e.get(general+"ENDPOINT") != "" {
			d.exporter = exportOTLP
		}
	}
	if d.exporter != exportOTLP {
		return d
	}
	d.protocol = cmp.Or(
		e.choice(own+"PROTOCOL", protocolGRPC, protocolHTTP),
		e.choice(general+"PROTOCOL", protocolGRPC, protocolHTTP),
		protocolHTTP)
	insecure := cmp.Or(e.choice(own+"INSECURE", "true", "false"), e.choice(general+"INSECURE", "true", "false"))
	switch at, base := e.endpoint(own+"ENDPOINT"), e.endpoint(general+"ENDPOINT"); {
	case at != nil:
		at.Path = cmp.Or(at.Path, "/") // and else as it is
		d.endpoint = at.String()
	case base != nil:
		d.endpoint = base.JoinPath("v1", signal).String()
	case d.protocol == protocolHTTP:
		d.endpoint = "http://localhost:4318/v1/" + signal
	case insecure == "true":
		d.endpoint = "http://localhost:4317"
	default:
		d.endpoint = "https://localhost:4317"
	}
	for _, prefix := range []string{own, general} {
		e.headers(prefix + "HEADERS")
		e.choice(prefix+"COMPRESSION", "none", "gzip")
		e.milliseconds(prefix+"TIMEOUT", 1)
		if d.secure() {
			e.certificates(prefix)
		}
	}
	return d
}

// What a span or a log record may carry.
var (
	spanLimits = []string{
		"OTEL_ATTRIBUTE_COUNT_LIMIT", "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT",
		"OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT",
		"OTEL_SPAN_EVENT_COUNT_LIMIT", "OTEL_SPAN_LINK_COUNT_LIMIT",
		"OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", "OTEL_LINK_ATTRIBUTE_COUNT_LIMIT",
	}
	recordLimits = []string{
		"OTEL_ATTRIBUTE_COUNT_LIMIT", "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT",
		"OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT", "OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT",
	}
)

func (e *environment) limits(names []string) {
	for _, name := range names {
		e.number(name, 0)
	}
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
	e.milliseconds(prefix+"SCHEDULE_DELAY", 1)                // with 0 the SDK would not rest
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
