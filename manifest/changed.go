package manifest

import (
	"encoding/hex"
	"io/fs"
	"os"
	"time"
)

// change brings e to the content of c. That a file tells of its pod again as it did before it was garbled is no new
// version, but somebody's change all the same.
func (p *planner) change(e *entry, c *Candidate) {
	if e.Hash == c.Hash && e.Revision > 0 && e.Garbled == "" {
		return
	}
	e.Changed, e.Garbled = p.changedAt(e, c.Path), ""
	e.Judged = p.readAt()
	if e.Hash != c.Hash || e.Revision == 0 {
		e.Hash, e.Updated = c.Hash, p.at
		e.Revision++
	}
}

// garble takes down that the file of e was changed to something that does not tell of its pod.
func (p *planner) garble(e *entry) {
	f := p.files[e.Path]
	if f == nil || f.err != nil {
		return
	}
	if sum := hex.EncodeToString(f.sum[:]); e.Garbled != sum {
		e.Changed, e.Judged, e.Garbled = p.changedAt(e, e.Path), p.readAt(), sum
	}
}

// changedAt is when what a file holds of e now was written. A file cannot have been changed before it held what was
// read of it the time before, nor after it was read.
func (p *planner) changedAt(e *entry, path string) time.Time {
	if f := p.files[path]; f != nil && f.changed.After(e.Changed) && f.changed.Before(p.readAt()) {
		return f.changed
	}
	return p.readAt()
}

func (r *reading) readAt() time.Time {
	if r.read.IsZero() {
		return r.at
	}
	return r.read
}

// changed is when a file came to hold what it does, or the link to it to point there: unlike the time of its
// modification, nobody can set it, and it tells when a file was moved into its place.
func changed(path string, info fs.FileInfo) time.Time {
	at := statusChange(info)
	if link, err := os.Lstat(path); err == nil && link.Mode()&fs.ModeSymlink != 0 && statusChange(link).After(at) {
		at = statusChange(link)
	}
	return at
}
