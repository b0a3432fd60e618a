package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	"sigs.k8s.io/yaml"
)

// A containerRuntime is a CRI server on a unix socket that says what a file tells it to.
type containerRuntime struct {
	runtimeapi.UnimplementedRuntimeServiceServer
	runtimeapi.UnimplementedImageServiceServer

	socket   string
	listener *net.UnixListener
	server   *grpc.Server
	served   chan struct{}
	dir      string // of the paths of logs
	told
}

// told is what the runtime is told to say.
type told struct {
	Images    map[string]string // tags by ID
	Sandboxes []struct {
		ID, Namespace, Name, UID, Source, Image, Ago string
		NotReady                                     bool
		PID                                          int
		Containers                                   []struct {
			ID, Name, Image, State, Log, Reason, Message, Ago string
			Restarts, ExitCode, PID                           int
		}
	}
}

type runtimeKey struct{}

// setUpRuntime names a socket for a script in $RUNTIME. There is nothing yet.
func setUpRuntime(env *testscript.Env) error {
	dir, err := os.MkdirTemp("", "cri") // short enough for a socket
	if err != nil {
		return err
	}
	r := &containerRuntime{socket: filepath.Join(dir, "s"), dir: env.WorkDir}
	env.Defer(func() { r.stop(); os.RemoveAll(dir) })
	env.Setenv("RUNTIME", "unix://"+r.socket)
	env.Values[runtimeKey{}] = r
	return nil
}

// newRuntime returns one that says what content tells it to, once it is started.
func newRuntime(t *testing.T, dir, content string) *containerRuntime {
	t.Helper()
	short, err := os.MkdirTemp("", "cri")
	if err != nil {
		t.Fatal(err)
	}
	r := &containerRuntime{socket: filepath.Join(short, "s"), dir: dir}
	t.Cleanup(func() { r.stop(); os.RemoveAll(short) })
	if err := yaml.UnmarshalStrict([]byte(content), &r.told); err != nil {
		t.Fatal(err)
	}
	return r
}

// runtimeCommand is "runtime start FILE", "runtime stop", and "runtime kill", which leaves the socket behind.
func runtimeCommand(ts *testscript.TestScript, neg bool, args []string) {
	r := ts.Value(runtimeKey{}).(*containerRuntime)
	if len(args) == 1 && args[0] == "kill" {
		r.listener.SetUnlinkOnClose(false)
	}
	r.stop()
	switch {
	case neg || len(args) == 0:
		ts.Fatalf("usage: runtime start FILE | stop | kill")
	case args[0] == "start" && len(args) == 2:
		r.told = told{}
		ts.Check(yaml.UnmarshalStrict([]byte(ts.ReadFile(args[1])), &r.told))
		ts.Check(r.start())
	}
}

func (r *containerRuntime) start() error {
	_ = os.Remove(r.socket) // that of one that was killed
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: r.socket, Net: "unix"})
	if err != nil {
		return err
	}
	r.listener = listener
	r.server, r.served = grpc.NewServer(), make(chan struct{})
	runtimeapi.RegisterRuntimeServiceServer(r.server, r)
	runtimeapi.RegisterImageServiceServer(r.server, r)
	go func() {
		defer close(r.served)
		r.server.Serve(listener)
	}()
	return nil
}

func (r *containerRuntime) stop() {
	if r.server != nil {
		r.server.Stop()
		<-r.served
		r.server = nil
	}
}

func (r *containerRuntime) Version(context.Context, *runtimeapi.VersionRequest) (*runtimeapi.VersionResponse, error) {
	return &runtimeapi.VersionResponse{Version: "0.1.0", RuntimeName: "containerd", RuntimeVersion: "v2.4.2", RuntimeApiVersion: "v1"}, nil
}

// ago is the time that long before now, in ns since the epoch.
func ago(text string) int64 {
	d, err := time.ParseDuration(text)
	if text != "" && err != nil {
		panic(err)
	}
	return time.Now().Add(-d).UnixNano()
}

