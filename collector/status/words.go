package status

import (
	"cmp"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/staticpod-exporter/staticpod-exporter/collector/kubeletlog"
	"github.com/staticpod-exporter/staticpod-exporter/cri"
	"github.com/staticpod-exporter/staticpod-exporter/manifest"
)

const (
	// wordsLast is how long the log's words about a pod are believed when it does not repeat them: the
	// kubelet tries again within five minutes at the latest.
	wordsLast = 10 * time.Minute
	// wordsPods bounds the pods whose words are remembered.
	wordsPods = 1024
	// wordsFailures bounds the failures that are remembered of one pod.
	wordsFailures = 32
)

// hearsOf remembers whom the log spoke of in this round.
func (r *round) hearsOf(e kubeletlog.Event, at time.Time) {
	for _, subject := range []string{e.UID, joinName(e.Namespace, e.Pod), baseKey(e.Path)} {
		if subject != "" {
			r.heard[subject] = latest(r.heard[subject], at)
		}
	}
}

func joinName(namespace, name string) string {
	if name == "" {
		return ""
	}
	return namespace + "/" + name
}

// baseKey is the key of a manifest in heard: by its base name.
func baseKey(path string) string {
	if path == "" {
		return ""
	}
	return "file:" + filepath.Base(path)
}

// uidOf is the UID of the pod that an event is about; "" when it cannot be told.
func (r *round) uidOf(e kubeletlog.Event) string {
	if e.UID != "" || e.Pod == "" {
		return e.UID
	}
	uid := ""
	for _, p := range r.next.pods { // the line names the pod only
		if p.name == e.Pod && (p.namespace == e.Namespace || e.Namespace == "") {
			uid = p.uid
		}
	}
	if set := r.o.Manifest; uid == "" && set != nil { // the log may tell of a pod before the kubelet does
		for _, d := range set.Definitions {
			if d.Served && joinNode(d.Name, r.world.node) == e.Pod && (d.Namespace == e.Namespace || e.Namespace == "") {
				uid = string(d.UID)
			}
		}
	}
	return uid
}

func (r *round) wordsOf(e kubeletlog.Event) *podWords { return r.next.words[r.uidOf(e)] }

// word changes what is remembered of the event's pod.
func (r *round) word(e kubeletlog.Event, change func(*podWords)) {
	uid := r.uidOf(e)
	if uid == "" {
		return
	}
	w := podWords{}
	if old := r.next.words[uid]; old != nil {
		w = *old
		w.Failures, w.Pulls = slices.Clone(old.Failures), slices.Clone(old.Pulls)
	}
	w.Last = latest(w.Last, plain(e.At))
	w.Namespace, w.Pod = cmp.Or(e.Namespace, w.Namespace), cmp.Or(e.Pod, w.Pod)
	change(&w)
	old := r.next.words[uid]
	if old != nil && old.equal(&w) {
		return // it was read before
	}
	if r.knows(uid) { // the log tells as much of every other pod of the node, of which nothing needs to be written down
		r.next.changes++
		if old == nil && len(w.Pulls) > 0 || old != nil && !slices.Equal(old.Pulls, w.Pulls) {
			r.next.laps++
		}
	}
	r.ownWords()
	r.next.words[uid] = &w
}

// knows reports whether a UID is that of a static pod, as far as any input but the log tells. Of one that the log is the
// first to tell of the words are written down with its status.
func (r *round) knows(uid string) bool {
	if r.next.listed[uid] || slices.ContainsFunc(r.next.sandboxes, func(s *cri.Sandbox) bool { return s.UID == uid }) {
		return true
	}
	set := r.o.Manifest
	return set != nil && slices.ContainsFunc(set.Definitions, func(d *manifest.Definition) bool { return string(d.UID) == uid })
}

func (w *podWords) equal(v *podWords) bool {
	denied := w.Denied == v.Denied || w.Denied != nil && v.Denied != nil && *w.Denied == *v.Denied
	return denied && w.Namespace == v.Namespace && w.Pod == v.Pod && w.Last.Equal(v.Last) &&
		slices.Equal(w.Failures, v.Failures) && slices.Equal(w.Pulls, v.Pulls)
}

