package collector

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/staticpod-exporter/staticpod-exporter/collector/kubelet"
	"github.com/staticpod-exporter/staticpod-exporter/collector/kubeletlog"
	"github.com/staticpod-exporter/staticpod-exporter/collector/mirror"
	"github.com/staticpod-exporter/staticpod-exporter/cri"
	"github.com/staticpod-exporter/staticpod-exporter/manifest"
)

// A Manifests holds what should run. Changed returns a channel that closes when the Set that Current returned
// before is replaced.
type Manifests interface {
	Current() *manifest.Set
	Changed() <-chan struct{}
}

// A Kubelet is asked what it runs. With resync, View asks anew whatever it may have cached; it returns soon
// after ctx ends, and a View together with kubelet.ErrSourcesNotReady is an answer all the same. Changed
// returns a channel that is closed once there is something that the last View does not show, and stays so
// until View is called again. Healthy reports whether Changed can be relied upon.
type Kubelet interface {
	View(ctx context.Context, resync bool) (*kubelet.View, error)
	Changed() <-chan struct{}
	Healthy() bool
}

// A Runtime is asked as a Kubelet is.
type Runtime interface {
	View(ctx context.Context, resync bool) (*cri.View, error)
	Changed() <-chan struct{}
	Healthy() bool
}

// Mirrors are asked as a Kubelet is.
type Mirrors interface {
	View(ctx context.Context, resync bool) (*mirror.View, error)
	Changed() <-chan struct{}
	Healthy() bool
}

// A Log hands over, without waiting, the events read since the last time, and says with an error why it
// cannot read (on); events may come with it. Calling Drain says that the events of the call before were
// handled. Changed returns a channel that is closed once there are new ones, and stays so until Drain.
type Log interface {
	Drain() ([]kubeletlog.Event, kubeletlog.Stats, error)
	Changed() <-chan struct{}
}

const (
	// DefaultResyncInterval is for an input that is healthy and tells its changes.
	DefaultResyncInterval = time.Minute
	// DefaultTimeout is for one question.
	DefaultTimeout = 10 * time.Second

	// retryInterval is for an input that is down, or that does not tell its changes.
	retryInterval = 10 * time.Second
	// heartbeat is the longest time between two Observations: what waits for time alone to pass needs one.
	heartbeat = 10 * time.Second
	// coalesce is how long changes are gathered before they are looked at.
	coalesce = 20 * time.Millisecond
	// hearsay is how long after news of another input an input that does not tell its changes is asked: the kubelet
	// looks at the runtime each second.
	hearsay = 1500 * time.Millisecond
	// firstWait is how long the first Observation waits for every input to have answered.
	firstWait = time.Second
	// lateness is what an input may take to come back after its deadline before it counts as hanging.
	lateness = time.Second
)

// Options of a Collector. An input that is nil is not configured.
type Options struct {
	Manifests Manifests
	Kubelet   Kubelet
	Runtime   Runtime
	Log       Log
	Mirrors   Mirrors

	ResyncInterval time.Duration // of healthy inputs; 0 is DefaultResyncInterval
	Timeout        time.Duration // of one question; 0 is DefaultTimeout
	Logger         *slog.Logger
	// TracerProvider receives a span per collection, with a child per question; nil for none.
	TracerProvider trace.TracerProvider
}

// A Collector asks every input and hands on Observations. Make it with New, drive it with Run.
type Collector struct {
	options Options
	log     *slog.Logger
	cycle   cycle
	clock   clock

	manifests InputState
	kubelet   *source[kubelet.View]
	runtime   *source[cri.View]
	mirrors   *source[mirror.View]
	events    InputState // of the log
	answers   chan func(now time.Time)
	undrained bool // the log has told of events

	started   time.Time
	published time.Time // when the last Observation was handed on; zero before the first
	due       time.Time // when to publish what is new; zero when nothing is
}

