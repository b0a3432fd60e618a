// Command node runs real nodes on this machine: for people, for make run, and as the guard of the nodes of tests.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/staticpod-exporter/staticpod-exporter/e2e/node"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/programs"
)

const usage = `node runs a real node, a kubelet and a containerd, on this machine and for as long as you want it.

  node build   builds kubelet, containerd and images, once; installs runc and CNI plugins if they are missing
  node up      starts a node, prints how to reach it, and takes it down at Ctrl-C
  node run     starts a node and the exporter with three sample definitions, and shows what becomes of them
  node check   says whether, and if not why, this machine can run one
  node down    takes down what nodes left whose processes ended without doing so

node up -h and node run -h list their flags.
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if err := command(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "node:", err)
		os.Exit(1)
	}
}

func command(ctx context.Context, args []string, out, progress io.Writer) error {
	if len(args) == 0 {
		fmt.Fprint(out, usage)
		return nil
	}
	switch args[0] {
	case "build":
		p, err := programs.Ensure(ctx, progress)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "kubelet %s     %s\ncontainerd %s  %s\nrunc                %s\nCNI plugins         %s\nimages              %s\n",
			p.KubeletVersion, p.Kubelet, p.ContainerdVersion, p.Containerd, p.Runc, p.CNI, p.Images)
		return nil
	case "check":
		return node.Check()
	case "up":
		return up(ctx, args[1:], out, progress)
	case "run":
		return run(ctx, args[1:], out, progress)
	case "down":
		removed, alive, err := node.Down(ctx)
		for _, dir := range removed {
			fmt.Fprintln(out, "took down what was left of the node in", dir)
		}
		for _, n := range alive {
			fmt.Fprintf(out, "left alone: the node in %s, which process %d runs\n", n.Directory, n.Owner)
		}
		return err
	case "guard": // of a node that another process runs; nobody calls it by hand
		if len(args) != 2 {
			return errors.New("guard what?")
		}
		return node.Guard(context.WithoutCancel(ctx), os.Stdin, args[1])
	case "help", "-h", "--help":
		fmt.Fprint(out, usage)
		return nil
	}
	return fmt.Errorf("no such command: %q\n%s", args[0], usage)
}

// up runs a node until ctx ends.
func up(ctx context.Context, args []string, out, progress io.Writer) error {
	o := node.Options{Progress: progress}
	var auth string
	var verbosity uint
	flags := flag.NewFlagSet("node up", flag.ContinueOnError)
	flags.StringVar(&o.Directory, "directory", "", "where all of it lives; an empty directory, removed at the end (default: one below /tmp)")
	flags.StringVar(&o.Name, "name", "node1", "name of the node")
	flags.StringVar(&o.ManifestURL, "manifest-url", "", "the kubelet's staticPodURL")
	flags.StringVar(&auth, "auth", string(node.Anonymous), "who may ask the kubelet: anonymous or client-certificates")
	flags.StringVar(&o.LogFormat, "log-format", "json", "the kubelet's log: json or text")
	flags.UintVar(&verbosity, "verbosity", 2, "the kubelet's log's verbosity")
	flags.BoolVar(&o.Cluster, "cluster", false, "start an API server and its etcd too, for mirror pods (builds them, once)")
	flags.BoolVar(&o.ReadOnlyPort, "read-only-port", false, "open the kubelet's read-only port too")
	if err := flags.Parse(args); err != nil {
		return err
	}
	o.Auth, o.LogVerbosity = node.Auth(auth), new(uint32(verbosity))
	n, err := node.Start(ctx, o)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "# The node is up. staticpod-exporter finds all of it with these variables.\n")
	for _, line := range environment(n) {
		fmt.Fprintln(out, line)
	}
	fmt.Fprintf(out, "# Definitions go into %s; the image is %s.\n# Ctrl-C takes the node down.\n", n.ManifestDirectory(), programs.PodImage)
	<-ctx.Done()
	fmt.Fprintln(progress, "taking the node down")
	return n.Close()
}

// environment is what the exporter must know to find all of the node, as its variables.
func environment(n *node.Node) []string {
	lines := []string{
		"export STATICPOD_EXPORTER_NODE=" + n.Name(),
		"export STATICPOD_EXPORTER_KUBELET_ENDPOINT=" + n.KubeletEndpoint(),
		"export STATICPOD_EXPORTER_KUBELET_PODS_SOCKET=" + n.PodsEndpoint(),
		"export STATICPOD_EXPORTER_KUBELET_CA_FILE=" + n.CAFile(),
		"export STATICPOD_EXPORTER_KUBELET_CERT_FILE=" + n.ClientCertFile(),
		"export STATICPOD_EXPORTER_KUBELET_KEY_FILE=" + n.ClientKeyFile(),
		"export STATICPOD_EXPORTER_KUBELET_MANIFEST_DIRECTORY=" + n.ManifestDirectory(),
		"export STATICPOD_EXPORTER_KUBELET_LOG=file://" + n.KubeletLog().Path(),
		"export STATICPOD_EXPORTER_CRI_ENDPOINT=" + n.RuntimeEndpoint(),
	}
	if c := n.Cluster; c != nil {
		lines = append(lines, "export STATICPOD_EXPORTER_MIRROR_KUBECONFIG="+c.KubeletKubeconfig(), "export KUBECONFIG="+c.AdminKubeconfig())
	}
	if endpoint := n.ReadOnlyEndpoint(); endpoint != "" {
		lines = append(lines, "# read-only port: "+endpoint)
	}
	return lines
}
