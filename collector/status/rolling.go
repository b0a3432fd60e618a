package status

import (
	"maps"
	"slices"
	"time"

	"github.com/staticpod-exporter/staticpod-exporter/manifest"
)

const (
	// sightAge is how old a change may be that is seen for the first time: one that is older was rolled out, or not,
	// before anybody looked.
	sightAge = 10 * time.Minute
	// endedRollouts bounds those that are remembered of pods that have another one, or that are gone.
	endedRollouts = 64
)

// A sight is the content of a definition that was last looked at, or the UID of a pod without one.
type sight struct {
	Revision string    `json:"revision,omitempty"`
	UID      string    `json:"uid,omitempty"`
	Changed  time.Time `json:"changed,omitzero"`
	Valid    bool      `json:"valid,omitempty"`
}

func (s sight) zero() bool { return s == sight{} }

// roll begins a rollout when the definition changed, and brings the one that goes on up to what was found.
func (f *findings) roll(before past) {
	f.spec.Rollout, f.sight = before.rollout, before.sight
	if d := f.definition(); d != nil {
		f.rollDefinition(d)
	} else {
		f.rollPod()
	}
	if ro := f.spec.Rollout; ro != nil && ro.Ended.IsZero() {
		f.spec.Rollout = f.advance(ro)
	}
	if f.sight != before.sight {
		f.r.next.changes++
	}
	f.r.lap(before.rollout, f.spec.Rollout)
}

// rollDefinition begins a rollout of a definition that is another than it was, or that is taken after it was refused.
func (f *findings) rollDefinition(d *manifest.Definition) {
	was, now := f.sight, sight{d.Hash, string(d.UID), plain(d.Changed), d.Valid}
	f.sight = now
	ro, read := f.spec.Rollout, plain(f.r.o.Manifest.At)
	switch {
	case now.Revision == was.Revision && now.Changed.Equal(was.Changed):
		if ro == nil || ro.Outcome != OutcomeRejected || !d.Valid {
			return
		}
		if !was.Valid {
			f.begin(d, d.Hash, read)
		} else if p := f.podOfRollout(ro); p != nil && !p.rejected() && p.seen.After(ro.Ended) {
			f.begin(d, d.Hash, p.seen)
		}
		return
	case was.zero() && f.r.now.Sub(now.Changed) > sightAge:
		return
	case was.Revision == "" && ro != nil && ro.UID == now.UID && ro.Ended.IsZero():
		return // it was under way before its definition was to be seen
	}
	revision, started := d.Hash, now.Changed
	if !d.Valid && !was.zero() && d.Hash == was.Revision {
		revision = "" // the content that was read tells nothing, and the hash is that of the one before
	}
	if ro != nil && !started.After(ro.Started) {
		started = read // an older definition has its turn again
	}
	f.begin(d, revision, started)
}

// rollPod is for a pod without a definition: a rollout begins with a pod that is new where the definitions of its
// source are not to be seen, and ends when its definition is gone where they are.
func (f *findings) rollPod() {
	source, heard := f.origin()
	ro := f.spec.Rollout
	if set := f.r.o.Manifest; set != nil && set.Unread {
		return // its definition may yet be read
	}
	if sees := f.r.sees(source); sees || source == "" {
		if sees && ro != nil && ro.Ended.IsZero() && ro.Version > 0 {
			f.spec.Rollout = ro.ended(OutcomeRemoved, plain(f.r.o.Manifest.At))
		}
		return
	}
	if f.uid == "" || f.uid == f.sight.UID || heard.IsZero() {
		return
	}
	first := f.sight.zero()
	f.sight = sight{UID: f.uid}
	if first && f.r.now.Sub(heard) > sightAge {
		return
	}
	f.begin(nil, "", heard)
}

