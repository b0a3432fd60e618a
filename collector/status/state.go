package status

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/staticpod-exporter/staticpod-exporter/manifest"
)

const (
	// stateVersion is that of the state file; one that is newer cannot be read.
	stateVersion = 1
	// saveInterval is the least time between two saves, but for refusals, which the kubelet says once, and for what of
	// a rollout was done, of which the evidence may soon be gone.
	saveInterval, lapInterval = 5 * time.Second, 500 * time.Millisecond
)

// state is the state file: onsets, versions and latches, which no input would tell again.
type state struct {
	Version int                       `json:"version"`
	Fetches []fetchMark               `json:"fetches,omitempty"`
	Fetched map[types.UID]time.Time   `json:"fetched,omitempty"`
	Last    time.Time                 `json:"lastFetch,omitzero"`
	Waiting time.Time                 `json:"waiting,omitzero"`
	URL     *urlRefusal               `json:"url,omitempty"`
	Files   map[string]*fileRefusal   `json:"files,omitempty"`
	Words   map[string]*podWords      `json:"words,omitempty"`
	Missing map[string]time.Time      `json:"missing,omitempty"`
	Mirrors map[string]*mirrorRefusal `json:"mirrors,omitempty"`
	Ending  map[string]time.Time      `json:"ending,omitempty"`
	Newest  time.Time                 `json:"newestEvent,omitzero"`
	Ended   []EndedRollout            `json:"ended,omitempty"`
	Status  map[string]record         `json:"status,omitempty"`
}

// saveMark is how far the memory of a Snapshot had changed when it was saved.
type saveMark struct{ changes, laps, refusals uint64 }

func (m *memory) mark() saveMark { return saveMark{m.changes, m.laps, m.refusals} }

// Restore reads what a former process saved at path, so that problems keep their onset, statuses their
// version and refusals their latch. It comes before the first Observe. No file is no error; with an error the
// Tracker starts afresh, and the next save replaces the file.
func (t *Tracker) Restore(path string) error {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("status state: %w", err)
	}
	var s state
	if err := json.Unmarshal(data, &s); err != nil {
		return fmt.Errorf("status state %s: %w", path, err)
	}
	if s.Version != stateVersion {
		return fmt.Errorf("status state %s: its version is %d and this program's %d", path, s.Version, stateVersion)
	}
	maps.DeleteFunc(s.Files, func(_ string, f *fileRefusal) bool { return f == nil })
	maps.DeleteFunc(s.Mirrors, func(_ string, m *mirrorRefusal) bool { return m == nil })
	maps.DeleteFunc(s.Words, func(_ string, w *podWords) bool { return w == nil })
	t.mu.Lock()
	defer t.mu.Unlock()
	t.restored = &Snapshot{memory: memory{limits: t.restored.memory.limits, records: s.Status, latches: latches{
		fetches: s.Fetches, fetched: s.Fetched, last: s.Last, waiting: s.Waiting,
		url: s.URL, files: s.Files, words: s.Words, missing: s.Missing, mirrors: mirrors{refusals: s.Mirrors}, ending: s.Ending, newest: s.Newest, ended: s.Ended,
	}}}
	return nil
}

// Save writes what has to survive a restart to path, 0600 and atomically, if it changed since the last time.
func (t *Tracker) Save(path string) error {
	t.saving.Lock()
	defer t.saving.Unlock()
	s := t.Latest()
	if s == nil || s.memory.mark() == t.saved {
		return nil
	}
	t.tried = s.memory.mark()
	data, err := json.Marshal(s.memory.state())
	if err == nil {
		err = manifest.WritePrivate(filepath.Dir(path), filepath.Base(path), data)
	}
	if err != nil {
		return fmt.Errorf("status state: %w", err)
	}
	t.saved = t.tried
	return nil
}

// unsaved reports whether there is something to save, and how long after the save before.
func (t *Tracker) unsaved() (dirty bool, interval time.Duration) {
	t.saving.Lock()
	defer t.saving.Unlock()
	s := t.Latest()
	switch {
	case s == nil:
		return false, 0
	case s.memory.refusals != t.tried.refusals:
		return true, 0
	case s.memory.laps != t.tried.laps:
		return true, lapInterval
	}
	return s.memory.mark() != t.saved, saveInterval
}

// Persist saves to path whatever changes, refusals at once, rollouts soon, and the rest every few seconds at most, until ctx
// ends, and then once more. It logs when saving begins to fail and when it succeeds again.
func (t *Tracker) Persist(ctx context.Context, path string, log *slog.Logger) error {
	var last time.Time
	failing := false
	for {
		changed := t.Changed()
		var due <-chan time.Time
		dirty, interval := t.unsaved()
		rest := interval - time.Since(last)
		if dirty && rest <= 0 {
			err := t.Save(path)
			last, rest, dirty = time.Now(), saveInterval, err != nil
			if failed := err != nil; failed != failing {
				if failing = failed; failed {
					log.Error("the state of the verdict cannot be saved", "err", err)
				} else {
					log.Info("the state of the verdict is saved again")
				}
			}
		}
		if dirty {
			due = time.After(rest)
		}
		select {
		case <-ctx.Done():
			return t.Save(path)
		case <-changed:
		case <-due:
		}
	}
}

// state is what survives of a memory.
func (m *memory) state() *state {
	s := &state{
		Version: stateVersion,
		Fetches: m.fetches, Fetched: m.fetched, Last: m.last, Waiting: m.waiting,
		URL: m.url, Files: m.files, Words: m.words, Missing: m.missing, Mirrors: m.mirrors.refusals, Ending: m.ending, Newest: m.newest, Ended: m.ended,
		Status: make(map[string]record, len(m.entries)+len(m.records)),
	}
	for id, r := range m.records {
		s.Status[id] = r
	}
	for id, e := range m.entries {
		spec, meta := &e.status.Spec, e.status.Metadata
		kept := record{
			Version: meta.Version, Created: meta.Created, Updated: meta.Updated, Digest: specDigest(*spec),
			UID: spec.Pod.UID, Since: spec.Since, Ready: spec.Ready, Reason: spec.Reason,
			Problems: spec.Problems, Conditions: spec.Conditions, History: e.history,
			Rollout: spec.Rollout, Sight: e.sight,
		}
		if ro := spec.Rollout; ro != nil && ro.Ended.IsZero() {
			kept.Pod, kept.Definition = spec.Pod, spec.Definition
		}
		s.Status[id] = kept
	}
	return s
}

// specDigest stands for a spec without the dates of its evidence.
func specDigest(s StatusSpec) string {
	s.Observed = Observed{}
	data, err := json.Marshal(s)
	if err != nil {
		return "" // a spec is plain data: it cannot fail, and a digest that matches nothing is safe
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:16])
}
