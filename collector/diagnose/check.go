// Package diagnose tries what the exporter depends on, as the exporter itself does, and says what works, what does not
// and what to change.
//
// Its contract: every check is done and not guessed; each has a deadline, also one that hangs in the kernel; nothing is
// changed on the node, no kubelet takes a check for a fetch, and no credential is told.
package diagnose

import (
	"context"
	"fmt"
	"time"
)

// Outcome is how a check went.
type Outcome string

// The outcomes. Of a check that was Skipped the message says why.
const (
	OK      Outcome = "ok"
	Warn    Outcome = "warn"
	Fail    Outcome = "fail"
	Skipped Outcome = "skipped"
)

// A Finding is what one check found.
type Finding struct {
	Check   string  `json:"check"`
	Outcome Outcome `json:"outcome"`
	Message string  `json:"message"`
	Advice  string  `json:"advice,omitempty"` // what to do; "" when there is nothing to be done
}

// A Check tries one thing. Its findings need no Check: they get its name.
type Check struct {
	Name string
	Run  func(ctx context.Context) []Finding
}

// Run does the checks one after the other, each within limit, and tells each finding as it comes. It returns how many
// there were of each outcome. When ctx ends, so does Run, and what that made of the check in hand is not told.
func Run(ctx context.Context, checks []Check, limit time.Duration, tell func(Finding)) map[Outcome]int {
	counts := map[Outcome]int{}
	for _, c := range checks {
		found := c.within(ctx, limit)
		if ctx.Err() != nil {
			break
		}
		for _, f := range found {
			f.Check = c.Name
			counts[f.Outcome]++
			tell(f)
		}
	}
	return counts
}

// within gives up a check that does not end by its deadline.
func (c Check) within(ctx context.Context, limit time.Duration) []Finding {
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	found := make(chan []Finding, 1)
	go func() { found <- c.Run(limited) }()
	select {
	case f := <-found:
		return f
	case <-limited.Done():
	}
	if ctx.Err() != nil {
		return nil // nobody wants to know any more
	}
	select {
	case f := <-found: // it kept the deadline, by a hair
		return f
	case <-time.After(grace):
		return []Finding{fail(fmt.Sprintf("no answer within %s", limit), "whatever is asked hangs: look at it by hand")}
	}
}

// grace is how long a check may take to notice its deadline.
const grace = 500 * time.Millisecond

func ok(format string, args ...any) Finding {
	return Finding{Outcome: OK, Message: fmt.Sprintf(format, args...)}
}

func warn(message, advice string) Finding {
	return Finding{Outcome: Warn, Message: message, Advice: advice}
}

func fail(message, advice string) Finding {
	return Finding{Outcome: Fail, Message: message, Advice: advice}
}

func skipped(format string, args ...any) Finding {
	return Finding{Outcome: Skipped, Message: fmt.Sprintf(format, args...)}
}

func one(f Finding) []Finding { return []Finding{f} }

// counted is a number of things.
func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
