package telemetry

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
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
	none := destination{exporter: exportNone}
	console := destination{exporter: exportConsole}
	to := func(protocol, endpoint string) destination { return destination{exportOTLP, protocol, endpoint} }
	nothing := Settings{traces: none, metrics: none, logs: none}
	standard := batching{2048, 512, 30 * time.Second}
	traces := func(d destination, change func(*Settings)) Settings {
		s := Settings{traces: d, metrics: none, logs: none, ratio: defaultRatio, spans: standard}
		change(&s)
		return s
	}
	asItIs := func(*Settings) {}
	local := to(protocolHTTP, "http://localhost:4318/v1/traces")
	metrics := func(change func(*Settings)) Settings {
		s := Settings{traces: none, metrics: console, logs: none}
		change(&s)
		return s
	}
	all := Settings{
		traces: to(protocolHTTP, "http://collector:4318/v1/traces"), metrics: to(protocolHTTP, "http://collector:4318/v1/metrics"),
		logs: to(protocolHTTP, "http://collector:4318/v1/logs"), ratio: defaultRatio, spans: standard, records: standard,
	}
	for name, test := range map[string]struct {
		set  []string
		want Settings
	}{
		"nothing is exported by default": {nil, nothing},
		"what is set to nothing is not set": {
			[]string{"OTEL_TRACES_EXPORTER=", "OTEL_EXPORTER_OTLP_ENDPOINT= ", "OTEL_SDK_DISABLED="}, nothing,
		},
		"an endpoint is enough": {[]string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4318"}, all},
		"an endpoint of one signal is enough for that": {
			[]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=https://[::1]:4318/api/v1/otlp"},
			traces(to(protocolHTTP, "https://[::1]:4318/api/v1/otlp"), asItIs),
		},
		"an endpoint of one signal has no path added": {
			[]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=https://collector", "OTEL_EXPORTER_OTLP_ENDPOINT=http://other", "OTEL_METRICS_EXPORTER=none", "OTEL_LOGS_EXPORTER=none"},
			traces(to(protocolHTTP, "https://collector/"), asItIs),
		},
		"the general one has": {
			[]string{"OTEL_TRACES_EXPORTER=otlp", "OTEL_EXPORTER_OTLP_ENDPOINT=https://collector/otlp/", "OTEL_METRICS_EXPORTER=none", "OTEL_LOGS_EXPORTER=none"},
			traces(to(protocolHTTP, "https://collector/otlp/v1/traces"), asItIs),
		},
		"an exporter is enough": {[]string{"OTEL_TRACES_EXPORTER=otlp"}, traces(local, asItIs)},
		"over gRPC":             {[]string{"OTEL_TRACES_EXPORTER=otlp", "OTEL_EXPORTER_OTLP_PROTOCOL=grpc"}, traces(to(protocolGRPC, "https://localhost:4317"), asItIs)},
		"over gRPC without TLS": {
			[]string{"OTEL_TRACES_EXPORTER=otlp", "OTEL_EXPORTER_OTLP_PROTOCOL=grpc", "OTEL_EXPORTER_OTLP_INSECURE=true"},
			traces(to(protocolGRPC, "http://localhost:4317"), asItIs),
		},
		"over gRPC with TLS after all": {
			[]string{"OTEL_TRACES_EXPORTER=otlp", "OTEL_EXPORTER_OTLP_PROTOCOL=grpc", "OTEL_EXPORTER_OTLP_INSECURE=true", "OTEL_EXPORTER_OTLP_TRACES_INSECURE=false"},
			traces(to(protocolGRPC, "https://localhost:4317"), asItIs),
		},
		"the console": {[]string{"OTEL_TRACES_EXPORTER=Console", "OTEL_EXPORTER_OTLP_PROTOCOL=carrier-pigeon"}, traces(console, asItIs)},
		"none of one signal, though there is an endpoint": {
			[]string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4318", "OTEL_LOGS_EXPORTER=none", "OTEL_METRICS_EXPORTER=none"},
			traces(to(protocolHTTP, "http://collector:4318/v1/traces"), asItIs),
		},
		"disabled, whatever else is set": {
			[]string{"OTEL_SDK_DISABLED=TRUE", "OTEL_TRACES_EXPORTER=zipkin", "OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4318"}, nothing,
		},
		"the protocol of a signal beats the general one": {
			[]string{"OTEL_TRACES_EXPORTER=otlp", "OTEL_EXPORTER_OTLP_PROTOCOL=grpc", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=http/protobuf"}, traces(local, asItIs),
		},
		"every collection":    {[]string{"OTEL_TRACES_EXPORTER=otlp", "OTEL_TRACES_SAMPLER=parentbased_always_on"}, traces(local, func(s *Settings) { s.ratio = 1 })},
		"no collection":       {[]string{"OTEL_TRACES_EXPORTER=otlp", "OTEL_TRACES_SAMPLER=always_off"}, traces(local, func(s *Settings) { s.ratio, s.dropped = 0, true })},
		"some collections":    {[]string{"OTEL_TRACES_EXPORTER=otlp", "OTEL_TRACES_SAMPLER=traceidratio", "OTEL_TRACES_SAMPLER_ARG=0.25"}, traces(local, func(s *Settings) { s.ratio = 0.25 })},
		"only the eventful":   {[]string{"OTEL_TRACES_EXPORTER=otlp", "OTEL_TRACES_SAMPLER=parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG=0"}, traces(local, func(s *Settings) { s.ratio = 0 })},
		"a ratio unsaid":      {[]string{"OTEL_TRACES_EXPORTER=otlp", "OTEL_TRACES_SAMPLER=traceidratio"}, traces(local, func(s *Settings) { s.ratio = 1 })},
		"a queue":             {[]string{"OTEL_TRACES_EXPORTER=otlp", "OTEL_BSP_MAX_QUEUE_SIZE=20"}, traces(local, func(s *Settings) { s.spans = batching{20, 20, 30 * time.Second} })},
		"batches":             {[]string{"OTEL_TRACES_EXPORTER=otlp", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE=5", "OTEL_BSP_EXPORT_TIMEOUT=1500"}, traces(local, func(s *Settings) { s.spans = batching{2048, 5, 1500 * time.Millisecond} })},
		"log records":         {[]string{"OTEL_LOGS_EXPORTER=console", "OTEL_BLRP_MAX_QUEUE_SIZE=20"}, Settings{traces: none, metrics: none, logs: console, records: batching{20, 20, 30 * time.Second}}},
		"delta":               {[]string{"OTEL_METRICS_EXPORTER=console", "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE=Delta"}, metrics(func(s *Settings) { s.delta, s.deltaCounts = true, true })},
		"low memory":          {[]string{"OTEL_METRICS_EXPORTER=console", "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE=lowmemory"}, metrics(func(s *Settings) { s.delta = true })},
		"exponential buckets": {[]string{"OTEL_METRICS_EXPORTER=console", "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION=base2_exponential_bucket_histogram"}, metrics(func(s *Settings) { s.exponential = true })},
		"the SDK itself":      {[]string{"OTEL_METRICS_EXPORTER=console", "OTEL_GO_X_OBSERVABILITY=true"}, metrics(func(s *Settings) { s.observeSDK = true })},
		"what says nothing of whether": {
			[]string{"OTEL_RESOURCE_ATTRIBUTES=a=b,c=d%20e", "OTEL_EXPORTER_OTLP_HEADERS=authorization=Basic%20eA==,x=y", "OTEL_EXPORTER_OTLP_TIMEOUT=2000"}, nothing,
		},
		"what does not count": {
			[]string{"OTEL_EXPORTER_OTLP_PROTOCOL=http/json", "OTEL_EXPORTER_OTLP_CERTIFICATE=/none/ca.pem", "OTEL_BSP_MAX_QUEUE_SIZE=x", "OTEL_METRIC_EXPORT_INTERVAL=x", "OTEL_RESOURCE_ATTRIBUTES=x"}, nothing,
		},
		"certificates without TLS": {
			[]string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4318", "OTEL_EXPORTER_OTLP_CERTIFICATE=/none/ca.pem"}, all,
		},
		"certificates for another signal": {
			[]string{"OTEL_TRACES_EXPORTER=otlp", "OTEL_EXPORTER_OTLP_METRICS_CERTIFICATE=/none/ca.pem"}, traces(local, asItIs),
		},
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

// What is wrong is refused, and with the rest one can run.
func TestWrongVariablesTakeOnlyTheirSignals(t *testing.T) {
	for set, want := range map[string]string{
		"OTEL_METRICS_EXPORTER=prometheus":               "traces logs",
		"OTEL_EXPORTER_OTLP_PROTOCOL=http/json":          "",
		"OTEL_EXPORTER_OTLP_LOGS_PROTOCOL=http/json":     "traces metrics",
		"OTEL_EXPORTER_OTLP_CERTIFICATE=/none/ca.pem":    "",
		"OTEL_EXPORTER_OTLP_METRICS_HEADERS=hush":        "traces logs",
		"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=collector:1": "metrics logs",
		"OTEL_BSP_SCHEDULE_DELAY=0":                      "metrics logs",
		"OTEL_BLRP_MAX_QUEUE_SIZE=0":                     "traces metrics",
		"OTEL_METRIC_EXPORT_INTERVAL=0":                  "traces logs",
		"OTEL_ATTRIBUTE_COUNT_LIMIT=few":                 "metrics",
		"OTEL_RESOURCE_ATTRIBUTES=x":                     "",
		"OTEL_CONFIG_FILE=/etc/otel.yaml":                "",
		"OTEL_SDK_DISABLED=1":                            "",
	} {
		t.Run(set, func(t *testing.T) {
			s, err := ReadSettings(variables("OTEL_EXPORTER_OTLP_ENDPOINT=https://collector:4318", set))
			if err == nil {
				t.Error("it is not refused")
			}
			var used []string
			for name, d := range map[string]destination{signalTraces: s.traces, signalMetrics: s.metrics, signalLogs: s.logs} {
				if d.used() {
					used = append(used, name)
				}
			}
			slices.SortFunc(used, func(a, b string) int {
				return strings.Index("traces metrics logs", a) - strings.Index("traces metrics logs", b)
			})
			if got := strings.Join(used, " "); got != want {
				t.Errorf("exported: %q, want %q", got, want)
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
		{"OTEL_BSP_SCHEDULE_DELAY=0", `OTEL_BSP_SCHEDULE_DELAY is "0", and no whole number from 1 on`},
		{"OTEL_BLRP_MAX_EXPORT_BATCH_SIZE=4096", `OTEL_BLRP_MAX_EXPORT_BATCH_SIZE is 4096, more than the 2048 of OTEL_BLRP_MAX_QUEUE_SIZE`},
		{"OTEL_METRIC_EXPORT_INTERVAL=-1", `OTEL_METRIC_EXPORT_INTERVAL is "-1", and no whole number from 1 on`},
		{"OTEL_SPAN_EVENT_COUNT_LIMIT=few", `OTEL_SPAN_EVENT_COUNT_LIMIT is "few", and no whole number from 0 on`},
		{"OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE=gauge", `OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE is "gauge", and none of cumulative, delta, lowmemory`},
		{"OTEL_RESOURCE_ATTRIBUTES=a=b,c", `OTEL_RESOURCE_ATTRIBUTES has "c" in it, which is no KEY=VALUE with the value in URL encoding`},
		{"OTEL_CONFIG_FILE=/etc/otel.yaml", `OTEL_CONFIG_FILE is set, and a configuration file of OpenTelemetry is not read: use the other OTEL_ variables`},
	} {
		t.Run(test.set, func(t *testing.T) {
			_, err := ReadSettings(variables("OTEL_TRACES_EXPORTER=otlp", "OTEL_METRICS_EXPORTER=otlp", "OTEL_LOGS_EXPORTER=otlp", "OTEL_EXPORTER_OTLP_ENDPOINT=https://collector:4318", test.set))
			if err == nil || err.Error() != test.want {
				t.Fatalf("got  %v\nwant %s", err, test.want)
			}
			if strings.Contains(err.Error(), "hush") {
				t.Error("the error has a secret in it")
			}
		})
	}
	// All of them are named at once.
	_, err := ReadSettings(variables("OTEL_TRACES_EXPORTER=otlp", "OTEL_LOGS_EXPORTER=x", "OTEL_BSP_MAX_QUEUE_SIZE=x"))
	wrong, ok := errors.AsType[WrongVariables](err)
	if !ok || len(wrong) != 2 || wrong[0].Name != "OTEL_BSP_MAX_QUEUE_SIZE" || wrong[1].Name != "OTEL_LOGS_EXPORTER" || strings.Count(err.Error(), "\n") != 1 {
		t.Errorf("%+v", err)
	}
}
