package manifest

import (
	"cmp"
	"fmt"
	"slices"
)

// judge is what follows for the state from the kubelet's verdict on the document that is served (D9). It is
// pure. The kubelet refuses a list whole and names nobody, so when more than one content in it is unproven
// all of them go back to what was accepted before, and return one at a time: each step costs one fetch, and
// what ran before runs on meanwhile. A verdict on another document than the one served is out of date, and one
// that was judged before changes nothing.
func judge(prev *state, v Verdict, running Running) *state {
	if v.Revision == "" || v.Revision != prev.Served || v.id() == prev.Judged {
		return prev
	}
	s := prev.clone()
	s.Judged = v.id()
	if v.Accepted {
		for _, e := range s.Entries {
			if e.Source == SourceHTTP {
				e.Accepted = e.Served
			}
		}
		if s.Trial != nil {
			s.Trial.next()
		}
		return s.endTrial()
	}
	if s.Trial != nil && s.Trial.Trying != "" {
		s.refuse(s.Trial.Trying, v)
		s.Trial.next()
		return s.endTrial()
	}
	suspects := s.suspects(running)
	if len(suspects) == 0 {
		// The kubelet took all of it before, so it is another kubelet now, an older one perhaps. What does
		// not run is unproven again; what runs must not be put at risk to find out.
		for key, e := range s.Entries {
			if e.Served != nil && running[key] != e.Served.UID {
				e.Accepted = nil
			}
		}
		suspects = s.suspects(running)
	}
	switch len(suspects) {
	case 0:
		return s // all of it runs: the status tells, and nothing is stopped
	case 1:
		s.refuse(suspects[0], v)
		return s
	}
	for _, e := range s.Entries {
		if e.Served != nil && slices.Contains(suspects, e.Served.Hash) {
			e.Served = e.Accepted
		}
	}
	s.Trial = &trial{Message: clip(v.Message), Since: v.At, Waiting: suspects}
	s.Trial.next()
	return s
}

// id identifies a verdict.
func (v Verdict) id() string { return fmt.Sprint(v.Revision, v.Accepted, v.At.UnixNano()) }

// suspects lists the contents in the document that no kubelet is known to have taken, by namespace and name.
func (s *state) suspects(running Running) []string {
	var entries []*entry
	for key, e := range s.Entries {
		if e.Source != SourceHTTP || e.Served == nil || e.Accepted != nil && e.Accepted.Hash == e.Served.Hash {
			continue
		}
		if running[key] == e.Served.UID {
			continue // it runs: the kubelet took it, whoever recorded that
		}
		entries = append(entries, e)
	}
	slices.SortFunc(entries, func(a, b *entry) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	hashes := make([]string, len(entries))
	for i, e := range entries {
		hashes[i] = e.Served.Hash
	}
	return hashes
}

// refuse marks a content as one that the kubelet does not take, and goes back from it.
func (s *state) refuse(hash string, v Verdict) {
	s.Refused[hash] = refusal{Message: clip(v.Message), At: v.At}
	for _, e := range s.Entries {
		if e.Served != nil && e.Served.Hash == hash {
			e.Served = e.Accepted
		}
	}
}

// next moves the next suspect onto trial.
func (t *trial) next() {
	t.Trying = ""
	if len(t.Waiting) > 0 {
		t.Trying, t.Waiting = t.Waiting[0], t.Waiting[1:]
	}
}

func (s *state) endTrial() *state {
	if s.Trial != nil && s.Trial.Trying == "" {
		s.Trial = nil
	}
	return s
}

// continueTrial forgets suspects that were edited away meanwhile.
func (p *planner) continueTrial() {
	t := p.state.Trial
	if t == nil {
		return
	}
	defined := map[string]bool{}
	for _, c := range p.chosen {
		defined[c.Hash] = true
	}
	t.Waiting = slices.DeleteFunc(t.Waiting, func(hash string) bool { return !defined[hash] })
	if !defined[t.Trying] {
		t.next()
	}
	if t.Trying == "" {
		p.state.Trial = nil
		return
	}
	p.problems = append(p.problems, Problem{Reason: ListRejected, Level: Critical, Message: t.Message, Since: t.Since})
}

// pruneRefusals forgets refusals of contents that no definition has any more.
func (s *state) pruneRefusals(definitions []*Definition) {
	for hash := range s.Refused {
		if !slices.ContainsFunc(definitions, func(d *Definition) bool { return d.Hash == hash }) {
			delete(s.Refused, hash)
		}
	}
}
