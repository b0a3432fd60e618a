package node

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/staticpod-exporter/staticpod-exporter/e2e/programs"
)

// containerdConfig keeps all of containerd inside the node's directory. Its arguments, in order: the directory,
// the pause image, the CNI plugins' directory and runc.
const containerdConfig = `version = 3
root = '%[1]s/containerd/root'
state = '%[1]s/containerd/state'
imports = []
disabled_plugins = [
  'io.containerd.nri.v1.nri',
  'io.containerd.snapshotter.v1.blockfile',
  'io.containerd.snapshotter.v1.btrfs',
  'io.containerd.snapshotter.v1.devmapper',
  'io.containerd.snapshotter.v1.erofs',
  'io.containerd.snapshotter.v1.zfs',
]

[grpc]
  address = '%[1]s/containerd.sock'
[ttrpc]
  address = '%[1]s/containerd.sock.ttrpc'

[plugins.'io.containerd.internal.v1.opt']
  path = '%[1]s/containerd/opt'
[plugins.'io.containerd.image-verifier.v1.bindir']
  bin_dir = '%[1]s/containerd/verifiers'
[plugins.'io.containerd.shim.v1.manager']
  socket_dir = '%[1]s/s'

[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = '%[2]s'
[plugins.'io.containerd.cri.v1.runtime']
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  enable_criu = false
  cdi_spec_dirs = []
[plugins.'io.containerd.cri.v1.runtime'.cni]
  bin_dirs = ['%[3]s']
  conf_dir = '%[1]s/cni'
  use_internal_loopback = true
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
  runtime_type = 'io.containerd.runc.v2'
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
  BinaryName = '%[4]s'
  Root = '%[1]s/containerd/runc'
  SystemdCgroup = false
`

// cniConfig gives a pod without hostNetwork nothing but a loopback interface, which the runtime then refuses
// to run it with: it fails in its sandbox.
const cniConfig = `{"cniVersion": "1.0.0", "name": "loopback", "plugins": [{"type": "loopback"}]}
`

// containerdCommand writes containerd's configuration and returns how to run it.
func (n *Node) containerdCommand() (*exec.Cmd, error) {
	if err := os.MkdirAll(n.path("cni"), 0o755); err != nil {
		return nil, err
	}
	config := n.path("containerd.toml")
	text := fmt.Sprintf(containerdConfig, n.lease.Directory, programs.PauseImage, n.programs.CNI, n.programs.Runc)
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		return nil, err
	}
	if err := os.WriteFile(n.path("cni/10-loopback.conflist"), []byte(cniConfig), 0o644); err != nil {
		return nil, err
	}
	cmd := exec.Command(n.programs.Containerd, "--config", config)
	cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(n.programs.Containerd)+":"+os.Getenv("PATH"))
	// Shims outlive containerd and inherit its output: a file cannot break as a pipe would.
	cmd.Stdout, cmd.Stderr = n.containerdLog, n.containerdLog
	return cmd, nil
}

// containerdReady reports whether the runtime answers.
func (n *Node) containerdReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	_, err := n.runtime.Version(ctx, &cri.VersionRequest{})
	return err
}

// importImages loads the images, where they are not loaded yet.
func (n *Node) importImages(ctx context.Context) error {
	return n.ctr(ctx, "images", "import", n.programs.Images)
}

// TagImage gives an image that the runtime has another name.
func (n *Node) TagImage(ctx context.Context, image, name string) error {
	return n.ctr(ctx, "images", "tag", image, name)
}

func (n *Node) ctr(ctx context.Context, args ...string) error {
	args = append([]string{"--address", n.path("containerd.sock"), "--namespace", "k8s.io"}, args...)
	if out, err := exec.CommandContext(ctx, n.programs.Ctr, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("ctr %s: %w\n%s", strings.Join(args[4:], " "), err, out)
	}
	return nil
}

func dialRuntime(socket string) (*grpc.ClientConn, cri.RuntimeServiceClient, error) {
	// The containerd of a moment ago may be gone and the next one not yet there: a short backoff.
	conn, err := grpc.NewClient("unix://"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: shortBackoff, MinConnectTimeout: time.Second}))
	if err != nil {
		return nil, nil, fmt.Errorf("runtime: %w", err)
	}
	return conn, cri.NewRuntimeServiceClient(conn), nil
}

// Runtime returns the runtime's CRI, for tests that put their hands on what it runs.
func (n *Node) Runtime() cri.RuntimeServiceClient { return n.runtime }

// A Container is one that the runtime knows, running or not.
type Container struct {
	Namespace, Pod, UID string
	Name, ID, State     string // State is created, running, exited or unknown
	SandboxID           string
	Attempt             uint32
}

// Containers asks the runtime for all containers, sorted by pod, name and attempt. Sandboxes are not among them.
func (n *Node) Containers(ctx context.Context) ([]Container, error) {
	list, err := n.runtime.ListContainers(ctx, &cri.ListContainersRequest{})
	if err != nil {
		return nil, fmt.Errorf("runtime: %w", err)
	}
	var all []Container
	for _, c := range list.Containers {
		all = append(all, Container{
			Namespace: c.Labels["io.kubernetes.pod.namespace"], Pod: c.Labels["io.kubernetes.pod.name"], UID: c.Labels["io.kubernetes.pod.uid"],
			Name: c.Metadata.GetName(), ID: c.Id, State: strings.ToLower(strings.TrimPrefix(c.State.String(), "CONTAINER_")),
			SandboxID: c.PodSandboxId, Attempt: c.Metadata.GetAttempt(),
		})
	}
	slices.SortFunc(all, func(a, b Container) int {
		return strings.Compare(a.Namespace+"/"+a.Pod+"/"+a.Name+fmt.Sprintf("/%010d", a.Attempt), b.Namespace+"/"+b.Pod+"/"+b.Name+fmt.Sprintf("/%010d", b.Attempt))
	})
	return all, nil
}
