package manifest

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Directory reads the kubelet's manifest directory, or its one manifest file, as the kubelet does, and returns what it
// finds, with what the files have against each other: which one the kubelet runs of two with one pod, and what had
// better not be there. A file that cannot be read gives a candidate that says so.
func (v *Validator) Directory(dir string) ([]*Candidate, error) {
	files, err := v.readDirectory(dir, dir)
	if err != nil {
		return nil, err
	}
	relate(files)
	var found []*Candidate
	for _, f := range files {
		if f.err != nil {
			found = append(found, &Candidate{Path: f.path, Problems: []Problem{unreadable(f.path, f.err)}})
		}
		found = append(found, f.candidates...)
	}
	return found, nil
}

// readDirectory reads the kubelet's manifest directory, or its one manifest file, as the kubelet does: every
// file whose name begins with no dot, links followed, whatever its extension, in byte order, one Pod each.
// Unlike the kubelet, which globs, it does not take a directory that cannot be listed for an empty one. dir is
// where it is read; as is the path that the kubelet knows it by, which is part of every UID and of what is
// returned, "" for dir. What the files have against each other is for relate to say.
func (v *Validator) readDirectory(dir, as string) ([]readFile, error) {
	if as == "" {
		as = dir
	}
	as = strings.TrimRight(as, "/") // as the kubelet does, of a file too
	info, err := os.Stat(dir)
	switch {
	case err != nil:
		return nil, fmt.Errorf("manifest directory: %w", err)
	case info.Mode().IsRegular():
		return []readFile{v.readManifest(dir, as)}, nil
	case !info.IsDir():
		return nil, fmt.Errorf("manifest directory: %s is not a directory or file", dir)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("manifest directory: %w", err)
	}
	var files []readFile
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		path, known := filepath.Join(dir, e.Name()), filepath.Join(as, e.Name())
		info, err := os.Stat(path)
		switch {
		case removed(e, err):
		case err != nil:
			files = append(files, readFile{path: known, err: err})
		case info.IsDir():
			files = append(files, stray(known, "the kubelet does not look into directories below its manifest directory"))
		case info.Mode()&fs.ModeNamedPipe != 0:
			files = append(files, stray(known, "a FIFO: a kubelet that sees it come waits for a writer for ever and reads no manifest any more: remove it, then restart the kubelet"))
		case !info.Mode().IsRegular():
			files = append(files, stray(known, "Manifest path is not a directory or file")) // the kubelet's words
		default:
			if f := v.readManifest(path, known); !removed(e, f.err) {
				files = append(files, f)
			}
		}
	}
	return files, nil
}

// removed reports whether a file is not there any more that was listed a moment ago. A link to nowhere is.
func removed(e fs.DirEntry, err error) bool {
	return errors.Is(err, fs.ErrNotExist) && e.Type()&fs.ModeSymlink == 0
}

// readManifest reads one file, which the kubelet knows as known.
func (v *Validator) readManifest(path, known string) readFile {
	f := readFile{path: known}
	if info, err := os.Stat(path); err == nil {
		f.modified, f.changed = info.ModTime(), changed(path, info)
	}
	var data []byte
	if data, f.err = readBounded(path); f.err == nil {
		f.sum = sha256.Sum256(data)
		f.candidates = v.File(known, data, FormDirectory)
	}
	return f
}

// stray is a file that the kubelet comes across but cannot run.
func stray(path, message string) readFile {
	return readFile{path: path, candidates: []*Candidate{{
		Path: path, Line: 1,
		Problems: []Problem{{Reason: StrayFile, Level: Warning, Path: path, Message: message}},
	}}}
}
