package programs

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
)

// EnsureGrafana returns a directory with what draws a dashboard in a browser: draw.js and draw.css, made of grafana/draw.jsx
// and Grafana's own libraries, and icons. The libraries come from npm, at the versions and with the checksums of
// grafana/package-lock.json.
func EnsureGrafana(ctx context.Context, progress io.Writer) (string, error) {
	module, err := moduleDirectory(ctx)
	if err != nil {
		return "", err
	}
	c, err := openCache(progress)
	if err != nil {
		return "", err
	}
	key, err := sourceKey(module, "grafana")
	if err != nil {
		return "", err
	}
	return c.entry(ctx, "grafana-"+key, func(ctx context.Context, into string) error {
		fmt.Fprintln(progress, "Grafana's libraries: fetching, once (some minutes)")
		dir, err := os.MkdirTemp(c.dir, ".npm-*")
		if err != nil {
			return fmt.Errorf("grafana: %w", err)
		}
		defer os.RemoveAll(dir) // of 600 MB a hundredth is needed
		if err := fetch(ctx, filepath.Join(module, "grafana"), dir); err != nil {
			return fmt.Errorf("grafana: %w", err)
		}
		esbuild := exec.CommandContext(ctx, filepath.Join(dir, "node_modules", ".bin", "esbuild"), "draw.jsx", "--bundle", "--minify",
			"--jsx=automatic", `--define:process.env.NODE_ENV="production"`, "--outfile="+filepath.Join(into, "draw.js"),
			"--loader:.svg=dataurl", "--loader:.woff2=dataurl", "--loader:.ttf=empty")
		esbuild.Dir = dir
		if out, err := esbuild.CombinedOutput(); err != nil {
			return fmt.Errorf("grafana: esbuild: %w\n%s", err, out)
		}
		icons := filepath.Join(dir, "node_modules", "@grafana", "ui", "dist", "public", "img", "icons")
		if err := os.CopyFS(filepath.Join(into, "icons"), os.DirFS(icons)); err != nil {
			return fmt.Errorf("grafana: icons: %w", err)
		}
		return nil
	})
}
