package web

import (
	"github.com/staticpod-exporter/staticpod-exporter/collector"
	"github.com/staticpod-exporter/staticpod-exporter/collector/status"
)

// A detailView is all that is known of one static pod, or of the node.
type detailView struct {
	podView
	OfNode     bool
	Title      string
	Source     string
	Definition string // its ID
	Version    uint64
	Revision   string
	UID        string
	MirrorUID  string
	Problems   []problemView // the headline first
	Rollout    *rolloutView
	Conditions []conditionView
	Containers []containerView
	Evidence   []inputView
}

type conditionView struct {
	Type, Status, Reason, Message string
	Class                         class
	Since                         moment
}

type containerView struct {
	Name, Kind, Image string
	Class             class
	State, Reason     string
	Restarts          int
	Started           moment
	Exited            bool
	Code              int
	Why               string
	At                moment
}

// A pick is what a page of details is about: a resource of a kind.
type pick struct{ kind, id string }

// detail shows the verdict that is picked, or those on the definition that is. Without any it shows that there is none.
func (p *page) detail(s *status.Snapshot, definitions map[string]*status.StaticPod, of pick) (*show, error) {
	v := &show{at: at(s.At), title: of.id + " on " + s.Node}
	var views []detailView
	for _, verdict := range s.Statuses {
		switch {
		case of.kind == status.TypeStaticPodStatus && verdict.Metadata.ID != of.id:
		case of.kind == status.TypeStaticPod && verdict.Spec.Definition.ID != of.id:
		default:
			view := p.examine(s, verdict, definitions[verdict.Spec.Definition.ID])
			v.bad = v.bad || view.Class == critical
			views = append(views, view)
		}
	}
	if v.bad {
		v.title = "(!) " + v.title
	}
	return v, p.fill(v, piece{"detail", struct {
		ID, Title string
		Bad       bool
		Views     []detailView
		Node      []problemView
	}{of.id, v.title, v.bad, views, p.problems(nodeProblems(s))}})
}

// detailSheet lays out a page of details.
func (p *page) detailSheet(v *show, node string) sheet {
	return sheet{Title: v.title, Node: node, Bad: v.bad, Live: true, At: v.at, Main: v.parts[0].html}
}

// examine returns the details of a verdict on a definition, which may be nil.
func (p *page) examine(s *status.Snapshot, verdict *status.StaticPodStatus, definition *status.StaticPod) detailView {
	spec := &verdict.Spec
	v := detailView{
		podView: p.look(verdict, definition), OfNode: verdict.Metadata.ID == status.NodeID,
		Source: string(spec.Definition.Source), Definition: spec.Definition.ID, Version: spec.Definition.Version,
		Revision: spec.Definition.Hash[:min(len(spec.Definition.Hash), 12)], UID: spec.Pod.UID, MirrorUID: spec.Pod.MirrorUID,
	}
	if v.OfNode {
		v.Name, v.State = s.Node, "In order"
		if v.Class != fine {
			v.State = "Impaired"
		}
	}
	if v.Headline.Reason != "" {
		v.Problems = append(v.Problems, v.Headline)
	}
	v.Problems = append(v.Problems, v.More...)
	for _, c := range spec.Conditions {
		class := map[status.ConditionStatus]class{status.True: fine, status.False: critical}[c.Status]
		if class == "" {
			class = unknown
		}
		v.Conditions = append(v.Conditions, conditionView{string(c.Type), string(c.Status), c.Reason, c.Message, class, at(c.LastTransitionTime)})
	}
	for _, c := range spec.Containers {
		v.Containers = append(v.Containers, lookAtContainer(c))
	}
	v.Rollout = p.drawRollout(spec.Rollout, s.At)
	told := map[collector.Input]moment{
		collector.InputManifest: at(spec.Observed.Manifest), collector.InputKubelet: at(spec.Observed.Kubelet),
		collector.InputRuntime: at(spec.Observed.Runtime), collector.InputLog: at(spec.Observed.Log), collector.InputMirror: at(spec.Observed.Mirror),
	}
	for i, input := range inputs(s.Inputs) {
		if s.Inputs[i].Configured {
			input.Verb, input.Last = "told of it", told[s.Inputs[i].Input]
			v.Evidence = append(v.Evidence, input)
		}
	}
	return v
}

func lookAtContainer(c status.ContainerStatus) containerView {
	v := containerView{
		Name: c.Name, Kind: c.Kind, Image: c.Image, State: c.State, Reason: c.Reason, Restarts: c.RestartCount,
		Started: at(c.StartedAt), Class: starting,
	}
	switch {
	case c.State == status.StateRunning && c.Ready, c.Kind == status.KindInit && c.Ready:
		v.Class = fine
	case c.State == status.StateUnknown:
		v.Class = unknown
	case c.Reason != "" || c.State == status.StateExited:
		v.Class = warning
	}
	if e := c.LastExit; e != nil {
		v.Exited, v.Code, v.Why, v.At = true, e.Code, e.Reason, at(e.At)
	}
	return v
}