// failSync remembers what "Error syncing pod, skipping" says.
func (w *podWords) failSync(e kubeletlog.Event, at time.Time) {
	for _, s := range e.Failures {
		f := failure{Reason: failureReason(s.Reason), Detail: failureDetail(s.Reason, s.Message), Container: s.Target, Message: s.Message}
		if strings.HasSuffix(s.Action, "PodSandbox") {
			f.Container = "" // the target is the pod
		}
		w.fail(f, at)
	}
	if len(e.Failures) == 0 {
		reason, detail := syncReason(e.Message)
		w.fail(failure{Reason: reason, Detail: detail, Message: e.Message}, at)
	}
}

// fail remembers one failure, or that it goes on. One that was not repeated for as long as words are believed has ended.
func (w *podWords) fail(next failure, at time.Time) {
	next.First, next.Last, next.Message = at, at, said(next.Message)
	i := slices.IndexFunc(w.Failures, func(f failure) bool { return f.Reason == next.Reason && f.Container == next.Container })
	if i < 0 {
		if len(w.Failures) == wordsFailures {
			return
		}
		w.Failures = append(w.Failures, next)
		slices.SortFunc(w.Failures, func(a, b failure) int {
			return cmp.Or(cmp.Compare(a.Reason, b.Reason), cmp.Compare(a.Container, b.Container))
		})
		return
	}
	f := &w.Failures[i]
	switch {
	case at.Sub(f.Last) > wordsLast:
		f.First = at // what was said before is over: it began anew
	case f.First.Sub(at) <= wordsLast:
		f.First = earliest(f.First, at)
	}
	if !at.Before(f.Last) {
		f.Last, f.Detail, f.Message = at, next.Detail, next.Message
	}
}

// drop forgets failures.
func (w *podWords) drop(which func(*failure) bool) {
	w.Failures = slices.DeleteFunc(w.Failures, func(f failure) bool { return which(&f) })
}

// find returns the failure of a code and a container.
func (w *podWords) find(reason manifest.Reason, container string) (failure, bool) {
	if w == nil {
		return failure{}, false
	}
	for _, f := range w.Failures {
		if f.Reason == reason && f.Container == container {
			return f, true
		}
	}
	return failure{}, false
}

// last returns the failure of a code, of any container, that was said last.
func (w *podWords) last(reason manifest.Reason) (failure, bool) {
	var newest failure
	if w != nil {
		for _, f := range w.Failures {
			if f.Reason == reason && f.Last.After(newest.Last) {
				newest = f
			}
		}
	}
	return newest, !newest.Last.IsZero()
}

func (w *podWords) has(reason manifest.Reason, container string) bool {
	_, ok := w.find(reason, container)
	return ok
}

// forget drops the words about pods that are gone, and keeps memory bounded.
func (r *round) forget() {
	if len(r.next.words) == 0 {
		return
	}
	known := make(map[string]bool, len(r.next.sandboxes))
	for _, s := range r.next.sandboxes {
		known[s.UID] = true
	}
	var gone []string
	for uid, w := range r.next.words {
		if !known[uid] && !r.next.listed[uid] && r.now.Sub(w.Last) > wordsLast {
			gone = append(gone, uid)
		}
	}
	if over := len(r.next.words) - len(gone) - wordsPods; over > 0 {
		rest := slices.DeleteFunc(slices.Collect(maps.Keys(r.next.words)), func(uid string) bool { return slices.Contains(gone, uid) })
		slices.SortFunc(rest, func(a, b string) int {
			return cmp.Or(r.next.words[a].Last.Compare(r.next.words[b].Last), cmp.Compare(a, b))
		})
		gone = append(gone, rest[:over]...)
	}
	if len(gone) == 0 {
		return
	}
	r.ownWords()
	for _, uid := range gone {
		delete(r.next.words, uid)
	}
	r.next.changes++
}

// ownWords makes the map of words this round's own, once.
func (r *round) ownWords() {
	if r.wordsOwned {
		return
	}
	r.wordsOwned = true
	if r.next.words = maps.Clone(r.next.words); r.next.words == nil {
		r.next.words = map[string]*podWords{}
	}
}
