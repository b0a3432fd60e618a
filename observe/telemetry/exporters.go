package telemetry

import (
	"context"
	"fmt"
	"io"

	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploggrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploghttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/exporters/stdout/stdoutlog"
	"go.opentelemetry.io/otel/exporters/stdout/stdoutmetric"
	"go.opentelemetry.io/otel/exporters/stdout/stdouttrace"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"google.golang.org/grpc/credentials/insecure"
)

// The exporters of OTLP read the rest of their variables themselves. None dials before it has something to export. The
// scheme of the endpoint says whether there is TLS: of the variables that say otherwise they hear nothing.

func newSpanExporter(ctx context.Context, d destination, console io.Writer) (e sdktrace.SpanExporter, err error) {
	switch {
	case d.exporter == exportConsole:
		e, err = stdouttrace.New(stdouttrace.WithWriter(console))
	case d.protocol == protocolGRPC:
		options := []otlptracegrpc.Option{otlptracegrpc.WithEndpointURL(d.endpoint)}
		if !d.secure() {
			options = append(options, otlptracegrpc.WithTLSCredentials(insecure.NewCredentials()))
		}
		e, err = otlptracegrpc.New(ctx, options...)
	default:
		options := []otlptracehttp.Option{otlptracehttp.WithEndpointURL(d.endpoint)}
		if !d.secure() {
			options = append(options, otlptracehttp.WithTLSClientConfig(nil))
		}
		e, err = otlptracehttp.New(ctx, options...)
	}
	if err != nil {
		return nil, fmt.Errorf("export of traces: %w", err)
	}
	return e, nil
}

func newMetricExporter(ctx context.Context, d destination, console io.Writer) (e sdkmetric.Exporter, err error) {
	switch {
	case d.exporter == exportConsole:
		e, err = stdoutmetric.New(stdoutmetric.WithWriter(console))
	case d.protocol == protocolGRPC:
		options := []otlpmetricgrpc.Option{otlpmetricgrpc.WithEndpointURL(d.endpoint)}
		if !d.secure() {
			options = append(options, otlpmetricgrpc.WithTLSCredentials(insecure.NewCredentials()))
		}
		e, err = otlpmetricgrpc.New(ctx, options...)
	default:
		options := []otlpmetrichttp.Option{otlpmetrichttp.WithEndpointURL(d.endpoint)}
		if !d.secure() {
			options = append(options, otlpmetrichttp.WithTLSClientConfig(nil))
		}
		e, err = otlpmetrichttp.New(ctx, options...)
	}
	if err != nil {
		return nil, fmt.Errorf("export of metrics: %w", err)
	}
	return e, nil
}

func newLogExporter(ctx context.Context, d destination, console io.Writer) (e sdklog.Exporter, err error) {
	switch {
	case d.exporter == exportConsole:
		e, err = stdoutlog.New(stdoutlog.WithWriter(console))
	case d.protocol == protocolGRPC:
		options := []otlploggrpc.Option{otlploggrpc.WithEndpointURL(d.endpoint)}
		if !d.secure() {
			options = append(options, otlploggrpc.WithTLSCredentials(insecure.NewCredentials()))
		}
		e, err = otlploggrpc.New(ctx, options...)
	default:
		options := []otlploghttp.Option{otlploghttp.WithEndpointURL(d.endpoint)}
		if !d.secure() {
			options = append(options, otlploghttp.WithTLSClientConfig(nil))
		}
		e, err = otlploghttp.New(ctx, options...)
	}
	if err != nil {
		return nil, fmt.Errorf("export of logs: %w", err)
	}
	return e, nil
}
