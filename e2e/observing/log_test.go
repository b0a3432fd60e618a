package observing

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/staticpod-exporter/staticpod-exporter/e2e/await"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/exporter"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/node"
)

// Whatever happens to the kubelet's log, and to who reads it: each refusal is met once, and no line is lost.
func TestLog(t *testing.T) {
	n := start(t, node.Options{})
	t.Run("JSON", func(t *testing.T) { rotations(t, n) })
	n.Kubelet.Stop(t.Context())
	n.Configure(func(o *node.Options) { o.LogFormat = "text" })
	if err := n.Kubelet.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Run("text", func(t *testing.T) { rotations(t, n) })
}

func rotations(t *testing.T, n *node.Node) {
	defer empty(t, n)
	log := n.KubeletLog()
	defer func() {
		for i := range 10 {
			os.Remove(fmt.Sprint(log.Path(), ".", i))
		}
	}()
	if err := log.Rotate(".gone"); err != nil { // what came before is of no concern
		t.Fatal(err)
	}
	e := observe(t, n, "--kubelet.manifest-directory=")
	refused(t, n, e, "one")

	// logrotate, with a postrotate script that takes its time: until then the kubelet writes to the renamed file.
	if err := log.Rename(".1"); err != nil {
		t.Fatal(err)
	}
	refused(t, n, e, "two")
	if err := log.Reopen(); err != nil {
		t.Fatal(err)
	}
	refused(t, n, e, "three")

	// logrotate, with copytruncate. That nothing was written between the two it cannot know, and says so.
	shift(t, log)
	if err := log.CopyTruncate(".1"); err != nil {
		t.Fatal(err)
	}
	refused(t, n, e, "four")
	shows(t, e, problems(4, "ManifestRejected"), value(4, "staticpod_manifest_rejections_total", "stage", "kubelet"), value(1, "staticpod_kubelet_log_gaps_total"))
	read := caughtUp(t, n, e, logged{})

	// The exporter is restarted, and the log is rotated while nobody reads it.
	e.Stop(t.Context())
	write(t, n, "five.yaml", strings.Replace(broken, "broken", "five", 1))
	logs(t, log, "five.yaml")
	shift(t, log)
	if err := log.Rotate(".1"); err != nil {
		t.Fatal(err)
	}
	launch(t, e)
	refused(t, n, e, "six")
	for _, name := range []string{"one", "two", "three", "four", "five"} {
		expect(t, e, refusal(n, name), headline("ManifestRejected"))
	}
	shows(t, e, problems(2, "ManifestRejected"), value(0, "staticpod_kubelet_log_gaps_total"))
	caughtUp(t, n, e, read)

	// A crash: what was read since the last checkpoint is read again, and tells nothing new.
	e.Kill()
	launch(t, e)
	for _, name := range []string{"one", "two", "three", "four", "five", "six"} {
		expect(t, e, refusal(n, name), headline("ManifestRejected"))
	}
	refused(t, n, e, "seven")
	shows(t, e, problems(1, "ManifestRejected"), value(0, "staticpod_kubelet_log_gaps_total"))

	// All are mended, and the kubelet's silence is heard.
	for _, name := range []string{"one", "two", "three", "four", "five", "six", "seven"} {
		remove(t, n, name+".yaml")
	}
	for _, name := range []string{"one", "seven"} {
		absent(t, e, refusal(n, name))
	}
	shows(t, e, value(none, "staticpod_problem_info"), problems(1, "ManifestRejected"))
}

// refused puts a file that the kubelet refuses and waits until the exporter has it from the log.
func refused(t *testing.T, n *node.Node, e *exporter.Exporter, name string) {
	t.Helper()
	write(t, n, name+".yaml", strings.Replace(broken, "broken", name, 1))
	expect(t, e, refusal(n, name), headline("ManifestRejected"), problem(exporter.Problem{Reason: "ManifestRejected", Message: "invalid pod: [spec.containers: Required value]"}))
}

func refusal(n *node.Node, name string) string {
	return "file:" + filepath.Join(n.ManifestDirectory(), name+".yaml")
}

// logs waits until the log says something.
func logs(t *testing.T, log *node.LogFile, what string) {
	t.Helper()
	await.Nil(t, "the kubelet's line about "+what, func(context.Context) error {
		content, err := os.ReadFile(log.Path())
		if err == nil && !bytes.Contains(content, []byte(what)) {
			err = errors.New("not there")
		}
		return err
	})
}

// shift makes room for another rotated file, as logrotate does.
func shift(t *testing.T, log *node.LogFile) {
	t.Helper()
	for i := 8; i > 0; i-- {
		if err := os.Rename(fmt.Sprint(log.Path(), ".", i), fmt.Sprint(log.Path(), ".", i+1)); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
}

// logged is how much is in the log and the files that it was rotated to.
type logged struct{ lines, bytes, events int }

// messages are those of which the exporter makes events, of all that a node such as this one says.
var messages = [][]byte{
	[]byte("Could not process manifest file"), []byte("Could not get metadata"), []byte("Unable to process watch event"), []byte("Unable to read config path"),
	[]byte("Adding static pod path"), []byte("Error syncing pod, skipping"),
}

func inLog(log *node.LogFile) (all logged, err error) {
	for i := range 10 {
		path := log.Path()
		if i > 0 {
			path = fmt.Sprint(path, ".", i)
		}
		content, err := os.ReadFile(path)
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			return all, err
		}
		all.bytes += len(content)
		for line := range bytes.Lines(content) {
			all.lines++
			for _, m := range messages {
				if bytes.Contains(line, m) {
					all.events++
					break
				}
			}
		}
	}
	return all, nil
}

// caughtUp waits until the exporter, in this life, has read exactly what came after before. The kubelet is silent
// meanwhile. It returns what is in the log now.
func caughtUp(t *testing.T, n *node.Node, e *exporter.Exporter, before logged) logged {
	t.Helper()
	if err := n.Kubelet.Freeze(); err != nil {
		t.Fatal(err)
	}
	defer n.Kubelet.Thaw()
	now, err := inLog(n.KubeletLog())
	if err != nil {
		t.Fatal(err)
	}
	shows(t, e,
		value(float64(now.lines-before.lines), "staticpod_kubelet_log_lines_total"),
		value(float64(now.bytes-before.bytes), "staticpod_kubelet_log_bytes_total"),
		value(float64(now.events-before.events), "staticpod_kubelet_log_events_total"),
		value(0, "staticpod_kubelet_log_lag_bytes"))
	return now
}
