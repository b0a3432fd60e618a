package manifest

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"
)

// filePrefix begins the key and the ID of a definition that is identified by its file: one that cannot be
// parsed, one that lost its identity to another, and every one in the kubelet's own directory.
const filePrefix = "file:"

func cutFilePrefix(key string) (path string, ok bool) { return strings.CutPrefix(key, filePrefix) }

// assembler turns a finished plan into Definitions.
type assembler struct {
	*planner
	definitions []*Definition
	used        map[string]bool // keys of entries that a definition stands for
}

// assemble lists all definitions of the node, good and bad.
func (p *planner) assemble() []*Definition {
	a := &assembler{planner: p, used: map[string]bool{}}
	for key, c := range p.chosen {
		a.add(a.chosenDefinition(key, c))
	}
	for key, e := range p.state.Entries {
		if p.serving && e.Source == SourceHTTP && p.chosen[key] == nil && e.Served != nil {
			a.add(a.keptDefinition(key, e))
		}
	}
	for _, s := range p.shadows {
		a.add(a.shadowDefinition(s))
	}
	for i := range p.reading.files {
		a.addUnparsed(&p.reading.files[i])
	}
	for i := range p.directory {
		a.addDirectoryFile(&p.directory[i])
	}
	a.keepDirectory()
	a.addForeign()
	for key, e := range p.state.Entries {
		if !a.used[key] && e.Served == nil {
			delete(p.state.Entries, key)
		}
	}
	p.state.pruneRefusals(a.definitions)
	order(a.definitions)
	return a.definitions
}

func (a *assembler) add(d *Definition) { a.definitions = append(a.definitions, d) }

// chosenDefinition is that of the candidate which has its identity.
func (a *assembler) chosenDefinition(key string, c *Candidate) *Definition {
	e := a.use(key)
	d := definition(e, c)
	d.Served = e.Served != nil
	d.Valid = !c.Quarantined() && !a.refused[key]
	causes := a.causes[key]
	if d.Served {
		d.UID = e.Served.UID
	}
	if d.Served && e.Served.Hash != c.Hash {
		d.Pod = a.pod(e.Served)
		causes = append(causes, kept(e))
	}
	d.Problems = a.dated(e, c.Problems, causes)
	return d
}

// keptDefinition is that of an entry nobody defines now, which is served still.
func (a *assembler) keptDefinition(key string, e *entry) *Definition {
	a.used[key] = true
	d := definition(e, nil)
	d.Served, d.UID, d.Pod = true, e.Served.UID, a.pod(e.Served)
	causes := a.causes[key]
	d.Valid = !slices.ContainsFunc(causes, func(p Problem) bool { return p.Level == Critical })
	if !d.Valid {
		a.garble(e)
		d.Changed, d.Judged = e.Changed, e.Judged
		causes = append(causes, kept(e))
	}
	d.Problems = a.dated(e, nil, causes)
	return d
}

func kept(e *entry) Problem {
	return Problem{Reason: LastRevisionKept, Level: Warning, Path: e.Path, Line: e.Line,
		Message: "the last valid revision is served and runs on: mend the file to roll out the new one, or remove the definition to stop the pod"}
}

// shadowDefinition is that of a candidate whose identity another definition has.
func (a *assembler) shadowDefinition(s shadow) *Definition {
	c := s.candidate
	key := filePrefix + c.Path + "#" + candidateKey(c)
	for n := 2; a.used[key]; n++ { // one file may have several
		key = fmt.Sprintf("%s%s#%s~%d", filePrefix, c.Path, candidateKey(c), n)
	}
	e := a.entry(key, c.Namespace, c.Name, SourceHTTP)
	a.update(e, c)
	a.used[key] = true
	line, column := c.Locate("metadata.name")
	d := definition(e, c)
	d.Problems = a.dated(e, c.Problems, []Problem{{
		Reason: DuplicateName, Level: Critical, Path: c.Path, Line: line, Column: column, Field: "metadata.name",
		Message: fmt.Sprintf("pod %s is defined in %s already: this definition is not served", candidateKey(c), s.owner)}})
	return d
}

// addUnparsed adds what a file holds besides identities: documents that cannot be parsed, or that it cannot
// be read. When definitions are known to come from the file, they carry the problem instead.
func (a *assembler) addUnparsed(f *readFile) {
	for _, e := range a.state.Entries {
		if e.Source == SourceHTTP && e.Served != nil && e.Path == f.path && a.chosen[e.Namespace+"/"+e.Name] == nil {
			return
		}
	}
	var problems []Problem
	line := 0
	if f.err != nil {
		problems = []Problem{unreadable(f.path, f.err)}
	}
	for _, c := range f.candidates {
		if c.Name == "" {
			problems = append(problems, c.Problems...)
			if line == 0 {
				line = c.Line
			}
		}
	}
	if len(problems) > 0 {
		a.add(a.unparsed(f, SourceHTTP, line, problems))
	}
}

// unparsed is the definition that stands for a file which tells no pod's name.
func (a *assembler) unparsed(f *readFile, source Source, line int, problems []Problem) *Definition {
	key := filePrefix + f.path
	e := a.entry(key, "", "", source)
	a.used[key] = true
	e.Path, e.Line = f.path, line
	if e.Revision == 0 {
		e.Revision, e.Updated = 1, a.at
	}
	a.garble(e)
	d := definition(e, nil)
	d.ID = key
	d.Problems = a.dated(e, problems, nil)
	return d
}

