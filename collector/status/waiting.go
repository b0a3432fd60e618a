package status

import (
	"slices"
	"time"

	"github.com/staticpod-exporter/staticpod-exporter/collector/kubelet"
	"github.com/staticpod-exporter/staticpod-exporter/collector/kubeletlog"
	"github.com/staticpod-exporter/staticpod-exporter/manifest"
)

// waits begins a kubelet's wait for a list: it has just started, and fetches one. It tells of its directory first, then of
// its URL when it has one.
func (r *round) waits(e kubeletlog.Event, at time.Time) {
	since := at
	if e.Path != "" {
		since = time.Time{}
	}
	if !since.Equal(r.next.waiting) {
		r.next.waiting = since
		r.next.changes++
	}
}

// await finds out whether a kubelet that has no Pods API still waits for its list: from its start on until something
// shows that it took one.
func (r *round) await() {
	l, w, v := &r.next.latches, &r.world, r.o.Kubelet
	if l.waiting.IsZero() || !w.kubelet.fresh() || !plain(v.At).After(l.waiting) {
		return
	}
	if v.Transport == kubelet.PodsAPI || r.tookList() {
		l.waiting = time.Time{}
		r.next.changes++
		return
	}
	w.sourcesNotReady = true
}

// tookList reports whether the kubelet has taken a list since it started, or nobody can tell.
func (r *round) tookList() bool {
	l, w, set := &r.next.latches, &r.world, r.o.Manifest
	if r.hasList() || set == nil {
		return true
	}
	// One may have no pods in it, and a kubelet that has just started takes its time.
	enough := 3*w.httpCheck + logLag
	if set.Serving {
		return l.last.After(l.waiting) && l.url == nil && r.now.Sub(l.waiting) > enough
	}
	list := r.list()
	if list == nil || list.Revision == "" && list.URL == "" {
		return true
	}
	unreadable := slices.ContainsFunc(set.Problems, func(p manifest.Problem) bool {
		return p.Reason == manifest.ManifestUnreadable && p.Path == list.URL
	})
	return !unreadable && list.Revision != "" && list.Refusal == "" && l.url == nil && r.now.Sub(latest(l.waiting, plain(list.At))) > enough
}
