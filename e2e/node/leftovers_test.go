package node_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/staticpod-exporter/staticpod-exporter/e2e/await"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/node"
)

func TestNothingIsLeft(t *testing.T) {
	alone, before := machine(t)
	n := start(t, node.Options{})
	write(t, n, "host.yaml", pod("host", "sleep", "1h"))
	write(t, n, "net.yaml", strings.Replace(pod("net", "sleep", "1h"), "hostNetwork: true", "volumes: [{name: memory, emptyDir: {medium: Memory}}]", 1))
	write(t, n, "stubborn.yaml", pod("stubborn", "stubborn"))
	await.Nil(t, "two running containers and a sandbox that fails", func(ctx context.Context) error {
		all, err := n.Containers(ctx)
		if err == nil && len(all) < 2 {
			err = fmt.Errorf("containers: %v", all)
		}
		if log, _ := os.ReadFile(n.KubeletLog().Path()); !bytes.Contains(log, []byte("CreatePodSandboxError")) {
			err = errors.Join(err, errors.New("no sandbox failed"))
		}
		if links := with(traces(t, n.Directory(), n.Cgroup()), "link "); len(links) < 2 {
			err = errors.Join(err, fmt.Errorf("links to logs: %v", links))
		}
		return err
	})
	for _, kind := range []string{"process ", "mount ", "cgroup ", "link ", "file "} {
		if len(with(traces(t, n.Directory(), n.Cgroup()), kind)) == 0 {
			t.Fatalf("a running node has traces of each kind, but none: %s", kind)
		}
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	if left := traces(t, n.Directory(), n.Cgroup()); len(left) > 0 {
		t.Errorf("left behind: %s", strings.Join(left, "\n"))
	}
	compare(t, alone, before)
}

func TestNothingIsLeftByAProcessThatIsKilled(t *testing.T) {
	alone, before := machine(t)
	owner := exec.Command(os.Args[0])
	owner.Env = append(os.Environ(), crashVariable+"=1")
	owner.Stderr = t.Output()
	in, err := owner.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := owner.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := owner.Start(); err != nil {
		t.Fatal(err)
	}
	var dir, group, failure string
	if _, err := fmt.Fscan(out, &dir, &group, &failure); err != nil || failure != "<nil>" {
		t.Fatalf("the node's owner said %q, %v", failure, err)
	}
	await.Nil(t, "the pod", func(context.Context) error {
		if !slices.Contains(traces(t, dir, group), "process /testpod sleep 1h") {
			return errors.New("does not run")
		}
		return nil
	})
	removed, alive, err := node.Down(t.Context())
	if len(removed) != 0 || !slices.Contains(alive, node.Live{Directory: dir, Owner: owner.Process.Pid}) || err != nil {
		t.Errorf("Down, while the owner lives: removed %v, left %v, %v", removed, alive, err)
	}

	owner.Process.Signal(syscall.SIGKILL)
	owner.Wait()
	await.Nil(t, "the guard and its end", func(context.Context) error {
		if left := traces(t, dir, group); len(left) > 0 {
			return fmt.Errorf("left behind: %s", strings.Join(left, "\n"))
		}
		return nil
	})
	compare(t, alone, before)
}

// traces lists what there is of the node with that directory and cgroup.
func traces(t *testing.T, dir, group string) []string {
	t.Helper()
	var all []string
	for _, pattern := range []string{dir, "/run/staticpod-exporter-node/" + group + "*"} {
		all = append(all, glob(t, "file ", pattern)...)
	}
	for _, pattern := range []string{"/sys/fs/cgroup/", "/sys/fs/cgroup/*/"} {
		all = append(all, glob(t, "cgroup ", pattern+group)...)
	}
	for _, link := range glob(t, "", "/var/log/containers/*") {
		if to, err := os.Readlink(link); err == nil && strings.HasPrefix(to, dir+"/") {
			all = append(all, "link "+link)
		}
	}
	mounts, err := os.ReadFile("/proc/mounts")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, dir) {
			all = append(all, "mount "+strings.TrimSpace(line))
		}
	}
	processes, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range processes {
		if _, err := strconv.Atoi(p.Name()); err != nil {
			continue
		}
		command, _ := os.ReadFile(filepath.Join("/proc", p.Name(), "cmdline")) // empty for one that has ended
		groups, _ := os.ReadFile(filepath.Join("/proc", p.Name(), "cgroup"))
		if len(command) > 0 && (bytes.Contains(command, []byte(dir)) || bytes.Contains(command, []byte(group)) || bytes.Contains(groups, []byte(group))) {
			all = append(all, "process "+strings.TrimSpace(string(bytes.ReplaceAll(command, []byte{0}, []byte(" ")))))
		}
	}
	return all
}

// machine describes what a node changes of the machine, outside of what has its name; alone says that no node
// has changed it.
func machine(t *testing.T) (alone bool, state []string) {
	t.Helper()
	for _, pattern := range []string{"/sys/fs/cgroup/kubepods*", "/sys/fs/cgroup/*/kubepods*", "/run/netns/*", "/run/containerd*", "/run/mount",
		"/run/staticpod-exporter-node", "/var/lib/cni*", "/var/lib/kubelet*", "/var/log/containers*", "/var/log/pods*", "/opt/containerd*", "/opt/cni*"} {
		state = append(state, glob(t, "", pattern)...)
	}
	for _, name := range []string{"vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops"} {
		value, err := os.ReadFile("/proc/sys/" + name)
		if err != nil {
			t.Fatal(err)
		}
		state = append(state, name+"="+strings.TrimSpace(string(value)))
	}
	return !slices.Contains(state, "/run/staticpod-exporter-node"), state
}

// compare fails when the machine is not as it was. Somebody else's node, before or now, says nothing about ours.
func compare(t *testing.T, alone bool, before []string) {
	t.Helper()
	if !alone {
		t.Log("another node runs: what nodes share was not compared")
		return
	}
	if others := glob(t, "", "/run/staticpod-exporter-node/*.node"); len(others) > 0 {
		t.Log("another node was started: what nodes share was not compared:", others)
		return
	}
	if _, after := machine(t); !slices.Equal(after, before) {
		t.Errorf("the machine before:\n%s\nand after:\n%s", strings.Join(before, "\n"), strings.Join(after, "\n"))
	}
}

func glob(t *testing.T, kind, pattern string) []string {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	for i := range paths {
		paths[i] = kind + paths[i]
	}
	return paths
}

func with(all []string, prefix string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(s string) bool { return !strings.HasPrefix(s, prefix) })
}
