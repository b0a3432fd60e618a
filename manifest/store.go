package manifest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// Options of a Store.
type Options struct {
	// Node is the node's name; "" means the persisted one, else the lower-cased hostname (D10).
	Node string
	// Serving is whether the kubelet is fed by this Store. If not, only the kubelet's own directory is observed.
	Serving bool
	// StateDirectory is where definitions survive a restart: made 0700 when missing.
	StateDirectory string
	// TokenFile holds the bearer token that fetches must carry; "" for none.
	TokenFile string
	// Load reads the configuration anew. With an error the Sources are those of the last good one.
	Load func() (Sources, error)
	// Flaws are what else is wrong with the configuration, as long as the Store is: it runs without.
	Flaws []error
	// AllowMassRemoval takes the first load as deliberate.
	AllowMassRemoval bool
	Logger           *slog.Logger
}

// Sources are where definitions come from.
type Sources struct {
	ConfigPath string // the configuration file, whose machine.pods are definitions; "" for none
	Config     []byte // its content
	Patterns   []string
}

// Kubelet is what a Store needs to know of the kubelet it feeds or observes.
type Kubelet struct {
	Directory string // its manifest directory, or its one manifest file; "" for none
	// StaticPodPath is what the kubelet itself calls Directory, which is part of every UID: it differs where the
	// exporter sees the directory elsewhere, as in a container. "" for the same.
	StaticPodPath string
	Feed          Feed // another server that feeds it, read in observing mode; the zero value for none
	Standalone    bool
	FeatureGates  map[string]bool
}

func (k Kubelet) equal(l Kubelet) bool {
	return k.Directory == l.Directory && k.StaticPodPath == l.StaticPodPath && k.Feed.equal(l.Feed) && k.sameRules(l)
}

// sameRules reports whether definitions are judged alike.
func (k Kubelet) sameRules(l Kubelet) bool {
	return k.Standalone == l.Standalone && maps.Equal(k.FeatureGates, l.FeatureGates)
}

// A Store owns the definitions of the node. Make it with Open, drive it with Run.
type Store struct {
	options Options
	log     *slog.Logger
	now     func() time.Time

	// loading serializes loads; what follows belongs to whoever holds it.
	loading   sync.Mutex
	state     *state
	saved     []byte // the state file's content
	validator *Validator
	running   Running
	kubelet   Kubelet
	watcher   *watcher
	settler   settler
	foreign   provenFeed
	loaded    bool
	invalid   map[string]bool // what was refused by validation or the kubelet at the last load
	saveErr   string
	wake      chan struct{}
	feeder    *feeder // its methods may be called by anybody

	mu       sync.Mutex // guards what follows
	set      *Set
	withheld string
	accepted string // the revision that the kubelet is known to have taken last
	told     told
	acted    acted
	changed  chan struct{}
}

// Open reads the persisted state and is ready to serve the document it describes, before any definition is
// parsed. A state that cannot be understood is set aside under another name and counts as lost.
func Open(o Options) (*Store, error) {
	s := &Store{
		options: o, log: o.Logger, now: time.Now,
		invalid: map[string]bool{},
		wake:    make(chan struct{}, 1),
		changed: make(chan struct{}),
	}
	s.feeder = newFeeder(func() time.Time { return s.now() }, s.reloadSoon)
	var err error
	if s.state, err = loadState(o.StateDirectory); err != nil {
		if s.state, err = s.setAside(err); err != nil {
			return nil, err
		}
	}
	node, err := nodeName(o.Node, s.state.Node)
	if err != nil {
		return nil, err
	}
	if s.state.Node != "" && s.state.Node != node {
		s.log.Warn("the node was renamed: the UID of every static pod changes, so all of them restart", "before", s.state.Node, "now", node)
	}
	s.acted = actedOn(s.state)
	s.validator = NewValidator(Rules{Node: node})
	s.set = &Set{Node: node, At: s.now(), Unread: true, Serving: o.Serving, Rejections: map[string]uint64{"validation": 0, "kubelet": 0}, LastReload: true}
	s.withheld = "the definitions have not been read yet"
	if o.Serving && s.state.Served != "" && s.state.Node == node {
		restored := &planner{state: s.state}
		s.set.Document = newDocument(restored.items(), s.state.DocumentAt)
	}
	return s, nil
}