// New returns a Collector that asks nothing yet.
func New(o Options) *Collector {
	if o.ResyncInterval <= 0 {
		o.ResyncInterval = DefaultResyncInterval
	}
	if o.Timeout <= 0 {
		o.Timeout = DefaultTimeout
	}
	c := &Collector{options: o, log: o.Logger, answers: make(chan func(time.Time))}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	if o.TracerProvider == nil {
		o.TracerProvider = noop.NewTracerProvider()
	}
	c.cycle.tracer = o.TracerProvider.Tracer("github.com/staticpod-exporter/staticpod-exporter/collector")
	c.manifests = InputState{Input: InputManifest, Configured: o.Manifests != nil}
	c.events = InputState{Input: InputLog, Configured: o.Log != nil}
	c.kubelet = &source[kubelet.View]{state: InputState{Input: InputKubelet}}
	if o.Kubelet != nil {
		c.kubelet.ask, c.kubelet.changed, c.kubelet.healthy = o.Kubelet.View, o.Kubelet.Changed, o.Kubelet.Healthy
		c.kubelet.state.Configured = true
	}
	c.runtime = &source[cri.View]{state: InputState{Input: InputRuntime}}
	if o.Runtime != nil {
		c.runtime.ask, c.runtime.changed, c.runtime.healthy = o.Runtime.View, o.Runtime.Changed, o.Runtime.Healthy
		c.runtime.state.Configured = true
	}
	c.mirrors = &source[mirror.View]{state: InputState{Input: InputMirror}}
	if o.Mirrors != nil {
		c.mirrors.ask, c.mirrors.changed, c.mirrors.healthy = o.Mirrors.View, o.Mirrors.Changed, o.Mirrors.Healthy
		c.mirrors.state.Configured = true
	}
	return c
}

// Run asks the inputs and hands each Observation to emit, one at a time, until ctx ends, which is no error. The
// context of emit has the span of the collection, which ends when emit returns.
// The first one comes within about a second even when inputs hang. An input that does not answer never ends
// the run.
func (c *Collector) Run(ctx context.Context, emit func(context.Context, *Observation)) error {
	var questions sync.WaitGroup
	defer questions.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	c.cycle.base = ctx
	now := time.Now()
	c.started, c.due = now, now
	for _, s := range []*InputState{&c.manifests, &c.kubelet.state, &c.runtime.state, &c.mirrors.state, &c.events} {
		if s.Configured {
			s.Since, s.Err = now, noAnswer
		}
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		manifests := c.manifestsChanged() // taken before Current is, because it belongs to the Set
		now := time.Now()
		c.kubelet.begin(ctx, now, c, &questions)
		c.runtime.begin(ctx, now, c, &questions)
		c.mirrors.begin(ctx, now, c, &questions)
		if c.ready(now) {
			cycle := c.cycle.begin()
			emit(cycle, c.observe(now))
			c.cycle.end()
			c.published, c.due = time.Now(), time.Time{}
		}
		events := c.logChanged()
		c.kubelet.listen()
		c.runtime.listen()
		c.mirrors.listen()
		timer.Reset(time.Until(c.next()))
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		case answer := <-c.answers:
			answer(time.Now())
			c.publish(time.Now())
		case <-manifests:
			c.cycle.begin()
			c.publish(time.Now().Add(coalesce))
		case <-events:
			c.cycle.begin()
			c.undrained = true
			c.publish(time.Now().Add(coalesce))
			c.kubelet.suspect(time.Now(), false)
		case <-c.kubelet.wake:
			c.kubelet.stir(time.Now())
		case <-c.runtime.wake:
			c.runtime.stir(time.Now())
			// A watch does not tell that the kubelet gave up a pod whose containers it ends.
			c.kubelet.suspect(time.Now(), true)
		case <-c.mirrors.wake:
			c.mirrors.stir(time.Now())
		}
	}
}

func (c *Collector) manifestsChanged() <-chan struct{} {
	if c.options.Manifests == nil {
		return nil
	}
	return c.options.Manifests.Changed()
}

