package shutdown

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kubeletconfig "k8s.io/kubelet/config/v1beta1"

	"github.com/staticpod-exporter/staticpod-exporter/e2e/await"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/exporter"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/node"
)

const reason = "NodeShutdown"

// A node that is shut down ends its pods and takes no others on, whether they come from a file or from the exporter.
// When it is back there is nothing left of that.
func TestShutdown(t *testing.T) {
	logins := newLoginManager(t)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	binary, err := exporter.Build(t.Context(), t.TempDir(), false)
	must(err)
	address, err := exporter.FreeAddress()
	must(err)
	n, err := node.Start(t.Context(), node.Options{
		Progress: t.Output(), ManifestURL: "http://" + address + "/pods", Environment: []string{"DBUS_SYSTEM_BUS_ADDRESS=" + logins.address},
		Configure: func(c *kubeletconfig.KubeletConfiguration) {
			c.ShutdownGracePeriod = metav1.Duration{Duration: 4 * time.Second}
			c.ShutdownGracePeriodCriticalPods = metav1.Duration{Duration: 2 * time.Second}
		},
	})
	must(err)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(n.LogTail())
		}
		must(n.Close())
	})
	served := t.TempDir()
	e, err := exporter.New(exporter.Options{
		Binary: binary, Manifest: address, StateDirectory: t.TempDir(), Log: t.Output(),
		Flags: append(exporter.NodeFlags(n), "--manifest.files="+filepath.Join(served, "*.yaml")),
	})
	must(err)
	must(e.Start(t.Context()))
	t.Cleanup(func() { e.Stop(context.Background()) })
	write := func(directory, name string) {
		t.Helper()
		text := fmt.Sprintf(definition, name)
		must(os.WriteFile(filepath.Join(directory, name+".yaml"), []byte(text), 0o600))
	}
	each := func(what string, check func(s exporter.Status) error, names ...string) {
		t.Helper()
		await.Nil(t, what, func(ctx context.Context) error {
			statuses, err := e.Statuses(ctx)
			if err != nil {
				return err
			}
			for _, name := range names {
				if err := check(statuses["default/"+name+"-"+n.Name()]); err != nil {
					return fmt.Errorf("%s: %w: %+v", name, err, statuses["default/"+name+"-"+n.Name()].Spec)
				}
			}
			return nil
		})
	}
	write(n.ManifestDirectory(), "file")
	write(served, "http")
	each("pods run", ready, "file", "http")

	logins.announce(t, true)
	each("what ran was ended", shutDown, "file", "http")
	write(n.ManifestDirectory(), "late-file")
	write(served, "late-http")
	each("what comes is not taken on", shutDown, "late-file", "late-http")
	metrics, err := e.Metrics(t.Context())
	must(err)
	if counted, ok := metrics.Value("staticpod_problems_total", "reason", reason); !ok || counted != 4 {
		t.Errorf("four pods have the reason, which was counted %v times", counted)
	}

	// The machine comes back.
	logins.announce(t, false)
	n.Kubelet.Stop(t.Context())
	must(n.Kubelet.Start(t.Context()))
	each("all is well", ready, "file", "http", "late-file", "late-http")
}

const definition = `apiVersion: v1
kind: Pod
metadata: {name: %s}
spec:
  hostNetwork: true
  terminationGracePeriodSeconds: 1
  containers: [{name: main, image: "staticpod.test/pod:1", args: [sleep, 24h]}]
`

func ready(s exporter.Status) error {
	if !s.Spec.Ready || len(s.Spec.Problems) > 0 {
		return errors.New("not ready without problems")
	}
	return nil
}

func shutDown(s exporter.Status) error {
	if p, ok := s.Problem(reason); !ok || s.Spec.Reason != reason || p.Level != "critical" || s.Spec.Ready {
		return errors.New("it is not said that the node shuts down")
	}
	return nil
}
