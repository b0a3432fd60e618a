package node_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/staticpod-exporter/staticpod-exporter/e2e/await"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/node"
)

// crashVariable makes this program start a node and wait, for a test to kill it.
const crashVariable = "STATICPOD_NODE_TEST_CRASH"

func TestMain(m *testing.M) {
	if os.Getenv(crashVariable) == "" {
		os.Exit(m.Run())
	}
	n, err := node.Start(context.Background(), node.Options{})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	err = os.WriteFile(filepath.Join(n.ManifestDirectory(), "pod.yaml"), []byte(pod("left", "sleep", "1h")), 0o644)
	fmt.Println(n.Directory(), n.Cgroup(), err)
	io.Copy(io.Discard, os.Stdin) // until we are killed
}

// pod is a definition, as YAML.
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

// list is a PodList of definitions, as the kubelet's staticPodURL answers it.
func list(pods ...string) string {
	var b strings.Builder
	b.WriteString("apiVersion: v1\nkind: PodList\nitems:\n")
	for _, p := range pods {
		b.WriteString("- " + strings.ReplaceAll(strings.TrimSpace(p), "\n", "\n  ") + "\n")
	}
	return b.String()
}

func start(t *testing.T, o node.Options) *node.Node {
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

func write(t *testing.T, n *node.Node, name, content string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(n.ManifestDirectory(), name), []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// ready waits until exactly those pods are there and Ready.
func ready(t *testing.T, n *node.Node, names ...string) {
	t.Helper()
	await.Nil(t, fmt.Sprint("ready pods ", names), func(ctx context.Context) error {
		pods, err := n.Pods(ctx)
		if err != nil {
			return err
		}
		var got []string
		for _, p := range pods {
			for _, c := range p.Status.Conditions {
				if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue {
					got = append(got, strings.TrimSuffix(p.Name, "-"+n.Name()))
				}
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, names) || len(pods) != len(names) {
			return fmt.Errorf("of %d pods, ready are %v", len(pods), got)
		}
		return nil
	})
}

func containers(t *testing.T, n *node.Node) []node.Container {
	t.Helper()
	all, err := n.Containers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestPodsRunFromBothSourcesAndSurviveTheDaemons(t *testing.T) {
	var document atomic.Pointer[string]
	document.Store(new(list(pod("one", "sleep", "1h"), pod("two", "sleep", "1h"))))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer secret" {
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		}
		io.WriteString(w, *document.Load())
	}))
	defer server.Close()
	n := start(t, node.Options{ManifestURL: server.URL, ManifestURLHeader: map[string][]string{"Authorization": {"Bearer secret"}}})
	write(t, n, "three.yaml", pod("three", "sleep", "1h"))
	ready(t, n, "one", "three", "two")
	before := containers(t, n)

	// One bad pod, and the whole list is refused: the new one does not start, the old ones go on.
	document.Store(new(list(pod("one", "sleep", "1h"), pod("four", "sleep", "1h"), "apiVersion: v1\nkind: Pod\nmetadata: {name: bad}\nspec: {containers: []}")))
	await.Nil(t, "the kubelet's refusal", func(context.Context) error {
		log, err := os.ReadFile(n.KubeletLog().Path())
		if err == nil && !bytes.Contains(log, []byte("invalid pod: [spec.containers: Required value]")) {
			err = errors.New("not logged")
		}
		return err
	})

	n.Kubelet.Stop(t.Context())
	if n.Kubelet.Running() || n.Kubelet.PID() != 0 {
		t.Error("the kubelet runs after Stop")
	}
	n.Containerd.Kill()
	if _, err := n.Containers(t.Context()); err == nil {
		t.Error("the runtime answers after Kill")
	}
	if err := n.Containerd.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	document.Store(new(list(pod("one", "sleep", "1h"), pod("two", "sleep", "1h"))))
	if err := n.Kubelet.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	ready(t, n, "one", "three", "two")
	if after := containers(t, n); !slices.Equal(after, before) {
		t.Errorf("containers before %+v\nand after %+v", before, after)
	}

	if err := n.Reboot(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	ready(t, n, "one", "three", "two")
	for _, c := range containers(t, n) {
		if c.State == "running" && slices.ContainsFunc(before, func(b node.Container) bool { return b.ID == c.ID }) {
			t.Errorf("container %+v survived the reboot", c)
		}
	}
}

func TestClientCertificatesAndOtherPorts(t *testing.T) {
	n := start(t, node.Options{Name: "node2", Auth: node.ClientCertificates, ReadOnlyPort: true, LogFormat: "text",
		LogVerbosity: new(uint32(4)), FeatureGates: map[string]bool{"PodsAPI": false}})
	write(t, n, "pod.yaml", pod("web", "sleep", "1h"))
	ready(t, n, "web") // with its certificate

	authority, err := os.ReadFile(n.CAFile())
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority)
	anonymous := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, DisableKeepAlives: true}}
	refused, err := anonymous.Get(n.KubeletEndpoint() + "/pods")
	if err != nil {
		t.Fatal(err)
	}
	refused.Body.Close()
	if refused.StatusCode != http.StatusUnauthorized {
		t.Errorf("without a certificate: %s", refused.Status)
	}
	res, err := http.Get(n.ReadOnlyEndpoint() + "/pods")
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Errorf("read-only port: %s", res.Status)
	}
	if _, err := os.Stat(strings.TrimPrefix(n.PodsEndpoint(), "unix://")); err == nil {
		t.Error("there is a Pods API")
	}
	if tail := n.LogTail(); !strings.Contains(tail, "\nI") {
		t.Errorf("the log is not in klog's format:\n%s", tail)
	}
}
