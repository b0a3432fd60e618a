package status

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/staticpod-exporter/staticpod-exporter/collector"
	"github.com/staticpod-exporter/staticpod-exporter/manifest"
)

const (
	// observedLag is how far the dates of a status that does not change may fall behind its evidence.
	observedLag = time.Minute
	// recordsKept is how long after a start the records of a former process wait for their pods.
	recordsKept = time.Minute
)

// Derive gives the verdict on o, given the Snapshot before it (nil for the first). It is pure: it has no clock
// but o.At, and changes neither prev nor o. A pod whose evidence is that of prev is not looked at again.
func Derive(prev *Snapshot, o *collector.Observation) *Snapshot {
	r := newRound(prev, o)
	setBack := r.setBack()
	r.read()
	r.survey()
	r.fetch()
	r.hear()
	r.expire()
	r.await()
	r.predict()
	r.acceptURL()
	r.indexFiles()
	r.mendFiles()
	r.fetching()
	r.foreign()
	r.miss()
	r.mirrors()
	r.undefine()
	r.same, r.next.world = r.world == r.prev.memory.world && !setBack, r.world

	subjects := r.join()
	r.next.entries = make(map[string]*entry, len(subjects)+1)
	statuses := make([]*StaticPodStatus, 0, len(subjects)+1)
	for _, e := range subjects {
		statuses = append(statuses, r.status(e))
	}
	statuses = append(statuses, r.node())
	r.retireGone()
	slices.SortFunc(statuses, func(a, b *StaticPodStatus) int { return strings.Compare(a.Metadata.ID, b.Metadata.ID) })
	r.forgetRecords()
	r.vanish()
	if len(r.next.entries) != len(r.prev.memory.entries) {
		r.next.changes++
	}
	return &Snapshot{
		Node: r.world.node, At: o.At, Pods: r.staticPods(), Statuses: statuses, Inputs: o.Inputs,
		ProblemsTotal: r.total, Info: r.info(), Observation: o, Verdict: r.verdict(), Laps: r.laps, Ended: r.next.ended, Transitions: r.transitions, memory: r.next,
	}
}

// A round is one run of Derive.
type round struct {
	prev  *Snapshot
	o     *collector.Observation
	now   time.Time
	next  memory // becomes the memory of the Snapshot
	world world
	same  bool // the world is that of the round before
	total map[manifest.Reason]uint64

	laps        []Lap
	transitions []Transition
	began, over []manifest.Problem              // of the status that was dated last
	heard       map[string]time.Time            // whom the log spoke of in this round
	fileByBase  map[string]*manifest.Definition // of the kubelet's directory

	// What of next is this round's own, and no longer shared with prev.
	filesOwned, wordsOwned, totalOwned, endingOwned bool
}

func newRound(prev *Snapshot, o *collector.Observation) *round {
	if prev == nil {
		prev = &Snapshot{}
	}
	r := &round{prev: prev, o: o, now: plain(o.At), next: prev.memory, total: prev.ProblemsTotal, heard: map[string]time.Time{}}
	if r.next.codes == nil {
		r.next.codes = newCodes()
	}
	if r.total == nil {
		r.total = make(map[manifest.Reason]uint64, len(r.next.codes))
		for reason := range r.next.codes {
			r.total[reason] = 0
		}
		r.totalOwned = true
	}
	if r.next.recordsEnd.IsZero() {
		r.next.recordsEnd = r.now.Add(recordsKept)
	}
	return r
}

// status is the verdict on one static pod: the one of the round before when nothing it rests on changed.
func (r *round) status(e *evidence) *StaticPodStatus {
	old := r.prev.memory.entries[e.id]
	if old != nil && r.same && (old.until.IsZero() || r.now.Before(old.until)) && old.evidence.equal(e) && slices.Equal(old.ends, r.endsOf(e)) {
		r.next.entries[e.id] = r.redate(old)
		return r.next.entries[e.id].status
	}
	f, before := r.examine(e), r.before(e.id)
	if f.history != before.history {
		r.next.changes++
	}
	f.spec.Problems = r.date(before, f.spec.Pod.UID, f.problems)
	f.roll(before)
	s := r.publish(e.id, f.spec, before)
	r.transit(s)
	r.next.entries[e.id] = &entry{status: s, evidence: *e, ends: f.ends, history: f.history, sight: f.sight, until: f.until}
	return s
}

