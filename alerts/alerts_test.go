package alerts

import (
	"cmp"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"text/template"
	"time"
	"unicode"

	"go.yaml.in/yaml/v3"

	"github.com/staticpod-exporter/staticpod-exporter/collector"
	"github.com/staticpod-exporter/staticpod-exporter/collector/status"
	"github.com/staticpod-exporter/staticpod-exporter/manifest"
	"github.com/staticpod-exporter/staticpod-exporter/observe/metrics/metricstest"
)

type ruleFile struct {
	Groups []struct {
		Name  string
		Rules []rule
	}
}

type rule struct {
	Record, Alert, Expr, For string
	Labels, Annotations      map[string]string
}

func rules(t *testing.T) []rule {
	t.Helper()
	content, err := FS.ReadFile("alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file ruleFile
	if err := yaml.Unmarshal(content, &file); err != nil {
		t.Fatal(err)
	}
	var all []rule
	for _, group := range file.Groups {
		all = append(all, group.Rules...)
	}
	if len(all) == 0 {
		t.Fatal("no rules")
	}
	return all
}

func TestRulesAreComplete(t *testing.T) {
	for _, r := range rules(t) {
		if r.Record != "" {
			continue
		}
		t.Run(r.Alert+" "+r.Labels["severity"], func(t *testing.T) {
			if !strings.HasPrefix(r.Alert, "StaticPod") {
				t.Error("an alert's name begins with StaticPod")
			}
			if !slices.Contains([]string{"critical", "warning", "info"}, r.Labels["severity"]) {
				t.Errorf("severity %q", r.Labels["severity"])
			}
			if d, err := time.ParseDuration(r.For); err != nil || d < 30*time.Second {
				t.Errorf("for %q is less than two scrapes", r.For)
			}
			summary := r.Annotations["summary"]
			if summary == "" || !unicode.IsUpper(rune(summary[0])) || !strings.HasSuffix(summary, ".") || strings.Contains(summary, "{{") {
				t.Errorf("summary %q is not one sentence for all", summary)
			}
			if r.Annotations["description"] == "" || !strings.Contains(r.Expr, "absent(") && !strings.Contains(r.Annotations["description"], "$labels.instance") {
				t.Errorf("description %q does not name the node", r.Annotations["description"])
			}
		})
	}
}

var queries = regexp.MustCompile(`printf "((?:[^"\\]|\\.)*)"`)

// Every metric and label in an expression exists, those in annotations too.
func TestExpressions(t *testing.T) {
	vocabulary, err := metricstest.NewVocabulary()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rules(t) {
		if _, err := vocabulary.Check(r.Expr); err != nil {
			t.Errorf("%s%s: %v", r.Alert, r.Record, err)
		}
		if r.Record != "" {
			vocabulary[r.Record] = []string{"definition", "namespace", "pod"}
		}
		for _, match := range queries.FindAllStringSubmatch(r.Annotations["description"], -1) {
			format, err := strconv.Unquote(`"` + match[1] + `"`)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := vocabulary.Check(strings.ReplaceAll(format, "%q", `"x"`)); err != nil {
				t.Errorf("%s: description: %v", r.Alert, err)
			}
		}
	}
}

// The reasons that mean a refusal are those of the definition stage that are critical, and the kubelet's own.
func TestRefusals(t *testing.T) {
	want := []string{string(manifest.ManifestRejected), string(manifest.ListRejected)}
	for _, code := range status.Reasons() {
		if code.Stage == status.StageDefinition && code.Level == manifest.Critical {
			want = append(want, string(code.Reason))
		}
	}
	recorded := rules(t)[0]
	match := regexp.MustCompile(`reason=~"([^"]+)"`).FindStringSubmatch(recorded.Expr)
	if match == nil {
		t.Fatalf("no reasons in %s", recorded.Expr)
	}
	got := strings.Split(match[1], "|")
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%s has %v, want %v", recorded.Record, got, want)
	}
}

