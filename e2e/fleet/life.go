package fleet

import (
	"cmp"
	"slices"
	"time"
)

// What can happen to a node or to one of its pods.
type kind int

const (
	off           kind = iota // the node: nothing answers, and the exporter starts anew at the end
	exporting                 // the exporter alone is replaced, and starts anew at the end
	blind                     // an input of the exporter is down
	noted                     // a problem of the node, which hurts nobody
	misconfigured             // the exporter was given a configuration that is none
	unheard                   // what the exporter sends by OpenTelemetry does not arrive
	gap                       // lines of the kubelet's log are lost, at the beginning
	rollout                   // a definition changes at the beginning; its pod is not ready until the end
	restart                   // a container ends at the beginning; the pod is not ready until the end
	unready                   // the pod is not ready, for a reason of its own
	crashing                  // the pod's container ends again and again
	refused                   // the definition has a mistake; the pod runs on as it was
	refusedNew                // so it is, of a pod that never ran
	completed                 // the pod has ended, as it should
)

// An episode is one thing that happens to a node, from begin until before end.
type episode struct {
	kind       kind
	begin, end time.Time
	pod        int    // of the node's pods; -1: the node itself
	reason     string // of the problem that the exporter finds meanwhile, if it does
	level      string
	after      time.Duration // how long after the beginning it finds that
	input      string        // which is down
}

func (e *episode) on(t time.Time) bool { return !t.Before(e.begin) && t.Before(e.end) }

// problem reports whether the episode's problem is known at t.
func (e *episode) problem(t time.Time) bool {
	return e.reason != "" && e.on(t) && !t.Before(e.begin.Add(e.after))
}

// A life is all that happens to one node.
type life struct {
	node []episode
	pods [][]episode
}

func (l *life) add(e episode) {
	if e.pod < 0 {
		l.node = append(l.node, e)
	} else {
		l.pods[e.pod] = append(l.pods[e.pod], e)
	}
}

func (l *life) sort() {
	for _, all := range append([][]episode{l.node}, l.pods...) {
		slices.SortStableFunc(all, func(a, b episode) int { return cmp.Compare(a.begin.UnixNano(), b.begin.UnixNano()) })
	}
}

// gone reports whether nothing answers at t, and when the exporter that answers then has started.
func (l *life) gone(t, born time.Time) (gone bool, started time.Time) {
	started = born
	for i := range l.node {
		e := &l.node[i]
		if e.kind != off && e.kind != exporting || t.Before(e.begin) {
			continue
		}
		if e.on(t) {
			return true, started
		}
		if e.end.After(started) {
			started = e.end
		}
	}
	return false, started
}

// misconfigured reports whether the exporter has an invalid configuration at t.
func (l *life) misconfigured(t time.Time) bool {
	return slices.ContainsFunc(l.node, func(e episode) bool { return e.kind == misconfigured && e.on(t) })
}

// down reports whether the input is down at t.
func (l *life) down(input string, t time.Time) bool {
	return slices.ContainsFunc(l.node, func(e episode) bool { return e.kind == blind && e.input == input && e.on(t) })
}
