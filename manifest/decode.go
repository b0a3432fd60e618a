package manifest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/runtime/schema"
	metajson "k8s.io/apimachinery/pkg/runtime/serializer/json"
)

// A Form is how a file is read.
type Form int

// The forms.
const (
	// FormDefinitions is a file of manifest.files: any number of documents, each a Pod, a PodList, a List, a
	// Talos machine configuration or a Talos KubeStaticPodConfig; other Talos documents are passed over.
	FormDefinitions Form = iota
	// FormConfiguration is the exporter's configuration: below machine only pods is read. Where it is a Talos
	// machine configuration, documents of a kind may stand beside it, and are read as in FormDefinitions.
	FormConfiguration
	// FormDirectory is a file of the kubelet's manifest directory: one Pod in its first document.
	FormDirectory
	// formList is what another server gives the kubelet: a Pod or a PodList.
	formList
)

// A draft is one pod as written, before anybody judged it.
type draft struct {
	json  []byte // the author's tree, converted as the kubelet converts YAML
	place locator
	// element is set on an element of a PodList, whose kind the kubelet does not look at.
	element bool
	// url is where the kubelet has it from, when that is not our server: it is part of the UID.
	url string
	// problems were found while reading: duplicate keys and further documents.
	problems []Problem
}

// read takes a file apart. The problems belong to the file itself: documents that cannot be parsed, or a file
// that holds none. Neither drafts nor problems mean a file that is wholly valid and defines nothing.
func read(data []byte, form Form) (drafts []*draft, problems []Problem) {
	switch {
	case len(data) >= maxFileBytes:
		return nil, []Problem{malformed(position{}, "it is 10 MiB or longer: the kubelet refuses it")}
	case form == FormDirectory:
		return readSingle(data)
	}
	documents := splitDocuments(fromUTF16(data))
	empty := true
	for _, d := range documents {
		p, err := d.parse()
		if err != nil {
			problems, empty = append(problems, *err), false
			continue
		}
		if p.rest != nil {
			problems = append(problems, *p.rest)
		}
		if p.tree == nil {
			continue
		}
		empty = false
		found, faults := p.expand(form)
		duplicates := duplicateKeys(p.place, outside(found))
		if len(found) > 0 {
			found[0].problems = append(found[0].problems, duplicates...)
		}
		drafts, problems = append(drafts, found...), append(problems, faults...)
	}
	blank := len(bytes.TrimSpace(data)) == 0
	if empty && len(problems) == 0 && (form == FormDefinitions || blank) {
		// Nothing is what a half-written file holds too, so it never means that pods were taken out.
		problems = append(problems, malformed(position{line: 1},
			"the file is empty: to define no pods write a PodList with items: [], or remove the file"))
	}
	return drafts, problems
}

// outside lists the roots of drafts, where the search for duplicate keys of the document around them ends.
func outside(drafts []*draft) map[*yaml.Node]bool {
	roots := map[*yaml.Node]bool{}
	for _, d := range drafts {
		d.problems = append(d.problems, duplicateKeys(d.place, nil)...)
		roots[d.place.root] = true
	}
	return roots
}

// readSingle reads a file as the kubelet reads one of its manifest directory: the first document, whatever
// follows is ignored.
func readSingle(data []byte) ([]*draft, []Problem) {
	p, err := document{text: data, line: 1, exact: true}.parse()
	if err != nil {
		return nil, []Problem{*err}
	}
	d := &draft{json: p.json, place: p.place, problems: duplicateKeys(p.place, nil)}
	if p.rest != nil {
		d.problems = append(d.problems, Problem{Reason: ExtraDocument, Level: Warning, Line: p.rest.Line,
			Message: "the kubelet reads the first document of a file and ignores the others: move this one to a file of its own"})
	}
	return []*draft{d}, nil
}

