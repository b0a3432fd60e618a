package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/staticpod-exporter/staticpod-exporter/cri"
	"github.com/staticpod-exporter/staticpod-exporter/manifest"
	"github.com/staticpod-exporter/staticpod-exporter/observe/output"
)

// A local is what a command that asks no exporter knows of its node: the configuration of serve, and with it the
// container runtime.
type local struct {
	loaded
	node    string
	runtime *cri.Client
}

// registerLocalFlags declares the flags of serve, of which only those that matter to a local command are shown.
func registerLocalFlags(command *cobra.Command) {
	registerConfigFlags(command.Flags())
	shown := []string{"config.file", "cri.endpoint", "node", "kubelet.log"}
	command.Flags().VisitAll(func(f *pflag.Flag) {
		f.Hidden = isKey(f.Name) && !slices.Contains(shown, f.Name)
	})
}

// openLocal reads the configuration. Nothing is asked yet. A file that cannot be used is told to notes and left out: the
// exporter goes on with what it last had, and whoever comes here may be about to find out what is broken.
func openLocal(flags *pflag.FlagSet, notes io.Writer) (*local, error) {
	l := &local{}
	var err error
	if l.loaded, err = (loader{flags: flags}).load(); err != nil {
		unusable := err
		if l.loaded, err = (loader{flags: flags}).decode("", nil); err != nil {
			return nil, err
		}
		fmt.Fprintf(notes, "%s: %s; going on without it\n", program, output.Printable(unusable.Error()))
	}
	if l.node, err = manifest.NodeName(l.Node, l.Manifest.StateDirectory); err != nil {
		return nil, err
	}
	if l.CRI.Endpoint == "" {
		return nil, errors.New("cri.endpoint is empty: by this configuration the node has no container runtime to ask (--cri.endpoint=auto looks for one)")
	}
	if l.runtime, err = cri.New(cri.Options{Endpoint: l.CRI.Endpoint}); err != nil {
		return nil, err
	}
	return l, nil
}

func (l *local) close() { _ = l.runtime.Close() } // nothing was written

// advise says what to try about a runtime that gave no answer.
func advise(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, cri.ErrNoSocket):
		return fmt.Errorf("%w: does one run on this node? --cri.endpoint names its socket", err)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: --cri.endpoint=auto looks in the usual places", err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: run this as root (sudo %s …)", err, program)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%w: the runtime has ended without removing its socket: systemctl status containerd (or crio, k3s, rke2-server)", err)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%w: the runtime does not answer: systemctl status containerd (or crio, k3s, rke2-server)", err)
	}
	return err
}

// definitions are those that can be read here: of the configured files when the exporter serves them, and of the
// kubelet's manifest directory.
func (l *local) definitions() (found []*manifest.Candidate, directory string) {
	directory = manifestDirectory(l.Kubelet.ManifestDirectory, "")
	var sources manifest.Sources
	if l.Manifest.Listen != "" {
		sources = manifest.Sources{ConfigPath: l.Path, Config: l.Data, Patterns: l.Manifest.Files}
	}
	return manifest.NewValidator(manifest.Rules{Node: l.node}).Survey(sources, directory), directory
}

// kubernetesOnly takes the flags by which talosctl is told to ask the runtime of Kubernetes. There is no other.
type kubernetesOnly struct {
	kubernetes bool
	namespace  string
}

func (k *kubernetesOnly) register(f *pflag.FlagSet) {
	f.BoolVarP(&k.kubernetes, "kubernetes", "k", true, "ask the runtime of Kubernetes: taken as by talosctl, and always so")
	f.StringVar(&k.namespace, "namespace", "cri", "namespace of the runtime: taken as by talosctl, cri or k8s.io")
}

func (k *kubernetesOnly) check() error {
	if !k.kubernetes || k.namespace != "cri" && k.namespace != "k8s.io" {
		return usageError{fmt.Errorf("--namespace is that of the runtime, of which there is cri (or k8s.io): a pod's own is part of the ID, NAMESPACE/POD")}
	}
	return nil
}
