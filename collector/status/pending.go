package status

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/staticpod-exporter/staticpod-exporter/manifest"
)

// removedGrace is what the kubelet may take to see that a file was taken away, and we to see that it did.
const removedGrace = 3 * time.Second

// Why a running pod of the manifest directory is about to be stopped: the Detail of StopPending.
const (
	pendingBroken   = "Broken"           // its file is refused as it is now
	pendingMissing  = "DirectoryMissing" // so is every file
	pendingReplaced = "Replaced"         // it runs from a file that another one takes the place of
	pendingRenamed  = "Renamed"          // the same content has another path, and so is another pod
	pendingRemoved  = "Removed"          // its file is gone
)

// judgePending warns of what the kubelet will do to a running pod when it next reads its manifest directory: it
// stops every pod that it does not find there, and says nothing beforehand.
func (f *findings) judgePending() {
	w := &f.r.world
	from, runs := f.fromFile()
	if !from || w.directory.State != manifest.DirectoryRead && w.directory.State != manifest.DirectoryMissing {
		return
	}
	var winner *manifest.Definition
	var files []*manifest.Definition
	for _, d := range f.definitions {
		if d.Source != manifest.SourceFile {
			continue
		}
		files = append(files, d)
		if winner == nil && d.Served && d.Valid {
			winner = d
		}
	}
	switch {
	case winner != nil && string(winner.UID) != f.uid && f.pendReplacement(winner, files):
	case !runs:
	case winner != nil && string(winner.UID) != f.uid:
		f.pendRenaming(winner)
	case winner != nil:
	case len(files) > 0:
		f.pendBroken(files)
	case w.directoryProven:
		f.pendRemoved()
	}
}

// fromFile reports whether the pod is of the manifest directory and not being stopped already, and whether it
// runs.
func (f *findings) fromFile() (from, runs bool) {
	w := &f.r.world
	running := slices.ContainsFunc(f.incarnation(), alive)
	if !w.kubelet.known {
		from = running && len(f.sandboxes) > 0 && f.sandboxes[0].Source == string(manifest.SourceFile)
		return from, from
	}
	p := f.pod()
	from = p != nil && p.source == string(manifest.SourceFile) && !p.deleting && !p.rejected()
	return from, from && (running || !w.runtime.known && !p.started.IsZero())
}

// pendBroken is for files of which the kubelet takes none.
func (f *findings) pendBroken(files []*manifest.Definition) {
	for _, d := range files {
		for _, p := range d.Problems {
			if !refusesFile(p) {
				continue
			}
			f.pend(manifest.Problem{Detail: pendingBroken, Level: manifest.Critical, Path: d.Path, Line: p.Line, Since: p.Since},
				fmt.Sprintf("the kubelet cannot use %s as it is now, and stops this pod", d.Path), "mend the file, or put the old one back, before then")
			return
		}
	}
}

// refusesFile reports whether a definition's problem has the kubelet pass over its file. What only we may not
// read proves nothing.
func refusesFile(p manifest.Problem) bool {
	switch p.Reason {
	case manifest.ManifestMalformed, manifest.NotAPod, manifest.ManifestInvalid, manifest.APIReference:
		return true
	case manifest.ManifestUnreadable:
		return !strings.Contains(p.Message, "permission denied") && !strings.Contains(p.Message, "too large to be judged")
	}
	return false
}

// pendReplacement is for a pod of a file that another one takes the place of, which the kubelet has because that
// file was written to, or runs still. It may be on its way in only; the other is on its way out for it. Of a kubelet
// whose UIDs cannot be predicted the specification tells whose pod it is.
func (f *findings) pendReplacement(winner *manifest.Definition, files []*manifest.Definition) bool {
	for _, d := range files {
		if d != winner && (string(d.UID) == f.uid || f.sameSpec(d) && !f.sameSpec(winner)) {
			f.pend(manifest.Problem{Detail: pendingReplaced, Level: manifest.Warning, Path: winner.Path, Line: winner.Line, Since: latest(plain(d.Updated), plain(winner.Updated))},
				fmt.Sprintf("this pod is that of %s, which comes before %s: the kubelet stops it and runs the other", d.Path, winner.Path), "keep one of the two in the directory")
			return true
		}
	}
	return false
}

// pendRenaming is for a pod whose file has another name now. A pod whose own file was edited is no case of it: that
// is what the edit was for.
func (f *findings) pendRenaming(winner *manifest.Definition) {
	b := f.r.before(f.id)
	if b.uid != f.uid {
		return
	}
	renamed := manifest.Problem{Reason: StopPending, Detail: pendingRenamed, Level: manifest.Info, Path: winner.Path, Line: winner.Line}
	_, again := b.problem(renamed, false, f.uid)
	if again || b.spec != nil && b.spec.Definition.Path != winner.Path && b.spec.Definition.Hash == winner.Hash {
		renamed.Since = plain(winner.Updated)
		f.pend(renamed, fmt.Sprintf("the file of this pod is now %s, and its path is a part of the pod's UID: the kubelet stops it and starts it anew", winner.Path), "nothing, if that is meant")
	}
}

