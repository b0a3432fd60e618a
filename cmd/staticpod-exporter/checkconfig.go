package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/staticpod-exporter/staticpod-exporter/manifest"
	"github.com/staticpod-exporter/staticpod-exporter/observe/output"
	"github.com/staticpod-exporter/staticpod-exporter/observe/telemetry"
	"github.com/staticpod-exporter/staticpod-exporter/observe/web"
)

func newCheckConfigCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "check-config",
		Short: "Check the configuration and the definitions in it without starting anything",
		Long: `Check-config reads flags, environment and configuration file exactly as serve does, checks every key, the
OTEL_ variables, the web configuration file, and the pods below machine.pods.

Exit codes: 0 serve would start with it and do all of it, 1 it would not or a pod would be refused, 2 wrong usage.`,
		Example: `  # before a restart or a reload
  staticpod-exporter check-config --config.file /etc/staticpod-exporter/config.yaml && systemctl reload staticpod-exporter`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			configuration, err := loader{flags: c.Flags()}.load()
			if err != nil {
				fmt.Fprintln(c.OutOrStdout(), output.PrintableText(err.Error()))
				return errInvalid
			}
			if err := web.CheckConfig(configuration.Web.Config.File); err != nil {
				fmt.Fprintf(c.OutOrStdout(), "%s: %s\n", configuration.Web.Config.File, output.PrintableText(err.Error()))
				return errInvalid
			}
			if _, err := telemetry.ReadSettings(os.Getenv); err != nil {
				fmt.Fprintln(c.OutOrStdout(), output.PrintableText(err.Error()))
				return errInvalid
			}
			r := newReading(manifest.NewValidator(manifest.Rules{Node: "node", Standalone: configuration.Kubelet.Standalone == "true"}), nil)
			if configuration.Path != "" {
				r.Add(manifest.Together(r.validator.File(configuration.Path, configuration.Data, manifest.FormConfiguration)))
				r.Sources[configuration.Path] = configuration.Data
			}
			if err := tell(&r.Report, "text", c.OutOrStdout()); err != nil {
				return err
			}
			if r.Count(manifest.Critical) > 0 {
				return errInvalid
			}
			fmt.Fprintf(c.OutOrStdout(), "%s: valid\n", orDefault(configuration.Path, "defaults"))
			return nil
		},
	}
	registerConfigFlags(command.Flags())
	return command
}

func orDefault(s, d string) string {
	if s == "" {
		return d
	}
	return s
}
