package oracle

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"

	"github.com/staticpod-exporter/staticpod-exporter/manifest"
	"k8s.io/apimachinery/pkg/types"
)

// A judgement is what we say of a document.
type judgement struct {
	accepted []*manifest.Candidate
	refused  []refused
	broken   bool // a part of it cannot be read, and so perhaps no part at all
}

// A refused is something that the kubelet must refuse, because we do so in its name.
type refused struct {
	reason manifest.Reason
	words  string
	bytes  []byte // the document that holds it alone
	// beside are the pods, by namespace/name, that the document begins with where what is refused comes after them.
	// YAML allows nothing there, but the kubelet reads the first pod and goes no further.
	beside []string
}

// inItsName are the reasons that say what the kubelet would.
var inItsName = []manifest.Reason{manifest.ManifestMalformed, manifest.NotAPod, manifest.ManifestInvalid, manifest.APIReference}

// judge asks our validator about a document that is to be served.
func judge(d document) judgement {
	var j judgement
	validator := manifest.NewValidator(manifest.Rules{Node: string(node)})
	candidates := validator.File(d.name, d.text, manifest.FormDefinitions)
	for _, c := range candidates {
		if !c.Quarantined() {
			j.accepted = append(j.accepted, c)
			continue
		}
		told := map[string]bool{}
		for _, p := range c.Problems {
			if !slices.Contains(inItsName, p.Reason) {
				continue
			}
			j.broken = j.broken || c.Name == "" && p.Reason == manifest.ManifestMalformed
			// Of what is no pod only the author's own text tells: we would give it another kind.
			if c.Canonical != nil && p.Field != "kind" && p.Field != "apiVersion" && !told["canonical"] {
				told["canonical"] = true
				j.refused = append(j.refused, refused{reason: p.Reason, words: p.Message, bytes: served(c.Canonical, c.UID)})
			}
			line := c.Line
			if c.Canonical == nil {
				line = p.Line
			}
			r := refused{reason: p.Reason, words: p.Message, bytes: d.part(line)}
			if d.parts != nil && len(candidates) == 1 && c.Name == "" {
				r.bytes = d.text // nothing in it can be read
			}
			if c.Name == "" && d.parts == nil {
				r.beside = names(d.around(candidates, p.Line))
			}
			if !told[string(r.bytes)] {
				told[string(r.bytes)] = true
				j.refused = append(j.refused, r)
			}
		}
	}
	return j
}

// served is the list that a definition would be served in, alone.
func served(canonical []byte, uid types.UID) []byte {
	var pod, metadata map[string]json.RawMessage
	item := canonical
	if json.Unmarshal(canonical, &pod) == nil && json.Unmarshal(pod["metadata"], &metadata) == nil && metadata != nil {
		metadata["uid"], _ = json.Marshal(uid)
		pod["metadata"], _ = json.Marshal(metadata)
		item, _ = json.Marshal(pod)
	}
	return fmt.Appendf(nil, `{"apiVersion":"v1","items":[%s],"kind":"PodList","metadata":{}}`, item)
}

// around lists those of the candidates that we accept of the YAML document which holds the line.
func (d document) around(candidates []*manifest.Candidate, line int) []*manifest.Candidate {
	from, to := d.bounds(line)
	var found []*manifest.Candidate
	for _, c := range candidates {
		if !c.Quarantined() && from < c.Line && c.Line <= to {
			found = append(found, c)
		}
	}
	return found
}

// names are the names of the candidates' pods on the node.
func names(candidates []*manifest.Candidate) []string {
	var names []string
	for _, c := range candidates {
		names = append(names, c.Namespace+"/"+c.Name+"-"+string(node))
	}
	return names
}

// alone are the parts of a document, each as a document of its own.
func (d document) alone() [][]byte {
	if d.parts != nil {
		return slices.DeleteFunc(slices.Clone(d.parts), func(part []byte) bool { return part == nil })
	}
	var parts [][]byte
	for line, last := 1, len(d.lines()); line <= last; {
		_, to := d.bounds(line)
		parts = append(parts, d.part(line))
		line = to + 1
	}
	return parts
}

// part is the text of the YAML document that holds the line.
func (d document) part(line int) []byte {
	if d.parts != nil {
		if line < 1 || line > len(d.parts) {
			return d.text
		}
		return d.parts[line-1]
	}
	from, to := d.bounds(line)
	return join(d.lines()[from:to])
}

// bounds are the lines, counted from 0, of the YAML document that holds the line.
func (d document) bounds(line int) (from, to int) {
	lines := d.lines()
	if bytes.HasPrefix(d.text, []byte{0xfe, 0xff}) {
		return 0, len(lines) // of UTF-16, in which these are no lines
	}
	for i, text := range lines {
		if isMarker(text, "---") && slices.ContainsFunc(lines[from:i], hasContent) {
			if i+1 > line {
				return from, i
			}
			from = i
		}
		if isMarker(text, "...") {
			if i+1 >= line {
				return from, i + 1
			}
			from = i + 1
		}
	}
	return from, len(lines)
}

// hasContent reports whether a line is more than a comment, a directive or blank. What is not belongs to the document
// after it.
func hasContent(line []byte) bool {
	line = bytes.TrimSpace(bytes.TrimPrefix(line, []byte("\uFEFF")))
	return len(line) > 0 && line[0] != '#' && line[0] != '%'
}

// lines are the lines of the text with their ends.
func (d document) lines() [][]byte {
	var lines [][]byte
	for text := d.text; len(text) > 0; {
		end := lineEnd.FindIndex(text)
		if end == nil {
			return append(lines, text)
		}
		lines, text = append(lines, text[:end[1]]), text[end[1]:]
	}
	return lines
}

// lineEnd is what ends a line in YAML.
var lineEnd = regexp.MustCompile(`\r\n|\r|\n`)

// isMarker reports whether a line is a YAML document marker.
func isMarker(text []byte, marker string) bool {
	rest, ok := bytes.CutPrefix(bytes.TrimPrefix(text, []byte("\uFEFF")), []byte(marker))
	return ok && (len(rest) == 0 || bytes.IndexByte([]byte(" \t\r\n"), rest[0]) >= 0)
}
