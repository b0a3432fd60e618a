package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/common/version"
	"github.com/spf13/cobra"

	"github.com/staticpod-exporter/staticpod-exporter/manifest"
	"github.com/staticpod-exporter/staticpod-exporter/observe/output"
	"github.com/staticpod-exporter/staticpod-exporter/observe/report"
)

// reportForms are how problems of files can be told.
func reportForms() []string { return []string{"text", "json", "sarif", "github"} }

// validateOptions are the flags of validate.
type validateOptions struct {
	rules                         manifest.Rules
	gates                         []string
	output                        string
	asDirectory, warningsAsErrors bool
}

func newValidateCommand() *cobra.Command {
	var o validateOptions
	command := &cobra.Command{
		Use:   "validate FILE|DIRECTORY|- ...",
		Short: "Prove static pod definitions with the kubelet's own rules",
		Long: `Validate reads definition files as serve does (Pods, PodLists, Lists, multi-document YAML, Talos machine
configurations and KubeStaticPodConfig documents; "-" is standard input) and proves each pod with the
kubelet's own decoding, defaulting and validation, and with what the kubelet does not check itself. It needs
no kubelet, no exporter and no network.

Of a directory it reads every *.yaml, *.yml and *.json file, not recursively. With --as-directory a directory
is read as the kubelet reads its manifest directory: every file but dot files, one pod each, and of two files
with one pod the last by name wins.

Problems go to standard output, one per line, FILE:LINE:COLUMN: LEVEL: MESSAGE [REASON], each followed by the
line of the file with a caret under the place; a summary goes to standard error. Values of environments,
commands and arguments are not shown. -o json, sarif (2.1.0) and github (workflow commands) are for machines.

Exit codes: 0 all would run, 1 something would not, 2 something could not be read or the usage is wrong.`,
		Example: `  # before the kubelet sees it
  staticpod-exporter validate pod.yaml

  # what the kubelet makes of its manifest directory: which file wins, which had better not be there
  staticpod-exporter validate --as-directory /etc/kubernetes/manifests

  # in a workflow of GitHub's
  staticpod-exporter validate -o github --warnings-as-errors manifests/

  # from a template
  helm template chart | staticpod-exporter validate -`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return o.run(args, c.InOrStdin(), c.OutOrStdout(), c.ErrOrStderr())
		},
	}
	f := command.Flags()
	f.StringVarP(&o.output, "output", "o", "text", "how to tell: "+strings.Join(reportForms(), ", "))
	f.BoolVar(&o.asDirectory, "as-directory", false, "read directories as the kubelet reads its staticPodPath")
	f.BoolVar(&o.warningsAsErrors, "warnings-as-errors", false, "exit with 1 on warnings too")
	f.StringVar(&o.rules.Node, "node", "node", "name of the node, which the pods' names end in")
	f.BoolVar(&o.rules.Standalone, "standalone", false, "the kubelet has no API server")
	f.StringSliceVar(&o.gates, "feature-gates", nil, "the kubelet's feature gates: NAME=true,NAME=false")
	if err := command.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(reportForms(), cobra.ShellCompDirectiveNoFileComp)); err != nil {
		panic(err) // the flag is defined above
	}
	return command
}

func (o *validateOptions) run(args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	if !slices.Contains(reportForms(), o.output) {
		return usageError{fmt.Errorf("unknown output %q: there are %s", o.output, strings.Join(reportForms(), ", "))}
	}
	var err error
	if o.rules.FeatureGates, err = parseGates(o.gates); err != nil {
		return usageError{err}
	}
	if unknown := manifest.UnknownGates(o.rules.FeatureGates); len(unknown) > 0 {
		return usageError{fmt.Errorf("--feature-gates: Kubernetes %sx has no %s", manifest.Release, strings.Join(unknown, ", "))}
	}
	if err := manifest.CheckNode(o.rules.Node); err != nil {
		return usageError{fmt.Errorf("--node: %w", err)}
	}
	reading := newReading(manifest.NewValidator(o.rules), stdin)
	if o.asDirectory {
		reading.directories(args)
	} else {
		reading.files(args)
	}
	r := &reading.Report
	if err := tell(r, o.output, stdout); err != nil {
		return err
	}
	for _, u := range r.Unreadable {
		fmt.Fprintf(stderr, "%s: %s\n", program, output.Printable(u.Error))
	}
	fmt.Fprintln(stderr, r.Summary())
	switch {
	case len(r.Unreadable) > 0:
		return errUnreadable
	case r.Count(manifest.Critical) > 0, o.warningsAsErrors && r.Count(manifest.Warning) > 0:
		return errInvalid
	}
	return nil
}

// parseGates reads NAME=BOOL, as the kubelet's own flag has it.
func parseGates(pairs []string) (map[string]bool, error) {
	gates := map[string]bool{}
	for _, pair := range pairs {
		name, value, _ := strings.Cut(pair, "=")
		on, err := strconv.ParseBool(value)
		if name == "" || err != nil {
			return nil, fmt.Errorf("--feature-gates: %q is not NAME=true or NAME=false", pair)
		}
		gates[name] = on
	}
	return gates, nil
}

// tell writes a report in one of the reportForms.
func tell(r *report.Report, form string, w io.Writer) error {
	r.Tool = report.Tool{Name: program, Version: version.Version}
	// Annotations and code scanning know files by their place in the repository.
	if r.Base = os.Getenv("GITHUB_WORKSPACE"); r.Base == "" {
		r.Base, _ = os.Getwd() // without it paths stay as they were given
	}
	switch form {
	case "json":
		return r.JSON(w)
	case "sarif":
		return r.SARIF(w)
	case "github":
		return r.GitHub(w)
	}
	return r.Text(w, coloursOf(w))
}
