package programs

import (
	"context"
	"io"
	"path/filepath"
)

// EnsureCollector returns the path of an OpenTelemetry Collector that takes OTLP and writes it to files, and builds it
// before if there is none, as Ensure does for what a node runs.
func EnsureCollector(ctx context.Context, progress io.Writer) (string, error) {
	module, err := moduleDirectory(ctx)
	if err != nil {
		return "", err
	}
	c, err := openCache(progress)
	if err != nil {
		return "", err
	}
	version, err := required(filepath.Join(module, "otelcol"), "go.opentelemetry.io/collector/otelcol")
	if err != nil {
		return "", err
	}
	dir, err := c.entry(ctx, "otelcol-"+version, func(ctx context.Context, dir string) error {
		b := build{module: filepath.Join(module, "otelcol"), what: "the OpenTelemetry Collector " + version, packages: ".", static: true}
		return b.run(ctx, dir, progress)
	})
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, "otelcol"), nil
}