// Every other reason in an expression exists.
func TestReasons(t *testing.T) {
	for _, r := range rules(t) {
		for _, match := range regexp.MustCompile(`reason=~?"([^"]+)"`).FindAllStringSubmatch(r.Expr, -1) {
			for reason := range strings.SplitSeq(match[1], "|") {
				if !known(reason) {
					t.Errorf("%s: reason %s does not exist", cmp.Or(r.Alert, r.Record), reason)
				}
			}
		}
	}
}

func known(reason string) bool {
	return slices.ContainsFunc(status.Reasons(), func(c status.Code) bool { return string(c.Reason) == reason })
}

// A runbook is a section of docs/reasons.md, which has one for each reason, or of docs/metrics.md.
func TestRunbooks(t *testing.T) {
	const base = "https://github.com/staticpod-exporter/staticpod-exporter/blob/main/docs/"
	inputs := []collector.Input{collector.InputManifest, collector.InputKubelet, collector.InputRuntime, collector.InputLog, collector.InputMirror}
	content, err := os.ReadFile("../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	var sections []string
	for line := range strings.Lines(string(content)) {
		if title, ok := strings.CutPrefix(strings.TrimSpace(line), "## "); ok {
			sections = append(sections, strings.ReplaceAll(strings.ToLower(title), " ", "-"))
		}
	}
	for _, r := range rules(t) {
		if r.Record != "" {
			continue
		}
		url, err := template.New(r.Alert).Parse(`{{ $labels := . }}` + r.Annotations["runbook_url"])
		if err != nil {
			t.Fatal(err)
		}
		for _, input := range inputs {
			if r.Alert == "StaticPodInputDown" {
				both := input == collector.InputKubelet || input == collector.InputRuntime
				if both != (r.Labels["severity"] == "critical") {
					continue
				}
			}
			var out strings.Builder
			if err := url.Execute(&out, map[string]string{"input": string(input)}); err != nil {
				t.Fatal(err)
			}
			page, anchor, _ := strings.Cut(strings.TrimPrefix(out.String(), base), "#")
			found := false
			switch page {
			case "reasons.md":
				found = slices.ContainsFunc(status.Reasons(), func(c status.Code) bool { return strings.ToLower(string(c.Reason)) == anchor })
			case "metrics.md":
				found = slices.Contains(sections, anchor)
			}
			if !found {
				t.Errorf("%s: there is no section %s", r.Alert, &out)
			}
		}
	}
}

func TestPromtool(t *testing.T) {
	for _, args := range [][]string{
		{"check", "rules", "--lint=all", "--lint-fatal", "alerts.yaml"},
		{"test", "rules", "alerts_test.yaml"},
	} {
		if err := metricstest.Promtool(t, args...); err != nil {
			t.Error(err)
		}
	}
}

// For each alert and severity promtool tests that it fires, and for each alert that it is silent.
func TestEveryAlertIsTested(t *testing.T) {
	content, err := os.ReadFile("alerts_test.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Tests []struct {
			Cases []struct {
				Alert  string `yaml:"alertname"`
				Expect []struct {
					Labels map[string]string `yaml:"exp_labels"`
				} `yaml:"exp_alerts"`
			} `yaml:"alert_rule_test"`
		}
	}
	if err := yaml.Unmarshal(content, &file); err != nil {
		t.Fatal(err)
	}
	tested := map[string]bool{}
	for _, test := range file.Tests {
		for _, c := range test.Cases {
			if len(c.Expect) == 0 {
				tested[c.Alert+" silent"] = true
			}
			for _, alert := range c.Expect {
				tested[fmt.Sprintf("%s %s", c.Alert, alert.Labels["severity"])] = true
			}
		}
	}
	for _, r := range rules(t) {
		for _, how := range []string{r.Labels["severity"], "silent"} {
			if r.Alert != "" && !tested[r.Alert+" "+how] {
				t.Errorf("no test for %s %s", r.Alert, how)
			}
		}
	}
	if !strings.Contains(string(content), " stale\n") {
		t.Error("no test with a series that vanishes")
	}
}
