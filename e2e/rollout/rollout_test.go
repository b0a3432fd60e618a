package rollout

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/staticpod-exporter/staticpod-exporter/e2e/await"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/exporter"
)

// web is a pod of two init containers, a sidecar between them, and two containers, the image of the second of which comes slowly.
const web = `apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  hostNetwork: true
  terminationGracePeriodSeconds: 0
  initContainers:
  - {name: one, image: "staticpod.test/pod:1", args: [exit, "0", 300ms]}
  - {name: side, image: "staticpod.test/pod:1", args: [pause], restartPolicy: Always}
  - {name: two, image: "staticpod.test/pod:1", args: [exit, "0", 200ms]}
  containers:
  - {name: a, image: "staticpod.test/pod:1", args: [pause]}
  - {name: b, image: "%s/slow/web:1", args: [pause]}
`

func pod(name, image string) string {
	return fmt.Sprintf(`apiVersion: v1
kind: Pod
metadata: {name: %s}
spec:
  hostNetwork: true
  terminationGracePeriodSeconds: 0
  containers:
  - {name: main, image: "%s", args: [pause]}
`, name, image)
}

func TestRollouts(t *testing.T) {
	st := open(t)
	first := st.manyContainers()
	st.refusedEdit(first)
	st.edit(first)
	st.fedByFile()
	st.unseenDefinition()
}

// In the middle of the rollout, while an image is pulled, the exporter is killed and the kubelet is restarted.
func (st *stage) manyContainers() *exporter.Rollout {
	written := st.put(st.files, "web.yaml", fmt.Sprintf(web, st.registry.Address()))
	st.rolls("default/web-node1", func(ro *exporter.Rollout) error {
		if s := ro.Step("pull", "b"); s == nil || ro.Step("container", "a") == nil {
			return fmt.Errorf("it is not at the image of b: %+v", ro.Steps)
		}
		return nil
	})
	// What it knows for half a second survives that: that the pull of b was begun, here.
	await.Nil(st, "the state of the exporter", func(context.Context) error {
		state, err := os.ReadFile(filepath.Join(st.state, "status.json"))
		if err == nil && !strings.Contains(string(state), `{"container":"b","begun":`) {
			err = errors.New("it does not tell of the pull yet")
		}
		return err
	})
	st.Kill()
	st.node.Kubelet.Stop(st.Context())
	st.must(st.node.Kubelet.Start(st.Context()))
	st.must(st.Start(st.Context()))
	st.registry.Release("web")
	ro := st.rolls("default/web-node1", ends("ready"))
	t := st.trace(ro)
	st.nested(t, ro)
	st.Log(table(ro))

	st.boundary(t, "changed", "start", written)
	box := st.sandbox(ro.UID)
	made := time.Unix(0, box.CreatedAt)
	st.boundary(t, "accepted", "end", st.seen(box))
	st.boundary(t, "sandbox", "start", st.seen(box))
	st.boundary(t, "sandbox", "end", made)
	for _, c := range []struct {
		name string
		init bool
	}{{"one", true}, {"side", false}, {"two", true}, {"a", false}, {"b", false}} {
		created, started, finished := st.container(box.Id, c.name)
		end := started
		if c.init {
			end = finished
		}
		st.boundary(t, "container "+c.name, "start", created)
		st.boundary(t, "container "+c.name, "end", end)
	}
	_, last, _ := st.container(box.Id, "b")
	st.boundary(t, "ready", "start", last)
	if ready := st.readySince(ro.UID); ready.After(last) {
		st.boundary(t, "ready", "end", ready)
	} else {
		st.boundary(t, "ready", "end", last) // within the second that the kubelet says
	}
	// Of what the runtime had there was no pull; of what it had not, the log tells when.
	for _, name := range []string{"pull one", "pull side", "pull two", "pull a"} {
		if _, ok := t.step(name); ok {
			st.Errorf("there is a step %s", name)
		}
	}
	st.boundary(t, "pull b", "start", st.events("b", "Pulling")[0])
	pulled := st.events("b", "Pulled")
	st.boundary(t, "pull b", "end", pulled[len(pulled)-1])

	st.exemplar(ro, t)
	return ro
}

// table writes a rollout for people.
func table(ro *exporter.Rollout) string {
	var b strings.Builder
	for _, s := range ro.Steps {
		fmt.Fprintf(&b, "%-10s %-5s %12s %12s  %s\n", s.Name, s.Container, s.Start.Sub(ro.Started), s.End.Sub(s.Start), s.Reason)
	}
	return fmt.Sprintf("%s after %s\n%s", ro.Outcome, ro.Ended.Sub(ro.Started), b.String())
}

