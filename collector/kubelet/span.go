package kubelet

import (
	"context"
	"net/http"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// span begins the span of one question, and returns what ends it.
func span(ctx context.Context, tracer trace.Tracer, name string, attributes ...attribute.KeyValue) (context.Context, func(error)) {
	ctx, s := tracer.Start(ctx, name, trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(attributes...))
	return ctx, func(err error) {
		if err != nil {
			s.SetStatus(codes.Error, err.Error())
		}
		s.End()
	}
}

// answered says on the span of ctx what the kubelet's server answered.
func answered(ctx context.Context, response *http.Response) {
	trace.SpanFromContext(ctx).SetAttributes(semconv.HTTPResponseStatusCode(response.StatusCode))
}
