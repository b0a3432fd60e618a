package metrics

import (
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"

	"github.com/staticpod-exporter/staticpod-exporter/collector/status"
)

// observed returns a Metrics that has seen the snapshots.
func observed(snapshots ...*status.Snapshot) *Metrics {
	m := New(Options{Log: slog.New(slog.DiscardHandler), Exemplars: true, Telemetry: func() []Signal {
		return []Signal{{Name: "metrics", Exported: 7000}, {Name: "traces", Exported: 900, Failed: 80, Dropped: 7, Waiting: 6, Queued: true}}
	}})
	for _, s := range snapshots {
		m.Observe(s)
	}
	return m
}

func TestCatalogueIsInOrder(t *testing.T) {
	for f, entry := range catalogue {
		if entry.Name == "" {
			t.Fatalf("entry %d is empty", f)
		}
		if f > 0 && catalogue[f-1].Name >= entry.Name {
			t.Errorf("%s comes after %s", entry.Name, catalogue[f-1].Name)
		}
		if !slices.IsSorted(entry.Labels) || len(slices.Compact(slices.Clone(entry.Labels))) != len(entry.Labels) {
			t.Errorf("%s: labels %v are not sorted or not unique", entry.Name, entry.Labels)
		}
		if !strings.HasPrefix(entry.Name, "staticpod_") || (entry.Scope == PerExporter) != (entry.Name == "staticpod_exporter_build_info" || strings.HasPrefix(entry.Name, "staticpod_exporter_telemetry_")) {
			t.Errorf("%s: wrong prefix or scope", entry.Name)
		}
		name := strings.TrimSuffix(entry.Name, "_total")
		if (name != entry.Name) != (entry.Type == Counter) || strings.HasSuffix(name, "_info") != (entry.Type == Info) {
			t.Errorf("%s does not end as a %s does", entry.Name, entry.Type)
		}
		for _, unit := range []string{"seconds", "bytes"} {
			if strings.HasSuffix(name, "_"+unit) != (entry.Unit == unit) {
				t.Errorf("%s and its unit %q disagree", entry.Name, entry.Unit)
			}
		}
		if entry.Stability == "" || !strings.HasSuffix(entry.Help, ".") {
			t.Errorf("%s has no stability or its help is no sentence", entry.Name)
		}
	}
}

// Prometheus gives what it receives over OTLP the names that a scrape has, so dashboards and alerts hold for both.
func TestOTelNamesBecomeTheFamilies(t *testing.T) {
	for _, entry := range catalogue {
		name := strings.ReplaceAll(entry.OTel.Name, ".", "_")
		suffix := map[string]string{"s": "_seconds", "By": "_bytes"}[entry.OTel.Unit]
		if suffix == "" && !strings.HasPrefix(entry.OTel.Unit, "{") {
			t.Errorf("%s has the unit %q", entry.Name, entry.OTel.Unit) // 1 would become _ratio
		}
		if !strings.HasSuffix(name, suffix) {
			name += suffix
		}
		if entry.Type == Counter {
			name += "_total"
		}
		if name != entry.Name {
			t.Errorf("%s becomes %s, not %s", entry.OTel.Name, name, entry.Name)
		}
		keys := map[string]bool{}
		for _, label := range entry.Labels {
			if key := Attribute(label); keys[key] {
				t.Errorf("%s has two labels that become %s", entry.Name, key)
			} else {
				keys[key] = true
			}
		}
	}
}

// Every family that is published is in the catalogue as it is published, and the other way round.
func TestCatalogueIsWhatIsPublished(t *testing.T) {
	m := observed(sick())
	published, err := m.gatherAll()
	if err != nil {
		t.Fatal(err)
	}
	byName := map[string]Family{}
	for _, entry := range Catalogue() {
		byName[entry.Name] = entry
	}
	for _, mf := range published {
		if !strings.HasPrefix(mf.GetName(), "staticpod_") {
			continue
		}
		entry, ok := byName[mf.GetName()]
		if !ok {
			t.Errorf("%s is not in the catalogue", mf.GetName())
			continue
		}
		delete(byName, mf.GetName())
		if mf.GetHelp() != entry.Help || mf.GetUnit() != entry.Unit || (mf.GetType() == dto.MetricType_COUNTER) != (entry.Type == Counter) ||
			(mf.GetType() == dto.MetricType_HISTOGRAM) != (entry.Type == Histogram) {
			t.Errorf("%s is published with other help, unit or type: %v", mf.GetName(), mf)
		}
		for _, metric := range mf.Metric {
			var labels []string
			for _, l := range metric.Label {
				labels = append(labels, l.GetName())
			}
			if !slices.Equal(labels, entry.Labels) {
				t.Errorf("%s has labels %v, the catalogue says %v", mf.GetName(), labels, entry.Labels)
			}
			if entry.Type == Info && metric.GetGauge().GetValue() != 1 {
				t.Errorf("%s is not 1: %v", mf.GetName(), metric)
			}
		}
	}
	if len(byName) > 0 {
		t.Errorf("in the catalogue, but not published: %v", slices.Sorted(maps.Keys(byName)))
	}
}

func TestLint(t *testing.T) {
	m := observed(sick())
	problems, err := testutil.GatherAndLint(prometheus.GathererFunc(m.gatherAll))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// A pedantic registry finds duplicate series, inconsistent labels and values that are not UTF-8.
func TestPedanticRegistry(t *testing.T) {
	for name, s := range map[string]*status.Snapshot{"sick": sick(), "crowd": crowd(20), "ugly": ugly(), "bare": {}} {
		t.Run(name, func(t *testing.T) {
			registry := prometheus.NewPedanticRegistry()
			registry.MustRegister(adapter{observed(s)})
			if _, err := registry.Gather(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// An adapter shows prepared families to a registry, which then checks them.
type adapter struct{ metrics *Metrics }

func (a adapter) Describe(out chan<- *prometheus.Desc) {
	for f := range catalogue {
		if catalogue[f].Scope != PerExporter {
			out <- family(f).desc()
		}
	}
}

func (a adapter) Collect(out chan<- prometheus.Metric) {
	families, _ := a.metrics.Gather()
	for _, mf := range families {
		f := slices.IndexFunc(catalogue[:], func(c Family) bool { return c.Name == mf.GetName() })
		for _, m := range mf.Metric {
			out <- adapted{family(f).desc(), m}
		}
	}
}

type adapted struct {
	desc   *prometheus.Desc
	metric *dto.Metric
}

func (a adapted) Desc() *prometheus.Desc { return a.desc }

func (a adapted) Write(out *dto.Metric) error {
	out.Label, out.Gauge, out.Counter, out.Histogram = a.metric.Label, a.metric.Gauge, a.metric.Counter, a.metric.Histogram
	return nil
}