// setAside renames a state file that cannot be understood, so that nothing is lost by the fresh start.
func (s *Store) setAside(cause error) (*state, error) {
	if errors.Is(cause, os.ErrPermission) {
		return nil, cause
	}
	old := s.options.StateDirectory + "/" + stateFile
	aside := fmt.Sprintf("%s.unreadable-%d", old, s.now().Unix())
	if err := os.Rename(old, aside); err != nil {
		return nil, errors.Join(cause, err)
	}
	s.log.Error("the state cannot be understood and was set aside: starting as if it were lost", "err", cause, "kept", aside)
	fresh := newState()
	fresh.lost = true
	return fresh, nil
}

// nodeName is the flag, else what was persisted, else the lower-cased hostname. The kubelet's own idea of
// the name is never adopted: it would change every UID.
func nodeName(flag, persisted string) (string, error) {
	if flag != "" {
		return strings.ToLower(strings.TrimSpace(flag)), nil
	}
	if persisted != "" {
		return persisted, nil
	}
	host, err := os.Hostname()
	if err != nil {
		return "", fmt.Errorf("node name: %w", err)
	}
	return strings.ToLower(strings.TrimSpace(host)), nil
}

// Node returns the node's name.
func (s *Store) Node() string { return s.Current().Node }

// Current returns the latest Set.
func (s *Store) Current() *Set {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.set
}

// Changed returns a channel that closes when the Set that Current returned before is replaced.
func (s *Store) Changed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changed
}

// publish replaces the Set. The caller holds mu.
func (s *Store) publish(next *Set) {
	s.set = next
	close(s.changed)
	s.changed = make(chan struct{})
}

// document returns what to serve; nil, and why, while nothing may be served.
func (s *Store) document() (*Document, string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.set.Document, s.withheld
}

// Reload loads everything anew, deliberately: held removals happen, and contents that the kubelet refused
// are tried again. It returns why the configuration could not be used, in which case the last good one was.
func (s *Store) Reload(context.Context) error {
	_, err := s.load(true)
	return err
}

// LookAgain has the list of another server read now: the kubelet has said something about it.
func (s *Store) LookAgain() { s.feeder.look() }

// SetAddress tells what the manifest listener is bound to, as HOST:PORT.
func (s *Store) SetAddress(address string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := *s.set
	next.Address = address
	s.publish(&next)
}

