package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	cgroupRoot   = "/sys/fs/cgroup"
	pollInterval = 20 * time.Millisecond
)

// cgroup is the group, by that name in every hierarchy, that the kubelet, containerd, its shims and all pods
// of a node live in. So whatever a node left can be found, by nothing but its name.
type cgroup struct{ name string }

// hierarchies returns the mount points of all hierarchies, and whether the machine has the one of version 2 alone.
func hierarchies() (mounts []string, unified bool, err error) {
	all, err := mountPoints()
	if err != nil {
		return nil, false, err
	}
	for _, m := range all {
		if m.kind == "cgroup" || m.kind == "cgroup2" {
			mounts = append(mounts, m.point)
			unified = unified || m.kind == "cgroup2" && m.point == cgroupRoot
		}
	}
	if len(mounts) == 0 {
		return nil, false, errors.New("no cgroup hierarchy is mounted")
	}
	return mounts, unified, nil
}

// create makes the group.
func (c cgroup) create() error {
	mounts, unified, err := hierarchies()
	if err != nil {
		return err
	}
	if unified {
		// The kubelet requires, of its root group, every controller that it would use.
		for _, controller := range []string{"cpu", "cpuset", "memory", "pids", "hugetlb", "io"} {
			available, err := os.ReadFile(filepath.Join(cgroupRoot, "cgroup.controllers"))
			if err != nil {
				return fmt.Errorf("cgroup: %w", err)
			}
			if !slices.Contains(strings.Fields(string(available)), controller) {
				continue
			}
			if err := os.WriteFile(filepath.Join(cgroupRoot, "cgroup.subtree_control"), []byte("+"+controller), 0); err != nil {
				return fmt.Errorf("cgroup: controller %s: %w", controller, err)
			}
		}
	}
	for _, mount := range mounts {
		if err := os.MkdirAll(filepath.Join(mount, c.name), 0o755); err != nil {
			return fmt.Errorf("cgroup: %w", err)
		}
	}
	// A group with members of its own cannot have controlled children in version 2: the daemons have a leaf.
	leaf, err := c.daemons()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(leaf, 0o755); err != nil {
		return fmt.Errorf("cgroup: %w", err)
	}
	return nil
}

// daemons is the leaf for kubelet, containerd and shims, in the one hierarchy in which they are members: that
// of version 2, or one of version 1 that takes members without being told more.
func (c cgroup) daemons() (string, error) {
	mounts, unified, err := hierarchies()
	if err != nil {
		return "", err
	}
	if unified {
		return filepath.Join(cgroupRoot, c.name, "daemons"), nil
	}
	for _, want := range []string{"pids", "freezer", "systemd", "memory"} {
		for _, mount := range mounts {
			if slices.Contains(strings.Split(filepath.Base(mount), ","), want) {
				return filepath.Join(mount, c.name, "daemons"), nil
			}
		}
	}
	return "", errors.New("cgroup: none of the hierarchies pids, freezer, systemd, memory is mounted")
}

// join makes a process a member.
func (c cgroup) join(pid int) error {
	leaf, err := c.daemons()
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(leaf, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0); err != nil {
		return fmt.Errorf("cgroup: %w", err)
	}
	return nil
}

// members returns the processes in the group and below it that have not ended.
func (c cgroup) members() ([]int, error) {
	all, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, entry := range all {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		groups, err := os.ReadFile(filepath.Join("/proc", entry.Name(), "cgroup"))
		if err != nil {
			continue // it ended
		}
		for line := range strings.Lines(string(groups)) {
			_, path, ok := cutLast(strings.TrimSpace(line), ":")
			if ok && (path == "/"+c.name || strings.HasPrefix(path, "/"+c.name+"/")) && !zombie(pid) {
				pids = append(pids, pid)
				break
			}
		}
	}
	return pids, nil
}

// kill ends every member, and returns when they have ended.
func (c cgroup) kill(ctx context.Context) error {
	for {
		pids, err := c.members()
		if err != nil || len(pids) == 0 {
			return err
		}
		for _, pid := range pids {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
				return fmt.Errorf("cgroup: process %d: %w", pid, err)
			}
		}
		if err := pause(ctx); err != nil {
			return fmt.Errorf("cgroup: processes %v do not end: %w", pids, err)
		}
	}
}

// remove removes the group and all below it, once their members have ended.
func (c cgroup) remove(ctx context.Context) error {
	mounts, _, err := hierarchies()
	if err != nil {
		return err
	}
	for _, mount := range mounts {
		for {
			err := removeGroups(filepath.Join(mount, c.name))
			if err == nil {
				break
			}
			if !errors.Is(err, syscall.EBUSY) {
				return fmt.Errorf("cgroup: %w", err)
			}
			if late := pause(ctx); late != nil {
				return fmt.Errorf("cgroup: %w: %w", err, late)
			}
		}
	}
	return nil
}

// removeGroups removes directories from the leaves up; the files in them go with them.
func removeGroups(dir string) error {
	var dirs []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			dirs = append(dirs, path)
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
	if err != nil {
		return err
	}
	for _, dir := range slices.Backward(dirs) {
		if err := syscall.Rmdir(dir); err != nil && !errors.Is(err, syscall.ENOENT) {
			return &fs.PathError{Op: "rmdir", Path: dir, Err: err}
		}
	}
	return nil
}

func zombie(pid int) bool {
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return true
	}
	_, state, _ := cutLast(string(stat), ") ") // the command before it may hold anything
	return strings.HasPrefix(state, "Z") || strings.HasPrefix(state, "X")
}

// pause waits for one poll, or for ctx.
func pause(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(pollInterval):
		return nil
	}
}

func cutLast(s, sep string) (before, after string, ok bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}
