package manifest

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// A file may go at any moment between its being listed and its being read: it is then not there, and not unreadable.
func TestReadingWhileFilesAreRenamed(t *testing.T) {
	dir := t.TempDir()
	one, other := filepath.Join(dir, "a.yaml"), filepath.Join(dir, "b.yaml")
	if err := os.WriteFile(one, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	defer func() { close(stop); <-stopped }()
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
			}
			if errors.Join(os.Rename(one, other), os.Rename(other, one)) != nil {
				return
			}
		}
	}()
	v := NewValidator(Rules{Node: "node1"})
	for range 3000 {
		files, err := v.readDirectory(dir, dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if errors.Is(f.err, fs.ErrNotExist) {
				t.Fatalf("of the kubelet's directory: %v", f.err)
			}
		}
		if f, ok := readSource(one); ok && f.err != nil {
			t.Fatalf("of our own: %v", f.err)
		}
	}
}
