package observing

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/staticpod-exporter/staticpod-exporter/e2e/await"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/exporter"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/node"
)

// A warning that is none teaches people not to look.
func TestPrecision(t *testing.T) {
	n := start(t, node.Options{})
	t.Run("a readiness probe that fails is NotReady and nothing else", func(t *testing.T) { readiness(t, n) })
	t.Run("ten healthy pods have no problem, from their first start to their last edit", func(t *testing.T) { healthyPods(t, n) })
}

func readiness(t *testing.T, n *node.Node) {
	defer empty(t, n)
	address := free(t)
	e := observe(t, n)
	write(t, n, "web.yaml", probed("web", address, 3))
	before := expect(t, e, "default/web-node1", ready, container("running")).Spec.Containers[0]

	tell(t, address, "/ready/off")
	s := expect(t, e, "default/web-node1", unready, headline("NotReady"), phase("Running"), container("running"),
		condition("Ready", "False"), condition("Started", "True"), problem(exporter.Problem{Reason: "NotReady", Level: "warning"}))
	if len(s.Spec.Problems) != 1 || s.Spec.Containers[0].ID != before.ID {
		t.Errorf("more than the probe says: %+v", s.Spec)
	}
	tell(t, address, "/ready/on")
	expect(t, e, "default/web-node1", ready)

	// Once in a while one probe fails, which the threshold is there for.
	for range 3 {
		tell(t, address, "/ready/off")
		await.Always(t, 1200*time.Millisecond, "a probe fails", func(ctx context.Context) error {
			_, err := look(ctx, e, "default/web-node1", ready)
			return err
		})
		tell(t, address, "/ready/on")
		await.Always(t, 1200*time.Millisecond, "probes succeed", func(ctx context.Context) error {
			_, err := look(ctx, e, "default/web-node1", ready)
			return err
		})
	}
	shows(t, e, problems(1, "NotReady"), problems(0, "LivenessFailing"), problems(0, "ContainerExited"), problems(0, "CrashLoopBackOff"))
}

// probed is a pod that is ready while it says so on an address, and not when it did not so often, a second apart.
func probed(name, address string, threshold int) string {
	_, port, _ := strings.Cut(address, ":")
	probe := fmt.Sprintf(`"], readinessProbe: {periodSeconds: 1, failureThreshold: %d, httpGet: {host: 127.0.0.1, port: %s, path: /ready}}}`, threshold, port)
	return strings.Replace(pod(name, "serve", address), `"]}`, probe, 1)
}

func free(t testing.TB) string {
	t.Helper()
	address, err := exporter.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	return address
}

// tell has testpod do something.
func tell(t *testing.T, address, path string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+address+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", path, res.Status)
	}
}

// healthyDefinitions are pods of every shape that people write, with their names.
func healthyDefinitions(t *testing.T) map[string]string {
	slow, quick, patient, live := free(t), free(t), free(t), free(t)
	port := func(address string) string { _, p, _ := strings.Cut(address, ":"); return p }
	all := map[string]string{
		"plain": pod("plain", "sleep", "1h"),
		"inits": `
  initContainers:
  - {name: first, image: "staticpod.test/pod:1", args: [sleep, 1s]}
  - {name: second, image: "staticpod.test/pod:1", args: [exit, "0", 2s]}
  containers:
  - {name: main, image: "staticpod.test/pod:1", args: [sleep, 1h]}
`,
		"slow-init": `
  initContainers:
  - {name: migrate, image: "staticpod.test/pod:1", args: [sleep, 25s]}
  containers:
  - {name: main, image: "staticpod.test/pod:1", args: [sleep, 1h]}
`,
		"sidecar": `
  initContainers:
  - {name: proxy, image: "staticpod.test/pod:1", args: [sleep, 1h], restartPolicy: Always}
  containers:
  - {name: main, image: "staticpod.test/pod:1", args: [sleep, 1h]}
`,
		"job": `
  restartPolicy: Never
  containers:
  - {name: main, image: "staticpod.test/pod:1", args: [exit, "0", 3s]}
`,
		"job-with-sidecar": `
  restartPolicy: OnFailure
  initContainers:
  - {name: proxy, image: "staticpod.test/pod:1", args: [sleep, 1h], restartPolicy: Always}
  containers:
  - {name: main, image: "staticpod.test/pod:1", args: [exit, "0", 8s]}
`,
		"slow-start": `
  containers:
  - name: main
    image: "staticpod.test/pod:1"
    args: [serve, "` + slow + `"]
    startupProbe: {initialDelaySeconds: 15, periodSeconds: 5, failureThreshold: 10, httpGet: {host: 127.0.0.1, port: ` + port(slow) + `, path: /live}}
    readinessProbe: {periodSeconds: 2, httpGet: {host: 127.0.0.1, port: ` + port(slow) + `, path: /ready}}
`,
		"patient": `
  containers:
  - name: main
    image: "staticpod.test/pod:1"
    args: [serve, "` + patient + `"]
    readinessProbe: {initialDelaySeconds: 20, periodSeconds: 5, successThreshold: 2, httpGet: {host: 127.0.0.1, port: ` + port(patient) + `, path: /ready}}
`,
		"probed": `
  containers:
  - name: main
    image: "staticpod.test/pod:1"
    args: [serve, "` + quick + `"]
    readinessProbe: {periodSeconds: 1, failureThreshold: 3, exec: {command: [/testpod, get, "http://` + quick + `/ready"]}}
  - name: live
    image: "staticpod.test/pod:1"
    args: [serve, "` + live + `"]
    livenessProbe: {periodSeconds: 1, failureThreshold: 3, httpGet: {host: 127.0.0.1, port: ` + port(live) + `, path: /live}}
`,
		"volumes": `
  priorityClassName: system-node-critical
  priority: 2000001000
  volumes:
  - {name: scratch, emptyDir: {}}
  - {name: host, hostPath: {path: /etc/hostname, type: File}}
  - {name: self, downwardAPI: {items: [{path: name, fieldRef: {fieldPath: metadata.name}}]}}
  containers:
  - name: main
    image: "staticpod.test/pod:1"
    args: [sleep, 1h]
    env: [{name: NODE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}]
    resources: {requests: {cpu: 1m, memory: 8Mi}, limits: {memory: 64Mi}}
    volumeMounts: [{name: scratch, mountPath: /scratch}, {name: host, mountPath: /hostname, readOnly: true}, {name: self, mountPath: /self}]
`,
	}
	for name, spec := range all {
		if strings.HasPrefix(spec, "\n") {
			all[name] = "apiVersion: v1\nkind: Pod\nmetadata: {name: " + name + ", namespace: kube-system}\nspec:\n  hostNetwork: true\n  terminationGracePeriodSeconds: 1" + spec
		}
	}
	return all
}

