package cri

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// A machine is a runtime's state and its server on a unix socket; it may be started and stopped.
type machine struct {
	runtimeapi.UnimplementedRuntimeServiceServer

	mu         sync.Mutex
	name       string // containerd
	version    string // v2.4.2
	sandboxes  []*runtimeapi.PodSandbox
	containers []*runtimeapi.Container
	statuses   map[string]*runtimeapi.ContainerStatusResponse
	failures   map[string]error    // by container or sandbox, of their status
	images     []*runtimeapi.Image // nil without an image service
	unary      bool                // without streamed lists
	deaf       bool                // without events
	history    []*runtimeapi.ContainerEventResponse
	hang       string // the method that does not answer
	calls      map[string]int
	live       chan *runtimeapi.ContainerEventResponse
	subscribed chan struct{} // receives at each subscription

	connections atomic.Int64  // open now
	closed      chan struct{} // receives when one was closed
	server      *grpc.Server
	served      chan struct{}
}

func newMachine() *machine {
	return &machine{
		name:       "containerd",
		version:    "v2.4.2",
		statuses:   make(map[string]*runtimeapi.ContainerStatusResponse),
		failures:   make(map[string]error),
		calls:      make(map[string]int),
		live:       make(chan *runtimeapi.ContainerEventResponse),
		subscribed: make(chan struct{}, 100),
		closed:     make(chan struct{}, 100),
	}
}

// socket returns a path that is short enough for a socket.
func socket(t testing.TB) string {
	dir, err := os.MkdirTemp("", "cri")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "s")
}

type countedListener struct {
	net.Listener
	m *machine
}

type countedConn struct {
	net.Conn
	once sync.Once
	m    *machine
}

func (l countedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.m.connections.Add(1)
	return &countedConn{Conn: conn, m: l.m}, nil
}

func (c *countedConn) Close() error {
	c.once.Do(func() {
		c.m.connections.Add(-1)
		c.m.closed <- struct{}{}
	})
	return c.Conn.Close()
}

// start serves at path until stop or the end of the test.
func (m *machine) start(t testing.TB, path string) {
	t.Helper()
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	m.server, m.served = grpc.NewServer(), make(chan struct{})
	runtimeapi.RegisterRuntimeServiceServer(m.server, m)
	if m.images != nil {
		runtimeapi.RegisterImageServiceServer(m.server, &imageService{m: m})
	}
	server, served := m.server, m.served
	go func() {
		defer close(served)
		server.Serve(countedListener{listener, m})
	}()
	t.Cleanup(m.stop)
}

// stop ends the server and with it its socket.
func (m *machine) stop() {
	if m.server != nil {
		m.server.Stop()
		<-m.served
		m.server = nil
	}
}

func (m *machine) set(change func(*machine)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change(m)
}

func (m *machine) asked(method string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.calls[method]
}

// called counts a call, or hangs until the caller gives up.
func (m *machine) called(ctx context.Context, method string) error {
	m.mu.Lock()
	m.calls[method]++
	hang := m.hang == method
	m.mu.Unlock()
	if hang {
		<-ctx.Done()
		return ctx.Err()
	}
	return nil
}

func (m *machine) Version(ctx context.Context, _ *runtimeapi.VersionRequest) (*runtimeapi.VersionResponse, error) {
	if err := m.called(ctx, "Version"); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return &runtimeapi.VersionResponse{Version: "0.1.0", RuntimeName: m.name, RuntimeVersion: m.version, RuntimeApiVersion: "v1"}, nil
}

func (m *machine) ListPodSandbox(ctx context.Context, _ *runtimeapi.ListPodSandboxRequest) (*runtimeapi.ListPodSandboxResponse, error) {
	if err := m.called(ctx, "ListPodSandbox"); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return &runtimeapi.ListPodSandboxResponse{Items: m.sandboxes}, nil
}

func (m *machine) StreamPodSandboxes(_ *runtimeapi.StreamPodSandboxesRequest, s runtimeapi.RuntimeService_StreamPodSandboxesServer) error {
	if err := m.called(s.Context(), "StreamPodSandboxes"); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.unary {
		return status.Error(codes.Unimplemented, "no streams")
	}
	return s.Send(&runtimeapi.StreamPodSandboxesResponse{PodSandboxes: m.sandboxes})
}

