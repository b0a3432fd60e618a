package telemetry

import (
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// The scheme says whether there is TLS: credentials go nowhere without it that was to have it.
func TestSchemeDecidesOfTLS(t *testing.T) {
	known := httptest.NewTLSServer(nil) // all of them have one certificate
	defer known.Close()
	authority := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(authority, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: known.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, protocol := range []string{protocolHTTP, protocolGRPC} {
		for _, scheme := range []string{"http", "https"} {
			for _, insecure := range []string{"", "true", "false"} {
				for _, own := range []string{"", "TRACES_"} {
					t.Run(strings.Join([]string{protocol, scheme, insecure, own}, ","), func(t *testing.T) {
						var clear, secret atomic.Int32
						server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
							_, _ = io.Copy(io.Discard, r.Body)
							if r.TLS == nil {
								clear.Add(1)
							} else {
								secret.Add(1)
							}
							w.Header().Set("Content-Type", "application/grpc")
							w.Header().Set("Trailer", "Grpc-Status")
							w.Header().Set("Grpc-Status", "3") // which is not tried again
						}))
						server.Config.Protocols = new(http.Protocols)
						server.Config.Protocols.SetHTTP1(true)
						server.Config.Protocols.SetHTTP2(true)
						server.Config.Protocols.SetUnencryptedHTTP2(true)
						server.EnableHTTP2 = true
						if scheme == "https" {
							server.StartTLS()
						} else {
							server.Start()
						}
						defer server.Close()
						prefix := "OTEL_EXPORTER_OTLP_" + own
						telemetry := start(t, nil, "OTEL_TRACES_EXPORTER=otlp", "OTEL_METRICS_EXPORTER=none", "OTEL_LOGS_EXPORTER=none", "OTEL_EXPORTER_OTLP_TIMEOUT=2000",
							prefix+"ENDPOINT="+server.URL, prefix+"INSECURE="+insecure, prefix+"PROTOCOL="+protocol, prefix+"CERTIFICATE="+authority)
						r := telemetry.NewRollouts(filepath.Join(t.TempDir(), "rollouts.json"))
						r.Observe(collection, many(1))
						if _, err := r.tell(t.Context()); err != nil {
							t.Error(err)
						}
						if wanted := scheme == "https"; secret.Load() > 0 != wanted || clear.Load() > 0 == wanted {
							t.Errorf("%d requests with TLS, %d without", secret.Load(), clear.Load())
						}
						_ = telemetry.Close(t.Context()) // of what is sent there is another test
					})
				}
			}
		}
	}
}

// Each exporter can be made of what is read.
func TestExportersCanBeMade(t *testing.T) {
	for _, d := range []destination{
		{exporter: exportConsole},
		{exportOTLP, protocolHTTP, "http://localhost:4318/"}, {exportOTLP, protocolHTTP, "https://localhost:4318/"},
		{exportOTLP, protocolGRPC, "http://localhost:4317"}, {exportOTLP, protocolGRPC, "https://localhost:4317"},
	} {
		var spans sdktrace.SpanExporter
		var metrics sdkmetric.Exporter
		spans, err := newSpanExporter(t.Context(), d, io.Discard)
		if err != nil || spans.Shutdown(t.Context()) != nil {
			t.Errorf("traces to %+v: %v", d, err)
		}
		if metrics, err = newMetricExporter(t.Context(), d, io.Discard); err != nil || metrics.Shutdown(t.Context()) != nil {
			t.Errorf("metrics to %+v: %v", d, err)
		}
		if logs, err := newLogExporter(t.Context(), d, io.Discard); err != nil || logs.Shutdown(t.Context()) != nil {
			t.Errorf("logs to %+v: %v", d, err)
		}
	}
}
