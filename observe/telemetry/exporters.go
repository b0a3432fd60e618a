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
)

// The exporters of OTLP read the rest of their variables themselves. None dials before it has something to export.

func newSpanExporter(ctx context.Context, d destination, console io.Writer) (e sdktrace.SpanExporter, err error) {
	switch {
	case d.exporter == exportConsole:
		e, err = stdouttrace.New(stdouttrace.WithWriter(console))
	case d.protocol == protocolGRPC:
		e, err = otlptracegrpc.New(ctx)
	default:
		e, err = otlptracehttp.New(ctx)
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
		e, err = otlpmetricgrpc.New(ctx)
	default:
		e, err = otlpmetrichttp.New(ctx)
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
		e, err = otlploggrpc.New(ctx)
	default:
		e, err = otlploghttp.New(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("export of logs: %w", err)
	}
	return e, nil
}
