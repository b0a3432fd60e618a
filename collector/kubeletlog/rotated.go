package kubeletlog

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// rotatedLimit is how many rotated files are looked at.
const rotatedLimit = 64

// rotated opens the rotated files of the log that can be read as they are, oldest first. Compressed ones
// are not among them. They lie where the log does, also when path is a link to it.
func rotated(path string) []*logFile {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	dir, base := filepath.Split(path)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	type candidate struct {
		name, suffix string
		count        int // of rotations since, 0 for a dated file
		modified     time.Time
	}
	var found []candidate
	for _, entry := range entries {
		suffix, ok := rotation(base, entry.Name())
		info, err := entry.Info()
		if !ok || err != nil {
			continue
		}
		c := candidate{name: entry.Name(), suffix: suffix, modified: info.ModTime()}
		if n, err := strconv.Atoi(suffix); err == nil && n < dated {
			c.count = n
		}
		found = append(found, c)
	}
	slices.SortStableFunc(found, func(a, b candidate) int {
		switch {
		case a.count > 0 && b.count > 0:
			return cmp.Compare(b.count, a.count)
		case a.count == b.count:
			return strings.Compare(a.suffix, b.suffix)
		default:
			return a.modified.Compare(b.modified)
		}
	})
	var files []*logFile
	for _, c := range found[max(0, len(found)-rotatedLimit):] {
		if file, err := openLog(filepath.Join(dir, c.name)); err == nil {
			files = append(files, file)
		}
	}
	return files
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
