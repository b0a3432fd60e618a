package main

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// Every command says what it does, in a line and at length, and shows how. The manual pages are made of it.
func TestCommandsExplainThemselves(t *testing.T) {
	root := newRootCommand()
	var look func(c *cobra.Command)
	look = func(c *cobra.Command) {
		for _, below := range c.Commands() {
			look(below)
		}
		if c.Hidden || c.Name() == "completion" || c.Name() == "help" {
			return
		}
		path := c.CommandPath()
		if c.Short == "" || strings.HasSuffix(c.Short, ".") || strings.Contains(c.Short, "\n") {
			t.Errorf("%s: %q is no line without a full stop", path, c.Short)
		}
		if c.Long == "" {
			t.Errorf("%s has no help at length", path)
		}
		if c.Runnable() && !strings.Contains(c.Example, path) {
			t.Errorf("%s has no example with it in it", path)
		}
		for _, line := range strings.Split(c.Long+"\n"+c.Example, "\n") {
			if strings.HasPrefix(line, "\t") || strings.TrimRight(line, " ") != line {
				t.Errorf("%s: white space around %q", path, line)
			}
		}
	}
	look(root)
}
