// Package await lets a test wait for the world: it looks again and again until what is expected is there.
package await

import (
	"context"
	"testing"
	"time"
)

const (
	interval = 50 * time.Millisecond
	// Patience is how long Nil waits. It is no expectation: a machine that is busy may need it.
	Patience = 90 * time.Second
)

// Nil waits until check returns nil, and fails the test with its last error when that does not come.
func Nil(t testing.TB, what string, check func(ctx context.Context) error) {
	t.Helper()
	Within(t, Patience, what, check)
}

// Within is Nil with patience of one's own.
func Within(t testing.TB, patience time.Duration, what string, check func(ctx context.Context) error) {
	t.Helper()
	if err := Until(t.Context(), patience, check); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// Until waits until check returns nil, and returns its last error when that does not come within patience.
func Until(ctx context.Context, patience time.Duration, check func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(interval)
	defer tick.Stop()
	var last error
	for {
		err := check(ctx)
		if err == nil {
			return nil
		}
		// When time is up in the midst of a check, the one before it says more.
		if last == nil || ctx.Err() == nil {
			last = err
		}
		select {
		case <-ctx.Done():
			return last
		case <-tick.C:
		}
	}
}

// Always checks until patience is over that check returns nil all the while, and fails the test when not.
func Always(t testing.TB, patience time.Duration, what string, check func(ctx context.Context) error) {
	t.Helper()
	end := time.After(patience)
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		if err := check(t.Context()); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		select {
		case <-end:
			return
		case <-tick.C:
		}
	}
}
