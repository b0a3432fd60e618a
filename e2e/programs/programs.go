// Package programs provides what a node consists of. Kubelet and containerd are built from their modules, once,
// and kept in the user's cache; runc and the CNI plugins are the distribution's; the images hold our testpod.
package programs

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
)

// The names of the images.
const (
	PodImage   = "staticpod.test/pod:1"   // runs testpod with the container's arguments
	PauseImage = "staticpod.test/pause:1" // the sandbox's
)

// KubeletVariable of the environment names the directory, below e2e/, of the module that the kubelet is built from,
// when it is another than kubelet.
const KubeletVariable = "STATICPOD_NODE_KUBELET"

// Programs are the paths of all that a node runs.
type Programs struct {
	Kubelet, KubeletVersion       string
	Containerd, ContainerdVersion string
	Ctr                           string // beside it lies the shim
	Runc                          string
	CNI                           string // a directory
	Images                        string // an OCI layout, as tar, with PodImage and PauseImage
	Node                          string // e2e/cmd/node, for its guard
}

// Ensure returns the programs, and before that installs and builds what is missing, which it tells on progress:
// minutes the first time, milliseconds later. It needs a go command and to be called from within this
// repository, and root when the distribution's packages are missing.
func Ensure(ctx context.Context, progress io.Writer) (Programs, error) {
	module, err := moduleDirectory(ctx)
	if err != nil {
		return Programs{}, err
	}
	c, err := openCache(progress)
	if err != nil {
		return Programs{}, err
	}

	var p Programs
	if p.Runc, p.CNI, err = installed(ctx, progress); err != nil {
		return Programs{}, err
	}
	kubelet := filepath.Join(module, cmp.Or(os.Getenv(KubeletVariable), "kubelet"))
	if p.KubeletVersion, err = required(kubelet, "k8s.io/kubernetes"); err != nil {
		return Programs{}, err
	}
	dir, err := c.entry(ctx, "kubelet-"+p.KubeletVersion, func(ctx context.Context, dir string) error {
		b := build{module: kubelet, what: "kubelet " + p.KubeletVersion, packages: "k8s.io/kubernetes/cmd/kubelet",
			ldflags: "-X k8s.io/component-base/version.gitVersion=" + p.KubeletVersion}
		return b.run(ctx, dir, progress)
	})
	if err != nil {
		return Programs{}, err
	}
	p.Kubelet = filepath.Join(dir, "kubelet")

	const containerd = "github.com/containerd/containerd/v2"
	if p.ContainerdVersion, err = required(filepath.Join(module, "containerd"), containerd); err != nil {
		return Programs{}, err
	}
	dir, err = c.entry(ctx, "containerd-"+p.ContainerdVersion, func(ctx context.Context, dir string) error {
		b := build{module: filepath.Join(module, "containerd"), what: "containerd " + p.ContainerdVersion, packages: "tool",
			ldflags: "-X " + containerd + "/version.Version=" + p.ContainerdVersion}
		return b.run(ctx, dir, progress)
	})
	if err != nil {
		return Programs{}, err
	}
	p.Containerd, p.Ctr = filepath.Join(dir, "containerd"), filepath.Join(dir, "ctr")

	key, err := sourceKey(module, "testpod", "image")
	if err != nil {
		return Programs{}, err
	}
	dir, err = c.entry(ctx, "images-"+key, func(ctx context.Context, dir string) error {
		return packImages(ctx, module, dir, progress)
	})
	if err != nil {
		return Programs{}, err
	}
	p.Images = filepath.Join(dir, "images.tar")

	if key, err = sourceKey(module, "go.mod", "cmd/node", "exporter", "image", "node", "programs", "service"); err != nil {
		return Programs{}, err
	}
	dir, err = c.entry(ctx, "node-"+key, func(ctx context.Context, dir string) error {
		b := build{module: module, what: "the node's guard", packages: "./cmd/node"}
		return b.run(ctx, dir, progress)
	})
	if err != nil {
		return Programs{}, err
	}
	p.Node = filepath.Join(dir, "node")
	return p, nil
}

// moduleDirectory finds e2e/, from anywhere in the repository.
func moduleDirectory(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("go env GOMOD: %w", err)
	}
	dir := filepath.Dir(strings.TrimSpace(string(out)))
	for _, dir := range []string{dir, filepath.Join(dir, "e2e")} {
		content, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && bytes.Contains(content, []byte("/staticpod-exporter/e2e\n")) {
			return dir, nil
		}
	}
	return "", errors.New("building the node's programs: the working directory is not within the repository of staticpod-exporter")
}

// required reads the version that a module directory pins.
func required(dir, module string) (string, error) {
	content, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err != nil {
		return "", err
	}
	line := regexp.MustCompile(`(?m)^(?:require|\t)\s*` + regexp.QuoteMeta(module) + ` (v\S+)`)
	match := line.FindSubmatch(content)
	if match == nil {
		return "", fmt.Errorf("%s/go.mod does not require %s", dir, module)
	}
	return string(match[1]), nil
}

// installed finds runc and the CNI plugins, and installs Debian's where there are none.
func installed(ctx context.Context, progress io.Writer) (runc, cni string, err error) {
	find := func() bool {
		runc, _ = exec.LookPath("runc")
		cni = ""
		for _, dir := range []string{"/usr/lib/cni", "/opt/cni/bin", "/usr/libexec/cni"} {
			if _, err := os.Stat(filepath.Join(dir, "loopback")); err == nil {
				cni = dir
				break
			}
		}
		return runc != "" && cni != ""
	}
	if find() {
		return runc, cni, nil
	}
	fmt.Fprintln(progress, "installing runc and CNI plugins")
	if err := Install(ctx, "runc", "containernetworking-plugins"); err != nil {
		return "", "", fmt.Errorf("runc and the CNI plugins: %w", err)
	}
	if !find() {
		return "", "", fmt.Errorf("after their installation: runc at %q, the CNI plugins in %q", runc, cni)
	}
	return runc, cni, nil
}

// Install installs Debian's packages, as root and where there is apt-get. Of several processes one does so at a time.
func Install(ctx context.Context, names ...string) error {
	apt, err := exec.LookPath("apt-get")
	if err != nil || os.Geteuid() != 0 {
		return fmt.Errorf("packages %s of Debian are not installed; as root, where there is apt-get, they would be", strings.Join(names, " "))
	}
	lock, err := lockPackages()
	if err != nil {
		return err
	}
	defer lock.Close()
	for _, args := range [][]string{{apt, "update"}, append([]string{apt, "install", "--yes", "--no-install-recommends"}, names...)} {
		if err := packages(ctx, "", args...); err != nil {
			return err
		}
	}
	return nil
}

// lockPackages keeps other processes of ours from the distribution's packages until it is closed.
func lockPackages() (*os.File, error) {
	lock, err := os.OpenFile(filepath.Join(os.TempDir(), "staticpod-exporter-install.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		lock.Close()
		return nil, fmt.Errorf("%s: %w", lock.Name(), err)
	}
	return lock, nil
}

// platform is part of each name in the cache: a home directory may be shared.
const platform = runtime.GOOS + "-" + runtime.GOARCH
