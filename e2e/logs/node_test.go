package logs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/staticpod-exporter/staticpod-exporter/e2e/await"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/exporter"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/logshape"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/node"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/replay"
)

const (
	broken = `{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "broken"}, "spec": {"containers": []}}`
	// It never starts, and only the log knows why.
	unmountable = `apiVersion: v1
kind: Pod
metadata: {name: unmountable}
spec:
  hostNetwork: true
  terminationGracePeriodSeconds: 0
  volumes: [{name: data, hostPath: {path: /nowhere/at/all, type: Directory}}]
  containers:
  - {name: main, image: "staticpod.test/pod:1", args: ["serve"], volumeMounts: [{name: data, mountPath: /data}]}
`
)

// start starts a node whose kubelet says much.
func start(t *testing.T, format string) *node.Node {
	t.Helper()
	n, err := node.Start(t.Context(), node.Options{LogFormat: format, LogVerbosity: new(uint32(4)), Progress: t.Output()})
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
	return n
}

// put writes a manifest as it should be done: never half written.
func put(t *testing.T, n *node.Node, name, content string) {
	t.Helper()
	hidden := filepath.Join(n.ManifestDirectory(), "."+name)
	if err := os.WriteFile(hidden, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(hidden, filepath.Join(n.ManifestDirectory(), name)); err != nil {
		t.Fatal(err)
	}
}

// relay hands every line of the kubelet's log, from its first on, to each, until the test ends.
func relay(t *testing.T, n *node.Node, each func(line []byte) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := logshape.Follow(ctx, n.KubeletLog().Path(), each); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { cancel(); running.Wait() })
}

// observe starts an exporter that sees the node, has its log from source, and does not look into the kubelet's
// directory: of a refused file it knows by the log alone.
func observe(t *testing.T, n *node.Node, program, source string) *exporter.Exporter {
	t.Helper()
	e, err := exporter.New(exporter.Options{Binary: program, StateDirectory: t.TempDir(), Log: t.Output(),
		Flags: append(exporter.NodeFlags(n), "--kubelet.manifest-directory=", "--kubelet.log="+source)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Kill)
	if err := e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return e
}

// A real kubelet's log, over every transport at once: each ends in the right problem on /metrics, and goes away when
// it is mended.
func TestARealKubeletsLogInEveryShape(t *testing.T) {
	for _, format := range []string{"json", "text"} {
		t.Run(format, func(t *testing.T) { everyShape(t, start(t, format)) })
	}
}

func everyShape(t *testing.T, n *node.Node) {
	watching := map[string]*exporter.Exporter{"file": observe(t, n, binary, "file://"+n.KubeletLog().Path())}
	for _, network := range []string{"tcp", "udp"} {
		address, err := exporter.FreeAddress()
		if err != nil {
			t.Fatal(err)
		}
		e := observe(t, n, binary, network+"://"+address)
		if err := replay.Listening(t.Context(), e); err != nil {
			t.Fatal(err)
		}
		sender, err := logshape.Dial(t.Context(), network, address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { sender.Close() })
		relay(t, n, func(line []byte) error { return sender.Send(logshape.Talos(line)) })
		watching[network] = e
	}

	dir := t.TempDir()
	j, err := logshape.OpenJournal(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	relay(t, n, func(line []byte) error { return j.Write(unit, line) })
	watching["journal"] = observe(t, n, binary, "journald:"+unit+"?directory="+dir)

	container, err := os.Create(filepath.Join(t.TempDir(), "kubelet.log"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { container.Close() })
	relay(t, n, func(line []byte) error { _, err := container.Write(logshape.Container(line, 16<<10)); return err })
	watching["container"] = observe(t, n, binary, "file://"+container.Name())

	piped, err := replay.PipedFrom(t.TempDir(), binary, n.KubeletLog().Path())
	if err != nil {
		t.Fatal(err)
	}
	watching["standard input"] = observe(t, n, piped, "stdin")

	put(t, n, "broken.yaml", broken)
	put(t, n, "unmountable.yaml", unmountable)
	refused := "file:" + filepath.Join(n.ManifestDirectory(), "broken.yaml")
	for name, e := range watching {
		await.Nil(t, name, func(ctx context.Context) error {
			statuses, err := e.Statuses(ctx)
			if err != nil {
				return err
			}
			if s := statuses[refused]; s.Spec.Reason != "ManifestRejected" || !strings.Contains(s.Spec.Message, "spec.containers: Required value") {
				return fmt.Errorf("the refused file: %+v", s.Spec)
			}
			if s := statuses["default/unmountable-"+n.Name()]; s.Spec.Reason != "VolumeMountFailed" || !strings.Contains(s.Spec.Message, "/nowhere/at/all is not a directory") {
				return fmt.Errorf("the pod: %+v", s.Spec)
			}
			m, err := e.Metrics(ctx)
			if err != nil {
				return err
			}
			_, shown := m.Value("staticpod_problem_start_timestamp_seconds", "reason", "ManifestRejected")
			met, _ := m.Value("staticpod_problems_total", "reason", "ManifestRejected")
			gaps, _ := m.Value("staticpod_kubelet_log_gaps_total")
			noise, _ := m.Value("staticpod_kubelet_log_noise_total", "kind", "mirror_pod")
			if !shown || met != 1 || gaps != 0 || noise == 0 {
				return fmt.Errorf("shown: %t, met %v times, %v gaps, %v lines of noise", shown, met, gaps, noise)
			}
			return nil
		})
	}
	for _, name := range []string{"broken.yaml", "unmountable.yaml"} {
		if err := os.Remove(filepath.Join(n.ManifestDirectory(), name)); err != nil {
			t.Fatal(err)
		}
	}
	for name, e := range watching {
		await.Nil(t, name, func(ctx context.Context) error {
			statuses, err := e.Statuses(ctx)
			if _, ok := statuses[refused]; ok && err == nil {
				err = errors.New("the refusal is still there")
			}
			return err
		})
	}
}

// What a kubelet has logged says the same in every shape in which it may be read again.
func TestARecordedLogSaysTheSameInEveryShape(t *testing.T) {
	n := start(t, "json")
	put(t, n, "broken.yaml", broken)
	put(t, n, "unmountable.yaml", unmountable)
	put(t, n, "list.yaml", `{"apiVersion": "v1", "kind": "PodList", "items": []}`)
	put(t, n, "long.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {name: "+strings.Repeat("x", 1000)+"}\nspec: {}\n")
	if err := os.Mkdir(filepath.Join(n.ManifestDirectory(), "directory"), 0o755); err != nil {
		t.Fatal(err)
	}
	await.Nil(t, "the kubelet's words", func(context.Context) error {
		log, err := os.ReadFile(n.KubeletLog().Path())
		if err != nil {
			return err
		}
		for _, words := range []string{"broken.yaml", "list.yaml", "long.yaml", "not recursing", "/nowhere/at/all is not a directory"} {
			if !strings.Contains(string(log), words) {
				return fmt.Errorf("there is nothing of %s", words)
			}
		}
		return nil
	})
	n.Kubelet.Stop(t.Context())
	replay.Same(t, binary, n.KubeletLog().Path())
}

// The log of a run in which pods failed in every way there is, thinned to one or two lines of each kind.
func TestEveryFailureSaysTheSameInEveryShape(t *testing.T) {
	path, err := filepath.Abs("../../collector/kubeletlog/testdata/matrix.log")
	if err != nil {
		t.Fatal(err)
	}
	replay.Same(t, binary, path)
}
