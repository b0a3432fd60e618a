package status

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/staticpod-exporter/staticpod-exporter/cri"
	"github.com/staticpod-exporter/staticpod-exporter/manifest"
)

// evidence is all that is known of one static pod: everything its verdict is made of besides the world.
// What it points to is immutable, so that evidence is compared by pointers.
type evidence struct {
	id              string // of its status
	namespace, name string // the pod's, with the node's name; "" for a file that names none

	definitions []*manifest.Definition // the one that counts first
	pods        []*podFacts            // of the kubelet, the one that runs first
	sandboxes   []*cri.Sandbox         // of the runtime, newest first
	uid         string                 // of the pod the status is about; "" when there is none
	words       *podWords              // what the log says of uid, or else of the definition's
	file        *fileRefusal
	fetched     time.Time // when the kubelet first fetched a list with the definition's UID
	missing     time.Time // since when sandboxes run that the kubelet does not have
	heard       time.Time // when the log last spoke of it
	mirror      mirrorEvidence
}

func (e *evidence) equal(f *evidence) bool {
	return e.id == f.id && e.uid == f.uid && e.words == f.words && e.file == f.file &&
		e.fetched.Equal(f.fetched) && e.missing.Equal(f.missing) && e.heard.Equal(f.heard) && e.mirror == f.mirror &&
		e.namespace == f.namespace && e.name == f.name &&
		slices.Equal(e.definitions, f.definitions) && slices.Equal(e.pods, f.pods) && slices.Equal(e.sandboxes, f.sandboxes)
}

// definition is the one that counts; nil when none is to be seen.
func (e *evidence) definition() *manifest.Definition {
	if len(e.definitions) == 0 {
		return nil
	}
	return e.definitions[0]
}

// pod is the kubelet's pod that the status is about; nil when it has none.
func (e *evidence) pod() *podFacts {
	if len(e.pods) == 0 {
		return nil
	}
	return e.pods[0]
}

// listed reports whether the kubelet has the definition's pod: that of a list of ours by UID exactly, another
// by name too, because its UID is but a prediction.
func (f *findings) listed(d *manifest.Definition) bool {
	for _, p := range f.pods {
		if p.uid == string(d.UID) && d.UID != "" || f.r.predicted(d) && p.source == string(d.Source) {
			return true
		}
	}
	return false
}

// incarnation lists the sandboxes of the pod the status is about, newest first.
func (e *evidence) incarnation() []*cri.Sandbox {
	var own []*cri.Sandbox
	for _, s := range e.sandboxes {
		if s.UID == e.uid {
			own = append(own, s)
		}
	}
	return own
}

// alive reports whether anything of a sandbox runs.
func alive(s *cri.Sandbox) bool {
	return s.Ready || slices.ContainsFunc(s.Containers, func(c cri.Container) bool { return c.State == cri.Running })
}

// read turns the views into facts, those that did not change into the very ones of the round before.
func (r *round) read() {
	m := &r.next
	if v := r.o.Kubelet; v != m.view {
		before := m.podByKey
		m.view, m.pods, m.podByKey, m.listed = v, nil, nil, nil
		if v != nil {
			m.pods, m.podByKey = make([]*podFacts, 0, len(v.Pods)), make(map[podKey]*podFacts, len(v.Pods))
			m.listed = make(map[string]bool, len(v.Pods))
			for _, p := range v.Pods {
				key := podKey{string(p.UID), p.Namespace, p.Name}
				f := before[key]
				if f == nil || f.pod != p {
					fresh := newPodFacts(p)
					if f != nil {
						fresh.follow(f, r.now)
					}
					if f == nil || !f.equal(fresh) {
						f = fresh
					}
				}
				m.pods, m.podByKey[key], m.listed[f.uid] = append(m.pods, f), f, true
			}
		}
	}
	if v := r.o.Runtime; v != m.runtime {
		before := m.sandboxIDs
		m.runtime, m.sandboxes, m.sandboxIDs = v, nil, nil
		if v != nil {
			m.sandboxes, m.sandboxIDs = make([]*cri.Sandbox, 0, len(v.Sandboxes)), make(map[string]*cri.Sandbox, len(v.Sandboxes))
			for i := range v.Sandboxes {
				s := &v.Sandboxes[i]
				if old := before[s.ID]; old != nil && sameSandbox(old, s) {
					s = old
				}
				m.sandboxes, m.sandboxIDs[s.ID] = append(m.sandboxes, s), s
			}
		}
	}
}

func sameSandbox(a, b *cri.Sandbox) bool {
	return a.ID == b.ID && a.Namespace == b.Namespace && a.Name == b.Name && a.UID == b.UID && a.Source == b.Source &&
		a.Attempt == b.Attempt && a.Ready == b.Ready && a.Created.Equal(b.Created) && slices.Equal(a.Containers, b.Containers)
}

