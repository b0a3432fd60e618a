package observing

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/staticpod-exporter/staticpod-exporter/e2e/exporter"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/node"
)

// The kubelet reads its directory every few seconds here, as it does every twenty in the world: what it will do then
// is told before.
func TestPending(t *testing.T) {
	n := start(t, node.Options{FileCheckFrequency: 8 * time.Second})
	t.Run("an edit that kills a pod is told before it does", func(t *testing.T) { toldBefore(t, n) })
	t.Run("an edit that is mended in time kills nothing", func(t *testing.T) { mendedInTime(t, n) })
	t.Run("a write to a shadowed file runs it until the next reading", func(t *testing.T) { flapping(t, n) })
	t.Run("a file that the exporter sees elsewhere has the UID of the kubelet's path", func(t *testing.T) { mountedElsewhere(t, n) })
	t.Run("metadata that the kubelet takes as it is", func(t *testing.T) { unsafeMetadata(t, n) })
	t.Run("a FIFO stops the kubelet from reading anything", func(t *testing.T) { fifo(t, n) })
}

// warned is a warning for that reason.
func warned(detail, level string) expectation {
	return func(s exporter.Status) error {
		p, ok := s.Problem("StopPending")
		if !ok || p.Detail != detail || p.Level != level || p.Path == "" || p.Message == "" {
			return fmt.Errorf("the warning is %+v, not one of %s, %s", p, detail, level)
		}
		return nil
	}
}

// unwarned has no warning.
func unwarned(s exporter.Status) error {
	if p, ok := s.Problem("StopPending"); ok {
		return fmt.Errorf("there is a warning: %+v", p)
	}
	return nil
}

func brokenly(definition string) string {
	return strings.Replace(definition, "name: main,", "nam: main,", 1)
}

func toldBefore(t *testing.T, n *node.Node) {
	defer empty(t, n)
	e := observe(t, n)
	web := pod("web", "sleep", "1h")
	write(t, n, "web.yaml", web)
	before := expect(t, e, "default/web-node1", ready, container("running"), unwarned).Spec.Containers[0]

	write(t, n, "web.yaml", brokenly(web))
	s := expect(t, e, "default/web-node1", warned("Broken", "critical"), headline("ManifestInvalid"), container("running"), phase("Running"), condition("Ready", "True"))
	if s.Spec.Containers[0].ID != before.ID {
		t.Errorf("it is told of %+v, which is not what ran: %+v", s.Spec.Containers[0], before)
	}
	told := time.Now()
	expect(t, e, "default/web-node1", unwarned, headline("ManifestInvalid"), unready, phase(""), problem(exporter.Problem{Reason: "ManifestRejected"}))
	t.Logf("the kubelet stopped the pod %s after it was told", time.Since(told).Round(time.Millisecond))
	write(t, n, "web.yaml", web)
	expect(t, e, "default/web-node1", ready, another(before))
	shows(t, e, problems(1, "StopPending"), problems(1, "ManifestInvalid"))
}

func mendedInTime(t *testing.T, n *node.Node) {
	defer empty(t, n)
	e := observe(t, n)
	api := pod("api", "sleep", "1h")
	write(t, n, "api.yaml", api)
	before := expect(t, e, "default/api-node1", ready, container("running")).Spec.Containers[0]
	afterReading(t, n, e)
	write(t, n, "api.yaml", brokenly(api))
	expect(t, e, "default/api-node1", warned("Broken", "critical"), container("running"))
	write(t, n, "api.yaml", api)
	s := expect(t, e, "default/api-node1", ready, unwarned, container("running"))
	if s.Spec.Containers[0].ID != before.ID {
		t.Errorf("it was restarted: %+v, and before %+v", s.Spec.Containers[0], before)
	}
	shows(t, e, problems(1, "StopPending"), value(none, "staticpod_problem_start_timestamp_seconds"))
}

// afterReading waits until the kubelet has just read its directory: until the next time there is time. A bad file
// beside the others tells of it.
func afterReading(t *testing.T, n *node.Node, e *exporter.Exporter) {
	t.Helper()
	write(t, n, "mark.yaml", broken)
	expect(t, e, "default/broken-node1", problem(exporter.Problem{Reason: "ManifestRejected"}))
	remove(t, n, "mark.yaml")
}

