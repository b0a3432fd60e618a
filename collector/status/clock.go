package status

import (
	"maps"
	"slices"
	"time"
)

// setBack takes what is remembered of a time that is yet to come for of now: the node's clock was ahead, as that of one
// whose hardware keeps local time is from its start until it is corrected, and was set back. Else a refusal would stand,
// and a fetch count for nothing, until the clock is there again. It reports whether the clock was set back just now.
func (r *round) setBack() bool {
	last := plain(r.prev.At)
	if !last.IsZero() && !r.now.Before(last) {
		return false
	}
	m := &r.next
	changed := false
	clip := func(t *time.Time) {
		if t.After(r.now) {
			*t, changed = r.now, true
		}
	}
	for _, t := range []*time.Time{&m.last, &m.waiting, &m.newest, &m.servingSince, &m.firstList} {
		clip(t)
	}
	m.recordsEnd = sooner(m.recordsEnd, r.now.Add(recordsKept))
	m.fetches = slices.Clone(m.fetches)
	for i := range m.fetches {
		clip(&m.fetches[i].At)
	}
	if m.url != nil {
		url := *m.url
		clip(&url.At)
		m.url = &url
	}
	r.ownFiles()
	for name, f := range m.files {
		file := *f
		clip(&file.First)
		clip(&file.Last)
		m.files[name] = &file
	}
	r.ownWords()
	for uid, w := range m.words {
		m.words[uid] = w.mapped(clip)
	}
	m.mirrors.refusals = maps.Clone(m.mirrors.refusals)
	for key, said := range m.mirrors.refusals {
		refusal := *said
		clip(&refusal.First)
		clip(&refusal.Last)
		m.mirrors.refusals[key] = &refusal
	}
	m.fetched = mapped(m.fetched, clip)
	m.missing, m.undefined = mapped(m.missing, clip), mapped(m.undefined, clip)
	m.mirrors.missing, m.mirrors.leftover = mapped(m.mirrors.missing, clip), mapped(m.mirrors.leftover, clip)
	if changed {
		m.changes++
	}
	return !last.IsZero()
}

// mapped is a copy of dates, each of which was changed by a function.
func mapped[K comparable](dates map[K]time.Time, change func(*time.Time)) map[K]time.Time {
	next := maps.Clone(dates)
	for key, t := range dates {
		change(&t)
		next[key] = t
	}
	return next
}

// mapped is a copy whose dates were changed by a function.
func (w *podWords) mapped(change func(*time.Time)) *podWords {
	next := *w
	next.Failures, next.Pulls = slices.Clone(w.Failures), slices.Clone(w.Pulls)
	change(&next.Last)
	if w.Denied != nil {
		denied := *w.Denied
		change(&denied.At)
		next.Denied = &denied
	}
	for i := range next.Failures {
		f := &next.Failures[i]
		for _, t := range []*time.Time{&f.First, &f.Last, &f.Killed} {
			change(t)
		}
	}
	for i := range next.Pulls {
		change(&next.Pulls[i].Begun)
		change(&next.Pulls[i].Ended)
	}
	return &next
}
