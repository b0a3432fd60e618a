package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/staticpod-exporter/staticpod-exporter/cri"
	"github.com/staticpod-exporter/staticpod-exporter/cri/containerlog"
	"github.com/staticpod-exporter/staticpod-exporter/observe/output"
)

// logsOptions are the flags of logs.
type logsOptions struct {
	kubernetesOnly
	containerlog.Options
	container        string
	since            string
	follow, previous bool
}

func newLogsCommand() *cobra.Command {
	var o logsOptions
	command := &cobra.Command{
		Use:   "logs ID",
		Short: "Print what a container of a static pod has written, straight from the node's files",
		Long: `Logs prints the log of a container's last attempt. It asks the container runtime where that is, and needs
neither the exporter nor the kubelet nor an API server.

ID is [NAMESPACE/]POD[:CONTAINER[:ID]], as "containers" prints it. The node's name at the end of POD, the namespace
and the container may be left out where that leaves one only; the ID of an attempt chooses that one. The ID of a
container alone, or its beginning, will do too.

With --follow it goes on with what comes, over restarts of the container and of the pod, until interrupted; no
line is lost and none comes twice. What is said about that is on standard error.

Of a pod that has no container, because the kubelet refuses it or cannot make one, it prints what the kubelet's
log (--kubelet.log) says about it instead.`,
		Example: `  # the API server's last words before it crashed
  staticpod-exporter logs kube-apiserver --previous --tail 20

  # one that crashes again and again
  staticpod-exporter logs default/web -f

  # why a pod does not run
  staticpod-exporter logs web`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return errors.New("logs of what? An ID is [NAMESPACE/]POD[:CONTAINER[:ID]]: see 'containers'")
			}
			return cobra.ExactArgs(1)(c, args)
		},
		RunE: func(c *cobra.Command, args []string) error {
			id, err := o.parse(args[0], time.Now())
			if err != nil {
				return err
			}
			l, err := openLocal(c.Flags(), c.ErrOrStderr())
			if err != nil {
				return err
			}
			defer l.close()
			q := &logQuery{local: l, id: id, options: &o, out: c.OutOrStdout(), notes: c.ErrOrStderr()}
			return q.run(c.Context())
		},
		ValidArgsFunction: func(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			l, err := openLocal(c.Flags(), io.Discard)
			if err != nil || len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			defer l.close()
			return l.complete(c.Context()), cobra.ShellCompDirectiveNoFileComp
		},
	}
	f := command.Flags()
	f.StringVarP(&o.container, "container", "c", "", "the container, where the ID does not say it")
	f.BoolVarP(&o.follow, "follow", "f", false, "go on with what comes")
	f.BoolVarP(&o.previous, "previous", "p", false, "of the attempt before the last")
	f.IntVar(&o.Tail, "tail", -1, "only so many of the last lines; -1 for all")
	f.StringVar(&o.since, "since", "", "only what came since then: a duration (5m) or a time (2026-11-22T14:38:27Z)")
	f.BoolVar(&o.Timestamps, "timestamps", false, "put before each line when it came")
	f.BoolVar(&o.Raw, "raw", false, "the lines of the file as they are: with time, stream and pieces")
	o.register(f)
	registerLocalFlags(command)
	completeFixed(command, "container", nil)
	return command
}

