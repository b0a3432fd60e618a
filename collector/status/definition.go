package status

import (
	"slices"

	"github.com/staticpod-exporter/staticpod-exporter/manifest"
)

// judgeDefinition takes over what the store found, of every definition with this name.
func (f *findings) judgeDefinition() {
	for _, d := range f.definitions {
		for _, p := range d.Problems {
			f.add(p)
		}
	}
	f.judgeSources()
	f.judgePending()
	f.judgeUnseen()
}

// judgeUnseen takes the log's word for what is wrong with a definition where those of its source are not to be seen.
func (f *findings) judgeUnseen() {
	p := f.pod()
	if p == nil || f.definition() != nil || f.r.sees(manifest.Source(p.source)) {
		return
	}
	for _, reason := range []manifest.Reason{manifest.DuplicateName, manifest.PriorityIncomplete} {
		if w, ok := f.words.find(reason, ""); ok {
			f.add(manifest.Problem{Reason: reason, Message: w.Message, Since: w.First})
		}
	}
}

// sees reports whether the definitions of a source are known.
func (r *round) sees(source manifest.Source) bool {
	set := r.o.Manifest
	switch {
	case set == nil || set.Unread:
		return false
	case source == manifest.SourceFile:
		return set.Directory.State == manifest.DirectoryRead
	}
	return set.Serving || set.List != nil
}

// judgeSources finds a name that comes from a file and from the list: the kubelet runs one of them only, and
// which one is chance. The store says so itself of definitions that it sees.
func (f *findings) judgeSources() {
	if _, ok := f.found(manifest.CrossSourceDuplicate); ok {
		return
	}
	sources := map[manifest.Source]bool{}
	p := manifest.Problem{Reason: manifest.CrossSourceDuplicate,
		Message: "a file and the served list define one name: the kubelet runs whichever came first"}
	for _, d := range f.definitions {
		if d.Served && d.Valid && d.Name != "" {
			sources[d.Source] = true
			if d.Source == manifest.SourceFile {
				p.Path, p.Line = d.Path, d.Line
			}
			p.Since = latest(p.Since, d.Updated)
		}
	}
	for _, pod := range f.pods {
		sources[manifest.Source(pod.source)] = true
		p.Since = latest(p.Since, pod.seen)
	}
	if sources[manifest.SourceFile] && sources[manifest.SourceHTTP] {
		f.add(p)
	}
}

// staticPods are the definitions on the wire, those that did not change the very ones of before.
func (r *round) staticPods() []*StaticPod {
	if r.o.Manifest == nil {
		return []*StaticPod{}
	}
	before := r.prev.memory.definitions
	r.next.definitions = make(map[*manifest.Definition]defined, len(r.o.Manifest.Definitions))
	pods := make([]*StaticPod, 0, len(r.o.Manifest.Definitions))
	for _, d := range r.o.Manifest.Definitions {
		known := before[d]
		if known.pod == nil || known.pod.Node != r.world.node {
			name := joinNode(d.Name, r.world.node)
			known = defined{pod: newStaticPod(r.world.node, d), name: name, id: d.Namespace + "/" + name}
		}
		r.next.definitions[d] = known
		pods = append(pods, known.pod)
	}
	slices.SortFunc(pods, func(a, b *StaticPod) int {
		switch {
		case a.Metadata.ID < b.Metadata.ID:
			return -1
		case a.Metadata.ID > b.Metadata.ID:
			return 1
		}
		return 0
	})
	return pods
}

func newStaticPod(node string, d *manifest.Definition) *StaticPod {
	s := &StaticPod{
		Node: node,
		Metadata: Metadata{
			Namespace: Namespace, Type: TypeStaticPod, ID: d.ID,
			Version: d.Version, Created: plain(d.Created), Updated: plain(d.Updated),
		},
		Spec: StaticPodSpec{
			Namespace: d.Namespace, Name: d.Name, Source: d.Source, Path: d.Path, Line: d.Line, Hash: d.Hash,
			UID: string(d.UID), Served: d.Served, Valid: d.Valid,
			Containers: []ContainerImage{}, Problems: []manifest.Problem{},
		},
	}
	if d.Pod != nil {
		for _, c := range d.Pod.Spec.InitContainers {
			s.Spec.Containers = append(s.Spec.Containers, ContainerImage{c.Name, c.Image})
		}
		for _, c := range d.Pod.Spec.Containers {
			s.Spec.Containers = append(s.Spec.Containers, ContainerImage{c.Name, c.Image})
		}
	}
	for _, p := range d.Problems {
		p.Since, p.Message = plain(p.Since), clip(p.Message)
		s.Spec.Problems = append(s.Spec.Problems, p)
	}
	return s
}
