package programs

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestCacheEntryAppearsWholeAndOnce(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	var mu sync.Mutex
	fills := 0
	fill := func(_ context.Context, dir string) error {
		mu.Lock()
		defer mu.Unlock()
		fills++
		return os.WriteFile(filepath.Join(dir, "program"), []byte("x"), 0o755)
	}
	var builders sync.WaitGroup
	for range 8 {
		builders.Go(func() {
			c, err := openCache(new(bytes.Buffer))
			if err != nil {
				t.Error(err)
				return
			}
			dir, err := c.entry(t.Context(), "tool-v1", fill)
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := os.Stat(filepath.Join(dir, "program")); err != nil {
				t.Error(err)
			}
		})
	}
	builders.Wait()
	if fills != 1 {
		t.Errorf("built %d times", fills)
	}

	c, err := openCache(new(bytes.Buffer))
	if err != nil {
		t.Fatal(err)
	}
	broken := errors.New("does not compile")
	if _, err := c.entry(t.Context(), "tool-v2", func(_ context.Context, dir string) error {
		return errors.Join(broken, fill(t.Context(), dir))
	}); !errors.Is(err, broken) {
		t.Errorf("a build that failed: %v", err)
	}
	left, err := os.ReadDir(c.dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range left {
		if name := entry.Name(); !strings.HasSuffix(name, ".lock") && !strings.HasPrefix(name, "tool-v1-") {
			t.Errorf("left behind: %s", name)
		}
	}
}

func TestBuilderWaitsForTheSameProgramAlone(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	said := make(heard, 1)
	first, err := openCache(said)
	if err != nil {
		t.Fatal(err)
	}
	lock, err := first.lock("tool-v1")
	if err != nil {
		t.Fatal(err)
	}
	fill := func(context.Context, string) error { return nil }
	if _, err := first.entry(t.Context(), "tool-v2", fill); err != nil {
		t.Error(err)
	}
	second := make(chan error)
	go func() {
		_, err := first.entry(t.Context(), "tool-v1", fill)
		second <- err
	}()
	if line := <-said; !strings.Contains(line, "builds tool-v1: waiting") {
		t.Errorf("it says %q", line)
	}
	lock.Close()
	if err := <-second; err != nil {
		t.Error(err)
	}
}

// heard hands on what is written to it.
type heard chan string

func (h heard) Write(line []byte) (int, error) {
	h <- string(line)
	return len(line), nil
}

func TestSourceKeyChangesWithTheSources(t *testing.T) {
	module := t.TempDir()
	write := func(name, content string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(module, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	key := func() string {
		t.Helper()
		k, err := sourceKey(module, ".")
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	write("a.go", "package a")
	before := key()
	write("a_test.go", "package a")
	if key() != before {
		t.Error("a test changed it")
	}
	write("a.go", "package b")
	if key() == before {
		t.Error("a source did not change it")
	}
}
