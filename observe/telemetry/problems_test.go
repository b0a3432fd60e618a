package telemetry

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/log"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/staticpod-exporter/staticpod-exporter/collector/status"
	"github.com/staticpod-exporter/staticpod-exporter/manifest"
)

// records is an exporter that keeps what it gets.
type records struct {
	mu  sync.Mutex
	all []sdklog.Record
}

func (r *records) Export(_ context.Context, records []sdklog.Record) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, one := range records {
		r.all = append(r.all, one.Clone())
	}
	return nil
}

func (*records) Shutdown(context.Context) error   { return nil }
func (*records) ForceFlush(context.Context) error { return nil }

func TestProblemsAreLogRecords(t *testing.T) {
	kept := &records{}
	provider := sdklog.NewLoggerProvider(sdklog.WithProcessor(sdklog.NewSimpleProcessor(kept)))
	telemetry := &Telemetry{records: provider, problems: provider.Logger("test")}
	since, now := time.Unix(1700000000, 0), time.Unix(1700000060, 0)
	st := &status.StaticPodStatus{
		Metadata: status.Metadata{ID: "default/web-node1"},
		Spec: status.StatusSpec{
			Pod:        status.PodRef{Namespace: "default", Name: "web-node1", UID: "0f1e"},
			Definition: status.DefinitionRef{ID: "default-web", Source: manifest.SourceFile},
			Rollout:    &status.Rollout{TraceID: strings.Repeat("ab", 16), Started: since},
		},
	}
	problem := manifest.Problem{
		Reason: manifest.ManifestInvalid, Level: manifest.Critical, Message: "spec.containers: Required value",
		Path: "/etc/kubernetes/manifests/web.yaml", Line: 4, Field: "spec.containers", Since: since,
	}
	telemetry.Observe(t.Context(), &status.Snapshot{At: now, Transitions: []status.Transition{
		{Problem: problem, Status: st},
		{Problem: problem, Ended: true, Status: st},
		{Problem: manifest.Problem{Reason: "LogUnavailable", Level: manifest.Warning}, Status: &status.StaticPodStatus{Metadata: status.Metadata{ID: status.NodeID}}},
	}})
	if len(kept.all) != 3 {
		t.Fatalf("%d records", len(kept.all))
	}
	has := func(r sdklog.Record, want ...attribute.KeyValue) {
		t.Helper()
		got := map[attribute.Key]attribute.Value{}
		r.WalkAttributes(func(a attribute.KeyValue) bool {
			got[a.Key] = a.Value
			return true
		})
		for _, a := range want {
			if got[a.Key] != a.Value {
				t.Errorf("%s is %v, want %v", a.Key, got[a.Key], a.Value)
			}
		}
		if len(got) != len(want) {
			t.Errorf("it has %d attributes, want %d: %v", len(got), len(want), got)
		}
	}
	common := []attribute.KeyValue{
		attribute.String("staticpod.status.id", "default/web-node1"), attribute.String("staticpod.problem.reason", "ManifestInvalid"),
		attribute.String("staticpod.problem.level", "critical"), attribute.String("file.path", problem.Path),
		attribute.String("staticpod.problem.field", "spec.containers"), attribute.Int("staticpod.problem.line", 4),
		attribute.String("k8s.namespace.name", "default"), attribute.String("k8s.pod.name", "web-node1"), attribute.String("k8s.pod.uid", "0f1e"),
		attribute.String("staticpod.definition.id", "default-web"), attribute.String("staticpod.definition.source", "file"),
	}
	began, ended, node := kept.all[0], kept.all[1], kept.all[2]
	if began.EventName() != "staticpod.problem.began" || !began.Timestamp().Equal(since) || !began.ObservedTimestamp().Equal(now) ||
		began.Severity() != log.SeverityError || began.Body().AsString() != problem.Message {
		t.Errorf("it began: %+v", began)
	}
	has(began, common...)
	for _, r := range kept.all[:2] {
		if r.TraceID().String() != st.Spec.Rollout.TraceID || r.SpanID().String() != st.Spec.Rollout.SpanID() {
			t.Errorf("%s is of trace %s", r.EventName(), r.TraceID())
		}
	}
	if ended.EventName() != "staticpod.problem.ended" || !ended.Timestamp().Equal(now) || ended.Severity() != log.SeverityInfo {
		t.Errorf("it ended: %+v", ended)
	}
	has(ended, append(common, attribute.Float64("staticpod.problem.duration", 60))...)
	if node.Severity() != log.SeverityWarn || !node.Timestamp().IsZero() || node.TraceID().IsValid() {
		t.Errorf("of the node: %+v", node)
	}
	has(node, attribute.String("staticpod.status.id", "node"), attribute.String("staticpod.problem.reason", "LogUnavailable"), attribute.String("staticpod.problem.level", "warning"))
}

// What changed in a collection is on its span, by which it is kept.
func TestChangesOfACollection(t *testing.T) {
	exporter := tracetest.NewInMemoryExporter()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(exporter))
	telemetry := &Telemetry{traces: provider}
	for i, step := range []struct {
		pods, statuses map[string]uint64
		want           int64
	}{
		{map[string]uint64{"a": 1}, map[string]uint64{"a": 1, "node": 1}, 3},
		{map[string]uint64{"a": 1}, map[string]uint64{"a": 1, "node": 1}, 0},
		{map[string]uint64{"a": 2}, map[string]uint64{"a": 1, "node": 1}, 1},
		{map[string]uint64{}, map[string]uint64{"node": 2}, 3},
	} {
		s := &status.Snapshot{}
		for id, version := range step.pods {
			s.Pods = append(s.Pods, &status.StaticPod{Metadata: status.Metadata{ID: id, Version: version}})
		}
		for id, version := range step.statuses {
			s.Statuses = append(s.Statuses, &status.StaticPodStatus{Metadata: status.Metadata{ID: id, Version: version}})
		}
		exporter.Reset()
		ctx, span := provider.Tracer("test").Start(t.Context(), "collect")
		telemetry.Observe(ctx, s)
		span.End()
		attributes := exporter.GetSpans()[0].Attributes
		if len(attributes) != 1 || attributes[0] != changesKey.Int64(step.want) {
			t.Errorf("collection %d: %v, want %d", i, attributes, step.want)
		}
	}
}
