package status

import (
	"maps"
	"slices"

	"github.com/staticpod-exporter/staticpod-exporter/manifest"
)

// A Transition is the beginning or the end of a problem.
type Transition struct {
	Problem manifest.Problem
	Ended   bool
	// Status is the one that has the problem, or had it. Of one that only a former process knew there is no more than
	// its ID.
	Status *StaticPodStatus
}

// transit takes down what of the status that was dated last is over, and what is new.
func (r *round) transit(s *StaticPodStatus) {
	r.end(s, r.over)
	for _, p := range r.began {
		r.transitions = append(r.transitions, Transition{p, false, s})
	}
}

func (r *round) end(s *StaticPodStatus, problems []manifest.Problem) {
	for _, p := range problems {
		r.transitions = append(r.transitions, Transition{p, true, s})
	}
}

// vanish takes down the end of the problems of statuses that are no more.
func (r *round) vanish() {
	for _, id := range slices.Sorted(maps.Keys(r.prev.memory.entries)) {
		if old := r.prev.memory.entries[id]; r.next.entries[id] == nil {
			r.end(old.status, old.status.Spec.Problems)
		}
	}
	if r.next.records != nil {
		return // they may come yet
	}
	for _, id := range slices.Sorted(maps.Keys(r.prev.memory.records)) {
		if r.next.entries[id] == nil && r.prev.memory.entries[id] == nil {
			s := &StaticPodStatus{Node: r.world.node, Metadata: Metadata{Namespace: Namespace, Type: TypeStaticPodStatus, ID: id}}
			r.end(s, r.prev.memory.records[id].Problems)
		}
	}
}
