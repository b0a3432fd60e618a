package manifest

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// read reads and proves every source. watched are the directories whose changes must bring the next load.
func (s *Store) read(sources Sources, at time.Time, deliberate bool) (r reading, watched []string, problems []Problem) {
	r = reading{at: at, deliberate: deliberate, node: s.Node(), serving: s.options.Serving, running: s.running, pod: s.pod}
	watch := map[string]bool{}

	if s.options.Serving {
		patterns, refused := checkPatterns(sources.Patterns, s.kubelet.Directory)
		for _, err := range refused {
			problems = append(problems, configInvalid(sources.ConfigPath, err))
		}
		l := list(patterns)
		for _, f := range l.files {
			read := readFile{path: f.path, modified: f.modified, changed: f.changed, err: f.err}
			if f.err == nil {
				read.sum = sha256.Sum256(f.data)
				read.candidates = s.validator.File(f.path, f.data, FormDefinitions)
			}
			r.files = append(r.files, read)
		}
		for dir, err := range l.dirs {
			watch[dir] = true
			if err != nil {
				r.incomplete = append(r.incomplete, dir)
			}
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				problems = append(problems, unreadable(dir, err))
			}
		}
		slices.Sort(r.incomplete)
		r.gone = func(path string) bool { return path != sources.ConfigPath && l.gone(path) }
		if sources.ConfigPath != "" {
			read := readFile{path: sources.ConfigPath, sum: sha256.Sum256(sources.Config),
				candidates: s.validator.File(sources.ConfigPath, sources.Config, FormConfiguration)}
			if info, err := os.Stat(sources.ConfigPath); err == nil {
				read.modified, read.changed = info.ModTime(), changed(sources.ConfigPath, info)
			}
			r.files = append(r.files, read)
		}
	}
	if sources.ConfigPath != "" {
		watch[filepath.Dir(sources.ConfigPath)] = true
		watch[filepath.Dir(resolved(sources.ConfigPath))] = true
	}
	if dir := s.kubelet.Directory; dir != "" {
		watch[dir] = true
		r.directoryPath = cmp.Or(s.kubelet.StaticPodPath, dir)
		files, err := s.validator.readDirectory(dir, r.directoryPath)
		r.directory, r.recheck = s.settler.settle(files, at, deliberate)
		relate(r.directory)
		r.directoryErr = err
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			problems = append(problems, unreadable(dir, err))
		}
	}
	if feed := s.feeder.current(); feed.feed.URL != "" {
		r.foreign = s.foreign.reading(s.validator, feed)
		problems = append(problems, feed.problems()...)
	}
	s.validator.Sweep()
	r.read = s.now()
	return r, slices.Sorted(maps.Keys(watch)), problems
}

// directoryState says how the kubelet's directory was found.
func (r *reading) directoryState() Directory {
	d := Directory{Path: r.directoryPath}
	switch {
	case r.directoryPath == "":
	case r.directoryErr == nil:
		d.State = DirectoryRead
	case errors.Is(r.directoryErr, fs.ErrNotExist):
		d.State = DirectoryMissing
	default:
		d.State = DirectoryUnreadable
	}
	return d
}

// pod gives the defaulted pod of a revision kept from before.
func (s *Store) pod(r *revision) *corev1.Pod {
	candidates := s.validator.File("", r.Canonical, FormDefinitions)
	if len(candidates) != 1 {
		return nil
	}
	return candidates[0].Pod
}

func configInvalid(path string, err error) Problem {
	p := Problem{Reason: ConfigInvalid, Level: Critical, Path: path, Message: clip(err.Error())}
	if at, ok := errors.AsType[*ConfigError](err); ok {
		p.Path, p.Line, p.Column, p.Field, p.Message = at.Path, at.Line, at.Column, at.Field, clip(at.Message)
	}
	return p
}

// A ConfigError says where a configuration is wrong. Whoever loads the configuration may return one.
type ConfigError struct {
	Path         string
	Line, Column int // from 1; 0 is unknown
	Field        string
	Message      string
}

func (e *ConfigError) Error() string {
	where := e.Path
	if e.Line > 0 {
		where = fmt.Sprintf("%s:%d", where, e.Line)
	}
	if e.Line > 0 && e.Column > 0 {
		where = fmt.Sprintf("%s:%d", where, e.Column)
	}
	if e.Field == "" {
		return where + ": " + e.Message
	}
	return where + ": " + e.Field + ": " + e.Message
}
