package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/staticpod-exporter/staticpod-exporter/alerts"
	"github.com/staticpod-exporter/staticpod-exporter/dashboards"
)

// The forms of an asset.
const (
	formatPrometheus     = "prometheus"     // a rule file
	formatPrometheusRule = "prometheusrule" // of the Prometheus operator
	formatConfigMap      = "configmap"
	formatJSON           = "json" // a dashboard
)

type assetsOptions struct {
	format, namespace string
	alerts            alerts.Options
}

func newAssetsCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "assets alerts|dashboards|rules",
		Short: "Print the alerting rules, recording rules and dashboards that belong to this version",
		Long: `Assets prints what Prometheus and Grafana need to make use of this version's metrics. It is part of the program, so
it always fits it.`,
		Example: `  # a rule file, for rule_files of Prometheus
  staticpod-exporter assets alerts > /etc/prometheus/rules/staticpod.yaml`,
	}
	command.AddCommand(newAlertsCommand(), newRulesCommand(), newDashboardsCommand())
	wantsCommand(command)
	return command
}

func newAlertsCommand() *cobra.Command {
	var o assetsOptions
	command := &cobra.Command{
		Use:   "alerts",
		Short: "Print the alerting rules",
		Long: `Alerts prints the alerting rules, each of which has its section in docs/runbooks.md. Of pods only those of kube-system
page one by one; --page-namespaces names others.`,
		Example: `  # a rule file, for rule_files of Prometheus
  staticpod-exporter assets alerts > /etc/prometheus/rules/staticpod.yaml

  # for the Prometheus operator, with pods of two namespaces that page
  staticpod-exporter assets alerts --format prometheusrule --page-namespaces 'kube-system|ingress' | kubectl apply -f -`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			text, err := alerts.Alerts(o.alerts)
			if err != nil {
				return usageError{err}
			}
			return o.printRules(c.OutOrStdout(), "alerts", text)
		},
	}
	o.register(command, formatPrometheus, formatPrometheusRule, formatConfigMap)
	command.Flags().StringVar(&o.alerts.PageNamespaces, "page-namespaces", "", "expression for the namespaces whose pods page one by one (default kube-system)")
	command.Flags().StringVar(&o.alerts.GrafanaURL, "grafana-url", "", "where Grafana is, for the links to dashboards")
	return command
}

func newRulesCommand() *cobra.Command {
	var o assetsOptions
	command := &cobra.Command{
		Use:   "rules",
		Short: "Print the recording rules",
		Long:  `Rules prints the recording rules that the dashboard of a fleet reads. No alert depends on them.`,
		Example: `  # a rule file, for rule_files of Prometheus
  staticpod-exporter assets rules > /etc/prometheus/rules/staticpod-records.yaml`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			text, err := alerts.Records()
			if err != nil {
				return err
			}
			return o.printRules(c.OutOrStdout(), "rules", text)
		},
	}
	o.register(command, formatPrometheus, formatPrometheusRule, formatConfigMap)
	return command
}

func newDashboardsCommand() *cobra.Command {
	var o assetsOptions
	command := &cobra.Command{
		Use:   "dashboards [NAME]",
		Short: "Print a Grafana dashboard",
		Long: `Dashboards prints a dashboard in Grafana's classic JSON, as it is imported and provisioned; with --format configmap it
prints all of them, with the label by which Grafana's sidecar finds them.`,
		Example: `  staticpod-exporter assets dashboards node > /var/lib/grafana/dashboards/staticpod-node.json
  staticpod-exporter assets dashboards --format configmap | kubectl apply -f -`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return o.printDashboards(c.OutOrStdout(), args) },
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			names, _ := dashboardNames() // a shell that completes has no place for errors
			return names, cobra.ShellCompDirectiveNoFileComp
		},
	}
	o.register(command, formatJSON, formatConfigMap)
	return command
}

// register declares the flags that all kinds have. The first format is the default.
func (o *assetsOptions) register(command *cobra.Command, formats ...string) {
	f := command.Flags()
	f.StringVar(&o.format, "format", formats[0], "how to print: "+strings.Join(formats, ", "))
	f.StringVar(&o.namespace, "namespace", "monitoring", "namespace of the objects for an API server")
	for name, values := range map[string][]string{"format": formats, "namespace": nil} {
		if err := command.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)); err != nil {
			panic(err) // the flag is defined above
		}
	}
	command.PreRunE = func(*cobra.Command, []string) error {
		if !slices.Contains(formats, o.format) {
			return usageError{fmt.Errorf("--format %s: there are %s", o.format, strings.Join(formats, ", "))}
		}
		return nil
	}
}

// printRules prints a rule file. What is around it is no more than its indentation: the comments stay.
func (o *assetsOptions) printRules(w io.Writer, name, text string) error {
	var err error
	switch o.format {
	case formatPrometheusRule:
		_, err = fmt.Fprintf(w, "apiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\nmetadata:\n  name: %s-%s\n  namespace: %s\nspec:\n%s",
			program, name, o.namespace, indented(text, "  "))
	case formatConfigMap:
		err = o.printConfigMap(w, name, "", "staticpod-"+name+".yaml", text)
	default:
		_, err = io.WriteString(w, text)
	}
	return err
}

func (o *assetsOptions) printDashboards(w io.Writer, args []string) error {
	names, err := dashboardNames()
	if err != nil {
		return err
	}
	switch {
	case len(args) == 1 && !slices.Contains(names, args[0]):
		return fmt.Errorf("there is no dashboard %q; there are %s", args[0], strings.Join(names, ", "))
	case len(args) == 1:
		names = args
	case o.format == formatJSON:
		return usageError{errors.New("which dashboard? There are " + strings.Join(names, ", ") + "; --format configmap prints all")}
	}
	for i, name := range names {
		content, err := dashboards.FS.ReadFile(name + ".json")
		if err != nil {
			return err
		}
		if o.format == formatJSON {
			if _, err := w.Write(content); err != nil {
				return err
			}
			continue
		}
		if i > 0 {
			fmt.Fprintln(w, "---")
		}
		if err := o.printConfigMap(w, "dashboard-"+name, "  labels:\n    grafana_dashboard: \"1\"\n", "staticpod-"+name+".json", string(content)); err != nil {
			return err
		}
	}
	return nil
}

func (o *assetsOptions) printConfigMap(w io.Writer, name, labels, file, text string) error {
	_, err := fmt.Fprintf(w, "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: %s-%s\n  namespace: %s\n%sdata:\n  %s: |\n%s",
		program, name, o.namespace, labels, file, indented(text, "    "))
	return err
}

// dashboardNames returns the names of all dashboards.
func dashboardNames() ([]string, error) {
	files, err := fs.Glob(dashboards.FS, "*.json")
	for i, file := range files {
		files[i] = strings.TrimSuffix(file, ".json")
	}
	return files, err
}

// indented returns text with each line that is not empty moved to the right.
func indented(text, by string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if line != "\n" {
			b.WriteString(by)
		}
		b.WriteString(line)
	}
	return b.String()
}
