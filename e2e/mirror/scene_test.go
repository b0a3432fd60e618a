package mirror

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/staticpod-exporter/staticpod-exporter/e2e/await"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/exporter"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/node"
)

// patience is for what the kubelet does when it looks at a pod again, which it does every 60 to 90 seconds, and for what
// is told only after it has not.
const patience = 5 * time.Minute

// start starts a node for the length of a test.
func start(t testing.TB, o node.Options) *node.Node {
	t.Helper()
	o.Progress = t.Output()
	n, err := node.Start(t.Context(), o)
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

// observe starts an exporter that looks at the node until the test ends.
func observe(t testing.TB, n *node.Node, flags ...string) *exporter.Exporter {
	t.Helper()
	e, err := exporter.New(exporter.Options{Binary: binary, StateDirectory: t.TempDir(), Flags: append(exporter.NodeFlags(n), flags...), Log: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Kill)
	if err := e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return e
}

// admin is a client of the node's API server that may do everything.
func admin(t testing.TB, n *node.Node) *kubernetes.Clientset {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", n.Cluster.AdminKubeconfig())
	if err != nil {
		t.Fatal(err)
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// pod is a definition whose one container does what testpod does with those arguments. name may be namespace/name.
func pod(name string, args ...string) string {
	namespace, bare, ok := strings.Cut(name, "/")
	if !ok {
		namespace, bare = "default", name
	}
	return fmt.Sprintf(`apiVersion: v1
kind: Pod
metadata: {name: %s, namespace: %s}
spec:
  hostNetwork: true
  terminationGracePeriodSeconds: 0
  containers:
  - {name: main, image: "staticpod.test/pod:1", args: ["%s"], resources: {limits: {cpu: 200m}, requests: {cpu: 0}}}
`, bare, namespace, strings.Join(args, `", "`))
}

// write puts a file into the kubelet's manifest directory as it should be done: never half written.
func write(t testing.TB, n *node.Node, name, content string) {
	t.Helper()
	hidden := filepath.Join(n.ManifestDirectory(), "."+name)
	if err := errors.Join(os.WriteFile(hidden, []byte(content), 0o644), os.Rename(hidden, filepath.Join(n.ManifestDirectory(), name))); err != nil {
		t.Fatal(err)
	}
}

// must fails the test with the error of an answer of the API server.
func must[T any](t testing.TB) func(T, error) T {
	return func(answer T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return answer
	}
}

func mirrorOf(t testing.TB, api *kubernetes.Clientset, namespace, name string) *corev1.Pod {
	t.Helper()
	return must[*corev1.Pod](t)(api.CoreV1().Pods(namespace).Get(t.Context(), name, metav1.GetOptions{}))
}

// An expectation of a status returns what is otherwise.
type expectation func(exporter.Status) error

// expect waits until the status with that ID is as expected, and returns it.
func expect(t testing.TB, e *exporter.Exporter, id string, all ...expectation) exporter.Status {
	t.Helper()
	var s exporter.Status
	began := time.Now()
	await.Within(t, patience, id, func(ctx context.Context) error {
		statuses, err := e.Statuses(ctx)
		if err != nil {
			return err
		}
		var ok bool
		if s, ok = statuses[id]; !ok {
			return errors.New("there is no such status")
		}
		var wrong []error
		for _, expected := range all {
			if err := expected(s); err != nil {
				wrong = append(wrong, err)
			}
		}
		if wrong == nil {
			return nil
		}
		spec, err := json.Marshal(s.Spec)
		return errors.Join(append(wrong, fmt.Errorf("in %s", spec), err)...)
	})
	t.Logf("%s: as expected after %s", id, time.Since(began).Round(10*time.Millisecond))
	return s
}

// ready is a pod that is ready and of which all is known but, perhaps, its mirror.
func ready(s exporter.Status) error {
	if !s.Spec.Ready || s.Spec.Stale {
		return fmt.Errorf("ready %t, stale %t: %s", s.Spec.Ready, s.Spec.Stale, s.Spec.Reason)
	}
	return nil
}

// sound has no problem.
func sound(s exporter.Status) error {
	if len(s.Spec.Problems) > 0 {
		return fmt.Errorf("there is a problem: %v", s.Spec.Problems)
	}
	return nil
}

// mirrored has the condition Mirrored with that status, and that reason.
func mirrored(status, reason string) expectation {
	return func(s exporter.Status) error {
		for _, c := range s.Spec.Conditions {
			if c.Type == "Mirrored" {
				if c.Status != status || c.Reason != reason {
					return fmt.Errorf("Mirrored is %s (%s: %s)", c.Status, c.Reason, c.Message)
				}
				return nil
			}
		}
		if status != "" {
			return errors.New("there is no condition Mirrored")
		}
		return nil
	}
}

// named has a problem of a reason.
func named(reason string) expectation {
	return func(s exporter.Status) error {
		if _, ok := s.Problem(reason); !ok {
			return fmt.Errorf("no problem %s: %v", reason, s.Spec.Problems)
		}
		return nil
	}
}

// problem has a problem of a reason, with that detail and these words in its message.
func problem(reason, detail string, words ...string) expectation {
	return func(s exporter.Status) error {
		p, ok := s.Problem(reason)
		if !ok || p.Detail != detail {
			return fmt.Errorf("no problem %s (%s): %v", reason, detail, s.Spec.Problems)
		}
		for _, w := range words {
			if !strings.Contains(p.Message, w) {
				return fmt.Errorf("%q is not in %q", w, p.Message)
			}
		}
		return nil
	}
}

// without has no problem of a reason.
func without(reason string) expectation {
	return func(s exporter.Status) error {
		if p, ok := s.Problem(reason); ok {
			return fmt.Errorf("there is %+v", p)
		}
		return nil
	}
}

// shows waits until a scrape has the series with that value.
func shows(t testing.TB, e *exporter.Exporter, want float64, family string, labels ...string) {
	t.Helper()
	await.Nil(t, family, func(ctx context.Context) error {
		m, err := e.Metrics(ctx)
		if err != nil {
			return err
		}
		if got, ok := m.Value(family, labels...); !ok || got != want {
			return fmt.Errorf("%v is %v (%t), not %v", labels, got, ok, want)
		}
		return nil
	})
}