// expand finds the pods in a document.
func (p parsed) expand(form Form) ([]*draft, []Problem) {
	root, ok := p.tree.(map[string]any)
	if form == FormConfiguration {
		if !ok {
			return nil, []Problem{malformed(p.place.start, "the configuration is not a mapping")}
		}
		if root["apiVersion"] == nil || root["kind"] == nil {
			return p.machinePods(root)
		}
	}
	// The kubelet finds kind and apiVersion whatever their case.
	kind, err := metajson.DefaultMetaFactory.Interpret(p.json)
	if !ok || err != nil {
		return []*draft{{json: p.json, place: p.place}}, nil
	}
	_, machine := root["machine"]
	_, cluster := root["cluster"]
	switch {
	case kind.Version == "" && kind.Kind == "" && (machine || cluster):
		return p.machinePods(root)
	case kind.Version == "v1alpha1" && kind.Group == "" && kind.Kind == "KubeStaticPodConfig":
		if _, ok := root["pod"].(map[string]any); !ok {
			return nil, []Problem{malformed(p.place.at("pod"), "static pod spec is required").in("pod")} // Talos' words
		}
		return []*draft{p.part(root["pod"], "pod", true)}, nil
	case kind.Version == "v1alpha1" && kind.Group == "" && kind.Kind != "" && kind.Kind != "Pod" && kind.Kind != "PodList" && kind.Kind != "List":
		return nil, nil // another document of a Talos configuration
	case isList(kind):
		return p.elements(root["items"], "items", kind.Kind == "PodList")
	}
	return []*draft{{json: p.json, place: p.place}}, nil
}

// isList reports whether a kind is one whose items are pods, or may be.
func isList(kind *schema.GroupVersionKind) bool {
	return kind.Version == "v1" && kind.Group == "" && (kind.Kind == "PodList" || kind.Kind == "List")
}

// machinePods finds the pods of a Talos machine configuration, which ours looks like in this respect.
func (p parsed) machinePods(root map[string]any) ([]*draft, []Problem) {
	value, ok := root["machine"]
	if !ok {
		return nil, nil
	}
	machine, ok := value.(map[string]any)
	if !ok {
		return nil, []Problem{malformed(p.place.at("machine"), "machine is not a mapping: to define no pods write machine: {pods: []}").in("machine")}
	}
	pods, ok := machine["pods"]
	if !ok {
		return nil, nil
	}
	return p.elements(pods, "machine.pods", true)
}

// elements makes a draft of every element of the list at path. A list that is missing or null is what a
// half-written file looks like; an empty one is [].
func (p parsed) elements(value any, path string, element bool) (drafts []*draft, problems []Problem) {
	list, ok := value.([]any)
	if !ok {
		return nil, []Problem{malformed(p.place.at(path), fmt.Sprintf("%s is not a list: to define no pods write %s: []", path, lastStep(path))).in(path)}
	}
	for i, v := range list {
		field := fmt.Sprintf("%s[%d]", path, i)
		part, ok := v.(map[string]any)
		if !ok {
			problems = append(problems, malformed(p.place.at(field), field+" is not a mapping").in(field))
			continue
		}
		if kind, err := metajson.DefaultMetaFactory.Interpret(appendCanonical(nil, v)); !element && err == nil && isList(kind) {
			found, faults := p.elements(part["items"], field+".items", kind.Kind == "PodList")
			drafts, problems = append(drafts, found...), append(problems, faults...)
			continue
		}
		drafts = append(drafts, p.part(v, field, element))
	}
	return drafts, problems
}

// part makes a draft of what lies at path in the document.
func (p parsed) part(tree any, path string, element bool) *draft {
	return &draft{json: appendCanonical(nil, tree), place: p.place.below(path), element: element}
}

func malformed(at position, message string) Problem {
	return Problem{Reason: ManifestMalformed, Level: Critical, Message: clip(message), Line: at.line, Column: at.column}
}

// in returns p with its field set.
func (p Problem) in(field string) Problem {
	p.Field = field
	return p
}

func lastStep(path string) string { return path[strings.LastIndexByte(path, '.')+1:] }

// decodeTree reads JSON without losing the digits of its numbers.
func decodeTree(data []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var tree any
	if err := d.Decode(&tree); err != nil {
		return nil, err
	}
	if len(bytes.TrimSpace(data[d.InputOffset():])) > 0 {
		return nil, json.Unmarshal(data, &tree) // which says what does not belong there
	}
	return tree, nil
}
