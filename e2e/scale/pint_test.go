package scale

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/staticpod-exporter/staticpod-exporter/e2e/programs"
)

// online has pint ask the Prometheus for every series of the rules. Not every reason can be had of a fleet, nor are its
// histograms scraped as native ones.
const online = `
prometheus "fleet" {
  uri      = %q
  required = true
}
check "promql/series" {
  ignoreMetrics     = ["staticpod_rollout_duration_seconds"]
  ignoreLabelsValue = {
    "staticpod_problem_start_timestamp_seconds"               = ["reason", "level"]
    "definition:staticpod_refused_start_timestamp_seconds:max" = ["namespace"]
    "pod:staticpod_not_ready:group"                            = ["namespace"]
  }
}
`

// pint holds the rules to the series of the fleet: each that they select exists, with the labels that they name.
func (f *fleet) pint() {
	f.Helper()
	binary, err := programs.EnsurePint(f.Context(), f.Output())
	f.must(err)
	config, err := os.ReadFile("../../alerts/pint.hcl")
	f.must(err)
	path := filepath.Join(f.TempDir(), "pint.hcl")
	f.must(os.WriteFile(path, fmt.Appendf(config, online, f.prometheus.URL()), 0o600))
	lint := func(files ...string) (string, error) {
		args := append([]string{"--config=" + path, "--enabled=promql/series", "--no-color", "--log-level=error", "lint", "--fail-on=bug"}, files...)
		out, err := exec.CommandContext(f.Context(), binary, args...).CombinedOutput()
		return string(out), err
	}
	if said, err := lint("../../alerts/alerts.yaml", "../../alerts/rules.yaml"); err != nil {
		f.Errorf("%v\n%s", err, said)
	}
	rules, err := os.ReadFile("../../alerts/rules.yaml")
	f.must(err)
	misspelt := filepath.Join(f.TempDir(), "rules.yaml")
	f.must(os.WriteFile(misspelt, []byte(strings.ReplaceAll(string(rules), "(staticpod_input_up)", "(staticpod_inputs_up)")), 0o600))
	if said, err := lint(misspelt); err == nil || !strings.Contains(said, "staticpod_inputs_up") {
		f.Errorf("a misspelt metric: %v\n%s", err, said)
	}
}
