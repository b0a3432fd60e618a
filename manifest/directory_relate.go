package manifest

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// relate adds to the definitions of the kubelet's directory what they have against each other. All of it is
// what the kubelet does not say: it drops one of two files with one pod without a word, and finds out about a
// host port or a UID that is taken only when it runs the pods. Candidates are immutable and shared with the
// Validator's cache, so the marked ones are copies, in files that are the caller's own.
func relate(files []readFile) {
	for i := range files {
		files[i].candidates = slices.Clone(files[i].candidates)
	}
	relateNames(files)
	var running []**Candidate
	for i := range files {
		for j, c := range files[i].candidates {
			if c.Name != "" && !c.Quarantined() && !has(c.Problems, DuplicateName) {
				running = append(running, &files[i].candidates[j])
			}
		}
	}
	relatePorts(running)
	relateUIDs(running)
}

// relateNames marks the definitions that lose their identity to a file later in byte order, and says of
// backups beside what they are copies of.
func relateNames(files []readFile) {
	winners := map[string]*Candidate{}
	losers := map[string]string{} // the last path that lost to a winner, by key
	for i := len(files) - 1; i >= 0; i-- {
		for j, c := range files[i].candidates {
			if c.Name == "" || c.Quarantined() {
				continue
			}
			key := candidateKey(c)
			winner, taken := winners[key]
			if !taken {
				winners[key] = c
				continue
			}
			if losers[key] == "" {
				losers[key] = c.Path
			}
			lost := c.with(DuplicateName, "metadata.name",
				fmt.Sprintf("%s defines pod %s too and comes later in byte order: the kubelet runs that one and ignores this file. Whoever writes to this file makes the kubelet run it all the same, until its next reading of the directory takes it back: two restarts of the pod", winner.Path, key))
			files[i].candidates[j] = lost.amended(StrayFile, fmt.Sprintf("; %s comes later, so this copy is ignored until somebody writes to it", winner.Path))
		}
	}
	for i := range files {
		for j, c := range files[i].candidates {
			if loser := losers[candidateKey(c)]; c.Name != "" && loser != "" && winners[candidateKey(c)] == c {
				files[i].candidates[j] = c.amended(StrayFile, fmt.Sprintf("; it runs in place of %s, whose edits the kubelet takes back", loser))
			}
		}
	}
}

// relatePorts says which pods ask for one host port. The kubelet admits the one that it comes to first, in no
// order: the later by name is told that it may not run, the other that it may not after a restart.
func relatePorts(running []**Candidate) {
	pods := make([]*corev1.Pod, len(running))
	for i, c := range running {
		pods[i] = (*c).Pod
	}
	for _, conflict := range hostPortConflicts(pods) {
		first, second := *running[conflict.First], *running[conflict.Second]
		words := func(other *Candidate) string {
			return fmt.Sprintf("host port %s is asked for by pod %s of %s too: the kubelet admits one of the two, and which one may change whenever it starts", conflict.Port, candidateKey(other), other.Path)
		}
		*running[conflict.Second] = second.marked(Critical, HostPortConflict, conflict.Field(conflict.Second), "", words(first))
		*running[conflict.First] = first.marked(Warning, HostPortConflict, conflict.Field(conflict.First), "", words(second))
	}
}

// relateUIDs finds pods with one UID. The kubelet knows pods by nothing else.
func relateUIDs(running []**Candidate) {
	first := map[types.UID]int{}
	for i, c := range running {
		j, taken := first[(*c).UID]
		if !taken {
			first[(*c).UID] = i
			continue
		}
		words := func(other *Candidate) string {
			return fmt.Sprintf("pod %s of %s has this UID too: the kubelet takes both for one pod and mixes them up", candidateKey(other), other.Path)
		}
		a, b := *running[j], *c
		*running[j] = a.marked(Critical, UnsafeMetadata, "metadata.uid", "DuplicateUID", words(b))
		*running[i] = b.marked(Critical, UnsafeMetadata, "metadata.uid", "DuplicateUID", words(a))
	}
}

// amended returns a copy of c that says more about its problems of a code; c itself when it has none.
func (c *Candidate) amended(reason Reason, words string) *Candidate {
	if !has(c.Problems, reason) {
		return c
	}
	amended := *c
	amended.Problems = slices.Clone(c.Problems)
	for i := range amended.Problems {
		if p := &amended.Problems[i]; p.Reason == reason {
			p.Message = clip(p.Message + words)
		}
	}
	return &amended
}
