package collector

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/staticpod-exporter/staticpod-exporter/collector/kubelet"
	"github.com/staticpod-exporter/staticpod-exporter/collector/mirror"
)

// The API server is an input like the others: what it said last stays known, and nobody waits for it.
func TestMirrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &input[mirror.View]{answer: hangs[mirror.View]}
		node := &input[kubelet.View]{answer: says(&kubelet.View{Version: "1"})}
		c := New(Options{Kubelet: node, Mirrors: api})
		ctx, cancel := context.WithCancel(t.Context())
		var seen atomic.Pointer[Observation]
		var last *Observation
		ended := make(chan error)
		go func() { ended <- c.Run(ctx, func(_ context.Context, o *Observation) { seen.Store(o) }) }()
		pass := func(d time.Duration) InputState {
			time.Sleep(d)
			synctest.Wait()
			last = seen.Load()
			return last.Input(InputMirror)
		}

		if s := pass(firstWait); !s.Configured || s.Up || s.Err != noAnswer || last.Kubelet == nil {
			t.Errorf("an API server that hangs: %+v, kubelet %v", s, last.Kubelet)
		}
		first := &mirror.View{}
		api.set(says(first))
		if s := pass(DefaultTimeout + 2*retryInterval); !s.Up || last.Mirror != first {
			t.Errorf("up: %+v, view %v", s, last.Mirror)
		}
		api.questions()
		pass(DefaultResyncInterval)
		if all, _ := api.questions(); all > 1 {
			t.Errorf("it was asked %d times in a minute", all)
		}

		next := &mirror.View{}
		api.set(says(next))
		api.fire()
		if pass(100 * time.Millisecond); last.Mirror != next {
			t.Error("a change was not looked at")
		}
		api.set(fails[mirror.View](fmt.Errorf("mirror pods: %w", mirror.ErrUnauthorized)))
		api.fire()
		if s := pass(100 * time.Millisecond); s.Up || !s.Unauthorized || last.Mirror != next {
			t.Errorf("refused: %+v, view %v", s, last.Mirror)
		}
		api.set(hangs)
		api.fire()
		node.set(says(&kubelet.View{Version: "2"}))
		node.fire()
		if pass(100 * time.Millisecond); last.Kubelet.Version != "2" {
			t.Error("the kubelet waits for the API server")
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
