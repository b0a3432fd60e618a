package main

import (
	"fmt"
	"runtime/debug"

	"github.com/prometheus/common/version"
	"github.com/spf13/cobra"
)

// nameBuild gives a build that was linked without a version, as by go install, that of its module.
func nameBuild() {
	if version.Version != "" {
		return
	}
	version.Version = "unknown"
	if build, ok := debug.ReadBuildInfo(); ok && build.Main.Version != "" {
		version.Version = build.Main.Version
	}
}

func newVersionCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		Long:    "Version prints the version and what it was built from and with.",
		Example: `  staticpod-exporter version`,
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(c.OutOrStdout(), version.Print(program))
			return err
		},
	}
}
