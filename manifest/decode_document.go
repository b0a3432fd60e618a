package manifest

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
	corev1 "k8s.io/api/core/v1"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	kjson "sigs.k8s.io/json"
	kyaml "sigs.k8s.io/yaml"
)

// A document is one of the documents of a file, as text.
type document struct {
	text []byte
	line int // of the file where text begins, from 1
	// exact is set where the kubelet reads the file itself: nothing is understood that it would not.
	exact bool
}

// parsed is a document as the kubelet understands it, with the positions of its parts.
type parsed struct {
	json  []byte
	tree  any // of maps, lists, strings, json.Number, bool and nil, as decoded from json
	place locator
	rest  *Problem // says that text holds more after its first document, and where
}

// splitDocuments cuts a file at its YAML document markers, and where JSON values follow each other. A marker
// at the beginning of a line is one wherever it stands (YAML 1.2, 9.1.2), so that one broken document does not
// hide the others. Comments and directives before a marker belong to the document after it.
func splitDocuments(data []byte) []document {
	if _, ok := utf16Order(data); ok {
		return []document{{text: data, line: 1}} // markers cannot be told in what is only partly UTF-16
	}
	var documents []document
	start, startLine, line := 0, 1, 0
	content := false // whether anything but comments, directives and blanks was seen since start
	cut := func(end, endLine int) {
		if content {
			documents = append(documents, splitJSON(document{text: data[start:end], line: startLine})...)
		}
		start, startLine, content = end, endLine, false
	}
	for offset := 0; offset < len(data); {
		line++
		end := offset + lineLength(data[offset:])
		text := data[offset:end]
		if line == 1 {
			text = bytes.TrimPrefix(text, []byte(byteOrderMark))
		}
		switch {
		case isMarker(text, "---"):
			if content {
				cut(offset, line)
			}
			content = true
		case isMarker(text, "..."):
			cut(end, line+1)
		case !content:
			text = bytes.TrimSpace(text)
			content = len(text) > 0 && text[0] != '#' && text[0] != '%'
		}
		offset = end
	}
	content = content || documents == nil // what looks empty is judged by the parser: it knows more line breaks
	cut(len(data), line+1)
	return documents
}

// lineLength is how much of text its first line is, with its end: in YAML a carriage return is one too.
func lineLength(text []byte) int {
	i := bytes.IndexAny(text, "\r\n")
	switch {
	case i < 0:
		return len(text)
	case bytes.HasPrefix(text[i:], []byte("\r\n")):
		return i + 2
	}
	return i + 1
}

// byteOrderMark may begin a file.
const byteOrderMark = "\uFEFF"

// utf16Order tells the order of bytes of a text that begins as UTF-16.
func utf16Order(text []byte) (order binary.ByteOrder, ok bool) {
	switch {
	case bytes.HasPrefix(text, []byte{0xff, 0xfe}):
		return binary.LittleEndian, true
	case bytes.HasPrefix(text, []byte{0xfe, 0xff}):
		return binary.BigEndian, true
	}
	return nil, false
}

// fromUTF16 returns a text of UTF-16 in UTF-8, both with a byte order mark, and any other as it is: the kubelet's
// YAML library reads either, but its markers are to be found first.
func fromUTF16(text []byte) []byte {
	order, ok := utf16Order(text)
	if !ok || len(text)%2 != 0 {
		return text
	}
	units := make([]uint16, len(text)/2)
	for i := range units {
		units[i] = order.Uint16(text[2*i:])
	}
	runes := utf16.Decode(units)
	if slices.Contains(runes, unicode.ReplacementChar) {
		return text // half a character: the library says so
	}
	return []byte(string(runes))
}

func isMarker(line []byte, marker string) bool {
	rest, ok := bytes.CutPrefix(line, []byte(marker))
	return ok && (len(rest) == 0 || bytes.IndexByte([]byte(" \t\r\n"), rest[0]) >= 0)
}

