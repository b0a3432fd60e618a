package manifest

import (
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const (
	dirA = "/pods/a.yaml"
	dirB = "/pods/b.yaml"
	dirC = "/pods/c.yaml"
)

// pod is a valid definition; its image tells the revisions apart.
func pod(name, image string) string {
	return fmt.Sprintf("apiVersion: v1\nkind: Pod\nmetadata: {name: %s}\nspec:\n  containers: [{name: c, image: %q}]\n", name, image)
}

// portPod asks for a host port.
func portPod(name, image string, port int) string {
	return strings.Replace(pod(name, image), "}]", fmt.Sprintf(", ports: [{containerPort: 80, hostPort: %d}]}]", port), 1)
}

// bad is a definition that the kubelet's validation refuses.
func bad(name string) string {
	return fmt.Sprintf("apiVersion: v1\nkind: Pod\nmetadata: {name: %s}\nspec:\n  containers: []\n", name)
}

func many(documents ...string) string { return strings.Join(documents, "---\n") }

// A load is one step of a story: what is read, and what must come of it.
type load struct {
	what       string
	files      map[string]string // content by path; "!" for a file that cannot be read
	noDir      bool              // the directory is missing
	deliberate bool
	after      time.Duration     // since the load before; a minute when zero
	running    Running           // nothing when nil
	unknown    bool              // nobody knows what runs
	directory  map[string]string // the kubelet's own
	verdict    string            // "accepted" or the kubelet's words of refusal, before this load

	serves   string // "web=1 db=2": name=image, sorted
	problems string // "web:ManifestInvalid,LastRevisionKept node:MassRemovalHeld", sorted by definition
	withheld bool
	recheck  bool
}

func TestPlan(t *testing.T) {
	three := map[string]string{dirA: pod("web", "1"), dirB: pod("db", "1"), dirC: pod("log", "1")}
	with := func(base map[string]string, changes ...string) map[string]string {
		m := maps.Clone(base)
		for i := 0; i < len(changes); i += 2 {
			if changes[i+1] == "" {
				delete(m, changes[i])
			} else {
				m[changes[i]] = changes[i+1]
			}
		}
		return m
	}
	first := load{what: "first", files: three, serves: "db=1 log=1 web=1"}

	for story, loads := range map[string][]load{
		"a bad edit keeps the last valid revision until it is mended": {
			first,
			{what: "bad edit", files: with(three, dirA, bad("web")), serves: "db=1 log=1 web=1", problems: "default-web:ManifestInvalid,LastRevisionKept"},
			{what: "mended", files: with(three, dirA, pod("web", "2")), serves: "db=1 log=1 web=2"},
		},
		"a newcomer that is invalid is absent and hurts nobody": {
			{what: "first", files: with(three, dirA, bad("web")), serves: "db=1 log=1", problems: "default-web:ManifestInvalid"},
		},
		"a half-written file is no removal": {
			first,
			{what: "half", files: with(three, dirA, pod("web", "2")[:40]), serves: "db=1 log=1 web=1", problems: "default-web:ManifestMalformed,LastRevisionKept"},
			{what: "whole", files: with(three, dirA, pod("web", "2")), serves: "db=1 log=1 web=2"},
		},
		"an emptied file is no removal": {
			first,
			{what: "emptied", files: with(three, dirA, "\n"), serves: "db=1 log=1 web=1", problems: "default-web:ManifestMalformed,LastRevisionKept"},
		},
		"an unreadable file is no removal": {
			first,
			{what: "unreadable", files: with(three, dirA, "!"), serves: "db=1 log=1 web=1", problems: "default-web:ManifestUnreadable,LastRevisionKept"},
		},
		"a file that never was parsed is known by its path": {
			{what: "first", files: with(three, dirA, "{"), serves: "db=1 log=1", problems: "file:/pods/a.yaml:ManifestMalformed"},
		},
		"a deleted file removes its definition after a second": {
			first,
			{what: "gone", files: with(three, dirA, ""), serves: "db=1 log=1 web=1", recheck: true},
			{what: "still gone", files: with(three, dirA, ""), after: time.Second, serves: "db=1 log=1"},
		},
		"a file replaced within a second changes nothing": {
			first,
			{what: "gone", files: with(three, dirA, ""), serves: "db=1 log=1 web=1", recheck: true},
			{what: "back", files: three, after: 500 * time.Millisecond, serves: "db=1 log=1 web=1"},
			{what: "gone again, the second starts anew", files: with(three, dirA, ""), after: 600 * time.Millisecond, serves: "db=1 log=1 web=1", recheck: true},
		},
		"a definition taken out of a valid file is removed at once": {
			{what: "first", files: map[string]string{dirA: many(pod("web", "1"), pod("db", "1"), pod("log", "1"), pod("dns", "1"))}, serves: "db=1 dns=1 log=1 web=1"},
			{what: "web taken out", files: map[string]string{dirA: many(pod("db", "1"), pod("log", "1"), pod("dns", "1"))}, serves: "db=1 dns=1 log=1"},
		},
		"a definition missing from a file with an error is not removed": {
			{what: "first", files: map[string]string{dirA: many(pod("web", "1"), pod("db", "1"))}, serves: "db=1 web=1"},
			{what: "web gone, db broken", files: map[string]string{dirA: bad("db")}, serves: "db=1 web=1",
				problems: "default-db:ManifestInvalid,LastRevisionKept default-web:ManifestInvalid,LastRevisionKept"},
		},
		"a definition missing from a half-written file is not removed": {
			{what: "first", files: map[string]string{dirA: many(pod("web", "1"), pod("db", "1"))}, serves: "db=1 web=1"},
			{what: "second document cut", files: map[string]string{dirA: many(pod("web", "1"), "apiVersion: v1\nkind: Po")}, serves: "db=1 web=1",
				problems: "default-db:NotAPod,LastRevisionKept"},
		},
		"a rename is a removal and an addition": {
			{what: "first", files: map[string]string{dirA: pod("web", "1")}, serves: "web=1"},
			{what: "renamed", files: map[string]string{dirA: pod("www", "1")}, serves: "www=1"},
		},
		"a rename to something invalid keeps the old one": {
			first,
			{what: "renamed badly", files: with(three, dirA, bad("www")), serves: "db=1 log=1 web=1",
				problems: "default-web:ManifestInvalid,LastRevisionKept default-www:ManifestInvalid"},
		},
		"two files swapped change nothing": {
			first,
			{what: "swapped", files: with(three, dirA, pod("db", "1"), dirB, pod("web", "1")), serves: "db=1 log=1 web=1"},
		},
		"a move between files changes nothing": {
			first,
			{what: "copied", files: with(three, "/pods/z.yaml", pod("web", "1")), serves: "db=1 log=1 web=1", problems: "default-web~2:DuplicateName"},
			{what: "moved", files: with(three, dirA, "", "/pods/z.yaml", pod("web", "1")), serves: "db=1 log=1 web=1"},
		},
		"a copy does not take the place of the incumbent": {
			{what: "first", files: with(three, dirA, "", "/pods/m.yaml", pod("web", "1")), serves: "db=1 log=1 web=1"},
			{what: "a copy sorts first", files: with(three, dirA, pod("web", "2"), "/pods/m.yaml", pod("web", "1")), serves: "db=1 log=1 web=1", problems: "default-web~2:DuplicateName"},
		},
		"of two new definitions of one name the first by path is served": {
			{what: "first", files: with(three, dirB, pod("web", "2")), serves: "log=1 web=1", problems: "default-web~2:DuplicateName"},
		},
		"a missing directory that was loaded keeps its definitions": {
			first,
			{what: "unmounted", noDir: true, serves: "db=1 log=1 web=1",
				problems: "default-db:ManifestUnreadable,LastRevisionKept default-log:ManifestUnreadable,LastRevisionKept default-web:ManifestUnreadable,LastRevisionKept"},
			{what: "back", files: three, serves: "db=1 log=1 web=1"},
		},
		"a directory that was never seen is empty": {
			{what: "first", noDir: true, serves: ""},
		},
		"a mass removal is held until somebody means it": {
			first,
			{what: "emptied", files: map[string]string{}, serves: "db=1 log=1 web=1", recheck: true},
			{what: "a second later", files: map[string]string{}, after: time.Second, serves: "db=1 log=1 web=1",
				problems: "default-db:MassRemovalHeld default-log:MassRemovalHeld default-web:MassRemovalHeld node:MassRemovalHeld"},
			{what: "one is back", files: map[string]string{dirA: pod("web", "1")}, serves: "db=1 log=1 web=1",
				problems: "default-db:MassRemovalHeld default-log:MassRemovalHeld node:MassRemovalHeld"},
			{what: "two are back: the one left stays held", files: with(three, dirC, ""), serves: "db=1 log=1 web=1", problems: "default-log:MassRemovalHeld node:MassRemovalHeld"},
			{what: "confirmed", files: map[string]string{dirA: pod("web", "1")}, deliberate: true, serves: "web=1"},
		},
		"two of three at once are held too": {
			first,
			{what: "two gone", files: map[string]string{dirA: three[dirA]}, serves: "db=1 log=1 web=1", recheck: true},
			{what: "a second later", files: map[string]string{dirA: three[dirA]}, after: time.Second, serves: "db=1 log=1 web=1",
				problems: "default-db:MassRemovalHeld default-log:MassRemovalHeld node:MassRemovalHeld"},
		},
		"the only definition is a mass": {
			{what: "first", files: map[string]string{dirA: pod("web", "1")}, serves: "web=1"},
			{what: "gone", files: map[string]string{}, serves: "web=1", recheck: true},
			{what: "held", files: map[string]string{}, after: time.Second, serves: "web=1", problems: "default-web:MassRemovalHeld node:MassRemovalHeld"},
			{what: "confirmed", files: map[string]string{}, deliberate: true, serves: ""},
		},
		"with the state lost, a running pod whose definition is broken withholds the list": {
			{what: "unknown what runs", unknown: true, files: with(three, dirA, bad("web")), withheld: true, serves: "db=1 log=1", problems: "default-web:ManifestInvalid"},
			{what: "it runs", files: with(three, dirA, bad("web")), running: Running{"default/web": "u", "default/db": "v"}, withheld: true, serves: "db=1 log=1", problems: "default-web:ManifestInvalid"},
			{what: "mended", files: three, running: Running{"default/web": "u"}, serves: "db=1 log=1 web=1"},
			{what: "broken again", files: with(three, dirA, bad("web")), running: Running{"default/web": "u"}, serves: "db=1 log=1 web=1", problems: "default-web:ManifestInvalid,LastRevisionKept"},
		},
		"with the state lost, a missing directory withholds the list of what runs": {
			{what: "unmounted at boot", noDir: true, running: Running{"default/web": "u"}, withheld: true},
			{what: "mounted", files: three, running: Running{"default/web": "u"}, serves: "db=1 log=1 web=1"},
		},
		"with the state lost, sound files are believed": {
			{what: "first", files: three, running: Running{"default/old": "u"}, serves: "db=1 log=1 web=1"},
		},
		"with the state lost, somebody can say that it is meant": {
			{what: "withheld", files: with(three, dirA, bad("web")), running: Running{"default/web": "u"}, withheld: true, serves: "db=1 log=1", problems: "default-web:ManifestInvalid"},
			{what: "confirmed", files: with(three, dirA, bad("web")), running: Running{"default/web": "u"}, deliberate: true, serves: "db=1 log=1", problems: "default-web:ManifestInvalid"},
		},
		"a newcomer does not take a host port": {
			{what: "first", files: map[string]string{dirB: portPod("web", "1", 80)}, serves: "web=1"},
			{what: "newcomer", files: map[string]string{dirA: portPod("api", "1", 80), dirB: portPod("web", "1", 80)}, serves: "web=1", problems: "default-api:HostPortConflict"},
		},
		"an edit that takes another's host port keeps the last revision": {
			{what: "first", files: map[string]string{dirA: portPod("api", "1", 81), dirB: portPod("web", "1", 80)}, serves: "api=1 web=1"},
			{what: "edit", files: map[string]string{dirA: portPod("api", "2", 80), dirB: portPod("web", "1", 80)}, serves: "api=1 web=1", problems: "default-api:HostPortConflict,LastRevisionKept"},
		},
		"two that swap host ports in one load both roll out": {
			{what: "first", files: map[string]string{dirA: portPod("api", "1", 81), dirB: portPod("web", "1", 80)}, serves: "api=1 web=1"},
			{what: "swap", files: map[string]string{dirA: portPod("api", "2", 80), dirB: portPod("web", "2", 81)}, serves: "api=2 web=2"},
		},
		"a pod in the kubelet's own directory is not served a second time": {
			{what: "first", files: three, directory: map[string]string{"/kubelet/web.yaml": pod("web", "9")}, serves: "db=1 log=1", problems: "default-web~2:CrossSourceDuplicate"},
		},
		"a pod that is served stays when it turns up in the kubelet's directory": {
			first,
			{what: "turns up", files: three, directory: map[string]string{"/kubelet/web.yaml": pod("web", "9")}, serves: "db=1 log=1 web=1",
				problems: "default-web:CrossSourceDuplicate default-web~2:CrossSourceDuplicate"},
		},
		"a refused list goes back to what was accepted, and its culprit is named": {
			first,
			{what: "accepted, then edited", verdict: "accepted", files: with(three, dirA, pod("web", "2")), serves: "db=1 log=1 web=2"},
			{what: "refused", verdict: "invalid pod", files: with(three, dirA, pod("web", "2")), serves: "db=1 log=1 web=1", problems: "default-web:ManifestRejected,LastRevisionKept"},
			{what: "mended", files: with(three, dirA, pod("web", "3")), serves: "db=1 log=1 web=3"},
		},
		"of several suspects one at a time returns": {
			first,
			{what: "accepted, then two edited", verdict: "accepted", files: with(three, dirA, pod("web", "2"), dirB, pod("db", "2")), serves: "db=2 log=1 web=2"},
			{what: "refused: db is tried first", verdict: "invalid pod", files: with(three, dirA, pod("web", "2"), dirB, pod("db", "2")), serves: "db=2 log=1 web=1",
				problems: "default-db:ListRejected default-web:ListRejected,LastRevisionKept node:ListRejected"},
			{what: "db is fine: web is tried", verdict: "accepted", files: with(three, dirA, pod("web", "2"), dirB, pod("db", "2")), serves: "db=2 log=1 web=2",
				problems: "default-web:ListRejected node:ListRejected"},
			{what: "web it is", verdict: "invalid pod", files: with(three, dirA, pod("web", "2"), dirB, pod("db", "2")), serves: "db=2 log=1 web=1",
				problems: "default-web:ManifestRejected,LastRevisionKept"},
			{what: "tried again on demand", deliberate: true, files: with(three, dirA, pod("web", "2"), dirB, pod("db", "2")), serves: "db=2 log=1 web=2"},
		},
		"what runs is no suspect": {
			first,
			{what: "refused, but db and log run", verdict: "invalid pod", running: Running{"default/db": "1", "default/log": "2"}, files: three, serves: "db=1 log=1",
				problems: "default-web:ManifestRejected"},
		},
		"a list that another kubelet took is tried again without what runs": {
			first,
			{what: "accepted", verdict: "accepted", files: three, serves: "db=1 log=1 web=1"},
			{what: "refused after a downgrade", verdict: "invalid pod", running: Running{"default/db": "1", "default/log": "2"}, files: three, serves: "db=1 log=1",
				problems: "default-web:ManifestRejected"},
		},
		"a list of which all runs is left alone": {
			first,
			{what: "accepted", verdict: "accepted", files: three, serves: "db=1 log=1 web=1"},
			{what: "refused", verdict: "invalid pod", running: Running{"default/db": "1", "default/log": "2", "default/web": "3"}, files: three, serves: "db=1 log=1 web=1"},
		},
		"a first list that is refused is tried pod by pod": {
			first,
			{what: "refused", verdict: "invalid pod", files: three, serves: "db=1", problems: "default-db:ListRejected default-log:ListRejected default-web:ListRejected node:ListRejected"},
			{what: "db it is", verdict: "invalid pod", files: three, serves: "log=1", problems: "default-db:ManifestRejected default-log:ListRejected default-web:ListRejected node:ListRejected"},
			{what: "log is fine", verdict: "accepted", files: three, serves: "log=1 web=1", problems: "default-db:ManifestRejected default-web:ListRejected node:ListRejected"},
			{what: "web is fine", verdict: "accepted", files: three, serves: "log=1 web=1", problems: "default-db:ManifestRejected"},
		},
	} {
		for _, restart := range []bool{false, true} {
			name := story
			if restart {
				name += ", with a restart before every load"
			}
			t.Run(name, func(t *testing.T) { tell(t, loads, restart) })
		}
	}
}

// tell plays the loads of a story one after the other.
func tell(t *testing.T, loads []load, restart bool) {
	v := NewValidator(Rules{Node: "node1"})
	store := &Store{validator: v}
	s := newState()
	s.lost = true
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, l := range loads {
		at = at.Add(max(l.after, time.Duration(bit(l.after == 0))*time.Minute))
		for key := range l.running {
			if e := s.Entries[key]; e != nil && e.Served != nil {
				l.running[key] = e.Served.UID // the revision that is served
			}
		}
		if l.verdict != "" {
			s = judge(s, Verdict{Revision: s.Served, Accepted: l.verdict == "accepted", Message: l.verdict, At: at}, l.running)
		}
		r := reading{at: at, node: "node1", serving: true, deliberate: l.deliberate, running: l.running, pod: store.pod}
		if l.running == nil && !l.unknown {
			r.running = Running{}
		}
		r.files = readAll(v, l.files, FormDefinitions)
		r.directory = readAll(v, l.directory, FormDirectory)
		r.gone = func(path string) bool { _, there := l.files[path]; return !there && !l.noDir }
		if l.noDir {
			r.incomplete = []string{"/pods"}
		}
		before, _ := json.Marshal(s)
		p := makePlan(s, r)
		if after, _ := json.Marshal(s); string(before) != string(after) {
			t.Fatalf("%s: the plan changed the state it was given", l.what)
		}
		if got := served(p); got != l.serves {
			t.Errorf("%s: serves %q, want %q", l.what, got, l.serves)
		}
		if got := problemsOf(p); got != l.problems {
			t.Errorf("%s: problems\n got %q\nwant %q", l.what, got, l.problems)
		}
		if (p.withheld != "") != l.withheld {
			t.Errorf("%s: withheld %q, want %v", l.what, p.withheld, l.withheld)
		}
		if !p.recheck.IsZero() != l.recheck {
			t.Errorf("%s: recheck at %v, want %v", l.what, p.recheck, l.recheck)
		}
		for _, d := range p.definitions {
			for _, problem := range d.Problems {
				if problem.Since.IsZero() || problem.Path == "" || problem.Message == "" {
					t.Errorf("%s: %s: problem without onset, path or words: %+v", l.what, d.ID, problem)
				}
			}
		}
		s = p.state
		s.Served = newDocument(p.items, at).Revision
		if restart && !s.lost {
			data, err := json.Marshal(s)
			if err != nil {
				t.Fatal(err)
			}
			s = newState()
			if err := json.Unmarshal(data, s); err != nil {
				t.Fatal(err)
			}
			if again, _ := json.Marshal(s); !cmp.Equal(again, data) {
				t.Errorf("%s: the state does not survive a restart:\n%s", l.what, cmp.Diff(string(data), string(again)))
			}
		}
	}
}

func readAll(v *Validator, files map[string]string, form Form) []readFile {
	var read []readFile
	for _, path := range slices.Sorted(maps.Keys(files)) {
		f := readFile{path: path}
		if files[path] == "!" {
			f.err = &filepathError{path}
		} else {
			f.candidates = v.File(path, []byte(files[path]), form)
		}
		read = append(read, f)
	}
	return read
}

type filepathError struct{ path string }

func (e *filepathError) Error() string { return filepath.Base(e.path) + ": input/output error" }

// served says which image of which pod is in the document.
func served(p *plan) string {
	var out []string
	for _, it := range p.items {
		var tree struct {
			Metadata struct{ Name string }
			Spec     struct{ Containers []struct{ Image string } }
		}
		if err := json.Unmarshal(it.revision.Canonical, &tree); err != nil {
			panic(err)
		}
		out = append(out, tree.Metadata.Name+"="+tree.Spec.Containers[0].Image)
	}
	return strings.Join(out, " ")
}

func problemsOf(p *plan) string {
	var out []string
	add := func(id string, problems []Problem) {
		var reasons []string
		for _, problem := range problems {
			if !slices.Contains(reasons, string(problem.Reason)) {
				reasons = append(reasons, string(problem.Reason))
			}
		}
		if len(reasons) > 0 {
			out = append(out, id+":"+strings.Join(reasons, ","))
		}
	}
	for _, d := range p.definitions {
		add(d.ID, d.Problems)
	}
	add("node", p.problems)
	slices.Sort(out)
	return strings.Join(out, " ")
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

// Of several definitions of one name in one file each keeps its own past: reading them again changes nothing.
func TestSeveralShadowsOfOneFile(t *testing.T) {
	v, path := NewValidator(Rules{Node: "node1"}), filepath.Join(t.TempDir(), "web.yaml")
	write(t, path, block("a")+"\n---\n"+withMetadata("a", "labels: {b: c}")+"\n---\n"+withMetadata("a", "labels: {b: d}"))
	f, ok := readSource(path)
	if !ok {
		t.Fatal("it is not there")
	}
	first := makePlan(newState(), reading{at: f.modified.Add(time.Second), node: "node1", serving: true,
		files: []readFile{{path: path, modified: f.modified, changed: f.changed, candidates: v.File(path, f.data, FormDefinitions)}}})
	again := makePlan(first.state, reading{at: f.modified.Add(time.Minute), node: "node1", serving: true,
		files: []readFile{{path: path, modified: f.modified, changed: f.changed, candidates: v.File(path, f.data, FormDefinitions)}}})
	if len(first.definitions) != 3 || len(again.definitions) != 3 {
		t.Fatalf("there are %d and %d definitions", len(first.definitions), len(again.definitions))
	}
	for i, d := range first.definitions {
		if e := again.definitions[i]; d.ID != e.ID || d.Version != e.Version || d.Hash != e.Hash || !d.Changed.Equal(e.Changed) {
			t.Errorf("%s was version %d of %s, and is version %d of %s", d.ID, d.Version, d.Changed, e.Version, e.Changed)
		}
	}
}
