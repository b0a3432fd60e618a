package manifest

import (
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// maxDocumentBytes bounds the served list: the kubelet reads less than 10 MiB, and the list needs some room
// around its items.
const maxDocumentBytes = maxFileBytes - 64<<10

// serve decides which revision of every definition is in the document: the new one when nothing speaks
// against it, else the last valid one, else none.
func (p *planner) serve() {
	want := map[string]*revision{} // the new revisions that may be served so far
	for _, key := range slices.Sorted(maps.Keys(p.chosen)) {
		c, e := p.chosen[key], p.state.Entries[key]
		if p.quarantined(key, c, e) {
			continue
		}
		want[key] = newRevision(c)
	}
	p.settlePorts(want)
	p.settleSize(want)
	for key, c := range p.chosen {
		e := p.state.Entries[key]
		switch next := want[key]; {
		case next == nil && e.Served != nil && e.Served.Hash == c.Hash && has(c.Problems, RuntimeClassUnsupported):
			// The very content that is served would crash the kubelet that turned out to be standalone.
			e.Served = nil
		case next == nil:
			p.refused[key] = e.Served == nil || e.Served.Hash != c.Hash
		case e.Served == nil || e.Served.Hash != next.Hash:
			e.Served = next
		}
	}
}

// quarantined reports whether the content of c may not be served, noting why where c itself does not say.
func (p *planner) quarantined(key string, c *Candidate, e *entry) bool {
	if c.Quarantined() {
		return true
	}
	if r, ok := p.state.Refused[c.Hash]; ok {
		p.cause(key, Problem{Reason: ManifestRejected, Level: Critical, Path: c.Path, Line: c.Line, Message: r.Message, Since: r.At})
		return true
	}
	if t := p.state.Trial; t != nil && c.Hash != t.Trying && (e.Accepted == nil || e.Accepted.Hash != c.Hash) {
		// While the culprit is searched every content that is not proven waits its turn, also a new one.
		if !slices.Contains(t.Waiting, c.Hash) {
			t.Waiting = append(t.Waiting, c.Hash)
		}
		p.cause(key, p.onTrial(c))
		return true
	}
	if t := p.state.Trial; t != nil && c.Hash == t.Trying {
		p.cause(key, p.onTrial(c))
	}
	if e.Served == nil {
		if file, ok := p.inDirectory(key); ok {
			p.cause(key, Problem{Reason: CrossSourceDuplicate, Level: Critical, Path: c.Path, Line: c.Line, Field: "metadata.name",
				Message: fmt.Sprintf("%s is defined in the kubelet's manifest directory too, in %s: it is not served", key, file)})
			return true
		}
	} else if file, ok := p.inDirectory(key); ok {
		p.cause(key, Problem{Reason: CrossSourceDuplicate, Level: Critical, Path: c.Path, Line: c.Line, Field: "metadata.name",
			Message: fmt.Sprintf("%s is defined in the kubelet's manifest directory too, in %s: the kubelet runs only one of the two", key, file)})
	}
	return false
}

func (p *planner) onTrial(c *Candidate) Problem {
	return Problem{Reason: ListRejected, Level: Critical, Path: c.Path, Line: c.Line, Message: p.state.Trial.Message, Since: p.state.Trial.Since}
}

// inDirectory returns the file of the kubelet's own directory that defines the pod as well.
func (p *planner) inDirectory(key string) (path string, ok bool) {
	for _, f := range p.directory {
		for _, c := range f.candidates {
			if c.Name != "" && candidateKey(c) == key && !c.Quarantined() {
				return f.path, true
			}
		}
	}
	return "", false
}

// settlePorts takes out of want the newcomers of host port conflicts until none is left. A revision that is
// served already, or lies in the kubelet's directory, was there first; of two new ones the definition that
// was served before was, then the first by key.
func (p *planner) settlePorts(want map[string]*revision) {
	for {
		pods, keys := p.podsIfServed(want)
		loser := -1
		for _, c := range hostPortConflicts(pods) {
			first, second := c.First, c.Second
			if p.newcomer(keys[first], want) && !p.newcomer(keys[second], want) ||
				p.newcomer(keys[first], want) == p.newcomer(keys[second], want) && !p.isServed(keys[first]) && p.isServed(keys[second]) {
				first, second = second, first
			}
			if !p.newcomer(keys[second], want) {
				continue // both run already: admission is the kubelet's to judge
			}
			key := keys[second]
			line, column := p.chosen[key].Locate(c.Field(second))
			p.cause(key, Problem{Reason: HostPortConflict, Level: Critical, Path: p.chosen[key].Path, Line: line, Column: column, Field: c.Field(second),
				Message: fmt.Sprintf("host port %s is taken by %s", c.Port, name(keys[first]))})
			loser = second
			break
		}
		if loser < 0 {
			return
		}
		delete(want, keys[loser])
	}
}

// podsIfServed lists the pods that would be on the node: the kubelet's own files first, then ours by key.
func (p *planner) podsIfServed(want map[string]*revision) (pods []*corev1.Pod, keys []string) {
	for _, f := range p.directory {
		for _, c := range f.candidates {
			if c.Pod != nil && !c.Quarantined() {
				pods, keys = append(pods, c.Pod), append(keys, "file:"+f.path)
			}
		}
	}
	for _, key := range slices.Sorted(maps.Keys(p.state.Entries)) {
		e := p.state.Entries[key]
		var pod *corev1.Pod
		switch {
		case e.Source != SourceHTTP:
			continue
		case want[key] != nil:
			pod = p.chosen[key].Pod
		case e.Served != nil:
			pod = p.pod(e.Served)
		}
		if pod != nil {
			pods, keys = append(pods, pod), append(keys, key)
		}
	}
	return pods, keys
}

// newcomer reports whether key would be served with a revision that is not served yet.
func (p *planner) newcomer(key string, want map[string]*revision) bool {
	e := p.state.Entries[key]
	return e != nil && want[key] != nil && (e.Served == nil || e.Served.Hash != want[key].Hash)
}

func (p *planner) isServed(key string) bool {
	e := p.state.Entries[key]
	return e == nil || e.Served != nil // no entry: a file of the kubelet's directory
}

// settleSize takes newcomers out of want while the document would be too large for the kubelet.
func (p *planner) settleSize(want map[string]*revision) {
	size := 0
	for key, e := range p.state.Entries {
		if e.Source != SourceHTTP {
			continue
		}
		if r := want[key]; r != nil {
			size += len(r.Canonical)
		} else if e.Served != nil {
			size += len(e.Served.Canonical)
		}
	}
	for _, key := range slices.Backward(slices.Sorted(maps.Keys(want))) {
		if size <= maxDocumentBytes {
			return
		}
		if !p.newcomer(key, want) {
			continue
		}
		c := p.chosen[key]
		p.cause(key, Problem{Reason: ManifestInvalid, Level: Critical, Path: c.Path, Line: c.Line,
			Message: "the list of all static pods would reach 10 MiB, more than the kubelet reads"})
		size -= len(want[key].Canonical)
		if e := p.state.Entries[key]; e.Served != nil {
			size += len(e.Served.Canonical)
		}
		delete(want, key)
	}
}

func (p *planner) cause(key string, problem Problem) {
	p.causes[key] = append(p.causes[key], problem)
}

func has(problems []Problem, reason Reason) bool {
	return slices.ContainsFunc(problems, func(p Problem) bool { return p.Reason == reason })
}

// name is how a message calls what a key stands for.
func name(key string) string {
	if path, ok := cutFilePrefix(key); ok {
		return path + " in the kubelet's manifest directory"
	}
	return key
}
