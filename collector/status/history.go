package status

import (
	"fmt"
	"time"

	"github.com/staticpod-exporter/staticpod-exporter/manifest"
)

const (
	// recreationGrace is how long the definition is given to turn out to have changed: the kubelet may read its
	// directory before the exporter does.
	recreationGrace = 30 * time.Second
	// recreationLasts is how long a recreation is worth a word: for whoever comes to see why the pod restarted.
	recreationLasts = time.Hour
)

// judgeHistory finds a pod that was made anew though nobody changed its definition.
func (f *findings) judgeHistory() {
	h := &f.history
	d := f.definition()
	if d == nil || d.Name == "" {
		*h = history{}
		return
	}
	f.follow(d)
	if at := h.Recreated; !at.IsZero() && f.reached(at.Add(recreationGrace)) && f.lastsUntil(at.Add(recreationLasts)) {
		f.add(manifest.Problem{Reason: UnplannedRecreation, Since: at, Message: h.How})
	}
}

// lose dates that the kubelet no longer has the pod.
func (f *findings) lose() {
	switch h := &f.history; {
	case f.pod() != nil:
		h.Lost = time.Time{}
	case h.UID != "" && h.Lost.IsZero() && f.r.world.kubelet.fresh():
		h.Lost = f.r.now
	}
}

// follow brings the history up to the incarnation of now.
func (f *findings) follow(d *manifest.Definition) {
	h, own := &f.history, f.incarnation()
	if f.uid == "" || f.terminating() || f.waits() {
		return // between two incarnations
	}
	sandbox := ""
	if len(own) > 0 && own[0].Ready {
		sandbox = own[0].ID
	}
	version := ""
	if v := f.r.o.Kubelet; v != nil {
		version = v.Version
	}
	same := h.UID == f.uid && (sandbox == "" || h.Sandbox == "" || h.Sandbox == sandbox)
	if same {
		if h.Sandbox == "" {
			h.Sandbox = sandbox
		}
		if d.Hash != h.Hash && (f.isOf(d) || !h.Recreated.IsZero() && f.r.now.Before(h.Recreated.Add(recreationGrace))) {
			// The definition has changed after all, and the pod is of it.
			h.Hash, h.Path, h.Kubelet = d.Hash, d.Path, version
			h.Recreated, h.How = time.Time{}, ""
		}
		return
	}
	before := *h
	h.UID, h.Sandbox, h.Path, h.Kubelet = f.uid, sandbox, d.Path, version
	h.Recreated, h.How = time.Time{}, ""
	if before.UID == "" || before.Hash != d.Hash || !d.Valid {
		if h.Hash = d.Hash; !d.Valid {
			h.Hash = before.Hash // what runs is an earlier content
		}
		return
	}
	h.Recreated = f.since()
	if before.UID == f.uid && len(own) > 0 {
		h.Recreated = plain(own[0].Created)
	}
	h.How = "the pod was made anew and its definition did not change: " + f.how(before, *h)
}

// isOf reports whether the pod is proven to be of the definition as it is now: by its UID, or, where that cannot be
// known before, because it is as defined and came after the definition changed. An edit of labels alone leaves the
// specification as it was.
func (f *findings) isOf(d *manifest.Definition) bool {
	if string(d.UID) == f.uid {
		return true
	}
	p := f.pod()
	return f.current(d).Status == True && p != nil && p.seen.After(plain(d.Updated))
}

// how says what is known to have changed between two incarnations.
func (f *findings) how(before, now history) string {
	if before.UID == now.UID {
		return fmt.Sprintf("its sandbox %s was gone or dead, %s is in its place", short(before.Sandbox), short(now.Sandbox))
	}
	uids := fmt.Sprintf("UID %s became %s", before.UID, now.UID)
	switch {
	case before.Path != now.Path:
		return fmt.Sprintf("%s, because %s became %s", uids, before.Path, now.Path)
	case before.Kubelet != now.Kubelet && before.Kubelet != "" && now.Kubelet != "":
		return fmt.Sprintf("%s with the kubelet's upgrade from %s to %s", uids, before.Kubelet, now.Kubelet)
	}
	return uids
}

// short is as much of a runtime's ID as its tools print.
func short(id string) string { return id[:min(len(id), 13)] }
