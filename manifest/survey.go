package manifest

import (
	"encoding/json"
	"os"
	"path/filepath"
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

// Survey reads once, as a Store does, what sources and the kubelet's manifest directory define, "" for none. What
// cannot be read is left out. The files of the directory have the directory's path.
func (v *Validator) Survey(s Sources, directory string) []*Candidate {
	var found []*Candidate
	patterns, _ := checkPatterns(s.Patterns, directory)
	for _, f := range list(patterns).files {
		if f.err == nil {
			found = append(found, v.File(f.path, f.data, FormDefinitions)...)
		}
	}
	if s.ConfigPath != "" {
		found = append(found, v.File(s.ConfigPath, s.Config, FormConfiguration)...)
	}
	if directory != "" {
		files, _ := v.readDirectory(directory, "")
		for _, f := range files {
			found = append(found, f.candidates...)
		}
	}
	return found
}