// redate brings the dates of an unchanged status up, in a copy, before they fall too far behind.
func (r *round) redate(old *entry) *entry {
	now := r.observed(&old.evidence)
	if old.status.Spec.Observed.near(now) {
		return old
	}
	s, next := *old.status, *old
	s.Spec.Observed = now
	next.status = &s
	return &next
}

// near reports whether no date of the evidence is far behind.
func (o Observed) near(now Observed) bool {
	return now.Manifest.Sub(o.Manifest) < observedLag && now.Kubelet.Sub(o.Kubelet) < observedLag &&
		now.Runtime.Sub(o.Runtime) < observedLag && now.Log.Sub(o.Log) < observedLag && now.Mirror.Sub(o.Mirror) < observedLag
}

// observed dates the evidence.
func (r *round) observed(e *evidence) Observed {
	seen := Observed{Log: e.heard}
	if r.o.Manifest != nil && len(e.definitions) > 0 {
		seen.Manifest = plain(r.o.Manifest.At)
	}
	if r.o.Kubelet != nil {
		seen.Kubelet = plain(r.o.Kubelet.At)
	}
	if r.o.Runtime != nil {
		seen.Runtime = plain(r.o.Runtime.At)
	}
	if r.o.Mirror != nil {
		seen.Mirror = plain(r.o.Mirror.At)
	}
	return seen
}

// publish makes the resource of a spec whose problems are dated: it dates what goes on by when it began, and
// raises the version when anything but the dates of the evidence changed.
func (r *round) publish(id string, spec StatusSpec, before past) *StaticPodStatus {
	spec.Conditions = before.dateConditions(spec.Conditions, r.now)
	r.headline(&spec, before)
	s := &StaticPodStatus{
		Node: r.world.node,
		Metadata: Metadata{
			Namespace: Namespace, Type: TypeStaticPodStatus, ID: id,
			Version: 1, Created: r.now, Updated: r.now,
		},
		Spec: spec,
	}
	if before.version == 0 {
		r.next.changes++
		return s
	}
	s.Metadata.Created = before.created
	if before.is(spec) {
		if old := r.prev.memory.entries[id]; old != nil && old.status.Spec.Observed.near(spec.Observed) {
			return old.status
		}
		s.Metadata.Version, s.Metadata.Updated = before.version, before.updated
		return s
	}
	s.Metadata.Version = before.version + 1
	r.next.changes++
	return s
}

// date gives each problem its onset, counts the new ones, and puts the most causal first.
func (r *round) date(before past, uid string, problems []manifest.Problem) []manifest.Problem {
	r.began, r.over = nil, nil
	var goOn []manifest.Problem
	dated := make([]manifest.Problem, 0, len(problems))
	for _, p := range problems {
		p.Since, p.Message = plain(p.Since), clip(p.Message)
		if p.Level == "" {
			p.Level = r.next.codes[p.Reason].Level
		}
		if i := slices.IndexFunc(dated, p.Same); i >= 0 {
			dated[i].Since = earliest(dated[i].Since, p.Since)
			continue
		}
		dated = append(dated, p)
	}
	for i := range dated {
		p := &dated[i]
		old, ok := before.problem(*p, r.ofPod(p.Reason), uid)
		moved := false
		if !ok && p.Reason == manifest.ManifestRejected {
			// The kubelet's log may tell of a file before it is known which pod is in it.
			old, moved = r.before("file:"+p.Path).problem(*p, false, "")
		}
		switch {
		case ok, moved:
			p.Since = old.Since
		case p.Since.IsZero():
			p.Since = r.now
		}
		switch {
		case ok:
			goOn = append(goOn, old)
		case moved: // it is no new one, but new to this status
			r.began = append(r.began, *p)
		default:
			r.count(p.Reason)
			r.began = append(r.began, *p)
		}
	}
	for _, old := range before.problems {
		if !slices.ContainsFunc(goOn, old.Same) {
			r.over = append(r.over, old)
		}
	}
	slices.SortFunc(dated, r.next.codes.compare)
	return dated
}

// ofPod reports whether a problem is of one incarnation of the pod, and begins anew with the next one.
func (r *round) ofPod(reason manifest.Reason) bool {
	switch r.next.codes[reason].Stage {
	case StageAdmission, StageStart, StageRun:
		return true
	}
	return false
}

func (r *round) count(reason manifest.Reason) {
	if !r.totalOwned {
		r.totalOwned = true
		r.total = maps.Clone(r.total)
	}
	r.total[reason]++
}

