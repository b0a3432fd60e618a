package kubelet

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	corev1 "k8s.io/api/core/v1"
	podsv1alpha1 "k8s.io/kubelet/pkg/apis/pods/v1alpha1"

	"github.com/staticpod-exporter/staticpod-exporter/collector/change"
)

const (
	// How long to wait before opening the watch again: doubled from least to most while it fails.
	leastWait = 100 * time.Millisecond
	mostWait  = 5 * time.Second
	// A kubelet without the API may be replaced by one that has it.
	unimplementedWait = 5 * time.Minute
	// The pods of a node: some hundred, of some ten KiB each.
	maxPods = 32 << 20
)

// A podsAPI is the kubelet's gRPC API on a local socket (KEP-4188): a list, and a watch that keeps a state.
type podsAPI struct {
	socket  string // its path
	timeout time.Duration
	decoder *decoder
	state   watched
	changed *change.Signal
	tracer  trace.Tracer
	log     *slog.Logger
	opened  atomic.Uint64         // watches that began, each of which may be of another kubelet
	refused atomic.Pointer[error] // why the socket could not be dialled last
	// initializing is a kubelet that refused the last watch because it has not seen all its pod sources.
	initializing atomic.Bool

	mu   sync.Mutex
	conn *grpc.ClientConn // nil until it is used
}

// connection returns the connection of list and watch. It is dialled when it is used.
func (p *podsAPI) connection() (*grpc.ClientConn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conn != nil {
		return p.conn, nil
	}
	conn, err := grpc.NewClient("passthrough:///"+p.socket,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithAuthority("localhost"),
		grpc.WithContextDialer(p.dial),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxPods)))
	p.conn = conn
	return conn, err
}

func (p *podsAPI) dial(ctx context.Context, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", address)
	if err != nil {
		p.refused.Store(&err)
	} else {
		p.refused.Store(nil)
	}
	return conn, err
}

// alive reports whether the socket is known to be worth asking: its watch keeps the state up to date, or the kubelet
// said there that it has not seen all its pod sources, which it says nowhere else.
func (p *podsAPI) alive() bool { return p.initializing.Load() || p.state.settled() }

// drop gives up a connection that does not work. gRPC would keep it and answer by its last error for a while,
// where a socket can be tried at once.
func (p *podsAPI) drop(conn *grpc.ClientConn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conn == conn {
		p.conn = nil
	}
	conn.Close()
}

func (p *podsAPI) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conn == nil {
		return nil
	}
	conn := p.conn
	p.conn = nil
	return conn.Close()
}

// explain turns what gRPC says into an error of this package.
func (p *podsAPI) explain(err error) error {
	switch status.Code(err) {
	case codes.FailedPrecondition:
		return ErrSourcesNotReady
	case codes.PermissionDenied, codes.Unauthenticated:
		return fmt.Errorf("%w: %w", ErrUnauthorized, err)
	case codes.Unavailable:
		dial := p.refused.Load()
		if dial == nil {
			return err
		}
		if errors.Is(*dial, fs.ErrPermission) {
			return fmt.Errorf("%w: %w", ErrUnauthorized, *dial)
		}
		return *dial // in the words of the system, without those of gRPC around them
	}
	return err
}

// view returns the static pods and when the kubelet said so: from the watch when that is certain and no
// resync is wanted, else by a list, for which the kubelet writes a line to its log.
func (p *podsAPI) view(ctx context.Context, resync bool) ([]*corev1.Pod, time.Time, error) {
	if !resync {
		if pods, heard, ok := p.state.sure(); ok {
			return pods, heard, nil
		}
	}
	p.decoder.turn()
	p.state.listing()
	asked := time.Now()
	pods, err := p.list(ctx)
	if err != nil {
		p.state.unlisted()
		return nil, time.Time{}, p.explain(err)
	}
	return p.state.listed(pods, asked), asked, nil
}

