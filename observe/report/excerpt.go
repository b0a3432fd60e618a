package report

import (
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/staticpod-exporter/staticpod-exporter/observe/output"
)

const (
	excerptColumns = 100 // of a terminal, that an excerpt takes at most
	tabStop        = 8
	ellipsis       = "…"
)

// secretFields are the fields whose values people put secrets in.
var secretFields = regexp.MustCompile(`\.(env|command|args|httpHeaders|options|volumeAttributes)\b|\bannotations\b`)

// secretValues are the values on a line that may be secrets, whatever the line is shown for.
var secretValues = regexp.MustCompile(`(?:^|[\s,{\["'-])["']?(?:value|command|args)["']?\s*:\s*(\[.*?(?:\]|$)|"(?:[^"\\]|\\.)*(?:"|$)|'[^']*(?:'|$)|[^\s,}\]#&*|>][^,}\]]*)`)

// secretMappings are those of a line that hold nothing but such values, an environment among them that was meant as one.
var secretMappings = regexp.MustCompile(`\b(?:env|annotations|httpHeaders|options|volumeAttributes)["']?\s*:\s*(\{[^}]*\}?)`)

// firstKey is a line up to its first key, when that looks like a field's name.
var firstKey = regexp.MustCompile(`^(?:[\s{\[]|- )*["']?[A-Za-z]+["']?\s*:(?:\s|$)`)

// opening is how a line begins that holds no continued value: behind indentation and dashes with a key or a bracket.
var opening = regexp.MustCompile(`^\s*(?:- +)*(?:[{}\[\]#]|"[^"]*"\s*:|'[^']*'\s*:|[^\s"'{}\[\],:]+\s*:(?:\s|$))`)

// indentation is what a line has before its first word.
var indentation = regexp.MustCompile(`^\s*(?:- +)*`)

// A cell is a character of a line as it is shown.
type cell struct {
	text    string
	columns int
}

// excerpt shows a line of a file and marks the word at column, from 1 and in characters; 0 marks all of the line. What
// follows the word on a line that is about a secret is left out, and so is what does not fit.
func excerpt(line string, column int, secret bool) (text, marks string) {
	characters := []rune(masked(strings.ToValidUTF8(line, "\uFFFD")))
	begin, end := marked(characters, column)
	if !opening.MatchString(line) {
		continued(characters, begin, end)
	}
	if secret {
		characters, end = withoutValue(characters, begin, end)
	}
	cells := make([]cell, len(characters))
	at := 0
	for i, r := range characters {
		cells[i] = show(r, at)
		at += cells[i].columns
	}
	if len(strings.TrimSpace(string(characters))) == 0 {
		return "", ""
	}
	first, last := window(cells, begin)
	var shown, under strings.Builder
	if first > 0 {
		shown.WriteString(ellipsis)
		under.WriteByte(' ')
	}
	for i := first; i < last; i++ {
		shown.WriteString(cells[i].text)
		switch {
		case i == begin:
			under.WriteByte('^')
			under.WriteString(strings.Repeat("~", max(cells[i].columns-1, 0)))
		case i > begin && i < end:
			under.WriteString(strings.Repeat("~", cells[i].columns))
		case i < begin:
			under.WriteString(strings.Repeat(" ", cells[i].columns))
		}
	}
	if begin >= last { // behind the end
		under.WriteByte('^')
	}
	if last < len(cells) {
		shown.WriteString(ellipsis)
	}
	return strings.TrimRight(shown.String(), " "), under.String()
}

// masked is a line with asterisks in place of values that may be secrets, one for each character.
func masked(line string) string {
	for _, secret := range []*regexp.Regexp{secretMappings, secretValues} {
		for _, at := range slices.Backward(secret.FindAllStringSubmatchIndex(line, -1)) {
			value := strings.TrimRight(line[at[2]:at[3]], " \t")
			line = line[:at[2]] + strings.Repeat("*", utf8.RuneCountInString(value)) + line[at[2]+len(value):]
		}
	}
	return line
}

// outline is a line of a file that cannot be parsed up to its first key, as what follows may be anything, or "".
func outline(line string) string {
	shown := firstKey.FindString(line)
	if strings.TrimSpace(line[len(shown):]) == "" {
		return strings.TrimRight(shown, " \t")
	}
	if shown == "" {
		return ""
	}
	return strings.TrimRight(shown, " \t") + " " + ellipsis
}

// continued puts asterisks over what a line begins with, an element of a list or what continues a value of the lines
// before: up to the key that is marked, or all of it.
func continued(characters []rune, begin, end int) {
	if rest := strings.TrimSpace(string(characters[end:])); !strings.HasPrefix(rest, ":") {
		begin = len(characters)
	}
	for i := utf8.RuneCountInString(indentation.FindString(string(characters))); i < begin; i++ {
		characters[i] = '*'
	}
}

// withoutValue cuts a line behind the key that is marked. What is marked and no key is a value itself.
func withoutValue(characters []rune, begin, end int) ([]rune, int) {
	rest := strings.TrimSpace(string(characters[end:]))
	switch {
	case rest == ":": // the value is on other lines
	case strings.HasPrefix(rest, ":"):
		return append(characters[:end:end], []rune(": "+ellipsis)...), end
	case begin < len(characters):
		return append(characters[:begin:begin], []rune(ellipsis)...), begin + 1
	}
	return characters, end
}

// marked is the range of characters to be marked.
func marked(characters []rune, column int) (begin, end int) {
	if column <= 0 {
		for begin < len(characters) && unicode.IsSpace(characters[begin]) {
			begin++
		}
		end = len(characters)
		for end > begin && unicode.IsSpace(characters[end-1]) {
			end--
		}
		return begin, end
	}
	begin = min(column-1, len(characters))
	if begin == len(characters) {
		return begin, begin
	}
	if quote := characters[begin]; quote == '"' || quote == '\'' {
		for end = begin + 1; end < len(characters); end++ {
			if characters[end] == quote {
				return begin, end + 1
			}
		}
		return begin, end
	}
	for end = begin + 1; end < len(characters) && !unicode.IsSpace(characters[end]) && !strings.ContainsRune(`:,{}[]"'`, characters[end]); {
		end++
	}
	return begin, end
}

// show is a character at a column of the line. One that a terminal would take for more than that is replaced.
func show(r rune, at int) cell {
	if r == '\t' {
		n := tabStop - at%tabStop
		return cell{strings.Repeat(" ", n), n}
	}
	s := string(r)
	if r == unicode.ReplacementChar || output.Printable(s) != s {
		return cell{"\uFFFD", 1}
	}
	return cell{s, output.Columns(s)}
}

// window is the part of a line to be shown: all of it when it fits, else one with the place in it.
func window(cells []cell, place int) (first, last int) {
	width := 0
	for _, c := range cells {
		width += c.columns
	}
	if width <= excerptColumns {
		return 0, len(cells)
	}
	// From the place back a third of the room, and on from there.
	first = min(place, len(cells))
	for before := 0; first > 0 && before+cells[first-1].columns <= excerptColumns/3; first-- {
		before += cells[first-1].columns
	}
	if first <= 4 {
		first = 0
	}
	room := excerptColumns - 2*len([]rune(ellipsis))
	for last = first; last < len(cells) && room >= cells[last].columns; last++ {
		room -= cells[last].columns
	}
	return first, last
}
