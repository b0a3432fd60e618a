package collector

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/staticpod-exporter/staticpod-exporter/collector/kubelet"
	"github.com/staticpod-exporter/staticpod-exporter/collector/kubeletlog"
	"github.com/staticpod-exporter/staticpod-exporter/cri"
	"github.com/staticpod-exporter/staticpod-exporter/manifest"
)

func TestFirstObservationComesWhenAllHaveAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.kubelet.set(func(context.Context) (*kubelet.View, error) {
			time.Sleep(300 * time.Millisecond)
			return &kubelet.View{}, nil
		})
		b.run()
		if seen := b.pass(299 * time.Millisecond); len(seen) != 0 {
			t.Fatalf("%d observations before the kubelet answered", len(seen))
		}
		o := b.last(b.pass(2 * time.Millisecond))
		if o.Manifest == nil || o.Kubelet == nil || o.Runtime == nil {
			t.Fatalf("the first observation is not whole: %+v", o)
		}
		for _, in := range []Input{InputManifest, InputKubelet, InputRuntime, InputLog} {
			if s := o.Input(in); !s.Configured || !s.Up || s.Err != "" || s.LastSuccess.IsZero() && in != InputManifest {
				t.Errorf("%s: %+v", in, s)
			}
		}
		if s := o.Input(InputMirror); s.Configured || s.Up {
			t.Errorf("mirror: %+v", s)
		}
		if s := o.Input(InputKubelet); s.Duration != 300*time.Millisecond {
			t.Errorf("duration: %s", s.Duration)
		}
	})
}

func TestFirstObservationComesThoughInputsHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.kubelet.set(hangs)
		b.run()
		o := b.last(b.pass(firstWait))
		if o.Kubelet != nil || o.Runtime == nil {
			t.Fatalf("observation: %+v", o)
		}
		if s := o.Input(InputKubelet); s.Up || s.Err != noAnswer || !s.Since.Equal(b.began) {
			t.Errorf("kubelet: %+v", s)
		}
		// The late answer wakes the next round at once.
		b.kubelet.set(says(&kubelet.View{}))
		b.pass(DefaultTimeout - firstWait)
		o = b.last(b.pass(2 * retryInterval))
		if !o.Input(InputKubelet).Up || o.Kubelet == nil {
			t.Errorf("kubelet: %+v", o.Input(InputKubelet))
		}
	})
}

func TestAHangingInputDelaysNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.run()
		b.pass(time.Second)
		b.kubelet.set(hangs)
		b.kubelet.fire()
		b.pass(time.Second) // it is being asked
		b.runtime.set(says(&cri.View{Version: "2"}))
		b.runtime.fire()
		at := time.Now()
		o := b.last(b.pass(100 * time.Millisecond))
		if o.Runtime.Version != "2" || o.At.Sub(at) > 2*coalesce {
			t.Fatalf("after %s the runtime is %+v", o.At.Sub(at), o.Runtime)
		}
		if o.Kubelet == nil || !o.Input(InputKubelet).Up {
			t.Errorf("the kubelet is given up before its deadline: %+v", o.Input(InputKubelet))
		}
		o = b.last(b.pass(DefaultTimeout))
		if s := o.Input(InputKubelet); s.Up || !strings.Contains(s.Err, "deadline") || o.Kubelet == nil {
			t.Errorf("a kubelet that hangs: %+v, view %v", s, o.Kubelet)
		}
	})
}

func TestAnInputThatIgnoresItsDeadlineIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.run()
		b.pass(time.Second)
		release := make(chan struct{})
		b.runtime.set(func(context.Context) (*cri.View, error) {
			<-release
			return &cri.View{Version: "late"}, nil
		})
		b.runtime.fire()
		o := b.last(b.pass(DefaultTimeout + 2*lateness))
		if s := o.Input(InputRuntime); s.Up || !strings.Contains(s.Err, "no answer within 10s") {
			t.Fatalf("runtime: %+v", s)
		}
		b.runtime.questions()
		b.pass(time.Minute)
		if n, _ := b.runtime.questions(); n != 0 {
			t.Errorf("%d more questions to one that hangs", n)
		}
		close(release)
		o = b.last(b.pass(time.Millisecond))
		if s := o.Input(InputRuntime); !s.Up || o.Runtime.Version != "late" {
			t.Errorf("the late answer is lost: %+v", s)
		}
	})
}

