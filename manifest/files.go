package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// maxFileBytes is what the kubelet reads of a manifest at most; a file must be shorter.
const maxFileBytes = 10 << 20

// A listing is what a set of patterns found: the files that match and the directories that were asked for.
type listing struct {
	files []sourceFile
	// dirs says of every directory that a pattern looked into whether it could be listed: nil, or why not.
	dirs     map[string]error
	patterns []string
}

// A sourceFile is one definitions file as read.
type sourceFile struct {
	path     string
	modified time.Time
	changed  time.Time
	data     []byte
	err      error // why it could not be read; data is nil then
}

// list reads every file that a pattern matches. Patterns are absolute paths whose elements may hold the
// wildcards of path/filepath.Match. Directories are listed with ReadDir, because filepath.Glob hides I/O
// errors, and an unreadable directory must not look like an empty one.
func list(patterns []string) listing {
	l := listing{dirs: map[string]error{}, patterns: patterns}
	seen := map[string]bool{}
	for _, pattern := range patterns {
		for _, path := range l.match(filepath.Clean(pattern)) {
			if seen[path] {
				continue
			}
			seen[path] = true
			if f, ok := readSource(path); ok {
				l.files = append(l.files, f)
			}
		}
	}
	slices.SortFunc(l.files, func(a, b sourceFile) int { return strings.Compare(a.path, b.path) })
	return l
}

// match walks pattern element by element, listing the directory of each. What is found beside directories is passed over
// where the pattern goes on below it.
func (l *listing) match(pattern string) []string {
	paths, found := []string{"/"}, false // by a wildcard
	for element := range strings.SplitSeq(strings.TrimPrefix(pattern, "/"), "/") {
		var next []string
		for _, dir := range paths {
			if info, err := os.Stat(dir); found && err == nil && !info.IsDir() {
				continue
			}
			if !isPattern(element) && element != filepath.Base(pattern) {
				next = append(next, filepath.Join(dir, element))
				continue
			}
			for _, name := range l.names(dir) {
				if ok, _ := filepath.Match(element, name); ok && (!strings.HasPrefix(name, ".") || strings.HasPrefix(element, ".")) {
					next = append(next, filepath.Join(dir, name))
				}
			}
		}
		paths, found = next, isPattern(element)
	}
	return paths
}

// names lists a directory once and remembers how that went.
func (l *listing) names(dir string) []string {
	entries, err := os.ReadDir(dir)
	l.dirs[dir] = err
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// gone reports whether path is proven not to be there: its directory could be listed and lacks it, or the
// configuration in force does not name it any more. A directory that is missing or unreadable proves nothing.
func (l *listing) gone(path string) bool {
	if slices.ContainsFunc(l.files, func(f sourceFile) bool { return f.path == path }) {
		return false
	}
	named := slices.ContainsFunc(l.patterns, func(pattern string) bool {
		ok, _ := filepath.Match(filepath.Clean(pattern), path)
		return ok
	})
	if !named {
		return true
	}
	err, asked := l.dirs[filepath.Dir(path)]
	return asked && err == nil
}

// readSource reads a regular file; ok is false for what is none, such as a directory that matches. A file that goes while
// it is read is looked at again: it may be one that is renamed into its place.
func readSource(path string) (f sourceFile, ok bool) {
	for range 3 {
		if f, ok = readOnce(path); !errors.Is(f.err, fs.ErrNotExist) {
			return f, ok
		}
		if link, err := os.Lstat(path); err == nil && link.Mode()&fs.ModeSymlink != 0 {
			// A link is somebody's intent, so what it does not lead to is unreadable.
			f.err = fmt.Errorf("dangling symbolic link: %w", f.err)
			return f, true
		}
	}
	return sourceFile{path: path}, false
}

func readOnce(path string) (f sourceFile, ok bool) {
	f.path = path
	info, err := os.Stat(path)
	switch {
	case err != nil:
		f.err = err
		return f, true
	case info.IsDir():
		return f, false
	case !info.Mode().IsRegular():
		f.err = fmt.Errorf("%s is not a regular file", path)
		return f, true
	}
	f.modified, f.changed = info.ModTime(), changed(path, info)
	f.data, f.err = readBounded(path)
	return f, true
}

// readBounded reads a file that must be shorter than maxFileBytes.
func readBounded(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var buf bytes.Buffer
	n, err := io.Copy(&buf, io.LimitReader(file, maxFileBytes))
	if err != nil {
		return nil, err
	}
	if n >= maxFileBytes {
		return nil, fmt.Errorf("%s is 10 MiB or larger, the kubelet's limit", path)
	}
	return buf.Bytes(), nil
}

func isPattern(element string) bool { return strings.ContainsAny(element, `*?[\`) }

// checkPatterns refuses patterns that cannot be used: relative ones, malformed ones, and those inside the
// kubelet's manifest directory, whose pods would run twice.
func checkPatterns(patterns []string, kubeletDirectory string) (usable []string, problems []error) {
	for _, p := range patterns {
		_, err := filepath.Match(p, "")
		switch {
		case !filepath.IsAbs(p):
			problems = append(problems, fmt.Errorf("manifest.files: %q is not an absolute path", p))
		case err != nil:
			problems = append(problems, fmt.Errorf("manifest.files: %q: %w", p, err))
		case kubeletDirectory != "" && within(filepath.Dir(p), kubeletDirectory):
			problems = append(problems, fmt.Errorf("manifest.files: %q lies in the kubelet's manifest directory %s: its pods would run twice; keep them in one of the two",
				p, kubeletDirectory))
		default:
			usable = append(usable, p)
		}
	}
	return usable, problems
}

// within reports whether dir is root or lies below it, symbolic links resolved.
func within(dir, root string) bool {
	rel, err := filepath.Rel(resolved(root), resolved(dir))
	return err == nil && (rel == "." || !strings.HasPrefix(rel, ".."))
}

func resolved(path string) string {
	if r, err := filepath.EvalSymlinks(path); err == nil {
		return r
	}
	return filepath.Clean(path)
}
