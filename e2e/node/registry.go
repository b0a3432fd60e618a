package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// registry is where each node of this machine has its record, for as long as anything of it is left. It is in
// memory, as is all that a node leaves outside its directory.
const registry = "/run/staticpod-exporter-node"

// record is what must be known of a node to take it down without the process that started it.
type record struct {
	Directory string `json:"directory"`
	Cgroup    string `json:"cgroup"`
	Owner     int    `json:"owner"` // a process, for people to read; whether it lives, the lock on the record says
}

// host is what the nodes of this machine change outside their directories, as it was before the first of them.
type host struct {
	Sysctls map[string]string `json:"sysctls"`
	Absent  []string          `json:"absent"` // directories that did not exist
}

// Kubelets set these kernel parameters, and make these directories, whatever their configuration says; the
// inner directories come first.
var (
	kubeletSysctls     = []string{"vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops", "kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes"}
	kubeletDirectories = []string{"/var/log/containers", "/var/lib/kubelet/device-plugins", "/var/lib/kubelet", "/var/lib/cni/results", "/var/lib/cni", "/run/mount"}
	kubeletFiles       = []string{"/var/lib/kubelet/device-plugins/kubelet.sock", "/var/lib/kubelet/device-plugins/kubelet_internal_checkpoint"}
)

// lease is a record that this process holds: while it does, the node is nobody else's to take down.
type lease struct {
	record
	file *os.File // locked
}

// register records a node, before anything of it exists.
func register(r record) (*lease, error) {
	unlock, err := lockRegistry()
	if err != nil {
		return nil, err
	}
	defer unlock()
	others, err := records()
	if err != nil {
		return nil, err
	}
	if len(others) == 0 {
		if err := writeJSON(filepath.Join(registry, "host.json"), inspectHost()); err != nil {
			return nil, err
		}
	}
	path := recordPath(r.Cgroup)
	if err := writeJSON(path, r); err != nil {
		return nil, err
	}
	file, err := lockFile(path, syscall.LOCK_EX|syscall.LOCK_NB)
	if err != nil {
		return nil, fmt.Errorf("registry of nodes: %w", err)
	}
	return &lease{record: r, file: file}, nil
}

// release forgets the node, of which nothing is left; with the last one the machine is as it was.
func (l *lease) release() error {
	unlock, err := lockRegistry()
	if err != nil {
		return err
	}
	defer unlock()
	defer l.file.Close()
	if err := os.Remove(l.file.Name()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	others, err := records()
	if err != nil || len(others) > 0 {
		return err
	}
	var h host
	content, err := os.ReadFile(filepath.Join(registry, "host.json"))
	if err == nil {
		err = json.Unmarshal(content, &h)
	}
	if err != nil {
		return fmt.Errorf("registry of nodes: %w", err)
	}
	if err := h.restore(); err != nil {
		return err
	}
	return os.RemoveAll(registry)
}

// abandoned takes over the records whose owners have ended, and counts those whose owners live.
func abandoned() (left []*lease, alive []record, err error) {
	if _, err := os.Stat(registry); errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	unlock, err := lockRegistry()
	if err != nil {
		return nil, nil, err
	}
	defer unlock()
	paths, err := records()
	if err != nil {
		return nil, nil, err
	}
	for _, path := range paths {
		var r record
		content, err := os.ReadFile(path)
		if err == nil {
			err = json.Unmarshal(content, &r)
		}
		if err != nil {
			return left, alive, fmt.Errorf("registry of nodes: %w", err)
		}
		file, err := lockFile(path, syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case errors.Is(err, syscall.EWOULDBLOCK):
			alive = append(alive, r)
		case err != nil:
			return left, alive, fmt.Errorf("registry of nodes: %w", err)
		default:
			left = append(left, &lease{record: r, file: file})
		}
	}
	if len(paths) == 0 {
		return nil, nil, os.RemoveAll(registry)
	}
	return left, alive, nil
}

func recordPath(cgroup string) string { return filepath.Join(registry, cgroup+".node") }

func records() ([]string, error) { return filepath.Glob(filepath.Join(registry, "*.node")) }

// lockRegistry makes the registry and locks it. It may vanish while we wait: then we begin anew.
func lockRegistry() (unlock func(), err error) {
	path := filepath.Join(registry, "lock")
	for {
		if err := os.MkdirAll(registry, 0o700); err != nil {
			return nil, fmt.Errorf("registry of nodes: %w", err)
		}
		file, err := lockFile(path, syscall.LOCK_EX)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("registry of nodes: %w", err)
		}
		locked, err := file.Stat()
		if err != nil {
			file.Close()
			return nil, fmt.Errorf("registry of nodes: %w", err)
		}
		if there, err := os.Stat(path); err == nil && os.SameFile(locked, there) {
			return func() { file.Close() }, nil
		}
		file.Close()
	}
}

// lockFile opens and locks a file; closing it unlocks it, and so does the end of the process.
func lockFile(path string, how int) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err := syscall.Flock(int(file.Fd()), how)
		if err == nil {
			return file, nil
		}
		if !errors.Is(err, syscall.EINTR) {
			file.Close()
			return nil, err
		}
	}
}

func inspectHost() host {
	h := host{Sysctls: map[string]string{}}
	for _, name := range kubeletSysctls {
		if value, err := os.ReadFile(filepath.Join("/proc/sys", name)); err == nil {
			h.Sysctls[name] = strings.TrimSpace(string(value))
		}
	}
	for _, dir := range kubeletDirectories {
		if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
			h.Absent = append(h.Absent, dir)
		}
	}
	return h
}

func (h host) restore() error {
	var failed []error
	for name, value := range h.Sysctls {
		path := filepath.Join("/proc/sys", name)
		if now, err := os.ReadFile(path); err == nil && strings.TrimSpace(string(now)) != value {
			failed = append(failed, os.WriteFile(path, []byte(value), 0))
		}
	}
	for _, dir := range h.Absent {
		for _, file := range kubeletFiles {
			if filepath.Dir(file) == dir {
				os.Remove(file)
			}
		}
		// A directory that somebody else uses by now is not empty, and stays.
		if err := syscall.Rmdir(dir); err != nil && !errors.Is(err, syscall.ENOENT) && !errors.Is(err, syscall.ENOTEMPTY) && !errors.Is(err, syscall.EBUSY) {
			failed = append(failed, &fs.PathError{Op: "rmdir", Path: dir, Err: err})
		}
	}
	return errors.Join(failed...)
}

func writeJSON[T record | host](path string, content T) error {
	encoded, err := json.Marshal(content)
	if err != nil {
		return err
	}
	if err := os.WriteFile(path, encoded, 0o600); err != nil {
		return fmt.Errorf("registry of nodes: %w", err)
	}
	return nil
}
