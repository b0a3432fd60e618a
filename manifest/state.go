package manifest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// stateVersion is the format of the state file. A file of another format is set aside, not guessed at.
const stateVersion = 1

// state is what the store must not forget: every definition that was ever served and the revision of it that
// runs. It is written before the document that depends on it is served.
type state struct {
	Version int    `json:"version"`
	Node    string `json:"node"` // part of every UID, so never changed by accident
	// Entries by key, namespace/name.
	Entries map[string]*entry `json:"entries"`
	// Refused are contents that the kubelet itself refused though our validation accepts them, by hash.
	Refused map[string]refusal `json:"refused,omitempty"`
	// Trial is under way while the culprit of a refused list is searched.
	Trial *trial `json:"trial,omitempty"`
	// Judged identifies the kubelet's last verdict that was acted upon.
	Judged string `json:"judged,omitempty"`
	// Served is the revision of the last document that was served, DocumentAt when it was first.
	Served     string    `json:"served,omitempty"`
	DocumentAt time.Time `json:"documentAt,omitzero"`

	// lost is set when there was no state file: nothing is known of what ran before.
	lost bool
}

// An entry is one definition that the store remembers.
type entry struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	Path      string `json:"path"` // the file it last came from
	Line      int    `json:"line"`
	Source    Source `json:"source"`

	Revision uint64    `json:"revision"` // the definition's version
	Hash     string    `json:"hash"`     // of the content as last read, valid or not
	Created  time.Time `json:"created"`
	Updated  time.Time `json:"updated"`
	Changed  time.Time `json:"changed,omitzero"` // when the content as last read was written
	Judged   time.Time `json:"judged,omitzero"`  // when it was first read
	// Garbled is the digest of a file's content that tells of no pod any more; "" when it does.
	Garbled string `json:"garbled,omitempty"`

	// Served is the revision in the document, Accepted the last one that the kubelet is known to have taken.
	Served   *revision `json:"served,omitempty"`
	Accepted *revision `json:"accepted,omitempty"`

	// GoneSince is when its file was first seen to be gone.
	GoneSince time.Time `json:"goneSince,omitzero"`
	// Held is set on a removal that waits for a deliberate reload.
	Held bool `json:"held,omitempty"`
	// Onsets are the beginnings of its problems, by identity of the problem.
	Onsets map[string]time.Time `json:"onsets,omitempty"`
}

// A revision is one valid content of a definition.
type revision struct {
	Hash      string          `json:"hash"`
	UID       types.UID       `json:"uid"`
	Canonical json.RawMessage `json:"canonical"` // the author's tree, without the UID
}

// A refusal is the kubelet's own judgement of a content.
type refusal struct {
	Message string    `json:"message"`
	At      time.Time `json:"at"`
}

// A trial isolates the culprit of a refused list: every suspect content goes back to what was accepted
// before, then they return one at a time, each proven or refused by the kubelet alone.
type trial struct {
	Message  string    `json:"message"` // the kubelet's words on the whole list
	Since    time.Time `json:"since"`
	Waiting  []string  `json:"waiting"`          // hashes of the suspects not yet tried
	Trying   string    `json:"trying,omitempty"` // hash of the one in the document now; "" while the list without any is proven
	Revision string    `json:"revision"`         // of the document on trial
}

func newState() *state {
	return &state{Version: stateVersion, Entries: map[string]*entry{}, Refused: map[string]refusal{}}
}

// clone returns a deep enough copy: plan changes entries, never revisions.
func (s *state) clone() *state {
	c := *s
	c.Entries = make(map[string]*entry, len(s.Entries))
	for k, e := range s.Entries {
		copied := *e
		copied.Onsets = make(map[string]time.Time, len(e.Onsets))
		for o, at := range e.Onsets {
			copied.Onsets[o] = at
		}
		c.Entries[k] = &copied
	}
	c.Refused = make(map[string]refusal, len(s.Refused))
	for h, r := range s.Refused {
		c.Refused[h] = r
	}
	if s.Trial != nil {
		t := *s.Trial
		t.Waiting = append([]string(nil), t.Waiting...)
		c.Trial = &t
	}
	return &c
}

const (
	stateFile    = "manifest.json"
	documentFile = "document.json"
)

// loadState reads the state from directory, creating the directory (0700) when it is missing. Without a
// state file the state is lost; a file that cannot be understood is an error.
func loadState(directory string) (*state, error) {
	if err := os.MkdirAll(directory, 0o700); err != nil {
		return nil, fmt.Errorf("state directory: %w", err)
	}
	data, err := os.ReadFile(filepath.Join(directory, stateFile))
	if errors.Is(err, fs.ErrNotExist) {
		s := newState()
		s.lost = true
		return s, nil
	}
	if err != nil {
		return nil, fmt.Errorf("state: %w", err)
	}
	s := newState()
	if err := json.Unmarshal(data, s); err != nil {
		return nil, fmt.Errorf("state %s: %w", stateFile, err)
	}
	if s.Version != stateVersion {
		return nil, fmt.Errorf("state %s has format %d, this exporter writes %d", stateFile, s.Version, stateVersion)
	}
	return s, nil
}

// WritePrivate replaces directory/name by data (0600) so that a crash at any moment leaves the old file or the
// new one: written beside it, synced, renamed, directory synced. The temporary file has a fixed name, so that
// crashes leave one at most; nobody else may write the same file at the same time.
func WritePrivate(directory, name string, data []byte) (err error) {
	path := filepath.Join(directory, name)
	temporary := path + ".tmp"
	if err := os.Remove(temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: %w", name, err)
	}
	file, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	_, err = file.Write(data)
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err == nil {
		err = os.Rename(temporary, path)
	}
	if err != nil {
		_ = os.Remove(temporary) // what went wrong is told already
		return fmt.Errorf("%s: %w", name, err)
	}
	dir, err := os.Open(directory)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return errors.Join(dir.Sync(), dir.Close())
}
