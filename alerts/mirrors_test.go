package alerts

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/staticpod-exporter/staticpod-exporter/observe/metrics/metricstest"
)

// The rules of docs/operations.md, which join with kube-state-metrics and so cannot be among ours, find what they say.
func TestMirrorRulesOfTheDocument(t *testing.T) {
	document, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(document), "```yaml\ngroups:\n")
	block, _, ok := strings.Cut(rest, "```\n")
	if !ok {
		t.Fatal("there are no rules in it")
	}
	tests, err := os.ReadFile("testdata/mirrors_test.yaml")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, content := range map[string]string{"mirrors.yaml": "groups:\n" + block, "mirrors_test.yaml": string(tests)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := metricstest.Promtool(t, "test", "rules", filepath.Join(dir, "mirrors_test.yaml")); err != nil {
		t.Error(err)
	}
}
