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

func outputs() []string { return []string{"table", "wide", "yaml", "json", "name"} }

// getOptions are the flags of get.
type getOptions struct {
	address, output string
	watch           bool
}

func newGetCommand() *cobra.Command {
	var o getOptions
	command := &cobra.Command{
		Use:   "get staticpods|staticpodstatus [ID]",
		Short: "Show static pods as defined, or what became of them",
		Long: `Get asks a running exporter for the static pods of its node (staticpods, sp) or for the verdicts on them
(staticpodstatus, podstatus, sps), all of them or the one named ID, and prints them as talosctl does.

With --watch it goes on to print what changes, until interrupted; the column * is + for what is new and - for
what is gone. When the connection breaks it says so, connects again and prints what changed in between.`,
		Example: `  # all static pods, and what is wrong with them
  staticpod-exporter get staticpodstatus -o wide

  # one verdict in full
  staticpod-exporter get sps default/nginx-node1 -o yaml

  # another node
  staticpod-exporter get sps --address node2:10058 --watch`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return errors.New("get what? There are staticpods (sp) and staticpodstatus (sps)")
			}
			return cobra.MaximumNArgs(2)(c, args)
		},
		RunE: func(c *cobra.Command, args []string) error {
			return o.run(c.Context(), args, c.OutOrStdout(), c.ErrOrStderr())
		},
		ValidArgsFunction: func(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			return o.complete(c.Context(), args), cobra.ShellCompDirectiveNoFileComp
		},
	}
	f := command.Flags()
	f.StringVarP(&o.output, "output", "o", "table", "how to print: "+strings.Join(outputs(), ", "))
	f.BoolVarP(&o.watch, "watch", "w", false, "go on and print what changes")
	f.StringVar(&o.address, "address", defaultAddress, "the exporter: http[s]://[USER:PASSWORD@]HOST:PORT or HOST:PORT")
	for name, values := range map[string][]string{"output": outputs(), "address": nil} {
		if err := command.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)); err != nil {
			panic(err) // the flag is defined above
		}
	}
	return command
}

func (o *getOptions) run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	t, err := findType(args[0])
	if err != nil {
		return err
	}
	p, err := newPrinter(stdout, t, o.output, o.watch)
	if err != nil {
		return err
	}
	exporter, err := newClient(o.address)
	if err != nil {
		return err
	}
	id := ""
	if len(args) > 1 {
		id = args[1]
	}
	if o.watch {
		w := &watcher{exporter: exporter, path: t.name, id: id, printer: p, log: stderr, known: map[string]known{}}
		return w.run(ctx)
	}
	objects := make([]json.RawMessage, 1)
	if id != "" {
		objects[0], err = exporter.one(ctx, t.name, id)
	} else {
		objects, err = exporter.list(ctx, t.name)
	}
	if err != nil {
		return err
	}
	for _, object := range objects {
		if err := p.print("", object); err != nil {
			return err
		}
	}
	return p.flush()
}

// complete returns what may come after args: a type, then the ID of one that the exporter has now.
func (o *getOptions) complete(ctx context.Context, args []string) []string {
	var names []string
	switch len(args) {
	case 0:
		for _, t := range resourceTypes() {
			names = append(names, t.name)
		}
	case 1:
		t, err := findType(args[0])
		if err != nil {
			return nil
		}
		exporter, err := newClient(o.address)
		if err != nil {
			return nil
		}
		ctx, cancel := context.WithTimeout(ctx, completionTimeout)
		defer cancel()
		objects, err := exporter.list(ctx, t.name)
		if err != nil {
			return nil // a shell that completes has no place for errors
		}
		for _, object := range objects {
			if m, err := metadata(object); err == nil {
				names = append(names, m.ID)
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