// A past is what a status was before: in this process, or by the record of a former one.
type past struct {
	version          uint64
	created, updated time.Time
	uid              string
	since            time.Time
	ready            bool
	reason           manifest.Reason
	problems         []manifest.Problem
	conditions       []Condition
	history          history
	rollout          *Rollout
	sight            sight
	spec             *StatusSpec // nil when only its digest is known
	digest           string
}

func (r *round) before(id string) past {
	if old := r.prev.memory.entries[id]; old != nil {
		m, s := old.status.Metadata, &old.status.Spec
		return past{
			version: m.Version, created: m.Created, updated: m.Updated, uid: s.Pod.UID,
			since: s.Since, ready: s.Ready, reason: s.Reason,
			problems: s.Problems, conditions: s.Conditions, history: old.history, spec: s,
			rollout: s.Rollout, sight: old.sight,
		}
	}
	if rec, ok := r.next.records[id]; ok {
		return past{
			version: rec.Version, created: rec.Created, updated: rec.Updated, uid: rec.UID,
			since: rec.Since, ready: rec.Ready, reason: rec.Reason,
			problems: rec.Problems, conditions: rec.Conditions, history: rec.History, digest: rec.Digest,
			rollout: rec.Rollout, sight: rec.Sight,
		}
	}
	return past{}
}

// is reports whether the spec is as it was, whatever the dates of its evidence.
func (b past) is(spec StatusSpec) bool {
	if b.spec == nil {
		return b.digest == specDigest(spec)
	}
	spec.Observed = b.spec.Observed
	return reflect.DeepEqual(spec, *b.spec)
}

// problem finds the same problem in the past; one of another incarnation of the pod is another.
func (b past) problem(p manifest.Problem, ofPod bool, uid string) (manifest.Problem, bool) {
	if ofPod && b.uid != "" && uid != "" && b.uid != uid {
		return manifest.Problem{}, false
	}
	if i := slices.IndexFunc(b.problems, p.Same); i >= 0 {
		return b.problems[i], true
	}
	i := slices.IndexFunc(b.problems, func(q manifest.Problem) bool {
		if q.Reason != p.Reason {
			return false
		}
		if ofPod { // the kubelet may give the same failure of the same container another name of its own
			return q.Field == p.Field
		}
		moved := q.Path == p.Path && q.Field == p.Field && p.Field != ""       // with what is above it in its file
		return q.Detail == p.Detail && (q.Path == "" || p.Path == "" || moved) // or it was found before its place was known
	})
	if i < 0 {
		return manifest.Problem{}, false
	}
	return b.problems[i], true
}

// dateConditions keeps the transition of each condition that is as it was; one that cannot be dated by its
// evidence is new now.
func (b past) dateConditions(conditions []Condition, now time.Time) []Condition {
	for i := range conditions {
		c := &conditions[i]
		if c.LastTransitionTime.IsZero() {
			c.LastTransitionTime = now
		}
		j := slices.IndexFunc(b.conditions, func(old Condition) bool { return old.Type == c.Type })
		if j >= 0 && b.conditions[j].Status == c.Status {
			c.LastTransitionTime = b.conditions[j].LastTransitionTime
		}
	}
	return conditions
}

// forgetRecords drops what a former process knew once every input had its chance.
func (r *round) forgetRecords() {
	if r.next.records == nil || r.now.Before(r.next.recordsEnd) ||
		r.world.kubelet.down() && !r.world.kubelet.known || r.world.runtime.down() && !r.world.runtime.known {
		return
	}
	r.retireRecords()
	r.next.records = nil
	r.next.changes++
}

// verdict is the kubelet's judgement of the served document (D9).
func (r *round) verdict() manifest.Verdict {
	set := r.o.Manifest
	if set == nil || set.Document == nil {
		return manifest.Verdict{}
	}
	revision := set.Document.Revision
	if u := r.next.url; u != nil && u.Revision == revision {
		return manifest.Verdict{Revision: revision, Message: u.Message, At: u.At}
	}
	if v := r.prev.Verdict; v.Revision == revision && v.Accepted {
		return v
	}
	if r.accepted() {
		return manifest.Verdict{Revision: revision, Accepted: true, At: plain(r.o.Kubelet.At)}
	}
	return manifest.Verdict{}
}

// info is what is constant about the node.
func (r *round) info() NodeInfo {
	i := NodeInfo{Node: r.world.node, Mode: "observing"}
	if r.world.serving {
		i.Mode = "serving"
	}
	if v := r.o.Kubelet; v != nil {
		i.KubeletVersion = v.Version
	}
	if v := r.o.Runtime; v != nil {
		i.Runtime, i.RuntimeVersion = v.Runtime, v.Version
	}
	return i
}