// splitJSON cuts a document of several JSON values into them.
func splitJSON(d document) []document {
	body := d.body()
	if !utilyaml.IsJSONBuffer(body.text) || json.Valid(body.text) {
		return []document{d}
	}
	var documents []document
	decoder := json.NewDecoder(bytes.NewReader(body.text))
	line, counted := body.line, 0 // line is that of the byte at counted
	for {
		offset := int(decoder.InputOffset())
		begin := offset + len(body.text[offset:]) - len(bytes.TrimLeft(body.text[offset:], " \t\r\n"))
		if begin == len(body.text) {
			return documents
		}
		line, counted = line+bytes.Count(body.text[counted:begin], []byte("\n")), begin
		var value json.RawMessage
		switch err := decoder.Decode(&value); {
		case err != nil && !utilyaml.IsJSONBuffer(d.text):
			return []document{d} // not all JSON, and to the kubelet it is YAML
		case err != nil:
			return append(documents, document{text: body.text[begin:], line: line})
		}
		documents = append(documents, document{text: value, line: line})
	}
}

// body is the document without the byte order mark, comments, directives and marker that it may begin with. They
// make YAML of JSON to the kubelet.
func (d document) body() document {
	d.text = bytes.TrimPrefix(d.text, []byte(byteOrderMark))
	for {
		line, rest, more := bytes.Cut(d.text, []byte("\n"))
		comment := bytes.TrimSpace(line)
		if isMarker(line, "---") {
			comment = bytes.TrimSpace(line[len("---"):])
		}
		if !more || len(comment) > 0 && comment[0] != '#' && comment[0] != '%' {
			return d
		}
		d.text, d.line = rest, d.line+1
	}
}

// parse decodes the document as the kubelet does. The problem says why it cannot be.
func (d document) parse() (parsed, *Problem) {
	var root yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(d.text))
	nodesErr := decoder.Decode(&root)
	if nodesErr != nil {
		root = yaml.Node{}
	}
	place := newLocator(&root, d.line)
	if d.bomb(&root, nodesErr) {
		p := malformed(place.start, "the document expands to 10 MiB or more, the kubelet's limit")
		if d.exact { // the kubelet's limit is on the file, not on what becomes of it; this one is ours
			p.Reason, p.Message = ManifestUnreadable, "the document expands to 10 MiB or more: it is too large to be judged, whatever the kubelet makes of it"
		}
		return parsed{}, &p
	}
	data, err := d.toJSON()
	if err != nil {
		p := d.syntax(err)
		return parsed{}, &p
	}
	tree, err := decodeTree(data)
	if err != nil {
		p := d.syntax(err)
		return parsed{}, &p
	}
	p := parsed{json: data, tree: tree, place: place}
	if utilyaml.IsJSONBuffer(d.text) {
		if !d.exact {
			p.mergeDuplicates()
		}
		return p, nil
	}
	var next yaml.Node
	switch err := decoder.Decode(&next); {
	case nodesErr != nil || errors.Is(err, io.EOF):
	case err != nil:
		rest := d.syntax(err)
		p.rest = &rest
	case len(next.Content) > 0 && next.Content[0].Tag != "!!null":
		rest := malformed(position{line: next.Content[0].Line + d.line - 1}, "a further document without a marker")
		p.rest = &rest
	}
	return p, nil
}

// toJSON converts as the kubelet does. JSON after comments and a document marker, which YAML reads with less of
// JSON's escapes, is taken as it is.
func (d document) toJSON() ([]byte, error) {
	if utilyaml.IsJSONBuffer(d.text) {
		return d.text, nil
	}
	data, err := kyaml.YAMLToJSON(d.text)
	if err == nil || d.exact {
		return data, err
	}
	if body := d.body().text; utilyaml.IsJSONBuffer(body) && json.Valid(body) {
		return body, nil
	}
	return nil, err
}

// bomb reports whether aliases make the document grow beyond what the kubelet reads.
func (d document) bomb(root *yaml.Node, err error) bool {
	if bytes.IndexByte(d.text, '*') < 0 || utilyaml.IsJSONBuffer(d.text) {
		return false
	}
	if err != nil {
		// Our parser stumbles where the kubelet's may not, so the size can only be guessed.
		return bytes.Count(d.text, []byte("*"))*len(d.text) > 16*maxFileBytes
	}
	return expandedSize(root, map[*yaml.Node]int{}) >= maxFileBytes
}

