package telemetry

import (
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// A sampler has a ratio of the collections sampled and the others recorded, for tail to decide when they are over.
// What is only recorded has no sampled flag, so the kubelet and the runtime export nothing of their own for it.
type sampler struct{ ratio sdktrace.Sampler }

func newSampler(ratio float64, dropped bool) sdktrace.Sampler {
	if dropped {
		return sdktrace.NeverSample()
	}
	return sampler{ratio: sdktrace.TraceIDRatioBased(ratio)}
}

func (s sampler) ShouldSample(p sdktrace.SamplingParameters) sdktrace.SamplingResult {
	result := sdktrace.SamplingResult{Decision: sdktrace.RecordOnly, Attributes: p.Attributes}
	if parent := trace.SpanContextFromContext(p.ParentContext); parent.IsValid() {
		result.Tracestate = parent.TraceState()
		if parent.IsSampled() {
			result.Decision = sdktrace.RecordAndSample
		}
	} else if s.ratio.ShouldSample(p).Decision == sdktrace.RecordAndSample {
		result.Decision = sdktrace.RecordAndSample
	}
	return result
}

func (s sampler) Description() string { return "Tail{" + s.ratio.Description() + "}" }
