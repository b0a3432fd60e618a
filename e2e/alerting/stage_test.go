package alerting

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/staticpod-exporter/staticpod-exporter/e2e/await"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/exporter"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/monitoring"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/node"
)

const job = "staticpod-exporter"

// patience is how long an alert may take: its for, the Alertmanager's rounds, and a machine that is busy.
const patience = 3 * time.Minute

// A stage is a node, all that watches it, and who is told.
type stage struct {
	*testing.T
	node     *node.Node
	exporter *exporter.Exporter
	address  string // of the kubelet's staticPodURL
	files    string // the directory of definitions
	webhook  *monitoring.Webhook
	figures  []figure
	log      *os.File
}

// A figure is how long it took from a cause to the notification of it.
type figure struct {
	story, alert string
	took         time.Duration
}

func newStage(t *testing.T) *stage {
	t.Helper()
	s := &stage{T: t, webhook: monitoring.NewWebhook()}
	t.Cleanup(s.webhook.Close)
	dir := t.TempDir()
	s.files = filepath.Join(dir, "pods.d")
	s.must(os.Mkdir(s.files, 0o755))

	binary, err := exporter.Build(t.Context(), dir, false)
	s.must(err)
	s.address, err = exporter.FreeAddress()
	s.must(err)
	s.node, err = node.Start(t.Context(), node.Options{ManifestURL: s.url(), Progress: t.Output()})
	s.must(err)
	t.Cleanup(func() {
		if err := s.node.Close(); err != nil {
			t.Error(err)
		}
	})

	s.log, err = os.Create(filepath.Join(dir, "exporter.log"))
	s.must(err)
	t.Cleanup(func() {
		s.log.Close()
		if said, err := os.ReadFile(s.log.Name()); t.Failed() && err == nil {
			t.Logf("the exporter's log ends:\n%s", said[max(0, len(said)-8<<10):])
		}
	})
	s.exporter = s.start(exporter.Options{
		Binary: binary, Manifest: s.address, StateDirectory: filepath.Join(dir, "state"), Log: s.log,
		Flags: append(exporter.NodeFlags(s.node), "--manifest.files="+s.files+"/*.yaml"),
	})
	// Another node of the job, on which there is nothing to see: or the first exporter's end were that of all.
	idle := s.start(exporter.Options{Binary: binary, StateDirectory: filepath.Join(dir, "idle"), Flags: []string{
		"--node=idle", "--manifest.files=", "--kubelet.endpoint=", "--kubelet.pods-socket=", "--kubelet.manifest-directory=", "--kubelet.log=", "--cri.endpoint=",
	}})

	manager, err := monitoring.NewAlertmanager(t.Context(), s.routes(), s.scratch("alertmanager"), t.Output())
	s.must(err)
	s.must(manager.Check(t.Context()))
	s.must(manager.Start(t.Context()))
	t.Cleanup(func() { manager.Stop(context.Background()) })

	rules := filepath.Join(dir, "alerts.yaml")
	s.must(os.WriteFile(rules, []byte(s.rules()), 0o644))
	targets := []string{host(s.exporter), host(idle)}
	prometheus, err := monitoring.New(t.Context(), monitoring.Options{
		Directory: s.scratch("prometheus"), Progress: t.Output(),
		Config: strings.Replace(monitoring.ScrapeConfig(job, targets...), "- job_name", "- honor_labels: true\n  job_name", 1) +
			fmt.Sprintf("rule_files: [%q]\nalerting: {alertmanagers: [{static_configs: [{targets: [%q]}]}]}\n", rules, manager.Address),
	})
	s.must(err)
	s.must(prometheus.Start(t.Context()))
	t.Cleanup(func() {
		if prometheus.Stop(context.Background()); t.Failed() {
			t.Log(prometheus.Log())
		}
	})
	await.Nil(t, "a scrape of each exporter", func(ctx context.Context) error {
		vector, err := prometheus.Query(ctx, "sum(up)")
		if err == nil && (len(vector) != 1 || int(vector[0].Value) != len(targets)) {
			err = fmt.Errorf("up are %v", vector)
		}
		return err
	})
	return s
}

func (s *stage) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (s *stage) scratch(name string) string {
	dir := filepath.Join(s.TempDir(), name)
	s.must(os.Mkdir(dir, 0o755))
	return dir
}

func (s *stage) start(o exporter.Options) *exporter.Exporter {
	s.Helper()
	e, err := exporter.New(o)
	s.must(err)
	s.must(e.Start(s.Context()))
	s.Cleanup(func() { e.Stop(context.Background()) })
	return e
}

func (s *stage) url() string { return "http://" + s.address + "/pods" }

func host(e *exporter.Exporter) string { return strings.TrimPrefix(e.URL(), "http://") }

// minute is what the rules' minutes are here.
const minute = 3 * time.Second

// rules are those that the exporter prints, with shorter minutes: what they wait for is as it was, and the half minute
// that a refused manifest is given stays half a minute.
func (s *stage) rules() string {
	printed, err := s.exporter.Run(s.Context(), "assets", "alerts")
	s.must(err)
	waits := regexp.MustCompile(`(?m)^( +(?:for|keep_firing_for): )(\d+)m$`)
	return waits.ReplaceAllStringFunc(printed, func(line string) string {
		match := waits.FindStringSubmatch(line)
		minutes, err := strconv.Atoi(match[2])
		s.must(err)
		return match[1] + (time.Duration(minutes) * minute).String()
	})
}

