// Package metrics publishes the verdict as Prometheus metric families.
//
// Families are built once per snapshot and are immutable; a pod that did not change keeps its series from one
// snapshot to the next. A scrape writes what is prepared: it asks no input and computes nothing. What a family
// means, and what of it may change, is in the catalogue.
package metrics

import (
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	versioncollector "github.com/prometheus/client_golang/prometheus/collectors/version"
	dto "github.com/prometheus/client_model/go"

	"github.com/staticpod-exporter/staticpod-exporter/collector/status"
)

// Options of a Metrics.
type Options struct {
	Log *slog.Logger // hears of scrapes that could not be answered in full
	// Telemetry gives the account of what is exported by OpenTelemetry; nil for nothing.
	Telemetry func() []Signal
	// Exemplars are given of rollouts. They lead to traces, and lead nowhere where those are not exported.
	Exemplars bool
}

// Metrics holds the families of the latest snapshot and those of the exporter itself.
type Metrics struct {
	self    *prometheus.Registry
	latest  atomic.Pointer[view] // nil before the first snapshot
	handler http.Handler

	mu   sync.Mutex // of Observe
	pods map[*status.StaticPodStatus]*part
	defs map[*status.StaticPod]*part

	rollouts *rollouts // guarded by mu

	renderer renderer
}

// A view is all families of one snapshot, in two pages: that of pods and definitions seldom changes, that of
// the node does with every collection.
type view struct {
	families []*dto.MetricFamily // of both, sorted by name
	parts    []*part             // that the page of pods was made from
	pods     *page
	node     *page
}

// New returns a Metrics that knows no snapshot yet: until Observe it publishes only what it knows of the
// exporter's own process.
func New(o Options) *Metrics {
	m := &Metrics{self: prometheus.NewRegistry(), rollouts: newRollouts(o.Exemplars)}
	m.self.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		versioncollector.NewCollector("staticpod_exporter"),
	)
	if o.Telemetry != nil {
		m.self.MustRegister(telemetry(o.Telemetry))
	}
	m.handler = newHandler(m, o.Log)
	return m
}

// Observe builds the families of s and publishes them in the place of those before. Each snapshot is observed once,
// since it tells once what of a rollout was done.
func (m *Metrics) Observe(s *status.Snapshot) {
	m.mu.Lock()
	defer m.mu.Unlock()

	defs := make(map[*status.StaticPod]*part, len(s.Pods))
	pods := make(map[*status.StaticPodStatus]*part, len(s.Statuses))
	parts := make([]*part, 0, len(s.Pods)+len(s.Statuses))
	for _, d := range s.Pods {
		p := m.defs[d]
		if p == nil {
			p = definitionPart(d)
		}
		defs[d] = p
		parts = append(parts, p)
	}
	for _, st := range s.Statuses {
		p := m.pods[st]
		if p == nil {
			p = podPart(st)
		}
		pods[st] = p
		parts = append(parts, p)
	}
	m.defs, m.pods = defs, pods

	m.rollouts.observe(s.Laps)
	next := &view{parts: parts, node: newPage(nodePart(s), m.rollouts.part)}
	if last := m.latest.Load(); last != nil && slices.Equal(last.parts, parts) {
		next.pods = last.pods
	} else {
		next.pods = newPage(parts...)
	}
	next.families = slices.Concat(next.pods.families, next.node.families)
	slices.SortFunc(next.families, byName)
	m.latest.Store(next)
}

// Gather returns the families of the latest snapshot, sorted by name; none before the first. They are shared
// and must not be changed. It implements prometheus.Gatherer.
func (m *Metrics) Gather() ([]*dto.MetricFamily, error) {
	if v := m.latest.Load(); v != nil {
		return slices.Clone(v.families), nil
	}
	return nil, nil
}

// Published returns every family of the catalogue that there is, sorted by name: those of the latest snapshot and those
// about the exporter. It leaves out what the client library says about any Go process. They are shared and must not be
// changed.
func (m *Metrics) Published() ([]*dto.MetricFamily, error) {
	all, err := m.gatherAll()
	return slices.DeleteFunc(all, func(mf *dto.MetricFamily) bool { return !strings.HasPrefix(mf.GetName(), "staticpod_") }), err
}

// gatherAll adds the exporter's own families.
func (m *Metrics) gatherAll() ([]*dto.MetricFamily, error) {
	snapshot, _ := m.Gather()
	self, err := m.self.Gather()
	all := slices.Concat(snapshot, self)
	slices.SortFunc(all, byName)
	return all, err
}

// Handler answers scrapes in the Prometheus text format, OpenMetrics or protobuf, compressed where the client
// takes it. The query name[]= asks for single families.
func (m *Metrics) Handler() http.Handler { return m.handler }

func byName(a, b *dto.MetricFamily) int { return strings.Compare(a.GetName(), b.GetName()) }
