package get

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/staticpod-exporter/staticpod-exporter/e2e/await"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/exporter"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/monitoring"
)

// scrapeConfig scrapes the exporters as hosts, and as pods in Kubernetes are: with labels of the target that the exporter's
// own series have, too, which win or do not. The last target of each job is down. Of a job of all sorts the first target is
// an exporter.
func scrapeConfig(targets []string, other string) string {
	var b strings.Builder
	b.WriteString("global: {scrape_interval: 1s, scrape_timeout: 1s}\nscrape_configs:\n")
	for _, job := range []struct {
		name   string
		honour bool
		labels string
	}{
		{"hosts", false, "{}"},
		{"pods", false, "{namespace: kube-system, pod: exporter-x, container: exporter, node: elsewhere}"},
		{"honoured", true, "{namespace: kube-system, pod: exporter-x, container: exporter}"},
	} {
		fmt.Fprintf(&b, "- job_name: %s\n  honor_labels: %v\n  static_configs:\n  - targets: [%s]\n    labels: %s\n",
			job.name, job.honour, `"`+strings.Join(targets, `", "`)+`"`, job.labels)
	}
	fmt.Fprintf(&b, "- job_name: mixed\n  static_configs:\n  - targets: [%q, %q, %q]\n", targets[0], other, targets[len(targets)-1])
	return b.String()
}

// masked are rows without the cells that metrics do not hold, and without the spaces in between.
func masked(stdout string, of map[string]int) string {
	var b strings.Builder
	for _, line := range strings.Split(strings.TrimSpace(stdout), "\n") {
		cells := strings.Fields(line)
		for heading, i := range of {
			if i < len(cells) && cells[i] != heading {
				cells[i] = "?"
			}
		}
		b.WriteString(strings.Join(cells, " ") + "\n")
	}
	return b.String()
}

