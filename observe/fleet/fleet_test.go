package fleet

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"

	"github.com/staticpod-exporter/staticpod-exporter/collector/status"
	"github.com/staticpod-exporter/staticpod-exporter/manifest"
	"github.com/staticpod-exporter/staticpod-exporter/observe/fleet/fleettest"
	"github.com/staticpod-exporter/staticpod-exporter/observe/metrics"
	"github.com/staticpod-exporter/staticpod-exporter/observe/metrics/metricstest"
	"github.com/staticpod-exporter/staticpod-exporter/observe/output"
)

func start(t *testing.T) *fleettest.Prometheus {
	t.Helper()
	p := fleettest.Start()
	t.Cleanup(p.Close)
	return p
}

func scrape(t *testing.T, p *fleettest.Prometheus, s *status.Snapshot, by fleettest.Target) {
	t.Helper()
	if err := p.Scrape(s, by); err != nil {
		t.Fatal(err)
	}
}

func client(t *testing.T, p *fleettest.Prometheus, selector Selector) *Prometheus {
	t.Helper()
	c, err := New(p.URL+"/prefix/", http.DefaultClient, selector)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func snapshot(t testing.TB) *status.Snapshot {
	t.Helper()
	content, err := os.ReadFile("../web/testdata/snapshot.json")
	if err != nil {
		t.Fatal(err)
	}
	s := &status.Snapshot{}
	if err := json.Unmarshal(content, s); err != nil {
		t.Fatal(err)
	}
	s.Node, s.Info.Node = "node1", "node1"
	for _, st := range s.Statuses {
		if st.Metadata.ID == status.NodeID {
			st.Spec.Ready = true // as it is said of a node with nothing but warnings
		}
	}
	return s
}

var targets = map[string]fleettest.Target{
	"a static target":                         {Labels: model.LabelSet{"job": "sp", "instance": "node1:10058"}},
	"a pod whose labels win":                  {Labels: model.LabelSet{"job": "sp", "instance": "10.0.0.1:10058", "namespace": "kube-system", "pod": "exporter-x", "container": "exporter", "node": "node1"}},
	"a pod whose labels are honoured":         {Labels: model.LabelSet{"job": "sp", "instance": "10.0.0.1:10058", "namespace": "kube-system", "pod": "exporter-x", "container": "exporter"}, Honour: true},
	"a target that says more, with a cluster": {Labels: model.LabelSet{"job": "sp", "instance": "node1:10058", "cluster": "eu", "prometheus": "a/b"}, Honour: true},
}

// Metrics give the rows that the exporter itself gives, but for the cells that they do not hold.
func TestRowsAreThoseOfTheExporter(t *testing.T) {
	s := snapshot(t)
	now := time.Now()
	for name, by := range targets {
		t.Run(name, func(t *testing.T) {
			fake := start(t)
			scrape(t, fake, s, by)
			p := client(t, fake, "")
			statuses, err := p.Statuses(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			var want, got [][]string
			for _, st := range s.Statuses {
				row := output.StatusRow(st, true, now)
				if st.Spec.Pod.Name == "" {
					row[4] = unknown // VERSION
				}
				if row[8] != none {
					row[8] = unknown // REVISION
				}
				row[11] = unknown // AGE
				want = append(want, row)
			}
			for _, st := range statuses.Items {
				got = append(got, StatusRow(st, true))
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("statuses (-the exporter's, +ours): %s", diff)
			}

			pods, err := p.Pods(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			want, got = nil, nil
			for _, d := range s.Pods {
				row := output.PodRow(d, true, now)
				row[6], row[8], row[10], row[11] = unknown, unknown, unknown, d.Spec.Path
				want = append(want, row)
			}
			for _, d := range pods.Items {
				got = append(got, PodRow(d, true))
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("definitions (-the exporter's, +ours): %s", diff)
			}
			if g := pods.Gaps; g.Nodes != 1 || len(g.Down)+len(g.Ambiguous)+len(g.Warnings) > 0 {
				t.Errorf("gaps: %+v", g)
			}
		})
	}
}

// Of several problems the headline is the one that explains the others, whatever their names.
func TestHeadlineIsTheCause(t *testing.T) {
	s := snapshot(t)
	i := slices.IndexFunc(s.Statuses, func(st *status.StaticPodStatus) bool { return st.Metadata.ID == "default/broken-node1" })
	spec := &s.Statuses[i].Spec
	spec.Problems = append(spec.Problems, manifest.Problem{Reason: manifest.APIReference, Level: manifest.Critical})
	fake := start(t)
	scrape(t, fake, s, targets["a static target"])
	statuses, err := client(t, fake, "").Statuses(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := statuses.Items[i].Spec; got.Reason != manifest.ManifestInvalid || len(got.Problems) != 2 {
		t.Errorf("the headline of %v is %s", got.Problems, got.Reason)
	}
}

// While the evidence is old, the headline is why, and nobody is said to be ready or not.
func TestStaleStatus(t *testing.T) {
	s := snapshot(t)
	i := slices.IndexFunc(s.Statuses, func(st *status.StaticPodStatus) bool { return st.Metadata.ID == "default/nginx-node1" })
	spec := &s.Statuses[i].Spec
	spec.Stale, spec.Ready = true, false
	for j, c := range spec.Conditions {
		if c.Type == status.Ready {
			spec.Conditions[j].Status = status.Unknown
		}
	}
	fake := start(t)
	scrape(t, fake, s, targets["a static target"])
	statuses, err := client(t, fake, "").Statuses(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"node1", "k8s", "StaticPodStatus", "default/nginx-node1", "3", "Unknown", "Running", "http", unknown, "0", "LogUnavailable", unknown, "true"}
	if diff := cmp.Diff(want, StatusRow(statuses.Items[i], true)); diff != "" {
		t.Errorf("(-want +got): %s", diff)
	}
}

func TestGaps(t *testing.T) {
	s := snapshot(t)
	fake := start(t)
	for _, instance := range []model.LabelValue{"a:10058", "b:10058"} {
		scrape(t, fake, s, fleettest.Target{Labels: model.LabelSet{"job": "sp", "instance": instance}})
	}
	fake.Down(fleettest.Target{Labels: model.LabelSet{"job": "sp", "instance": "c:10058"}})
	a, err := client(t, fake, `cluster="eu"`).Statuses(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := Gaps{
		Nodes: 2, Down: []string{`{instance="c:10058", job="sp"}`},
		Ambiguous: []string{`node1: {instance="a:10058", job="sp"}, {instance="b:10058", job="sp"}`},
	}
	if diff := cmp.Diff(want, a.Gaps); diff != "" {
		t.Errorf("(-want +got): %s", diff)
	}
	queries := fake.Queries()
	if len(queries) != 1 {
		t.Fatalf("%d queries", len(queries))
	}
	if got := strings.Count(queries[0], `cluster="eu"`); got != 6 {
		t.Errorf("the selector is in %d of 6 places: %s", got, queries[0])
	}
}

// Prometheus' engine gives the series of the targets that the selector matches, and of no others, although series have
// labels of their own by the same names.
func TestSelectorIsOfTargets(t *testing.T) {
	type sample struct {
		Labels string  `json:"labels"`
		Value  float64 `json:"value"`
	}
	type check struct {
		Expr    string   `json:"expr"`
		At      string   `json:"eval_time"`
		Samples []sample `json:"exp_samples"`
	}
	type input struct {
		Series string `json:"series"`
		Values string `json:"values"`
	}
	type test struct {
		Interval string  `json:"interval"`
		Series   []input `json:"input_series"`
		Checks   []check `json:"promql_expr_test"`
	}
	// Two clusters with hosts and addresses alike, of which one exporter each is down since a while.
	var series []input
	for _, cluster := range []string{"eu", "us"} {
		a := `job="sp",instance="a:1",cluster="` + cluster + `"`
		b := `job="sp",instance="b:1",cluster="` + cluster + `"`
		series = append(series,
			input{`up{node="host-a",` + a + `}`, "1x60"}, input{`staticpod_node_info{node="node-a",` + a + `}`, "1x60"},
			input{`staticpod_info{node="host-a",namespace="kube-system",pod="etcd-a",` + a + `}`, "1x60"},
			input{`up{node="host-b",` + b + `}`, "1x30 0x29"}, input{`staticpod_node_info{node="node-b",` + b + `}`, "1x30 stale"},
			input{`staticpod_info{node="host-b",namespace="default",pod="web-b",` + b + `}`, "1x30 stale"},
		)
	}
	var checks []check
	for text, want := range map[string][]string{
		"cluster=eu":                 {`eu staticpod_info`, `eu staticpod_node_info`, `eu up`},
		"node=host-a":                {`eu staticpod_info`, `eu staticpod_node_info`, `us staticpod_info`, `us staticpod_node_info`},
		"node=host-a,cluster=~'e.*'": {`eu staticpod_info`, `eu staticpod_node_info`},
		"node=host-b,cluster=us":     {`us up`},
		"node=node-a":                nil,
		"exported_node=node-a":       nil,
		"namespace=kube-system":      nil, // no target is in one
		`namespace=""`:               {`eu staticpod_info`, `eu staticpod_node_info`, `eu up`, `us staticpod_info`, `us staticpod_node_info`, `us up`},
	} {
		selector, err := ParseSelector(text)
		if err != nil {
			t.Fatal(err)
		}
		query := (&Prometheus{selector: selector}).query(statusFamilies)
		c := check{Expr: `group by (cluster, family) (label_replace(` + query + `, "family", "$1", "__name__", "(.*)"))`, At: "15m"}
		for _, w := range want {
			cluster, family, _ := strings.Cut(w, " ")
			c.Samples = append(c.Samples, sample{`{cluster="` + cluster + `",family="` + family + `"}`, 1})
		}
		checks = append(checks, c)
	}
	content, err := json.Marshal(map[string][]test{"tests": {{"15s", series, checks}}})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "selectors.yaml")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := metricstest.Promtool(t, "test", "rules", path); err != nil {
		t.Error(err)
	}
}

// What is asked for is published, with labels that are known to be the exporter's.
func TestFamiliesArePublished(t *testing.T) {
	catalogue := map[string][]string{}
	for _, family := range metrics.Catalogue() {
		catalogue[family.Name] = family.Labels
	}
	for _, family := range slices.Concat(statusFamilies, podFamilies) {
		labels, ok := catalogue[family]
		if !ok {
			t.Errorf("%s is not published", family)
		}
		for _, label := range labels {
			if !isOwn(model.LabelName(label)) {
				t.Errorf("the label %s of %s is taken for the target's", label, family)
			}
		}
	}
}

func TestErrorsSayWhatToTry(t *testing.T) {
	say := func(code int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(code)
			fmt.Fprint(w, body)
		}
	}
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		want   string
	}{
		"credentials":      {say(401, "no"), "refuses us (client error: 401): --http.config.file names"},
		"another path":     {say(404, "404 page not found"), "Mimir's is below /prometheus"},
		"a bad query":      {say(400, `{"status":"error","errorType":"bad_data","error":"parse error: x"}`), "does not understand the query: parse error: x"},
		"another server":   {say(200, "<html>"), "does not answer as Prometheus does"},
		"another value":    {say(200, `{"status":"success","data":{"resultType":"scalar","result":[1,"2"]}}`), "a scalar and no vector"},
		"a broken backend": {say(502, "bad\ngateway"), "server error: 502: bad"},
		"nothing":          {say(200, `{"status":"success","data":{"resultType":"vector","result":[]}}`), `has no metrics of an exporter among {cluster="eu"}: does it scrape them`},
	} {
		t.Run(name, func(t *testing.T) {
			fake := start(t)
			fake.Answer = c.answer
			if _, err := client(t, fake, `cluster="eu"`).Statuses(t.Context()); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want …%s…", err, c.want)
			}
		})
	}
	gone := fleettest.Start()
	p := client(t, gone, "")
	gone.Close()
	if _, err := p.Pods(t.Context()); err == nil || !strings.Contains(err.Error(), "connection refused: is it running there?") {
		t.Errorf("nobody there: %v", err)
	}
	if _, err := New("operator:hunter2@prometheus", http.DefaultClient, ""); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("no URL: %v", err)
	}
}

