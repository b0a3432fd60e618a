package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/prometheus/common/version"
	"github.com/spf13/cobra"

	"github.com/staticpod-exporter/staticpod-exporter/observe/output"
)

const program = "staticpod-exporter"

// The exit codes of every command.
const (
	exitOK    = 0
	exitError = 1 // it did not work out, or what was asked for does not exist
	exitUsage = 2
)

// A usageError is a command line that makes no sense, found by a command after it was started.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// A toldError ends a command with an exit code after it has said itself what is wrong.
type toldError struct {
	words string
	code  int
}

func (e *toldError) Error() string { return e.words }

var (
	errInvalid    = &toldError{"invalid", exitError}
	errUnreadable = &toldError{"not readable", exitUsage}
	errIncomplete = &toldError{"not all answered", exitError}
)

// newRootCommand returns the whole command line.
func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   program,
		Short: "Serve, watch and explain the static pods of a node",
		Long: `staticpod-exporter serves a node's static pods to its kubelet, watches what becomes of them, and publishes
one verdict on each: as metrics, over HTTP and on the command line.

Exit codes: 0 it worked, 1 it did not or there is no such thing, 2 wrong usage.

Tables are in colours on a terminal, unless the variable NO_COLOR is set.`,
		Example: `  # is a definition sound?
  staticpod-exporter validate web.yaml

  # what has become of the static pods of this node?
  staticpod-exporter get staticpodstatus -o wide`,
		Version:       version.Print(program),
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetVersionTemplate("{{.Version}}\n")
	root.AddCommand(
		newServeCommand(),
		newGetCommand(),
		newDescribeCommand(),
		newContainersCommand(),
		newLogsCommand(),
		newValidateCommand(),
		newCheckConfigCommand(),
		newDiagnoseCommand(),
		newAssetsCommand(),
		newVersionCommand(),
		newManCommand(),
	)
	return root
}

// wantsCommand makes it wrong usage not to name one of the commands below c. Their output is often sent into a file, where
// a page of help would not be noticed.
func wantsCommand(c *cobra.Command) {
	c.DisableFlagsInUseLine = true
	c.Args = func(c *cobra.Command, args []string) error {
		var names []string
		for _, below := range c.Commands() {
			if below.IsAvailableCommand() {
				names = append(names, below.Name())
			}
		}
		slices.Sort(names)
		there := strings.Join(names, ", ")
		if len(args) == 0 {
			return fmt.Errorf("%s: which? There are %s", c.Name(), there)
		}
		return fmt.Errorf("%s has no %q; there are %s", c.Name(), args[0], there)
	}
	c.RunE = func(*cobra.Command, []string) error { return nil } // without one Args is not asked
}

// run runs the command line args and returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRootCommand()
	root.InitDefaultCompletionCmd()
	for _, c := range root.Commands() {
		if c.Name() == "completion" {
			c.Use = "completion bash|fish|powershell|zsh"
			wantsCommand(c)
		}
	}
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	// What goes wrong before a command starts is wrong usage. No command has a PersistentPreRun of its own.
	started := false
	root.PersistentPreRun = func(*cobra.Command, []string) { started = true }
	command, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitOK
	}
	if told, ok := errors.AsType[*toldError](err); ok {
		return told.code
	}
	fmt.Fprintf(stderr, "%s: %s\n", program, output.PrintableText(err.Error()))
	if _, usage := errors.AsType[usageError](err); usage || !started {
		fmt.Fprintf(stderr, "Run '%s --help' for usage.\n", command.CommandPath())
		return exitUsage
	}
	return exitError
}
