package report

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/staticpod-exporter/staticpod-exporter/collector/status"
	"github.com/staticpod-exporter/staticpod-exporter/manifest"
)

func sample(t *testing.T) *Report {
	return &Report{
		Tool: Tool{"staticpod-exporter", "1.2.3"}, Files: 2, Base: t.TempDir(),
		Pods: []Pod{{"default", "a", "pods/a.yaml", 1, false}},
		Problems: []manifest.Problem{
			{Reason: manifest.ManifestInvalid, Level: manifest.Critical, Message: "spec.containers:\n  Required value", Path: "pods/a.yaml", Line: 2, Column: 1, Field: "spec.containers"},
			{Reason: manifest.UnknownField, Level: manifest.Warning, Message: `unknown field "\x1b[31m"`, Path: "pods/a.yaml", Line: 2, Column: 9, Field: "x"},
			{Reason: manifest.StrayFile, Level: manifest.Warning, Message: "stray", Path: "pods/below"},
			{Reason: "FromTheFuture", Level: manifest.Info, Message: "new: \x1b[31m", Path: Stdin, Line: 1},
		},
		Sources: map[string][]byte{"pods/a.yaml": []byte("kind: Pod\nspec: {}\n"), Stdin: []byte("a\n")},
	}
}

func TestText(t *testing.T) {
	r := sample(t)
	var b strings.Builder
	if err := r.Text(&b, false); err != nil {
		t.Fatal(err)
	}
	want := `pods/a.yaml:2:1: critical: spec.containers: Required value [ManifestInvalid]
    2 | spec: {}
      | ^~~~
pods/a.yaml:2:9: warning: unknown field "\x1b[31m" [UnknownField]
    2 | spec: {}
      |         ^
pods/below: warning: stray [StrayFile]
<stdin>:1:1: info: new: \x1b[31m [FromTheFuture]
`
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", b.String(), want)
	}
	if got := r.Summary(); got != "2 files, 1 pod: 1 critical, 2 warnings" {
		t.Error(got)
	}

	// Colours change nothing but the colours.
	var painted strings.Builder
	if err := r.Text(&painted, true); err != nil {
		t.Fatal(err)
	}
	plain := painted.String()
	for _, code := range []string{"0", "1", "2", "31", "33"} {
		if !strings.Contains(plain, "\x1b["+code+"m") {
			t.Errorf("colour %s is missing", code)
		}
		plain = strings.ReplaceAll(plain, "\x1b["+code+"m", "")
	}
	if plain != want {
		t.Errorf("without its colours it is\n%s", plain)
	}
}

func TestGitHub(t *testing.T) {
	r := sample(t)
	r.Problems = append(r.Problems, manifest.Problem{Reason: "X", Level: manifest.Critical, Message: "100%", Path: filepath.Join(r.Base, "a,b:c.yaml"), Line: 3})
	r.Unreadable = []Unreadable{{"b", "b:\ngone"}}
	var b strings.Builder
	if err := r.GitHub(&b); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
	for i, want := range []string{
		"::error file=", "::warning file=", "::warning file=", "::notice file=<stdin>,line=1,col=1,title=FromTheFuture::new: \x1b[31m",
		"::error file=a%2Cb%3Ac.yaml,line=3,col=1,title=X::100%25", "::error title=not readable::b:%0Agone",
	} {
		if i >= len(lines) || !strings.HasPrefix(lines[i], want) {
			t.Errorf("line %d is not %q: %q", i, want, lines)
		}
	}
}

// TestSARIF holds what the standard's schema does not: that rules and results belong together, and fingerprints tell
// problems apart and stay when other lines change.
func TestSARIF(t *testing.T) {
	read := func(r *Report) sarifRun {
		t.Helper()
		var b strings.Builder
		if err := r.SARIF(&b); err != nil {
			t.Fatal(err)
		}
		var log sarifLog
		if err := json.Unmarshal([]byte(b.String()), &log); err != nil {
			t.Fatal(err)
		}
		if len(log.Runs) != 1 || log.Version != "2.1.0" {
			t.Fatalf("%+v", log)
		}
		return log.Runs[0]
	}
	r := sample(t)
	r.Problems = append(r.Problems, r.Problems[0])
	run := read(r)
	prints := map[string]bool{}
	for i, result := range run.Results {
		rule := run.Tool.Driver.Rules[result.RuleIndex]
		if rule.ID != result.RuleID || rule.HelpURI != documentation+"#"+strings.ToLower(rule.ID) || rule.ShortDescription.Text == "" || rule.Help.Text == "" || rule.FullDescription.Text == "" {
			t.Errorf("result %d: %+v", i, rule)
		}
		print := result.PartialFingerprints["problem/v1"]
		if prints[print] {
			t.Errorf("result %d has the fingerprint of another", i)
		}
		prints[print] = true
	}
	if got := run.Results[3].Level + " " + run.Results[0].Level + " " + run.Results[1].Level; got != "note error warning" {
		t.Error(got)
	}
	moved := sample(t)
	moved.Base = r.Base
	moved.Problems[0].Line, moved.Problems[0].Message = 40, "Required value, really"
	if read(moved).Results[0].PartialFingerprints["problem/v1"] != run.Results[0].PartialFingerprints["problem/v1"] {
		t.Error("the fingerprint depends on the line")
	}
	if region := run.Results[2].Locations[0].PhysicalLocation.Region; region != nil {
		t.Errorf("a problem of a directory is at %+v", region)
	}
}

// Every reason has what a rule needs.
func TestReasonsHaveHelp(t *testing.T) {
	for _, c := range status.Reasons() {
		if code(c.Reason).Meaning != c.Meaning || remedy(c.Reason) == "" {
			t.Errorf("%s: %+v, %q", c.Reason, code(c.Reason), remedy(c.Reason))
		}
	}
}