func (m *machine) ListContainers(ctx context.Context, r *runtimeapi.ListContainersRequest) (*runtimeapi.ListContainersResponse, error) {
	if err := m.called(ctx, "ListContainers"); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return &runtimeapi.ListContainersResponse{Containers: m.selected(r.GetFilter())}, nil
}

// selected are the containers with the labels of a filter. m.mu is held.
func (m *machine) selected(f *runtimeapi.ContainerFilter) (containers []*runtimeapi.Container) {
	for _, r := range m.containers {
		labels := maps.Clone(r.GetLabels())
		maps.Copy(labels, f.GetLabelSelector())
		if maps.Equal(labels, r.GetLabels()) {
			containers = append(containers, r)
		}
	}
	return containers
}

func (m *machine) StreamContainers(r *runtimeapi.StreamContainersRequest, s runtimeapi.RuntimeService_StreamContainersServer) error {
	if err := m.called(s.Context(), "StreamContainers"); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.unary {
		return status.Error(codes.Unimplemented, "no streams")
	}
	return s.Send(&runtimeapi.StreamContainersResponse{Containers: m.selected(r.GetFilter())})
}

func (m *machine) ContainerStatus(ctx context.Context, r *runtimeapi.ContainerStatusRequest) (*runtimeapi.ContainerStatusResponse, error) {
	if err := m.called(ctx, "ContainerStatus"); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.failures[r.GetContainerId()]; err != nil {
		return nil, err
	}
	s, ok := m.statuses[r.GetContainerId()]
	if !ok {
		return nil, status.Error(codes.NotFound, "no such container")
	}
	if !r.GetVerbose() {
		return &runtimeapi.ContainerStatusResponse{Status: s.GetStatus()}, nil
	}
	return s, nil
}

// PodSandboxStatus says that the process of a sandbox has the length of its ID as number, and an image of the
// ID sha256:pause.
func (m *machine) PodSandboxStatus(ctx context.Context, r *runtimeapi.PodSandboxStatusRequest) (*runtimeapi.PodSandboxStatusResponse, error) {
	if err := m.called(ctx, "PodSandboxStatus"); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	id := r.GetPodSandboxId()
	if err := m.failures[id]; err != nil {
		return nil, err
	}
	for _, s := range m.sandboxes {
		if s.GetId() == id {
			return &runtimeapi.PodSandboxStatusResponse{
				Status: &runtimeapi.PodSandboxStatus{Id: id, Metadata: s.GetMetadata(), State: s.GetState(), CreatedAt: s.GetCreatedAt()},
				Info:   map[string]string{"info": fmt.Sprintf(`{"pid":%d,"image":"sha256:pause","config":{"annotations":{"note":"secret-annotation"}}}`, len(id))},
			}, nil
		}
	}
	return nil, status.Error(codes.NotFound, "no such sandbox")
}

// An imageService has the images of a machine.
type imageService struct {
	runtimeapi.UnimplementedImageServiceServer
	m *machine
}

func (s *imageService) ListImages(ctx context.Context, _ *runtimeapi.ListImagesRequest) (*runtimeapi.ListImagesResponse, error) {
	if err := s.m.called(ctx, "ListImages"); err != nil {
		return nil, err
	}
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	return &runtimeapi.ListImagesResponse{Images: s.m.images}, nil
}

func (m *machine) GetContainerEvents(_ *runtimeapi.GetEventsRequest, s runtimeapi.RuntimeService_GetContainerEventsServer) error {
	if err := m.called(s.Context(), "GetContainerEvents"); err != nil {
		return err
	}
	m.mu.Lock()
	deaf, history := m.deaf, m.history
	m.mu.Unlock()
	if deaf {
		return status.Error(codes.Unimplemented, "no events")
	}
	for _, e := range history {
		if err := s.Send(e); err != nil {
			return err
		}
	}
	m.subscribed <- struct{}{}
	for {
		select {
		case <-s.Context().Done():
			return nil
		case e := <-m.live:
			if e == nil {
				return nil // as a runtime that shuts its queue down
			}
			if err := s.Send(e); err != nil {
				return err
			}
		}
	}
}