func healthyPods(t *testing.T, n *node.Node) {
	defer empty(t, n)
	e := observe(t, n)
	expect(t, e, "node", healthy)
	listener := listen(t, e)
	definitions := healthyDefinitions(t)
	began := time.Now()
	for name, definition := range definitions {
		write(t, n, name+".yaml", definition)
	}
	up := func(ctx context.Context) error {
		var wrong []error
		for name := range definitions {
			id := "kube-system/" + name + "-node1"
			wanted := []expectation{ready}
			switch {
			case name == "plain":
				id = "default/plain-node1"
			case strings.HasPrefix(name, "job"):
				wanted = []expectation{unready, headline("Completed")}
			}
			if _, err := look(ctx, e, id, wanted...); err != nil {
				wrong = append(wrong, err)
			}
		}
		return errors.Join(wrong...)
	}
	await.Nil(t, "all healthy pods", up)
	t.Logf("all pods are up after %s", time.Since(began).Round(time.Second))

	// A node at rest, for a while.
	await.Always(t, 25*time.Second, "healthy pods stay so", up)

	// An edit of a definition, as it should be.
	before := expect(t, e, "default/plain-node1", ready).Spec.Containers[0]
	write(t, n, "plain.yaml", pod("plain", "sleep", "2h"))
	expect(t, e, "default/plain-node1", ready, another(before))
	remove(t, n, "sidecar.yaml")
	absent(t, e, "kube-system/sidecar-node1")
	delete(definitions, "sidecar")

	// A kubelet that is upgraded is away for a moment, and looks at everything anew when it is back.
	n.Kubelet.Stop(t.Context())
	expect(t, e, "node", headline("KubeletDown"))
	if err := n.Kubelet.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	expect(t, e, "node", healthy)
	await.Nil(t, "all healthy pods after the kubelet's restart", up)
	await.Always(t, 10*time.Second, "healthy pods stay so", up)

	for _, s := range listener.seen() {
		t.Log(s)
	}
	scrape(t, e, "what was counted", func(m exporter.Metrics) error {
		var wrong []error
		for _, series := range m["staticpod_problems_total"].GetMetric() {
			reason, met := series.GetLabel()[0].GetValue(), series.GetCounter().GetValue()
			want := map[string]float64{"Completed": 2, "KubeletDown": 1}[reason]
			if info := reason == "WaitingForTermination" || reason == "KubeletSourcesNotReady"; met != want && !info {
				wrong = append(wrong, fmt.Errorf("%s was met %v times, not %v", reason, met, want))
			}
		}
		return errors.Join(wrong...)
	})
}

// A listener hears every status that there ever was, however short.
type listener struct {
	mu       sync.Mutex
	problems []string
}

// listen follows the exporter's watch.
func listen(t *testing.T, e *exporter.Exporter) *listener {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, e.URL()+"/staticpodstatus?watch=true", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != http.StatusOK {
		t.Fatal(res.Status)
	}
	l := &listener{}
	began := time.Now()
	var reading sync.WaitGroup
	reading.Go(func() {
		defer res.Body.Close()
		lines := bufio.NewScanner(res.Body)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			l.hear(lines.Bytes(), time.Since(began))
		}
	})
	t.Cleanup(func() { e.Kill(); reading.Wait() })
	return l
}

func (l *listener) hear(line []byte, at time.Duration) {
	var event struct {
		Event string
		exporter.Status
	}
	if err := json.Unmarshal(line, &event); err != nil || event.Event == "destroyed" {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range event.Spec.Problems {
		l.problems = append(l.problems, fmt.Sprintf("%5.1fs %s %s %s: %s", at.Seconds(), event.Metadata.ID, p.Level, p.Reason, p.Message))
	}
}

// seen lists the problems that were ever said.
func (l *listener) seen() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.problems)
}
