package programs

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
)

// EnsureDebian returns a directory with the files of a package of Debian below it. The package is unpacked, once, into the
// user's cache and not installed: none of its services starts, and nothing of the machine changes. Its libraries
// have to be there, which a program written in Go does not need.
func EnsureDebian(ctx context.Context, progress io.Writer, name string) (string, error) {
	c, err := openCache(progress)
	if err != nil {
		return "", err
	}
	return c.entry(ctx, "debian-"+name, func(ctx context.Context, dir string) error {
		fmt.Fprintf(progress, "%s: fetching Debian's package, once\n", name)
		if err := unpack(ctx, name, dir); err != nil {
			return fmt.Errorf("package %s of Debian: %w", name, err)
		}
		return nil
	})
}

// unpack fetches a package and unpacks it into dir.
func unpack(ctx context.Context, name, dir string) error {
	lock, err := lockPackages()
	if err != nil {
		return err
	}
	defer lock.Close()
	download, err := os.MkdirTemp("", "staticpod-exporter-package-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(download)
	for _, args := range [][]string{{"apt-get", "update"}, {"apt-get", "download", name}} {
		if err := packages(ctx, download, args...); err != nil {
			return err
		}
	}
	files, err := filepath.Glob(filepath.Join(download, "*.deb"))
	if err != nil || len(files) != 1 {
		return fmt.Errorf("apt-get download left %q: %w", files, err)
	}
	return packages(ctx, download, "dpkg-deb", "--extract", files[0], dir)
}

// packages runs a tool of Debian's in a directory.
func packages(ctx context.Context, dir string, args ...string) error {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w\n%s", args[0], args[1], err, out)
	}
	return nil
}
