package cri

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

const (
	ready    = runtimeapi.PodSandboxState_SANDBOX_READY
	notReady = runtimeapi.PodSandboxState_SANDBOX_NOTREADY
	created  = runtimeapi.ContainerState_CONTAINER_CREATED
	running  = runtimeapi.ContainerState_CONTAINER_RUNNING
	exited   = runtimeapi.ContainerState_CONTAINER_EXITED
	unknown  = runtimeapi.ContainerState_CONTAINER_UNKNOWN
)

// populate gives m two static pods, one of them with an old sandbox, and two pods that are none.
func populate(m *machine) {
	m.sandbox("s2", "kube-system", "web-node1", "http", 20, ready)
	m.sandbox("s1", "kube-system", "web-node1", "http", 10, notReady)
	m.sandbox("s3", "default", "dns-node1", "file", 5, ready)
	m.sandbox("api", "default", "api", "api", 1, ready)
	m.sandbox("hand", "default", "by-hand", "", 1, ready)
	m.container("c3", "s2", 40, running, &runtimeapi.ContainerStatus{StartedAt: at(41), LogPath: "/log/3"}, "4711")
	m.container("c1", "s2", 21, exited, &runtimeapi.ContainerStatus{
		StartedAt: at(22), FinishedAt: at(23), ExitCode: 7, Reason: "Error", Message: "x", LogPath: "/log/1"}, "0")
	m.container("c2", "s2", 30, created, nil, "0")
	m.container("c4", "s3", 6, unknown, nil, "0")
	m.container("other", "api", 2, running, nil, "1")
}

