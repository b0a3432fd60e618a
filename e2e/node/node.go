// Package node runs a real node on loopback, for tests and for people: a kubelet and a containerd, without an API
// server unless one is wanted, both of this repository's own making, on a directory and cgroup of their own. It needs root. The
// machine's own container runtime, if it has one, is not touched, and Close leaves the machine as it was. So does
// the end of the process that started the node, however it comes: a guard sees to that.
package node

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/staticpod-exporter/staticpod-exporter/e2e/programs"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/service"
)

const (
	cgroupPrefix = "staticpod-node-"
	// maxDirectory leaves room, in the 107 bytes of a socket's path, for the name of a shim's.
	maxDirectory = 40
)

var shortBackoff = backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.5, MaxDelay: 500 * time.Millisecond}

// A Node is a running node. Its methods are safe for concurrent use unless they say otherwise.
type Node struct {
	// Kubelet and Containerd can be stopped and started each for itself. The pods go on meanwhile.
	Kubelet, Containerd *service.Service
	// Cluster is nil for a kubelet that stands alone.
	Cluster *Cluster

	options       Options
	programs      programs.Programs
	lease         *lease
	certificates  certificates
	port          int32
	readOnlyPort  int32
	log           *LogFile
	client        *http.Client
	connection    *grpc.ClientConn
	runtime       cri.RuntimeServiceClient
	guard         *exec.Cmd
	guardInput    io.WriteCloser
	closed        atomic.Bool
	containerdLog *os.File
}

// Start starts a node and returns it ready: the kubelet and the runtime answer. It first takes down what other
// nodes left whose processes have ended.
func Start(ctx context.Context, options Options) (*Node, error) {
	o := options.withDefaults()
	if err := Check(); err != nil {
		return nil, err
	}
	if _, _, err := Down(ctx); err != nil {
		return nil, err
	}
	if o.Programs == (programs.Programs{}) {
		var err error
		if o.Programs, err = programs.Ensure(ctx, o.Progress); err != nil {
			return nil, err
		}
	}
	directory, err := makeDirectory(o.Directory)
	if err != nil {
		return nil, err
	}
	l, err := register(record{Directory: directory, Cgroup: cgroupPrefix + strings.ToLower(rand.Text()[:8]), Owner: os.Getpid()})
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(directory))
	}
	n := &Node{options: o, programs: o.Programs, lease: l}
	if err := n.start(ctx); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return n, nil
}

