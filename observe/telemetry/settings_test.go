package telemetry

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func variables(pairs ...string) func(string) string {
	set := map[string]string{}
	for _, pair := range pairs {
		name, value, _ := strings.Cut(pair, "=")
		set[name] = value
	}
	return func(name string) string { return set[name] }
}

func TestSettings(t *testing.T) {
	none := destination{exportNone, protocolHTTP}
	otlp := destination{exportOTLP, protocolHTTP}
	defaults := Settings{traces: none, metrics: none, logs: none, ratio: defaultRatio,
		spans: batching{2048, 512, 30 * time.Second}, records: batching{2048, 512, 30 * time.Second}}
	with := func(change func(*Settings)) Settings {
		s := defaults
		change(&s)
		return s
	}
	for name, test := range map[string]struct {
		set  []string
		want Settings
	}{
		"nothing is exported by default": {nil, defaults},
		"what is set to nothing is not set": {
			[]string{"OTEL_TRACES_EXPORTER=", "OTEL_EXPORTER_OTLP_ENDPOINT= ", "OTEL_SDK_DISABLED="}, defaults,
		},
		"an endpoint is enough": {
			[]string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4318"},
			with(func(s *Settings) { s.traces, s.metrics, s.logs = otlp, otlp, otlp }),
		},
		"an endpoint of one signal is enough for that": {
			[]string{"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT=https://[::1]:4318/api/v1/otlp"},
			with(func(s *Settings) { s.metrics = otlp }),
		},
		"an exporter is enough": {
			[]string{"OTEL_TRACES_EXPORTER=otlp", "OTEL_LOGS_EXPORTER=Console"},
			with(func(s *Settings) { s.traces, s.logs.exporter = otlp, exportConsole }),
		},
		"none of one signal, though there is an endpoint": {
			[]string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4318", "OTEL_LOGS_EXPORTER=none"},
			with(func(s *Settings) { s.traces, s.metrics = otlp, otlp }),
		},
		"disabled, whatever else is set": {
			[]string{"OTEL_SDK_DISABLED=TRUE", "OTEL_TRACES_EXPORTER=zipkin", "OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4318"},
			Settings{traces: destination{exporter: exportNone}, metrics: destination{exporter: exportNone}, logs: destination{exporter: exportNone}},
		},
		"the protocol of a signal beats the general one": {
			[]string{"OTEL_TRACES_EXPORTER=otlp", "OTEL_LOGS_EXPORTER=otlp", "OTEL_EXPORTER_OTLP_PROTOCOL=grpc", "OTEL_EXPORTER_OTLP_LOGS_PROTOCOL=http/protobuf"},
			with(func(s *Settings) {
				s.traces, s.metrics.protocol, s.logs = destination{exportOTLP, protocolGRPC}, protocolGRPC, otlp
			}),
		},
		"every collection":  {[]string{"OTEL_TRACES_SAMPLER=parentbased_always_on"}, with(func(s *Settings) { s.ratio = 1 })},
		"no collection":     {[]string{"OTEL_TRACES_SAMPLER=always_off"}, with(func(s *Settings) { s.ratio, s.dropped = 0, true })},
		"some collections":  {[]string{"OTEL_TRACES_SAMPLER=traceidratio", "OTEL_TRACES_SAMPLER_ARG=0.25"}, with(func(s *Settings) { s.ratio = 0.25 })},
		"only the eventful": {[]string{"OTEL_TRACES_SAMPLER=parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG=0"}, with(func(s *Settings) { s.ratio = 0 })},
		"a ratio unsaid":    {[]string{"OTEL_TRACES_SAMPLER=traceidratio"}, with(func(s *Settings) { s.ratio = 1 })},
		"queues": {[]string{"OTEL_BSP_MAX_QUEUE_SIZE=10", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE=5", "OTEL_BSP_EXPORT_TIMEOUT=1500", "OTEL_BLRP_MAX_QUEUE_SIZE=20"}, with(func(s *Settings) {
			s.spans, s.records = batching{10, 5, 1500 * time.Millisecond}, batching{20, 20, 30 * time.Second}
		})},
		"delta":                        {[]string{"OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE=Delta"}, with(func(s *Settings) { s.delta, s.deltaCounts = true, true })},
		"low memory":                   {[]string{"OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE=lowmemory"}, with(func(s *Settings) { s.delta = true })},
		"exponential buckets":          {[]string{"OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION=base2_exponential_bucket_histogram"}, with(func(s *Settings) { s.exponential = true })},
		"the SDK itself":               {[]string{"OTEL_GO_X_OBSERVABILITY=true"}, with(func(s *Settings) { s.observeSDK = true })},
		"what says nothing of whether": {[]string{"OTEL_RESOURCE_ATTRIBUTES=a=b,c=d%20e", "OTEL_EXPORTER_OTLP_HEADERS=authorization=Basic%20eA==,x=y", "OTEL_EXPORTER_OTLP_TIMEOUT=2000"}, defaults},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ReadSettings(variables(test.set...))
			if err != nil {
				t.Fatal(err)
			}
			if got != test.want {
				t.Errorf("got  %+v\nwant %+v", got, test.want)
			}
		})
	}
}

