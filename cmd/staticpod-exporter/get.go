package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/staticpod-exporter/staticpod-exporter/collector/status"
	"github.com/staticpod-exporter/staticpod-exporter/observe/output"
)

const completionTimeout = 2 * time.Second

// A resourceType is what get can show.
type resourceType struct {
	name    string // also its path on the exporter
	aliases []string
	columns func(wide bool) []string
	row     func(object []byte, wide bool, now time.Time) ([]string, error)
}

func resourceTypes() []resourceType {
	return []resourceType{
		{"staticpods", []string{"staticpod", "sp", "staticpods.kubernetes.talos.dev"}, output.PodColumns, rowOf(output.PodRow)},
		{"staticpodstatus", []string{"staticpodstatuses", "podstatus", "sps", "staticpodstatuses.kubernetes.talos.dev"}, output.StatusColumns, rowOf(output.StatusRow)},
	}
}

func rowOf[T any](row func(*T, bool, time.Time) []string) func([]byte, bool, time.Time) ([]string, error) {
	return func(object []byte, wide bool, now time.Time) ([]string, error) {
		resource := new(T)
		if err := json.Unmarshal(object, resource); err != nil {
			return nil, fmt.Errorf("resource: %w", err)
		}
		return row(resource, wide, now), nil
	}
}

// findType returns the type of a name or an alias in any case, as talosctl does.
func findType(name string) (resourceType, error) {
	for _, t := range resourceTypes() {
		if lower := strings.ToLower(name); lower == t.name || slices.Contains(t.aliases, lower) {
			return t, nil
		}
	}
	return resourceType{}, usageError{fmt.Errorf("unknown type %q: there are staticpods (sp) and staticpodstatus (sps)", name)}
}

func outputs() []string {
	return []string{"table", "wide", "yaml", "json", "name", jsonpathForm + "TEMPLATE"}
}

// getOptions are the flags of get.
type getOptions struct {
	address, output string
	nodes           []string
	watch           bool
	fleet           fleetOptions
}

func newGetCommand() *cobra.Command {
	var o getOptions
	command := &cobra.Command{
		Use:   "get staticpods|staticpodstatus [ID]",
		Short: "Show static pods as defined, or what became of them",
		Long: `Get asks a running exporter for the static pods of its node (staticpods, sp) or for the verdicts on them
(staticpodstatus, podstatus, sps), all of them or the one named ID, and prints them as talosctl does.

With --nodes it asks several exporters at once and prints what they say as one table. One that does not answer is
named on standard error, and the exit code is 1.

With --prometheus it asks no exporter but Prometheus, Thanos or Mimir, with one query for all exporters that are scraped
there, or for those that --selector matches. Exporters that are scraped in vain are named on standard error, and the exit
code is 1. What metrics do not hold is <unknown>.

With --watch it goes on to print what changes, until interrupted; the column * is + for what is new and - for
what is gone. When the connection breaks it says so, connects again and prints what changed in between.

With --output jsonpath=TEMPLATE a template of one expression prints each result on a line of its own; one of several
expressions and text prints them one after the other and ends the line.`,
		Example: `  # all static pods, and what is wrong with them
  staticpod-exporter get staticpodstatus -o wide

  # one verdict in full
  staticpod-exporter get sps default/nginx-node1 -o yaml

  # what becomes of the static pods of three nodes
  staticpod-exporter get sps --nodes node1,node2,node3 --watch

  # the same of the whole fleet, once
  staticpod-exporter get sps --prometheus https://prometheus.example.org --selector cluster=eu -o wide

  # IDs and reasons, for another program
  staticpod-exporter get sps -o jsonpath='{.metadata.id}{"\t"}{.spec.reason}'`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return errors.New("get what? There are staticpods (sp) and staticpodstatus (sps)")
			}
			if err := c.ValidateFlagGroups(); err != nil {
				return err // here it is wrong usage
			}
			// A shell's variable that is not set shall not have another answer.
			for _, name := range []string{"address", "nodes", "prometheus"} {
				if f := c.Flags().Lookup(name); f.Changed && strings.Trim(f.Value.String(), "[]") == "" {
					return fmt.Errorf("--%s is empty", name)
				}
			}
			if len(args) == 2 && args[1] == "" {
				return errors.New("the ID is empty")
			}
			return cobra.MaximumNArgs(2)(c, args)
		},
		RunE: func(c *cobra.Command, args []string) error {
			err := o.run(c.Context(), args, c.OutOrStdout(), c.ErrOrStderr())
			if err != nil && c.Context().Err() != nil {
				return errIncomplete // who interrupted it knows why
			}
			return err
		},
		ValidArgsFunction: func(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			return o.complete(c.Context(), args), cobra.ShellCompDirectiveNoFileComp
		},
	}
	f := command.Flags()
	f.StringVarP(&o.output, "output", "o", "table", "how to print: "+strings.Join(outputs(), ", "))
	f.BoolVarP(&o.watch, "watch", "w", false, "go on and print what changes")
	f.StringVar(&o.address, "address", defaultAddress, "the exporter: http[s]://[USER:PASSWORD@]HOST:PORT or HOST[:PORT]")
	f.StringSliceVarP(&o.nodes, "nodes", "n", nil, "several exporters, each as --address has it")
	o.fleet.register(f)
	command.MarkFlagsMutuallyExclusive("address", "nodes", "prometheus")
	command.MarkFlagsMutuallyExclusive("watch", "prometheus")
	for name, values := range map[string][]string{"output": completedOutputs(), "address": nil, "nodes": nil, "prometheus": nil, "selector": nil} {
		if err := command.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)); err != nil {
			panic(err) // the flag is defined above
		}
	}
	return command
}

