package manifest

import (
	"bytes"
	"path/filepath"
	"regexp"
)

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
