package main

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/staticpod-exporter/staticpod-exporter/manifest"
	"github.com/staticpod-exporter/staticpod-exporter/observe/report"
)

// A reading proves files that somebody names and reports what it finds.
type reading struct {
	report.Report
	validator *manifest.Validator
	stdin     io.Reader
}

func newReading(v *manifest.Validator, stdin io.Reader) *reading {
	return &reading{validator: v, stdin: stdin, Report: report.Report{Sources: map[string][]byte{}}}
}

// A proof is one file with what was found in it.
type proof struct {
	path       string
	data       []byte
	candidates []*manifest.Candidate
	err        error
}

// files proves the files that are named, those of directories, and standard input for "-", all of them together: no two
// may define one pod.
func (r *reading) files(names []string) {
	proofs := r.list(names)
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0))
	for i := range proofs {
		g.Go(func() error {
			r.prove(&proofs[i])
			return nil
		})
	}
	_ = g.Wait() // errors are in the proofs
	var all []*manifest.Candidate
	for _, p := range proofs {
		if p.err != nil {
			r.unreadable(p.path, p.err)
			continue
		}
		r.Files++
		all = append(all, p.candidates...)
		r.Sources[p.path] = p.data
	}
	r.Add(manifest.Together(all))
}

func (r *reading) prove(p *proof) {
	if p.err != nil {
		return
	}
	if p.data == nil {
		if p.data, p.err = readFile(p.path); p.err != nil {
			return
		}
	}
	p.candidates = r.validator.File(p.path, p.data, manifest.FormDefinitions)
}

// fileLimit is how much of a file is read: the kubelet refuses one of this length.
const fileLimit = 10 << 20

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, fileLimit))
}

// list finds the files to prove, each once.
func (r *reading) list(names []string) []proof {
	var proofs []proof
	seen := map[string]bool{}
	add := func(p proof) {
		if key := filepath.Clean(p.path); !seen[key] {
			seen[key] = true
			proofs = append(proofs, p)
		}
	}
	for _, name := range names {
		if name == "-" {
			data, err := io.ReadAll(io.LimitReader(r.stdin, fileLimit))
			if err != nil {
				err = fmt.Errorf("standard input: %w", err)
			}
			add(proof{path: report.Stdin, data: data, err: err})
			continue
		}
		info, err := os.Stat(name)
		if err != nil || !info.IsDir() {
			add(proof{path: name, err: err})
			continue
		}
		found, err := manifestsIn(name)
		if err != nil {
			add(proof{path: name, err: err})
		}
		for _, path := range found {
			add(proof{path: path})
		}
	}
	return proofs
}

// manifestsIn lists what looks like a manifest in a directory. That there is none is an error: it would pass for ever.
func manifestsIn(directory string) ([]string, error) {
	entries, err := os.ReadDir(directory)
	if err != nil {
		return nil, err
	}
	var paths []string
	for _, e := range entries {
		if isManifestName(e) {
			paths = append(paths, filepath.Join(directory, e.Name()))
		}
	}
	if len(paths) == 0 {
		return nil, fmt.Errorf("%s: no *.yaml, *.yml or *.json file in it", directory)
	}
	return paths, nil
}

func isManifestName(e fs.DirEntry) bool {
	switch filepath.Ext(e.Name()) {
	case ".yaml", ".yml", ".json":
		return (e.Type().IsRegular() || e.Type()&fs.ModeSymlink != 0) && !strings.HasPrefix(e.Name(), ".")
	}
	return false
}

// directories proves each directory, or single file, as the kubelet reads its staticPodPath.
func (r *reading) directories(names []string) {
	seen := map[string]bool{}
	for _, name := range names {
		if seen[filepath.Clean(name)] {
			continue
		}
		seen[filepath.Clean(name)] = true
		candidates, err := r.validator.Directory(name)
		if err != nil {
			r.unreadable(name, err)
			continue
		}
		r.Add(candidates)
		for _, c := range candidates {
			if _, known := r.Sources[c.Path]; known {
				continue
			}
			if info, err := os.Stat(c.Path); err != nil || !info.Mode().IsRegular() {
				continue // nothing to be shown of it
			}
			if data, err := readFile(c.Path); err == nil {
				r.Files++
				r.Sources[c.Path] = data
			}
		}
	}
}

func (r *reading) unreadable(path string, err error) {
	r.Unreadable = append(r.Unreadable, report.Unreadable{Path: path, Error: err.Error()})
}
