package main

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/staticpod-exporter/staticpod-exporter/collector/status"
)

// Alerts and statuses link into docs/reasons.md: each code has its section there, with its own level.
func TestReasonsAreDocumented(t *testing.T) {
	data, err := os.ReadFile("../../docs/reasons.md")
	if err != nil {
		t.Fatal(err)
	}
	sections := map[string]string{}
	for _, s := range strings.Split(string(data), "\n### ")[1:] {
		name, text, _ := strings.Cut(s, "\n")
		sections[name] = text
	}
	for _, code := range status.Reasons() {
		text, ok := sections[string(code.Reason)]
		if !ok {
			t.Errorf("docs/reasons.md lacks %s", code.Reason)
			continue
		}
		// Links have the reason as it is written, and the anchor that is made of a heading has not.
		if start := fmt.Sprintf("<a id=%q></a>\n\n*%s", code.Reason, code.Level); !strings.HasPrefix(text, start) {
			t.Errorf("docs/reasons.md: %s begins with %.60q, not %q", code.Reason, text, start)
		}
		for _, part := range []string{"**Seen by**", "**The kubelet**", "**What to do**"} {
			if !strings.Contains(text, part) {
				t.Errorf("docs/reasons.md: %s lacks %s", code.Reason, part)
			}
		}
		delete(sections, string(code.Reason))
	}
	for name := range sections {
		t.Errorf("docs/reasons.md describes %s, which does not exist", name)
	}
}

// Each command has its section in docs/commands.md.
func TestCommandsAreDocumented(t *testing.T) {
	data, err := os.ReadFile("../../docs/commands.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]bool{}
	for _, line := range strings.Split(string(data), "\n") {
		if name, ok := strings.CutPrefix(line, "## "); ok {
			documented[name] = false
		}
	}
	for _, c := range newRootCommand().Commands() {
		if _, ok := documented[c.Name()]; !ok && !c.Hidden {
			t.Errorf("docs/commands.md has no section %s", c.Name())
		}
		documented[c.Name()] = true
	}
	for name, exists := range documented {
		if !exists && name != "completion" { // which cobra adds when it runs
			t.Errorf("docs/commands.md describes %s, which does not exist", name)
		}
	}
}
