package diagnose

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/staticpod-exporter/staticpod-exporter/collector/mirror"
	"github.com/staticpod-exporter/staticpod-exporter/cri"
	"github.com/staticpod-exporter/staticpod-exporter/manifest"
)

// StateDirectory checks that what is served can survive a restart.
func StateDirectory(directory string) Check {
	return Check{"manifest.state-directory", func(context.Context) []Finding {
		const advice = "run as the exporter's user; it must be able to make and write the directory"
		info, err := os.Stat(directory)
		if errors.Is(err, fs.ErrNotExist) {
			parent := directory
			for errors.Is(err, fs.ErrNotExist) && parent != filepath.Dir(parent) {
				parent = filepath.Dir(parent)
				_, err = os.Stat(parent)
			}
			if err := unix.Access(parent, unix.W_OK); err != nil {
				return one(fail(fmt.Sprintf("%s is not there, and %s: %v", directory, parent, err), advice))
			}
			return one(ok("%s is not there yet: serve makes it", directory))
		}
		switch {
		case err != nil:
			return one(fail(err.Error(), advice))
		case !info.IsDir():
			return one(fail(directory+" is no directory", "remove what is there"))
		}
		f, err := os.CreateTemp(directory, ".diagnose-*")
		if err != nil {
			return one(fail(err.Error(), advice))
		}
		_, err = f.Write(make([]byte, 4096))
		err = errors.Join(err, f.Close(), os.Remove(f.Name()))
		if err != nil {
			return one(fail(err.Error(), "is the disk full (df -h)? Without it a bad edit made while the exporter is down stops its pod"))
		}
		if mode := info.Mode().Perm(); mode&0o077 != 0 {
			return one(warn(fmt.Sprintf("%s is open to others (mode %04o)", directory, mode), "chmod 0700 it: definitions hold what is no business of others"))
		}
		return one(ok("%s can be written", directory))
	}}
}

// ManifestDirectory reads the kubelet's manifest directory by its own rules.
func ManifestDirectory(validator func() *manifest.Validator, find func() string) Check {
	return Check{"kubelet.manifest-directory", func(context.Context) []Finding {
		directory := find()
		if directory == "" {
			return one(skipped("the kubelet has no staticPodPath that is known"))
		}
		candidates, err := validator().Directory(directory)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return one(fail(err.Error(), "the kubelet's staticPodPath is not there for the exporter: make it, mount it, or name the place of the mount in kubelet.manifest-directory"))
		case err != nil:
			return one(fail(err.Error(), "the exporter must be able to list and read it: run it as root, or give its user the right"))
		}
		return one(judged(candidates, directory, "staticpod-exporter validate --as-directory "+directory))
	}}
}

// Definitions reads what manifest.files and the configuration define.
func Definitions(validator func() *manifest.Validator, s manifest.Sources, serving bool, directory func() string) Check {
	return Check{"manifest.files", func(context.Context) []Finding {
		if !serving {
			return one(skipped("the exporter observes: definitions are read where the kubelet has them"))
		}
		var found []Finding
		for _, err := range manifest.CheckPatterns(s.Patterns, directory()) {
			found = append(found, fail(err.Error(), "serve refuses this pattern: its pods are not served"))
		}
		candidates, unread := validator().Read(s, directory())
		for _, err := range unread {
			found = append(found, fail(err.Error(), "the exporter must be able to read it: run it as root, or mend the file's permissions"))
		}
		return append(found, judged(candidates, "manifest.files and machine.pods", "staticpod-exporter validate FILE for each, or get staticpods -o wide"))
	}}
}

// judged says how many definitions would run.
func judged(candidates []*manifest.Candidate, where, command string) Finding {
	pods, refused, first := 0, 0, ""
	for _, c := range candidates {
		pods++
		for _, p := range c.Problems {
			if p.Level == manifest.Critical {
				refused++
				if first == "" {
					first = fmt.Sprintf("%s:%d: %s [%s]", p.Path, p.Line, p.Message, p.Reason)
				}
				break
			}
		}
	}
	if refused > 0 {
		return warn(fmt.Sprintf("%s: %d of %s would not run, first %s", where, refused, counted(pods, "definition"), first), command+" shows why")
	}
	if pods == 0 {
		return ok("%s: no definition", where)
	}
	return ok("%s: %s, and none that would not run", where, counted(pods, "definition"))
}

// Runtime asks the container runtime for static pods.
func Runtime(endpoint string) Check {
	return Check{"cri.endpoint", func(ctx context.Context) []Finding {
		if endpoint == "" {
			return one(skipped("cri.endpoint is empty: with the kubelet down nothing is known of its pods"))
		}
		client, err := cri.New(cri.Options{Endpoint: endpoint})
		if err != nil {
			return one(fail(err.Error(), "write auto, or unix:///PATH"))
		}
		defer client.Close()
		view, err := client.View(ctx, true)
		if err != nil {
			return one(fail(err.Error(), runtimeAdvice(err)))
		}
		return one(ok("%s %s, sandboxes of static pods: %d", view.Runtime, view.Version, len(view.Sandboxes)))
	}}
}

func runtimeAdvice(err error) string {
	switch {
	case errors.Is(err, cri.ErrNoSocket):
		return "does a runtime run on this node? In a container mount its socket; cri.endpoint names one that is elsewhere"
	case errors.Is(err, fs.ErrPermission):
		return "run the exporter as root, or set cri.endpoint to \"\" to do without the runtime"
	case errors.Is(err, fs.ErrNotExist):
		return "cri.endpoint names a socket that is not there: auto looks in the usual places, in a container it must be mounted"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "the runtime has ended without removing its socket: systemctl status containerd (or crio, k3s, rke2-server)"
	case errors.Is(err, context.DeadlineExceeded):
		return "the runtime does not answer: systemctl status containerd (or crio, k3s, rke2-server)"
	}
	return "is it the socket of a container runtime that speaks CRI v1? In containerd the plugin cri must not be disabled"
}

// Mirrors asks the API server for the node's mirror pods.
func Mirrors(kubeconfig, node string) Check {
	return Check{"mirror.kubeconfig", func(ctx context.Context) []Finding {
		if kubeconfig == "" {
			return one(skipped("mirror.kubeconfig is empty: mirror pods are not looked at"))
		}
		client, err := mirror.New(mirror.Options{Kubeconfig: kubeconfig, Node: node})
		if err != nil {
			return one(fail(err.Error(), "give the absolute path of a kubeconfig"))
		}
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		go func() { _ = client.Run(ctx) }() // it has no error but those that View tells
		view, err := client.View(ctx, true)
		switch {
		case errors.Is(err, mirror.ErrUnauthorized):
			return one(fail(err.Error(), "allow its user to list and watch pods of this node, and to get the node; the kubelet's own kubeconfig may"))
		case err != nil:
			return one(fail(err.Error(), "is the API server of that kubeconfig reachable from here? Nothing else depends on it"))
		}
		return one(ok("the API server has %s of this node", counted(len(view.Pods), "mirror pod")))
	}}
}
