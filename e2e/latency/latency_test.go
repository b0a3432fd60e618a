// Package latency measures how long a change takes to be seen on /metrics, on a real node. What it reports is a
// figure to look at, not a limit: machines are shared and noisy.
package latency

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/staticpod-exporter/staticpod-exporter/e2e/await"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/exporter"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/node"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/programs"
)

const (
	trials     = 200
	pods       = 10
	containers = trials / pods
)

// BenchmarkLogLine is from the end of the write of a line of the kubelet's log to the answer of /metrics that
// names the file it is about.
func BenchmarkLogLine(b *testing.B) {
	log := filepath.Join(b.TempDir(), "kubelet.log")
	file, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		b.Fatal(err)
	}
	defer file.Close()
	e := observe(b, "--kubelet.endpoint=", "--kubelet.pods-socket=", "--cri.endpoint=", "--kubelet.manifest-directory=", "--kubelet.log=file://"+log)
	report(b, e, func(i int) (sought string, done time.Time) {
		path := fmt.Sprintf("/manifests/%d.yaml", i)
		line := fmt.Sprintf(`{"ts":%f,"caller":"config/file.go:187","msg":"Could not process manifest file","path":%q,"err":"invalid pod: [spec.containers: Required value]"}`+"\n",
			float64(time.Now().UnixMicro())/1000, path)
		if _, err := io.WriteString(file, line); err != nil {
			b.Fatal(err)
		}
		return fmt.Sprintf("path=%q", path), time.Now()
	})
}

// BenchmarkContainerExit is from the signal that ends a container's process, on a node that runs 200 containers and
// whose kubelet is stopped, to the answer of /metrics that calls it exited. What of that passes before the runtime says
// so is reported too: it is nothing that an exporter could save.
func BenchmarkContainerExit(b *testing.B) {
	n, err := node.Start(b.Context(), node.Options{Progress: b.Output()})
	if err != nil {
		b.Fatal(err)
	}
	defer n.Close()
	for p := range pods {
		if err := os.WriteFile(filepath.Join(n.ManifestDirectory(), fmt.Sprintf("p%d.yaml", p)), []byte(manifest(p)), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	e := observe(b, exporter.NodeFlags(n)...)
	type process struct {
		pid int
		id  string
	}
	processes := map[string]process{}
	await.Nil(b, "every container runs", func(ctx context.Context) error {
		statuses, err := e.Statuses(ctx)
		if err != nil {
			return err
		}
		clear(processes)
		for id, s := range statuses {
			for _, c := range s.Spec.Containers {
				if c.State == "running" && c.PID > 0 {
					processes[id+"/"+c.Name] = process{c.PID, c.ID}
				}
			}
		}
		if len(processes) != trials {
			return fmt.Errorf("%d of %d run", len(processes), trials)
		}
		return nil
	})
	n.Kubelet.Stop(b.Context())
	told := listen(b, n)
	killed := map[string]time.Time{}
	report(b, e, func(i int) (string, time.Time) {
		pod, container := fmt.Sprintf("p%d-%s", i%pods, n.Name()), fmt.Sprintf("c%d", i/pods)
		p, began := processes["default/"+pod+"/"+container], time.Now()
		if err := syscall.Kill(p.pid, syscall.SIGTERM); err != nil {
			b.Fatal(err)
		}
		killed[p.id] = began
		return fmt.Sprintf(`staticpod_container_state{container=%q,namespace="default",pod=%q,state="exited"}`, container, pod), began
	})
	took := make([]time.Duration, 0, trials)
	for range trials {
		exit := <-told
		took = append(took, exit.at.Sub(killed[exit.id]))
	}
	percentiles(b, took, "-runtime")
}

// An exit is that of a container, and when the runtime told of it.
type exit struct {
	id string
	at time.Time
}

// listen returns the exits of as many containers as there are trials.
func listen(b *testing.B, n *node.Node) <-chan exit {
	b.Helper()
	events, err := n.Runtime().GetContainerEvents(b.Context(), &cri.GetEventsRequest{})
	if err != nil {
		b.Fatal(err)
	}
	exits := make(chan exit, trials)
	go func() {
		for {
			e, err := events.Recv()
			if err != nil {
				return
			}
			if e.ContainerEventType == cri.ContainerEventType_CONTAINER_STOPPED_EVENT {
				exits <- exit{e.ContainerId, time.Now()}
			}
		}
	}()
	return exits
}

func manifest(pod int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "apiVersion: v1\nkind: Pod\nmetadata: {name: p%d}\nspec:\n  hostNetwork: true\n  terminationGracePeriodSeconds: 1\n  containers:\n", pod)
	for c := range containers {
		fmt.Fprintf(&b, "  - {name: c%d, image: %q, args: [pause]}\n", c, programs.PodImage)
	}
	return b.String()
}

// observe runs the exporter until the benchmark ends.
func observe(b *testing.B, flags ...string) *exporter.Exporter {
	b.Helper()
	binary, err := exporter.Build(b.Context(), b.TempDir(), false)
	if err != nil {
		b.Fatal(err)
	}
	e, err := exporter.New(exporter.Options{Binary: binary, StateDirectory: b.TempDir(), Flags: flags})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(e.Kill)
	if err := e.Start(b.Context()); err != nil {
		b.Fatal(err)
	}
	return e
}

// report makes the trials one after the other and reports the median and the 99th percentile.
func report(b *testing.B, e *exporter.Exporter, cause func(i int) (sought string, began time.Time)) {
	took := make([]time.Duration, 0, trials)
	for i := range trials {
		sought, began := cause(i)
		for !strings.Contains(scrape(b, e), sought) {
			if time.Since(began) > time.Minute {
				b.Fatalf("never seen: %s", sought)
			}
		}
		took = append(took, time.Since(began))
	}
	percentiles(b, took, "")
	b.ReportMetric(0, "ns/op") // of all trials together: says nothing
}

func percentiles(b *testing.B, took []time.Duration, of string) {
	slices.Sort(took)
	milliseconds := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	b.ReportMetric(milliseconds(took[len(took)/2]), "ms-median"+of)
	b.ReportMetric(milliseconds(took[len(took)*99/100]), "ms-p99"+of)
}

func scrape(b *testing.B, e *exporter.Exporter) string {
	response, err := http.Get(e.URL() + "/metrics")
	if err != nil {
		b.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		b.Fatal(err)
	}
	return string(body)
}