// exemplar fails unless the whole rollout was counted once, and leads to its trace.
func (st *stage) exemplar(ro *exporter.Rollout, t trace) {
	m, err := st.Metrics(st.Context())
	st.must(err)
	for _, metric := range m["staticpod_rollout_duration_seconds"].GetMetric() {
		if metric.Label[0].GetValue() != "total" {
			continue
		}
		h := metric.GetHistogram()
		if h.GetSampleCount() != 1 || h.GetSampleSum() != ro.Ended.Sub(ro.Started).Seconds() {
			st.Errorf("%d rollouts took %g s", h.GetSampleCount(), h.GetSampleSum())
		}
	}
	open, err := st.OpenMetrics(st.Context())
	st.must(err)
	for _, want := range []string{`trace_id="` + ro.TraceID + `"`, `span_id="` + t.root.SpanID().String() + `"`} {
		if !strings.Contains(open, want) {
			st.Errorf("no exemplar has %s", want)
		}
	}
}

// An edit that is refused is a trace that says why, and where, and that follows the one before.
func (st *stage) refusedEdit(before *exporter.Rollout) {
	edited := strings.Replace(fmt.Sprintf(web, st.registry.Address()), `{name: a, image: "staticpod.test/pod:1"`, `{name: a, image: ""`, 1)
	st.put(st.files, "web.yaml", edited)
	ro := st.rolls("default/web-node1", another(before, "rejected"))
	t := st.trace(ro)
	st.nested(t, ro)
	if t.root.Status().Code() != ptrace.StatusCodeError || !strings.HasPrefix(t.root.Status().Message(), "ManifestInvalid: ") {
		st.Errorf("the root is %s: %s", t.root.Status().Code(), t.root.Status().Message())
	}
	rejected, _ := t.step("rejected")
	if rejected.Status().Code() != ptrace.StatusCodeError || rejected.Events().Len() != 1 {
		st.Fatalf("the refusal is %s, with %d events", rejected.Status().Code(), rejected.Events().Len())
	}
	line := 1 + strings.Count(edited[:strings.Index(edited, "{name: a,")], "\n")
	told := rejected.Events().At(0).Attributes().AsRaw()
	for key, want := range map[string]any{
		"staticpod.problem.reason": "ManifestInvalid", "staticpod.problem.line": int64(line), "staticpod.problem.field": "spec.containers[0].image",
		"file.path": filepath.Join(st.files, "web.yaml"),
	} {
		if told[key] != want {
			st.Errorf("%s is %v, not %v", key, told[key], want)
		}
	}
	if t.root.Links().Len() == 0 || t.root.Links().At(0).TraceID().String() != before.TraceID {
		st.Error("it does not lead to the rollout before")
	}
}

// An edit that is taken replaces the pod.
func (st *stage) edit(first *exporter.Rollout) {
	st.put(st.files, "web.yaml", pod("web", st.registry.Address()+"/good/web:2"))
	ro := st.rolls("default/web-node1", func(ro *exporter.Rollout) error {
		if ro.UID == first.UID {
			return fmt.Errorf("it is of UID %s", ro.UID)
		}
		return ends("ready")(ro)
	})
	t := st.trace(ro)
	st.nested(t, ro)
	st.Log(table(ro))
	box := st.sandbox(ro.UID)
	created, started, _ := st.container(box.Id, "main")
	st.boundary(t, "sandbox", "end", time.Unix(0, box.CreatedAt))
	st.boundary(t, "container main", "start", created)
	st.boundary(t, "container main", "end", started)
	st.boundary(t, "pull main", "end", st.events("main", "Pulled")[0])
}

// A file of the kubelet's own directory, which it reads without asking the exporter.
func (st *stage) fedByFile() {
	written := st.put(st.node.ManifestDirectory(), "agent.yaml", pod("agent", "staticpod.test/pod:1"))
	ro := st.rolls("default/agent-node1", ends("ready"))
	t := st.trace(ro)
	st.nested(t, ro)
	st.Log(table(ro))
	box := st.sandbox(ro.UID)
	st.boundary(t, "changed", "start", written)
	st.boundary(t, "accepted", "start", written)
	for _, s := range t.steps {
		st.seenBy(s)
	}
	st.boundary(t, "accepted", "end", st.seen(box))
	st.boundary(t, "sandbox", "end", time.Unix(0, box.CreatedAt))
}

// A pod whose definition the exporter may not see is followed from when the kubelet took it.
func (st *stage) unseenDefinition() {
	st.Stop(st.Context())
	st.Configure(func(o *exporter.Options) { o.Flags = append(o.Flags, "--kubelet.manifest-directory=") })
	st.must(st.Start(st.Context()))
	st.put(st.node.ManifestDirectory(), "hidden.yaml", pod("hidden", "staticpod.test/pod:1"))
	ro := st.rolls("default/hidden-node1", ends("ready"))
	t := st.trace(ro)
	st.nested(t, ro)
	st.Log(table(ro))
	box := st.sandbox(ro.UID)
	if ro.Revision != "" || !ro.Started.Equal(st.seen(box)) {
		st.Errorf("it began at %s, with revision %q", ro.Started, ro.Revision)
	}
	st.boundary(t, "sandbox", "end", time.Unix(0, box.CreatedAt))
	st.must(os.Remove(filepath.Join(st.node.ManifestDirectory(), "hidden.yaml")))
}
