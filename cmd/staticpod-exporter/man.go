package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/prometheus/common/version"
	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
	"github.com/spf13/pflag"
)

// newManCommand returns the command that packages are made with; nobody needs it later.
func newManCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "man DIRECTORY",
		Short:  "Write a manual page for each command",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return fmt.Errorf("manual: %w", err)
			}
			header := &doc.GenManHeader{Section: "1", Source: program + " " + version.Version, Manual: "Static pods"}
			// The commit's date and not the clock's: the same commit gives the same bytes.
			if built, err := time.Parse("20060102-15:04:05", version.BuildDate); err == nil {
				header.Date = &built
			}
			c.Root().DisableAutoGenTag = true
			literally(c.Root())
			if err := doc.GenManTree(c.Root(), header, args[0]); err != nil {
				return fmt.Errorf("manual: %w", err)
			}
			return nil
		},
	}
}

// literally has the help texts of a command and those below it taken as they are, and not as Markdown.
func literally(c *cobra.Command) {
	escape := strings.NewReplacer(`\`, `\\`, `<`, `\<`, `*`, `\*`, "`", "\\`").Replace
	c.Short, c.Long = escape(c.Short), escape(c.Long)
	c.Flags().VisitAll(func(f *pflag.Flag) { f.Usage = escape(f.Usage) })
	for _, below := range c.Commands() {
		literally(below)
	}
}
