package manifest

import (
	"testing"
	"unicode/utf16"
)

func TestSourceLine(t *testing.T) {
	wide := []byte{0xff, 0xfe}
	for _, unit := range utf16.Encode([]rune("a: 1\nb: ポッド\n")) {
		wide = append(wide, byte(unit), byte(unit>>8))
	}
	for _, test := range []struct {
		data string
		line int
		want string
	}{
		{"a\nb\nc", 1, "a"},
		{"a\nb\nc", 3, "c"},
		{"a\r\nb\rc\n", 2, "b"},
		{"a\r\nb\rc\n", 3, "c"},
		{"\uFEFFa\n", 1, "a"},
		{"a\n", 2, ""},
		{"a\n", 7, ""},
		{"", 1, ""},
		{string(wide), 2, "b: ポッド"},
	} {
		if got := SourceLine([]byte(test.data), test.line); got != test.want {
			t.Errorf("%q, line %d: %q, not %q", test.data, test.line, got, test.want)
		}
	}
}

// Columns count characters, in YAML and JSON alike.
func TestColumnsAreCharacters(t *testing.T) {
	for _, document := range []string{
		"metadata: {labels: {アプリ: x}, lables: {}}\n",
		`{"kind":"Pod","apiVersion":"v1","metadata":{"labels":{"アプリ":"x"},"lables":{}}}`,
	} {
		text := []rune(document)
		for _, c := range NewValidator(Rules{Node: "n"}).File("/a", []byte(document), FormDefinitions) {
			for _, p := range c.Problems {
				if p.Reason == UnknownField && string(text[p.Column-1:p.Column+5]) != "lables" && string(text[p.Column:p.Column+6]) != "lables" {
					t.Errorf("%s: column %d is at %q", document, p.Column, string(text[p.Column-1:]))
				}
			}
		}
	}
	candidates := NewValidator(Rules{Node: "n"}).File("/a", []byte(`{"アプリ": x}`), FormDefinitions)
	if len(candidates) != 1 || len(candidates[0].Problems) != 1 || candidates[0].Problems[0].Column != 9 {
		t.Errorf("%+v", candidates[0].Problems)
	}
}
