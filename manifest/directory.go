package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// readDirectory reads the kubelet's manifest directory, or its one manifest file, as the kubelet does: every
// file whose name begins with no dot, links followed, whatever its extension, in byte order, one Pod each; of
// two files with one pod the last wins. Unlike the kubelet, which globs, it does not take a directory that
// cannot be listed for an empty one. dir is where it is read; as is the path that the kubelet knows it by,
// which is part of every UID and of what is returned, "" for dir.
func (v *Validator) readDirectory(dir, as string) ([]readFile, error) {
	if as == "" {
		as = dir
	}
	info, err := os.Stat(dir)
	switch {
	case err != nil:
		return nil, fmt.Errorf("manifest directory: %w", err)
	case info.Mode().IsRegular():
		return []readFile{v.readManifest(dir, filepath.Clean(as))}, nil
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
		case errors.Is(err, fs.ErrNotExist) && e.Type()&fs.ModeSymlink == 0:
			// Removed since it was listed.
		case err != nil:
			files = append(files, readFile{path: known, err: err})
		case info.IsDir():
			files = append(files, stray(known, "the kubelet does not look into directories below its manifest directory"))
		case !info.Mode().IsRegular():
			files = append(files, stray(known, "Manifest path is not a directory or file")) // the kubelet's words
		default:
			files = append(files, v.readManifest(path, known))
		}
	}
	markShadowed(files)
	return files, nil
}

// readManifest reads one file, which the kubelet knows as known.
func (v *Validator) readManifest(path, known string) readFile {
	f := readFile{path: known}
	if info, err := os.Stat(path); err == nil {
		f.modified = info.ModTime()
	}
	var data []byte
	if data, f.err = readBounded(path); f.err == nil {
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

// markShadowed marks the definitions that lose their identity to a file later in byte order, without a word from
// the kubelet. Candidates are immutable and shared with the cache, so the marked ones are copies.
func markShadowed(files []readFile) {
	winner := map[string]string{}
	for i := len(files) - 1; i >= 0; i-- {
		for j, c := range files[i].candidates {
			if c.Name == "" || c.Quarantined() {
				continue
			}
			key := candidateKey(c)
			path, taken := winner[key]
			if !taken {
				winner[key] = c.Path
				continue
			}
			files[i].candidates = append([]*Candidate(nil), files[i].candidates...)
			files[i].candidates[j] = c.with(DuplicateName, "metadata.name",
				fmt.Sprintf("%s defines pod %s too, and the kubelet takes the last file in byte order: this one does not run", path, key))
		}
	}
}

// backups are the names that editors, package managers and people give to copies.
var backups = regexp.MustCompile(`(?i)(~|\.(bak|backup|old|orig|save|saved|tmp|temp|swp|swo|swx|rej|rpmsave|rpmnew|rpmorig|dpkg-[a-z]+|ucf-[a-z]+|disabled|off)[0-9]*)$|\.(ya?ml|json)[.~_-].+$|^#.*#$`)

// manifests are the names and contents that were meant for the kubelet.
var (
	manifestNames = regexp.MustCompile(`(?i)\.(ya?ml|json|manifest)$`)
	manifestKeys  = regexp.MustCompile(`(?m)(^|["{,]\s*)(apiVersion|kind)\b`)
)

// markStray says of a file in the manifest directory that it had better not be there: a backup, which the
// kubelet reads like any other, or something that was never meant as a manifest. The candidates are new, so
// they may be changed.
func markStray(candidates []*Candidate, path string, data []byte) {
	name := filepath.Base(path)
	for _, c := range candidates {
		switch {
		case backups.MatchString(name):
			c.Problems = append(c.Problems, Problem{Reason: StrayFile, Level: Warning, Path: path, Line: c.Line,
				Message: "the kubelet reads every file whose name does not begin with a dot, also a backup like this: move it out of the manifest directory"})
		case c.Name == "" && !manifestNames.MatchString(name) && !manifestKeys.Match(bytes.ToValidUTF8(data, nil)):
			c.Problems = []Problem{{Reason: StrayFile, Level: Warning, Path: path, Line: 1,
				Message: clip("this is no manifest, but the kubelet tries to read it at every pass: move it out of the manifest directory (" + c.refusal + ")")}}
		}
	}
}
