package manifest

import (
	"strings"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// A Candidate is a definition as found in a file, with its verdict. It is immutable.
type Candidate struct {
	Path            string
	Line            int    // where it begins, from 1
	Namespace, Name string // Namespace is "default" when absent; both are empty when the file tells no name

	// Canonical is the author's own tree as canonical JSON; nil when there is none.
	Canonical []byte
	Hash      string    // lower-case hex SHA-256 of format, node and Canonical
	UID       types.UID // of the pod on this node
	// Pod is what the kubelet would make of it, with the author's own name; nil when it cannot be decoded.
	Pod      *corev1.Pod
	Problems []Problem
}

// Quarantined reports whether the kubelet would refuse it, or could not live with it.
func (c *Candidate) Quarantined() bool { return c.Pod == nil }

// Refusal is what the kubelet would say of it, at most 1 KiB; "" when it would accept it.
func (c *Candidate) Refusal() string { return "" }

// Locate returns the position of metadata.name or of a container's port in the author's file, else where the
// definition begins.
func (c *Candidate) Locate(field string) (line, column int) { return c.Line, 0 }

// maxMessage bounds a problem's words.
const maxMessage = 1 << 10

// clip bounds s to maxMessage bytes of valid UTF-8.
func clip(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= maxMessage {
		return s
	}
	const ellipsis = "…"
	end := maxMessage - len(ellipsis)
	for !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + ellipsis
}