// use marks the entry of key as one that has a definition.
func (a *assembler) use(key string) *entry {
	a.used[key] = true
	return a.state.Entries[key]
}

// update brings e to the content of c.
func (a *assembler) update(e *entry, c *Candidate) {
	e.Namespace, e.Name, e.Path, e.Line = c.Namespace, c.Name, c.Path, c.Line
	a.change(e, c)
}

// dated gives every problem its onset and forgets the onsets of those that are over. Problems of the file's
// own content began when the file was written, the other causes when they are first seen.
func (a *assembler) dated(e *entry, own, causes []Problem) []Problem {
	written := a.at
	if f := a.files[e.Path]; f != nil && !f.modified.IsZero() && f.modified.Before(a.at) {
		written = f.modified
	}
	return a.datedFrom(written, e, own, causes)
}

// datedFrom is dated with the time that the content was written.
func (a *assembler) datedFrom(written time.Time, e *entry, own, causes []Problem) []Problem {
	before := e.Onsets
	e.Onsets = map[string]time.Time{}
	dated := make([]Problem, 0, len(own)+len(causes))
	for _, part := range []struct {
		problems []Problem
		began    time.Time
	}{{own, written}, {causes, a.at}} {
		for _, p := range part.problems {
			id := string(p.Reason) + "|" + p.Detail + "|" + p.Path + "|" + p.Field
			if p.Since.IsZero() {
				p.Since = part.began
				if since, known := before[id]; known {
					p.Since = since
				}
			}
			e.Onsets[id] = p.Since
			dated = append(dated, p)
		}
	}
	return dated
}

// definition fills in what e and c say; c is nil when nobody defines it now.
func definition(e *entry, c *Candidate) *Definition {
	d := &Definition{
		Namespace: e.Namespace, Name: e.Name, Source: e.Source, Path: e.Path, Line: e.Line,
		Version: e.Revision, Created: e.Created, Updated: e.Updated, Hash: e.Hash,
		Changed: e.Changed, Judged: e.Judged,
	}
	if d.Changed.IsZero() { // of a state that did not tell
		d.Changed, d.Judged = e.Updated, e.Updated
	}
	if c != nil {
		d.UID, d.Pod = c.UID, c.Pod
	}
	return d
}

// order sorts definitions and gives them their IDs: <namespace>-<name>, with ~2, ~3 … where that collides.
func order(definitions []*Definition) {
	slices.SortFunc(definitions, func(a, b *Definition) int {
		if (a.Name == "") != (b.Name == "") {
			if a.Name == "" {
				return 1
			}
			return -1
		}
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name),
			standing(a)-standing(b), cmp.Compare(a.Path, b.Path), cmp.Compare(a.Line, b.Line))
	})
	taken := map[string]int{}
	for _, d := range definitions {
		if d.Name == "" {
			continue
		}
		id := d.Namespace + "-" + d.Name
		taken[id]++
		if n := taken[id]; n > 1 {
			id = fmt.Sprintf("%s~%d", id, n)
		}
		d.ID = id
	}
}

// standing puts the definition that is served before one of the same name that is not.
func standing(d *Definition) int {
	if d.Served {
		return 0
	}
	return 1
}

// addDirectoryFile adds a file of the kubelet's own directory. Its definition is identified by the file, as
// the kubelet does, and keeps its pod's name while the file cannot be parsed.
func (a *assembler) addDirectoryFile(f *readFile) {
	key := filePrefix + f.path
	var c *Candidate
	if len(f.candidates) > 0 {
		c = f.candidates[0]
	}
	if c == nil || c.Name == "" {
		var problems []Problem
		switch {
		case f.err != nil:
			problems = []Problem{unreadable(f.path, f.err)}
		case c != nil:
			problems = c.Problems
		}
		if known := a.state.Entries[key]; known != nil && known.Name != "" {
			a.used[key] = true
			a.garble(known)
			d := definition(known, nil)
			d.Problems = a.dated(known, problems, nil)
			a.add(d)
		} else if len(problems) > 0 {
			a.add(a.unparsed(f, SourceFile, 1, problems))
		}
		return
	}
	e := a.entry(key, c.Namespace, c.Name, SourceFile)
	a.update(e, c)
	a.used[key] = true
	d := definition(e, c)
	d.Valid = !c.Quarantined()
	d.Served = d.Valid && !has(c.Problems, DuplicateName)
	var causes []Problem
	if other := a.state.Entries[candidateKey(c)]; a.serving && d.Served && other != nil && other.Served != nil {
		line, column := c.Locate("metadata.name")
		causes = append(causes, Problem{Reason: CrossSourceDuplicate, Level: Critical, Path: c.Path, Line: line, Column: column, Field: "metadata.name",
			Message: fmt.Sprintf("%s is served from %s too: the kubelet runs only one of the two", candidateKey(c), other.Path)})
	}
	d.Problems = a.dated(e, c.Problems, causes)
	a.add(d)
}

// keepDirectory keeps what was known of the kubelet's directory while it cannot be listed. A directory that
// is missing is another matter: the kubelet removes its pods.
func (a *assembler) keepDirectory() {
	if a.directoryErr == nil || errors.Is(a.directoryErr, fs.ErrNotExist) {
		return
	}
	for key, e := range a.state.Entries {
		if e.Source != SourceFile || a.used[key] {
			continue
		}
		a.used[key] = true
		d := definition(e, nil)
		if d.Name == "" {
			d.ID = key
		}
		d.Problems = a.dated(e, nil, []Problem{unreadable(e.Path, a.directoryErr)})
		a.add(d)
	}
}
