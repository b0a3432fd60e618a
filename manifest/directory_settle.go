package manifest

import (
	"crypto/sha256"
	"time"
)

// settledAfter is how long what a file of the kubelet's directory holds must stand before it is called bad: an
// editor, a shell's redirection or a copy over the network writes in several steps, and the kubelet too fails to
// read it meanwhile.
const settledAfter = time.Second

// A settler keeps files in the middle of a write out of sight. It belongs to whoever loads.
type settler struct {
	files map[string]*settling // by path
}

// settling is what is known of one file.
type settling struct {
	sum   [sha256.Size]byte // of the content last read
	since time.Time         // when it was first read, or written if that is known to be earlier
	shown *readFile         // as it was last shown; nil when it was not yet
}

// settle returns the files as they are to be shown, and when to look again; zero for not. A file that the
// kubelet would refuse, and whose content is new, is shown as before, or not at all when it was not there.
// With at once everything is shown as it is.
func (s *settler) settle(files []readFile, at time.Time, atOnce bool) (shown []readFile, again time.Time) {
	before := s.files
	s.files = make(map[string]*settling, len(files))
	for _, f := range files {
		known := before[f.path]
		if known == nil || known.sum != f.sum {
			next := &settling{sum: f.sum, since: at}
			if !f.modified.IsZero() && f.modified.Before(at) {
				next.since = f.modified
			}
			if known != nil {
				next.shown = known.shown
			}
			known = next
		}
		s.files[f.path] = known
		if ready := known.since.Add(settledAfter); !atOnce && !f.sound() && at.Before(ready) {
			if again.IsZero() || ready.Before(again) {
				again = ready
			}
			if known.shown != nil {
				shown = append(shown, *known.shown)
			}
			continue
		}
		known.shown = &f
		shown = append(shown, f)
	}
	return shown, again
}
