package manifest

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// A position is a place in a file, from 1; 0 is unknown. Columns count characters.
type position struct{ line, column int }

// SourceLine returns a line of a file, without its end, as the positions of problems count lines; "" when there is
// no such line.
func SourceLine(data []byte, line int) string {
	data = bytes.TrimPrefix(fromUTF16(data), []byte(byteOrderMark))
	for ; line > 1 && len(data) > 0; line-- {
		data = data[lineLength(data):]
	}
	return string(bytes.TrimRight(data[:lineLength(data)], "\r\n"))
}

// A locator finds the fields of one tree in the author's file.
type locator struct {
	root   *yaml.Node // nil when only the beginning is known
	offset int        // lines of the file before the document
	start  position   // where the tree begins
}

// newLocator locates in a document whose text begins on the given line.
func newLocator(document *yaml.Node, line int) locator {
	l := locator{offset: line - 1, start: position{line: line}}
	if len(document.Content) > 0 {
		l.root = document.Content[0]
		l.start = l.of(l.root)
	}
	return l
}

func (l locator) of(n *yaml.Node) position { return position{n.Line + l.offset, n.Column} }

// at returns the position of a field in the kubelet's notation, as in spec.containers[0].image: of its key,
// or of its element in a list. A field that is not there is at its nearest parent that is.
func (l locator) at(field string) position {
	found, _ := l.walk(field)
	return found
}

// below returns the locator of what lies at field.
func (l locator) below(field string) locator {
	_, node := l.walk(field)
	part := locator{root: node, offset: l.offset, start: l.at(field)}
	if node != nil {
		part.start = l.of(node)
	}
	return part
}

// walk follows field as far as it exists; the node is nil when that is not all the way.
func (l locator) walk(field string) (position, *yaml.Node) {
	at, node := l.start, l.root
	for _, step := range steps(field) {
		var key *yaml.Node
		key, node = child(node, step)
		if node == nil {
			return at, nil
		}
		at = l.of(key)
	}
	return at, node
}

// bareBoolean returns the word at field when it is one that YAML 1.1, which the kubelet reads, takes for a
// boolean although most people do not.
func (l locator) bareBoolean(field string) string {
	_, n := l.walk(field)
	if n = resolve(n); n != nil && n.Kind == yaml.ScalarNode && n.Style == 0 {
		switch strings.ToLower(n.Value) {
		case "y", "yes", "on", "n", "no", "off", "true", "false":
			return n.Value
		}
	}
	return ""
}

// steps takes a path apart: spec.containers[0].resources.limits[cpu] is spec, containers, 0, resources,
// limits and cpu.
func steps(path string) []string {
	var all []string
	for path != "" {
		switch end := strings.IndexAny(path, ".["); {
		case path[0] == '[':
			end = strings.IndexByte(path, ']')
			if end < 0 {
				return append(all, path[1:])
			}
			all = append(all, path[1:end])
			path = strings.TrimPrefix(path[end+1:], ".")
		case end < 0:
			return append(all, path)
		default:
			all = append(all, path[:end])
			path = strings.TrimPrefix(path[end:], ".")
		}
	}
	return all
}

// child returns the node that a step leads to, and the node that marks its place. Of a key written twice the
// last counts; merged keys (<<) count when the mapping does not have them itself.
func child(n *yaml.Node, step string) (key, value *yaml.Node) {
	n = resolve(n)
	switch {
	case n == nil:
		return nil, nil
	case n.Kind == yaml.SequenceNode:
		if i, err := strconv.Atoi(step); err == nil {
			if i >= 0 && i < len(n.Content) {
				return n.Content[i], n.Content[i]
			}
			return nil, nil
		}
		// The kubelet leaves out the index in some places: then it is the only element that has the field.
		for _, element := range n.Content {
			k, v := directChild(resolve(element), step)
			if value != nil && v != nil {
				return nil, nil
			}
			if v != nil {
				key, value = k, v
			}
		}
		return key, value
	case n.Kind != yaml.MappingNode:
		return nil, nil
	}
	for i := len(n.Content) - 2; i >= 0; i -= 2 {
		if resolve(n.Content[i]).Value == step {
			return n.Content[i], n.Content[i+1]
		}
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Tag != "!!merge" {
			continue
		}
		merged := resolve(n.Content[i+1])
		if merged.Kind == yaml.MappingNode {
			return directChild(merged, step)
		}
		for _, m := range merged.Content {
			if key, value := directChild(resolve(m), step); value != nil {
				return key, value
			}
		}
	}
	return nil, nil
}

// directChild is child without what m itself merges: anchors that merge each other must not make us loop.
func directChild(m *yaml.Node, step string) (key, value *yaml.Node) {
	for i := 0; m.Kind == yaml.MappingNode && i+1 < len(m.Content); i += 2 {
		if resolve(m.Content[i]).Value == step {
			return m.Content[i], m.Content[i+1]
		}
	}
	return nil, nil
}

// resolve follows an alias.
func resolve(n *yaml.Node) *yaml.Node {
	if n != nil && n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

// duplicateKeys finds the keys that are written twice in one mapping, leaving out the subtrees in except.
// Aliases are not followed: what they stand for is looked at where it is written.
func duplicateKeys(l locator, except map[*yaml.Node]bool) []Problem {
	var problems []Problem
	var walk func(n *yaml.Node, path string)
	walk = func(n *yaml.Node, path string) {
		if n == nil || except[n] {
			return
		}
		switch n.Kind {
		case yaml.SequenceNode:
			for i, c := range n.Content {
				walk(c, fmt.Sprintf("%s[%d]", path, i))
			}
		case yaml.MappingNode:
			seen := make(map[string]bool, len(n.Content)/2)
			for i := 0; i+1 < len(n.Content); i += 2 {
				key, field := n.Content[i], join(path, n.Content[i].Value)
				if key.Kind == yaml.ScalarNode && key.Tag != "!!merge" {
					if seen[key.Value] {
						at := l.of(key)
						problems = append(problems, Problem{Reason: DuplicateKey, Level: Warning, Line: at.line, Column: at.column, Field: field,
							Message: clip(fmt.Sprintf("key %q is already set in this mapping: the kubelet takes the last one", key.Value))})
					}
					seen[key.Value] = true
				}
				walk(n.Content[i+1], field)
			}
		}
	}
	walk(l.root, "")
	return problems
}

// join adds a key to a path in the kubelet's notation.
func join(path, key string) string {
	switch {
	case strings.ContainsAny(key, "./[]"):
		return path + "[" + key + "]"
	case path == "":
		return key
	default:
		return path + "." + key
	}
}