func (s *Store) reloadSoon() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// load reads all sources, plans, persists and publishes. The error is the configuration's.
func (s *Store) load(deliberate bool) (recheck time.Time, err error) {
	s.loading.Lock()
	defer s.loading.Unlock()
	at := s.now()
	s.hear()
	sources, configErr := s.options.Load()
	r, watched, problems := s.read(sources, at, deliberate || !s.loaded && s.options.AllowMassRemoval)
	p := makePlan(s.state, r)
	s.loaded = true

	problems = append(problems, p.problems...)
	if configErr != nil {
		problems = append(problems, configInvalid(sources.ConfigPath, configErr))
	}
	for _, err := range s.options.Flaws {
		problems = append(problems, configInvalid("", err))
	}
	document := s.nextDocument(p, at)
	s.state = p.state
	if err := s.save(); err != nil {
		problems = append(problems, Problem{Reason: ConfigInvalid, Level: Critical, Path: s.options.StateDirectory,
			Message: "what is served now would not survive a restart: " + clip(err.Error())})
	}
	if p.withheld != "" {
		problems = append(problems, Problem{Reason: MassRemovalHeld, Level: Critical, Message: "no list is served: " + p.withheld})
	}
	if s.watcher.follow(watched) {
		s.reloadSoon()
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	next := *s.set
	next.At, next.Unread, next.Definitions, next.Document = at, false, p.definitions, document
	next.Directory, next.List = r.directoryState(), nil
	if r.foreign != nil {
		next.List = r.foreign.list
	}
	next.Problems = dateProblems(s.set.Problems, problems, at)
	next.Rejections = s.countRejections(p.definitions)
	next.LastReload = configErr == nil
	s.logTransitions(s.set, &next)
	s.withheld, s.acted = p.withheld, actedOn(p.state)
	s.publish(&next)
	return p.recheck, configErr
}

// nextDocument renders the plan's document, keeping the one that is served when nothing in it changed.
func (s *Store) nextDocument(p *plan, at time.Time) *Document {
	if !s.options.Serving || p.withheld != "" {
		return nil
	}
	next := newDocument(p.items, at)
	if current := s.Current().Document; current != nil && current.Revision == next.Revision {
		next = current
	}
	p.state.Served, p.state.DocumentAt = next.Revision, next.At
	if p.state.Trial != nil {
		p.state.Trial.Revision = next.Revision
	}
	return next
}

// save persists the state when it changed.
func (s *Store) save() error {
	if s.state.lost {
		return nil // nothing is known yet: a file would claim the opposite
	}
	data, err := json.Marshal(s.state)
	if err != nil {
		return err
	}
	if bytes.Equal(data, s.saved) {
		return nil
	}
	if err := WritePrivate(s.options.StateDirectory, stateFile, data); err != nil {
		if s.saveErr != err.Error() {
			s.log.Error("the state cannot be written", "err", err)
		}
		s.saveErr = err.Error()
		return err
	}
	s.saved, s.saveErr = data, ""
	return nil
}

// countRejections counts the definitions that were not refused at the last load and are now.
func (s *Store) countRejections(definitions []*Definition) map[string]uint64 {
	counts := maps.Clone(s.set.Rejections)
	now := map[string]bool{}
	for _, d := range definitions {
		if d.Valid {
			continue
		}
		stage := "validation"
		if has(d.Problems, ManifestRejected) {
			stage = "kubelet"
		}
		key := fmt.Sprint(stage, "|", d.ID, "|", d.Path, "|", d.Hash, "|", headline(d))
		now[key] = true
		if !s.invalid[key] {
			counts[stage]++
		}
	}
	s.invalid = now
	return counts
}

// logTransitions writes one line for each definition whose standing changed.
func (s *Store) logTransitions(before, after *Set) {
	was := map[string]*Definition{}
	for _, d := range before.Definitions {
		was[d.ID] = d
	}
	for _, d := range after.Definitions {
		old := was[d.ID]
		delete(was, d.ID)
		switch {
		case !d.Valid && (old == nil || old.Valid || headline(old) != headline(d)):
			p := problemOf(d)
			s.log.Warn("definition refused", "definition", d.ID, "reason", p.Reason, "path", p.Path, "line", p.Line, "field", p.Field, "err", p.Message, "kept", d.Served && after.Serving)
		case d.Valid && (old == nil || !old.Valid || old.Hash != d.Hash):
			s.log.Info("definition loaded", "definition", d.ID, "version", d.Version, "path", d.Path, "served", d.Served)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(was)) {
		s.log.Info("definition removed", "definition", id, "path", was[id].Path)
	}
	for _, p := range after.Problems {
		if !slices.ContainsFunc(before.Problems, p.Same) {
			s.log.Warn("the node's static pods have a problem", "reason", p.Reason, "path", p.Path, "err", p.Message)
		}
	}
	if d := after.Document; d != nil && (before.Document == nil || before.Document.Revision != d.Revision) {
		s.log.Info("serving", "revision", d.Revision, "pods", len(d.UIDs), "bytes", len(d.Bytes))
	}
}

// headline is the reason a definition is refused for.
func headline(d *Definition) Reason { return problemOf(d).Reason }

// problemOf is the first critical problem of a definition, else its first.
func problemOf(d *Definition) Problem {
	for _, p := range d.Problems {
		if p.Level == Critical {
			return p
		}
	}
	if len(d.Problems) > 0 {
		return d.Problems[0]
	}
	return Problem{}
}

// dateProblems gives each problem the onset it had before, or now.
func dateProblems(before, now []Problem, at time.Time) []Problem {
	for i := range now {
		if !now[i].Since.IsZero() {
			continue
		}
		now[i].Since = at
		if j := slices.IndexFunc(before, now[i].Same); j >= 0 {
			now[i].Since = before[j].Since
		}
	}
	return now
}
