package programs

import (
	"context"
	"io"
	"path/filepath"
)

// EnsurePint returns the path of pint, which compares rules with what a Prometheus has, and builds it before if there is
// none.
func EnsurePint(ctx context.Context, progress io.Writer) (string, error) {
	module, err := moduleDirectory(ctx)
	if err != nil {
		return "", err
	}
	c, err := openCache(progress)
	if err != nil {
		return "", err
	}
	const pint = "github.com/cloudflare/pint"
	version, err := required(filepath.Join(module, "pint"), pint)
	if err != nil {
		return "", err
	}
	dir, err := c.entry(ctx, "pint-"+version, func(ctx context.Context, dir string) error {
		b := build{module: filepath.Join(module, "pint"), what: "pint " + version, packages: pint + "/cmd/pint", static: true}
		return b.run(ctx, dir, progress)
	})
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, "pint"), nil
}
