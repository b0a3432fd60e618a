package kubeletlog

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// A position is a place in the log that a later run finds again, wherever rotation has taken its file.
type position struct {
	Path     string    `json:"path"` // of the log, not of a rotated file; of a journal its source
	Device   uint64    `json:"device,omitempty"`
	Inode    uint64    `json:"inode,omitempty"`
	Length   int       `json:"length,omitempty"`      // of what Sum is of
	Sum      string    `json:"fingerprint,omitempty"` // of the first Length bytes of the file
	Offset   int64     `json:"offset,omitempty"`
	Modified time.Time `json:"modified,omitzero"` // when the file was, as last seen
	Cursor   string    `json:"cursor,omitempty"`  // of an entry of the journal
}

func fingerprint(head []byte) string {
	sum := sha256.Sum256(head)
	return hex.EncodeToString(sum[:16])
}

func nodeOf(info fs.FileInfo) (device, inode uint64) {
	st := info.Sys().(*syscall.Stat_t)
	return uint64(st.Dev), uint64(st.Ino)
}

// headLimit is how much of the beginning of a file identifies it, and sureLength how much of that is
// enough when the inode is another: a line of the kubelet begins with its time to the microsecond.
const (
	headLimit  = 1 << 10
	sureLength = 64
)

// likeness tells how sure it is that file is the one of p: 2 is the very same, 1 a copy, 0 another.
func (p position) likeness(file *os.File, info fs.FileInfo) int {
	head := make([]byte, p.Length)
	if n, _ := file.ReadAt(head, 0); n < p.Length || fingerprint(head) != p.Sum {
		return 0
	}
	if device, inode := nodeOf(info); device == p.Device && inode == p.Inode {
		return 2
	}
	if p.Length >= sureLength && info.Size() >= p.Offset {
		return 1
	}
	return 0
}

// A checkpoint keeps a position in a file of the state directory. It is written atomically, but not synced:
// after a power cut an older position, or none, costs repetition and no loss.
type checkpoint struct {
	path  string // "" keeps nothing
	log   *slog.Logger
	saved position
	at    time.Time
	err   string // of the last write
}

const checkpointName = "kubelet-log.json"

func newCheckpoint(directory string, log *slog.Logger) *checkpoint {
	c := &checkpoint{log: log}
	if directory != "" {
		c.path = filepath.Join(directory, checkpointName)
	}
	return c
}

// load returns the position kept for the log at path. One that is unreadable or of another log is none.
func (c *checkpoint) load(path string) (position, bool) {
	if c.path == "" {
		return position{}, false
	}
	data, err := os.ReadFile(c.path)
	if errors.Is(err, fs.ErrNotExist) {
		return position{}, false
	}
	var p position
	if err == nil {
		decoder := json.NewDecoder(bytes.NewReader(data))
		err = decoder.Decode(&p)
	}
	if err == nil && (p.Offset < 0 || p.Length < 0 || p.Length > headLimit) {
		err = errors.New("out of range")
	}
	if err != nil {
		c.log.Warn("Kubelet log is read from its beginning, its checkpoint cannot be read", "err", err)
		return position{}, false
	}
	return p, p.Path == path
}

// save keeps p, unless it is kept already.
func (c *checkpoint) save(p position) {
	if c.path == "" || p == c.saved || p.Path == "" {
		return
	}
	err := c.write(p)
	switch {
	case err == nil:
		c.saved, c.at, c.err = p, time.Now(), ""
	case err.Error() != c.err:
		c.err = err.Error()
		c.log.Warn("Kubelet log's checkpoint cannot be written, a restart will repeat events", "err", err)
	}
}

func (c *checkpoint) write(p position) error {
	data, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("kubelet log checkpoint: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(c.path), 0o700); err != nil {
		return fmt.Errorf("kubelet log checkpoint: %w", err)
	}
	next := c.path + ".tmp"
	file, err := os.OpenFile(next, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("kubelet log checkpoint: %w", err)
	}
	_, err = file.Write(data)
	if err = errors.Join(err, file.Close()); err == nil {
		err = os.Rename(next, c.path)
	}
	if err != nil {
		return fmt.Errorf("kubelet log checkpoint: %w", err)
	}
	return nil
}
