package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/staticpod-exporter/staticpod-exporter/collector/diagnose"
	"github.com/staticpod-exporter/staticpod-exporter/collector/kubelet"
	"github.com/staticpod-exporter/staticpod-exporter/manifest"
	"github.com/staticpod-exporter/staticpod-exporter/observe/output"
	"github.com/staticpod-exporter/staticpod-exporter/observe/telemetry"
	"github.com/staticpod-exporter/staticpod-exporter/observe/web"
)

// checkLimit is how long one check may take.
const checkLimit = 12 * time.Second

func newDiagnoseCommand() *cobra.Command {
	var form string
	command := &cobra.Command{
		Use:   "diagnose",
		Short: "Try everything that the exporter depends on, and say what to change",
		Long: `Diagnose reads flags, environment and configuration file exactly as serve does, and then tries everything that
serve would: definitions, state directory, kubelet, its configuration and staticPodURL, its log, the container
runtime, the API server, the exporter's own addresses. It prints one line for each check: how it went (ok, warn,
fail, skipped), what was found, and what to change.

It changes nothing, needs no running exporter, and is best run as the user that the exporter runs as, on its
node, with the same flags.

Exit codes: 0 nothing failed, 1 something did, 2 wrong usage.`,
		Example: `  sudo staticpod-exporter diagnose
  staticpod-exporter diagnose --config.file /etc/staticpod-exporter/config.yaml -o json`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if form != "text" && form != "json" {
				return usageError{fmt.Errorf("unknown output %q: there are text, json", form)}
			}
			checks := checksOf(loader{flags: c.Flags()})
			return runChecks(c.Context(), checks, form, c.OutOrStdout(), c.ErrOrStderr())
		},
	}
	registerConfigFlags(command.Flags())
	command.Flags().StringVarP(&form, "output", "o", "text", "how to tell: text, json")
	if err := command.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"text", "json"}, cobra.ShellCompDirectiveNoFileComp)); err != nil {
		panic(err) // the flag is defined above
	}
	return command
}

// checksOf lists the checks of a configuration: of one that cannot be used, only that.
func checksOf(l loader) []diagnose.Check {
	config, err := l.load()
	if err != nil {
		return []diagnose.Check{diagnose.Configuration(config.Path, err)}
	}
	checks := []diagnose.Check{
		diagnose.Configuration(config.Path, nil),
		diagnose.Usable("web.config.file", config.Web.Config.File, func() error { return web.CheckConfig(config.Web.Config.File) }),
		diagnose.Usable("telemetry", "what the OTEL_ variables say", func() error { _, err := telemetry.ReadSettings(os.Getenv); return err }),
	}
	node, err := nodeOf(config.Config)
	if err != nil {
		return append(checks, diagnose.Usable("node", "the node's name", func() error { return err }))
	}
	k := config.Kubelet
	options := kubelet.Options{
		Endpoint: k.Endpoint, PodsSocket: k.PodsSocket,
		CAFile: k.CAFile, CertFile: k.CertFile, KeyFile: k.KeyFile, TokenFile: k.TokenFile,
		ServerName: k.ServerName, InsecureSkipVerify: k.InsecureSkipVerify,
	}
	var known diagnose.Kubelet // filled by the first checks for the others
	directory := func() string {
		if c := known.Config(); c != nil {
			return manifestDirectory(k.ManifestDirectory, c.StaticPodPath)
		}
		return manifestDirectory(k.ManifestDirectory, "")
	}
	validator := func() *manifest.Validator {
		rules := manifest.Rules{Node: node, Standalone: standalone(k.Standalone, "/proc")}
		if c := known.Config(); c != nil {
			rules.FeatureGates = c.FeatureGates
		}
		return manifest.NewValidator(rules)
	}
	feed := diagnose.Feed{Listen: config.Manifest.Listen, TokenFile: config.Manifest.TokenFile}
	sources := manifest.Sources{ConfigPath: config.Path, Config: config.Data, Patterns: config.Manifest.Files}
	addresses := config.Web.ListenAddress
	if config.Web.SystemdSocket {
		addresses = nil
	}
	secure, _ := web.SpeaksTLS(config.Web.Config.File) // what is wrong with the file is told by its own check
	return append(checks,
		known.Endpoint(options),
		known.PodsAPI(options, k.PodsSocket == auto),
		known.Node(node),
		feed.URL(&known),
		feed.Listener(),
		diagnose.Definitions(validator, sources, feed.Listen != "", directory),
		diagnose.ManifestDirectory(validator, directory),
		diagnose.Log(k.Log, &known, time.Now),
		diagnose.Runtime(config.CRI.Endpoint),
		diagnose.Mirrors(config.Mirror.Kubeconfig, node),
		diagnose.StateDirectory(config.Manifest.StateDirectory),
		diagnose.Exporter(addresses, secure),
	)
}

// runChecks does the checks and prints what they find.
func runChecks(ctx context.Context, checks []diagnose.Check, form string, stdout, stderr io.Writer) error {
	colours := coloursOf(stdout)
	var all []diagnose.Finding
	var failed error // of printing
	counts := diagnose.Run(ctx, checks, checkLimit, func(f diagnose.Finding) {
		all = append(all, f)
		if form == "text" {
			_, err := fmt.Fprintln(stdout, findingLine(f, colours))
			failed = cmp.Or(failed, err)
		}
	})
	if ctx.Err() != nil {
		return errors.New("interrupted: not everything was tried")
	}
	if form == "json" {
		failed = output.Encode(stdout, struct {
			Failed bool               `json:"failed"`
			Checks []diagnose.Finding `json:"checks"`
		}{counts[diagnose.Fail] > 0, all})
	}
	if failed != nil {
		return failed
	}
	var words []string
	for _, outcome := range []diagnose.Outcome{diagnose.OK, diagnose.Warn, diagnose.Fail, diagnose.Skipped} {
		if n := counts[outcome]; n > 0 {
			words = append(words, fmt.Sprintf("%d %s", n, outcome))
		}
	}
	fmt.Fprintln(stderr, strings.Join(words, ", "))
	if counts[diagnose.Fail] > 0 {
		return errInvalid
	}
	return nil
}

// findingLine is a finding on one line, in columns.
func findingLine(f diagnose.Finding, colours output.Colours) string {
	colour := map[diagnose.Outcome]output.Colour{
		diagnose.OK: output.Good, diagnose.Warn: output.Doubtful, diagnose.Fail: output.Bad, diagnose.Skipped: output.Aside,
	}[f.Outcome]
	line := colours.Paint(colour, fmt.Sprintf("%-8s", f.Outcome)) + fmt.Sprintf("%-27s ", f.Check) + output.Printable(strings.Join(strings.Fields(f.Message), " "))
	if f.Advice != "" {
		line += ". " + colours.Paint(output.Heading, "To do: ") + output.Printable(f.Advice)
	}
	return line
}
