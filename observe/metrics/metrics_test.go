package metrics

import (
	"bytes"
	"flag"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"

	"github.com/staticpod-exporter/staticpod-exporter/collector/status"
	"github.com/staticpod-exporter/staticpod-exporter/manifest"
)

var update = flag.Bool("update", false, "rewrite golden files and generated tables")

// golden compares got with a file of testdata, or rewrites that.
func golden(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got; -update rewrites it):\n%s", path, diff)
	}
}

func TestExposition(t *testing.T) {
	m := observed(sick())
	for file, format := range map[string]expfmt.FormatType{"sick.prom": expfmt.TypeTextPlain, "sick.om": expfmt.TypeOpenMetrics} {
		golden(t, filepath.Join("testdata", file), exposition(t, m, format))
	}
}

// exposition is how the client library writes what g gathers.
func exposition(t *testing.T, g prometheus.Gatherer, format expfmt.FormatType) []byte {
	t.Helper()
	families, err := g.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	encoder := expfmt.NewEncoder(&out, expfmt.NewFormat(format))
	for _, mf := range families {
		if err := encoder.Encode(mf); err != nil {
			t.Fatal(err)
		}
	}
	if err := encoder.(expfmt.Closer).Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestNothingIsSaidBeforeTheFirstSnapshot(t *testing.T) {
	m := New(Options{Log: slog.New(slog.DiscardHandler)})
	if families, err := m.Gather(); err != nil || families != nil {
		t.Errorf("Gather() = %v, %v", families, err)
	}
	all, err := m.gatherAll()
	if err != nil {
		t.Fatal(err)
	}
	var own []string
	for _, mf := range all {
		if strings.HasPrefix(mf.GetName(), "staticpod_") {
			own = append(own, mf.GetName())
		}
	}
	if diff := cmp.Diff([]string{"staticpod_exporter_build_info"}, own); diff != "" {
		t.Error(diff)
	}
}

// series finds the values of a family by the values of one label.
func series(t *testing.T, m *Metrics, f family, by string) map[string]float64 {
	t.Helper()
	all := map[string]float64{}
	families, err := m.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, mf := range families {
		if mf.GetName() != catalogue[f].Name {
			continue
		}
		for _, metric := range mf.Metric {
			for _, l := range metric.Label {
				if l.GetName() == by {
					all[l.GetValue()] = metric.GetGauge().GetValue() + metric.GetCounter().GetValue()
				}
			}
		}
	}
	return all
}

func TestUnchangedPodsKeepTheirSeries(t *testing.T) {
	first := crowd(3)
	m := observed(first)
	before := m.latest.Load()

	same := *first
	same.At = at(11)
	m.Observe(&same)
	if m.latest.Load().pods != before.pods {
		t.Error("the page of pods was made anew though no pod changed")
	}

	changed := same
	changed.Statuses = slices.Clone(first.Statuses)
	changed.Statuses[1] = member("pod-0001", 2)
	m.Observe(&changed)
	after := m.latest.Load()
	for i, want := range []bool{true, true, true, true, false, true} { // three definitions, three pods
		if got := after.parts[i] == before.parts[i]; got != want {
			t.Errorf("part %d kept: %v, want %v", i, got, want)
		}
	}
	if got := series(t, m, statusVersion, "pod")["pod-0001-node1"]; got != 2 {
		t.Errorf("status version of the changed pod is %v", got)
	}

	gone := changed
	gone.Pods, gone.Statuses = first.Pods[:1], first.Statuses[:1]
	m.Observe(&gone)
	if diff := cmp.Diff(map[string]float64{"pod-0000-node1": 1}, series(t, m, ready, "pod")); diff != "" {
		t.Errorf("removed pods (-want +got): %s", diff)
	}
	if len(m.pods) != 1 || len(m.defs) != 1 {
		t.Errorf("%d pods and %d definitions are remembered, not 1 and 1", len(m.pods), len(m.defs))
	}
}

func TestUnknownConditionsAreAbsent(t *testing.T) {
	s := crowd(1)
	for i := range s.Statuses[0].Spec.Conditions {
		s.Statuses[0].Spec.Conditions[i].Status = status.Unknown
	}
	s.Statuses[0].Spec.Conditions[0].Status = status.False
	want := map[string]float64{"Valid": 0}
	if diff := cmp.Diff(want, series(t, observed(s), condition, "condition")); diff != "" {
		t.Error(diff)
	}
}

func TestProblemsThatLookAlikeAreOneSeries(t *testing.T) {
	m := observed(sick())
	if got, want := series(t, m, problemStart, "reason")["UnknownField"], float64(at(2).Unix()); got != want {
		t.Errorf("UnknownField began %v, want the earliest, %v", got, want)
	}
	families, _ := m.Gather()
	count := 0
	for _, mf := range families {
		if mf.GetName() == catalogue[problemInfo].Name {
			for _, metric := range mf.Metric {
				if slices.ContainsFunc(metric.Label, func(l *dto.LabelPair) bool { return l.GetValue() == "UnknownField" }) {
					count++
				}
			}
		}
	}
	if count != 2 {
		t.Errorf("%d places of UnknownField, want 2", count)
	}
}

// A variable that cannot be used is in no file, and the alert has to name it. Of a pod's containers no place is given.
func TestPlacesWithoutAFile(t *testing.T) {
	s := &status.Snapshot{At: at(10), Node: "n1", Statuses: []*status.StaticPodStatus{
		{Metadata: status.Metadata{ID: status.NodeID}, Spec: status.StatusSpec{Problems: []manifest.Problem{
			{Reason: manifest.ConfigInvalid, Level: manifest.Critical, Field: "OTEL_LOGS_EXPORTER"},
		}}},
		{Metadata: status.Metadata{ID: "default/a-n1"}, Spec: status.StatusSpec{Pod: status.PodRef{Namespace: "default", Name: "a-n1"}, Problems: []manifest.Problem{
			{Reason: status.CrashLoopBackOff, Level: manifest.Critical, Field: "spec.containers{a}"},
		}}},
	}}
	want := map[string]float64{"OTEL_LOGS_EXPORTER": 1}
	if diff := cmp.Diff(want, series(t, observed(s), problemInfo, "field")); diff != "" {
		t.Error(diff)
	}
}

// The newcomer of a duplicate name has no status of its own: its problem is told all the same, and none twice.
func TestProblemsOfDefinitionsWithoutStatus(t *testing.T) {
	m := observed(ugly())
	want := map[string]float64{"UnknownField": float64(at(-999).Unix()), "DuplicateName": float64(at(10).Unix())}
	if diff := cmp.Diff(want, series(t, m, problemStart, "reason")); diff != "" {
		t.Error(diff)
	}
	lines := 0
	for line := range strings.Lines(string(exposition(t, m, expfmt.TypeTextPlain))) {
		if strings.HasPrefix(line, catalogue[problemStart].Name+`{definition="default-a~2"`) {
			lines++
		}
	}
	if lines != 1 {
		t.Errorf("%d problems of the newcomer, want its own alone", lines)
	}
}

// The bounds of design P4 and of docs/metrics.md.
func TestCardinality(t *testing.T) {
	s := crowd(10)
	for _, st := range s.Statuses {
		for _, name := range []string{"b", "c", "d"} {
			c := st.Spec.Containers[0]
			c.Name = name
			st.Spec.Containers = append(st.Spec.Containers, c)
		}
		st.Spec.Problems = ugly().Statuses[0].Spec.Problems
	}
	count := map[Scope]int{}
	families, _ := observed(s).Gather()
	for _, mf := range families {
		f := slices.IndexFunc(catalogue[:], func(c Family) bool { return c.Name == mf.GetName() })
		count[catalogue[f].Scope] += len(mf.Metric)
	}
	for scope, bound := range map[Scope]int{PerPod: 12 * 10, PerContainer: 8 * 40, PerDefinition: 3 * 10, PerProblem: (1 + maxPlaces) * 10, PerNode: 34 + 10 + len(status.Reasons())} {
		if count[scope] == 0 || count[scope] > bound {
			t.Errorf("%d series per %s, bound %d", count[scope], scope, bound)
		}
	}
}

func TestLabelValues(t *testing.T) {
	families, _ := observed(ugly()).Gather()
	for _, mf := range families {
		for _, metric := range mf.Metric {
			for _, l := range metric.Label {
				if !utf8.ValidString(l.GetValue()) || len(l.GetValue()) > maxLabel {
					t.Errorf("%s: label %s is %q", mf.GetName(), l.GetName(), l.GetValue())
				}
			}
			if v := metric.GetGauge().GetValue(); math.IsNaN(v) || v < 0 {
				t.Errorf("%s is %v", mf.GetName(), v)
			}
		}
	}
}

func TestBounded(t *testing.T) {
	for _, value := range []string{"", "short", strings.Repeat("a", maxLabel)} {
		if got := bounded(value); got != value {
			t.Errorf("bounded(%q) = %q", value, got)
		}
	}
	for _, value := range []string{strings.Repeat("a", maxLabel+1), strings.Repeat("é", maxLabel), strings.Repeat("\x80", 2*maxLabel)} {
		if got := bounded(value); len(got) > maxLabel || !strings.HasSuffix(got, "…") {
			t.Errorf("bounded(%d bytes) = %d bytes", len(value), len(got))
		}
	}
}

// Which files of its own directory the kubelet refuses, the store cannot know.
func TestRejectionsOfTheKubelet(t *testing.T) {
	s := sick()
	s.ProblemsTotal = map[manifest.Reason]uint64{manifest.ManifestRejected: 3}
	if got := exposition(t, observed(s), expfmt.TypeTextPlain); !bytes.Contains(got, []byte("staticpod_manifest_rejections_total{stage=\"kubelet\"} 3\n")) {
		t.Error("the kubelet's refusals are not counted")
	}
}

// In observing mode nobody fetches, and without a log there is nothing to count of it.
func TestFamiliesOfInputsThatAreNotConfigured(t *testing.T) {
	s := sick()
	o := *s.Observation
	set := *o.Manifest
	set.Serving = false
	o.Manifest, o.Inputs = &set, nil
	s.Observation, s.Inputs = &o, nil
	got := exposition(t, observed(s), expfmt.TypeTextPlain)
	for _, absent := range []string{"staticpod_manifest_fetches_total", "staticpod_manifest_last_fetch", "staticpod_input_", "staticpod_kubelet_log_"} {
		if bytes.Contains(got, []byte("\n"+absent)) {
			t.Errorf("%s is published", absent)
		}
	}
	if !bytes.Contains(got, []byte("staticpod_manifest_rejections_total{stage=\"kubelet\"} 0\n")) {
		t.Error("rejections do not start from 0")
	}
}

func TestEveryReasonIsCountedFromZero(t *testing.T) {
	s := sick()
	s.ProblemsTotal = nil
	counted := series(t, observed(s), problems, "reason")
	for _, code := range status.Reasons() {
		if v, ok := counted[string(code.Reason)]; !ok || v != 0 {
			t.Errorf("%s: %v, %v", code.Reason, v, ok)
		}
	}
	if len(counted) == 0 {
		t.Error("no reason is counted")
	}
}