// Three nodes with a pod that runs, one that crashes and one whose manifest is refused, and an exporter that is down: asked
// directly and asked by Prometheus, an operator is told the same.
func TestFleet(t *testing.T) {
	var exporters []*exporter.Exporter
	var addresses []string
	for i, definitions := range []map[string]string{
		{"web.yaml": pod("web", "sleep", "1h")},
		{"web.yaml": pod("web", "sleep", "1h"), "crash.yaml": pod("crash", "exit", "7")},
		{"web.yaml": pod("web", "sleep", "1h"), "wrong.yaml": "apiVersion: v1\nkind: Pod\nmetadata: {name: wrong}\nspec: {}\n", "half.yaml": "apiVersion: v1\nkind: [\n"},
	} {
		n, e := start(t, fmt.Sprintf("node%d", i+1))
		for name, content := range definitions {
			write(t, n, name, content)
		}
		exporters = append(exporters, e)
		addresses = append(addresses, strings.TrimPrefix(e.URL(), "http://"))
	}
	dead, err := exporter.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "answer 42") }))
	defer other.Close()
	config := scrapeConfig(append(addresses, dead), strings.TrimPrefix(other.URL, "http://"))
	p, err := monitoring.New(t.Context(), monitoring.Options{Directory: t.TempDir(), Config: config, Progress: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i, e := range exporters {
		settled(t, e, fmt.Sprintf("default/web-node%d", i+1), "")
	}
	settled(t, exporters[1], "default/crash-node2", "CrashLoopBackOff")
	settled(t, exporters[2], "default/wrong-node3", "ManifestInvalid")

	nodes := strings.Join(append(addresses, dead), ",")
	for _, kind := range []struct {
		name  string
		cells map[string]int // that metrics do not hold, by heading
		rows  []string       // that must be there
	}{
		{"staticpodstatus", map[string]int{"VERSION": 4, "REVISION": 8, "AGE": 11}, []string{
			`(?m)^node1 k8s StaticPodStatus default/web-node1 .* True Running file `,
			`(?m)^node2 k8s StaticPodStatus default/crash-node2 .* False Running file .* CrashLoopBackOff `,
			`(?m)^node3 k8s StaticPodStatus default/wrong-node3 .* False <none> file .* ManifestInvalid `,
			`(?m)^node3 k8s StaticPodStatus file:\S+/half.yaml .* False <none> file .* ManifestMalformed `,
		}},
		{"staticpods", map[string]int{"SERVED": 6, "REVISION": 8, "AGE": 10, "PATH": 11}, []string{
			`(?m)^node2 k8s StaticPod default-crash 1 true `,
			`(?m)^node3 k8s StaticPod default-wrong 1 false .* ManifestInvalid `,
		}},
	} {
		for _, job := range []string{"hosts", "pods", "honoured"} {
			t.Run(kind.name+"/"+job, func(t *testing.T) {
				var direct, fleet said
				// A version may rise between the two questions.
				await.Nil(t, "the same rows", func(ctx context.Context) (err error) {
					if direct, err = staticpods(ctx, "get", kind.name, "-o", "wide", "-n", nodes); err != nil {
						return err
					}
					if fleet, err = staticpods(ctx, "get", kind.name, "-o", "wide", "--prometheus", p.URL(), "--selector", "job="+job); err != nil {
						return err
					}
					if have, want := masked(fleet.stdout, kind.cells), masked(direct.stdout, kind.cells); have != want {
						return fmt.Errorf("Prometheus tells\n%s%sthe exporters\n%s%s", have, fleet.stderr, want, direct.stderr)
					}
					if !strings.Contains(fleet.stderr, dead) {
						return errors.New("Prometheus tells nothing of the exporter that does not run: it may not have looked for it yet")
					}
					return nil
				})
				t.Logf("\n%s%s", fleet.stdout, fleet.stderr)
				if direct.code != 1 || !strings.Contains(direct.stderr, "exporter not reachable at http://"+dead+": connection refused") || strings.Count(direct.stderr, "\n") != 1 {
					t.Errorf("asked directly: exit code %d, stderr: %s", direct.code, direct.stderr)
				}
				if fleet.code != 1 || !strings.Contains(fleet.stderr, `instance="`+dead+`"`) || strings.Count(fleet.stderr, "\n") != 1 {
					t.Errorf("asked by Prometheus: exit code %d, stderr: %s", fleet.code, fleet.stderr)
				}
				rows := masked(fleet.stdout, nil)
				for _, want := range kind.rows {
					if !regexp.MustCompile(want).MatchString(rows) {
						t.Errorf("no row %s in\n%s", want, rows)
					}
				}
			})
		}
	}

	t.Run("a target that is down and need not be an exporter", func(t *testing.T) {
		await.Nil(t, "one node", func(ctx context.Context) error {
			s, err := staticpods(ctx, "get", "sps", "-o", "name", "--prometheus", p.URL(), "-l", "job=mixed")
			if err == nil && (s.code != 0 || s.stderr != "" || s.stdout != "default/web-node1\nnode\n") {
				err = fmt.Errorf("exit code %d\n%s%s", s.code, s.stdout, s.stderr)
			}
			return err
		})
	})

	t.Run("a node that goes down", func(t *testing.T) {
		exporters[2].Stop(t.Context())
		await.Nil(t, "two nodes", func(ctx context.Context) error {
			s, err := staticpods(ctx, "get", "sps", "--prometheus", p.URL(), "-l", "job=hosts")
			if err != nil {
				return err
			}
			if strings.Contains(s.stdout, "node3 ") || !strings.Contains(s.stderr, `instance="`+addresses[2]+`"`) || s.code != 1 {
				return fmt.Errorf("exit code %d\n%s%s", s.code, s.stdout, s.stderr)
			}
			return nil
		})
	})

	t.Run("one query", func(t *testing.T) {
		before := queries(t, p)
		if _, err := staticpods(t.Context(), "get", "sps", "-o", "json", "--prometheus", p.URL()); err != nil {
			t.Fatal(err)
		}
		if n := queries(t, p) - before; n != 1 {
			t.Errorf("%d queries", n)
		}
	})

	t.Run("one node told by three jobs", func(t *testing.T) {
		s, err := staticpods(t.Context(), "get", "sps", "--prometheus", p.URL())
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(s.stderr, "several exporters tell of node node1: {instance=") {
			t.Errorf("stderr: %s", s.stderr)
		}
	})

	t.Run("none", func(t *testing.T) {
		s, err := staticpods(t.Context(), "get", "sps", "--prometheus", p.URL(), "-l", "job=other")
		if err != nil {
			t.Fatal(err)
		}
		if s.code != 1 || s.stdout != "" || !strings.Contains(s.stderr, `has no metrics of an exporter among {job="other"}`) {
			t.Errorf("exit code %d, stdout: %s, stderr: %s", s.code, s.stdout, s.stderr)
		}
	})
}

// queries returns how many queries Prometheus has answered.
func queries(t *testing.T, p *monitoring.Prometheus) int {
	t.Helper()
	res, err := http.Get(p.URL() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	count := 0.
	for _, series := range families["prometheus_http_requests_total"].GetMetric() {
		for _, label := range series.GetLabel() {
			if label.GetName() == "handler" && label.GetValue() == "/api/v1/query" {
				count += series.GetCounter().GetValue()
			}
		}
	}
	return int(count)
}
