package web

import (
	"net/url"
	"slices"
	"strings"

	"github.com/staticpod-exporter/staticpod-exporter/collector/status"
	"github.com/staticpod-exporter/staticpod-exporter/manifest"
	"github.com/staticpod-exporter/staticpod-exporter/observe/output"
)

// A class is how a static pod does, in one word: what colour it has, and what it is found by.
type class string

// The classes.
const (
	critical class = "critical" // it does not run as defined
	warning  class = "warning"  // it will hurt
	unknown  class = "unknown"  // what is known is too old, or nothing
	starting class = "starting" // it is not ready, and nothing is wrong with that
	fine     class = "ok"
)

// classes returns them in the order in which somebody should look at them.
func classes() []class { return []class{critical, warning, unknown, starting, fine} }

// classOf returns the class of a static pod.
func classOf(s *status.StaticPodStatus) class {
	worst := fine
	for _, p := range s.Spec.Problems {
		switch p.Level {
		case manifest.Critical:
			return critical
		case manifest.Warning:
			worst = warning
		}
	}
	switch ready := output.Ready(s); {
	case ready == status.Unknown:
		return unknown
	case worst == fine && ready != status.True && s.Spec.Reason != status.Completed:
		return starting
	}
	return worst
}

// stateOf says whether a static pod is ready.
func stateOf(s *status.StaticPodStatus) string {
	switch ready := output.Ready(s); {
	case ready == status.True:
		return "Ready"
	case ready == status.Unknown:
		return "Unknown"
	case s.Spec.Reason == status.Completed:
		return "Completed"
	}
	return "Not ready"
}

// A podView is what the page of the node and that of the pod itself both show of a static pod.
type podView struct {
	ID, Namespace, Name, Href string
	Class                     class
	State, Phase              string
	Stale                     bool
	Headline                  problemView // without a reason when there is no problem
	More                      []problemView
	Restarts                  int
	Where                     string // of the definition
	Text                      string // what it is found by
	News                      string // what is read aloud when it has changed
}

// look returns the view of a verdict on a definition, which may be nil.
func (p *page) look(s *status.StaticPodStatus, definition *status.StaticPod) podView {
	v := podView{
		ID: s.Metadata.ID, Href: hrefOf(s.Metadata.ID), Class: classOf(s), State: stateOf(s), Phase: s.Spec.Phase,
		Stale: s.Spec.Stale, Where: s.Spec.Definition.Path,
	}
	v.Namespace, v.Name = nameOf(s)
	if definition != nil {
		v.Where = where(definition.Spec.Path, definition.Spec.Line, 0, "")
	}
	v.Headline, v.More = p.headline(s)
	for _, c := range s.Spec.Containers {
		v.Restarts += c.RestartCount
	}
	words := []string{v.ID, v.State, string(v.Class), string(s.Spec.Definition.Source), v.Where}
	for _, problem := range append([]problemView{v.Headline}, v.More...) {
		words = append(words, problem.Reason, problem.Message, problem.Where)
	}
	v.Text = strings.Join(strings.Fields(strings.ToLower(strings.Join(words, " "))), " ")
	v.News = v.ID + ": " + strings.ToLower(v.State)
	if v.Headline.Reason != "" {
		v.News += ", " + v.Headline.Reason
	}
	return v
}

// headline returns the problem that explains the others, which may be one of the node, and the others. Without a
// problem it is since when all is as it is.
func (p *page) headline(s *status.StaticPodStatus) (problemView, []problemView) {
	views := p.problems(s.Spec.Problems)
	if s.Spec.Reason == "" {
		return problemView{Since: at(s.Spec.Since)}, views
	}
	if i := slices.IndexFunc(views, func(v problemView) bool { return v.Reason == string(s.Spec.Reason) }); i >= 0 {
		headline := views[i]
		return headline, slices.Delete(views, i, i+1)
	}
	of := manifest.Problem{Reason: s.Spec.Reason, Message: s.Spec.Message, Since: s.Spec.Since}
	return p.problems([]manifest.Problem{of})[0], views
}

// hrefOf is where the page of a verdict is.
func hrefOf(id string) string { return (&url.URL{Path: "/staticpodstatus/" + id}).EscapedPath() }

// nameOf takes the ID of a verdict apart. One on a file has no namespace.
func nameOf(s *status.StaticPodStatus) (namespace, name string) {
	if pod := s.Spec.Pod; pod.Namespace != "" && s.Metadata.ID == pod.Namespace+"/"+pod.Name {
		return pod.Namespace, pod.Name
	}
	return "", s.Metadata.ID
}

// A row is a static pod in the list of all.
type row struct {
	part
	class class
	text  string
}

func (p *page) row(verdict *status.StaticPodStatus, definition *status.StaticPod) (*row, error) {
	v := p.look(verdict, definition)
	if path := verdict.Spec.Definition.Path; strings.HasSuffix(v.ID, ":"+path) || strings.HasPrefix(v.Headline.Where, path+":") {
		v.Where = "" // it stands there already
	}
	made, err := p.part("pod:"+v.ID, "row", v)
	return &row{part: made, class: v.Class, text: v.Text}, err
}
