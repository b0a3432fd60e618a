package programs

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
)

// cache is a directory of built programs, one directory per version of them, that appears whole or not at all.
type cache struct {
	dir      string
	progress io.Writer
}

func openCache(progress io.Writer) (*cache, error) {
	home, err := os.UserCacheDir()
	if err != nil {
		return nil, fmt.Errorf("cache of programs: %w", err)
	}
	dir := filepath.Join(home, "staticpod-exporter", "bin")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("cache of programs: %w", err)
	}
	return &cache{dir: dir, progress: progress}, nil
}

// entry returns the directory of that version, which fill fills when there is none. Of several processes that want the
// same version one fills it; who wants others does not wait for them.
func (c *cache) entry(ctx context.Context, version string, fill func(ctx context.Context, dir string) error) (string, error) {
	dir := filepath.Join(c.dir, version+"-"+platform)
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	lock, err := c.lock(version)
	if err != nil {
		return "", fmt.Errorf("cache of programs: %w", err)
	}
	defer lock.Close()
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	unfinished, err := os.MkdirTemp(c.dir, ".new-*")
	if err != nil {
		return "", fmt.Errorf("cache of programs: %w", err)
	}
	defer os.RemoveAll(unfinished)
	if err := os.Chmod(unfinished, 0o755); err != nil {
		return "", fmt.Errorf("cache of programs: %w", err)
	}
	if err := fill(ctx, unfinished); err != nil {
		return "", err
	}
	if err := os.Rename(unfinished, dir); err != nil {
		return "", fmt.Errorf("cache of programs: %w", err)
	}
	return dir, nil
}

// lock keeps other builders from a version until it is closed. Its file stays.
func (c *cache) lock(version string) (*os.File, error) {
	lock, err := os.OpenFile(filepath.Join(c.dir, "."+version+"-"+platform+".lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		fmt.Fprintf(c.progress, "another process builds %s: waiting for it\n", version)
		for err = syscall.EINTR; errors.Is(err, syscall.EINTR); {
			err = syscall.Flock(int(lock.Fd()), syscall.LOCK_EX)
		}
	}
	if err != nil {
		lock.Close()
		return nil, fmt.Errorf("lock: %w", err)
	}
	return lock, nil
}

// sourceKey names the state of the sources of our own programs.
func sourceKey(module string, roots ...string) (string, error) {
	sum := sha256.New()
	fmt.Fprintln(sum, runtime.Version())
	for _, root := range roots {
		err := filepath.WalkDir(filepath.Join(module, root), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || strings.HasSuffix(path, "_test.go") {
				return err
			}
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			fmt.Fprintf(sum, "%s %d\n%s", filepath.Base(path), len(content), content)
			return nil
		})
		if err != nil {
			return "", fmt.Errorf("sources of the node's programs: %w", err)
		}
	}
	return hex.EncodeToString(sum.Sum(nil)[:6]), nil
}