// logChanged is nil while events are known to wait: the log's channel stays closed until they are drained.
func (c *Collector) logChanged() <-chan struct{} {
	if c.options.Log == nil || c.undrained {
		return nil
	}
	return c.options.Log.Changed()
}

// publish has what is new published at a time, or before.
func (c *Collector) publish(at time.Time) {
	if c.due.IsZero() || at.Before(c.due) {
		c.due = at
	}
}

// ready reports whether it is time for an Observation. The first one waits for every input to have answered,
// the others for those that were asked just now; neither waits long.
func (c *Collector) ready(now time.Time) bool {
	c.kubelet.overdue(now, c)
	c.runtime.overdue(now, c)
	c.mirrors.overdue(now, c)
	if c.published.IsZero() {
		complete := c.kubelet.answered() && c.runtime.answered() && c.mirrors.answered() && (c.options.Manifests == nil || c.options.Manifests.Current() != nil)
		return complete || !now.Before(c.started.Add(firstWait))
	}
	if c.due.IsZero() || now.Before(c.due) {
		return !now.Before(c.published.Add(heartbeat))
	}
	return !c.kubelet.fresh(now) && !c.runtime.fresh(now) && !c.mirrors.fresh(now)
}

// next is when there is something to do if nothing happens before.
func (c *Collector) next() time.Time {
	if c.published.IsZero() {
		return earliest(c.started.Add(firstWait), c.kubelet.next(), c.runtime.next(), c.mirrors.next())
	}
	at := c.due
	if !at.IsZero() {
		at = latest(at, c.kubelet.freshUntil(), c.runtime.freshUntil(), c.mirrors.freshUntil())
	}
	return earliest(at, c.published.Add(heartbeat), c.kubelet.next(), c.runtime.next(), c.mirrors.next())
}

// observe takes down what every input says now.
func (c *Collector) observe(now time.Time) *Observation {
	o := &Observation{Kubelet: c.kubelet.view, Runtime: c.runtime.view, Mirror: c.mirrors.view}
	if c.options.Manifests != nil {
		c.cycle.look(InputManifest, func() (err error) {
			o.Manifest = c.options.Manifests.Current()
			if o.Manifest == nil {
				err = errNothingLoaded
			}
			c.transition(&c.manifests, now, err)
			if o.Manifest != nil {
				c.manifests.LastSuccess = o.Manifest.At
			}
			return err
		})
	}
	if c.options.Log != nil {
		c.cycle.look(InputLog, func() (err error) {
			c.undrained = false
			o.Log, o.LogStats, err = c.options.Log.Drain()
			c.transition(&c.events, now, err)
			if err == nil {
				c.events.LastSuccess = now
			}
			return err
		})
		c.cycle.span.SetAttributes(eventsKey.Int(len(o.Log)))
	}
	if c.clock.set(now) {
		for _, s := range []*InputState{&c.manifests, &c.kubelet.state, &c.runtime.state, &c.events, &c.mirrors.state} {
			s.clockSet(now)
		}
	}
	o.At = now
	o.Inputs = []InputState{c.manifests, c.kubelet.state, c.runtime.state, c.events, c.mirrors.state}
	return o
}

// noAnswer is the error of an input that was not asked yet, or has yet to answer.
const noAnswer = "no answer yet"

var errNothingLoaded = errors.New("nothing was loaded yet")

// transition takes an answer, or its absence, into an input's state, and logs when that goes up or down.
func (c *Collector) transition(s *InputState, now time.Time, err error) {
	first := s.LastSuccess.IsZero() && s.Err == noAnswer
	was := s.Up
	s.Up, s.Err = err == nil, ""
	if err != nil {
		c.cycle.fail(s.Input)
		s.Err = clip(err.Error())
	}
	if was != s.Up {
		s.Since = now
	}
	switch {
	case s.Up && (!was || first):
		c.log.Info("input is up", "input", s.Input)
	case !s.Up && (was || first):
		c.log.Warn("input is down", "input", s.Input, "err", s.Err)
	}
}
