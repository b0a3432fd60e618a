package output

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// JSON writes the JSON object of one resource indented by four spaces, with a line's end.
func JSON(w io.Writer, object []byte) error {
	var b bytes.Buffer
	if err := json.Indent(&b, bytes.TrimSpace(object), "", "    "); err != nil {
		return fmt.Errorf("resource: %w", err)
	}
	b.WriteByte('\n')
	_, err := w.Write(inert(b.Bytes(), escapeJSON))
	return err
}

// Encode writes a document of ours as JSON, indented as JSON does it.
func Encode[T any](w io.Writer, document T) error {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "    ")
	if err := encoder.Encode(document); err != nil {
		return err
	}
	_, err := w.Write(inert(b.Bytes(), escapeJSON))
	return err
}

// steers are the characters that JSON and YAML may hold as they are, but a terminal may take for commands: C1 controls,
// marks of direction, separators of lines and what is not shown at all.
var steers = []*unicode.RangeTable{unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp}

// inert escapes in a document what could steer a terminal, all of which is in strings with quotes.
func inert(document []byte, escape func(escaped []byte, r rune) []byte) []byte {
	if bytes.IndexFunc(document, steering) < 0 {
		return document
	}
	escaped := make([]byte, 0, len(document)+64)
	for _, r := range string(document) {
		if steering(r) {
			escaped = escape(escaped, r)
		} else {
			escaped = utf8.AppendRune(escaped, r)
		}
	}
	return escaped
}

func steering(r rune) bool { return r >= 0x7f && (r == utf8.RuneError || unicode.In(r, steers...)) }

func escapeJSON(escaped []byte, r rune) []byte {
	for _, unit := range utf16.AppendRune(nil, r) {
		escaped = fmt.Appendf(escaped, `\u%04x`, unit)
	}
	return escaped
}

func escapeYAML(escaped []byte, r rune) []byte { return fmt.Appendf(escaped, `\U%08X`, r) }

// Documents writes resources as YAML documents.
type Documents struct {
	w    io.Writer
	some bool
}

// NewDocuments returns Documents on w.
func NewDocuments(w io.Writer) *Documents { return &Documents{w: w} }

// Write writes the JSON object of one resource as a YAML document: the members in their own order but for
// node, which comes first, indented by four spaces, after a line of three dashes if it is not the first.
func (d *Documents) Write(object []byte) error {
	document, err := yamlNode(object)
	if err != nil {
		return fmt.Errorf("resource: %w", err)
	}
	nodeFirst(document)
	plainTimes(document)
	var b bytes.Buffer
	if d.some {
		b.WriteString("---\n")
	}
	d.some = true
	encoder := yaml.NewEncoder(&b) // whose indentation is four spaces
	if err := encoder.Encode(document); err != nil {
		return fmt.Errorf("resource: %w", err)
	}
	if err := encoder.Close(); err != nil {
		return fmt.Errorf("resource: %w", err)
	}
	_, err = d.w.Write(inert(b.Bytes(), escapeYAML))
	return err
}

// yamlNode turns JSON into YAML nodes and keeps the order of members. The YAML parser would read most JSON
// too, but neither surrogate pairs nor every character that JSON may hold as it is.
func yamlNode(object []byte) (*yaml.Node, error) {
	decoder := json.NewDecoder(bytes.NewReader(object))
	decoder.UseNumber()
	node, err := value(decoder)
	if err != nil {
		return nil, err
	}
	if _, err := decoder.Token(); err != io.EOF {
		return nil, fmt.Errorf("more than one JSON value")
	}
	return node, nil
}

func value(decoder *json.Decoder) (*yaml.Node, error) {
	token, err := decoder.Token()
	if err != nil {
		return nil, err
	}
	switch t := token.(type) {
	case json.Delim:
		node := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
		if t == '[' {
			node = &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
		}
		for decoder.More() {
			if t == '{' {
				key, err := value(decoder)
				if err != nil {
					return nil, err
				}
				node.Content = append(node.Content, key)
			}
			child, err := value(decoder)
			if err != nil {
				return nil, err
			}
			node.Content = append(node.Content, child)
		}
		_, err := decoder.Token() // the closing delimiter
		return node, err
	case string:
		quoted := strings.IndexFunc(t, steering) >= 0
		if strings.Contains(t, "\n") && (strings.Contains(t, "\t") || strings.TrimLeft(t, " \n") != t) {
			// As a literal block the library writes these so that it cannot read them again.
			quoted = true
		}
		if quoted {
			return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Style: yaml.DoubleQuotedStyle, Value: t}, nil
		}
		// The library's own way from a Go string quotes what other readers of YAML take for something else.
		node := new(yaml.Node)
		return node, node.Encode(t)
	case json.Number:
		return &yaml.Node{Kind: yaml.ScalarNode, Value: t.String()}, nil
	case bool:
		return &yaml.Node{Kind: yaml.ScalarNode, Value: strconv.FormatBool(t)}, nil
	default:
		return &yaml.Node{Kind: yaml.ScalarNode, Value: "null"}, nil
	}
}

// nodeFirst moves the member "node" of a mapping to its front.
func nodeFirst(mapping *yaml.Node) {
	for i := 0; i+1 < len(mapping.Content) && mapping.Kind == yaml.MappingNode; i += 2 {
		if mapping.Content[i].Value == "node" {
			key, value := mapping.Content[i], mapping.Content[i+1]
			copy(mapping.Content[2:i+2], mapping.Content[:i])
			mapping.Content[0], mapping.Content[1] = key, value
			return
		}
	}
}

// plainTimes has metadata.created and metadata.updated written as timestamps, without quotes, as talosctl does.
func plainTimes(document *yaml.Node) {
	metadata := member(document, "metadata")
	for _, name := range []string{"created", "updated"} {
		if t := member(metadata, name); t != nil {
			if _, err := time.Parse(time.RFC3339, t.Value); err == nil {
				t.Tag, t.Style = "!!timestamp", 0
			}
		}
	}
}

func member(mapping *yaml.Node, name string) *yaml.Node {
	if mapping == nil || mapping.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == name {
			return mapping.Content[i+1]
		}
	}
	return nil
}
