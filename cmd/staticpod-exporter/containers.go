package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/staticpod-exporter/staticpod-exporter/cri"
	"github.com/staticpod-exporter/staticpod-exporter/observe/output"
)

// runtimeNamespace is where containerd keeps what Kubernetes runs.
const runtimeNamespace = "k8s.io"

// containersOptions are the flags of containers.
type containersOptions struct {
	kubernetesOnly
	output string
	all    bool
}

func newContainersCommand() *cobra.Command {
	var o containersOptions
	command := &cobra.Command{
		Use:   "containers",
		Short: "Show the containers of static pods, straight from the container runtime",
		Long: `Containers asks the container runtime of this node what it runs of static pods, and prints it as talosctl does:
a row for each pod's sandbox, and below it one for each attempt at running a container that the runtime still
has. It needs neither the exporter nor the kubelet nor an API server.

Of a pod without a ready sandbox the last one is shown. The IDs are what "logs" takes.`,
		Example: `  # what runs, and how often it was restarted
  staticpod-exporter containers -o wide

  # the pods of the API server, too
  staticpod-exporter containers --all

  # another runtime than the usual ones
  staticpod-exporter containers --cri.endpoint unix:///run/other/containerd.sock`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := o.check(); err != nil {
				return err
			}
			print, err := containerPrinter(c.OutOrStdout(), o.output)
			if err != nil {
				return err
			}
			l, err := openLocal(c.Flags(), c.ErrOrStderr())
			if err != nil {
				return err
			}
			defer l.close()
			end := startProgress(c.ErrOrStderr(), func() string { return "asking the container runtime" })
			pods, err := l.runtime.Pods(c.Context(), o.all)
			end()
			if err != nil {
				return advise(err)
			}
			return print(containerRows(l.node, pods))
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	f := command.Flags()
	f.StringVarP(&o.output, "output", "o", "table", "how to print: "+strings.Join(outputs(), ", "))
	f.BoolVarP(&o.all, "all", "A", false, "also the pods that are not static")
	o.register(f)
	registerLocalFlags(command)
	completeFixed(command, "output", completedOutputs())
	return command
}

// completeFixed completes a flag with values.
func completeFixed(command *cobra.Command, flag string, values []string) {
	if err := command.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)); err != nil {
		panic(err) // the flag was defined before
	}
}

// A containerRow is what the runtime says of one sandbox or one attempt at running a container.
type containerRow struct {
	Node      string         `json:"node"`
	Namespace string         `json:"namespace"`
	ID        string         `json:"id"`
	Image     string         `json:"image"`
	PID       int            `json:"pid"`
	Status    string         `json:"status"`
	Pod       podOfRow       `json:"pod"`
	Sandbox   *sandboxOfRow  `json:"sandbox,omitempty"`
	Container *attemptsOfRow `json:"container,omitempty"`
}

type podOfRow struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	UID       string `json:"uid"`
	Source    string `json:"source"`
}

type sandboxOfRow struct {
	ID      string    `json:"id"`
	Attempt uint32    `json:"attempt"`
	Created time.Time `json:"created"`
}

type attemptsOfRow struct {
	ID           string    `json:"id"`
	Name         string    `json:"name"`
	RestartCount int       `json:"restartCount"`
	Created      time.Time `json:"created"`
	Started      time.Time `json:"started,omitzero"`
	Finished     time.Time `json:"finished,omitzero"`
	ExitCode     *int      `json:"exitCode,omitempty"` // of one that has ended
	Reason       string    `json:"reason,omitempty"`
	LogPath      string    `json:"logPath,omitempty"`
}

// shortID is as much of a container's ID as talosctl shows.
func shortID(id string) string { return id[:min(len(id), 12)] }

// containerRows are the rows of pods: by pod, each sandbox before its containers. (talosctl sorts by the whole ID,
// which puts the containers of one pod below another whose name begins the same.)
func containerRows(node string, pods []cri.Pod) []containerRow {
	pods = slices.Clone(pods)
	slices.SortStableFunc(pods, func(a, b cri.Pod) int { return cmp.Compare(podID(a.Sandbox), podID(b.Sandbox)) })
	var rows []containerRow
	for i := range pods {
		p := &pods[i]
		if !shown(pods, i) {
			continue
		}
		id := podID(p.Sandbox)
		row := containerRow{
			Node: node, Namespace: runtimeNamespace, ID: id, Image: p.Image, PID: p.PID, Status: "SANDBOX_NOTREADY",
			Pod:     podOfRow{Namespace: p.Namespace, Name: p.Name, UID: p.UID, Source: p.Source},
			Sandbox: &sandboxOfRow{ID: p.Sandbox.ID, Attempt: p.Attempt, Created: p.Created},
		}
		if p.Ready {
			row.Status = "SANDBOX_READY"
		}
		rows = append(rows, row)
		first := len(rows)
		for _, c := range p.Containers {
			rows = append(rows, containerRow{
				Node: node, Namespace: runtimeNamespace, ID: id + ":" + c.Name + ":" + shortID(c.ID),
				Image: c.Image, PID: c.PID, Status: "CONTAINER_" + strings.ToUpper(string(c.State)), Pod: row.Pod,
				Container: attemptOfRow(c),
			})
		}
		slices.SortStableFunc(rows[first:], func(a, b containerRow) int { return cmp.Compare(a.ID, b.ID) })
	}
	return rows
}

