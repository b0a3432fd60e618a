package oracle

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"

	"sigs.k8s.io/yaml"
)

// A tree is a document of maps, lists, strings, json.Number, bool and nil.
type tree = map[string]any

// verbatim makes a string that is rendered as it is, without quotes.
func verbatim(text string) string { return "verbatim<" + text + ">mitabrev" }

// again makes a key that is rendered as another one, so that a mapping has it twice.
func again(key string) string { return key + "ZZagain" }

var (
	verbatims = regexp.MustCompile(`["']?verbatim(?:<|\\u003c)(.*?)(?:>|\\u003e)mitabrev["']?`)
	agains    = regexp.MustCompile(`ZZagain`)
)

// plainly resolves verbatim and again.
func plainly(text []byte) []byte {
	text = verbatims.ReplaceAll(text, []byte("$1"))
	return agains.ReplaceAll(text, nil)
}

// oneLine renders a tree as JSON in one line.
func oneLine(root tree) []byte {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if encoder.Encode(root) != nil {
		return []byte("{}")
	}
	text := bytes.ReplaceAll(b.Bytes(), []byte("\u0085"), []byte(`\u0085`)) // which ends a line in YAML
	return plainly(bytes.TrimSuffix(text, []byte("\n")))
}

// render writes a tree as somebody might.
func (m *maker) render(root tree) []byte {
	one := oneLine(root)
	switch m.IntN(10) {
	case 0:
		m.done = append(m.done, "as JSON")
		return append(one, '\n')
	case 1:
		m.done = append(m.done, "as JSON with tabs")
		var b bytes.Buffer
		if data, err := json.Marshal(root); err == nil && json.Indent(&b, data, "", "\t") == nil {
			return plainly(b.Bytes())
		}
		return one
	case 2:
		m.done = append(m.done, "as YAML in flow style")
		return append([]byte("# in one line\n"), one...)
	}
	data, err := json.Marshal(root)
	if err != nil {
		return one
	}
	text, err := yaml.JSONToYAML(data)
	if err != nil {
		return one
	}
	if m.IntN(8) == 0 {
		m.done = append(m.done, "with CRLF")
		text = bytes.ReplaceAll(text, []byte("\n"), []byte("\r\n"))
	}
	return plainly(text)
}

// decoded is a value of a tree from JSON.
func decoded(text string) any {
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		panic(err)
	}
	return value
}