// pendRemoved is for a pod of whose file nothing is left.
func (f *findings) pendRemoved() {
	w := &f.r.world
	since, ok := f.r.next.undefined[f.uid]
	if !ok {
		return
	}
	if w.directory.State == manifest.DirectoryMissing {
		f.pend(manifest.Problem{Detail: pendingMissing, Level: manifest.Critical, Path: w.directory.Path, Since: since},
			fmt.Sprintf("the manifest directory %s is missing, and the kubelet stops this pod", w.directory.Path), "bring the directory back before then")
		return
	}
	if by := since.Add(min(removedGrace, w.fileCheck)); f.reached(by) && f.askedSince(by) {
		f.pend(manifest.Problem{Detail: pendingRemoved, Level: manifest.Info, Path: w.directory.Path, Since: since},
			"no file of the manifest directory defines this pod any more, and the kubelet stops it", "nothing, if that is meant")
	}
}

// pend adds the warning, until the kubelet has had two occasions to prove it wrong.
func (f *findings) pend(p manifest.Problem, what, remedy string) {
	w := &f.r.world
	p.Reason = StopPending
	if old, ok := f.r.before(f.id).problem(p, false, f.uid); ok {
		p.Since = old.Since
	}
	if p.Since.IsZero() {
		p.Since = f.r.now
	}
	when := fmt.Sprintf("at its next reading of the directory, by %s at the latest (every %s)", p.Since.Add(w.fileCheck).Format(time.RFC3339), w.fileCheck)
	switch {
	case w.kubelet.down():
		when = "when it is back"
	case !f.lastsUntil(latest(p.Since, w.kubelet.since).Add(2*w.fileCheck + logLag)):
		return // it goes on with the pod: it sees the directory otherwise
	}
	p.Message = what + " " + when + ": " + remedy
	f.add(p)
}

// undefine dates the pods of the manifest directory that have no definition there any more, and finds out whether
// the directory that we read is the kubelet's: one is proven to be that has a file of a pod that the kubelet, or
// else the runtime, has from a file.
func (r *round) undefine() {
	w, set := &r.world, r.o.Manifest
	if set == nil {
		return
	}
	w.directory = set.Directory
	before := r.prev.memory.world
	w.directoryProven = before.directoryProven && before.directory.Path == w.directory.Path
	if m := &r.prev.memory; r.prev.Observation != nil && set == r.prev.Observation.Manifest && r.next.view == m.view && r.next.runtime == m.runtime {
		return // nor has anything else changed
	}
	if w.directory.State == "" || w.directory.State == manifest.DirectoryUnreadable {
		return
	}
	type file struct{ namespace, name, uid string }
	var files []file
	for _, p := range r.next.pods {
		if p.source == string(manifest.SourceFile) {
			files = append(files, file{p.namespace, r.bare(p.name, p.node), p.uid})
		}
	}
	if !w.kubelet.known {
		for _, s := range r.next.sandboxes {
			if s.Source == string(manifest.SourceFile) && alive(s) {
				files = append(files, file{s.Namespace, r.bare(s.Name, ""), s.UID})
			}
		}
	}
	undefined := map[string]time.Time{}
	if len(files) > 0 {
		defined := map[subject]bool{}
		for _, d := range set.Definitions {
			if d.Source == manifest.SourceFile {
				defined[subjectOf(d)] = true
			}
		}
		for _, p := range files {
			if defined[subject{p.namespace, p.name}] {
				w.directoryProven = true
				continue
			}
			since, ok := r.next.undefined[p.uid]
			if !ok {
				since = r.now
			}
			undefined[p.uid] = since
		}
	}
	if !maps.Equal(undefined, r.next.undefined) {
		r.next.undefined = undefined
	}
}

// unseenDirectory is the node's problem of a kubelet that has pods from files, in a directory that is not there for
// the exporter and never was: then it is not mounted where the exporter runs.
func (r *round) unseenDirectory() (manifest.Problem, bool) {
	w := &r.world
	if w.directory.State != manifest.DirectoryMissing || w.directoryProven || !w.kubelet.fresh() {
		return manifest.Problem{}, false
	}
	for _, p := range r.next.pods {
		if p.source == string(manifest.SourceFile) {
			return manifest.Problem{Reason: manifest.ManifestUnreadable, Path: w.directory.Path,
				Message: fmt.Sprintf("the kubelet runs pods of its manifest directory %s, which is not there for the exporter: mount it, and set kubelet.manifest-directory to where", w.directory.Path)}, true
		}
	}
	return manifest.Problem{}, false
}
