package diagnose

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestRunTellsEachFindingAndCounts(t *testing.T) {
	checks := []Check{
		{"first", func(context.Context) []Finding { return []Finding{ok("a %d", 1), warn("b", "c")} }},
		{"none", func(context.Context) []Finding { return nil }},
		{"last", func(context.Context) []Finding { return one(fail("d", "e")) }},
	}
	var told []string
	counts := Run(t.Context(), checks, time.Minute, func(f Finding) {
		told = append(told, strings.Join([]string{f.Check, string(f.Outcome), f.Message, f.Advice}, " "))
	})
	if got := strings.Join(told, "; "); got != "first ok a 1 ; first warn b c; last fail d e" {
		t.Error(got)
	}
	if counts[OK] != 1 || counts[Warn] != 1 || counts[Fail] != 1 || counts[Skipped] != 0 {
		t.Error(counts)
	}
}

// A check that hangs where no context reaches is left, one that keeps its deadline is heard.
func TestRunLeavesAChecksThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		checks := []Check{
			{"hangs", func(context.Context) []Finding { <-release; return nil }},
			{"keeps it", func(ctx context.Context) []Finding { <-ctx.Done(); return one(fail(ctx.Err().Error(), "")) }},
		}
		var told []Finding
		began := time.Now()
		Run(t.Context(), checks, 10*time.Second, func(f Finding) { told = append(told, f) })
		if took := time.Since(began); took != 20*time.Second+grace {
			t.Errorf("it took %s", took)
		}
		if len(told) != 2 || told[0].Message != "no answer within 10s" || told[0].Outcome != Fail || told[1].Message != "context deadline exceeded" {
			t.Errorf("%+v", told)
		}
		close(release)
	})
}

// Who interrupts does not make findings: neither of the check in hand nor of those to come.
func TestRunEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	checks := []Check{
		{"before", func(context.Context) []Finding { return one(ok("a")) }},
		{"in hand", func(ctx context.Context) []Finding { cancel(); <-ctx.Done(); return one(fail(ctx.Err().Error(), "")) }},
		{"hangs", func(context.Context) []Finding { t.Error("it was done"); return nil }},
	}
	counts := Run(ctx, checks, time.Minute, func(f Finding) {
		if f.Check != "before" {
			t.Errorf("%+v", f)
		}
	})
	if counts[OK] != 1 || counts[Fail] != 0 {
		t.Error(counts)
	}
}

// expect compares the first finding of a check with an outcome and parts of its message and advice.
func expect(t *testing.T, c Check, outcome Outcome, parts ...string) {
	t.Helper()
	found := c.within(t.Context(), 10*time.Second)
	for _, f := range found {
		all := f.Message + " // " + f.Advice
		missing := f.Outcome != outcome
		for _, part := range parts {
			missing = missing || !strings.Contains(all, part)
		}
		if !missing {
			if (f.Outcome == Warn || f.Outcome == Fail) && f.Advice == "" {
				t.Errorf("%s: nothing to do about %q", c.Name, f.Message)
			}
			return
		}
	}
	t.Errorf("%s: no %s with %q in %+v", c.Name, outcome, parts, found)
}