// join brings together what belongs to one static pod, and gives each its ID. The order of the inputs does
// not matter.
func (r *round) join() []*evidence {
	n := len(r.next.pods)
	if r.o.Manifest != nil {
		n = max(n, len(r.o.Manifest.Definitions))
	}
	j := joiner{round: r, keys: make(map[subject]*evidence, n), byUID: make(map[string]*evidence, 2*n)}
	j.definitions()
	j.pods()
	j.sandboxes()
	j.files()
	all := make([]*evidence, 0, len(j.keys))
	for _, e := range j.keys {
		r.settle(e)
		all = append(all, e)
	}
	slices.SortFunc(all, func(a, b *evidence) int {
		return cmp.Or(cmp.Compare(a.id, b.id), cmp.Compare(a.name, b.name))
	})
	for i := 1; i < len(all); i++ {
		for n := 2; all[i].id == all[i-1].id; n++ {
			all[i].id = fmt.Sprintf("%s~%d", all[i].id, n)
		}
	}
	return all
}

// A subject is what a status is about: a name without the node's, or the ID of a definition without one.
type subject struct{ namespace, name string }

func subjectOf(d *manifest.Definition) subject {
	if d.Name == "" {
		return subject{name: d.ID}
	}
	return subject{d.Namespace, d.Name}
}

// A joiner groups by subject. Most groups have one of each kind, which is then a slice of the whole list and
// costs nothing; its capacity has the next one copied.
type joiner struct {
	*round
	keys  map[subject]*evidence
	byUID map[string]*evidence
}

func (j *joiner) group(key subject) *evidence {
	e := j.keys[key]
	if e == nil {
		e = &evidence{}
		j.keys[key] = e
	}
	return e
}

// also appends the i-th of all to those of a group.
func also[T any](group, all []T, i int) []T {
	if len(group) == 0 {
		return all[i : i+1 : i+1]
	}
	return append(group, all[i])
}

func (j *joiner) definitions() {
	if j.o.Manifest == nil {
		return
	}
	for i, d := range j.o.Manifest.Definitions {
		e := j.group(subjectOf(d))
		e.definitions = also(e.definitions, j.o.Manifest.Definitions, i)
		if e.id == "" {
			e.id, e.namespace, e.name = j.name(d)
		}
		if d.UID != "" && d.Name != "" && (d.Source == manifest.SourceHTTP || j.byUID[string(d.UID)] == nil) {
			j.byUID[string(d.UID)] = e
		}
	}
}

// name is the ID of a definition's status, and its pod's namespace and name.
func (j *joiner) name(d *manifest.Definition) (id, namespace, name string) {
	if d.Name == "" {
		return d.ID, "", ""
	}
	if w := j.prev.memory.definitions[d]; w.pod != nil && w.pod.Node == j.world.node {
		return w.id, d.Namespace, w.name
	}
	name = joinNode(d.Name, j.world.node)
	return d.Namespace + "/" + name, d.Namespace, name
}

func joinNode(name, node string) string {
	if node == "" {
		return name
	}
	return name + "-" + node
}

func (j *joiner) pods() {
	for i, p := range j.next.pods {
		e := j.byUID[p.uid]
		if e == nil {
			e = j.group(subject{p.namespace, j.bare(p.name, p.node)})
			j.byUID[p.uid] = e
		}
		e.pods = also(e.pods, j.next.pods, i)
		e.identify(p.namespace, p.name)
	}
}

// identify names a static pod that has no definition to be seen: as it is called where it runs.
func (e *evidence) identify(namespace, name string) {
	if len(e.definitions) > 0 {
		return
	}
	if id := namespace + "/" + name; e.id == "" || id < e.id {
		e.namespace, e.name, e.id = namespace, name, id
	}
}

// sandboxes takes those of pods that the kubelet has, and those that are alive. While the kubelet has never
// answered a dead one counts too: its pod may be in a back-off. So does that of a pod that was known before the
// kubelet's start: it has ended, and is yet to be listed.
func (j *joiner) sandboxes() {
	known := map[string]bool{}
	if j.relists() {
		for _, e := range j.prev.memory.entries {
			known[e.evidence.uid] = true
		}
	}
	for i, s := range j.next.sandboxes {
		if !j.next.listed[s.UID] && !alive(s) && j.world.kubelet.known && !known[s.UID] {
			continue
		}
		e := j.byUID[s.UID]
		if e == nil {
			e = j.group(subject{s.Namespace, j.bare(s.Name, "")})
		}
		e.sandboxes = also(e.sandboxes, j.next.sandboxes, i)
		e.identify(s.Namespace, s.Name)
	}
}

