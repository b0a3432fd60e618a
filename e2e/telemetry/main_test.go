package telemetry

import (
	"context"
	"fmt"
	"io"
	"os"
	"testing"

	"github.com/staticpod-exporter/staticpod-exporter/e2e/exporter"
)

// binary is the exporter's program, built from this repository.
var binary string

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	dir, err := os.MkdirTemp("", "telemetry-*")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	if binary, err = exporter.Build(context.Background(), dir, false); err != nil {
		return 1, err
	}
	return m.Run(), nil
}

// launch runs an exporter in observing mode with variables in its environment, until the test ends.
func launch(t testing.TB, log io.Writer, flags []string, env ...string) *exporter.Exporter {
	t.Helper()
	e, err := exporter.New(exporter.Options{Binary: binary, StateDirectory: t.TempDir(), Flags: flags, Env: env, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Kill)
	if err := e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return e
}
