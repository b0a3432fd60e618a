package status

import (
	"time"

	"github.com/staticpod-exporter/staticpod-exporter/manifest"
)

// A refusedList is another server's list that the kubelet refuses, by our validation; zero when there is none.
type refusedList struct {
	url     string
	message string
	since   time.Time
}

// foreign fills in what is known of another server's list. The kubelet's own pods are the last word: a list that
// it has exactly is one that it took.
func (r *round) foreign() {
	l := r.list()
	if l == nil || l.Refusal == "" || r.world.kubelet.fresh() && r.kubeletHas(l.UIDs) {
		return
	}
	r.world.list = refusedList{url: l.URL, message: l.Refusal, since: plain(l.At)}
}

// list is what another server gives the kubelet; nil when the kubelet is fed by us, or by nobody that we know.
func (r *round) list() *manifest.List {
	if r.o.Manifest == nil || r.o.Manifest.Serving {
		return nil
	}
	return r.o.Manifest.List
}

// predict finds out whether the UIDs that we predict for another server's list are those that the kubelet gives:
// they are for a kubelet of the minor version that our validation is of. One that was right proves it, for as
// long as the kubelet is of one version.
func (r *round) predict() {
	l, v := r.list(), r.o.Kubelet
	if l == nil || v == nil {
		return
	}
	before, old := r.prev.memory.world, r.prev.Observation
	r.world.exact = before.exact && old != nil && old.Kubelet != nil && old.Kubelet.Version == v.Version
	for _, p := range r.next.pods {
		if !r.world.exact && p.source == string(manifest.SourceHTTP) && hasUID(l.UIDs, p.uid) {
			r.world.exact = true
		}
	}
}

// predicted reports whether a definition's UID is but our prediction of what the kubelet makes of it.
func (r *round) predicted(d *manifest.Definition) bool {
	return d.Source == manifest.SourceFile || !r.world.serving && !r.world.exact
}

// refusedOf is the problem of a definition of a list that the kubelet refuses, as it says itself or as we know
// before; ok is false when there is none.
func (f *findings) refusedOf(d *manifest.Definition) (p manifest.Problem, ok bool) {
	w := &f.r.world
	switch {
	case d.Source != manifest.SourceHTTP:
		return p, false
	case w.list.message != "":
		return manifest.Problem{Reason: manifest.ListRejected, Message: w.list.message, Path: w.list.url, Since: w.list.since}, true
	case w.url != nil && (!w.serving || !f.listed(d) && !f.runs(d)):
		p = manifest.Problem{Reason: manifest.ListRejected, Message: w.url.Message, Since: w.url.At}
		if l := f.r.list(); l != nil {
			p.Path = l.URL
		}
		return p, true
	}
	return p, false
}
