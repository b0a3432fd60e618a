package metricstest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// Promtool runs Prometheus' own tool. It returns what the tool said when it fails.
func Promtool(t testing.TB, args ...string) error {
	t.Helper()
	return run(t, "promtool", args...)
}

// Pint runs a tool that knows more mistakes in rules than promtool does. It returns what the tool said when it fails.
func Pint(t testing.TB, args ...string) error {
	t.Helper()
	return run(t, "pint", args...)
}

// run finds a tool that `make test` builds: at the path in the variable of its name, else on the PATH, else in the
// user's cache.
func run(t testing.TB, name string, args ...string) error {
	t.Helper()
	variable := strings.ToUpper(name)
	tool := os.Getenv(variable)
	if path, err := exec.LookPath(name); tool == "" && err == nil {
		tool = path
	}
	if tool == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			t.Fatal(err)
		}
		built := filepath.Join(cache, "staticpod-exporter", "bin", name+"-*")
		found, err := filepath.Glob(built)
		found = slices.DeleteFunc(found, func(path string) bool { // what the tests on the real node keep is in directories
			info, err := os.Stat(path)
			return err != nil || !info.Mode().IsRegular()
		})
		if err != nil || len(found) == 0 {
			t.Fatalf("no %s in $%s, on the PATH or at %s: make test builds it", name, variable, built)
		}
		tool = slices.Max(found)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute) // on a machine that is busy with other things
	defer cancel()
	if out, err := exec.CommandContext(ctx, tool, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, out)
	}
	return nil
}
