package manifest

import (
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// goneFor is how long a file must be gone from a readable directory before its definitions are removed:
// editors and rsync replace files by a removal and a rename.
const goneFor = time.Second

// A reading is what one load found. It is the input of plan beside the state.
type reading struct {
	at      time.Time
	read    time.Time // when all of it was read; zero is at
	node    string
	serving bool // false in observing mode: nothing is served, what was served before stays remembered
	files   []readFile
	// gone reports whether a file is proven not to be there (see listing.gone).
	gone func(path string) bool
	// incomplete says of sources that could not be listed, such as a missing directory, why.
	incomplete []string
	// directory holds what the kubelet's own manifest directory holds, by file; nil when it is not observed.
	directory []readFile
	// directoryPath is what the kubelet calls it; "" when it is not observed.
	directoryPath string
	// directoryErr is why that directory could not be listed: what was known of it stays.
	directoryErr error
	// foreign is what another server gives the kubelet; nil when it is not read.
	foreign *foreignReading
	// recheck is when to load again because something read is not settled; zero for not.
	recheck time.Time
	// deliberate is set by SIGHUP, POST /-/reload and --allow-mass-removal: somebody means what is read.
	deliberate bool
	running    Running // nil while it is not known
	// pod gives the defaulted pod of a revision, nil when it does not decode.
	pod func(*revision) *corev1.Pod
}

// Running is what the node runs of static pods fed by URL: the UIDs by namespace/name, without the node's
// name. A nil map is not known; an empty one is nothing.
type Running map[string]types.UID

// A readFile is one file and what it defines.
type readFile struct {
	path       string
	modified   time.Time
	changed    time.Time // when it was written or put in its place; zero when that is not known
	err        error     // why it could not be read
	candidates []*Candidate
	sum        [sha256.Size]byte // of the content
}

// sound reports whether the file was read and everything in it may be served, so that what it lacks was
// taken out of it on purpose.
func (f *readFile) sound() bool {
	return f.err == nil && !slices.ContainsFunc(f.candidates, (*Candidate).Quarantined)
}

// A plan is what follows from a state and a reading.
type plan struct {
	state       *state
	definitions []*Definition
	items       []item // of the document, in its order
	withheld    string // why nothing may be served now; "" when items may
	problems    []Problem
	recheck     time.Time // when to load again although nothing changed; zero for never
}

// An item is one pod of the document.
type item struct {
	key      string
	revision *revision
}

// planner carries a plan in the making.
type planner struct {
	reading
	prev     *state
	state    *state
	problems []Problem
	recheck  time.Time
	files    map[string]*readFile

	chosen  map[string]*Candidate // what each http identity is defined by now
	shadows []shadow              // candidates that lost their identity to another
	causes  map[string][]Problem  // what is wrong with an entry besides its candidate's own problems, by key
	refused map[string]bool       // keys whose new revision may not be served
}

// A shadow is a definition of an identity that another definition has.
type shadow struct {
	candidate *Candidate
	owner     string // path of the definition that has it
}

// makePlan decides what is served, kept, quarantined and removed. It is pure: prev is not changed, and the
// same arguments give the same plan. Its rules are D4 to D6 and D9 of the design, and its table test is
// their specification.
func makePlan(prev *state, r reading) *plan {
	p := &planner{
		reading: r, prev: prev, state: prev.clone(),
		files:   map[string]*readFile{},
		chosen:  map[string]*Candidate{},
		causes:  map[string][]Problem{},
		refused: map[string]bool{},
	}
	p.state.Node, p.recheck = r.node, r.recheck
	for _, files := range [][]readFile{r.files, r.directory} {
		for i := range files {
			p.files[files[i].path] = &files[i]
		}
	}
	if r.deliberate {
		clear(p.state.Refused) // somebody asks for another try
		p.state.Trial = nil
	}
	result := &plan{state: p.state}
	if r.serving {
		p.choose()
		p.adopt()
		p.remove()
		p.continueTrial()
		p.serve()
		result.items = p.items()
		result.withheld = p.withhold(result.items)
	}
	result.definitions = p.assemble()
	result.problems = p.problems
	result.recheck = p.recheck
	return result
}

// choose gives every identity to one candidate: to the one in the file that it came from before, else to the
// first valid one in order of path. The others are shadows.
func (p *planner) choose() {
	byKey := map[string][]*Candidate{}
	for _, f := range p.reading.files {
		for _, c := range f.candidates {
			if c.Name != "" {
				byKey[candidateKey(c)] = append(byKey[candidateKey(c)], c)
			}
		}
	}
	for _, key := range slices.Sorted(maps.Keys(byKey)) {
		candidates := byKey[key]
		owner := p.incumbent(key, candidates)
		ownerPath := ""
		if owner != nil {
			p.chosen[key] = owner
			ownerPath = owner.Path
		} else {
			ownerPath = p.state.Entries[key].Path
		}
		for _, c := range candidates {
			if c != owner {
				p.shadows = append(p.shadows, shadow{c, ownerPath})
			}
		}
	}
}

// incumbent returns the candidate that has the identity now; nil when it stays with a file that cannot be
// read at present and may still define it.
func (p *planner) incumbent(key string, candidates []*Candidate) *Candidate {
	e := p.state.Entries[key]
	if e != nil && e.Served != nil {
		for _, c := range candidates {
			if c.Path == e.Path {
				return c
			}
		}
		for _, c := range candidates {
			if c.Hash == e.Served.Hash {
				return c // the same content elsewhere: a move, whatever became of the old file
			}
		}
		if f := p.files[e.Path]; f != nil && !f.sound() || f == nil && !p.gone(e.Path) {
			return nil
		}
	}
	for _, c := range candidates {
		if !c.Quarantined() {
			return c
		}
	}
	return candidates[0]
}

// adopt brings the entries of what is defined now up to date.
func (p *planner) adopt() {
	for key, c := range p.chosen {
		e := p.entry(key, c.Namespace, c.Name, SourceHTTP)
		e.Path, e.Line = c.Path, c.Line
		e.GoneSince, e.Held = time.Time{}, false
		p.change(e, c)
	}
}

// entry returns the entry of key, made when it is new.
func (p *planner) entry(key, namespace, name string, source Source) *entry {
	e := p.state.Entries[key]
	if e == nil {
		e = &entry{Namespace: namespace, Name: name, Source: source, Created: p.at, Onsets: map[string]time.Time{}}
		p.state.Entries[key] = e
	}
	return e
}

// remove takes out the entries that nobody defines any more, unless that is not proven or too much at once.
func (p *planner) remove() {
	var due []string
	for _, key := range slices.Sorted(maps.Keys(p.state.Entries)) {
		e := p.state.Entries[key]
		if e.Source != SourceHTTP || p.chosen[key] != nil {
			continue
		}
		if e.Served == nil {
			delete(p.state.Entries, key)
			continue
		}
		if removed, cause := p.removed(e); removed {
			due = append(due, key)
		} else {
			p.causes[key] = cause
		}
	}
	held := p.held(due)
	for _, key := range due {
		e := p.state.Entries[key]
		if !held[key] {
			delete(p.state.Entries, key)
			continue
		}
		e.Held = true
		p.causes[key] = []Problem{{Reason: MassRemovalHeld, Level: Warning, Path: e.Path,
			Message: "its definition is gone, together with many others: it keeps running until a deliberate reload (SIGHUP, POST /-/reload or --allow-mass-removal) confirms the removal"}}
	}
	if len(held) > 0 {
		p.problems = append(p.problems, Problem{Reason: MassRemovalHeld, Level: Warning, Since: p.at,
			Message: fmt.Sprintf("%d of %d definitions vanished at once and are kept: put them back, or confirm the removal with SIGHUP, POST /-/reload or --allow-mass-removal",
				len(held), p.servedBefore())})
	}
}

// removed reports whether the definition of e was taken away on purpose; if not, what keeps it.
func (p *planner) removed(e *entry) (bool, []Problem) {
	if f := p.files[e.Path]; f != nil {
		switch {
		case f.err != nil:
			return false, []Problem{unreadable(e.Path, f.err)}
		case !f.sound():
			return false, fileProblems(f)
		}
		return true, nil
	}
	if !p.gone(e.Path) {
		return false, []Problem{{Reason: ManifestUnreadable, Level: Critical, Path: e.Path,
			Message: "the directory of this file is missing or cannot be listed"}}
	}
	if e.GoneSince.IsZero() {
		e.GoneSince = p.at
	}
	if confirmed := e.GoneSince.Add(goneFor); !p.deliberate && p.at.Before(confirmed) {
		p.recheckAt(confirmed)
		return false, nil
	}
	return true, nil
}

// held returns those of the due removals that wait for somebody to confirm them. A definition renamed in its
// file is a removal beside an addition, so it does not count.
func (p *planner) held(due []string) map[string]bool {
	held := map[string]bool{}
	if p.deliberate {
		return held
	}
	added := map[string]int{}
	for key, c := range p.chosen {
		if e := p.state.Entries[key]; e.Served == nil && !c.Quarantined() {
			added[c.Path]++
		}
	}
	var counted []string
	for _, key := range due {
		e := p.state.Entries[key]
		switch {
		case e.Held:
			held[key] = true
			counted = append(counted, key)
		case added[e.Path] > 0:
			added[e.Path]--
		default:
			counted = append(counted, key)
		}
	}
	n := p.servedBefore()
	if len(counted) == n || len(counted) > 1 && 10*len(counted) > 3*n {
		for _, key := range counted {
			held[key] = true
		}
	}
	return held
}

// servedBefore counts the definitions that were served before this reading.
func (p *planner) servedBefore() int {
	n := 0
	for _, e := range p.prev.Entries {
		if e.Served != nil && e.Source == SourceHTTP {
			n++
		}
	}
	return n
}

// withhold says why the document must not be served: the state is lost, a source cannot be read, and a pod
// runs whose definition may be in it. Serving the list without that pod would stop it.
func (p *planner) withhold(items []item) string {
	if !p.prev.lost {
		return ""
	}
	unsound := slices.Clone(p.incomplete)
	for _, f := range p.reading.files {
		if !f.sound() {
			unsound = append(unsound, f.path)
		}
	}
	if len(unsound) > 0 && !p.deliberate {
		if p.running == nil {
			return fmt.Sprintf("the state is lost, %s cannot be used, and what runs on the node is not known yet", unsound[0])
		}
		for _, key := range slices.Sorted(maps.Keys(p.running)) {
			if !slices.ContainsFunc(items, func(i item) bool { return i.key == key }) {
				return fmt.Sprintf("the state is lost, %s cannot be used, and pod %s runs without a valid definition: mend the file, or confirm its removal with SIGHUP or POST /-/reload",
					unsound[0], key)
			}
		}
	}
	p.state.lost = false
	return ""
}

// items lists the served revisions in the document's order.
func (p *planner) items() []item {
	var items []item
	for key, e := range p.state.Entries {
		if e.Served != nil && e.Source == SourceHTTP {
			items = append(items, item{key, e.Served})
		}
	}
	slices.SortFunc(items, func(a, b item) int {
		x, y := p.state.Entries[a.key], p.state.Entries[b.key]
		return cmp.Or(cmp.Compare(x.Namespace, y.Namespace), cmp.Compare(x.Name, y.Name))
	})
	return items
}

func (p *planner) recheckAt(t time.Time) {
	if p.recheck.IsZero() || t.Before(p.recheck) {
		p.recheck = t
	}
}

func candidateKey(c *Candidate) string { return c.Namespace + "/" + c.Name }

func unreadable(path string, err error) Problem {
	return Problem{Reason: ManifestUnreadable, Level: Critical, Path: path, Message: clip(err.Error())}
}

// fileProblems are the problems that make a file unsound.
func fileProblems(f *readFile) []Problem {
	var problems []Problem
	for _, c := range f.candidates {
		if c.Quarantined() {
			problems = append(problems, c.Problems...)
		}
	}
	return problems
}

// newRevision is the revision that a candidate would be served as.
func newRevision(c *Candidate) *revision {
	return &revision{Hash: c.Hash, UID: c.UID, Canonical: json.RawMessage(c.Canonical)}
}
