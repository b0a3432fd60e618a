package manifest

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
)

// Together returns the candidates with the problems that they have with each other: of two definitions of one
// pod, and of two pods that ask for one host port, the first is right and the later is told.
func Together(candidates []*Candidate) []*Candidate {
	told := make([]*Candidate, len(candidates))
	copy(told, candidates)
	first := map[string]*Candidate{}
	var pods []*corev1.Pod
	var of []int // the candidate of each pod
	for i, c := range candidates {
		if c.Name == "" {
			continue
		}
		if other, taken := first[candidateKey(c)]; taken {
			told[i] = c.with(DuplicateName, "metadata.name",
				fmt.Sprintf("pod %s is defined already at %s:%d", candidateKey(c), other.Path, other.Line))
			continue
		}
		first[candidateKey(c)] = c
		if !c.Quarantined() {
			pods, of = append(pods, c.Pod), append(of, i)
		}
	}
	lost := map[int]bool{} // pods that do not get their port, and so take none
	for _, conflict := range hostPortConflicts(pods) {
		if lost[conflict.First] || lost[conflict.Second] {
			continue
		}
		lost[conflict.Second] = true
		i, other := of[conflict.Second], told[of[conflict.First]]
		told[i] = told[i].with(HostPortConflict, conflict.Field(conflict.Second),
			fmt.Sprintf("host port %s is taken by pod %s at %s:%d", conflict.Port, candidateKey(other), other.Path, other.Line))
	}
	return told
}

// with returns a copy of c that has one more critical problem. Candidates are immutable and shared with the
// Validator's cache.
func (c *Candidate) with(reason Reason, field, message string) *Candidate {
	return c.marked(Critical, reason, field, "", message)
}

// marked returns a copy of c that has one more problem.
func (c *Candidate) marked(level Level, reason Reason, field, detail, message string) *Candidate {
	marked := *c
	line, column := c.Locate(field)
	marked.Problems = append(c.Problems[:len(c.Problems):len(c.Problems)], Problem{Reason: reason, Level: level,
		Message: clip(message), Detail: detail, Path: c.Path, Line: line, Column: column, Field: field})
	return &marked
}