// origin is the source of the pod the status is about, and when it was first heard of.
func (f *findings) origin() (source manifest.Source, heard time.Time) {
	for _, s := range f.incarnation() {
		source, heard = manifest.Source(s.Source), earliest(heard, plain(s.Created))
	}
	if p := f.pod(); p != nil {
		source = manifest.Source(p.source)
		if heard = earliest(heard, p.seen); heard.IsZero() {
			heard = p.started
		}
	}
	for i := range f.containers { // a kubelet that restarts sees what runs anew
		c := &f.containers[i]
		heard = earliest(earliest(heard, c.StartedAt), c.exit.started)
	}
	return source, heard
}

// begin begins a rollout, which ends the one that goes on.
func (f *findings) begin(d *manifest.Definition, revision string, started time.Time) {
	next := &Rollout{UID: f.uid, Revision: revision, Started: started, Steps: []Step{}}
	subject := f.uid
	if d != nil {
		next.UID, next.Version = string(d.UID), d.Version
		if subject = next.UID; subject == "" {
			subject = d.ID
		}
	}
	next.TraceID = newTraceID(subject, started)
	if old := f.spec.Rollout; old != nil {
		next.Previous = old.TraceID
		if old.Ended.IsZero() {
			f.r.retire(EndedRollout{ID: f.id, Pod: f.spec.Pod, Definition: f.spec.Definition, Rollout: old.ended(OutcomeSuperseded, started)})
		}
	}
	f.spec.Rollout = next
}

// ended is the rollout with its end, which is not before that of any step.
func (r *Rollout) ended(outcome Outcome, at time.Time) *Rollout {
	next := *r
	next.Outcome, next.Ended = outcome, latest(at, r.Started)
	for _, s := range r.Steps {
		next.Ended = latest(next.Ended, s.Start, s.End)
	}
	return &next
}

// retire remembers a rollout that no status will show.
func (r *round) retire(e EndedRollout) {
	r.next.ended = append(slices.Clone(r.next.ended), e)
	r.next.ended = r.next.ended[max(0, len(r.next.ended)-endedRollouts):]
	r.next.changes++
}

// retireGone ends the rollouts of what no input tells of any more.
func (r *round) retireGone() {
	at := r.now
	if set := r.o.Manifest; set != nil && set.Unread {
		return
	} else if set != nil {
		at = plain(set.At)
	}
	for _, s := range r.prev.Statuses {
		ro := s.Spec.Rollout
		if ro == nil || !ro.Ended.IsZero() || r.next.entries[s.Metadata.ID] != nil {
			continue
		}
		gone := at
		if v := r.o.Kubelet; ro.Version == 0 && v != nil {
			gone = plain(v.At)
		}
		r.retire(EndedRollout{ID: s.Metadata.ID, Pod: s.Spec.Pod, Definition: s.Spec.Definition, Rollout: ro.ended(OutcomeRemoved, gone)})
	}
}

// retireRecords ends the rollouts of what a former process knew, and that is gone.
func (r *round) retireRecords() {
	for _, id := range slices.Sorted(maps.Keys(r.next.records)) {
		rec := r.next.records[id]
		if ro := rec.Rollout; ro != nil && ro.Ended.IsZero() && r.next.entries[id] == nil {
			r.retire(EndedRollout{ID: id, Pod: rec.Pod, Definition: rec.Definition, Rollout: ro.ended(OutcomeRemoved, r.next.recordsEnd)})
		}
	}
}

// lap tells of what was done of a rollout since the round before.
func (r *round) lap(before, now *Rollout) {
	if now == nil || now == before {
		return
	}
	if before != nil && before.TraceID != now.TraceID {
		before = nil
	}
	for _, s := range now.Steps {
		if was := before.step(s.Name, s.Container); s.End.IsZero() || was != nil && !was.End.IsZero() {
			continue
		}
		r.laps = append(r.laps, Lap{now, s.Name, now.StepSpanID(s), s.End.Sub(s.Start)})
	}
	r.next.laps++
	if now.Outcome == OutcomeReady {
		r.laps = append(r.laps, Lap{now, "", now.SpanID(), now.Ended.Sub(now.Started)})
	}
}
