package exporter

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// Metadata of what the exporter publishes.
type Metadata struct {
	Namespace, Type, ID string
	Version             uint64
	Created, Updated    time.Time
}

// A StaticPod is a definition, as GET /staticpods answers.
type StaticPod struct {
	Node     string
	Metadata Metadata
	Spec     struct {
		Namespace, Name, Source, Path, Hash, UID string
		Line                                     int
		Served, Valid                            bool
		Containers                               []struct{ Name, Image string }
		Problems                                 []Problem
	}
}

// A Status is a verdict, as GET /staticpodstatus answers.
type Status struct {
	Node     string
	Metadata Metadata
	Spec     struct {
		Pod        struct{ Namespace, Name, UID, MirrorUID string }
		Definition struct {
			ID, Source, Path, Hash string
			Version                uint64
		}
		Ready, Stale           bool
		Phase, Reason, Message string
		Since                  time.Time
		Conditions             []Condition
		Problems               []Problem
		Containers             []Container
		Rollout                *Rollout
		Observed               struct{ Manifest, Kubelet, Runtime, Log time.Time }
	}
}

// A Condition of a status.
type Condition struct {
	Type, Status, Reason, Message string
	LastTransitionTime            time.Time
}

// A Problem of either.
type Problem struct {
	Reason, Level, Message, Detail, Path, Field string
	Line, Column                                int
	Since                                       time.Time
}

// A Container of a status.
type Container struct {
	Name, Kind, Image, ID, State, Reason string
	PID, RestartCount                    int
	Ready                                bool
	StartedAt                            time.Time
	LastExit                             *struct {
		Code   int
		Reason string
		At     time.Time
	}
}

// A Rollout is the last one of a pod.
type Rollout struct {
	TraceID, Previous, UID, Revision, Outcome string
	Version                                   uint64
	Started, Ended                            time.Time
	Steps                                     []Step
}

// A Step of a rollout. End is zero while it goes on.
type Step struct {
	Name, Container, Reason, Message, Path, Field string
	Line                                          int
	Start, End                                    time.Time
}

// Step returns the step with that name, of a container where it is of one; nil when there is none. A nil Rollout has none.
func (r *Rollout) Step(name, container string) *Step {
	if r == nil {
		return nil
	}
	for i := range r.Steps {
		if s := &r.Steps[i]; s.Name == name && s.Container == container {
			return s
		}
	}
	return nil
}

// Condition returns the status of a condition: True, False, Unknown, or "" when the condition is absent.
func (s Status) Condition(name string) string {
	for _, c := range s.Spec.Conditions {
		if c.Type == name {
			return c.Status
		}
	}
	return ""
}

// Problem returns the problem with that reason.
func (s Status) Problem(reason string) (Problem, bool) {
	for _, p := range s.Spec.Problems {
		if p.Reason == reason {
			return p, true
		}
	}
	return Problem{}, false
}

// StaticPods returns all definitions, by ID.
func (e *Exporter) StaticPods(ctx context.Context) (map[string]StaticPod, error) {
	return list(ctx, e, "/staticpods", func(p StaticPod) string { return p.Metadata.ID })
}

// Statuses returns all verdicts, by ID.
func (e *Exporter) Statuses(ctx context.Context) (map[string]Status, error) {
	return list(ctx, e, "/staticpodstatus", func(s Status) string { return s.Metadata.ID })
}

func list[T StaticPod | Status](ctx context.Context, e *Exporter, path string, id func(T) string) (map[string]T, error) {
	body, err := e.Get(ctx, path)
	if err != nil {
		return nil, err
	}
	var answer struct{ Items []T }
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, fmt.Errorf("exporter: %s: %w", path, err)
	}
	byID := make(map[string]T, len(answer.Items))
	for _, item := range answer.Items {
		byID[id(item)] = item
	}
	return byID, nil
}

// Metrics are what one scrape returned, by the names of families.
type Metrics map[string]*dto.MetricFamily

// Metrics scrapes the exporter.
func (e *Exporter) Metrics(ctx context.Context) (Metrics, error) {
	body, err := e.Get(ctx, "/metrics")
	if err != nil {
		return nil, err
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("exporter: /metrics: %w", err)
	}
	return families, nil
}

// OpenMetrics scrapes the exporter in the format that has exemplars.
func (e *Exporter) OpenMetrics(ctx context.Context) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, e.URL()+"/metrics", nil)
	if err != nil {
		return "", err
	}
	req.Header.Set("Accept", "application/openmetrics-text;version=1.0.0")
	body, err := e.do(req)
	return string(body), err
}

// Value returns the value of the one series of a family that has all those labels, given as name, value, name,
// value; not ok when there is none, or more than one.
func (m Metrics) Value(family string, labels ...string) (value float64, ok bool) {
	found := 0
	for _, series := range m[family].GetMetric() {
		if !has(series.GetLabel(), labels) {
			continue
		}
		found++
		switch {
		case series.GetGauge() != nil:
			value = series.GetGauge().GetValue()
		case series.GetCounter() != nil:
			value = series.GetCounter().GetValue()
		case series.GetHistogram() != nil:
			value = float64(series.GetHistogram().GetSampleCount())
		default:
			value = series.GetUntyped().GetValue()
		}
	}
	return value, found == 1
}

func has(pairs []*dto.LabelPair, labels []string) bool {
	for i := 0; i+1 < len(labels); i += 2 {
		found := false
		for _, pair := range pairs {
			found = found || pair.GetName() == labels[i] && pair.GetValue() == labels[i+1]
		}
		if !found {
			return false
		}
	}
	return true
}
