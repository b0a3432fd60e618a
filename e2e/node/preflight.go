package node

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// Check says why no node can be started on this machine; nil when one can, as far as can be told beforehand.
func Check() error {
	if runtime.GOOS != "linux" {
		return fmt.Errorf("a node needs Linux, this is %s", runtime.GOOS)
	}
	if os.Geteuid() != 0 {
		return errors.New("a node needs root, for cgroups, mounts and namespaces")
	}
	if k, ok := HostKubelet(); ok {
		return fmt.Errorf("this machine has a kubelet of its own: %s", k)
	}
	probe := cgroup{fmt.Sprintf("staticpod-probe-%d-%x", os.Getpid(), rand.Uint64())}
	mounts, _, err := hierarchies()
	if err != nil {
		return err
	}
	for _, mount := range mounts {
		dir := filepath.Join(mount, probe.name)
		if err := os.Mkdir(dir, 0o755); err != nil {
			return fmt.Errorf("a node needs cgroups that it can change: %w", err)
		}
		if err := os.Remove(dir); err != nil {
			return err
		}
	}
	return nil
}

// HostKubelet looks for a kubelet that is not one of ours, and says how it noticed it.
func HostKubelet() (string, bool) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return "", false
	}
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		name, err := os.ReadFile(filepath.Join("/proc", entry.Name(), "comm"))
		if err != nil || ending(pid) || ours(pid) {
			continue
		}
		switch command := strings.TrimSpace(string(name)); command {
		case "kubelet", "k3s-server", "k3s-agent", "k0s":
			return fmt.Sprintf("process %d (%s)", pid, command), true
		}
	}
	// In a container the processes may be out of sight, but not the port, when it has the host's network.
	if conn, err := net.DialTimeout("tcp", "127.0.0.1:10250", time.Second); err == nil {
		conn.Close()
		return "something listens on 127.0.0.1:10250", true
	}
	return "", false
}

// ending reports whether the process is about to be gone: it has no program left to tell whose it is by.
func ending(pid int) bool {
	_, err := os.Readlink(filepath.Join("/proc", strconv.Itoa(pid), "exe"))
	return errors.Is(err, fs.ErrNotExist) || zombie(pid)
}

// ours reports whether the process belongs to a node of this package. One that just started has not joined its
// cgroup, and one that just ended has left it.
func ours(pid int) bool {
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	if program, err := os.Readlink(filepath.Join(dir, "exe")); err == nil && strings.Contains(program, "/staticpod-exporter/bin/kubelet-") {
		return true
	}
	groups, err := os.ReadFile(filepath.Join(dir, "cgroup"))
	return err == nil && strings.Contains(string(groups), ":/"+cgroupPrefix)
}
