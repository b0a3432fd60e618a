package page

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/staticpod-exporter/staticpod-exporter/e2e/await"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/exporter"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/node"
)

// secrets are in the definitions, and must be on no page.
var secrets = []string{"hunter2-in-the-environment", "hunter2-in-the-arguments", "hunter2-in-the-probe"}

// The definitions that are there from the start. hello and lines are sound, odd has a warning, crash exits again and
// again, and refused is invalid.
var definitions = map[string]string{
	"hello.yaml": `apiVersion: v1
kind: Pod
metadata:
  name: hello
spec:
  hostNetwork: true
  terminationGracePeriodSeconds: 1
  containers:
    - name: web
      image: staticpod.test/pod:1
      args: [serve, "127.0.0.1:%[1]d"]
      env:
        - {name: PASSWORD, value: hunter2-in-the-environment}
      readinessProbe:
        httpGet: {host: 127.0.0.1, port: %[1]d, path: /ready, httpHeaders: [{name: Authorization, value: hunter2-in-the-probe}]}
        periodSeconds: 1
`,
	"lines.yaml": `apiVersion: v1
kind: Pod
metadata:
  name: lines
  namespace: kube-system
spec:
  hostNetwork: true
  terminationGracePeriodSeconds: 0
  initContainers:
    - {name: prepare, image: "staticpod.test/pod:1", args: [exit, "0", 400ms]}
  containers:
    - {name: lines, image: "staticpod.test/pod:1", args: [lines, "1000000", 1s]}
    - {name: sidecar, image: "staticpod.test/pod:1", args: [pause]}
`,
	"odd.yaml": `apiVersion: v1
kind: Pod
metadata:
  name: odd
spec:
  hostNetwork: true
  terminationGracePeriodSecond: 0
  terminationGracePeriodSeconds: 0
  containers:
    - {name: main, image: "staticpod.test/pod:1", args: [pause]}
`,
	"crash.yaml": `apiVersion: v1
kind: Pod
metadata:
  name: crash
spec:
  hostNetwork: true
  terminationGracePeriodSeconds: 0
  containers:
    - {name: main, image: "staticpod.test/pod:1", args: [exit, "7"], env: [{name: TOKEN, value: hunter2-in-the-environment}]}
`,
	"refused.yaml": `apiVersion: v1
kind: Pod
metadata:
  name: refused
spec:
  hostNetwork: true
  contaners:
    - name: main
      image: staticpod.test/pod:1
      args: [sleep, 1h, hunter2-in-the-arguments]
`,
}

// A stage is a node with an exporter that serves the definitions, and a browser.
type stage struct {
	*exporter.Exporter
	node    *node.Node
	browser *browser
	files   string // the directory of definitions
}

func newStage(t *testing.T) *stage {
	t.Helper()
	if err := node.Check(); err != nil {
		t.Fatal(err)
	}
	b := newBrowser(t)
	dir := t.TempDir()
	s := &stage{browser: b, files: filepath.Join(dir, "pods.d")}
	if *screenshots != "" {
		s.files = "/tmp/pods.d" // is to be read in the pictures
	}
	if err := os.Mkdir(s.files, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(s.files) })
	serves, err := exporter.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	var port int
	if _, err := fmt.Sscanf(serves, "127.0.0.1:%d", &port); err != nil {
		t.Fatal(err)
	}
	for name, content := range definitions {
		if name == "hello.yaml" {
			content = fmt.Sprintf(content, port)
		}
		s.write(t, name, content)
	}
	binary, err := exporter.Build(t.Context(), dir, false)
	if err != nil {
		t.Fatal(err)
	}
	address, err := exporter.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	if s.node, err = node.Start(t.Context(), node.Options{Progress: t.Output(), ManifestURL: "http://" + address + "/pods"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(s.node.LogTail())
		}
		if err := s.node.Close(); err != nil {
			t.Error(err)
		}
	})
	s.Exporter, err = exporter.New(exporter.Options{
		Binary: binary, Manifest: address, StateDirectory: filepath.Join(dir, "state"),
		Flags: append(exporter.NodeFlags(s.node), "--manifest.files="+s.files+"/*.yaml"),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Kill)
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	// Its first back-off takes the kubelet ten seconds, in which the others are long ready.
	s.until(t, "crash", "CrashLoopBackOff")
	for _, name := range []string{"hello", "lines"} {
		s.until(t, name, "")
	}
	return s
}

// id is the ID of the status of a pod.
func (s *stage) id(name string) string {
	if name == "lines" {
		return "kube-system/lines-" + s.node.Name()
	}
	return "default/" + name + "-" + s.node.Name()
}

// until waits for the headline of a pod; "" is one that is ready.
func (s *stage) until(t *testing.T, name, reason string) exporter.Status {
	t.Helper()
	var status exporter.Status
	await.Nil(t, name, func(ctx context.Context) error {
		all, err := s.Statuses(ctx)
		if err != nil {
			return err
		}
		status = all[s.id(name)]
		if status.Spec.Reason != reason || reason == "" && !status.Spec.Ready {
			return fmt.Errorf("ready is %t, the reason %q", status.Spec.Ready, status.Spec.Reason)
		}
		return nil
	})
	return status
}

// write puts a definition into its place as it should be done: never half written.
func (s *stage) write(t *testing.T, name, content string) {
	t.Helper()
	hidden := filepath.Join(s.files, "."+name)
	if err := os.WriteFile(hidden, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(hidden, filepath.Join(s.files, name)); err != nil {
		t.Fatal(err)
	}
}
