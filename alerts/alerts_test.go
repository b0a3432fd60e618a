package alerts

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"

	"go.yaml.in/yaml/v3"

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
	KeepFiringFor            string `yaml:"keep_firing_for"`
	Labels, Annotations      map[string]string
}

func rules(t *testing.T) []rule {
	t.Helper()
	return rulesOf(t, "alerts.yaml")
}

func rulesOf(t *testing.T, name string) []rule {
	t.Helper()
	content, err := FS.ReadFile(name)
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
			if kept, err := time.ParseDuration(r.KeepFiringFor); r.Labels["severity"] == "critical" && (err != nil || kept < 2*time.Minute) {
				t.Errorf("keep_firing_for %q: a scrape that fails ends the page, and begins it anew", r.KeepFiringFor)
			}
			summary := r.Annotations["summary"]
			if summary == "" || !unicode.IsUpper(rune(summary[0])) || !strings.HasSuffix(summary, ".") || strings.Contains(summary, "{{") {
				t.Errorf("summary %q is not one sentence for all", summary)
			}
			where := "$labels.instance"
			if strings.HasPrefix(r.Alert, "StaticPodFleet") {
				where = "$labels.job"
			}
			if r.Annotations["description"] == "" || !strings.Contains(r.Expr, "absent(") && !strings.Contains(r.Annotations["description"], where) {
				t.Errorf("description %q does not say where", r.Annotations["description"])
			}
		})
	}
}

var (
	queries = regexp.MustCompile(`printf "((?:[^"\\]|\\.)*)"`)
	reasons = regexp.MustCompile(`reason=~?"([^"]+)"`)
)

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

