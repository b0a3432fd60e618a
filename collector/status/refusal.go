package status

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/staticpod-exporter/staticpod-exporter/collector/kubeletlog"
	"github.com/staticpod-exporter/staticpod-exporter/manifest"
)

const (
	// fetchMarks is how many changes of the fetched revision are remembered.
	fetchMarks = 16
	// fetchSlack is how much later than the kubelet's log line the fetch it is about may be dated.
	fetchSlack = 250 * time.Millisecond
	// logLag is how late a line of the log may come to be read.
	logLag = 5 * time.Second
	// oldRefusal is how much further a log has to go on without a refusal for that to be over, whatever is
	// known of the time between: a whole node may stand still for a while and log another line first.
	oldRefusal = 10 * time.Minute
	// fileRefusals bounds the files that are remembered as refused.
	fileRefusals = 256
)

// fetch remembers what the kubelet fetched, or what we found where it fetches.
func (r *round) fetch() {
	set := r.o.Manifest
	if set == nil {
		return
	}
	l := &r.next.latches
	if list := r.list(); list != nil && list.Revision != "" {
		if r.next.firstList.IsZero() {
			r.next.firstList = plain(list.At)
		}
		r.mark(fetchMark{plain(list.At), list.Revision, list.Refusal != ""})
	}
	if !set.Serving {
		return
	}
	for _, f := range set.Fetches.Recent {
		at := plain(f.At)
		if !f.Kubelet || f.Code != 200 || f.Revision == "" || !at.After(l.last) || at.After(r.now) {
			continue // or it is from before the clock was set back
		}
		l.last, r.next.fetchedNow = at, true
		r.mark(fetchMark{At: at, Revision: f.Revision})
	}
	r.fetchedUIDs(set.Document)
}

// mark remembers a revision, unless it is the last one still.
func (r *round) mark(m fetchMark) {
	l := &r.next.latches
	if n := len(l.fetches); n > 0 && l.fetches[n-1].Revision == m.Revision {
		return
	}
	l.fetches = append(slices.Clone(l.fetches), m)
	l.fetches = l.fetches[max(0, len(l.fetches)-fetchMarks):]
	r.next.changes++
}

// fetchedUIDs dates the UIDs of the document by the first fetch of a revision that holds them.
func (r *round) fetchedUIDs(d *manifest.Document) {
	l := &r.next.latches
	if d == nil || len(l.fetches) == 0 {
		return
	}
	mark := l.fetches[len(l.fetches)-1]
	if mark.Revision != d.Revision {
		return // the kubelet has yet to come for it
	}
	same := len(d.UIDs) == len(l.fetched)
	for _, uid := range d.UIDs {
		if _, ok := l.fetched[uid]; !ok {
			same = false
		}
	}
	if same {
		return
	}
	fetched := make(map[types.UID]time.Time, len(d.UIDs))
	for _, uid := range d.UIDs {
		at, ok := l.fetched[uid]
		if !ok {
			at = mark.At
		}
		fetched[uid] = at
	}
	l.fetched = fetched
	r.next.changes++
}

// revisionAt is the revision that the kubelet had fetched last at a time.
func (l *latches) revisionAt(t time.Time) string {
	for _, m := range slices.Backward(l.fetches) {
		if !m.At.After(t.Add(fetchSlack)) {
			return m.Revision
		}
	}
	return ""
}

// refuseURL latches a list that the kubelet refused.
func (r *round) refuseURL(e kubeletlog.Event) {
	l := &r.next.latches
	at := plain(e.At)
	refusal := &urlRefusal{At: at, Revision: l.revisionAt(at), Message: clip(e.Message)}
	if l.url != nil && !at.After(l.url.At) && l.url.Revision == refusal.Revision && l.url.Message == refusal.Message {
		return // the same line, read twice
	}
	for _, p := range r.next.pods {
		if p.source == string(manifest.SourceHTTP) {
			refusal.UIDs = append(refusal.UIDs, p.uid)
		}
	}
	slices.Sort(refusal.UIDs)
	if l.url != nil && l.url.Revision == refusal.Revision {
		refusal.At = l.url.At // the kubelet said it again: it began then
		refusal.UIDs = l.url.UIDs
	}
	l.url = refusal
	r.next.refusals++
}

