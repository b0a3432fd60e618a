package fleet

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/rules"
	"github.com/prometheus/prometheus/storage"
)

// A Storage is what rules read and write.
type Storage interface {
	storage.Queryable
	storage.AppendableV2
}

// A Judge evaluates rule files with Prometheus' own code, at times that it is told, and keeps what they fire.
type Judge struct {
	groups []*rules.Group
	fired  map[string]*Firing
}

// A Firing is one alert that fired, once or more often.
type Firing struct {
	Name, Severity string
	Labels         map[string]string
	Annotations    map[string]string // when it first fired
	Times          []time.Time       // at which it began to fire
	Ended          time.Time         // when it was last resolved; zero while it fires
}

// NewJudge reads rule files.
func NewJudge(ctx context.Context, db Storage, files ...string) (*Judge, error) {
	j := &Judge{fired: map[string]*Firing{}}
	engine := promql.NewEngine(promql.EngineOpts{Logger: slog.New(slog.DiscardHandler), MaxSamples: 50_000_000, Timeout: time.Minute})
	manager := rules.NewManager(&rules.ManagerOptions{
		Context: ctx, Queryable: db, AppendableV2: db, QueryFunc: rules.EngineQueryFunc(engine, db),
		ExternalURL: &url.URL{}, NotifyFunc: j.notify, ResendDelay: time.Minute,
	})
	groups, errs := manager.LoadGroups(time.Minute, labels.EmptyLabels(), "", nil, false, files...)
	if len(errs) > 0 {
		return nil, fmt.Errorf("rules: %w", errs[0])
	}
	for _, key := range slices.Sorted(maps.Keys(groups)) {
		j.groups = append(j.groups, groups[key])
	}
	return j, nil
}

// Evaluate has every rule evaluated as of a time. Times must rise.
func (j *Judge) Evaluate(ctx context.Context, at time.Time) error {
	for _, group := range j.groups {
		group.Eval(ctx, at)
		for _, rule := range group.Rules() {
			if err := rule.LastError(); err != nil {
				return fmt.Errorf("rule %s at %s: %w", rule.Name(), at, err)
			}
		}
	}
	return nil
}

func (j *Judge) notify(_ context.Context, _ string, alerts ...*rules.Alert) {
	for _, alert := range alerts {
		key := alert.Labels.String()
		firing, ok := j.fired[key]
		if !ok {
			firing = &Firing{Name: alert.Labels.Get(labels.AlertName), Severity: alert.Labels.Get("severity"), Labels: alert.Labels.Map(), Annotations: alert.Annotations.Map()}
			j.fired[key] = firing
		}
		firing.Ended = alert.ResolvedAt
		if n := len(firing.Times); n == 0 || !firing.Times[n-1].Equal(alert.FiredAt) {
			firing.Times = append(firing.Times, alert.FiredAt)
		}
	}
}

// Fired returns every alert that fired so far, by name, severity and labels.
func (j *Judge) Fired() []Firing {
	var all []Firing
	for _, key := range slices.Sorted(maps.Keys(j.fired)) {
		all = append(all, *j.fired[key])
	}
	slices.SortStableFunc(all, func(a, b Firing) int { return strings.Compare(a.Name+a.Severity, b.Name+b.Severity) })
	return all
}

func (f Firing) String() string {
	return fmt.Sprintf("%s (%s) %s/%s on %s, %d times from %s to %s: %s", f.Name, f.Severity, f.Labels["namespace"], f.Labels["pod"], f.Labels["instance"],
		len(f.Times), f.Times[0].Format(time.TimeOnly), f.Ended.Format(time.TimeOnly), f.Annotations["description"])
}
