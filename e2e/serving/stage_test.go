package serving

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/staticpod-exporter/staticpod-exporter/e2e/await"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/exporter"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/node"
)

// secret is the token that the kubelet shows with each fetch. Only one scenario asks for it.
const secret = "a-token-for-tests"

// A stage is the node that all scenarios play on.
type stage struct {
	node    *node.Node
	binary  string // the exporter
	address string // host and port of the kubelet's staticPodURL
	figures []figure
	scenes  int
}

// A figure is how long it took from a cause to its effect on /metrics.
type figure struct {
	scenario, effect string
	took             time.Duration
}

func newStage(t *testing.T) *stage {
	t.Helper()
	st := &stage{}
	var err error
	if st.binary, err = exporter.Build(t.Context(), t.TempDir(), false); err != nil {
		t.Fatal(err)
	}
	if st.address, err = exporter.FreeAddress(); err != nil {
		t.Fatal(err)
	}
	options := node.Options{Progress: t.Output()}
	st.ordinary(&options)
	if st.node, err = node.Start(t.Context(), options); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.node.Close(); err != nil {
			t.Error(err)
		}
	})
	return st
}

// ordinary are the kubelet's options in all scenes that ask for no others.
func (st *stage) ordinary(o *node.Options) {
	o.ManifestURL = "http://" + st.address + "/pods"
	o.ManifestURLHeader = map[string][]string{"Authorization": {"Bearer " + secret}}
	o.FeatureGates = nil
}

// restartKubelet gives the node another kubelet.
func (st *stage) restartKubelet(ctx context.Context, change func(*node.Options)) error {
	st.node.Kubelet.Stop(ctx)
	st.node.Configure(change)
	return st.node.Kubelet.Start(ctx)
}

// serveRaw serves a document to the kubelet as any web server does, at the exporter's address, until stopped.
func (st *stage) serveRaw(t *testing.T, document string) (stop func()) {
	t.Helper()
	l, err := net.Listen("tcp", st.address)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, document) }))
	server.Listener.Close()
	server.Listener = l
	server.Start()
	return server.Close
}

// clear takes all pods off the node.
func (st *stage) clear(t *testing.T) {
	stop := st.serveRaw(t, `{"kind":"PodList","apiVersion":"v1","items":[]}`)
	defer stop()
	// A pod that was about to start when it was taken away shows up once more.
	var since time.Time
	err := await.Until(context.Background(), await.Patience, func(ctx context.Context) error {
		was := since
		since = time.Time{}
		pods, err := st.node.Pods(ctx)
		if err != nil {
			return err
		}
		containers, err := st.node.Containers(ctx)
		if err != nil {
			return err
		}
		if left := running(containers); len(pods)+len(left) > 0 {
			return fmt.Errorf("left are %d pods and the containers %+v", len(pods), left)
		}
		if since = was; since.IsZero() {
			since = time.Now()
		}
		if time.Since(since) < time.Second {
			return errors.New("empty since a moment ago")
		}
		return nil
	})
	if err != nil {
		t.Errorf("clearing the node: %v", err)
	}
}

// running are the containers that run.
func running(all []node.Container) []node.Container {
	return slices.DeleteFunc(slices.Clone(all), func(c node.Container) bool { return c.State != "running" })
}

// id is the ID of the status of a pod.
func (st *stage) id(name string) string { return "default/" + st.pod(name) }

// pod is what the kubelet calls a pod.
func (st *stage) pod(name string) string { return name + "-" + st.node.Name() }

// report prints the figures.
func (st *stage) report(t *testing.T) {
	w := tabwriter.NewWriter(t.Output(), 0, 0, 3, ' ', 0)
	fmt.Fprintln(w, "SECONDS\tFROM THE CAUSE TO /metrics\tIN")
	for _, f := range st.figures {
		fmt.Fprintf(w, "%.2f\t%s\t%s\n", f.took.Seconds(), f.effect, f.scenario)
	}
	w.Flush()
}