func (r *containerRuntime) ListPodSandbox(context.Context, *runtimeapi.ListPodSandboxRequest) (*runtimeapi.ListPodSandboxResponse, error) {
	answer := &runtimeapi.ListPodSandboxResponse{}
	for _, s := range r.told.Sandboxes {
		state := runtimeapi.PodSandboxState_SANDBOX_READY
		if s.NotReady {
			state = runtimeapi.PodSandboxState_SANDBOX_NOTREADY
		}
		answer.Items = append(answer.Items, &runtimeapi.PodSandbox{
			Id: s.ID, State: state, CreatedAt: ago(s.Ago),
			Metadata:    &runtimeapi.PodSandboxMetadata{Namespace: s.Namespace, Name: s.Name, Uid: s.UID},
			Annotations: map[string]string{"kubernetes.io/config.source": s.Source},
		})
	}
	return answer, nil
}

func (r *containerRuntime) PodSandboxStatus(_ context.Context, q *runtimeapi.PodSandboxStatusRequest) (*runtimeapi.PodSandboxStatusResponse, error) {
	for _, s := range r.told.Sandboxes {
		if s.ID == q.GetPodSandboxId() {
			return &runtimeapi.PodSandboxStatusResponse{
				Status: &runtimeapi.PodSandboxStatus{Id: s.ID, CreatedAt: ago(s.Ago), Metadata: &runtimeapi.PodSandboxMetadata{Namespace: s.Namespace, Name: s.Name, Uid: s.UID}},
				Info:   map[string]string{"info": fmt.Sprintf(`{"pid":%d,"image":%q}`, s.PID, s.Image)},
			}, nil
		}
	}
	return nil, status.Error(codes.NotFound, "no such sandbox")
}

func (r *containerRuntime) ListContainers(_ context.Context, q *runtimeapi.ListContainersRequest) (*runtimeapi.ListContainersResponse, error) {
	answer := &runtimeapi.ListContainersResponse{}
	for _, s := range r.told.Sandboxes {
		for _, c := range s.Containers {
			labels := map[string]string{
				"io.kubernetes.pod.namespace": s.Namespace, "io.kubernetes.pod.name": s.Name, "io.kubernetes.container.name": c.Name,
			}
			wanted := maps.Clone(labels)
			maps.Copy(wanted, q.GetFilter().GetLabelSelector())
			if maps.Equal(wanted, labels) {
				answer.Containers = append(answer.Containers, &runtimeapi.Container{
					Id: c.ID, PodSandboxId: s.ID, State: state(c.State), CreatedAt: ago(c.Ago), ImageRef: c.Image,
					Metadata: &runtimeapi.ContainerMetadata{Name: c.Name}, Image: &runtimeapi.ImageSpec{Image: c.Image},
					Labels:      labels,
					Annotations: map[string]string{"io.kubernetes.container.restartCount": strconv.Itoa(c.Restarts)},
				})
			}
		}
	}
	return answer, nil
}

func state(name string) runtimeapi.ContainerState {
	return runtimeapi.ContainerState(runtimeapi.ContainerState_value["CONTAINER_"+name])
}

func (r *containerRuntime) ContainerStatus(_ context.Context, q *runtimeapi.ContainerStatusRequest) (*runtimeapi.ContainerStatusResponse, error) {
	for _, s := range r.told.Sandboxes {
		for _, c := range s.Containers {
			if c.ID != q.GetContainerId() {
				continue
			}
			answer := &runtimeapi.ContainerStatus{
				Id: c.ID, State: state(c.State), CreatedAt: ago(c.Ago), StartedAt: ago(c.Ago), ExitCode: int32(c.ExitCode), Reason: c.Reason, Message: c.Message,
				Metadata: &runtimeapi.ContainerMetadata{Name: c.Name}, Image: &runtimeapi.ImageSpec{Image: cmp.Or(c.Image, "sha256:0")}, ImageRef: cmp.Or(c.Image, "sha256:0"),
			}
			if c.Log != "" {
				answer.LogPath = filepath.Join(r.dir, c.Log)
			}
			if c.State == "EXITED" {
				answer.FinishedAt = ago("1s")
			}
			return &runtimeapi.ContainerStatusResponse{Status: answer, Info: map[string]string{"info": fmt.Sprintf(`{"pid":%d}`, c.PID)}}, nil
		}
	}
	return nil, status.Error(codes.NotFound, "no such container")
}

func (r *containerRuntime) ListImages(context.Context, *runtimeapi.ListImagesRequest) (*runtimeapi.ListImagesResponse, error) {
	answer := &runtimeapi.ListImagesResponse{}
	for id, tag := range r.told.Images {
		answer.Images = append(answer.Images, &runtimeapi.Image{Id: id, RepoTags: []string{tag, "another.test/tag:1"}})
	}
	return answer, nil
}