func makeDirectory(dir string) (string, error) {
	if dir == "" {
		return os.MkdirTemp("/tmp", "staticpod-node-*")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	if len(dir) > maxDirectory {
		return "", fmt.Errorf("node: the directory %s is longer than %d bytes: sockets below it could not be reached", dir, maxDirectory)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	// Mount points are listed by their real names.
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return "", err
	}
	entries, err := os.ReadDir(dir)
	if err == nil && len(entries) > 0 {
		err = fmt.Errorf("node: the directory %s is not empty, and would be removed with the node", dir)
	}
	return dir, err
}

func (n *Node) start(ctx context.Context) error {
	if err := n.startGuard(); err != nil {
		return err
	}
	for _, dir := range []string{"pki", "kubelet", "pods", "s"} {
		if err := os.MkdirAll(n.path(dir), 0o755); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(n.ManifestDirectory(), 0o755); err != nil {
		return err
	}
	group := cgroup{n.lease.Cgroup}
	err := group.create()
	if err != nil {
		return err
	}
	if n.certificates, err = issue(n.path("pki"), n.options.Name); err != nil {
		return err
	}
	if n.client, err = n.certificates.client(); err != nil {
		return err
	}
	if n.port, err = freePort(); err != nil {
		return err
	}
	if n.options.ReadOnlyPort {
		if n.readOnlyPort, err = freePort(); err != nil {
			return err
		}
	}
	if n.log, err = openLog(n.path("kubelet.log")); err != nil {
		return err
	}
	if n.containerdLog, err = os.OpenFile(n.ContainerdLog(), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o640); err != nil {
		return err
	}
	if n.connection, n.runtime, err = dialRuntime(n.path("containerd.sock")); err != nil {
		return err
	}
	if n.options.Cluster {
		if n.Cluster, err = newCluster(ctx, n, n.path("cluster"), group.join); err != nil {
			return err
		}
		if err := n.Cluster.start(ctx); err != nil {
			return err
		}
	}
	n.Containerd = service.New(service.Options{Name: "containerd", Command: n.containerdCommand, Started: group.join, Ready: n.containerdReady, Tail: n.LogTail})
	n.Kubelet = service.New(service.Options{Name: "kubelet", Command: n.kubeletCommand, Started: group.join, Ready: n.kubeletReady, Tail: n.LogTail})
	if err := n.Containerd.Start(ctx); err != nil {
		return err
	}
	if err := n.importImages(ctx); err != nil {
		return err
	}
	return n.Kubelet.Start(ctx)
}

// startGuard starts the process that takes the node down should this one end without doing so.
func (n *Node) startGuard() error {
	cmd := exec.Command(n.programs.Node, "guard", n.lease.Cgroup)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("guard: %w", err)
	}
	n.guard, n.guardInput = cmd, in
	return nil
}

// Close stops the node and removes all of it: processes, mounts, cgroups, files, and what kubelets change of
// the machine outside their directories. Nothing may use the node meanwhile or later. A second Close does nothing.
func (n *Node) Close() error {
	if n.closed.Swap(true) {
		return nil
	}
	for _, s := range []*service.Service{n.Kubelet, n.Containerd} {
		if s != nil {
			s.Kill()
		}
	}
	if n.Cluster != nil {
		n.Cluster.close()
	}
	if n.log != nil {
		n.log.close()
	}
	if n.containerdLog != nil {
		n.containerdLog.Close()
	}
	if n.connection != nil {
		n.connection.Close()
	}
	if n.client != nil {
		n.client.CloseIdleConnections()
	}
	err := n.lease.down(context.Background())
	if err != nil {
		n.lease.file.Close() // the guard tries again
	}
	if n.guard != nil {
		n.guardInput.Close()
		if guardErr := n.guard.Wait(); guardErr != nil {
			err = errors.Join(err, fmt.Errorf("guard: %w", guardErr))
		}
	}
	if err != nil {
		return fmt.Errorf("node: %w", err)
	}
	return nil
}

// Reboot is the machine switched off and on: all processes end at once, sandboxes and mounts are gone, disks
// stay. Kubelet and containerd run again when it returns. between, when not nil, runs while the machine is off.
func (n *Node) Reboot(ctx context.Context, between func() error) error {
	n.Kubelet.Kill()
	n.Containerd.Kill()
	if n.Cluster != nil {
		n.Cluster.kill()
	}
	if err := n.lease.halt(ctx); err != nil {
		return fmt.Errorf("node: %w", err)
	}
	for _, volatile := range []string{"containerd/state", "containerd/runc", "s"} {
		if err := os.RemoveAll(n.path(volatile)); err != nil {
			return fmt.Errorf("node: %w", err)
		}
	}
	if between != nil {
		if err := between(); err != nil {
			return err
		}
	}
	if n.Cluster != nil {
		if err := n.Cluster.start(ctx); err != nil {
			return err
		}
	}
	if err := n.Containerd.Start(ctx); err != nil {
		return err
	}
	return n.Kubelet.Start(ctx)
}

// Configure changes the options that the kubelet gets at its next start. Directory, Name, ReadOnlyPort,
// Cluster and Programs stay as they were. The kubelet must be stopped.
func (n *Node) Configure(change func(*Options)) {
	o := n.options
	change(&o)
	o.Directory, o.Name, o.ReadOnlyPort, o.Programs = n.options.Directory, n.options.Name, n.options.ReadOnlyPort, n.options.Programs
	o.Cluster = n.options.Cluster
	n.options = o.withDefaults()
}

func (n *Node) path(name string) string { return filepath.Join(n.lease.Directory, name) }

// Directory returns the directory of all of the node.
func (n *Node) Directory() string { return n.lease.Directory }

// Name returns the node's name.
func (n *Node) Name() string { return n.options.Name }

// Cgroup returns the name, in each hierarchy, of the cgroup that holds all processes of the node.
func (n *Node) Cgroup() string { return n.lease.Cgroup }

// ManifestDirectory returns the kubelet's staticPodPath.
func (n *Node) ManifestDirectory() string {
	if n.options.ManifestDirectory != "" {
		return n.options.ManifestDirectory
	}
	return n.path("manifests")
}

// KubeletEndpoint returns the URL of the kubelet's HTTPS port.
func (n *Node) KubeletEndpoint() string { return fmt.Sprintf("https://127.0.0.1:%d", n.port) }

// ReadOnlyEndpoint returns the URL of the kubelet's read-only port, "" when it is closed.
func (n *Node) ReadOnlyEndpoint() string {
	if n.readOnlyPort == 0 {
		return ""
	}
	return fmt.Sprintf("http://127.0.0.1:%d", n.readOnlyPort)
}

// PodsEndpoint returns the kubelet's Pods API: unix:///…/pods-api.sock.
func (n *Node) PodsEndpoint() string { return "unix://" + n.podsSocket() }

func (n *Node) podsSocket() string { return n.path("kubelet/pods-api/pods-api.sock") }

// RuntimeEndpoint returns the runtime's CRI: unix:///…/containerd.sock.
func (n *Node) RuntimeEndpoint() string { return "unix://" + n.path("containerd.sock") }

// CAFile, ClientCertFile and ClientKeyFile are PEM files: what the kubelet's certificate is signed by, and what
// a client may show it. The kubelet asks for the latter only with ClientCertificates.
func (n *Node) CAFile() string { return n.certificates.ca }

// ClientCertFile returns the path of a client's certificate.
func (n *Node) ClientCertFile() string { return n.certificates.clientCert }

// ClientKeyFile returns the path of its key.
func (n *Node) ClientKeyFile() string { return n.certificates.clientKey }

// KubeletLog returns the kubelet's log.
func (n *Node) KubeletLog() *LogFile { return n.log }

// ContainerdLog returns the path of containerd's log.
func (n *Node) ContainerdLog() string { return n.path("containerd.log") }

// LogTail returns the end of both logs, for the message of a test that failed.
func (n *Node) LogTail() string {
	containerd := LogFile{path: n.ContainerdLog()}
	return "--- the kubelet's log ends:\n" + n.log.Tail(6<<10) + "--- containerd's log ends:\n" + containerd.Tail(2<<10)
}

// Members returns the processes of the node: kubelet, containerd, shims and all that runs in pods.
func (n *Node) Members() ([]int, error) { return cgroup{n.lease.Cgroup}.members() }

// client speaks to the kubelet with all that it may ask for.
func (c certificates) client() (*http.Client, error) {
	authority, err := os.ReadFile(c.ca)
	if err != nil {
		return nil, fmt.Errorf("certificates: %w", err)
	}
	pair, err := tls.LoadX509KeyPair(c.clientCert, c.clientKey)
	if err != nil {
		return nil, fmt.Errorf("certificates: %w", err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}}}
	return &http.Client{Transport: transport, Timeout: 10 * time.Second}, nil
}

// freePort returns a port of loopback that nobody listens on.
func freePort() (int32, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("free port: %w", err)
	}
	defer l.Close()
	return int32(l.Addr().(*net.TCPAddr).Port), nil
}
