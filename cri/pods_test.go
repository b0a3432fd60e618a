package cri

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

func TestSandboxes(t *testing.T) {
	m, path := newMachine(), socket(t)
	populate(m)
	m.start(t, path)
	c := newClient(t, Options{Endpoint: "unix://" + path})
	for all, want := range map[bool][]string{
		false: {"s3 c4", "s1", "s2 c1 c2 c3"},
		true:  {"api other", "hand", "s3 c4", "s1", "s2 c1 c2 c3"},
	} {
		sandboxes, err := c.Sandboxes(t.Context(), all)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, s := range sandboxes {
			row := s.ID
			for _, container := range s.Containers {
				row += " " + container.ID
			}
			got = append(got, row)
		}
		if !slices.Equal(got, want) {
			t.Errorf("all %v: %q, want %q", all, got, want)
		}
	}
}

func TestPods(t *testing.T) {
	m, path := newMachine(), socket(t)
	populate(m)
	m.images = []*runtimeapi.Image{
		{Id: "sha256:0000", RepoTags: nil, RepoDigests: []string{"registry.test/x@sha256:3333"}},
		{Id: "sha256:1111", RepoTags: []string{"registry.test/first:1", "registry.test/second:1"}},
		{Id: "sha256:pause", RepoTags: []string{"registry.test/pause:3"}},
	}
	m.start(t, path)
	c := newClient(t, Options{Endpoint: "unix://" + path})
	pods, err := c.Pods(t.Context(), false)
	if err != nil || len(pods) != 3 {
		t.Fatalf("%d pods, %v", len(pods), err)
	}
	p := pods[2]
	if p.ID != "s2" || p.PID != len("s2") || p.Image != "registry.test/pause:3" || p.Containers[2].Image != "registry.test/first:1" || p.Containers[2].PID != 4711 {
		t.Errorf("%+v", p)
	}

	// An image without a tag is its ID.
	m.set(func(m *machine) { m.images = m.images[:1] })
	if pods, err = c.Pods(t.Context(), false); err != nil || pods[2].Image != "sha256:pause" || pods[2].Containers[2].Image != "sha256:1111" {
		t.Errorf("%+v, %v", pods, err)
	}
	// A sandbox that went since it was listed is not there; one whose status cannot be had has no process.
	m.set(func(m *machine) {
		m.failures["s3"] = status.Error(codes.NotFound, "gone")
		m.failures["s1"] = status.Error(codes.Internal, "broken")
	})
	pods, err = c.Pods(t.Context(), false)
	if err != nil || len(pods) != 2 || pods[0].ID != "s1" || pods[0].PID != 0 || pods[0].Image != "" {
		t.Errorf("%+v, %v", pods, err)
	}
	// A runtime that stops answering is an error, and is asked anew when it is back.
	m.stop()
	if pods, err := c.Pods(t.Context(), false); err == nil || pods != nil {
		t.Errorf("%+v", pods)
	}
	m.set(func(m *machine) { m.images, m.failures = nil, nil })
	m.start(t, path)
	if pods, err = c.Pods(t.Context(), true); err != nil || len(pods) != 5 {
		t.Fatalf("%d pods, %v", len(pods), err)
	}
	if got := pods[4].Containers[2].Image; got != "registry.test/app:1" {
		t.Errorf("without an image service the image is %s", got)
	}
}

// A runtime that accepts and does not answer is told from one that refuses.
func TestTimeout(t *testing.T) {
	for _, method := range []string{"Version", "StreamPodSandboxes"} {
		m, path := newMachine(), socket(t)
		m.hang = method
		m.start(t, path)
		c := newClient(t, Options{Endpoint: "unix://" + path, Timeout: 20 * time.Millisecond})
		if _, err := c.Sandboxes(t.Context(), true); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v", method, err)
		}
	}
}

func TestAttempts(t *testing.T) {
	m, path := newMachine(), socket(t)
	populate(m)
	m.sandbox("again", "kube-system", "web-node1", "http", 50, ready)
	m.container("c5", "again", 51, running, &runtimeapi.ContainerStatus{StartedAt: at(52), LogPath: "/log/5"}, "5")
	m.start(t, path)
	c := newClient(t, Options{Endpoint: "unix://" + path})
	attempts, err := c.Attempts(t.Context(), "kube-system", "web-node1", "c")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, a := range attempts {
		got = append(got, a.ID+" "+string(a.State)+" "+a.LogPath)
	}
	if want := []string{"c1 exited /log/1", "c2 created ", "c3 running /log/3", "c5 running /log/5"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if !attempts[0].Finished.Equal(epoch.Add(23 * time.Second)) {
		t.Errorf("finished at %s", attempts[0].Finished)
	}
	for _, other := range [][3]string{{"default", "web-node1", "c"}, {"kube-system", "web", "c"}, {"kube-system", "web-node1", "d"}} {
		if attempts, err := c.Attempts(t.Context(), other[0], other[1], other[2]); err != nil || len(attempts) != 0 {
			t.Errorf("%v: %v, %v", other, attempts, err)
		}
	}
}
