package status

import (
	"fmt"
	"slices"
	"time"

	"github.com/staticpod-exporter/staticpod-exporter/collector"
	"github.com/staticpod-exporter/staticpod-exporter/manifest"
)

// node is the status that lists the problems of the node itself. It is ready when none of them is critical.
func (r *round) node() *StaticPodStatus {
	problems := r.nodeProblems()
	spec := StatusSpec{Ready: true, Conditions: []Condition{}, Containers: []ContainerStatus{}}
	for _, p := range problems {
		if p.Level == manifest.Critical || p.Level == "" && r.next.codes[p.Reason].Level == manifest.Critical {
			spec.Ready = false
		}
	}
	e := evidence{id: NodeID, heard: r.next.newest}
	spec.Observed = r.observed(&e)
	if r.o.Manifest != nil {
		spec.Observed.Manifest = plain(r.o.Manifest.At)
	}
	before := r.before(NodeID)
	spec.Problems = r.date(before, "", problems)
	s := r.publish(NodeID, spec, before)
	r.transit(s)
	r.next.entries[NodeID] = &entry{status: s, evidence: e}
	return s
}

// nodeProblems are the problems that belong to no pod.
func (r *round) nodeProblems() []manifest.Problem {
	var problems []manifest.Problem
	if r.o.Manifest != nil {
		problems = append(problems, r.o.Manifest.Problems...)
	}
	problems = append(problems, r.inputProblems()...)
	if p, ok := r.unseenDirectory(); ok {
		problems = append(problems, p)
	}
	problems = append(problems, r.mirrorProblems()...)
	if w := r.world; w.kubeletNode != "" && w.node != "" && w.kubeletNode != w.node {
		problems = append(problems, manifest.Problem{Reason: manifest.ConfigInvalid, Field: "node",
			Message: fmt.Sprintf("the kubelet calls this node %q and the exporter %q: every UID and name is made with the exporter's", w.kubeletNode, w.node)})
	}
	refused := slices.ContainsFunc(problems, func(p manifest.Problem) bool { return p.Reason == manifest.ListRejected })
	switch u, l := r.next.url, r.world.list; {
	case refused: // the store says so
	case l.message != "":
		problems = append(problems, manifest.Problem{Reason: manifest.ListRejected, Message: l.message, Path: l.url, Since: l.since})
	case u != nil:
		p := manifest.Problem{Reason: manifest.ListRejected, Message: u.Message, Since: u.At}
		if list := r.list(); list != nil {
			p.Path = list.URL // as when we know before the kubelet says so: it is one problem
		}
		problems = append(problems, p)
	}
	return problems
}

// inputProblems say which inputs do not answer, and why.
func (r *round) inputProblems() []manifest.Problem {
	var problems []manifest.Problem
	add := func(reason manifest.Reason, s collector.InputState) {
		p := manifest.Problem{Reason: reason, Message: s.Err, Since: s.Since}
		words := ""
		if reason == KubeletSourcesNotReady {
			p.Detail, words = r.missingSource()
			if !s.SourcesNotReady { // it was concluded from the list that did not come
				p.Detail = sourceHTTP
			}
		}
		if s.Up { // it answers, but not as it should: since when, it does not say
			p.Message, p.Since = r.next.codes[reason].Meaning+": "+words, time.Time{}
		}
		problems = append(problems, p)
	}
	switch k := r.o.Input(inputKubelet); {
	case k.Configured && (!k.Up || k.SourcesNotReady):
		add(kubeletProblem(k), k)
	case r.world.sourcesNotReady:
		add(KubeletSourcesNotReady, k)
	}
	if s := r.o.Input(inputRuntime); s.Configured && !s.Up {
		add(RuntimeDown, s)
	}
	if s := r.o.Input(inputLog); s.Configured && !s.Up {
		add(LogUnavailable, s)
	}
	return problems
}
