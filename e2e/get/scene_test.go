package get

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/staticpod-exporter/staticpod-exporter/e2e/await"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/exporter"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/node"
)

// start starts a node of that name, with an exporter that observes it, until the test ends.
func start(t *testing.T, name string) (*node.Node, *exporter.Exporter) {
	t.Helper()
	n, err := node.Start(t.Context(), node.Options{Name: name, Progress: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(n.LogTail())
		}
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	e, err := exporter.New(exporter.Options{Binary: binary, StateDirectory: t.TempDir(), Flags: exporter.NodeFlags(n), Log: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Kill)
	if err := e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return n, e
}

// pod is a definition whose one container does what testpod does with those arguments.
func pod(name string, args ...string) string {
	return fmt.Sprintf(`apiVersion: v1
kind: Pod
metadata: {name: %s}
spec:
  hostNetwork: true
  terminationGracePeriodSeconds: 0
  containers:
  - {name: main, image: "staticpod.test/pod:1", args: ["%s"]}
`, name, strings.Join(args, `", "`))
}

// write puts a file into the kubelet's manifest directory as it should be done: never half written.
func write(t *testing.T, n *node.Node, name, content string) {
	t.Helper()
	hidden := filepath.Join(n.ManifestDirectory(), "."+name)
	if err := os.WriteFile(hidden, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(hidden, filepath.Join(n.ManifestDirectory(), name)); err != nil {
		t.Fatal(err)
	}
}

// said is what a run of the exporter's program printed, and how it ended.
type said struct {
	stdout, stderr string
	code           int
}

// staticpods runs a command of the exporter's program to its end.
func staticpods(ctx context.Context, args ...string) (said, error) {
	cmd := exec.CommandContext(ctx, binary, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	code := 0
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		code, err = exit.ExitCode(), nil
	}
	return said{stdout.String(), stderr.String(), code}, err
}

// settled waits until a status is ready, or has that reason.
func settled(t *testing.T, e *exporter.Exporter, id, reason string) {
	t.Helper()
	await.Nil(t, id, func(ctx context.Context) error {
		statuses, err := e.Statuses(ctx)
		if err != nil {
			return err
		}
		s, ok := statuses[id]
		if !ok {
			return errors.New("there is no such status")
		}
		if s.Spec.Reason != reason || reason == "" && !s.Spec.Ready {
			return fmt.Errorf("ready is %v and the reason %q", s.Spec.Ready, s.Spec.Reason)
		}
		return nil
	})
}
