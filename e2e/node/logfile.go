package node

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"sync"
)

// A LogFile is the file that a service logs to. It receives whole lines only, and can be rotated in the ways
// that system administrators do it.
type LogFile struct {
	path string

	mu   sync.Mutex
	file *os.File
	rest []byte // of a line that is not yet whole
}

func openLog(path string) (*LogFile, error) {
	l := &LogFile{path: path}
	return l, l.open()
}

func (l *LogFile) open() error {
	file, err := os.OpenFile(l.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o640)
	if err != nil {
		return fmt.Errorf("log: %w", err)
	}
	if l.file != nil {
		l.file.Close()
	}
	l.file = file
	return nil
}

// Path returns the file's path, the same over rotations.
func (l *LogFile) Path() string { return l.path }

// Write appends the lines of content.
func (l *LogFile) Write(content []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return 0, os.ErrClosed
	}
	l.rest = append(l.rest, content...)
	end := bytes.LastIndexByte(l.rest, '\n') + 1
	if end == 0 {
		return len(content), nil
	}
	if _, err := l.file.Write(l.rest[:end]); err != nil {
		return 0, err
	}
	l.rest = append(l.rest[:0], l.rest[end:]...)
	return len(content), nil
}

// Rename moves the file away, to its path with suffix, and leaves the writer with it: what comes lands there
// until Reopen. That is the moment in which a logrotate without copytruncate runs its postrotate script.
func (l *LogFile) Rename(suffix string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return os.Rename(l.path, l.path+suffix)
}

// Reopen makes the writer go on in a file at the old path.
func (l *LogFile) Reopen() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.open()
}

// Rotate is Rename and Reopen, with no line between them.
func (l *LogFile) Rotate(suffix string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := os.Rename(l.path, l.path+suffix); err != nil {
		return err
	}
	return l.open()
}

// CopyTruncate copies the file to its path with suffix and empties it, as logrotate's copytruncate does.
// Unlike there, no line falls between the two.
func (l *LogFile) CopyTruncate(suffix string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	content, err := os.ReadFile(l.path)
	if err != nil {
		return err
	}
	if err := os.WriteFile(l.path+suffix, content, 0o640); err != nil {
		return err
	}
	return os.Truncate(l.path, 0)
}

// Tail returns the last lines, of at most that many bytes.
func (l *LogFile) Tail(size int64) string {
	f, err := os.Open(l.path)
	if err != nil {
		return ""
	}
	defer f.Close()
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return ""
	}
	content := make([]byte, min(size, end))
	if _, err := f.ReadAt(content, end-int64(len(content))); err != nil && err != io.EOF {
		return ""
	}
	if int64(len(content)) < end {
		_, content, _ = bytes.Cut(content, []byte("\n"))
	}
	return string(content)
}

func (l *LogFile) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file != nil {
		l.file.Close()
		l.file = nil
	}
}
