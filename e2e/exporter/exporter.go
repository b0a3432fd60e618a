// Package exporter runs the exporter's program as a child and reads what it publishes, knowing no more of it than
// its documented flags, paths and names: what these say is tested from outside.
package exporter

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/staticpod-exporter/staticpod-exporter/e2e/node"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/service"
)

// Options say how the exporter runs.
type Options struct {
	Binary string // the program
	// Manifest is the address that the kubelet's staticPodURL names; "" is the observing mode.
	Manifest string
	// Web is the observability listener's address; by default a free port of loopback.
	Web            string
	StateDirectory string
	ConfigFile     string // "" is none
	// Flags come after those of the above: --kubelet.log=…
	Flags []string
	// Env comes after the environment of the test: OTEL_TRACES_EXPORTER=otlp
	Env []string
	// Log receives what the exporter logs.
	Log io.Writer
}

// An Exporter is one installation of the exporter: its program runs or not, on the same ports and state.
type Exporter struct {
	*service.Service
	options Options
	client  *http.Client
}

// New returns an exporter that does not run yet.
func New(o Options) (*Exporter, error) {
	if o.Web == "" {
		address, err := FreeAddress()
		if err != nil {
			return nil, err
		}
		o.Web = address
	}
	if o.Log == nil {
		o.Log = io.Discard
	}
	e := &Exporter{options: o, client: &http.Client{Timeout: 10 * time.Second}}
	e.Service = service.New(service.Options{Name: "exporter", Command: e.command, Ready: e.healthy})
	return e, nil
}

func (e *Exporter) command() (*exec.Cmd, error) {
	o := e.options
	args := []string{"serve", "--manifest.listen=" + o.Manifest, "--web.listen-address=" + o.Web, "--manifest.state-directory=" + o.StateDirectory}
	if o.ConfigFile != "" {
		args = append(args, "--config.file="+o.ConfigFile)
	}
	cmd := exec.Command(o.Binary, append(args, o.Flags...)...)
	cmd.Env = append(os.Environ(), o.Env...)
	cmd.Stdout, cmd.Stderr = o.Log, o.Log
	return cmd, nil
}

// healthy waits for the listener alone: what the exporter thinks of the node is for its tests to ask.
func (e *Exporter) healthy(ctx context.Context) error {
	_, err := e.Get(ctx, "/-/healthy")
	return err
}

// Configure changes the options for the next start. Web stays as it was.
func (e *Exporter) Configure(change func(*Options)) {
	web := e.options.Web
	change(&e.options)
	e.options.Web = web
}

// URL returns where the exporter publishes: http://127.0.0.1:PORT.
func (e *Exporter) URL() string { return "http://" + e.options.Web }

// Get returns the body at a path of the exporter.
func (e *Exporter) Get(ctx context.Context, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, e.URL()+path, nil)
	if err != nil {
		return nil, err
	}
	return e.do(req)
}

// Reload asks for a deliberate reload.
func (e *Exporter) Reload(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, e.URL()+"/-/reload", nil)
	if err != nil {
		return err
	}
	_, err = e.do(req)
	return err
}

func (e *Exporter) do(req *http.Request) ([]byte, error) {
	res, err := e.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("exporter: %w", err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, fmt.Errorf("exporter: %s: %w", req.URL.Path, err)
	}
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("exporter: %s: %s: %s", req.URL.Path, res.Status, strings.TrimSpace(string(body)))
	}
	return body, nil
}

// Run runs another command of the program, such as get, with --address when it has one, and returns what it printed.
func (e *Exporter) Run(ctx context.Context, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, e.options.Binary, args...).Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		err = fmt.Errorf("%s %s: %w: %s", filepath.Base(e.options.Binary), strings.Join(args, " "), err, exit.Stderr)
	}
	return string(out), err
}

// NodeFlags are the flags by which the exporter finds all of a node, but for the API server's mirror pods.
func NodeFlags(n *node.Node) []string {
	return []string{
		"--node=" + n.Name(),
		"--kubelet.endpoint=" + n.KubeletEndpoint(),
		"--kubelet.pods-socket=" + n.PodsEndpoint(),
		"--kubelet.ca-file=" + n.CAFile(),
		"--kubelet.cert-file=" + n.ClientCertFile(),
		"--kubelet.key-file=" + n.ClientKeyFile(),
		"--kubelet.manifest-directory=" + n.ManifestDirectory(),
		"--kubelet.log=file://" + n.KubeletLog().Path(),
		"--cri.endpoint=" + n.RuntimeEndpoint(),
	}
}

// FreeAddress returns an address of loopback on which nobody listens. Its port is none of those that the kernel gives to
// connections, of which there are many on a node: it would be taken before it is used.
func FreeAddress() (string, error) {
	const first, ports, tries = 20000, 12000, 100
	var last error
	for range tries {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", first+rand.IntN(ports)))
		if err != nil {
			last = err
			continue
		}
		return l.Addr().String(), l.Close()
	}
	return "", fmt.Errorf("free port: %w", last)
}

// Build builds the exporter of this repository into dir, with the race detector if wanted, and returns its path.
// The working directory must be within e2e/.
func Build(ctx context.Context, dir string, race bool) (string, error) {
	root, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("go env GOMOD: %w", err)
	}
	binary := filepath.Join(dir, "staticpod-exporter")
	args, cgo := []string{"build", "-buildvcs=false", "-trimpath", "-o", binary}, "CGO_ENABLED=0" // as make build does it
	if race {
		args, cgo = append(args, "-race"), "CGO_ENABLED=1"
	}
	cmd := exec.CommandContext(ctx, "go", append(args, "./cmd/staticpod-exporter")...)
	cmd.Dir = filepath.Dir(filepath.Dir(strings.TrimSpace(string(root))))
	cmd.Env = append(os.Environ(), "GOWORK=off", cgo)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("exporter: go build: %w\n%s", err, out)
	}
	return binary, nil
}