func TestChangesAreGathered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.run()
		b.pass(time.Second)
		b.kubelet.questions()
		b.runtime.questions()
		at := time.Now()
		for range 10 {
			b.store.replace(&manifest.Set{Node: "node1"})
			b.kubelet.fire()
			b.runtime.fire()
			b.log.say(kubeletlog.URLRefused)
			time.Sleep(time.Millisecond)
		}
		seen := b.pass(200 * time.Millisecond)
		if len(seen) != 1 {
			t.Fatalf("%d observations of one burst", len(seen))
		}
		if late := seen[0].At.Sub(at); late < coalesce || late > 2*coalesce {
			t.Errorf("observed after %s", late)
		}
		if len(seen[0].Log) != 10 {
			t.Errorf("%d of 10 events", len(seen[0].Log))
		}
		if n, resyncs := b.kubelet.questions(); n != 1 || resyncs != 0 {
			t.Errorf("the kubelet was asked %d times, %d to resync", n, resyncs)
		}
		if n, resyncs := b.runtime.questions(); n != 1 || resyncs != 0 {
			t.Errorf("the runtime was asked %d times, %d to resync", n, resyncs)
		}
	})
}

// A change that comes while the question is under way is seen by another one.
func TestNoChangeIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		slow := func(version string) func(context.Context) (*cri.View, error) {
			return func(context.Context) (*cri.View, error) {
				time.Sleep(50 * time.Millisecond)
				return &cri.View{Version: version}, nil
			}
		}
		b.runtime.set(slow("1"))
		b.run()
		b.pass(time.Second)
		b.runtime.fire()
		b.pass(40 * time.Millisecond) // the question is under way
		b.runtime.set(slow("2"))
		b.runtime.fire()
		if o := b.last(b.pass(time.Second)); o.Runtime.Version != "2" {
			t.Errorf("the change is lost: %+v", o.Runtime)
		}
	})
}

func TestEveryEventIsHandedOnOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.run()
		n := 0
		for i := range 100 {
			b.log.say(kubeletlog.SyncFailed)
			for _, o := range b.pass(time.Duration(i) * time.Millisecond) {
				n += len(o.Log)
			}
		}
		for _, o := range b.pass(time.Second) {
			n += len(o.Log)
		}
		if n != 100 {
			t.Errorf("%d of 100 events", n)
		}
	})
}

func TestResync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.run()
		b.pass(time.Second)
		b.kubelet.questions()
		b.runtime.questions()
		b.pass(10 * time.Minute)
		if n, resyncs := b.kubelet.questions(); n != 10 || resyncs != 10 {
			t.Errorf("a healthy kubelet was asked %d times in 10 minutes, %d to resync", n, resyncs)
		}
		b.kubelet.ail()
		b.kubelet.fire()
		b.runtime.set(fails[cri.View](errors.New("connection refused")))
		b.runtime.fire()
		b.pass(time.Second)
		b.kubelet.questions()
		b.runtime.questions()
		b.pass(10 * time.Minute)
		if n, _ := b.kubelet.questions(); n != 60 {
			t.Errorf("a kubelet that tells no changes was asked %d times in 10 minutes", n)
		}
		if n, _ := b.runtime.questions(); n != 60 {
			t.Errorf("a runtime that is down was asked %d times in 10 minutes", n)
		}
	})
}