func (p *podsAPI) list(ctx context.Context) (pods []*corev1.Pod, err error) {
	ctx, end := span(ctx, p.tracer, "v1alpha1.Pods/ListPods", semconv.RPCSystemNameGRPC, semconv.RPCMethod("v1alpha1.Pods/ListPods"))
	defer func() { end(err) }()
	conn, err := p.connection()
	if err != nil {
		return nil, err
	}
	answer, err := podsv1alpha1.NewPodsClient(conn).ListPods(ctx, &podsv1alpha1.ListPodsRequest{})
	if err != nil {
		if status.Code(err) == codes.Unavailable {
			p.drop(conn)
		}
		return nil, err
	}
	for _, raw := range answer.GetPods() {
		pod, err := p.decoder.pod(raw, protoPod)
		if err != nil {
			return nil, err
		}
		if pod != nil {
			pods = append(pods, pod)
		}
	}
	return pods, nil
}

// run keeps a watch open until ctx is done.
func (p *podsAPI) run(ctx context.Context) {
	wait, silent := leastWait, false
	for {
		opened := time.Now()
		err := p.watch(ctx)
		if early := status.Code(err) == codes.FailedPrecondition; p.initializing.Swap(early) != early {
			p.changed.Fire()
		}
		began := p.state.end()
		if ctx.Err() != nil {
			return
		}
		wait = pause(wait, err, began && time.Since(opened) > mostWait)
		if began {
			p.changed.Fire() // the kubelet may be gone, or events were lost
		}
		if began || !silent {
			p.log.Info("no watch of the kubelet's pods", "err", p.explain(err))
			silent = true
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// pause is how long to wait after a watch ended, given how long that was the time before and whether the watch
// had lasted.
func pause(before time.Duration, err error, lasted bool) time.Duration {
	switch {
	case status.Code(err) == codes.Unimplemented:
		return unimplementedWait
	case lasted:
		return leastWait
	}
	return min(2*before, mostWait)
}

// watch holds one watch and keeps the state by it.
func (p *podsAPI) watch(ctx context.Context) (err error) {
	conn, err := p.connection()
	if err != nil {
		return err
	}
	defer func() {
		if status.Code(err) == codes.Unavailable {
			p.drop(conn)
		}
	}()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// The beginning has a deadline; after it, silence is what a node at rest has to say.
	begun := time.AfterFunc(p.timeout, cancel)
	defer begun.Stop()
	stream, err := podsv1alpha1.NewPodsClient(conn).WatchPods(ctx, &podsv1alpha1.WatchPodsRequest{})
	if err != nil {
		return err
	}
	var beginning []*corev1.Pod
	initial := true
	for {
		event, err := stream.Recv()
		if err != nil {
			if initial && ctx.Err() != nil {
				return errors.New("the watch did not begin in time")
			}
			return err
		}
		now := time.Now()
		if event.GetType() == podsv1alpha1.EventType_INITIAL_SYNC_COMPLETE {
			if initial && begun.Stop() {
				initial = false
				p.opened.Add(1)
				p.initializing.Store(false)
				p.state.begin(beginning, now)
				beginning = nil
				p.changed.Fire()
				p.log.Info("watching the kubelet's pods")
			}
			continue
		}
		if event.GetType() == podsv1alpha1.EventType_DELETED {
			pod := new(corev1.Pod) // only its name, namespace and UID
			if err := pod.Unmarshal(event.GetPod()); err != nil {
				return fmt.Errorf("pod: %w", err)
			}
			if p.state.deleted(pod.UID, now) {
				p.changed.Fire()
			}
			continue
		}
		pod, err := p.decoder.pod(event.GetPod(), protoPod)
		switch {
		case err != nil:
			return err
		case pod == nil: // not a static one
		case initial:
			beginning = append(beginning, pod)
		case p.state.changed(pod, now):
			p.changed.Fire()
		}
	}
}
