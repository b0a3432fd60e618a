package kubeletlog

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"time"
)

// lookLength is how much of a log's end is looked at.
const lookLength = 64 << 10

// A Sight is how a log looks that can be read.
type Sight struct {
	Source string    // one of the spellings of an Options.Path
	Format string    // of its last lines: json or text, "cri " before it in a container runtime's file; "" when none is a kubelet's
	Bytes  int64     // that were looked at
	Newest time.Time // when it was last written to; zero when that cannot be known
}

// Look finds the log that is at path, an Options.Path, and reads its end. A log that comes over the network or by
// standard input is kept nowhere: an error.
func Look(ctx context.Context, path string) (Sight, error) {
	s, err := parseSource(path)
	if err == nil && s.scheme == Auto {
		chosen, why := newAuto(nil).choose(ctx, "")
		if chosen == nil {
			return Sight{}, fmt.Errorf("kubelet log: it is in none of the places where distributions keep it: %s", why)
		}
		s = chosen.source
	}
	sight := Sight{Source: s.name}
	switch {
	case err != nil:
	case s.scheme == schemeFile:
		err = sight.file(s.path)
	case s.scheme == schemeJournald:
		err = sight.journal(ctx, s.journal)
	default:
		err = fmt.Errorf("what comes by %s is kept nowhere", s.name)
	}
	if err != nil {
		return sight, fmt.Errorf("kubelet log: %w", err)
	}
	return sight, nil
}

func (s *Sight) file(path string) error {
	file, err := openLog(path)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	s.Newest = info.ModTime()
	from := max(info.Size()-lookLength, 0)
	if _, err := file.Seek(from, io.SeekStart); err != nil {
		return err
	}
	end, err := io.ReadAll(io.LimitReader(file, lookLength))
	if err != nil {
		return &os.PathError{Op: "read", Path: path, Err: err}
	}
	s.Bytes = int64(len(end))
	for line := range bytes.Lines(end) {
		s.take(bytes.TrimRight(line, "\r\n"))
	}
	return nil
}

func (s *Sight) journal(ctx context.Context, source journalSource) error {
	child, err := startJournalctl(ctx, source, "", "--lines=100")
	if err != nil {
		return err
	}
	var e entry
	for err = child.next(&e); err == nil; err = child.next(&e) {
		message := e.message.bytes()
		s.Newest = e.at
		s.Bytes += int64(len(message))
		s.take(message)
	}
	_, _ = io.Copy(io.Discard, child)
	if err := child.wait(); err != nil {
		return err
	}
	if s.Newest.IsZero() {
		return errNoEntry(source)
	}
	return nil
}

// take looks at a line. The last one that is a kubelet's decides.
func (s *Sight) take(line []byte) {
	if f := formatOf(line); f != "" {
		s.Format = f
	}
}

// formatOf is the format of a line of a kubelet's log, "" of another line.
func formatOf(line []byte) string {
	if _, body, _, ok := cutHeader(line); ok {
		if inner := formatOf(body); inner != "" {
			return "cri " + inner
		}
		return ""
	}
	switch {
	case len(line) > 0 && line[0] == '{' && jsonMessage(line) != nil:
		return "json"
	case len(line) > 4 && bytes.IndexByte([]byte("IWEF"), line[0]) >= 0 && isDigit(line[1]) && isDigit(line[4]) && textBody(line) > 0:
		return "text"
	}
	return ""
}
