package fleet

import (
	"slices"
	"strconv"

	"github.com/staticpod-exporter/staticpod-exporter/collector/status"
	"github.com/staticpod-exporter/staticpod-exporter/manifest"
)

// A Pod is what metrics hold of a StaticPod. It has the same shape, without what they do not hold.
type Pod struct {
	Node     string   `json:"node"`
	Metadata Metadata `json:"metadata"`
	Spec     PodSpec  `json:"spec"`
}

// PodSpec says what somebody defined and whether it is sound.
type PodSpec struct {
	Source   manifest.Source `json:"source"`
	Path     string          `json:"path"`
	Valid    bool            `json:"valid"`
	Problems []Problem       `json:"problems"`
}

// PodRow is the row of p in a table of StaticPods.
func PodRow(p *Pod, wide bool) []string {
	cells := row(p.Node, p.Metadata)
	if wide {
		reason := ""
		if len(p.Spec.Problems) > 0 {
			reason = string(p.Spec.Problems[0].Reason)
		}
		cells = append(cells, strconv.FormatBool(p.Spec.Valid), unknown, or(string(p.Spec.Source)), unknown, or(reason), unknown, or(p.Spec.Path))
	}
	return cells
}

// pods are the definitions of one exporter.
func (e *exporter) pods() []*Pod {
	found := map[string][]Problem{}
	for about, problems := range e.problems() {
		for _, p := range problems {
			if ofDefinition(p.Reason) {
				found[about.definition] = append(found[about.definition], p)
			}
		}
	}
	var all []*Pod
	for _, valid := range e.series[manifestValid] {
		id := valid.label("definition")
		p := &Pod{
			Node:     e.node,
			Metadata: Metadata{Namespace: status.Namespace, Type: status.TypeStaticPod, ID: id, Version: e.definition(id).Version},
			Spec: PodSpec{
				Source: manifest.Source(valid.label("source")), Path: valid.label("path"), Valid: valid.value == 1,
				Problems: append([]Problem{}, found[id]...),
			},
		}
		for _, s := range e.series[manifestChange] {
			if s.label("definition") == id {
				p.Metadata.Updated = s.at()
			}
		}
		all = append(all, p)
	}
	return all
}

// ofDefinition reports whether a problem is one of a definition and not of what became of it.
func ofDefinition(reason manifest.Reason) bool {
	return slices.ContainsFunc(status.Reasons(), func(c status.Code) bool {
		return c.Reason == reason && c.Stage == status.StageDefinition && reason != status.StopPending
	}) || reason == manifest.ManifestRejected
}
