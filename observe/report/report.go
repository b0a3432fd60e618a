// Package report tells what is wrong with definition files: as a compiler does, with the line and a caret; as JSON,
// SARIF and the commands of GitHub's workflows.
//
// Its contract: every problem is told once, in the order of files and places; nothing of a file can steer a terminal
// or forge a command; and the values of environments, commands and arguments are not shown.
package report

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/staticpod-exporter/staticpod-exporter/collector/status"
	"github.com/staticpod-exporter/staticpod-exporter/docs"
	"github.com/staticpod-exporter/staticpod-exporter/manifest"
)

// A Report is what was found out about definition files.
type Report struct {
	Tool       Tool
	Files      int // read
	Pods       []Pod
	Problems   []manifest.Problem
	Unreadable []Unreadable
	// Base is the directory, absolute, that paths are given relative to where they are meant for other machines.
	Base string
	// Sources are the contents of the files that have problems, by path.
	Sources map[string][]byte
}

// A Tool is the program that made the report.
type Tool struct{ Name, Version string }

// A Pod is one that the files define.
type Pod struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	Path      string `json:"path"`
	Line      int    `json:"line"`
	Runs      bool   `json:"runs"` // no problem of it is critical
}

// Unreadable is a file or directory that could not be read, and why.
type Unreadable struct {
	Path  string `json:"path"`
	Error string `json:"error"`
}

// Add takes what was found in files.
func (r *Report) Add(candidates []*manifest.Candidate) {
	for _, c := range candidates {
		if c.Name != "" {
			runs := !slices.ContainsFunc(c.Problems, func(p manifest.Problem) bool { return p.Level == manifest.Critical })
			r.Pods = append(r.Pods, Pod{c.Namespace, c.Name, c.Path, c.Line, runs})
		}
		r.Problems = append(r.Problems, c.Problems...)
	}
}

// Count counts the problems of a level.
func (r *Report) Count(level manifest.Level) int {
	n := 0
	for _, p := range r.Problems {
		if p.Level == level {
			n++
		}
	}
	return n
}

// Summary is the report in a line: how much was read, and how many problems it has.
func (r *Report) Summary() string {
	read := fmt.Sprintf("%s, %s: ", counted(r.Files, "file"), counted(len(r.Pods), "pod"))
	var found []string
	if n := r.Count(manifest.Critical); n > 0 {
		found = append(found, fmt.Sprintf("%d critical", n))
	}
	if n := r.Count(manifest.Warning); n > 0 {
		found = append(found, counted(n, "warning"))
	}
	if n := len(r.Unreadable); n > 0 {
		found = append(found, fmt.Sprintf("%d not readable", n))
	}
	if len(found) == 0 {
		return read + "valid"
	}
	return read + strings.Join(found, ", ")
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// words are the message of a problem, on one line and with the field it is about.
func words(p manifest.Problem) string {
	message := strings.Join(strings.Fields(p.Message), " ")
	if p.Field != "" && !strings.Contains(message, p.Field) {
		message = p.Field + ": " + message
	}
	return message
}

// relative is a path as somebody elsewhere knows it: below base without it, with slashes. Outside it is absolute.
func (r *Report) relative(path string) (string, bool) {
	absolute := path
	if !filepath.IsAbs(path) {
		if r.Base == "" {
			return filepath.ToSlash(filepath.Clean(path)), true
		}
		var err error
		if absolute, err = filepath.Abs(path); err != nil {
			return filepath.ToSlash(path), true
		}
	}
	if inside, err := filepath.Rel(r.Base, absolute); err == nil && r.Base != "" && filepath.IsLocal(inside) {
		return filepath.ToSlash(inside), true
	}
	return filepath.ToSlash(absolute), false
}

// Stdin is the path of what was read from standard input.
const Stdin = "<stdin>"

// documentation is where the reasons are explained.
const documentation = "https://github.com/staticpod-exporter/staticpod-exporter/blob/main/docs/reasons.md"

func helpURI(reason manifest.Reason) string {
	return documentation + "#" + strings.ToLower(string(reason))
}

// remedy is what to do about a reason, as plain text; "" when nothing is known.
func remedy(reason manifest.Reason) string {
	runbook, _ := docs.Find(string(reason))
	return docs.Plain(runbook.Remedy)
}

// code is what is known of a reason; one that the table lacks has its name alone.
func code(reason manifest.Reason) status.Code {
	all := status.Reasons()
	if i := slices.IndexFunc(all, func(c status.Code) bool { return c.Reason == reason }); i >= 0 {
		return all[i]
	}
	return status.Code{Reason: reason, Meaning: string(reason)}
}
