package cri

import (
	"fmt"
	"strings"
	"testing"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// crowd gives m 110 static pods of one running container each, with statuses as large as containerd's.
func crowd(m *machine) {
	for i := range 110 {
		sandbox, container := fmt.Sprint("s", i), fmt.Sprint("c", i)
		m.sandbox(sandbox, "kube-system", fmt.Sprintf("pod-%03d-node1", i), "http", i, ready)
		m.container(container, sandbox, i, running, &runtimeapi.ContainerStatus{StartedAt: at(i)}, "4711")
		info := m.statuses[container].Info
		info["info"] = strings.TrimSuffix(info["info"], "}") + `,"runtimeSpec":"` + strings.Repeat("x", 16<<10) + `"}`
	}
}

// BenchmarkView holds an idle View of a full node against the two lists it is made of, and against the first.
// The server runs in the same process and is part of every number.
func BenchmarkView(b *testing.B) {
	m, path := newMachine(), socket(b)
	crowd(m)
	m.start(b, path)
	c := newClient(b, Options{Endpoint: "unix://" + path})
	view := func(b *testing.B) {
		if _, err := c.View(b.Context(), false); err != nil {
			b.Fatal(err)
		}
	}
	view(b)
	b.Run("lists", func(b *testing.B) {
		ctx := c.quietly(b.Context())
		b.ReportAllocs()
		for b.Loop() {
			if _, err := c.session.ListPodSandbox(ctx, nil); err != nil {
				b.Fatal(err)
			}
			if _, err := c.session.ListContainers(ctx, nil); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("idle", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			view(b)
		}
	})
	b.Run("first", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			c.details = nil
			view(b)
		}
	})
}
