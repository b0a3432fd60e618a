package manifest

import (
	"crypto/sha256"
	"encoding/binary"
	"strings"
	"sync"
)

// Release is the minor release of Kubernetes whose rules are built in.
const Release = "v1.37."

// Rules are what a verdict depends on besides the document itself.
type Rules struct {
	Node         string          // the node's name; lower-cased, as the kubelet does
	Standalone   bool            // the kubelet has no API server: runtimeClassName crashes it
	FeatureGates map[string]bool // the kubelet's, from /configz; unknown and locked ones are passed over
}

// A Validator proves definitions as the kubelet of one node would. It remembers what it proved, so that a
// document that did not change is not validated again; other rules need another Validator. It is safe for
// concurrent use.
type Validator struct {
	rules  Rules
	fields fieldTypes

	mu        sync.Mutex
	files     cache[[]*Candidate]
	verdicts  cache[verdict]
	validated int // verdicts that were not remembered
}

// NewValidator returns a Validator for the node of rules.
func NewValidator(rules Rules) *Validator {
	rules.Node = strings.ToLower(strings.TrimSpace(rules.Node))
	return &Validator{rules: rules, fields: podFields()}
}

// File reads one file of the given form and proves what it defines. No candidates mean a file that is wholly
// valid and defines nothing. What of a file cannot be read, or tells no pod's name, gives at most one
// candidate without a name, which carries the problems of the file itself. For FormDirectory path is the one
// that the kubelet knows: it is part of the UID.
func (v *Validator) File(path string, data []byte, form Form) []*Candidate {
	key := cacheKey(form, path, data)
	if known, ok := lookup(v, &v.files, key); ok {
		return known
	}
	candidates := v.file(path, data, form)
	v.mu.Lock()
	defer v.mu.Unlock()
	v.files.put(key, candidates)
	return candidates
}

func (v *Validator) file(path string, data []byte, form Form) []*Candidate {
	drafts, problems := read(data, form)
	candidates := []*Candidate{} // not nil: the file is known to define nothing
	rest := &Candidate{Path: path, Problems: problems}
	for _, d := range drafts {
		if c := v.prove(path, form, d); c.Name != "" {
			candidates = append(candidates, c)
		} else {
			rest.Problems = append(rest.Problems, c.Problems...)
		}
	}
	if len(rest.Problems) > 0 {
		rest.Problems = placed(rest.Problems, path, locator{})
		rest.Line, rest.refusal = rest.Problems[0].Line, strings.TrimSuffix(rest.Problems[0].Message, tabHint)
		candidates = append(candidates, rest)
	}
	if form == FormDirectory {
		markStray(candidates, path, data)
	}
	return candidates
}

