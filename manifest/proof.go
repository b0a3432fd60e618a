package manifest

import (
	"cmp"
	"fmt"
	"slices"
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

	// Canonical is the author's own tree as canonical JSON; nil when there is none. Of a definition that we
	// serve it is normalized, of a file in the kubelet's directory it is everything.
	Canonical []byte
	Hash      string    // lower-case hex SHA-256 of format, node and Canonical; "" without Canonical
	UID       types.UID // of the pod on this node; "" when it cannot be told
	// Pod is what the kubelet makes of it, with the author's own name; nil when it cannot be decoded. Read only.
	Pod *corev1.Pod
	// Problems are its own, in order of cause. Those it has with other definitions are not among them. Since is
	// not set: a file does not tell.
	Problems []Problem

	refusal   string
	positions map[string]position // of the fields that problems with other definitions are about
}

// Quarantined reports whether the kubelet would refuse the definition, or not survive it.
func (c *Candidate) Quarantined() bool {
	if c.Pod == nil {
		return true
	}
	for _, p := range c.Problems {
		switch p.Reason {
		case ManifestUnreadable, ManifestMalformed, NotAPod, ManifestInvalid, APIReference, RuntimeClassUnsupported:
			return true
		}
	}
	return false
}

// Refusal is what the kubelet would log about the definition as a whole, at most 1 KiB and without what it
// quotes; "" when it would accept it.
func (c *Candidate) Refusal() string { return c.refusal }

// Locate returns the position of metadata.name or of a container's port in the author's file, else where the
// definition begins.
func (c *Candidate) Locate(field string) (line, column int) {
	if at, ok := c.positions[field]; ok {
		return at.line, at.column
	}
	return c.Line, 0
}

// locateShared notes the positions of the fields that another definition may conflict with.
func (c *Candidate) locateShared(place locator) {
	c.positions = map[string]position{"metadata.name": place.at("metadata.name")}
	if c.Pod == nil {
		return
	}
	for _, p := range hostPorts(c.Pod) {
		c.positions[p.field] = place.at(p.field)
	}
}

// maxProblems bounds what is said about one definition.
const maxProblems = 32

// placed gives the problems their places in the file, puts the critical ones first, each in order of place,
// and makes one of those that share reason and field.
func placed(problems []Problem, path string, place locator) []Problem {
	problems = slices.Clone(problems)
	for i := range problems {
		p := &problems[i]
		p.Path = path
		if p.Line == 0 {
			at := place.at(p.Field)
			p.Line, p.Column = at.line, at.column
		}
		if word := place.bareBoolean(p.Field); word != "" && strings.Contains(p.Message, "cannot unmarshal bool into") {
			p.Message = clip(fmt.Sprintf("%s: an unquoted %s is a boolean, quote it", p.Message, word))
		}
	}
	// The words decide last, because validation goes over maps in no order.
	slices.SortStableFunc(problems, func(a, b Problem) int {
		return cmp.Or(warning(a)-warning(b), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column),
			cmp.Compare(a.Field, b.Field), cmp.Compare(a.Message, b.Message))
	})
	var kept []Problem
	for _, p := range problems {
		i := slices.IndexFunc(kept, func(k Problem) bool { return k.Reason == p.Reason && k.Field == p.Field && k.Line == p.Line })
		if i < 0 && len(kept) == maxProblems {
			last := &kept[maxProblems-1]
			last.Message = clip(strings.TrimSuffix(last.Message, andMore) + andMore)
		} else if i < 0 {
			kept = append(kept, p)
		} else if !strings.Contains(kept[i].Message, p.Message) {
			kept[i].Message = clip(kept[i].Message + "; " + p.Message)
		}
	}
	return kept
}

// andMore ends the last problem of a definition that has more than maxProblems.
const andMore = "; and more problems"

func warning(p Problem) int {
	if p.Level == Critical {
		return 0
	}
	return 1
}

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
