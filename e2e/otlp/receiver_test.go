package otlp

import (
	"bytes"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

func good() (ptrace.Traces, ptrace.Span) {
	t := ptrace.NewTraces()
	resource := t.ResourceSpans().AppendEmpty()
	for _, key := range []string{"service.name", "service.version", "service.instance.id", "k8s.node.name", "telemetry.sdk.language"} {
		resource.Resource().Attributes().PutStr(key, "x")
	}
	span := resource.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	span.SetName("collect")
	span.SetTraceID(pcommon.TraceID{1})
	span.SetSpanID(pcommon.SpanID{1})
	span.SetFlags(1)
	span.SetStartTimestamp(pcommon.NewTimestampFromTime(time.Now()))
	span.SetEndTimestamp(span.StartTimestamp())
	return t, span
}

// What is refused is refused in both protocols, and kept.
func TestReceiver(t *testing.T) {
	for name, test := range map[string]struct {
		spoil func(ptrace.Span)
		why   string
	}{
		"a span as it should be": {func(ptrace.Span) {}, ""},
		"one without an ID":      {func(s ptrace.Span) { s.SetSpanID(pcommon.SpanID{}) }, "no ID"},
		"one of no time":         {func(s ptrace.Span) { s.SetStartTimestamp(0) }, "from 1970"},
		"one without the flag":   {func(s ptrace.Span) { s.SetFlags(0) }, "it is not sampled"},
		"a link to nothing":      {func(s ptrace.Span) { s.Links().AppendEmpty() }, "a link to nothing"},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := Listen(t.Context(), Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			traces, span := good()
			test.spoil(span)
			request := ptraceotlp.NewExportRequestFromTraces(traces)

			body, err := request.MarshalProto()
			if err != nil {
				t.Fatal(err)
			}
			answer, err := http.Post(r.Endpoint(HTTP)+"/v1/traces", "application/x-protobuf", bytes.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			answer.Body.Close()
			if taken := answer.StatusCode == http.StatusOK; taken != (test.why == "") {
				t.Errorf("over HTTP it says %s", answer.Status)
			}
			c, err := grpc.NewClient(strings.TrimPrefix(r.Endpoint(GRPC), "http://"), grpc.WithTransportCredentials(insecure.NewCredentials()))
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if _, err := ptraceotlp.NewGRPCClient(c).Export(t.Context(), request); (err == nil) != (test.why == "") {
				t.Errorf("over gRPC it says %v", err)
			}
			if test.why == "" {
				if n := len(r.Spans()); n != 2 || r.Refused() != nil {
					t.Errorf("%d spans, and %v", n, r.Refused())
				}
				return
			}
			if n := strings.Count(r.Refused().Error(), test.why); n != 2 || len(r.Spans()) > 0 {
				t.Errorf("%d spans, and %v", len(r.Spans()), r.Refused())
			}
		})
	}
}

func TestWhatIsNoRequest(t *testing.T) {
	r, err := Listen(t.Context(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for path, body := range map[string]string{"/v1/metrics": "nonsense", "/v2/traces": ""} {
		answer, err := http.Post(r.Endpoint(HTTP)+path, "application/x-protobuf", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode < 400 {
			t.Errorf("%s: %s", path, answer.Status)
		}
	}
	if r.Refused() == nil {
		t.Error("it has forgotten")
	}
}