// parse checks the flags and returns the ID. now is what a duration is counted from.
func (o *logsOptions) parse(text string, now time.Time) (containerID, error) {
	if err := o.check(); err != nil {
		return containerID{}, err
	}
	id, err := parseContainerID(text)
	switch {
	case err != nil:
		return containerID{}, err
	case o.Tail < -1:
		return containerID{}, usageError{fmt.Errorf("--tail %d is below -1, which is all", o.Tail)}
	case o.container != "" && (id.container != "" || !isName(o.container)):
		return containerID{}, usageError{fmt.Errorf("--container %q: the ID says it already, or it is no name", o.container)}
	case o.previous && (o.follow || id.id != ""):
		return containerID{}, usageError{errors.New("--previous is of an attempt that has ended: it goes with neither --follow nor the ID of an attempt")}
	case o.Raw && o.Timestamps:
		return containerID{}, usageError{errors.New("--raw has timestamps already: it does not go with --timestamps")}
	}
	if o.container != "" {
		id.container = o.container
	}
	if o.since == "" {
		return id, nil
	}
	if d, err := time.ParseDuration(o.since); err == nil && d >= 0 {
		o.Since = now.Add(-d)
	} else if o.Since, err = time.Parse(time.RFC3339, o.since); err != nil {
		return containerID{}, usageError{fmt.Errorf("--since %q is neither a duration (5m) nor a time (2026-11-22T14:38:27Z)", o.since)}
	}
	return id, nil
}

// A logQuery prints one container's log.
type logQuery struct {
	*local
	id      containerID
	options *logsOptions
	out     io.Writer
	notes   io.Writer // for what is ours to say
	partial bool      // something was left out of what is printed
}

// note says something beside the log.
func (q *logQuery) note(format string, args ...any) {
	fmt.Fprintf(q.notes, "%s: %s\n", program, output.Printable(fmt.Sprintf(format, args...)))
}

func (q *logQuery) run(ctx context.Context) error {
	q.options.Damaged = func(path string, err error) {
		q.partial = true
		q.note("%s is damaged (%v): what cannot be read of it is left out", path, err)
	}
	end := startProgress(q.notes, func() string { return "asking the container runtime" })
	t, err := q.find(ctx)
	end()
	if missing, ok := errors.AsType[*noContainerError](err); ok && q.defines(missing.container) {
		return q.withoutContainer(ctx, notYet) // it has yet to be made
	}
	if mute, ok := errors.AsType[*muteError](err); ok {
		return q.withoutRuntime(ctx, mute)
	}
	switch {
	case errors.Is(err, errNoSuchPod):
		return q.withoutContainer(ctx, absent)
	case err != nil:
		return err
	case len(t.attempts) == 0:
		return q.withoutContainer(ctx, notYet)
	}
	return q.print(ctx, t)
}

// A muteError is about a runtime that gives no answer.
type muteError struct{ error }

func (e *muteError) Unwrap() error { return e.error }

// find asks the runtime for what the ID names.
func (q *logQuery) find(ctx context.Context) (*target, error) {
	sandboxes, err := q.runtime.Sandboxes(ctx, true)
	if err != nil {
		return nil, &muteError{advise(err)}
	}
	id := q.id
	if id.path != "" {
		if id, err = q.defined(); err != nil {
			return nil, err
		}
	}
	return id.find(sandboxes, q.node)
}

// defined is the one pod that the manifest named by the ID defines.
func (q *logQuery) defined() (containerID, error) {
	candidates, _ := q.definitions()
	var ids []containerID
	var names []string
	for _, c := range candidates {
		if q.named(c) && c.Name != "" {
			id := containerID{namespace: c.Namespace, pod: c.Name, container: q.id.container}
			ids, names = append(ids, id), append(names, id.String())
		}
	}
	switch len(ids) {
	case 0:
		return containerID{}, errNoSuchPod
	case 1:
		return ids[0], nil
	}
	return containerID{}, &ambiguousError{q.id, names}
}

