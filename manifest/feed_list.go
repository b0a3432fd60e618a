package manifest

import (
	"fmt"
	"slices"
	"time"

	metajson "k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/apimachinery/pkg/types"
)

// A foreignReading is what a load found of another server's list.
type foreignReading struct {
	list       *List
	began      time.Time // when this content was first read
	candidates []*Candidate
	// faults are the problems of what tells no pod's name: the body as a whole, or items without one.
	faults []Problem
	// decoded is whether there were items to speak of. Of a body without any the kubelet learns nothing, so the
	// definitions of the one before stay.
	decoded bool
}

// foreign proves the body of a feed as the kubelet would read it: as one Pod, else as a PodList, in which one bad
// item has it refuse all.
func (v *Validator) foreign(feed Feed, b *body) *foreignReading {
	shown := MaskURL(feed.URL)
	r := &foreignReading{list: &List{URL: shown, Revision: b.revision, At: b.at}, began: b.at}
	if len(b.data) == 0 {
		r.decoded = true // to the kubelet an answer of zero length is a list without pods
		return r
	}
	drafts, fault := readList(b.data)
	if fault != nil {
		if fault.Reason != ManifestUnreadable { // else only we cannot tell
			r.refuse("", fault.Message)
		}
		r.list.UIDs = []types.UID{""}
		r.faults = placed([]Problem{*fault}, shown, locator{})
		return r
	}
	r.decoded = true
	names := map[string]*Candidate{}
	for i, d := range drafts {
		d.url = feed.URL
		c := v.prove(shown, formList, d)
		r.list.UIDs = append(r.list.UIDs, c.UID)
		where := "the pod"
		if d.element {
			where = fmt.Sprintf("items[%d]", i)
		}
		if c.Name != "" {
			where += " (" + candidateKey(c) + ")"
		}
		if c.refusal != "" {
			r.refuse(where, c.refusal)
		}
		if c.Name == "" {
			r.faults = append(r.faults, c.Problems...)
			continue
		}
		if first := names[candidateKey(c)]; first != nil {
			c = c.with(DuplicateName, "metadata.name",
				fmt.Sprintf("pod %s is in the list already, at line %d: the kubelet takes the first of one name and drops this one", candidateKey(c), first.Line))
			r.list.UIDs = r.list.UIDs[:len(r.list.UIDs)-1]
		} else {
			names[candidateKey(c)] = c
		}
		r.candidates = append(r.candidates, c)
	}
	if b.unread && r.list.Refusal == "" {
		r.list.Refusal = "the server answered with zero length, and then with the very bytes of before: the kubelet stopped every pod, and does not read those bytes again until one of them differs"
	}
	r.relate()
	return r
}

// A provenFeed remembers the list that was proven last. It belongs to whoever loads.
type provenFeed struct {
	url       string
	body      *body
	validator *Validator
	last      *foreignReading
}

// reading proves what the feed gave, unless it is what was proven before. Of a body that holds no items at all
// the definitions are those of the body before: they are what the kubelet goes on with.
func (f *provenFeed) reading(v *Validator, feed feedState) *foreignReading {
	if f.url != feed.feed.URL {
		*f = provenFeed{url: feed.feed.URL}
	}
	switch {
	case feed.body == nil:
		f.last = &foreignReading{list: &List{URL: MaskURL(feed.feed.URL)}}
	case f.body != feed.body || f.validator != v:
		next := v.foreign(feed.feed, feed.body)
		if !next.decoded && f.last != nil {
			next.candidates, next.began = f.last.candidates, f.last.began
		}
		f.last = next
	}
	f.body, f.validator = feed.body, v
	return f.last
}

// problems say why the feed cannot be read.
func (s feedState) problems() []Problem {
	words := s.told()
	if words == "" {
		return nil
	}
	shown := MaskURL(s.feed.URL)
	p := Problem{Reason: ManifestUnreadable, Level: Critical, Path: shown, Since: s.since,
		Message: clip(fmt.Sprintf("the kubelet's staticPodURL %s cannot be read: %s", shown, words))}
	if s.body != nil && len(s.body.data) == 0 && s.failure == errEmptyBody.Error() {
		p.Message = fmt.Sprintf("%s from the kubelet's staticPodURL %s: the kubelet stops every pod of the list", words, shown)
	}
	return []Problem{p}
}

// refuse notes why the kubelet refuses the body: the first culprit that it comes to is the one it speaks of.
func (r *foreignReading) refuse(where, words string) {
	switch {
	case r.list.Refusal != "":
	case where == "":
		r.list.Refusal = clip("the kubelet refuses the whole list: " + words)
	default:
		r.list.Refusal = clip("the kubelet refuses the whole list because of " + where + ": " + words)
	}
}

// relate adds what the pods of the list have against each other.
func (r *foreignReading) relate() {
	var running []**Candidate
	for i, c := range r.candidates {
		if !c.Quarantined() && !has(c.Problems, DuplicateName) {
			running = append(running, &r.candidates[i])
		}
	}
	relatePorts(running)
	relateUIDs(running)
}

// readList takes a body apart: a Pod, or the items of a PodList. The problem is why the kubelet finds neither.
func readList(data []byte) ([]*draft, *Problem) {
	p, fault := document{text: data, line: 1, exact: true}.parse()
	if fault != nil {
		return nil, fault
	}
	kind, err := metajson.DefaultMetaFactory.Interpret(p.json)
	root, ok := p.tree.(map[string]any)
	if err != nil || !ok || kind.Version != "v1" || kind.Group != "" || kind.Kind != "Pod" && kind.Kind != "PodList" {
		field, reason, words := checkKind(p.json)
		if !ok {
			words = "it is not a mapping (an error page, perhaps)"
		}
		return nil, &Problem{Reason: reason, Level: Critical, Message: clip("neither a Pod nor a PodList: " + words), Field: field, Line: max(p.place.start.line, 1)}
	}
	if kind.Kind == "Pod" {
		return []*draft{{json: p.json, place: p.place, problems: slices.Concat(duplicateKeys(p.place, nil), further(p))}}, nil
	}
	items, ok := root["items"].([]any)
	if !ok && root["items"] != nil {
		fault := malformed(p.place.at("items"), "items is not a list").in("items")
		return nil, &fault
	}
	drafts := []*draft{}
	for i, item := range items {
		field := fmt.Sprintf("items[%d]", i)
		d := &draft{json: appendCanonical(nil, item), place: p.place.below(field), element: true}
		d.problems = duplicateKeys(d.place, nil)
		drafts = append(drafts, d)
	}
	if len(drafts) > 0 {
		drafts[0].problems = append(drafts[0].problems, further(p)...)
	}
	return drafts, nil
}

// further is the problem of documents after the first, which the kubelet ignores.
func further(p parsed) []Problem {
	if p.rest == nil {
		return nil
	}
	return []Problem{{Reason: ExtraDocument, Level: Warning, Line: p.rest.Line, Message: "the kubelet reads the first document of its list and ignores the others"}}
}