// completedOutputs are the outputs as a shell completes them.
func completedOutputs() []string {
	all := outputs()
	all[len(all)-1] = jsonpathForm
	return all
}

func (o *getOptions) run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	t, err := findType(args[0])
	if err != nil {
		return err
	}
	id := ""
	if len(args) > 1 {
		id = args[1]
	}
	if o.fleet.prometheus != "" {
		return o.fleet.run(ctx, t.name, id, o.output, stdout, stderr)
	}
	if err := o.fleet.unused(); err != nil {
		return err
	}
	p, err := newPrinter(stdout, t, o.output, o.watch)
	if err != nil {
		return err
	}
	exporters, err := o.exporters()
	if err != nil {
		return err
	}
	if o.watch {
		return watchAll(ctx, exporters, t.name, id, p, stderr)
	}
	answers := fetchAll(ctx, exporters, t.name, id, stderr)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return printAll(answers, p, stderr)
}

// exporters are whom to ask.
func (o *getOptions) exporters() ([]*client, error) {
	if len(o.nodes) > 0 {
		return newClients(o.nodes)
	}
	c, err := newClient(o.address)
	return []*client{c}, err
}

// complete returns what may come after args: a type, then the ID of one that the exporters have now.
func (o *getOptions) complete(ctx context.Context, args []string) []string {
	var names []string
	switch len(args) {
	case 0:
		for _, t := range resourceTypes() {
			names = append(names, t.name)
		}
	case 1:
		t, err := findType(args[0])
		if err != nil || o.fleet.prometheus != "" {
			return nil
		}
		exporters, err := o.exporters()
		if err != nil {
			return nil
		}
		ctx, cancel := context.WithTimeout(ctx, completionTimeout)
		defer cancel()
		// A shell that completes has no place for errors.
		for _, a := range fetchAll(ctx, exporters, t.name, "", io.Discard) {
			for _, object := range a.objects {
				if m, err := metadata(object); err == nil && !slices.Contains(names, m.ID) {
					names = append(names, m.ID)
				}
			}
		}
	}
	return names
}

// metadata returns the metadata of a resource.
func metadata(object []byte) (status.Metadata, error) {
	var resource struct{ Metadata status.Metadata }
	if err := json.Unmarshal(object, &resource); err != nil {
		return status.Metadata{}, fmt.Errorf("resource: %w", err)
	}
	return resource.Metadata, nil
}