// print prints the log of an attempt of t that the flags choose, and follows it.
func (q *logQuery) print(ctx context.Context, t *target) error {
	at := before(t.attempts, len(t.attempts))
	if q.options.previous {
		at = before(t.attempts, at)
	}
	if at < 0 {
		return fmt.Errorf("%s has no attempt before the last, or the kubelet has removed it", t)
	}
	chosen := t.attempts[at]
	printer := containerlog.NewPrinter(q.out, q.options.Options)
	if q.options.follow {
		return q.follow(ctx, t, attempt(chosen), printer)
	}
	if chosen.LogPath == "" {
		return fmt.Errorf("%s has no log: it is %s, and the runtime names no file", t.attempt(chosen), chosen.State)
	}
	written := &counter{w: q.out}
	printer = containerlog.NewPrinter(written, q.options.Options)
	log := containerlog.Open(chosen.LogPath)
	defer log.Close()
	for _, step := range []func() error{func() error { return log.Print(printer) }, func() error { return log.End(printer) }, printer.Flush} {
		if err := step(); err != nil {
			return adviseLog(err)
		}
	}
	if written.n > 0 || chosen.State == cri.Running || q.partial || q.options.Tail == 0 {
		return nil
	}
	since := ""
	if !q.options.Since.IsZero() {
		since = " since " + q.options.Since.UTC().Format(time.RFC3339)
	}
	q.note("%s has written nothing%s: %s", t.attempt(chosen), since, howItIs(chosen))
	return nil
}

// before is the last attempt before the one at a place that has a log, or the first, which may have yet to be started;
// -1 when there is none.
func before(attempts []cri.Container, at int) int {
	for at--; at > 0 && attempts[at].LogPath == ""; at-- {
	}
	return at
}

// follow prints the log of an attempt, unless that has no ID, and what comes after it.
func (q *logQuery) follow(ctx context.Context, t *target, first containerlog.Attempt, printer *containerlog.Printer) error {
	how := map[string]cri.Container{}
	f := &containerlog.Follower{
		Printer: printer, Only: t.one,
		Attempts: func(ctx context.Context) (attempts []containerlog.Attempt, err error) {
			known, err := q.runtime.Attempts(ctx, t.namespace, t.pod, t.container)
			sortAttempts(known)
			for _, c := range known {
				how[c.ID] = c
				attempts = append(attempts, attempt(c))
			}
			return attempts, err
		},
		Tell: func(n containerlog.News) {
			switch {
			case n.Ended != nil && t.one:
				q.note("%s has ended: %s", t.attempt(how[n.Ended.ID]), howItIs(how[n.Ended.ID]))
			case n.Ended != nil:
				q.note("%s has ended: %s; waiting for it to be started again", t.attempt(how[n.Ended.ID]), howItIs(how[n.Ended.ID]))
			case n.Began != nil:
				if n.Missed > 0 {
					q.note("%d attempts came and went unseen, with their logs", n.Missed)
				}
				which := "for the first time"
				if n.Began.Number > 0 {
					which = fmt.Sprintf("restart %d", n.Began.Number)
				}
				if _, listed := how[n.Began.ID]; listed {
					q.note("%s was started, %s", t.attempt(how[n.Began.ID]), which)
				} else {
					q.note("%s was started, %s, and is gone", t, which)
				}
			case n.Blind != nil:
				q.note("%v; going on with what is known", advise(n.Blind))
			case n.Sighted:
				q.note("the runtime answers again")
			}
		},
	}
	return adviseLog(f.Run(ctx, first))
}

// attempt is what following needs to know of a container.
func attempt(c cri.Container) containerlog.Attempt {
	return containerlog.Attempt{
		ID: c.ID, UID: filepath.Dir(c.LogPath), LogPath: c.LogPath, Number: c.RestartCount, Created: c.Created, Ended: c.State == cri.Exited,
	}
}

// howItIs says how a container that does not run is, or how it ended.
func howItIs(c cri.Container) string {
	if c.State != cri.Exited {
		return "it is " + string(c.State)
	}
	words := "exit code " + strconv.Itoa(c.ExitCode)
	if c.Reason != "" {
		words += " (" + c.Reason + ")"
	}
	if c.Message != "" {
		words += ": " + c.Message
	}
	return words
}

// adviseLog says what to try about a log that cannot be read.
func adviseLog(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("container log: %w: it was removed, or the node's /var/log/pods is not mounted here", err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("container log: %w: run this as root (sudo %s …)", err, program)
	case err != nil:
		return fmt.Errorf("container log: %w", err)
	}
	return nil
}

// A counter counts what is written.
type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}
