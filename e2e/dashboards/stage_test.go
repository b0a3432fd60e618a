package dashboards

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/staticpod-exporter/staticpod-exporter/e2e/await"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/exporter"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/monitoring"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/node"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/otlp"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/panels"
)

// The jobs of the Prometheus scrape one exporter: its histograms as buckets, as native ones, and as both.
var jobs = []string{"staticpod-exporter", "native", "both"}

// instance is what the node is called by its target, as a scrape of many nodes would have it.
const instance = "node1:10058"

// A stage is a node whose exporter serves most of its static pods, and exports, and a Prometheus with the recording rules.
type stage struct {
	*testing.T
	node       *node.Node
	exporter   *exporter.Exporter
	receiver   *otlp.Receiver // of what the exporter exports
	prometheus *monitoring.Prometheus
	begin      time.Time // of what there is to see
	files      string    // the directory of definitions
	config     string    // the exporter's configuration
	failures   string    // the file in which Prometheus says why it could not scrape
}

func newStage(t *testing.T, files string) *stage {
	t.Helper()
	if err := node.Check(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	s := &stage{T: t, files: files, config: filepath.Join(dir, "config.yaml"), failures: filepath.Join(dir, "failures.log")}
	s.configure("log: {level: info}\n")
	binary, err := exporter.Build(t.Context(), dir, false)
	s.must(err)
	s.receiver, err = otlp.Listen(t.Context(), otlp.Options{})
	s.must(err)
	t.Cleanup(s.receiver.Close)
	serves, err := exporter.FreeAddress()
	s.must(err)
	s.node, err = node.Start(t.Context(), node.Options{Progress: t.Output(), ManifestURL: "http://" + serves + "/pods"})
	s.must(err)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(s.node.LogTail())
		}
		if err := s.node.Close(); err != nil {
			t.Error(err)
		}
	})
	s.exporter, err = exporter.New(exporter.Options{
		Binary: binary, Manifest: serves, StateDirectory: filepath.Join(dir, "state"), ConfigFile: s.config,
		Flags: append(exporter.NodeFlags(s.node), "--manifest.files="+s.files+"/*.yaml"),
		Env:   append(s.receiver.Environment(otlp.GRPC), "OTEL_TRACES_SAMPLER=always_on", "OTEL_METRIC_EXPORT_INTERVAL=1000"),
	})
	s.must(err)
	s.prometheus, err = monitoring.New(t.Context(), monitoring.Options{
		Directory: t.TempDir(), Config: s.scrapes(), Flags: []string{"--enable-feature=exemplar-storage"}, Progress: t.Output(),
	})
	s.must(err)
	s.must(s.prometheus.Start(t.Context()))
	t.Cleanup(func() {
		s.prometheus.Stop(context.Background())
		if failures, err := os.ReadFile(s.failures); t.Failed() && err == nil {
			t.Logf("Prometheus could not scrape:\n%s", failures)
		}
	})
	s.begin = time.Now()
	s.must(s.exporter.Start(t.Context()))
	t.Cleanup(func() { s.exporter.Stop(context.Background()) })
	// It takes Prometheus some seconds to begin: what happens before is not seen.
	s.seen("up == 1")
	return s
}

// seen waits until a query finds something of every job.
func (s *stage) seen(query string) {
	s.Helper()
	await.Nil(s, query, func(ctx context.Context) error {
		vector, err := s.prometheus.Query(ctx, query)
		if err == nil && len(vector) != len(jobs) {
			err = fmt.Errorf("%v", vector)
		}
		return err
	})
}

// scrapes is the configuration of the Prometheus.
func (s *stage) scrapes() string {
	s.Helper()
	rules, err := filepath.Abs("../../alerts/rules.yaml")
	s.must(err)
	var b strings.Builder
	fmt.Fprintf(&b, "global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s, scrape_failure_log_file: %q}\nrule_files: [%q]\nscrape_configs:\n", s.failures, rules)
	for _, job := range jobs {
		fmt.Fprintf(&b, "- {job_name: %q, honor_labels: true, scrape_native_histograms: %v, always_scrape_classic_histograms: %v,", job, job != jobs[0], job == "both")
		fmt.Fprintf(&b, " static_configs: [{targets: [%q], labels: {instance: %q}}]}\n", strings.TrimPrefix(s.exporter.URL(), "http://"), instance)
	}
	return b.String()
}

