package logs

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/staticpod-exporter/staticpod-exporter/e2e/exporter"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/node"
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
	if err := node.Check(); err != nil {
		return 1, err
	}
	dir, err := os.MkdirTemp("", "logs-*")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil { // one scenario is played by somebody who is not root
		return 1, err
	}
	if binary, err = exporter.Build(context.Background(), dir, false); err != nil {
		return 1, err
	}
	return m.Run(), nil
}