func podID(s cri.Sandbox) string { return s.Namespace + "/" + s.Name }

// shown reports whether a sandbox tells something of its pod: it is ready, or no other one is and it is the last.
func shown(pods []cri.Pod, i int) bool {
	if pods[i].Ready {
		return true
	}
	for j := range pods {
		if j != i && podID(pods[j].Sandbox) == podID(pods[i].Sandbox) && (pods[j].Ready || j > i) {
			return false
		}
	}
	return true
}

func attemptOfRow(c cri.Container) *attemptsOfRow {
	a := &attemptsOfRow{
		ID: c.ID, Name: c.Name, RestartCount: c.RestartCount, Created: c.Created, Started: c.Started, Finished: c.Finished,
		Reason: c.Reason, LogPath: c.LogPath,
	}
	if c.State == cri.Exited {
		a.ExitCode = &c.ExitCode
	}
	return a
}

// containerPrinter returns what prints rows in a form.
func containerPrinter(w io.Writer, form string) (func([]containerRow) error, error) {
	if template, ok := strings.CutPrefix(form, jsonpathForm); ok {
		p, err := output.NewJSONPath(w, template)
		if err != nil {
			return nil, usageError{err}
		}
		return eachRow(p.Write), nil
	}
	switch form {
	case "table", "wide":
		return func(rows []containerRow) error { return printContainerTable(w, rows, form == "wide", time.Now()) }, nil
	case "yaml":
		documents := output.NewDocuments(w)
		return eachRow(documents.Write), nil
	case "json":
		return eachRow(func(object []byte) error { return output.JSON(w, object) }), nil
	case "name":
		return func(rows []containerRow) error {
			for _, r := range rows {
				if _, err := fmt.Fprintln(w, output.Printable(r.ID)); err != nil {
					return err
				}
			}
			return nil
		}, nil
	}
	return nil, usageError{fmt.Errorf("unknown output %q: there are %s", form, strings.Join(outputs(), ", "))}
}

func eachRow(print func(object []byte) error) func([]containerRow) error {
	return func(rows []containerRow) error {
		for i := range rows {
			object, err := json.Marshal(&rows[i])
			if err != nil {
				return fmt.Errorf("container: %w", err)
			}
			if err := print(object); err != nil {
				return err
			}
		}
		return nil
	}
}

func printContainerTable(w io.Writer, rows []containerRow, wide bool, now time.Time) error {
	header := []string{"NODE", "NAMESPACE", "ID", "IMAGE", "PID", "STATUS"}
	if wide {
		header = append(header, "RESTARTS", "EXITCODE", "REASON", "AGE", "SOURCE")
	}
	table := output.NewTable(w, header)
	table.Colours = coloursOf(w)
	for _, r := range rows {
		id := r.ID
		if r.Container != nil {
			id = "└─ " + id
		}
		cells := []string{r.Node, r.Namespace, id, r.Image, strconv.Itoa(r.PID), r.Status}
		if wide {
			cells = append(cells, r.wide(now)...)
		}
		table.Row(cells)
	}
	return table.Flush()
}

// wide are the cells that talosctl does not have. A container's age is since it was started, or else made.
func (r *containerRow) wide(now time.Time) []string {
	const none = "<none>"
	source := cmp.Or(r.Pod.Source, none)
	c := r.Container
	if c == nil {
		return []string{none, none, none, output.Age(r.Sandbox.Created, now), source}
	}
	code := none
	if c.ExitCode != nil {
		code = strconv.Itoa(*c.ExitCode)
	}
	since := c.Started
	if since.IsZero() {
		since = c.Created
	}
	return []string{strconv.Itoa(c.RestartCount), code, cmp.Or(c.Reason, none), output.Age(since, now), source}
}

// complete lists the IDs of containers, for a shell: of those of static pods, as short as they are one only.
func (l *local) complete(ctx context.Context) []string {
	ctx, cancel := context.WithTimeout(ctx, completionTimeout)
	defer cancel()
	sandboxes, err := l.runtime.Sandboxes(ctx, false)
	if err != nil {
		return nil // a shell that completes has no place for errors
	}
	var ids []string
	for _, s := range sandboxes {
		for _, c := range s.Containers {
			ids = append(ids, podID(s)+":"+c.Name)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}
