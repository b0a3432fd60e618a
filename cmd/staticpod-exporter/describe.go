package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/staticpod-exporter/staticpod-exporter/collector/kubeletlog"
	"github.com/staticpod-exporter/staticpod-exporter/collector/status"
	"github.com/staticpod-exporter/staticpod-exporter/observe/describe"
	"github.com/staticpod-exporter/staticpod-exporter/observe/output"
)

// logTimeout bounds the reading of the kubelet's log, which may be gigabytes.
const logTimeout = 20 * time.Second

func newDescribeCommand() *cobra.Command {
	var address string
	command := &cobra.Command{
		Use:   "describe ID",
		Short: "Tell all of one static pod on a page, and what to do about what is wrong",
		Long: `Describe asks a running exporter for one static pod and tells it from cause to effect: the definition with
file and line, what was served, fetched and accepted, each container with its last exit, the last rollout with
the time that each step took and its trace ID, every problem with what to do about it, and the kubelet's own
lines about it where its log can be read here.

ID is what "get" prints, or what comes to mind: default/nginx-node1, default/nginx, default-nginx, nginx where
one namespace has it, a file's path, a UID; "node" is the node itself.

The log is read where kubelet.log of the configuration says, if the exporter is that of this machine;
--kubelet.log names another place, and "" none.`,
		Example: `  staticpod-exporter describe kube-apiserver
  staticpod-exporter describe /etc/kubernetes/manifests/etcd.yaml
  staticpod-exporter describe node --address node2:10058`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return errors.New("describe what? An ID is what 'get staticpodstatus' prints, such as default/nginx-node1")
			}
			if args[0] == "" {
				return errors.New("the ID is empty")
			}
			return cobra.ExactArgs(1)(c, args)
		},
		RunE: func(c *cobra.Command, args []string) error {
			return describePod(c.Context(), c.Flags(), address, args[0], c.OutOrStdout(), c.ErrOrStderr())
		},
		ValidArgsFunction: func(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			return completeStatuses(c.Context(), address, args), cobra.ShellCompDirectiveNoFileComp
		},
	}
	f := command.Flags()
	registerConfigFlags(f)
	f.VisitAll(func(f *pflag.Flag) {
		f.Hidden = f.Name != "config.file" && f.Name != "kubelet.log"
	})
	f.StringVar(&address, "address", defaultAddress, "the exporter: http[s]://[USER:PASSWORD@]HOST:PORT or HOST:PORT")
	if err := command.RegisterFlagCompletionFunc("address", cobra.NoFileCompletions); err != nil {
		panic(err) // the flag is defined above
	}
	return command
}

func describePod(ctx context.Context, flags *pflag.FlagSet, address, id string, stdout, stderr io.Writer) error {
	exporter, err := newClient(address)
	if err != nil {
		return err
	}
	end := startProgress(stderr, func() string { return "asking the exporter" })
	defer end()
	pods, err := listAs[status.StaticPod](ctx, exporter, "staticpods")
	if err != nil {
		return err
	}
	statuses, err := listAs[status.StaticPodStatus](ctx, exporter, "staticpodstatus")
	if err != nil {
		return err
	}
	subject, err := describe.Find(id, pods, statuses)
	if err != nil {
		return errors.New(output.Printable(err.Error()))
	}
	end()
	end = startProgress(stderr, func() string { return "reading the kubelet's log" })
	defer end()
	subject.Log, subject.LogNote = kubeletLines(ctx, flags, exporter, subject)
	subject.Now = time.Now()
	end()
	return describe.Write(stdout, subject, coloursOf(stdout))
}

// listAs returns the resources at path.
func listAs[T any](ctx context.Context, exporter *client, path string) ([]*T, error) {
	objects, err := exporter.list(ctx, path)
	if err != nil {
		return nil, err
	}
	all := make([]*T, len(objects))
	for i, object := range objects {
		if err := json.Unmarshal(object, &all[i]); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	return all, nil
}

// kubeletLines reads what the kubelet's log says about the subject, and says why nothing could be read.
func kubeletLines(ctx context.Context, flags *pflag.FlagSet, exporter *client, subject describe.Subject) ([]kubeletlog.Line, string) {
	if subject.Status.Metadata.ID == status.NodeID {
		return nil, ""
	}
	named := flags.Lookup("kubelet.log").Changed
	if !named && !here(exporter.base.Hostname()) {
		return nil, "it is on the node of the exporter: run this there, or name a copy with --kubelet.log"
	}
	config, err := loader{flags: flags}.load()
	if err != nil {
		return nil, fmt.Sprintf("it was not looked for: %v", err)
	}
	if config.Kubelet.Log == "" {
		return nil, "by the configuration it is not to be read (kubelet.log is empty)"
	}
	ctx, cancel := context.WithTimeout(ctx, logTimeout)
	defer cancel()
	lines, err := kubeletlog.Read(ctx, config.Kubelet.Log, subject.About)
	if err != nil {
		return lines, err.Error()
	}
	return lines, ""
}

// here reports whether a host is this machine.
func here(host string) bool {
	if address, err := netip.ParseAddr(host); err == nil {
		return address.Unmap().IsLoopback()
	}
	name, err := os.Hostname()
	return host == "localhost" || err == nil && strings.EqualFold(host, name)
}

// completeStatuses returns the IDs of the statuses that the exporter has now.
func completeStatuses(ctx context.Context, address string, args []string) []string {
	exporter, err := newClient(address)
	if err != nil || len(args) > 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, completionTimeout)
	defer cancel()
	objects, err := exporter.list(ctx, "staticpodstatus")
	if err != nil {
		return nil // a shell that completes has no place for errors
	}
	var ids []string
	for _, object := range objects {
		if m, err := metadata(object); err == nil {
			ids = append(ids, m.ID)
		}
	}
	slices.Sort(ids)
	return ids
}
