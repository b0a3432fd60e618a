package observing

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/staticpod-exporter/staticpod-exporter/e2e/exporter"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/node"
)

// broken is what the kubelet answers with "spec.containers: Required value".
const broken = `apiVersion: v1
kind: Pod
metadata:
  name: broken
spec:
  containers: []
`

// The kubelet reads files from its manifest directory; nobody but its log says what it thinks of them.
func TestFiles(t *testing.T) {
	n := start(t, node.Options{})
	t.Run("a pod without containers is found by us and by the kubelet", func(t *testing.T) { requiredValue(t, n) })
	t.Run("a directory that the exporter does not see is known by the log", func(t *testing.T) { logAlone(t, n) })
	t.Run("a bad edit is told before and after the kubelet kills the pod", func(t *testing.T) { badEdit(t, n) })
	t.Run("a backup beside a file runs in its place", func(t *testing.T) { backup(t, n) })
}

func requiredValue(t *testing.T, n *node.Node) {
	defer empty(t, n)
	write(t, n, "good.yaml", pod("good", "sleep", "1h"))
	write(t, n, "broken.yaml", broken)
	path := filepath.Join(n.ManifestDirectory(), "broken.yaml")
	e := observe(t, n)

	// Our validation knows the line and the field, the kubelet's log proves that it was refused there too.
	expect(t, e, "default/broken-node1", headline("ManifestInvalid"), unready, phase(""), stale(false),
		condition("Valid", "False"), condition("Accepted", "False"), condition("Ready", "False"),
		problem(exporter.Problem{Reason: "ManifestInvalid", Level: "critical", Message: "spec.containers: Required value", Path: path, Line: 6, Field: "spec.containers"}),
		problem(exporter.Problem{Reason: "ManifestRejected", Level: "critical", Message: "invalid pod: [spec.containers: Required value]", Path: path}))
	expect(t, e, "default/good-node1", ready, container("running"))
	expect(t, e, "node", sound)

	// All say the same: the terminal, HTTP, the metrics, the page.
	said, err := e.Run(t.Context(), "get", "staticpodstatus", "-o", "wide", "--address", e.URL())
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []string{"default/broken-node1 False ManifestInvalid", "default/good-node1 True Running"} {
		if !hasRow(said, strings.Fields(row)...) {
			t.Errorf("get staticpodstatus has no row %q:\n%s", row, said)
		}
	}
	short, err := e.Run(t.Context(), "get", "staticpodstatus", "--address", e.URL())
	if err != nil {
		t.Fatal(err)
	}
	table, err := e.Get(t.Context(), "/staticpodstatus?output=table")
	if err != nil || string(table) != short {
		t.Errorf("get staticpodstatus prints\n%s\nand /staticpodstatus is, %v,\n%s", short, err, table)
	}
	shows(t, e,
		value(1, "staticpod_problem_info", "definition", "default-broken", "namespace", "default", "pod", "broken-node1", "reason", "ManifestInvalid", "path", path, "line", "6", "field", "spec.containers"),
		value(1, "staticpod_problem_info", "definition", "default-broken", "namespace", "default", "pod", "broken-node1", "reason", "ManifestRejected", "path", path),
		value(0, "staticpod_manifest_valid", "definition", "default-broken", "path", path, "source", "file"),
		value(1, "staticpod_manifest_rejections_total", "stage", "validation"),
		value(1, "staticpod_manifest_rejections_total", "stage", "kubelet"),
		value(1, "staticpod_ready", "namespace", "default", "pod", "good-node1"),
		problems(1, "ManifestInvalid"), problems(1, "ManifestRejected"))
	page, err := e.Get(t.Context(), "/")
	if err != nil {
		t.Fatal(err)
	}
	for _, words := range []string{"default/broken-node1", "ManifestInvalid", "spec.containers: Required value", path + ":6", "ManifestRejected", "invalid pod: [spec.containers: Required value]"} {
		if !strings.Contains(string(page), words) {
			t.Errorf("the page does not say %q:\n%s", words, page)
		}
	}

	// The file is mended: everything is as if it had never been, but for what was counted.
	write(t, n, "broken.yaml", pod("broken", "sleep", "1h"))
	expect(t, e, "default/broken-node1", ready, container("running"), condition("Valid", "True"), condition("Accepted", "True"), condition("Current", "True"))
	shows(t, e,
		value(none, "staticpod_problem_info"), value(none, "staticpod_problem_start_timestamp_seconds"),
		value(1, "staticpod_manifest_valid", "definition", "default-broken"),
		value(1, "staticpod_ready", "pod", "broken-node1"),
		problems(1, "ManifestInvalid"), problems(1, "ManifestRejected"), problems(0, "NotAccepted"))
	if said, err = e.Run(t.Context(), "get", "staticpodstatus", "-o", "wide", "--address", e.URL()); err != nil || !hasRow(said, "default/broken-node1", "True", "Running") {
		t.Errorf("get staticpodstatus, %v:\n%s", err, said)
	}
}