func (s *stage) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// configure writes the exporter's configuration.
func (s *stage) configure(content string) {
	s.Helper()
	s.must(os.WriteFile(s.config, []byte(content), 0o600))
}

// write puts a file into place as it should be done: never half written.
func (s *stage) write(directory, name, content string) {
	s.Helper()
	hidden := filepath.Join(directory, "."+name)
	s.must(os.WriteFile(hidden, []byte(content), 0o644))
	s.must(os.Rename(hidden, filepath.Join(directory, name)))
}

// until waits for the headline of static pods of a namespace; "" is those that are ready and run what is defined.
func (s *stage) until(reason, namespace string, names ...string) {
	s.Helper()
	await.Nil(s, strings.Join(names, ", ")+" "+reason, func(ctx context.Context) error {
		all, err := s.exporter.Statuses(ctx)
		if err != nil {
			return err
		}
		for _, name := range names {
			status := all[namespace+"/"+name+"-"+s.node.Name()]
			if status.Spec.Reason != reason || reason == "" && (!status.Spec.Ready || status.Condition("Current") != "True") {
				err = errors.Join(err, fmt.Errorf("%s: ready is %t, the reason %q", name, status.Spec.Ready, status.Spec.Reason))
			}
		}
		return err
	})
}

// pod is a definition whose one container does what testpod does with those arguments.
func pod(namespace, name string, args ...string) string {
	return fmt.Sprintf(`apiVersion: v1
kind: Pod
metadata: {name: %s, namespace: %s}
spec:
  hostNetwork: true
  terminationGracePeriodSeconds: 0
  containers:
  - {name: %s, image: "staticpod.test/pod:1", args: ["%s"]}
`, name, namespace, name, strings.Join(args, `", "`))
}

// edited is the definition of one that waits, with a change that is a rollout.
func edited(namespace, name string) string {
	return strings.Replace(pod(namespace, name, "pause"), "spec:\n", "spec:\n  priorityClassName: system-node-critical\n  priority: 2000001000\n", 1)
}

// The static pods of a node that runs a control plane.
var healthy = []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"}

// play has something of everything happen on the node.
func (s *stage) play() {
	s.Helper()
	for _, name := range healthy {
		s.write(s.files, name+".yaml", pod("kube-system", name, "pause"))
	}
	s.write(s.node.ManifestDirectory(), "node-cache.yaml", pod("kube-system", "node-cache", "pause"))
	s.until("", "kube-system", append([]string{"node-cache"}, healthy...)...)

	// One that crashes, and one that is refused.
	s.write(s.files, "log-shipper.yaml", pod("default", "log-shipper", "exit", "7", "500ms"))
	s.write(s.files, "backup.yaml", strings.Replace(pod("default", "backup", "pause"), "containers:", "contaners:", 1))
	s.until("ManifestInvalid", "default", "backup")

	// A rollout, a pod that is killed and comes back, and a configuration that is refused and mended.
	s.write(s.files, "kube-scheduler.yaml", edited("kube-system", "kube-scheduler"))
	s.configure("log: {levle: info}\n")
	if err := s.exporter.Reload(s.Context()); err == nil {
		s.Fatal("a configuration with a misspelt key is taken")
	}
	s.seen("staticpod_exporter_config_last_reload_successful == 0")
	s.until("", "kube-system", "kube-scheduler")
	s.until("CrashLoopBackOff", "default", "log-shipper")
	s.configure("log: {level: info}\n")
	s.must(s.exporter.Reload(s.Context()))
}

// view is all that happened so far, of one of the jobs.
func (s *stage) view(job string) panels.View {
	return panels.View{Start: s.begin, End: time.Now(), Scrape: time.Second, Chosen: panels.Chosen{"job": {job}, "instance": {instance}}}
}