// A kubelet without a watch is asked when the runtime or the log has news, and not at every line.
func TestHearsay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.kubelet.unhealthy = true
		b.run()
		b.pass(time.Second)
		for name, tell := range map[string]func(){
			"the runtime": b.runtime.fire,
			"the log":     func() { b.log.say(kubeletlog.SyncFailed) },
		} {
			b.pass(time.Minute)
			b.kubelet.questions()
			for range 20 {
				tell()
				b.pass(50 * time.Millisecond)
			}
			if n, _ := b.kubelet.questions(); n != 0 {
				t.Errorf("%s: the kubelet was asked %d times before it can know", name, n)
			}
			b.pass(time.Second)
			if n, _ := b.kubelet.questions(); n != 1 {
				t.Errorf("%s: the kubelet was asked %d times", name, n)
			}
		}
		b.kubelet.set(fails[kubelet.View](errors.New("connection refused")))
		b.pass(time.Minute)
		b.kubelet.questions()
		b.runtime.fire()
		b.pass(2 * time.Second)
		if n, _ := b.kubelet.questions(); n > 1 {
			t.Errorf("a kubelet that is down was asked %d times in two seconds", n)
		}
	})
}

// A watch does not tell that the kubelet gave up a pod: when the runtime has news the kubelet is asked for all of its
// pods, soon, and not more often than every ten seconds.
func TestHearsayOfARuntime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.run()
		b.pass(30 * time.Second)
		b.kubelet.questions()
		b.runtime.fire()
		b.pass(2 * time.Second)
		if n, resyncs := b.kubelet.questions(); n != 1 || resyncs != 1 {
			t.Errorf("asked %d times, %d to resync", n, resyncs)
		}
		for range 28 {
			b.runtime.fire()
			b.pass(time.Second)
		}
		if n, resyncs := b.kubelet.questions(); n != 2 || resyncs != 2 {
			t.Errorf("asked %d times in 28 seconds of news, %d to resync", n, resyncs)
		}
		b.log.say(kubeletlog.SyncFailed)
		b.pass(25 * time.Second)
		b.kubelet.questions()
		b.log.say(kubeletlog.SyncFailed)
		b.pass(5 * time.Second)
		if n, _ := b.kubelet.questions(); n != 0 {
			t.Errorf("asked %d times because of a line of its log", n)
		}
	})
}

// What events do not tell is found at a node where they never pause, too.
func TestChangesDoNotPutOffResyncs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.run()
		b.pass(time.Second)
		b.kubelet.questions()
		for range 60 {
			b.kubelet.fire()
			b.pass(10 * time.Second)
		}
		if n, resyncs := b.kubelet.questions(); n < 60 || resyncs != 10 {
			t.Errorf("asked %d times in 10 minutes, %d to resync", n, resyncs)
		}
	})
}

func TestIdleWakesSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.run()
		b.pass(time.Minute)
		seen := b.pass(10 * time.Minute)
		if len(seen) > 120 {
			t.Errorf("%d observations of nothing in 10 minutes", len(seen))
		}
		for i := 1; i < len(seen); i++ {
			if gap := seen[i].At.Sub(seen[i-1].At); gap > heartbeat {
				t.Errorf("a gap of %s", gap)
			}
		}
	})
}

func TestTransitionsAreLoggedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.run()
		b.pass(time.Second)
		up := b.lines.take()
		for _, in := range []string{"manifest", "kubelet", "runtime", "log"} {
			if strings.Count(up, "input is up\" input="+in) != 1 {
				t.Errorf("%s: %s", in, up)
			}
		}
		at := time.Now()
		var n atomic.Int64
		b.kubelet.set(func(context.Context) (*kubelet.View, error) {
			return nil, fmt.Errorf("dial %d: %w", n.Add(1), kubelet.ErrUnauthorized)
		})
		b.log.mu.Lock()
		b.log.err = errors.New("no such file")
		b.log.mu.Unlock()
		b.kubelet.fire()
		b.log.fire()
		o := b.last(b.pass(5 * time.Minute))
		if s := o.Input(InputKubelet); s.Up || !s.Unauthorized || s.Since.Sub(at) > time.Second || s.LastSuccess.After(at) || n.Load() < 10 {
			t.Errorf("kubelet: %+v after %d questions", s, n.Load())
		}
		if s := o.Input(InputLog); s.Up || s.Err != "no such file" {
			t.Errorf("log: %+v", s)
		}
		if o.Kubelet == nil || o.Kubelet.Version != "v1.37.2" {
			t.Errorf("the last view is not kept: %+v", o.Kubelet)
		}
		b.kubelet.set(says(&kubelet.View{}))
		b.pass(time.Minute)
		down := b.lines.take()
		for _, line := range []string{"input is down\" input=kubelet", "input is down\" input=log", "input is up\" input=kubelet"} {
			if strings.Count(down, line) != 1 {
				t.Errorf("%q is not there once:\n%s", line, down)
			}
		}
		if n := strings.Count(down, "\n"); n != 3 {
			t.Errorf("%d lines:\n%s", n, down)
		}
	})
}

