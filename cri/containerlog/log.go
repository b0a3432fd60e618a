package containerlog

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// A Log is the log of one attempt at running a container.
type Log struct {
	path string
	file *generation // nil until there is one
	rest []byte      // of file: the beginning of a line whose end has not been read
	at   int64       // where to read next
	buf  []byte

	// skip is set when the file that was read is gone: of what is there now only what is younger counts.
	skip time.Time
}

const (
	blockSize = 256 << 10
	lineLimit = 16 << 20 // of a line in a file, which is no line of a container runtime when it is longer
)

// Open returns the log that the runtime keeps at path. It need not be there yet.
func Open(path string) *Log {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real // Docker's own files lie elsewhere
	}
	return &Log{path: path, buf: make([]byte, blockSize)}
}

// Close closes the file that is read.
func (l *Log) Close() {
	if l.file != nil {
		l.file.Close()
		l.file = nil
	}
}

// Print prints what is there now, or its last lines, from the oldest file on that rotation has left. A log that
// is not there is an fs.ErrNotExist.
func (l *Log) Print(p *Printer) error {
	files, err := generations(l.path)
	if err != nil {
		return err
	}
	defer func() { closeAll(slices.DeleteFunc(files, func(g *generation) bool { return g == l.file })) }()
	start, offset := 0, int64(0)
	if n := p.options.Tail; n >= 0 {
		p.only(n)
		if start, offset, err = lastLines(files, n, l.buf); err != nil {
			return err
		}
	}
	for _, g := range files[start:] {
		if err := l.endLine(p); err != nil {
			return err
		}
		if !p.options.Since.IsZero() && g != files[len(files)-1] && g.info.ModTime().Before(p.options.Since) {
			continue
		}
		if err := l.print(g, offset, p); err != nil {
			return err
		}
		offset = 0
	}
	l.file = files[len(files)-1]
	return p.all()
}

// endLine prints the line at hand although its end has not come: its writer has moved on.
func (l *Log) endLine(p *Printer) error {
	if len(l.rest) == 0 {
		return nil
	}
	err := p.line(l.rest)
	l.rest = l.rest[:0]
	return err
}

// End prints what was begun and has no end: nothing more comes of this attempt.
func (l *Log) End(p *Printer) error {
	if e := parse(l.rest); e.stamp != nil { // else it broke off before anything of the container
		if err := l.endLine(p); err != nil {
			return err
		}
	}
	l.rest = l.rest[:0]
	return p.end()
}

// print prints one file from an offset on. One that is compressed and damaged ends where it is.
func (l *Log) print(g *generation, offset int64, p *Printer) error {
	r, err := g.reader()
	if err != nil {
		if g.packed {
			p.damaged(g, err)
			return nil
		}
		return err
	}
	if offset > 0 {
		if _, err := g.Seek(offset, io.SeekStart); err != nil {
			return err
		}
	}
	l.at = offset
	for {
		n, err := r.Read(l.buf)
		l.at += int64(n)
		if err := l.take(l.buf[:n], p); err != nil {
			return err
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil && g.packed:
			p.damaged(g, err)
			return nil
		case err != nil:
			return err
		}
	}
}

// take prints the lines that end in data and keeps the beginning of the next.
func (l *Log) take(data []byte, p *Printer) error {
	for {
		line, after, ok := bytes.Cut(data, []byte("\n"))
		if !ok {
			break
		}
		data = after
		if len(l.rest) > 0 {
			l.rest = append(l.rest, line...)
			line = l.rest
		}
		if l.skipped(line) {
			l.rest = l.rest[:0]
			continue
		}
		if err := p.line(line); err != nil {
			return err
		}
		l.rest = l.rest[:0]
	}
	l.rest = append(l.rest, data...)
	if len(l.rest) > lineLimit {
		err := p.line(l.rest)
		l.rest = l.rest[:0]
		return err
	}
	return nil
}

// skipped reports whether a line was printed before.
func (l *Log) skipped(line []byte) bool {
	if l.skip.IsZero() {
		return false
	}
	e := parse(line)
	at := e.at()
	if at.IsZero() || !at.After(l.skip) {
		return true
	}
	l.skip = time.Time{}
	return false
}

// More prints what has come since Print, or since the last More, over any number of rotations. ended says that
// nothing will come any more.
func (l *Log) More(p *Printer, ended bool) error {
	if l.file == nil {
		tail := p.options.Tail
		p.options.Tail = -1 // that was of what had been there
		err := l.Print(p)
		p.options.Tail = tail
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	for {
		if err := l.toEnd(p); err != nil {
			return err
		}
		moved, err := l.follow(p, ended)
		if err != nil || !moved {
			return err
		}
	}
}

// toEnd prints the file to its end.
func (l *Log) toEnd(p *Printer) error {
	info, err := l.file.Stat()
	if err != nil {
		return err
	}
	if info.Size() < l.at { // copied and truncated, or emptied: it begins anew
		l.at, l.rest = 0, l.rest[:0]
	}
	for {
		got, err := l.file.ReadAt(l.buf, l.at)
		l.at += int64(got)
		if err := l.take(l.buf[:got], p); err != nil {
			return err
		}
		if errors.Is(err, io.EOF) || err == nil && got == 0 {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// follow is called at the end of the file and moves on to the one after it, if there is one. A file comes after
// another once it has its first byte: its writer has moved on then, and the end of the one before is final. It is
// read once more.
func (l *Log) follow(p *Printer, ended bool) (moved bool, err error) {
	info, err := os.Stat(l.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil // in the midst of a rotation, or removed with its container
	case err != nil:
		return false, err
	case os.SameFile(info, l.file.info), info.Size() == 0 && !ended:
		return false, nil
	}
	files, err := generations(l.path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errRotating) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if err := l.toEnd(p); err != nil {
		closeAll(files)
		return false, err
	}
	next := slices.IndexFunc(files, l.file.same) + 1
	if next == 0 { // it was removed
		last := entry{stamp: p.last.stamp}
		l.skip = last.at()
	}
	if next == len(files) {
		closeAll(files)
		return false, nil
	}
	if err := l.endLine(p); err != nil {
		closeAll(files)
		return false, err
	}
	// What is packed is read here, since only a plain file can be followed.
	for next < len(files)-1 && files[next].packed {
		if err := errors.Join(l.print(files[next], 0, p), l.endLine(p)); err != nil {
			closeAll(files)
			return false, err
		}
		next++
	}
	l.file.Close()
	l.file, l.at = files[next], 0
	closeAll(slices.Delete(files, next, next+1))
	return true, nil
}