// So it is with records, of which each is called by the labels that it keeps.
func TestRecords(t *testing.T) {
	vocabulary, err := metricstest.NewVocabulary()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rulesOf(t, "rules.yaml") {
		if _, err := vocabulary.Check(r.Expr); err != nil {
			t.Errorf("%s: %v", r.Record, err)
		}
		kept := regexp.MustCompile(`^\w+ by \(([^)]*)\)`).FindStringSubmatch(r.Expr)
		if kept == nil || r.Alert != "" {
			t.Fatalf("%s is no aggregation", cmp.Or(r.Record, r.Alert))
		}
		level, _, _ := strings.Cut(r.Record, ":")
		if level != "instance" && level != strings.ReplaceAll(kept[1], ", ", "_") {
			t.Errorf("%s keeps %s", r.Record, kept[1])
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
		for _, match := range reasons.FindAllStringSubmatch(r.Expr, -1) {
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

const base = "https://github.com/staticpod-exporter/staticpod-exporter/blob/main/docs/runbooks.md#"

// Every alert has its section among the runbooks, which says all that it has to, and every section its alert.
func TestRunbooks(t *testing.T) {
	content, err := os.ReadFile("../docs/runbooks.md")
	if err != nil {
		t.Fatal(err)
	}
	sections := map[string]string{}
	for _, section := range strings.Split(string(content), "\n### ")[1:] {
		title, text, _ := strings.Cut(section, "\n")
		text, _, _ = strings.Cut(text, "\n## ")
		sections[title] = text
	}
	alerts := map[string]bool{}
	for _, r := range rules(t) {
		if r.Alert == "" {
			continue
		}
		alerts[r.Alert] = true
		if want := base + strings.ToLower(r.Alert); r.Annotations["runbook_url"] != want {
			t.Errorf("%s: runbook_url %q, want %q", r.Alert, r.Annotations["runbook_url"], want)
		}
		for _, part := range []string{"*" + r.Labels["severity"] + "*", "- **Confirm**", "- **Mostly**", "- **Mend**", "- **Do not**"} {
			if !strings.Contains(sections[r.Alert], part) {
				t.Errorf("the runbook of %s does not say %s", r.Alert, part)
			}
		}
	}
	for title := range sections {
		if !alerts[title] {
			t.Errorf("the runbook %s is of no alert", title)
		}
	}
}

// A dashboard is opened with all that the alert knows of its variables: else it shows the first job there is, in which the
// node may not be.
func TestDashboardsShowWhatTheAlertIsAbout(t *testing.T) {
	for _, r := range rules(t) {
		if r.Alert == "" {
			continue
		}
		path, query, _ := strings.Cut(r.Annotations["dashboard_url"], "?")
		content, err := os.ReadFile("../dashboards/" + strings.TrimPrefix(path, "/d/staticpod-") + ".json")
		if err != nil {
			t.Errorf("%s: %v", r.Alert, err)
			continue
		}
		for _, label := range []string{"job", "instance"} {
			wanted := strings.Contains(string(content), `"name": "`+label+`"`) && !strings.Contains(r.Expr, "absent(")
			if given := strings.Contains(query, "var-"+label+"={{ $labels."+label+" | urlquery }}"); given != wanted {
				t.Errorf("%s: %s: the variable %s is given: %t, want %t", r.Alert, r.Annotations["dashboard_url"], label, given, wanted)
			}
		}
	}
}

// The document says of every reason which alert it leads to, and the rules agree.
func TestReasonsLeadToAlerts(t *testing.T) {
	content, err := os.ReadFile("../docs/runbooks.md")
	if err != nil {
		t.Fatal(err)
	}
	said := map[string]string{}
	for _, row := range regexp.MustCompile(`(?m)^\| \[(\w+)\]\(reasons\.md#(\w+)\) \| (.+) \|$`).FindAllStringSubmatch(string(content), -1) {
		if said[row[1]] = row[3]; strings.ToLower(row[1]) != row[2] {
			t.Errorf("%s is linked to #%s", row[1], row[2])
		}
	}
	for _, code := range status.Reasons() {
		if said[string(code.Reason)] == "" {
			t.Errorf("which alert %s leads to is not said", code.Reason)
		}
	}
	records, names := map[string]string{}, []string{"none"}
	for _, r := range rules(t) {
		if r.Record != "" {
			records[r.Record] = r.Expr
			continue
		}
		names = append(names, r.Alert)
		selected := r.Expr
		for record, expr := range records {
			if strings.HasPrefix(strings.TrimLeft(selected, "( \n"), record) {
				selected = expr
			}
		}
		selected, _, _ = strings.Cut(selected, "unless") // what comes after that is not what it is about
		for _, match := range reasons.FindAllStringSubmatch(selected, -1) {
			for reason := range strings.SplitSeq(match[1], "|") {
				if !strings.Contains(said[reason], r.Alert) {
					t.Errorf("%s leads to %s, and is said to lead to: %s", reason, r.Alert, said[reason])
				}
			}
		}
	}
	for reason, alert := range said {
		if !known(reason) || !slices.ContainsFunc(names, func(name string) bool { return strings.HasPrefix(alert, name) }) {
			t.Errorf("%s: %s", reason, alert)
		}
	}
}

// In the recipe what is wrong with one job silences no alert on another: there may be fleets beside a control plane.
func TestInhibitionIsOfOneJob(t *testing.T) {
	content, err := os.ReadFile("../docs/runbooks.md")
	if err != nil {
		t.Fatal(err)
	}
	_, recipe, _ := strings.Cut(string(content), "\ninhibit_rules:\n")
	recipe, _, _ = strings.Cut(recipe, "```")
	var inhibitions []struct {
		Source []string `yaml:"source_matchers"`
		Target []string `yaml:"target_matchers"`
		Equal  []string `yaml:"equal"`
	}
	if err := yaml.Unmarshal([]byte(recipe), &inhibitions); err != nil || len(inhibitions) == 0 {
		t.Fatalf("%d inhibitions: %v", len(inhibitions), err)
	}
	for _, i := range inhibitions {
		ofAll := i.Source[0] == `alertname="StaticPodExporterAbsent"`
		ofOthers := !strings.Contains(i.Target[0], "StaticPod") // which have a job of their own
		if !ofAll && !ofOthers && !slices.Contains(i.Equal, "job") {
			t.Errorf("%s inhibits %s of any job", i.Source, i.Target)
		}
	}
}

func TestPromtool(t *testing.T) {
	for _, args := range [][]string{
		{"check", "rules", "--lint=all", "--lint-fatal", "alerts.yaml", "rules.yaml"},
		{"test", "rules", "alerts_test.yaml"},
	} {
		if err := metricstest.Promtool(t, args...); err != nil {
			t.Error(err)
		}
	}
}

// Pint finds nothing in the rules, and in rules with a mistake it finds the mistake.
func TestPint(t *testing.T) {
	if err := pint(t, "alerts.yaml", "rules.yaml"); err != nil {
		t.Error(err)
	}
	for _, mistake := range []struct{ file, right, wrong, found string }{
		{"alerts.yaml", "count by (job) (up == 0) >=", "count by (instance) (up == 0) >=", "promql/impossible"},
		{"alerts.yaml", "staticpod_input_up{input!~\"kubelet|runtime\"}", "staticpod_input_up{input!~\"kubelet\"}", "promql/regexp"},
		{"alerts.yaml", "max by (job, instance) (\n            staticpod_input_last", "max by (job) (\n            staticpod_input_last", "alerts/template"},
		{"alerts.yaml", "severity: info", "severity: notice", "rule/label"},
		{"alerts.yaml", "runbook_url:", "runbook:", "alerts/annotation"},
		{"alerts.yaml", "for: 30s", "for: 15s", "rule/for"},
		{"rules.yaml", "count by (job) (staticpod_ready)", "count(staticpod_ready)", "promql/aggregate"},
	} {
		content, err := FS.ReadFile(mistake.file)
		if err != nil {
			t.Fatal(err)
		}
		faulty := filepath.Join(t.TempDir(), mistake.file)
		if err := os.WriteFile(faulty, []byte(strings.Replace(string(content), mistake.right, mistake.wrong, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := pint(t, faulty); err == nil || !strings.Contains(err.Error(), "("+mistake.found+")") {
			t.Errorf("%s for %s: want %s found, got %v", mistake.wrong, mistake.right, mistake.found, err)
		}
	}
}

func pint(t *testing.T, files ...string) error {
	t.Helper()
	args := []string{"--config=pint.hcl", "--offline", "--no-color", "--log-level=error", "lint", "--min-severity=info", "--fail-on=info"}
	return metricstest.Pint(t, append(args, files...)...)
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
