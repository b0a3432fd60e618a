package kubeletlog

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
)

// Auto is the path that stands for the first of WellKnown that exists.
const Auto = "auto"

// Options of a Follower.
type Options struct {
	// Path is the log: file:///var/log/kubelet.log, a plain absolute path, or Auto, which is looked for until
	// one of WellKnown exists.
	Path string
	// StateDirectory holds the checkpoint. Without one ("") every start reads the log from its beginning.
	StateDirectory string
	Logger         *slog.Logger
}

// WellKnown lists where distributions keep the kubelet's log as a file, in the order that Auto tries them.
// On kubeadm nodes the kubelet logs to the journal, which is no file: none of these exists there.
func WellKnown() []string {
	return []string{
		"/var/lib/rancher/rke2/agent/logs/kubelet.log", // RKE2
		"/var/lib/rancher/k3s/agent/logs/kubelet.log",  // k3s with a log file for its kubelet
		"/var/log/kubelet.log",                         // Talos, and units with StandardError=append:
		"/var/log/k3s.log",                             // k3s under OpenRC, its kubelet's lines included
	}
}

// Probe returns the first of WellKnown that is there.
func Probe() (path string, ok bool) { return firstFile(WellKnown()) }

func firstFile(paths []string) (string, bool) {
	for _, p := range paths {
		if info, err := os.Stat(p); err == nil && info.Mode().IsRegular() {
			return p, true
		}
	}
	return "", false
}

// filePath returns the file that source names, or "" for Auto.
func filePath(source string) (string, error) {
	if source == Auto {
		return "", nil
	}
	path := source
	if scheme, rest, ok := strings.Cut(source, ":"); ok && !strings.HasPrefix(source, "/") {
		if scheme != "file" {
			return "", fmt.Errorf("kubelet log %q: unsupported scheme %q (supported: file:///path, /path, %s)", source, scheme, Auto)
		}
		path = rest
		if host, ok := strings.CutPrefix(rest, "//"); ok {
			path = strings.TrimPrefix(host, "localhost")
		}
	}
	if !filepath.IsAbs(path) {
		return "", fmt.Errorf("kubelet log %q: not an absolute path (supported: file:///path, /path, %s)", source, Auto)
	}
	return filepath.Clean(path), nil
}
