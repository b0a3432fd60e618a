package manifest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"k8s.io/kubernetes/pkg/apis/core/validation"
)

// NodeName returns the name that a Store with these options gives the node, without opening one. A state that
// cannot be read persisted none.
func NodeName(flag, stateDirectory string) (string, error) {
	var persisted struct {
		Node string `json:"node"`
	}
	if data, err := os.ReadFile(filepath.Join(stateDirectory, stateFile)); err == nil {
		_ = json.Unmarshal(data, &persisted) // serve says what is wrong with it
	}
	return nodeName(flag, persisted.Node)
}

// CheckNode says why name cannot be a node's, by the kubelet's rules: its pods' names end in it.
func CheckNode(name string) error {
	if wrong := validation.ValidateNodeName(strings.ToLower(strings.TrimSpace(name)), false); len(wrong) > 0 {
		return fmt.Errorf("%q is no name of a node: %s", name, wrong[0])
	}
	return nil
}

// Survey reads once, as a Store does, what sources and the kubelet's manifest directory define, "" for none. What
// cannot be read is left out. The files of the directory have the directory's path.
func (v *Validator) Survey(s Sources, directory string) []*Candidate {
	found, _ := v.Read(s, directory)
	if directory != "" {
		files, _ := v.readDirectory(directory, "")
		for _, f := range files {
			found = append(found, f.candidates...)
		}
	}
	return found
}

// Read reads once, as a Store does, what sources define, and says what could not be read. Patterns below the kubelet's
// manifest directory are passed over: see CheckPatterns.
func (v *Validator) Read(s Sources, directory string) (found []*Candidate, unread []error) {
	patterns, _ := checkPatterns(s.Patterns, directory)
	l := list(patterns)
	for _, dir := range slices.Sorted(maps.Keys(l.dirs)) {
		if err := l.dirs[dir]; err != nil && !errors.Is(err, fs.ErrNotExist) {
			unread = append(unread, err)
		}
	}
	for _, f := range l.files {
		if f.err != nil {
			unread = append(unread, f.err)
			continue
		}
		found = append(found, v.File(f.path, f.data, FormDefinitions)...)
	}
	if s.ConfigPath != "" {
		found = append(found, v.File(s.ConfigPath, s.Config, FormConfiguration)...)
	}
	return Together(found), unread
}

// CheckPatterns says which patterns of manifest.files cannot be used beside the kubelet's manifest directory, and why.
func CheckPatterns(patterns []string, directory string) []error {
	_, problems := checkPatterns(patterns, directory)
	return problems
}