// acceptURL clears the refused list when the kubelet has what is served now (V3).
func (r *round) acceptURL() {
	l := &r.next.latches
	if l.url == nil || !r.world.kubelet.fresh() || !plain(r.o.Kubelet.At).After(l.url.At) {
		return
	}
	if r.accepted() || r.foreignListAccepted() {
		l.url = nil
		r.next.refusals++
	}
}

// accepted reports whether the kubelet fetched the served document and has exactly its pods.
func (r *round) accepted() bool {
	set, l := r.o.Manifest, &r.next.latches
	if set == nil || set.Document == nil || !r.world.kubelet.fresh() || r.world.sourcesNotReady || len(l.fetches) == 0 {
		return false
	}
	mark := l.fetches[len(l.fetches)-1]
	if mark.Revision != set.Document.Revision || r.o.Kubelet.At.Before(mark.At) {
		return false
	}
	return r.kubeletHas(set.Document.UIDs)
}

// kubeletHas reports whether the kubelet's http pods are exactly these.
func (r *round) kubeletHas(uids []types.UID) bool {
	n := 0
	for _, p := range r.next.pods {
		if p.source != string(manifest.SourceHTTP) {
			continue
		}
		if !hasUID(uids, p.uid) {
			return false
		}
		n++
	}
	return n == len(uids)
}

// foreignListAccepted is for a list that somebody else serves: either it is seen and the kubelet has exactly its
// pods, or, where that cannot be told, a pod came that was not there when the list was refused, or another list was
// read without a word. That the kubelet says "Successfully read pods from URL" proves nothing.
func (r *round) foreignListAccepted() bool {
	if set := r.o.Manifest; set != nil && set.Serving {
		return false
	}
	list := r.list()
	seen := list != nil && list.Revision != ""
	if seen && r.kubeletHas(list.UIDs) {
		return true
	}
	if seen && r.world.exact {
		return false
	}
	if seen && list.Refusal == "" && r.passedOver(list) {
		return true
	}
	for _, p := range r.next.pods {
		if p.source == string(manifest.SourceHTTP) && !slices.Contains(r.next.url.UIDs, p.uid) && p.seen.After(r.next.url.At) {
			return true
		}
	}
	return false
}

// passedOver reports whether the kubelet has read this list after the one that it refused, and refused it not: it says so
// of every body that is another than the one before.
func (r *round) passedOver(list *manifest.List) bool {
	url, log := r.next.url, r.o.Input(inputLog)
	if !r.world.kubelet.up || !log.Up || r.o.LogStats.Lag != 0 {
		return false
	}
	// We read as often as the kubelet does: what it refused was seen here within a period of that. So a body that is newer
	// is another; and one that we refuse as well is known for what it was.
	near := r.world.httpCheck + fetchSlack
	another := !plain(list.At).Equal(r.next.firstList) && plain(list.At).After(url.At.Add(near))
	for _, m := range r.next.fetches {
		if m.Refused && m.Revision != list.Revision && m.At.Sub(url.At).Abs() <= near {
			another = true
		}
	}
	quiet := latest(url.At, plain(list.At), plain(r.o.Input(inputKubelet).Since), plain(log.Since))
	return another && r.now.Sub(quiet) > 2*r.world.httpCheck+logLag
}

