package report

import (
	"strings"
	"testing"

	"github.com/staticpod-exporter/staticpod-exporter/observe/output"
)

func TestExcerpt(t *testing.T) {
	for _, test := range []struct {
		name, line  string
		column      int
		secret      bool
		text, marks string
	}{
		{name: "a key", line: "  image: i", column: 3, text: "  image: i", marks: "  ^~~~~"},
		{name: "no column", line: "  image: i  ", text: "  image: i", marks: "  ^~~~~~~~"},
		{name: "a quoted key", line: `{"a": {"b c": 1}}`, column: 8, text: `{"a": {"b c": 1}}`, marks: `       ^~~~~`},
		{name: "a quote that does not end", line: `{"a": "b`, column: 7, text: `{"a": "b`, marks: `      ^~`},
		{name: "behind wide characters", line: "{アプリ: x, b: y}", column: 10, text: "{アプリ: x, b: y}", marks: "             ^"[1:]},
		{name: "a wide character", line: "ポッド: x", column: 1, text: "ポッド: x", marks: "^~~~~~"},
		{name: "behind tabs", line: "\ta:\tb", column: 5, text: "        a:      b", marks: "                ^"},
		{name: "behind a tab within", line: "abcd:\tf", column: 7, text: "abcd:   f", marks: "        ^"},
		{name: "combining characters", line: "cafe\u0301: x", column: 8, text: "cafe\u0301: x", marks: "      ^"},
		{name: "behind the end", line: "a:", column: 3, text: "a:", marks: "  ^"},
		{name: "far behind the end", line: "a:", column: 30, text: "a:", marks: "  ^"},
		{name: "nothing", line: "   ", column: 1},
		{name: "what steers a terminal", line: "a: \x1b[31mred\u202e\x00\xff", column: 1, text: "a: �[31mred���", marks: "^"},
		{name: "a value in an environment", line: "env: [{name: P, value: hunter2}, {name: Q}]", column: 42, text: "env: [{name: P, value: *******}, {name: Q}]", marks: "                                         ^"},
		{name: "a quoted value", line: `{"name": "P", "value": "hun,te\"r2", "x": 1}`, column: 38, text: `{"name": "P", "value": ************, "x": 1}`, marks: `                                     ^~~`},
		{name: "a command", line: `command: [sh, -c, "echo hunter2"] # why`, column: 1, text: `command: ************************ # why`, marks: "^~~~~~~"},
		{name: "arguments of wide characters", line: `args: [ポッド], b: c`, column: 14, text: `args: *****, b: c`, marks: "             ^"},
		{name: "a block", line: `value: |`, column: 1, text: `value: |`, marks: "^~~~~"},
		{name: "another key", line: `defaultvalue: 3`, column: 1, text: `defaultvalue: 3`, marks: "^~~~~~~~~~~~"},
		{name: "a key whose value is secret", line: `  PASSWORD: hunter2`, column: 3, secret: true, text: "  PASSWORD: …", marks: "  ^~~~~~~~"},
		{name: "a key whose value is on other lines", line: `  PASSWORD:`, column: 3, secret: true, text: "  PASSWORD:", marks: "  ^~~~~~~~"},
		{name: "an element that is no mapping", line: `  - hunter2`, column: 5, text: "  - *******", marks: "    ^~~~~~~"},
		{name: "an element that is a mapping", line: `  - image: i`, column: 5, text: "  - image: i", marks: "    ^~~~~"},
		{name: "what continues a list", line: `  hunter2, "a b"], image: I`, column: 20, text: "  *****************image: I", marks: "                   ^~~~~"},
		{name: "an element that is secret", line: `  - --password=hunter2 x`, column: 5, secret: true, text: "  - …", marks: "    ^"},
	} {
		t.Run(test.name, func(t *testing.T) {
			text, marks := excerpt(test.line, test.column, test.secret)
			if text != test.text || marks != test.marks {
				t.Errorf("got\n%s\n%s\nwant\n%s\n%s", text, marks, test.text, test.marks)
			}
		})
	}
}

func TestOutline(t *testing.T) {
	for line, want := range map[string]string{
		"    - --password=hunter2: x: y": "",
		"\thunter2 is":                   "",
		"   - hunter2":                   "",
		"    \"echo\", hunter2, \"x":     "",
		"  hunter2: x":                   "",
		"  PASSWORD: \"hunter2":          "  PASSWORD: …",
		"  - name: [a":                   "  - name: …",
		"spec:":                          "spec:",
		`{"apiVersion": "v1", "spec": {"args": ["hunter2" "x"]}`: `{"apiVersion": …`,
		`["hunter2" "x"]`: "",
		"":                "",
	} {
		if got := outline(line); got != want {
			t.Errorf("%q: %q, want %q", line, got, want)
		}
	}
}

func TestExcerptOfALongLine(t *testing.T) {
	for _, filler := range []string{"x", "ポ", "é"} {
		for _, before := range []int{0, 3, 20, 60, 99, 100, 500} {
			for _, after := range []int{0, 5, 90, 500} {
				line := "{" + strings.Repeat(filler, before) + " KEY " + strings.Repeat(filler, after)
				text, marks := excerpt(line, before+3, false)
				if n := output.Columns(text); n > excerptColumns {
					t.Errorf("%d %s before and %d behind: %d columns", before, filler, after, n)
				}
				at := strings.Index(text, "KEY")
				if at < 0 || output.Columns(text[:at]) != strings.Index(marks, "^") || !strings.HasSuffix(marks, "^~~") {
					t.Errorf("%d %s before and %d behind:\n%s\n%s", before, filler, after, text, marks)
				}
			}
		}
	}
}

func FuzzExcerpt(f *testing.F) {
	f.Add("a: [b, \"c\"]", 4, false)
	f.Add("\tアプリ: value: x\x1b", 3, true)
	f.Fuzz(func(t *testing.T, line string, column int, secret bool) {
		if strings.ContainsAny(line, "\r\n") {
			t.Skip("not a line")
		}
		text, marks := excerpt(line, column, secret)
		for _, s := range []string{text, marks} {
			if output.Columns(s) > excerptColumns || strings.ReplaceAll(output.Printable(s), `\ufffd`, "\uFFFD") != s {
				t.Errorf("%q", s)
			}
		}
		if (text == "") != (marks == "") || text != "" && strings.Count(marks, "^") != 1 {
			t.Errorf("%q is marked by %q", text, marks)
		}
	})
}