func TestSourcesNotReady(t *testing.T) {
	for name, test := range map[string]struct {
		view *kubelet.View
		up   bool
	}{
		"with a view":    {&kubelet.View{Pods: []*corev1.Pod{}}, true},
		"without a view": {nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				b.kubelet.set(func(context.Context) (*kubelet.View, error) {
					return test.view, fmt.Errorf("kubelet pods: %w", kubelet.ErrSourcesNotReady)
				})
				b.run()
				o := b.last(b.pass(time.Second))
				if s := o.Input(InputKubelet); s.Up != test.up || !s.SourcesNotReady || (o.Kubelet != nil) != test.up {
					t.Errorf("kubelet: %+v, view %v", s, o.Kubelet)
				}
			})
		})
	}
}

func TestNothingConfigured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var seen []*Observation
		ended := make(chan error)
		go func() {
			ended <- New(Options{}).Run(ctx, func(_ context.Context, o *Observation) { seen = append(seen, o) })
		}()
		time.Sleep(time.Minute + time.Second)
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if len(seen) < 6 || len(seen) > 7 {
			t.Errorf("%d observations in a minute", len(seen))
		}
		for _, s := range seen[0].Inputs {
			if s != (InputState{Input: s.Input}) {
				t.Errorf("%+v", s)
			}
		}
	})
}

// The run ends with its context, and nothing of it goes on: a synctest bubble fails when a goroutine is left.
func TestRunEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.kubelet.set(hangs)
		b.runtime.set(hangs)
		b.run()
		b.pass(100 * time.Millisecond)
	})
}

// Onsets by a clock that was set are in the future, or longer ago than they were.
func TestOnsetsFollowAClockThatIsSet(t *testing.T) {
	for step, anew := range map[time.Duration]bool{0: false, time.Second: false, 24 * time.Hour: true, -2 * time.Hour: true} {
		c := New(Options{})
		c.cycle.base = t.Context()
		c.cycle.begin()
		now := time.Now()
		since := now.Add(-time.Minute)
		c.kubelet.state.Configured, c.kubelet.state.Up, c.kubelet.state.Since = true, true, since
		c.runtime.state.Configured, c.runtime.state.Since = true, since.Add(max(0, -step)).Round(0)
		c.clock = clock{now.Add(-time.Second - step).Round(0), now.Add(-time.Second)}
		want := since
		if anew {
			want = now
		}
		for range 2 {
			o := c.observe(now)
			down := since // which stays, if it is not yet to come by the clock as it was set back
			if step < 0 {
				down = want
			}
			if k, r := o.Input(InputKubelet).Since, o.Input(InputRuntime).Since; !k.Equal(want) || !r.Equal(down) {
				t.Errorf("set by %s: up since %s, want %s; down since %s, want %s", step, k, want, r, down)
			}
			if since := o.Input(InputMirror).Since; !since.IsZero() {
				t.Errorf("not configured: since %s", since)
			}
			now = now.Add(time.Minute)
		}
	}
}

func TestClip(t *testing.T) {
	if s := clip(strings.Repeat("ö", 2000)); len(s) > messageLimit || !strings.HasSuffix(s, "ö…") {
		t.Errorf("%d bytes, end %q", len(s), s[len(s)-8:])
	}
	if s := clip("short"); s != "short" {
		t.Error(s)
	}
}
