package kubeletlog

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// A logFile is the log, or a rotated file that used to be it.
type logFile struct {
	*os.File
	info   fs.FileInfo // as last seen while it was what it had been
	head   []byte      // its first bytes, at most headLimit
	sum    string      // fingerprint of head
	offset int64       // where to read next
}

var (
	errTruncated = errors.New("truncated")
	errNotAFile  = errors.New("not a regular file")
)

// open opens a regular file without waiting for it, whatever it is.
func openLog(path string) (*logFile, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s: %w", path, errNotAFile)
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	return &logFile{File: file, info: info, sum: fingerprint(nil)}, nil
}

// verify compares the beginning of the file with what it was.
func (l *logFile) verify() error {
	var buf [headLimit]byte
	n, err := l.ReadAt(buf[:], 0)
	if err != nil && err != io.EOF {
		return err
	}
	if n < len(l.head) || string(buf[:len(l.head)]) != string(l.head) {
		return errTruncated
	}
	if n > len(l.head) {
		l.head = append(l.head[:0], buf[:n]...)
		l.sum = fingerprint(l.head)
	}
	return nil
}

// cut reports whether a truncated file only lost its end, and its size.
func (l *logFile) cut() (size int64, ok bool) {
	info, err := l.Stat()
	if err != nil {
		return 0, false
	}
	head := make([]byte, min(int64(len(l.head)), info.Size()))
	n, _ := l.ReadAt(head, 0)
	if n < len(head) || (n < len(l.head) && n < sureLength) || string(head) != string(l.head[:n]) {
		return 0, false
	}
	l.info, l.head, l.sum = info, head, fingerprint(head)
	return info.Size(), true
}
