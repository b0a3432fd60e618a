package programs

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
)

// Browser are the paths of what looks at the page.
type Browser struct {
	Chromium string
	Fonts    string // the directory of Inter, in which pictures are the same everywhere
	Axe      string // axe-core, a script that audits a page's accessibility
}

// EnsureBrowser returns what looks at the page. Chromium and the font are Debian's and are installed when they are
// missing, as root; axe-core comes from npm, at the version and with the checksum of axe/package-lock.json.
func EnsureBrowser(ctx context.Context, progress io.Writer) (Browser, error) {
	module, err := moduleDirectory(ctx)
	if err != nil {
		return Browser{}, err
	}
	b := Browser{Fonts: "/usr/share/fonts/opentype/inter"}
	find := func() bool {
		b.Chromium, _ = exec.LookPath("chromium")
		_, err := os.Stat(b.Fonts)
		return b.Chromium != "" && err == nil
	}
	if !find() {
		fmt.Fprintln(progress, "installing Chromium")
		if err := Install(ctx, "chromium", "fonts-inter", "fonts-dejavu-core"); err != nil {
			return Browser{}, fmt.Errorf("chromium: %w", err)
		}
		if !find() {
			return Browser{}, fmt.Errorf("after their installation: chromium at %q, its font not in %s", b.Chromium, b.Fonts)
		}
	}
	b.Axe, err = ensureAxe(ctx, filepath.Join(module, "axe"), progress)
	return b, err
}

// EnsurePngquant returns the path of Debian's pngquant, which makes pictures small, and installs it when it is missing, as root.
func EnsurePngquant(ctx context.Context, progress io.Writer) (string, error) {
	if path, err := exec.LookPath("pngquant"); err == nil {
		return path, nil
	}
	fmt.Fprintln(progress, "installing pngquant")
	if err := Install(ctx, "pngquant"); err != nil {
		return "", fmt.Errorf("pngquant: %w", err)
	}
	return exec.LookPath("pngquant")
}

// ensureAxe has npm fetch what the lock file in dir names.
func ensureAxe(ctx context.Context, dir string, progress io.Writer) (string, error) {
	content, err := os.ReadFile(filepath.Join(dir, "package.json"))
	if err != nil {
		return "", fmt.Errorf("axe-core: %w", err)
	}
	var manifest struct{ Dependencies map[string]string }
	if err := json.Unmarshal(content, &manifest); err != nil {
		return "", fmt.Errorf("axe-core: %w", err)
	}
	version := manifest.Dependencies["axe-core"]
	c, err := openCache(progress)
	if err != nil {
		return "", err
	}
	entry, err := c.entry(ctx, "axe-core-"+version, func(ctx context.Context, into string) error {
		fmt.Fprintf(progress, "axe-core %s: fetching, once\n", version)
		return fetch(ctx, dir, into)
	})
	if err != nil {
		return "", fmt.Errorf("axe-core: %w", err)
	}
	return filepath.Join(entry, "node_modules", "axe-core", "axe.min.js"), nil
}

// fetch has npm fetch what the lock file in dir names, and copies dir beside it.
func fetch(ctx context.Context, dir, into string) error {
	if _, err := exec.LookPath("npm"); err != nil {
		if err := Install(ctx, "npm"); err != nil {
			return fmt.Errorf("npm: %w", err)
		}
	}
	if err := os.CopyFS(into, os.DirFS(dir)); err != nil {
		return err
	}
	npm := exec.CommandContext(ctx, "npm", "ci", "--ignore-scripts", "--legacy-peer-deps", "--no-audit", "--no-fund", "--no-update-notifier")
	npm.Dir = into
	if out, err := npm.CombinedOutput(); err != nil {
		return fmt.Errorf("npm ci: %w\n%s", err, out)
	}
	return nil
}
