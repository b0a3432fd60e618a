package status

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/util/version"

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
// shows that it took one. Of a kubelet whose list nobody knows nothing is said.
func (r *round) await() {
	l, w, v := &r.next.latches, &r.world, r.o.Kubelet
	if l.waiting.IsZero() || !w.kubelet.fresh() {
		return
	}
	switch {
	case v.Transport == kubelet.PodsAPI || saysWhatItAwaits(v.Version):
		r.endWait()
	case !plain(v.At).After(l.waiting): // what it says is of its life before
		w.sourcesNotReady = true
	case r.hasList():
		r.endWait()
	case r.o.Manifest == nil || !r.o.Manifest.Serving && r.list() == nil:
	case r.tookList():
		r.endWait()
	default:
		w.sourcesNotReady = true
	}
}

// saysWhatItAwaits reports whether a kubelet of a version has the Pods API, by which it says that it waits. Of one whose
// version is not known nothing is concluded.
func saysWhatItAwaits(v string) bool {
	parsed, err := version.ParseGeneric(v)
	return err != nil || !parsed.LessThan(version.MajorMinor(1, 37))
}

func (r *round) endWait() {
	r.next.waiting = time.Time{}
	r.next.changes++
}

// tookList reports whether the kubelet has taken a list since it started in which there was no pod. One that has just
// started takes its time.
func (r *round) tookList() bool {
	l, set := &r.next.latches, r.o.Manifest
	enough := 3*r.world.httpCheck + logLag
	if set.Serving {
		return l.last.After(l.waiting) && l.url == nil && r.now.Sub(l.waiting) > enough
	}
	list := r.list()
	unreadable := slices.ContainsFunc(set.Problems, func(p manifest.Problem) bool {
		return p.Reason == manifest.ManifestUnreadable && p.Path == list.URL
	})
	return !unreadable && list.Revision != "" && list.Refusal == "" && l.url == nil && r.now.Sub(latest(l.waiting, plain(list.At))) > enough
}
