package programs

import (
	"context"
	"io"
	"path/filepath"
	"strings"
)

// EnsurePrometheus returns the path of a Prometheus, and builds it before if there is none, as Ensure does for what a node
// runs: minutes the first time. It discovers no targets but those that its configuration or a file names.
func EnsurePrometheus(ctx context.Context, progress io.Writer) (string, error) {
	module, err := moduleDirectory(ctx)
	if err != nil {
		return "", err
	}
	c, err := openCache(progress)
	if err != nil {
		return "", err
	}
	const prometheus = "github.com/prometheus/prometheus"
	version, err := required(filepath.Join(module, "prometheus"), prometheus)
	if err != nil {
		return "", err
	}
	dir, err := c.entry(ctx, "prometheus-"+version, func(ctx context.Context, dir string) error {
		b := build{module: filepath.Join(module, "prometheus"), what: "Prometheus " + version, packages: prometheus + "/cmd/prometheus",
			tags: "remove_all_sd", ldflags: "-X github.com/prometheus/common/version.Version=" + strings.TrimPrefix(version, "v"), static: true}
		return b.run(ctx, dir, progress)
	})
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, "prometheus"), nil
}