// relists reports whether the kubelet came back a moment ago, and may not yet list all that it has.
func (r *round) relists() bool {
	k := &r.world.kubelet
	return k.fresh() && (r.world.sourcesNotReady || r.now.Before(k.since.Add(logLag)))
}

// files takes the refused ones to their definitions, by base name below the manifest directory.
func (j *joiner) files() {
	for base, f := range j.next.files {
		if !f.proven() {
			continue
		}
		key := subject{name: "file:" + f.Path}
		if d := j.fileByBase[base]; d != nil {
			key = subjectOf(d)
		}
		e := j.group(key)
		if e.id == "" {
			e.id = key.name
		}
		e.file = f
	}
}

// indexFiles finds the definitions of the kubelet's directory by base name.
func (r *round) indexFiles() {
	if r.o.Manifest == nil || len(r.next.files) == 0 {
		return
	}
	r.fileByBase = map[string]*manifest.Definition{}
	for _, d := range r.o.Manifest.Definitions {
		if base := filepath.Base(d.Path); d.Source == manifest.SourceFile && d.Path != "" && r.fileByBase[base] == nil {
			r.fileByBase[base] = d
		}
	}
}

// settle puts first what counts, and adds what memory has on the pod.
func (r *round) settle(e *evidence) {
	slices.SortFunc(e.sandboxes, func(a, b *cri.Sandbox) int {
		return cmp.Or(b.Created.Compare(a.Created), cmp.Compare(b.Attempt, a.Attempt), cmp.Compare(a.ID, b.ID))
	})
	if len(e.pods) > 1 {
		r.settlePods(e)
	}
	source := ""
	switch {
	case len(e.pods) > 0:
		e.uid, source = e.pods[0].uid, e.pods[0].source
	case len(e.sandboxes) > 0:
		e.uid, source = e.sandboxes[0].UID, e.sandboxes[0].Source
	}
	if len(e.definitions) > 1 {
		e.settleDefinitions(source)
	}
	words := e.uid
	if d := e.definition(); d != nil {
		if words == "" {
			words = string(d.UID)
		}
		if d.Source == manifest.SourceHTTP && d.Served {
			e.fetched = r.next.fetched[d.UID]
		}
	}
	e.words = r.next.words[words]
	e.missing = r.missingSince(e)
	e.heard = r.heardOf(e, words)
	e.mirror = r.next.mirrors.of(e.namespace, e.name)
}

// settlePods puts the pod that runs first.
func (r *round) settlePods(e *evidence) {
	rank := func(p *podFacts) int {
		running := slices.ContainsFunc(e.sandboxes, func(s *cri.Sandbox) bool { return s.UID == p.uid && alive(s) })
		defined := slices.ContainsFunc(e.definitions, func(d *manifest.Definition) bool { return string(d.UID) == p.uid })
		switch {
		case !p.untouched && !p.rejected():
			return 0
		case running:
			return 1
		case defined:
			return 2
		}
		return 3
	}
	slices.SortFunc(e.pods, func(a, b *podFacts) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(b.source, a.source), cmp.Compare(a.uid, b.uid))
	})
}

// settleDefinitions puts the definition first that is served, sound and of the pod that runs.
func (e *evidence) settleDefinitions(source string) {
	rank := func(d *manifest.Definition) int {
		n := 0
		if !d.Served {
			n += 8
		}
		if !d.Valid {
			n += 4
		}
		if e.uid != "" && string(d.UID) != e.uid {
			n += 2
		}
		if source != "" && string(d.Source) != source {
			n++
		}
		return n
	}
	slices.SortFunc(e.definitions, func(a, b *manifest.Definition) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.Source, b.Source), cmp.Compare(a.Path, b.Path), cmp.Compare(a.Line, b.Line))
	})
}

// heardOf is when the log last spoke of the pod, in this round or before.
func (r *round) heardOf(e *evidence, uid string) time.Time {
	var heard time.Time
	if old := r.prev.memory.entries[e.id]; old != nil {
		heard = old.evidence.heard
	}
	if len(r.heard) == 0 {
		return heard
	}
	heard = latest(heard, r.heard[joinName(e.namespace, e.name)])
	if uid != "" {
		heard = latest(heard, r.heard[uid])
	}
	for _, d := range e.definitions {
		if d.Source == manifest.SourceFile {
			heard = latest(heard, r.heard[baseKey(d.Path)])
		}
	}
	if e.file != nil {
		heard = latest(heard, r.heard[baseKey(e.file.Path)])
	}
	return heard
}
