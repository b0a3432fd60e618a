package containerlog

import (
	"bytes"
	"errors"
	"io"
)

const (
	// tailWindow is how much of the end of a file is looked at first.
	tailWindow = 64 << 10
	// slack is how much is read besides, for the pieces of lines that the other stream was written between.
	slack = 1 << 20
)

// lastLines returns where in files to begin so that at least the last n lines are read, and not much more where
// that can be avoided. buf is room to work in.
func lastLines(files []*generation, n int, buf []byte) (first int, offset int64, err error) {
	for first = len(files) - 1; first >= 0; first-- {
		offset, have, err := lastLinesOf(files[first], n, buf)
		switch {
		case err != nil:
			return 0, 0, err
		case have <= n: // so that the first of them is whole
			n -= have
		case offset > 0:
			return first, offset, nil
		default:
			return before(files, first, buf)
		}
	}
	return 0, 0, nil
}

// before returns where to begin so that slack is read before files[first]: a line in it may have begun there.
func before(files []*generation, first int, buf []byte) (int, int64, error) {
	for rest := int64(slack); rest > 0 && first > 0; {
		first--
		offset, err := nearEnd(files[first], rest, buf)
		if err != nil || offset > 0 {
			return first, offset, err
		}
		rest -= files[first].info.Size()
	}
	return first, 0, nil
}

// lastLinesOf is lastLines in one file. have is how many whole lines come after offset.
func lastLinesOf(g *generation, n int, buf []byte) (offset int64, have int, err error) {
	if g.packed {
		r, err := g.reader()
		if err != nil {
			return 0, 0, nil // who prints it says so
		}
		have, _ = countLines(r, buf) // as many as can be read
		return 0, have, nil
	}
	info, err := g.Stat()
	if err != nil {
		return 0, 0, err
	}
	size := info.Size()
	for window := int64(tailWindow); ; window *= 4 {
		begin := max(0, size-window)
		have, err := countLines(io.NewSectionReader(g, begin, size-begin), buf)
		if err != nil {
			return 0, 0, err
		}
		if have <= n && begin > 0 {
			continue
		}
		offset, err = nearEnd(g, size-begin+slack, buf)
		return offset, have, err
	}
}

// nearEnd is where a line begins at least so far before the end of a file, 0 when that is not known.
func nearEnd(g *generation, distance int64, buf []byte) (offset int64, err error) {
	info, err := g.Stat()
	if err != nil {
		return 0, err
	}
	begin := info.Size() - distance
	if g.packed || begin <= 0 {
		return 0, nil
	}
	n, err := g.ReadAt(buf, begin)
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	end := bytes.IndexByte(buf[:n], '\n')
	if end < 0 {
		return 0, nil
	}
	return begin + int64(end) + 1, nil
}

// countLines counts the lines of a container that end in r: pieces do not.
func countLines(r io.Reader, buf []byte) (n int, err error) {
	var rest []byte
	for {
		got, err := r.Read(buf)
		data := buf[:got]
		for {
			line, after, ok := bytes.Cut(data, []byte("\n"))
			if !ok {
				break
			}
			data = after
			if len(rest) > 0 {
				line = append(rest, line...)
				rest = rest[:0]
			}
			if e := parse(line); !e.more {
				n++
			}
		}
		if len(rest) < 1<<10 { // enough to tell a piece by
			rest = append(rest, data[:min(len(data), 1<<10)]...)
		}
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}