// logAlone is an exporter that may not look into the kubelet's directory, as one in a container without the mount.
func logAlone(t *testing.T, n *node.Node) {
	defer empty(t, n)
	e := observe(t, n, "--kubelet.manifest-directory=")
	write(t, n, "broken.yaml", broken)
	id := "file:" + filepath.Join(n.ManifestDirectory(), "broken.yaml")

	s := expect(t, e, id, headline("ManifestRejected"), unready, phase(""),
		problem(exporter.Problem{Reason: "ManifestRejected", Message: "invalid pod: [spec.containers: Required value]", Path: filepath.Join(n.ManifestDirectory(), "broken.yaml")}))
	if len(s.Spec.Problems) != 1 || s.Condition("Valid") != "" {
		t.Errorf("who does not see the file cannot say more: %+v", s.Spec)
	}
	shows(t, e, value(1, "staticpod_problem_info", "definition", id, "reason", "ManifestRejected"), problems(1, "ManifestRejected"), problems(0, "ManifestInvalid"))

	// The kubelet repeats itself as long as the file is bad. Its silence says that it is mended.
	write(t, n, "broken.yaml", pod("mended", "sleep", "1h"))
	expect(t, e, "default/mended-node1", ready, container("running"), condition("Valid", ""))
	absent(t, e, id)
	shows(t, e, value(none, "staticpod_problem_info"), problems(1, "ManifestRejected"))
}

// badEdit is the edit of a running pod's file that kills the pod. Its process takes three seconds to be killed, so
// that both sides of its end can be seen.
func badEdit(t *testing.T, n *node.Node) {
	defer empty(t, n)
	web := strings.Replace(pod("web", "stubborn"), "PeriodSeconds: 0", "PeriodSeconds: 3", 1)
	write(t, n, "web.yaml", web)
	e := observe(t, n)
	before := expect(t, e, "default/web-node1", ready, container("running")).Spec.Containers[0]

	write(t, n, "web.yaml", strings.Replace(web, "name: main,", "nam: main,", 1))
	path := filepath.Join(n.ManifestDirectory(), "web.yaml")
	invalid := problem(exporter.Problem{Reason: "ManifestInvalid", Message: "spec.containers[0].name: Required value", Path: path, Line: 8, Field: "spec.containers[0].name"})
	expect(t, e, "default/web-node1", headline("ManifestInvalid"), invalid, container("running"), condition("Valid", "False"),
		problem(exporter.Problem{Reason: "UnknownField", Level: "warning", Path: path, Line: 8}))
	expect(t, e, "default/web-node1", headline("ManifestInvalid"), invalid, unready, phase(""), condition("Accepted", "False"), condition("Ready", "False"),
		problem(exporter.Problem{Reason: "ManifestRejected", Message: "spec.containers[0].name: Required value"}))
	// When it is dead, nothing of it is left but the file that killed it; and nobody calls the death a fault of its own.
	expect(t, e, "default/web-node1", headline("ManifestInvalid"), unready, func(s exporter.Status) error {
		if len(s.Spec.Containers) > 0 {
			return fmt.Errorf("there still are containers: %+v", s.Spec.Containers)
		}
		return nil
	})

	write(t, n, "web.yaml", web)
	expect(t, e, "default/web-node1", ready, another(before), container("running"))
	shows(t, e, problems(1, "ManifestInvalid"), problems(1, "ManifestRejected"), problems(0, "NotAccepted"), problems(0, "Orphaned"), problems(0, "ContainerExited"), problems(0, "NotReady"))
}

// backup is what an editor leaves: of two files with one name in them the kubelet takes the last in byte order.
func backup(t *testing.T, n *node.Node) {
	defer empty(t, n)
	e := observe(t, n)
	write(t, n, "a.yaml", pod("a", "sleep", "2h"))
	before := expect(t, e, "default/a-node1", ready, container("running")).Spec.Containers[0]

	write(t, n, "a.yaml.bak", pod("a", "sleep", "1h"))
	stray := filepath.Join(n.ManifestDirectory(), "a.yaml.bak")
	s := expect(t, e, "default/a-node1", headline("DuplicateName"), another(before), container("running"), condition("Ready", "True"),
		problem(exporter.Problem{Reason: "DuplicateName", Level: "critical", Message: stray, Path: filepath.Join(n.ManifestDirectory(), "a.yaml")}),
		problem(exporter.Problem{Reason: "StrayFile", Level: "warning", Path: stray}))
	if s.Spec.Definition.Path != stray {
		t.Errorf("what runs is from %s, not from %s", stray, s.Spec.Definition.Path)
	}
	shows(t, e, problems(1, "DuplicateName"), problems(1, "StrayFile"), problems(0, "ManifestRejected"))
	backup := s.Spec.Containers[0]

	remove(t, n, "a.yaml.bak")
	s = expect(t, e, "default/a-node1", ready, another(backup), container("running"))
	if want := filepath.Join(n.ManifestDirectory(), "a.yaml"); s.Spec.Definition.Path != want {
		t.Errorf("what runs is from %s, not from %s", want, s.Spec.Definition.Path)
	}
	shows(t, e, value(none, "staticpod_problem_info"), problems(0, "NotAccepted"), problems(0, "Orphaned"), problems(0, "DuplicateSandbox"))
}

// hasRow reports whether a line of the table has all those words, in that order.
func hasRow(table string, words ...string) bool {
	for line := range strings.Lines(table) {
		rest, found := strings.Fields(line), 0
		for _, word := range rest {
			if found < len(words) && word == words[found] {
				found++
			}
		}
		if found == len(words) {
			return true
		}
	}
	return false
}