// routes are those of the document, without what an Alertmanager waits for, and with the webhook behind each receiver.
func (s *stage) routes() string {
	document, err := os.ReadFile("../../docs/runbooks.md")
	s.must(err)
	_, rest, _ := strings.Cut(string(document), "```yaml\nroute:\n")
	block, _, ok := strings.Cut(rest, "```\n")
	if !ok {
		s.Fatal("docs/runbooks.md has no routes")
	}
	named := regexp.MustCompile(`\{name: (\w+)\}`)
	if !named.MatchString(block) {
		s.Fatal("docs/runbooks.md has no receivers")
	}
	return "route:\n  group_wait: 0s\n  group_interval: 1s\n" +
		named.ReplaceAllString(block, "{name: $1, webhook_configs: [{url: "+s.webhook.URL()+"}]}")
}

// write puts a definition's file into place, as an editor does that knows better.
func (s *stage) write(name, content string) (cause time.Time) {
	s.Helper()
	hidden := filepath.Join(s.files, "."+name)
	s.must(os.WriteFile(hidden, []byte(content), 0o644))
	cause = time.Now()
	s.must(os.Rename(hidden, filepath.Join(s.files, name)))
	return cause
}

// ready waits until pods are.
func (s *stage) ready(ids ...string) {
	s.Helper()
	await.Nil(s, "ready pods", func(ctx context.Context) error {
		statuses, err := s.exporter.Statuses(ctx)
		if err != nil {
			return err
		}
		for _, id := range ids {
			if st := statuses[id]; !st.Spec.Ready || len(st.Spec.Problems) > 0 {
				return fmt.Errorf("%s: ready %v, %v", id, st.Spec.Ready, st.Spec.Problems)
			}
		}
		return nil
	})
}

// instead answers the kubelet as the exporter did last, at an address of its own.
func (s *stage) instead() *httptest.Server {
	s.Helper()
	req, err := http.NewRequestWithContext(s.Context(), http.MethodGet, s.url(), nil)
	s.must(err)
	req.Header.Set("User-Agent", "somebody") // or it counted as the kubelet's
	res, err := http.DefaultClient.Do(req)
	s.must(err)
	defer res.Body.Close()
	list, err := io.ReadAll(res.Body)
	s.must(err)
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write(list) }))
}

// restartKubelet gives the node a kubelet that fetches from elsewhere.
func (s *stage) restartKubelet(url string) (cause time.Time) {
	s.Helper()
	s.node.Kubelet.Stop(s.Context())
	s.node.Configure(func(o *node.Options) { o.ManifestURL = url })
	cause = time.Now()
	s.must(s.node.Kubelet.Start(s.Context()))
	return cause
}

// An expected alert is who is told, of what, and in which words.
type expected struct {
	receiver, alert, severity string
	labels                    map[string]string
	words                     []string // of the description
}

func (e expected) String() string {
	return fmt.Sprintf("%s %s %v to %s", e.severity, e.alert, e.labels, e.receiver)
}

// is reports whether a notification is the one expected.
func (e expected) is(told monitoring.Alert) bool {
	if told.Receiver != e.receiver || told.Labels["alertname"] != e.alert || told.Labels["severity"] != e.severity || told.Labels["job"] != job {
		return false
	}
	for name, value := range e.labels {
		if told.Labels[name] != value {
			return false
		}
	}
	for _, words := range e.words {
		if !strings.Contains(told.Annotations["description"], words) {
			return false
		}
	}
	return strings.HasSuffix(told.Annotations["runbook_url"], "/docs/runbooks.md#"+strings.ToLower(e.alert)) && told.Annotations["summary"] != ""
}

// since begins a story: what is told before it is another's.
func (s *stage) since() int {
	s.Helper()
	told, err := s.webhook.Told()
	s.must(err)
	return len(told)
}

// told waits until each alert of a story has been told with a status since its beginning, and fails when anything but them was.
func (s *stage) told(story string, begin int, status string, cause time.Time, want ...expected) {
	s.Helper()
	if status != "firing" { // what is over is not explained any more
		for i := range want {
			want[i].words = nil
		}
	}
	await.Within(s, patience, story+": "+status, func(context.Context) error {
		told, err := s.webhook.Told()
		s.must(err)
		told = told[begin:]
		for _, alert := range told {
			if !slices.ContainsFunc(want, func(e expected) bool { return e.is(alert) }) {
				s.Fatalf("%s: told of %v: %s", story, alert.Labels, alert.Annotations["description"])
			}
		}
		for _, e := range want {
			if !slices.ContainsFunc(told, func(a monitoring.Alert) bool { return e.is(a) && a.Status == status }) {
				return fmt.Errorf("not yet told: %s", e)
			}
		}
		return nil
	})
	if status != "firing" {
		return
	}
	all, err := s.webhook.Told()
	s.must(err)
	for _, e := range want {
		first := all[begin+slices.IndexFunc(all[begin:], e.is)]
		s.figures = append(s.figures, figure{story: story, alert: e.alert + " " + e.severity, took: first.At.Sub(cause)})
	}
}

// report prints the figures.
func (s *stage) report() {
	w := tabwriter.NewWriter(s.Output(), 0, 0, 3, ' ', 0)
	fmt.Fprintln(w, "SECONDS\tTO THE NOTIFICATION OF\tAFTER")
	for _, f := range s.figures {
		fmt.Fprintf(w, "%.1f\t%s\t%s\n", f.took.Seconds(), f.alert, f.story)
	}
	w.Flush()
}