func TestView(t *testing.T) {
	for _, unary := range []bool{false, true} {
		name := map[bool]string{false: "streamed", true: "unary"}[unary]
		t.Run(name, func(t *testing.T) {
			m, path := newMachine(), socket(t)
			m.unary = unary
			populate(m)
			m.start(t, path)
			c := newClient(t, Options{Endpoint: "unix://" + path})
			before := time.Now()
			v, err := c.View(t.Context(), true)
			if err != nil {
				t.Fatal(err)
			}
			if v.At.Before(before) || v.At.After(time.Now()) {
				t.Errorf("at %v", v.At)
			}
			app := Container{Name: "c", Image: "registry.test/app:1", ImageID: "registry.test/app@sha256:2222", RestartCount: 3}
			c1, c2, c3, c4 := app, app, app, app
			c1.ID, c1.State, c1.Created, c1.Started, c1.Finished = "c1", Exited, epoch.Add(21*time.Second), epoch.Add(22*time.Second), epoch.Add(23*time.Second)
			c1.ExitCode, c1.Reason, c1.Message, c1.LogPath = 7, "Error", "x", "/log/1"
			c2.ID, c2.State, c2.Created, c2.ImageID = "c2", Created, epoch.Add(30*time.Second), "sha256:1111"
			c3.ID, c3.State, c3.Created, c3.Started, c3.PID, c3.LogPath = "c3", Running, epoch.Add(40*time.Second), epoch.Add(41*time.Second), 4711, "/log/3"
			c4.ID, c4.State, c4.Created, c4.ImageID = "c4", Unknown, epoch.Add(6*time.Second), "sha256:1111"
			want := &View{Runtime: "containerd", Version: "2.4.2", Sandboxes: []Sandbox{
				{ID: "s3", Namespace: "default", Name: "dns-node1", UID: "uid-dns-node1", Source: "file", Ready: true,
					Created: epoch.Add(5 * time.Second), Containers: []Container{c4}},
				{ID: "s1", Namespace: "kube-system", Name: "web-node1", UID: "uid-web-node1", Source: "http",
					Created: epoch.Add(10 * time.Second)},
				{ID: "s2", Namespace: "kube-system", Name: "web-node1", UID: "uid-web-node1", Source: "http", Ready: true,
					Created: epoch.Add(20 * time.Second), Containers: []Container{c1, c2, c3}},
			}}
			if diff := gocmp.Diff(want, v, cmpopts.IgnoreFields(View{}, "At")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A status is asked for when a container is in another state than before, and at no other time.
func TestViewAsksOnlyForWhatChanged(t *testing.T) {
	m, path := newMachine(), socket(t)
	populate(m)
	m.start(t, path)
	c := newClient(t, Options{Endpoint: "unix://" + path})
	recent := func(seconds int) int64 { return time.Now().Add(time.Duration(seconds) * time.Second).UnixNano() }
	steps := []struct {
		name   string
		change func()
		asked  int
		want   Container // of c3
	}{
		{"first", func() {}, 2, Container{State: Running, PID: 4711}},
		{"idle", func() {}, 0, Container{State: Running, PID: 4711}},
		{"killed, its reason not settled", func() {
			m.container("c3", "s2", 40, exited, &runtimeapi.ContainerStatus{StartedAt: at(41), FinishedAt: recent(0), ExitCode: 137, Reason: "Error"}, "0")
		}, 1, Container{State: Exited, ExitCode: 137, Reason: "Error"}},
		{"the reason comes later", func() {
			m.container("c3", "s2", 40, exited, &runtimeapi.ContainerStatus{StartedAt: at(41), FinishedAt: recent(0), ExitCode: 137, Reason: "OOMKilled"}, "0")
		}, 1, Container{State: Exited, ExitCode: 137, Reason: "OOMKilled"}},
		{"settled", func() {}, 0, Container{State: Exited, ExitCode: 137, Reason: "OOMKilled"}},
		{"removed", func() { m.set(func(m *machine) { m.containers = nil }) }, 0, Container{}},
		{"another, killed long ago", func() {
			m.container("c3", "s2", 41, exited, &runtimeapi.ContainerStatus{FinishedAt: recent(-11), ExitCode: 137, Reason: "Error"}, "0")
		}, 1, Container{State: Exited, ExitCode: 137, Reason: "Error"}},
		{"whose reason is final", func() {}, 0, Container{State: Exited, ExitCode: 137, Reason: "Error"}},
		{"its status cannot be had", func() {
			m.container("c3", "s2", 41, running, nil, "1")
			m.set(func(m *machine) { m.failures["c3"] = status.Error(codes.Internal, "odd") })
		}, 1, Container{State: Running}},
		{"asked again", func() { m.set(func(m *machine) { delete(m.failures, "c3") }) }, 1, Container{State: Running, PID: 1}},
		{"listed as running when it had just ended", func() {
			m.container("c3", "s2", 42, exited, &runtimeapi.ContainerStatus{FinishedAt: at(43), ExitCode: 1, Reason: "Error"}, "0")
			m.set(func(m *machine) { m.containers[0].State = running })
			c.Close()
			c.details = nil
		}, 1, Container{State: Exited, ExitCode: 1, Reason: "Error"}},
	}
	for _, s := range steps {
		s.change()
		before := m.asked("ContainerStatus")
		v, err := c.View(t.Context(), false)
		if err != nil {
			t.Fatalf("%s: %v", s.name, err)
		}
		var got Container
		for _, sandbox := range v.Sandboxes {
			for _, container := range sandbox.Containers {
				if container.ID == "c3" {
					got = container
				}
			}
		}
		got = Container{State: got.State, PID: got.PID, ExitCode: got.ExitCode, Reason: got.Reason}
		if diff := gocmp.Diff(s.want, got); diff != "" {
			t.Errorf("%s: %s", s.name, diff)
		}
		if n := m.asked("ContainerStatus") - before; n != s.asked {
			t.Errorf("%s: asked for %d statuses, want %d", s.name, n, s.asked)
		}
	}
}

func TestViewLeavesOutAContainerThatIsGone(t *testing.T) {
	m, path := newMachine(), socket(t)
	populate(m)
	m.set(func(m *machine) { delete(m.statuses, "c3") })
	m.start(t, path)
	c := newClient(t, Options{Endpoint: "unix://" + path})
	v, err := c.View(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, container := range v.Sandboxes[2].Containers {
		ids = append(ids, container.ID)
	}
	if got := strings.Join(ids, " "); got != "c1 c2" {
		t.Errorf("containers %s", got)
	}
}

func TestVersionIsReadAgainAtAResync(t *testing.T) {
	m, path := newMachine(), socket(t)
	m.start(t, path)
	c := newClient(t, Options{Endpoint: "unix://" + path})
	for i, step := range []struct {
		resync        bool
		runtime, want string
	}{{false, "v2.4.2", "2.4.2"}, {false, "2.5.0", "2.4.2"}, {true, "2.5.0", "2.5.0"}} {
		m.set(func(m *machine) { m.version = step.runtime })
		v, err := c.View(t.Context(), step.resync)
		if err != nil {
			t.Fatal(err)
		}
		if v.Version != step.want {
			t.Errorf("step %d: version %s, want %s", i, v.Version, step.want)
		}
	}
}

// Every method that does not answer ends a View at its deadline, and the View after it is whole again.
func TestViewOfARuntimeThatHangs(t *testing.T) {
	for _, method := range []string{"Version", "StreamPodSandboxes", "StreamContainers", "ContainerStatus"} {
		t.Run(method, func(t *testing.T) {
			m, path := newMachine(), socket(t)
			populate(m)
			m.hang = method
			m.start(t, path)
			c := newClient(t, Options{Endpoint: "unix://" + path, Timeout: 50 * time.Millisecond})
			v, err := c.View(t.Context(), false)
			if status.Code(err) != codes.DeadlineExceeded || !errors.Is(err, context.DeadlineExceeded) || v != nil {
				t.Errorf("view %v, error %v, want the deadline", v, err)
			}
			m.set(func(m *machine) { m.hang = "" })
			c.timeout = defaultTimeout
			if _, err := c.View(t.Context(), false); err != nil {
				t.Errorf("after it: %v", err)
			}
		})
	}
}

func TestViewEndsWithItsContext(t *testing.T) {
	m, path := newMachine(), socket(t)
	m.hang = "StreamPodSandboxes"
	m.start(t, path)
	c := newClient(t, Options{Endpoint: "unix://" + path, Timeout: time.Hour})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if v, err := c.View(ctx, false); err == nil {
		t.Errorf("view %v", v)
	}
}

func FuzzPID(f *testing.F) {
	for _, seed := range []string{`{"pid":4711}`, `{"pid":-1}`, `{"pid":"4711"}`, `{"pid":1e99}`, `{}`, ``, `null`, `[`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, info string) {
		if n := pid(map[string]string{"info": info}); n < 0 {
			t.Errorf("pid %d", n)
		}
	})
}

func TestPID(t *testing.T) {
	for info, want := range map[string]int{`{"pid":4711}`: 4711, `{"pid":-1}`: 0, `{"pid":"4711"}`: 0, ``: 0, `{"other":1}`: 0} {
		if got := pid(map[string]string{"info": info}); got != want {
			t.Errorf("%s: %d, want %d", info, got, want)
		}
	}
	if got := pid(nil); got != 0 {
		t.Errorf("without: %d", got)
	}
}

func TestTruncate(t *testing.T) {
	for _, tc := range []struct {
		in   string
		n    int
		want string
	}{{"abc", 3, "abc"}, {"abcd", 3, "abc"}, {"ab\u00e9", 3, "ab"}, {"\u20ac", 2, ""}, {"", 0, ""}} {
		if got := truncate(tc.in, tc.n); got != tc.want {
			t.Errorf("%q to %d: %q, want %q", tc.in, tc.n, got, tc.want)
		}
	}
}

func TestNanos(t *testing.T) {
	for _, never := range []int64{0, -1, time.Time{}.UnixNano()} {
		if got := nanos(never); !got.IsZero() {
			t.Errorf("%d: %v", never, got)
		}
	}
	if got := nanos(at(1)); !got.Equal(epoch.Add(time.Second)) {
		t.Errorf("%v", got)
	}
}
