package kubeletlog

import (
	"cmp"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// A sibling is a rotated file of the log that can be read as it is, so not a compressed one.
type sibling struct {
	path   string
	info   fs.FileInfo
	suffix string
	count  int // of rotations since, 0 for a dated file
}

// siblings lists the newest rotated files of the log, oldest first. They lie where the log does, also when
// path is a link to it.
func siblings(path string) (found []sibling) {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	dir, base := filepath.Split(path)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	for _, entry := range entries {
		suffix, ok := rotation(base, entry.Name())
		if !ok {
			continue
		}
		name := filepath.Join(dir, entry.Name())
		info, err := os.Stat(name)
		if err != nil || !info.Mode().IsRegular() {
			continue
		}
		s := sibling{path: name, info: info, suffix: suffix}
		if n, err := strconv.Atoi(suffix); err == nil && n < dated {
			s.count = n
		}
		found = append(found, s)
	}
	slices.SortStableFunc(found, func(a, b sibling) int {
		switch {
		case a.count > 0 && b.count > 0:
			return cmp.Compare(b.count, a.count)
		case a.count == b.count:
			return strings.Compare(a.suffix, b.suffix)
		default:
			return a.info.ModTime().Compare(b.info.ModTime())
		}
	})
	return found[max(0, len(found)-siblingLimit):]
}

// siblingLimit is how many rotated files are looked at.
const siblingLimit = 64

func sameSiblings(a, b []sibling) bool {
	return slices.EqualFunc(a, b, func(a, b sibling) bool { return a.path == b.path && os.SameFile(a.info, b.info) })
}

// list opens the rotated files and the log at path, oldest first, as they were at one moment. Without a log
// newest is nil, and err says why.
func list(path string) (files []*logFile, newest *logFile, err error) {
	for {
		before := siblings(path)
		files = nil
		for _, s := range before {
			if file, err := openLog(s.path); err == nil {
				files = append(files, file)
			}
		}
		if newest, err = openLog(path); newest != nil {
			files = append(files, newest)
		}
		info, again := os.Stat(path)
		if (newest == nil || (again == nil && os.SameFile(info, newest.info))) && sameSiblings(before, siblings(path)) {
			return files, newest, err
		}
		closeExcept(files, nil) // a rotation is under way
	}
}

func closeExcept(files []*logFile, kept *logFile) {
	for _, file := range files {
		if file != kept {
			file.Close()
		}
	}
}

// dated is where the numbers end that count rotations: 20261122 is a date.
const dated = 10000

// rotation reports whether name is what rotation makes of base: kubelet.log.1, kubelet.log-20261122,
// kubelet.log.2026-11-22T14:38:27 or kubelet-2026-11-22T14-38-27.064.log. It returns the number or the date.
func rotation(base, name string) (suffix string, ok bool) {
	ext := filepath.Ext(base)
	stem := strings.TrimSuffix(base, ext)
	suffix, ok = strings.CutPrefix(name, base)
	if !ok {
		if suffix, ok = strings.CutPrefix(name, stem); !ok || ext == "" {
			return "", false
		}
		if suffix, ok = strings.CutSuffix(suffix, ext); !ok {
			return "", false
		}
	}
	if len(suffix) < 2 || !strings.ContainsRune(".-_", rune(suffix[0])) {
		return "", false
	}
	suffix = suffix[1:]
	digits := false
	for _, r := range suffix {
		switch {
		case r >= '0' && r <= '9':
			digits = true
		case !strings.ContainsRune("-._:TZ", r):
			return "", false
		}
	}
	return suffix, digits
}