func TestWarningsAreGaps(t *testing.T) {
	fake := start(t)
	fake.Answer = func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"status":"success","warnings":["store 10.0.0.9 did not answer"],"data":{"resultType":"vector","result":[
			{"metric":{"__name__":"staticpod_manifest_valid","definition":"default-a","source":"file","path":"/a.yaml","instance":"node1:10058"},"value":[1,"1"]}]}}`)
	}
	a, err := client(t, fake, "").Pods(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"store 10.0.0.9 did not answer"}, a.Warnings); diff != "" {
		t.Errorf("warnings (-want +got): %s", diff)
	}
	// A node that says nothing of itself is called as it is scraped.
	want := []string{"node1:10058", "k8s", "StaticPod", "default-a", unknown}
	if diff := cmp.Diff(want, PodRow(a.Items[0], false)); diff != "" {
		t.Errorf("(-want +got): %s", diff)
	}
}

func TestSelector(t *testing.T) {
	for text, want := range map[string]Selector{
		``:                                       ``,
		`cluster="eu"`:                           `cluster="eu"`,
		`{cluster="eu", job=~"static.*"}`:        `cluster="eu",job=~"static.*"`,
		` cluster = eu , node!=node-1.example:9`: `cluster="eu",node!="node-1.example:9"`,
		`a!~'x,y"}',`:                            `a!~'x,y"}'`,
		`a="\"quoted\""`:                         `a="\"quoted\""`,
	} {
		if got, err := ParseSelector(text); err != nil || got != want {
			t.Errorf("%q: %q, %v; want %q", text, got, err, want)
		}
	}
	for _, text := range []string{`{a="b"`, `a`, `a="b`, `="b"`, `a=="b"`, `a="b" c="d"`, `a="b"} or up{`, `1a="b"`} {
		if got, err := ParseSelector(text); err == nil {
			t.Errorf("%q: no error but %q", text, got)
		}
	}
}

// Whatever passes stays between the braces.
func FuzzSelector(f *testing.F) {
	f.Add(`a="b",c=~'d'`)
	f.Add(`{a=b}`)
	f.Add(`a="\\",b="}"`)
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseSelector(text)
		if err != nil {
			return
		}
		if again, err := ParseSelector(s.String()); err != nil || again != s {
			t.Errorf("%q is read as %q, and that as %q: %v", text, s, again, err)
		}
		sure, labels := s.onSeries()
		if again, _ := sure.onSeries(); again != sure || sure != "" && len(labels) == 0 {
			t.Errorf("of %q each series has %q, of labels %q", s, sure, labels)
		}
	})
}
