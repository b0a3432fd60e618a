package alerting

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/staticpod-exporter/staticpod-exporter/e2e/programs"
)

// The rules are those of any Prometheus in use: Debian's is years older than the one that `make unit` checks them with.
func TestOlderPrometheus(t *testing.T) {
	root, err := programs.EnsureDebian(t.Context(), t.Output(), "prometheus")
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"check", "rules", "--lint=all", "--lint-fatal", "alerts.yaml", "rules.yaml"},
		{"test", "rules", "alerts_test.yaml"},
	} {
		promtool := exec.CommandContext(t.Context(), filepath.Join(root, "usr/bin/promtool"), args...)
		promtool.Dir = "../../alerts"
		if out, err := promtool.CombinedOutput(); err != nil {
			t.Errorf("promtool %v: %v\n%s", args, err, out)
		}
	}
}