// kubeletRestarted begins the silence of every refused file anew, because a kubelet that was away says
// nothing, and forgets a refused list of somebody else's: if it is still bad the kubelet says so again.
func (r *round) kubeletRestarted(e kubeletlog.Event) {
	l, at := &r.next.latches, plain(e.At)
	r.ownFiles()
	for name, f := range l.files {
		switch {
		case !at.After(f.Last):
		case f.proven():
			again := *f
			again.Last = at
			l.files[name] = &again
		default: // it was taken away
			delete(l.files, name)
		}
	}
	if set := r.o.Manifest; l.url != nil && (set == nil || !set.Serving) && at.After(l.url.At) {
		l.url = nil
		r.next.refusals++
	}
}

// refuseFile latches a file that the kubelet refused.
func (r *round) refuseFile(e kubeletlog.Event) {
	if e.Path == "" {
		return
	}
	l, at, name := &r.next.latches, plain(e.At), filepath.Base(e.Path)
	r.ownFiles()
	old, ok := l.files[name]
	if !ok {
		if len(l.files) >= fileRefusals {
			return // the directory is full of them: what is known is enough
		}
		old = &fileRefusal{First: at, Last: at}
		r.next.refusals++
	}
	next := *old
	next.Path, next.Message = e.Path, clip(e.Message)
	next.First = earliest(next.First, at)
	next.Last = latest(next.Last, at)
	l.files[name] = &next
}

// proven reports whether a refusal is one of a file that is there. That it is not is what the kubelet says of a link to
// nowhere, at each of its readings, and once of a file that was taken away while it read its directory.
func (f *fileRefusal) proven() bool {
	return !strings.HasSuffix(f.Message, "no such file or directory") || f.Last.After(f.First)
}

// ownFiles makes the map of refused files this round's own, once.
func (r *round) ownFiles() {
	if r.filesOwned {
		return
	}
	r.filesOwned = true
	if r.next.files = maps.Clone(r.next.files); r.next.files == nil {
		r.next.files = map[string]*fileRefusal{}
	}
}

// mendFiles clears refused files: those that are gone after they were seen, those whose pod the kubelet has
// taken since, and those it has passed over in silence for two relists and the log's lag while both it and
// the log were alive (V3). An edit alone clears nothing.
func (r *round) mendFiles() {
	for name, f := range r.next.files {
		d, there := r.fileByBase[name]
		switch {
		case !there && f.Seen && r.o.Manifest != nil, r.silentAbout(f), there && r.takenSince(d, f):
			r.ownFiles()
			delete(r.next.files, name)
			r.next.refusals++
		case there && !f.Seen:
			r.ownFiles()
			seen := *f
			seen.Seen = true
			r.next.files[name] = &seen
			r.next.refusals++
		}
	}
}

// silentAbout reports whether the kubelet would have repeated its refusal by now.
func (r *round) silentAbout(f *fileRefusal) bool {
	enough := 2*r.world.fileCheck + logLag
	log := r.o.Input(inputLog)
	if !r.world.kubelet.up || !log.Up {
		return false
	}
	if r.next.newest.Sub(f.Last) > max(enough, oldRefusal) {
		return true // the log itself goes on for that long
	}
	quiet := latest(f.Last, plain(r.o.Input(inputKubelet).Since), plain(log.Since))
	return r.o.LogStats.Lag == 0 && r.now.Sub(quiet) > enough
}

// takenSince reports whether the kubelet has accepted the file's pod after it refused the file.
func (r *round) takenSince(d *manifest.Definition, f *fileRefusal) bool {
	if !d.Valid || d.Name == "" || !r.world.kubelet.fresh() {
		return false
	}
	for _, p := range r.next.pods {
		taken := p.seen.After(f.Last) && !p.seen.After(r.now) // or it is from before the clock was set back
		if p.source == string(manifest.SourceFile) && p.namespace == d.Namespace && taken && r.bare(p.name, p.node) == d.Name {
			return true
		}
	}
	return false
}

func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

func latest(times ...time.Time) time.Time {
	var last time.Time
	for _, t := range times {
		if t.After(last) {
			last = t
		}
	}
	return last
}