func TestBadVariables(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ set, want string }{
		{"OTEL_SDK_DISABLED=yes", `OTEL_SDK_DISABLED is "yes", and none of true, false`},
		{"OTEL_TRACES_EXPORTER=zipkin", `OTEL_TRACES_EXPORTER is "zipkin", and none of none, otlp, console`},
		{"OTEL_METRICS_EXPORTER=prometheus", `OTEL_METRICS_EXPORTER is "prometheus", and none of none, otlp, console`},
		{"OTEL_LOGS_EXPORTER=otlp,console", `OTEL_LOGS_EXPORTER is "otlp,console", and none of none, otlp, console`},
		{"OTEL_EXPORTER_OTLP_PROTOCOL=http/json", `OTEL_EXPORTER_OTLP_PROTOCOL is "http/json", and none of grpc, http/protobuf`},
		{"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=udp", `OTEL_EXPORTER_OTLP_TRACES_PROTOCOL is "udp", and none of grpc, http/protobuf`},
		{"OTEL_EXPORTER_OTLP_ENDPOINT=localhost:4317", `OTEL_EXPORTER_OTLP_ENDPOINT is no URL of the form http://HOST:PORT, or https:// for TLS`},
		{"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT=http://", `OTEL_EXPORTER_OTLP_LOGS_ENDPOINT is no URL of the form http://HOST:PORT, or https:// for TLS`},
		{"OTEL_EXPORTER_OTLP_ENDPOINT=http://me:hush@host", `OTEL_EXPORTER_OTLP_ENDPOINT has credentials in it: they belong in a header`},
		{"OTEL_EXPORTER_OTLP_HEADERS=hush", `OTEL_EXPORTER_OTLP_HEADERS is no list of KEY=VALUE, with commas between and values in URL encoding`},
		{"OTEL_EXPORTER_OTLP_HEADERS=a b=hush", `OTEL_EXPORTER_OTLP_HEADERS is no list of KEY=VALUE, with commas between and values in URL encoding`},
		{"OTEL_EXPORTER_OTLP_COMPRESSION=zstd", `OTEL_EXPORTER_OTLP_COMPRESSION is "zstd", and none of none, gzip`},
		{"OTEL_EXPORTER_OTLP_TIMEOUT=10s", `OTEL_EXPORTER_OTLP_TIMEOUT is "10s", and no whole number from 1 on`},
		{"OTEL_EXPORTER_OTLP_INSECURE=1", `OTEL_EXPORTER_OTLP_INSECURE is "1", and none of true, false`},
		{"OTEL_EXPORTER_OTLP_CERTIFICATE=" + empty, `OTEL_EXPORTER_OTLP_CERTIFICATE is ` + empty + `, which has no certificate in it`},
		{"OTEL_EXPORTER_OTLP_CERTIFICATE=/none/ca.pem", `OTEL_EXPORTER_OTLP_CERTIFICATE cannot be read: open /none/ca.pem: no such file or directory`},
		{"OTEL_EXPORTER_OTLP_CLIENT_KEY=/none/key.pem", `OTEL_EXPORTER_OTLP_CLIENT_KEY needs OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE`},
		{"OTEL_TRACES_SAMPLER=jaeger_remote", `OTEL_TRACES_SAMPLER is "jaeger_remote", and none of always_on, always_off, traceidratio, parentbased_always_on, parentbased_always_off, parentbased_traceidratio`},
		{"OTEL_TRACES_SAMPLER_ARG=1.5", `OTEL_TRACES_SAMPLER_ARG is "1.5", and no number from 0 to 1`},
		{"OTEL_TRACES_SAMPLER_ARG=NaN", `OTEL_TRACES_SAMPLER_ARG is "NaN", and no number from 0 to 1`},
		{"OTEL_BSP_MAX_QUEUE_SIZE=0", `OTEL_BSP_MAX_QUEUE_SIZE is "0", and no whole number from 1 on`},
		{"OTEL_BLRP_MAX_EXPORT_BATCH_SIZE=4096", `OTEL_BLRP_MAX_EXPORT_BATCH_SIZE is 4096, more than the 2048 of OTEL_BLRP_MAX_QUEUE_SIZE`},
		{"OTEL_METRIC_EXPORT_INTERVAL=-1", `OTEL_METRIC_EXPORT_INTERVAL is "-1", and no whole number from 1 on`},
		{"OTEL_SPAN_EVENT_COUNT_LIMIT=few", `OTEL_SPAN_EVENT_COUNT_LIMIT is "few", and no whole number from 0 on`},
		{"OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE=gauge", `OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE is "gauge", and none of cumulative, delta, lowmemory`},
		{"OTEL_RESOURCE_ATTRIBUTES=a=b,c", `OTEL_RESOURCE_ATTRIBUTES has "c" in it, which is no KEY=VALUE with the value in URL encoding`},
		{"OTEL_CONFIG_FILE=/etc/otel.yaml", `OTEL_CONFIG_FILE is set, and a configuration file of OpenTelemetry is not read: use the other OTEL_ variables`},
	} {
		t.Run(test.set, func(t *testing.T) {
			_, err := ReadSettings(variables(test.set))
			if err == nil || err.Error() != test.want {
				t.Fatalf("got  %v\nwant %s", err, test.want)
			}
			if strings.Contains(err.Error(), "hush") {
				t.Error("the error has a secret in it")
			}
		})
	}
	// All of them are named at once.
	_, err := ReadSettings(variables("OTEL_TRACES_EXPORTER=x", "OTEL_BSP_MAX_QUEUE_SIZE=x"))
	if lines := strings.Count(err.Error(), "\n") + 1; lines != 2 {
		t.Errorf("%d lines: %v", lines, err)
	}
}