// epoch is when the containers of the tests were created.
var epoch = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func at(seconds int) int64 { return epoch.Add(time.Duration(seconds) * time.Second).UnixNano() }

// sandbox adds a sandbox of a pod to m; an empty source is one without the annotation.
func (m *machine) sandbox(id, namespace, name, source string, created int, state runtimeapi.PodSandboxState) {
	annotations := map[string]string{"note": "secret-annotation"}
	if source != "" {
		annotations[sourceAnnotation] = source
	}
	m.set(func(m *machine) {
		m.sandboxes = append(m.sandboxes, &runtimeapi.PodSandbox{
			Id:          id,
			Metadata:    &runtimeapi.PodSandboxMetadata{Namespace: namespace, Name: name, Uid: "uid-" + name},
			State:       state,
			CreatedAt:   at(created),
			Annotations: annotations,
		})
	})
}

// container adds a container, or replaces the one with that id, in a state with its status.
func (m *machine) container(id, sandbox string, created int, state runtimeapi.ContainerState, s *runtimeapi.ContainerStatus, pid string) {
	const image = "sha256:1111"
	r := &runtimeapi.Container{
		Id: id, PodSandboxId: sandbox, State: state, CreatedAt: at(created),
		Metadata:    &runtimeapi.ContainerMetadata{Name: "c", Attempt: 7},
		Labels:      map[string]string{},
		Image:       &runtimeapi.ImageSpec{Image: image, UserSpecifiedImage: "registry.test/app:1"},
		ImageRef:    image,
		Annotations: map[string]string{restartCountAnnotation: "3"},
	}
	s = cmp.Or(s, &runtimeapi.ContainerStatus{})
	s.Id, s.State, s.CreatedAt = id, state, at(created)
	s.Metadata = &runtimeapi.ContainerMetadata{Name: "c"}
	s.Image, s.ImageRef = &runtimeapi.ImageSpec{Image: "registry.test/alias:1"}, "registry.test/app@sha256:2222"
	m.set(func(m *machine) {
		for _, of := range m.sandboxes {
			if of.GetId() == sandbox {
				r.Labels = map[string]string{
					podNamespaceLabel: of.GetMetadata().GetNamespace(), podNameLabel: of.GetMetadata().GetName(), containerNameLabel: "c",
				}
			}
		}
		m.statuses[id] = &runtimeapi.ContainerStatusResponse{Status: s, Info: map[string]string{
			"info": `{"sandboxID":"x","pid":` + pid + `,"config":{"envs":[{"key":"TOKEN","value":"secret-environment"}]}}`,
		}}
		for i := range m.containers {
			if m.containers[i].GetId() == id {
				m.containers[i] = r
				return
			}
		}
		m.containers = append(m.containers, r)
	})
}

// event is one of a sandbox of a source, sent now.
func event(container, source string) *runtimeapi.ContainerEventResponse {
	return &runtimeapi.ContainerEventResponse{
		ContainerId:        container,
		ContainerEventType: runtimeapi.ContainerEventType_CONTAINER_STARTED_EVENT,
		CreatedAt:          time.Now().UnixNano(),
		PodSandboxStatus: &runtimeapi.PodSandboxStatus{
			Id:          "sandbox",
			Annotations: map[string]string{sourceAnnotation: source, "note": "secret-annotation"},
		},
	}
}

func await(t testing.TB, ch <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-ch:
	case <-time.After(20 * time.Second):
		t.Fatalf("no %s", what)
	}
}

func newClient(t testing.TB, o Options) *Client {
	t.Helper()
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// run runs the client until the end of the test.
func run(t testing.TB, c *Client) {
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := c.Run(ctx); err != nil {
			t.Errorf("run: %v", err)
		}
	})
	t.Cleanup(func() { cancel(); running.Wait() })
}