// prove judges one pod.
func (v *Validator) prove(path string, form Form, d *draft) *Candidate {
	c := &Candidate{Path: path, Line: d.place.start.line}
	tree, _ := decodeTree(d.json)
	root, ok := tree.(map[string]any)
	if !ok {
		_, _, words := checkKind(d.json)
		c.refusal = clip(words)
		c.Problems = placed(append([]Problem{{Reason: ManifestMalformed, Level: Critical, Message: c.refusal}}, d.problems...), path, d.place)
		return c
	}
	var problems []Problem
	var judged verdict
	switch form {
	case FormDirectory, formList:
		c.Canonical = appendCanonical(nil, root)
		c.Hash = contentHash(v.rules.Node, c.Canonical)
		judged = v.judgeVerbatim(path, form, d)
		c.UID = judged.uid
		if judged.pod != nil {
			problems = verbatim(judged.pod, ownUID(root))
		}
	default:
		field, reason, words := checkKind(d.json)
		if normalize(root) {
			problems = append(problems, Problem{Reason: UIDIgnored, Level: Warning, Field: "metadata.uid",
				Message: "metadata.uid is ignored: it is derived from the content, so that a change is a new pod"})
		}
		c.Canonical = appendCanonical(nil, root)
		c.Hash = contentHash(v.rules.Node, c.Canonical)
		c.UID = contentUID(c.Hash)
		if reason != "" && !d.element {
			judged.refuse(reason, field, "", words)
		} else {
			judged = v.judge(cacheKey(form, "", c.Canonical), func() verdict {
				return v.fields.judgeItem(withUID(c.Canonical, c.UID), v.rules.Node, origin{source: SourceHTTP})
			})
			if judged.refusal != "" && reason == NotAPod && field == "kind" && !strings.HasPrefix(words, "Object ") {
				judged = verdict{}
				judged.refuse(reason, field, "", words)
			}
		}
	}
	c.Pod, c.refusal = judged.pod, judged.refusal
	c.Namespace, c.Name = nameOf(root)
	if c.Pod != nil {
		c.Namespace, c.Name = c.Pod.Namespace, c.Pod.Name
	}
	if has(judged.problems, NotAPod) && !meantAsPod(root) {
		c.Namespace, c.Name = "", "" // the name of something else
	}
	problems = append(judged.problems[:len(judged.problems):len(judged.problems)], problems...)
	if !has(judged.problems, NotAPod) {
		problems = append(problems, v.fields.unknown(root)...)
	}
	if c.Pod != nil && v.rules.Standalone && c.Pod.Spec.RuntimeClassName != nil && *c.Pod.Spec.RuntimeClassName != "" {
		problems = append(problems, Problem{Reason: RuntimeClassUnsupported, Level: Critical, Field: "spec.runtimeClassName",
			Message: "a kubelet without an API server crashes on a pod with runtimeClassName (kubernetes/kubernetes#125561)"})
	}
	c.Problems = placed(append(problems, d.problems...), path, d.place)
	c.locateShared(d.place)
	return c
}

// judgeVerbatim judges what the kubelet reads itself, from its directory or from another server.
func (v *Validator) judgeVerbatim(path string, form Form, d *draft) verdict {
	from := origin{SourceFile, path}
	if form == formList {
		from = origin{SourceHTTP, d.url}
	}
	if d.element {
		return v.judge(cacheKey(form, from.place+"[]", d.json), func() verdict { return v.fields.judgeItem(d.json, v.rules.Node, from) })
	}
	return v.judge(cacheKey(form, from.place, d.json), func() verdict { return v.fields.judgePod(d.json, v.rules.Node, from) })
}

// judge returns the remembered verdict, else that of f.
func (v *Validator) judge(key [sha256.Size]byte, f func() verdict) verdict {
	if known, ok := lookup(v, &v.verdicts, key); ok {
		return known
	}
	var judged verdict
	withSwitches(v.rules.FeatureGates, func() { judged = f() })
	v.mu.Lock()
	defer v.mu.Unlock()
	v.validated++
	v.verdicts.put(key, judged)
	return judged
}

// Sweep ends a full load: what was not asked for since the Sweep before is forgotten.
func (v *Validator) Sweep() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.files.sweep()
	v.verdicts.sweep()
}

// A cache keeps what was used since the last sweep but one.
type cache[V any] struct {
	current, previous map[[sha256.Size]byte]V
}

func lookup[V any](v *Validator, c *cache[V], key [sha256.Size]byte) (V, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	value, ok := c.current[key]
	if !ok {
		if value, ok = c.previous[key]; ok {
			c.put(key, value)
		}
	}
	return value, ok
}

func (c *cache[V]) put(key [sha256.Size]byte, value V) {
	if c.current == nil {
		c.current = map[[sha256.Size]byte]V{}
	}
	c.current[key] = value
}

func (c *cache[V]) sweep() { c.previous, c.current = c.current, nil }

// cacheKey identifies what was read, unambiguously.
func cacheKey(form Form, path string, data []byte) [sha256.Size]byte {
	h := sha256.New()
	head := binary.BigEndian.AppendUint64([]byte{byte(form)}, uint64(len(path)))
	h.Write(head)
	h.Write([]byte(path))
	h.Write(data)
	return [sha256.Size]byte(h.Sum(nil))
}
