package get

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
	dir, err := os.MkdirTemp("", "get-*")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	if binary, err = exporter.Build(context.Background(), dir, false); err != nil {
		return 1, err
	}
	return m.Run(), nil
}
