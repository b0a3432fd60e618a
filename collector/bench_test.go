package collector

import (
	"bytes"
	"context"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/staticpod-exporter/staticpod-exporter/collector/kubelet"
	"github.com/staticpod-exporter/staticpod-exporter/collector/kubeletlog"
	"github.com/staticpod-exporter/staticpod-exporter/cri"
	"github.com/staticpod-exporter/staticpod-exporter/manifest"
)

// A signal is closed once there is news and stays so until it is looked at, as the inputs' are.
type signal struct {
	mu    sync.Mutex
	ch    chan struct{}
	fired bool
}

func (s *signal) Changed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ch == nil {
		s.ch = make(chan struct{})
	}
	return s.ch
}

func (s *signal) fire() {
	s.Changed()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.fired {
		s.fired = true
		close(s.ch)
	}
}

func (s *signal) look() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fired {
		s.ch, s.fired = nil, false
	}
}

// An input answers a question when the test says so, and takes note of each.
type input[V any] struct {
	signal
	mu        sync.Mutex
	answer    func(ctx context.Context) (*V, error)
	unhealthy bool
	asked     []bool // resync of each question
}

func (i *input[V]) View(ctx context.Context, resync bool) (*V, error) {
	i.look()
	i.mu.Lock()
	i.asked = append(i.asked, resync)
	answer := i.answer
	i.mu.Unlock()
	return answer(ctx)
}

func (i *input[V]) Healthy() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return !i.unhealthy
}

func (i *input[V]) set(answer func(ctx context.Context) (*V, error)) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.answer = answer
}

// ail has it no longer tell its changes.
func (i *input[V]) ail() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.unhealthy = true
}

// questions returns how often it was asked since the last time, and how often to resync.
func (i *input[V]) questions() (all, resyncs int) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, r := range i.asked {
		if r {
			resyncs++
		}
	}
	all, i.asked = len(i.asked), nil
	return all, resyncs
}

func says[V any](v *V) func(context.Context) (*V, error) {
	return func(context.Context) (*V, error) { return v, nil }
}

func fails[V any](err error) func(context.Context) (*V, error) {
	return func(context.Context) (*V, error) { return nil, err }
}

// hangs until its context ends.
func hangs[V any](ctx context.Context) (*V, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

type store struct {
	mu  sync.Mutex
	set *manifest.Set
	ch  chan struct{}
}

func newStore(set *manifest.Set) *store { return &store{set: set, ch: make(chan struct{})} }

func (s *store) Current() *manifest.Set {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.set
}

func (s *store) Changed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ch
}

func (s *store) replace(set *manifest.Set) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.set = set
	close(s.ch)
	s.ch = make(chan struct{})
}

type events struct {
	signal
	mu      sync.Mutex
	pending []kubeletlog.Event
	err     error
}

func (e *events) Drain() ([]kubeletlog.Event, kubeletlog.Stats, error) {
	e.look()
	e.mu.Lock()
	defer e.mu.Unlock()
	pending := e.pending
	e.pending = nil
	return pending, kubeletlog.Stats{Events: uint64(len(pending))}, e.err
}

func (e *events) say(kind kubeletlog.Kind) {
	e.mu.Lock()
	e.pending = append(e.pending, kubeletlog.Event{Kind: kind})
	e.mu.Unlock()
	e.fire()
}

// A bench is a Collector with inputs that the test holds, under a clock of its own.
type bench struct {
	t       *testing.T
	store   *store
	kubelet *input[kubelet.View]
	runtime *input[cri.View]
	log     *events
	lines   *lines

	began time.Time
	mu    sync.Mutex
	seen  []*Observation
}

// lines are what was logged.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

// take returns the lines since the last time.
func (l *lines) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.buf.Reset()
	return l.buf.String()
}

func newBench(t *testing.T) *bench {
	return &bench{
		t: t, store: newStore(&manifest.Set{Node: "node1"}), log: &events{}, lines: &lines{},
		kubelet: &input[kubelet.View]{answer: says(&kubelet.View{Version: "v1.37.2"})},
		runtime: &input[cri.View]{answer: says(&cri.View{Runtime: "containerd"})},
	}
}

// run drives the collector in the background, in a synctest bubble, and has it ended when the test is.
func (b *bench) run() {
	b.began = time.Now()
	c := New(Options{
		Manifests: b.store, Kubelet: b.kubelet, Runtime: b.runtime, Log: b.log,
		Logger: slog.New(slog.NewTextHandler(b.lines, nil)),
	})
	ctx, cancel := context.WithCancel(b.t.Context())
	ended := make(chan error)
	go func() {
		ended <- c.Run(ctx, func(_ context.Context, o *Observation) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.seen = append(b.seen, o)
		})
	}()
	b.t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			b.t.Errorf("run: %v", err)
		}
	})
	synctest.Wait()
}

// pass lets time pass and returns what was observed meanwhile.
func (b *bench) pass(d time.Duration) []*Observation {
	time.Sleep(d)
	synctest.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	seen := b.seen
	b.seen = nil
	return seen
}

func (b *bench) last(seen []*Observation) *Observation {
	b.t.Helper()
	if len(seen) == 0 {
		b.t.Fatal("nothing was observed")
	}
	return seen[len(seen)-1]
}
