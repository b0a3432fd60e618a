package status

import (
	"fmt"
	"time"

	"github.com/staticpod-exporter/staticpod-exporter/cri"
	"github.com/staticpod-exporter/staticpod-exporter/manifest"
)

// judgeDelivery asks whether the kubelet was given the definition and took it.
func (f *findings) judgeDelivery() {
	w := &f.r.world
	d := f.definition()
	if f.file != nil {
		path := f.file.Path
		if d != nil {
			path = d.Path
		}
		if _, ok := f.found(manifest.ManifestRejected); !ok {
			f.add(manifest.Problem{Reason: manifest.ManifestRejected, Path: path, Message: f.file.Message, Since: f.file.First})
		}
	}
	if d == nil || !d.Served {
		return
	}
	if d.Source == manifest.SourceHTTP && w.notFetching.Reason != "" {
		f.add(w.notFetching)
	}
	p, refused := f.refusedOf(d)
	if _, known := f.found(manifest.ListRejected); refused && !known {
		f.add(p)
	}
	if _, unfetched := f.found(KubeletNotFetching); refused || unfetched || f.listed(d) {
		return // what the kubelet does not come for it cannot have
	}
	f.judgeAcceptance(d)
}

// acceptGrace is what a kubelet may take to take in what it has read, however often it reads.
const acceptGrace = 10 * time.Second

// judgeAcceptance finds a definition that the kubelet has had for two of its check periods and does not list. A pod
// that it listed until just now may be one whose definition is gone, which the exporter is about to see too.
// Only a kubelet that is well can be told by its silence: one without a runtime takes nothing in.
func (f *findings) judgeAcceptance(d *manifest.Definition) {
	w := &f.r.world
	if !w.kubelet.fresh() || w.sourcesNotReady || w.runtime.down() || !d.Valid || f.file != nil || d.Name == "" {
		return
	}
	given, period, how := plain(d.Updated), w.httpCheck, "was served to the kubelet"
	switch {
	case d.Source == manifest.SourceFile:
		period, how = w.fileCheck, "lies in the kubelet's directory"
	case w.serving && f.fetched.IsZero():
		return
	case w.serving:
		given, how = f.fetched, "was fetched by the kubelet"
	}
	wait := max(2*period, acceptGrace)
	patience := latest(given, w.kubelet.since, f.history.Lost).Add(wait)
	if !f.reached(patience) {
		return
	}
	if f.r.o.Kubelet.At.Before(patience) {
		f.lookAgain(f.r.now) // its list is older than that: wait for the next one
		return
	}
	f.add(manifest.Problem{Reason: NotAccepted, Since: given, Path: d.Path, Line: d.Line,
		Message: fmt.Sprintf("the definition %s, which still does not have its pod after %s: it checks every %s", how, wait, period)})
}

// runs reports whether the runtime has a sandbox of the very definition.
func (f *findings) runs(d *manifest.Definition) bool {
	for _, s := range f.sandboxes {
		if s.UID == string(d.UID) && alive(s) {
			return true
		}
	}
	return false
}

// otherIncarnations lists the live sandboxes of this name that are not the pod's the status is about.
func (f *findings) otherIncarnations() []*cri.Sandbox {
	var others []*cri.Sandbox
	for _, s := range f.sandboxes {
		if s.UID != f.uid && alive(s) {
			others = append(others, s)
		}
	}
	return others
}
