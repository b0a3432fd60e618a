package oracle

import (
	"bytes"
	"fmt"
	"unicode/utf16"
)

// garble changes the text of a document.
func (m *maker) garble(text []byte) []byte {
	did := func(format string, args ...any) { m.done = append(m.done, fmt.Sprintf(format, args...)) }
	text = bytes.Clone(text)
	lines := bytes.SplitAfter(text, []byte("\n"))
	at, l := m.IntN(len(text)+1), m.IntN(len(lines))
	switch m.IntN(24) {
	case 0, 1, 2:
		if at < len(text) {
			text[at] ^= 1 << m.IntN(8)
			did("a bit flipped at %d", at)
		}
	case 3, 4:
		if at < len(text) {
			text[at] = byte(m.IntN(128))
			did("another character at %d", at)
		}
	case 5:
		did("cut at %d", at)
		return text[:at]
	case 6:
		did("begun at %d", at)
		return text[at:]
	case 7:
		end := min(len(text), at+m.IntN(20))
		did("without %d to %d", at, end)
		return append(text[:at:at], text[end:]...)
	case 8:
		did("CRLF")
		return bytes.ReplaceAll(text, []byte("\n"), []byte("\r\n"))
	case 9:
		did("CR")
		return bytes.ReplaceAll(text, []byte("\n"), []byte("\r"))
	case 10:
		did("a byte order mark")
		return append([]byte("\uFEFF"), text...)
	case 11:
		did("UTF-16")
		encoded := []byte{0xfe, 0xff}
		for _, unit := range utf16.Encode([]rune(string(text))) {
			encoded = append(encoded, byte(unit>>8), byte(unit))
		}
		return encoded
	case 12:
		before := pick(m, []string{"---\n", "--- # x\n", "# x\n", "\n\n", "%YAML 1.1\n---\n", "%YAML 1.2\n---\n", "%TAG ! tag:x,2000:\n---\n", "---\n---\n", "null\n---\n", "a: b\n---\n", " ", "\t", "\x00", "...\n", "--- ", "\u00a0"})
		did("%q before", before)
		return append([]byte(before), text...)
	case 13:
		after := pick(m, []string{"---\n", "...\n", "\n\n\n", "\t\n", "   ", "\x00", "---\na: [\n", "---\nkind: Service\n", "...\nx: y\n", "# x", "x", "}", "]", "{}", ": x\n", "---\nnull\n", "\xff", "---\napiVersion: v1\nkind: Pod\n", "\n- x\n", "---"})
		did("%q after", after)
		return append(bytes.TrimRight(text, "\n"), append([]byte(pick(m, []string{"\n", "\n", ""})), after...)...)
	case 14:
		did("line %d twice", l+1)
		return join(append(append(append([][]byte{}, lines[:l+1]...), lines[l]), lines[l+1:]...))
	case 15:
		did("without line %d", l+1)
		return join(append(append([][]byte{}, lines[:l]...), lines[l+1:]...))
	case 16:
		by := pick(m, []string{" ", "  ", "\t", "    ", "- "})
		did("line %d indented by %q", l+1, by)
		lines[l] = append([]byte(by), lines[l]...)
		return join(lines)
	case 17:
		did("line %d less indented", l+1)
		lines[l] = bytes.TrimPrefix(bytes.TrimPrefix(lines[l], []byte(" ")), []byte(" "))
		return join(lines)
	case 18:
		other := m.IntN(len(lines))
		did("lines %d and %d exchanged", l+1, other+1)
		lines[l], lines[other] = lines[other], lines[l]
		return join(lines)
	case 19:
		insert := pick(m, []string{"---\n", "...\n", "# x\n", "\n", "x\n", "x: y\n", "- x\n", "\t\n", "--- x\n", "<<: {a: b}\n", "? x\n", "{{- if .Values.x }}\n", "<<<<<<< HEAD\n", "\r\n", "  x: y\n", "  - x\n"})
		did("%q before line %d", insert, l+1)
		return join(append(append(append([][]byte{}, lines[:l]...), []byte(insert)), lines[l:]...))
	case 20:
		insert := pick(m, []string{" ", ":", "-", "\"", "'", "{", "}", "[", "]", ",", "#", "&", "*", "!", "|", ">", "%", "@", "`", "\x00", "\x7f", "\u0085", "\u2028", "\xc3", "\xff", "\\", "0", "e"})
		did("%q at %d", insert, at)
		return append(append(text[:at:at], insert...), text[at:]...)
	case 21:
		did("tabs for blanks")
		return bytes.ReplaceAll(text, []byte("  "), []byte("\t"))
	case 22:
		from, to := pick(m, []string{"\"", ": ", "- ", "{", "name", "spec", "v1", "Pod", "containers"}), pick(m, []string{"", "'", ":", "-", "x", " "})
		did("%q for %q", to, from)
		return bytes.Replace(text, []byte(from), []byte(to), 1+m.IntN(3))
	case 23:
		did("the text twice")
		return append(text, text...)
	}
	return text
}

func join(lines [][]byte) []byte { return bytes.Join(lines, nil) }