// expandedSize is about how many bytes a node takes with every alias written out, up to maxFileBytes.
func expandedSize(n *yaml.Node, known map[*yaml.Node]int) int {
	if size, ok := known[n]; ok {
		return size
	}
	size := len(n.Value) + 2
	known[n] = maxFileBytes // an alias within its own anchor never ends; decoding refuses it
	if n.Kind == yaml.AliasNode {
		size = expandedSize(n.Alias, known)
	}
	for _, c := range n.Content {
		size = min(size+expandedSize(c, known), maxFileBytes)
	}
	known[n] = size
	return size
}

// mergeDuplicates handles JSON with duplicate keys: the kubelet decodes JSON straight into its types, where
// the parts of an object written twice are merged, so its reading replaces ours.
func (p *parsed) mergeDuplicates() {
	if len(duplicateKeys(p.place, nil)) == 0 {
		return
	}
	var read []byte
	var err error
	if tree, _ := p.tree.(map[string]any); tree["kind"] == "PodList" {
		var list corev1.PodList
		if err = kjson.UnmarshalCaseSensitivePreserveInts(p.json, &list); err == nil {
			read, err = json.Marshal(&list)
		}
	} else if tree["kind"] == "Pod" {
		var pod corev1.Pod
		if err = kjson.UnmarshalCaseSensitivePreserveInts(p.json, &pod); err == nil {
			read, err = json.Marshal(&pod)
		}
	}
	if err != nil || read == nil {
		return // what does not decode is refused later, with the reason
	}
	if tree, err := decodeTree(read); err == nil {
		p.json, p.tree = read, tree
	}
}

// lastLine is the line of the file where the document's text ends.
func (d document) lastLine() int {
	line := d.line
	for text := bytes.TrimRight(d.text, " \r\n"); ; line++ {
		n := lineLength(text)
		if n == len(text) {
			return line
		}
		text = text[n:]
	}
}

// yamlLine is how both YAML libraries give a position.
var yamlLine = regexp.MustCompile(`^(yaml: )?line (\d+): `)

// syntax is the problem of a document that cannot be parsed, in the words of the library that the kubelet
// uses, with the line counted from the beginning of the file.
func (d document) syntax(err error) Problem {
	at := position{line: d.line}
	words := err.Error()
	if m := yamlLine.FindStringSubmatch(words); m != nil {
		n, _ := strconv.Atoi(m[2])
		at.line = d.line + max(n, 1) - 1
		words = m[1] + "line " + strconv.Itoa(at.line) + ": " + words[len(m[0]):]
		if strings.Contains(words, "did not find expected") {
			at.line++ // the library counts these from 0, as the kubelet's log shows
		}
		at.line = min(at.line, d.lastLine())
	}
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		before := d.text[:min(int(max(syntax.Offset-1, 0)), len(d.text))]
		at.line = d.line + bytes.Count(before, []byte("\n"))
		at.column = utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:]) + 1
		words = "couldn't get version/kind; json parse error: " + words
	} else if errors.Is(err, io.ErrUnexpectedEOF) {
		at.line = d.line + bytes.Count(bytes.TrimRight(d.text, "\n"), []byte("\n"))
		words = "couldn't get version/kind; json parse error: unexpected end of JSON input"
	}
	if strings.Contains(words, "found character that cannot start any token") && d.indentedByTab(at.line) {
		words += tabHint
	}
	return malformed(at, discreet(words))
}

// tabHint is ours, after the kubelet's words.
const tabHint = " (a tab: YAML is indented with spaces)"

// indentedByTab reports whether a line of the file begins with white space that holds a tab.
func (d document) indentedByTab(line int) bool {
	text := d.text
	for n := d.line; n < line; n++ {
		text = text[lineLength(text):]
	}
	indentation := text[:len(text)-len(bytes.TrimLeft(text, " \t"))]
	return bytes.IndexByte(indentation, '\t') >= 0
}
