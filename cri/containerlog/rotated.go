package containerlog

import (
	"cmp"
	"compress/gzip"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// A generation is a file that a log is in, or was before it was rotated.
type generation struct {
	*os.File
	info   fs.FileInfo
	name   string // without .gz
	packed bool
}

// reader returns the bytes of the generation from its beginning.
func (g *generation) reader() (io.Reader, error) {
	if _, err := g.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	if !g.packed {
		return g.File, nil
	}
	return gzip.NewReader(g.File)
}

// is reports whether g is what is at path now. No generation is nothing there.
func (g *generation) is(path string) bool {
	info, err := os.Stat(path)
	if g == nil {
		return errors.Is(err, fs.ErrNotExist)
	}
	return err == nil && os.SameFile(info, g.info)
}

// same reports whether other is g, or g compressed: the times in a log are to the nanosecond, so no two begin
// alike.
func (g *generation) same(other *generation) bool {
	if os.SameFile(g.info, other.info) {
		return true
	}
	if !other.packed || g.packed {
		return false
	}
	r, err := other.reader()
	if err != nil {
		return false
	}
	var head, begins [512]byte
	n, _ := io.ReadFull(r, head[:])
	m, _ := g.ReadAt(begins[:n], 0)
	return n > 0 && m == n && head == begins
}

func openGeneration(path string) (*generation, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = &fs.PathError{Op: "read", Path: path, Err: errors.New("not a regular file")}
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	name, packed := strings.CutSuffix(path, packedSuffix)
	return &generation{File: file, info: info, name: name, packed: packed}, nil
}

const packedSuffix = ".gz"

// generations opens the files of the log at path, oldest first, as they are at one moment. The newest is the log
// itself, unless that is being rotated and has yet to be made anew.
func generations(path string) (opened []*generation, err error) {
	for range 100 { // a rotation takes a moment, and comes seconds after the one before
		opened, err = tryGenerations(path)
		if !errors.Is(err, errRotating) {
			break
		}
	}
	return opened, err
}

var errRotating = errors.New("the log is being rotated")

func tryGenerations(path string) ([]*generation, error) {
	log, err := openGeneration(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	opened, rotating := upTo(log, path)
	if rotating == nil && len(opened) == 0 {
		return nil, err
	}
	return opened, rotating
}

// upTo opens what comes before log, which was opened at path, and returns all with log last. Without a log there was
// nothing at path.
func upTo(log *generation, path string) (opened []*generation, err error) {
	defer func() {
		if err != nil {
			closeAll(opened)
			opened = nil
		}
	}()
	before := rotated(path)
	for _, name := range before {
		g, err := openGeneration(name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			if log != nil {
				opened = append(opened, log)
			}
			return opened, errRotating
		case err != nil:
			continue // what may not be read is no reason not to read the rest
		case log != nil && os.SameFile(g.info, log.info):
			g.Close() // renamed since it was opened
			continue
		}
		opened = append(opened, g)
	}
	if log != nil {
		opened = append(opened, log)
	}
	if !slices.Equal(before, rotated(path)) || !log.is(path) {
		return opened, errRotating
	}
	return opened, nil
}

func closeAll(all []*generation) {
	for _, g := range all {
		g.Close()
	}
}

// rotated lists what rotation has made of the log at path, oldest first: the kubelet appends the time and
// compresses all but the newest (0.log.20261122-143827.gz), Docker appends a number.
func rotated(path string) []string {
	dir, base := filepath.Split(path)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	suffixes := map[string]string{} // with .gz or without
	for _, entry := range entries {
		whole, ok := strings.CutPrefix(entry.Name(), base+".")
		suffix, packed := strings.CutSuffix(whole, packedSuffix)
		if !ok || suffix == "" || strings.Trim(suffix, "0123456789-") != "" {
			continue
		}
		if _, plain := suffixes[suffix]; packed && plain {
			continue // it has just been compressed
		}
		suffixes[suffix] = whole
	}
	var names []string
	for _, suffix := range slices.SortedFunc(maps.Keys(suffixes), older) {
		names = append(names, filepath.Join(dir, base+"."+suffixes[suffix]))
	}
	return names
}

// older compares what was appended: times by their text, numbers the other way round.
func older(a, b string) int {
	m, errA := strconv.Atoi(a)
	n, errB := strconv.Atoi(b)
	if errA == nil && errB == nil {
		return cmp.Compare(n, m)
	}
	return strings.Compare(a, b)
}
