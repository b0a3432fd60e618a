package containerlog

import (
	"bytes"
	"io"
	"path/filepath"
	"strings"
	"testing"
)

// BenchmarkPrint holds printing a log, and its last lines, against finding its lines.
func BenchmarkPrint(b *testing.B) {
	path := filepath.Join(b.TempDir(), "0.log")
	line := stamp(1) + " stdout F " + strings.Repeat("something that a container has to say ", 3) + "\n"
	content := strings.Repeat(line, 32<<20/len(line))
	write(b, path, content)
	print := func(o Options) func(b *testing.B) {
		return func(b *testing.B) {
			b.SetBytes(int64(len(content)))
			for b.Loop() {
				l := Open(path)
				if err := l.Print(NewPrinter(io.Discard, o)); err != nil {
					b.Fatal(err)
				}
				l.Close()
			}
		}
	}
	b.Run("lines", func(b *testing.B) {
		b.SetBytes(int64(len(content)))
		for b.Loop() {
			n := 0
			for rest := []byte(content); len(rest) > 0; n++ {
				_, rest, _ = bytes.Cut(rest, []byte("\n"))
			}
		}
	})
	b.Run("all", print(Options{Tail: -1}))
	b.Run("raw", print(Options{Tail: -1, Raw: true}))
	b.Run("tail", print(Options{Tail: 10}))
}
