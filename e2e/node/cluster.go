package node

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/staticpod-exporter/staticpod-exporter/e2e/programs"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/service"
)

// A Cluster is an API server for one node, and the etcd behind it, on loopback. Nothing else of a control plane runs:
// no scheduler and no controllers.
type Cluster struct {
	// APIServer and Etcd can be stopped and started each for itself, as the node's services can.
	APIServer, Etcd *service.Service

	directory    string
	certificates *certificates
	programs     programs.Cluster
	port         int32
	etcdPort     int32
	peerPort     int32
	client       *http.Client
	log          *os.File
}

// The kubeconfigs that there are from the start, below the cluster's directory.
const (
	adminKubeconfig   = "admin.conf"
	kubeletKubeconfig = "kubelet.conf"
)

// newCluster lays a cluster out in a directory, and starts nothing.
func newCluster(ctx context.Context, n *Node, directory string, join func(pid int) error) (*Cluster, error) {
	c := &Cluster{directory: directory, certificates: &n.certificates}
	if err := os.MkdirAll(directory, 0o755); err != nil {
		return nil, err
	}
	var err error
	if c.programs, err = programs.EnsureCluster(ctx, n.options.Progress); err != nil {
		return nil, err
	}
	for _, port := range []*int32{&c.port, &c.etcdPort, &c.peerPort} {
		if *port, err = freePort(); err != nil {
			return nil, err
		}
	}
	if c.log, err = os.OpenFile(c.Log(), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o640); err != nil {
		return nil, err
	}
	// The API server's own certificate is the node's: it is for 127.0.0.1 too.
	if err := c.certificates.serviceAccountKeys(c.path("accounts.key"), c.path("accounts.pub")); err != nil {
		return nil, err
	}
	if _, err := c.Kubeconfig("admin", "system:masters"); err != nil {
		return nil, err
	}
	if err := c.kubeconfig(kubeletKubeconfig, "system:node:"+n.options.Name, "system:nodes"); err != nil {
		return nil, err
	}
	pair, err := tls.LoadX509KeyPair(c.path("admin.crt"), c.path("admin.key"))
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AddCert(c.certificates.authority)
	c.client = &http.Client{
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}}},
		Timeout:   5 * time.Second,
	}
	tail := func() string {
		log := LogFile{path: c.Log()}
		return "--- the cluster's log ends:\n" + log.Tail(6<<10)
	}
	c.Etcd = service.New(service.Options{Name: "etcd", Command: c.etcdCommand, Started: join, Ready: c.etcdReady, Tail: tail})
	c.APIServer = service.New(service.Options{Name: "kube-apiserver", Command: c.apiServerCommand, Started: join, Ready: c.apiServerReady, Tail: tail})
	return c, nil
}

// start starts what does not run.
func (c *Cluster) start(ctx context.Context) error {
	if err := c.Etcd.Start(ctx); err != nil {
		return err
	}
	return c.APIServer.Start(ctx)
}

// kill ends both at once.
func (c *Cluster) kill() {
	c.APIServer.Kill()
	c.Etcd.Kill()
}

func (c *Cluster) close() {
	c.kill()
	c.client.CloseIdleConnections()
	c.log.Close()
}

func (c *Cluster) path(name string) string { return filepath.Join(c.directory, name) }

// Log returns the path of the log of API server and etcd.
func (c *Cluster) Log() string { return c.path("cluster.log") }

// Endpoint returns the URL of the API server.
func (c *Cluster) Endpoint() string { return fmt.Sprintf("https://127.0.0.1:%d", c.port) }

// AdminKubeconfig returns the path of a kubeconfig of somebody who may do everything.
func (c *Cluster) AdminKubeconfig() string { return c.path(adminKubeconfig) }

// KubeletKubeconfig returns the path of the kubelet's own kubeconfig, which the node authorizer knows.
func (c *Cluster) KubeletKubeconfig() string { return c.path(kubeletKubeconfig) }

// Kubeconfig makes a kubeconfig of a user, who may do what the API server's roles say, and returns its path.
func (c *Cluster) Kubeconfig(user string, groups ...string) (string, error) {
	return c.path(user + ".conf"), c.kubeconfig(user+".conf", user, groups...)
}

const kubeconfigText = `apiVersion: v1
kind: Config
clusters: [{name: cluster, cluster: {server: %q, certificate-authority: %q}}]
users: [{name: user, user: {client-certificate: %q, client-key: %q}}]
contexts: [{name: context, context: {cluster: cluster, user: user}}]
current-context: context
`

// kubeconfig writes one with a certificate of its own beside it.
func (c *Cluster) kubeconfig(file, user string, groups ...string) error {
	base := c.path(file[:len(file)-len(filepath.Ext(file))])
	if err := c.certificates.forClient(user, groups, base+".crt", base+".key"); err != nil {
		return err
	}
	text := fmt.Sprintf(kubeconfigText, c.Endpoint(), c.certificates.ca, base+".crt", base+".key")
	return os.WriteFile(c.path(file), []byte(text), 0o600)
}

func (c *Cluster) etcdURL() string { return fmt.Sprintf("http://127.0.0.1:%d", c.etcdPort) }

func (c *Cluster) etcdCommand() (*exec.Cmd, error) {
	peer := fmt.Sprintf("http://127.0.0.1:%d", c.peerPort)
	return c.command(c.programs.Etcd, "--name=cluster", "--data-dir="+c.path("etcd"), "--log-level=warn", "--unsafe-no-fsync",
		"--listen-client-urls="+c.etcdURL(), "--advertise-client-urls="+c.etcdURL(),
		"--listen-peer-urls="+peer, "--initial-advertise-peer-urls="+peer, "--initial-cluster=cluster="+peer), nil
}

func (c *Cluster) etcdReady(ctx context.Context) error {
	return c.get(ctx, c.etcdURL()+"/health")
}

func (c *Cluster) apiServerCommand() (*exec.Cmd, error) {
	return c.command(c.programs.APIServer, "--etcd-servers="+c.etcdURL(),
		"--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", fmt.Sprintf("--secure-port=%d", c.port),
		"--endpoint-reconciler-type=none", // an address of loopback is no endpoint
		"--service-cluster-ip-range=10.96.0.0/24",
		"--tls-cert-file="+c.certificates.serverCert, "--tls-private-key-file="+c.certificates.serverKey,
		"--client-ca-file="+c.certificates.ca,
		"--service-account-issuer=https://kubernetes.default.svc", "--service-account-key-file="+c.path("accounts.pub"),
		"--service-account-signing-key-file="+c.path("accounts.key"),
		"--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction", "--profiling=false"), nil
}

// apiServerReady reports whether the API server answers and has the namespaces that there always are.
func (c *Cluster) apiServerReady(ctx context.Context) error {
	for _, path := range []string{"/readyz", "/api/v1/namespaces/default", "/api/v1/namespaces/kube-system"} {
		if err := c.get(ctx, c.Endpoint()+path); err != nil {
			return err
		}
	}
	return nil
}

func (c *Cluster) get(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	res, err := c.client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return errors.New(url + ": " + res.Status)
	}
	return nil
}

func (c *Cluster) command(program string, args ...string) *exec.Cmd {
	cmd := exec.Command(program, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = c.directory, c.log, c.log
	return cmd
}