func flapping(t *testing.T, n *node.Node) {
	defer empty(t, n)
	e := observe(t, n)
	write(t, n, "a.yaml", pod("a", "sleep", "2h"))
	expect(t, e, "default/a-node1", ready, container("running"))
	write(t, n, "a.yaml.bak", pod("a", "sleep", "1h"))
	winner := filepath.Join(n.ManifestDirectory(), "a.yaml.bak")
	backup := expect(t, e, "default/a-node1", headline("DuplicateName"), unwarned, container("running"), condition("Ready", "True"), condition("Current", "True"),
		problem(exporter.Problem{Reason: "StrayFile", Message: "it runs in place of " + filepath.Join(n.ManifestDirectory(), "a.yaml"), Path: winner}))

	afterReading(t, n, e)
	write(t, n, "a.yaml", pod("a", "sleep", "3h"))
	expect(t, e, "default/a-node1", warned("Replaced", "warning"), func(s exporter.Status) error {
		if s.Spec.Pod.UID == backup.Spec.Pod.UID {
			return fmt.Errorf("it is the pod of before")
		}
		return nil
	})
	expect(t, e, "default/a-node1", headline("DuplicateName"), unwarned, container("running"), condition("Ready", "True"), another(backup.Spec.Containers[0]), func(s exporter.Status) error {
		if s.Spec.Pod.UID != backup.Spec.Pod.UID {
			return fmt.Errorf("it is not the pod of before")
		}
		return nil
	})
}

// mountedElsewhere is an exporter in a container, which sees the directory under another path.
func mountedElsewhere(t *testing.T, n *node.Node) {
	defer empty(t, n)
	link := filepath.Join(t.TempDir(), "host")
	if err := os.Symlink(n.ManifestDirectory(), link); err != nil {
		t.Fatal(err)
	}
	e := observe(t, n, "--kubelet.manifest-directory="+link)
	write(t, n, "web.yaml", pod("web", "sleep", "1h"))
	s := expect(t, e, "default/web-node1", ready, condition("Current", "True"))
	pods, err := e.StaticPods(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	d := pods["default-web"].Spec
	if want := filepath.Join(n.ManifestDirectory(), "web.yaml"); d.Path != want {
		t.Errorf("its path is %s, not %s", d.Path, want)
	}
	if n.PredictsUIDs() && d.UID != s.Spec.Pod.UID {
		t.Errorf("UID %s was predicted, and %s runs", d.UID, s.Spec.Pod.UID)
	}
}

func unsafeMetadata(t *testing.T, n *node.Node) {
	defer empty(t, n)
	e := observe(t, n)
	with := func(name, metadata string) string {
		return strings.Replace(pod(name, "sleep", "1h"), "{name: "+name+"}", "{name: "+name+", "+metadata+"}", 1)
	}
	write(t, n, "mirror.yaml", with("mirror", `annotations: {kubernetes.io/config.mirror: x}`))
	write(t, n, "one.yaml", with("one", "uid: same"))
	write(t, n, "two.yaml", with("two", "uid: same"))
	expect(t, e, "default/mirror-node1", headline("UnsafeMetadata"), unready, phase(""), func(s exporter.Status) error {
		if len(s.Spec.Containers) > 0 {
			return fmt.Errorf("it runs: %+v", s.Spec.Containers)
		}
		return nil
	})
	for _, id := range []string{"default/one-node1", "default/two-node1"} {
		expect(t, e, id, headline("UnsafeMetadata"), problem(exporter.Problem{Reason: "UIDFixed"}), problem(exporter.Problem{Reason: "UnsafeMetadata", Message: "has this UID too"}))
	}
}

func fifo(t *testing.T, n *node.Node) {
	defer empty(t, n)
	e := observe(t, n)
	path := filepath.Join(n.ManifestDirectory(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	expect(t, e, "file:"+path, headline("StrayFile"), problem(exporter.Problem{Reason: "StrayFile", Message: "waits for a writer for ever"}))
	write(t, n, "late.yaml", pod("late", "sleep", "1h"))
	expect(t, e, "default/late-node1", headline("NotAccepted"), unready, phase(""))
	// A writer sets it free.
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	remove(t, n, "pipe")
	expect(t, e, "default/late-node1", ready, container("running"))
}
