package rollout

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"
	corev1 "k8s.io/api/core/v1"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/staticpod-exporter/staticpod-exporter/e2e/await"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/exporter"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/node"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/otlp"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/programs"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/registry"
)

// A stage is a node with an exporter that feeds it, and a receiver of its traces.
type stage struct {
	*testing.T
	*exporter.Exporter
	node     *node.Node
	registry *registry.Registry
	receiver *otlp.Receiver
	files    string // the directory of definitions
	state    string // the state directory
}

// open starts all of it. The kubelet logs its events: when it pulls is nowhere else to be had.
func open(t *testing.T) *stage {
	t.Helper()
	dir := t.TempDir()
	st := &stage{T: t, files: filepath.Join(dir, "pods.d"), state: filepath.Join(dir, "state")}
	st.must(os.Mkdir(st.files, 0o755))
	config := filepath.Join(dir, "config.yaml")
	st.must(os.WriteFile(config, fmt.Appendf(nil, "manifest:\n  files: [%q]\n", st.files+"/*.yaml"), 0o644))
	binary, err := exporter.Build(t.Context(), t.TempDir(), false)
	st.must(err)
	all, err := programs.Ensure(t.Context(), t.Output())
	st.must(err)
	st.registry, err = registry.Serve(all.Images, programs.PodImage)
	st.must(err)
	t.Cleanup(st.registry.Close)
	address, err := exporter.FreeAddress()
	st.must(err)
	st.node, err = node.Start(t.Context(), node.Options{
		Progress: t.Output(), Programs: all, ManifestURL: "http://" + address + "/pods", LogVerbosity: new(uint32(3)),
	})
	st.must(err)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(st.node.LogTail())
		}
		if err := st.node.Close(); err != nil {
			t.Error(err)
		}
	})
	st.receiver, err = otlp.Listen(t.Context(), otlp.Options{})
	st.must(err)
	t.Cleanup(st.receiver.Close)
	st.Exporter, err = exporter.New(exporter.Options{
		Binary: binary, Manifest: address, StateDirectory: st.state, ConfigFile: config, Flags: exporter.NodeFlags(st.node), Log: t.Output(),
		Env: append(st.receiver.Environment(otlp.GRPC), "OTEL_TRACES_EXPORTER=otlp", "OTEL_BSP_SCHEDULE_DELAY=100"),
	})
	st.must(err)
	t.Cleanup(st.Kill)
	st.must(st.Start(t.Context()))
	return st
}

func (st *stage) must(err error) {
	st.Helper()
	if err != nil {
		st.Fatal(err)
	}
}

// put puts a file into its place, and returns when it came there.
func (st *stage) put(dir, name, content string) time.Time {
	st.Helper()
	hidden, path := filepath.Join(dir, "."+name), filepath.Join(dir, name)
	st.must(os.WriteFile(hidden, []byte(content), 0o644))
	st.must(os.Rename(hidden, path))
	var s syscall.Stat_t
	st.must(syscall.Stat(path, &s))
	return time.Unix(s.Ctim.Unix())
}

// rolls waits until the rollout of a status is as wanted, and returns it.
func (st *stage) rolls(id string, wanted func(*exporter.Rollout) error) *exporter.Rollout {
	st.Helper()
	var ro *exporter.Rollout
	await.Nil(st, "the rollout of "+id, func(ctx context.Context) error {
		statuses, err := st.Statuses(ctx)
		if err != nil {
			return err
		}
		if ro = statuses[id].Spec.Rollout; ro == nil {
			return errors.New("there is none")
		}
		return wanted(ro)
	})
	return ro
}

// ends is a rollout that has ended so.
func ends(outcome string) func(*exporter.Rollout) error {
	return func(ro *exporter.Rollout) error {
		if ro.Outcome != outcome {
			return fmt.Errorf("its outcome is %q, not %q: %+v", ro.Outcome, outcome, ro.Steps)
		}
		return nil
	}
}

// another is a rollout of another trace than that, that has ended so.
func another(than *exporter.Rollout, outcome string) func(*exporter.Rollout) error {
	return func(ro *exporter.Rollout) error {
		if ro.TraceID == than.TraceID {
			return errors.New("it is the one before")
		}
		return ends(outcome)(ro)
	}
}

// A trace is all that was received of a rollout: its root and its steps in the order of their start.
type trace struct {
	root  otlp.Span
	steps []otlp.Span
}

// trace waits for the whole trace of a rollout. A span that came twice must be the same to the byte.
func (st *stage) trace(ro *exporter.Rollout) trace {
	st.Helper()
	var t trace
	await.Nil(st, "the trace of the rollout", func(context.Context) error {
		t = trace{}
		seen := map[string]string{}
		for _, s := range st.receiver.Spans() {
			if s.TraceID().String() != ro.TraceID {
				continue
			}
			said := marshalled(s)
			if before, ok := seen[s.SpanID().String()]; ok {
				if before != said {
					st.Fatalf("%s was told as\n%s\nand as\n%s", s.Name(), before, said)
				}
				continue
			}
			seen[s.SpanID().String()] = said
			if s.ParentSpanID().IsEmpty() {
				t.root = s
			} else {
				t.steps = append(t.steps, s)
			}
		}
		if t.root.Span == (ptrace.Span{}) || len(t.steps) != len(ro.Steps) {
			return fmt.Errorf("%d of %d steps have come", len(t.steps), len(ro.Steps))
		}
		return nil
	})
	place := func(s otlp.Span) int {
		return slices.IndexFunc(ro.Steps, func(step exporter.Step) bool { return spanName(step) == s.Name() })
	}
	slices.SortStableFunc(t.steps, func(a, b otlp.Span) int {
		return cmp.Or(cmp.Compare(a.StartTimestamp(), b.StartTimestamp()), place(a)-place(b))
	})
	st.must(st.receiver.Refused())
	return t
}

func spanName(s exporter.Step) string { return strings.TrimSpace(s.Name + " " + s.Container) }

func marshalled(s otlp.Span) string {
	one := ptrace.NewTraces()
	s.CopyTo(one.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty())
	data, err := (&ptrace.JSONMarshaler{}).MarshalTraces(one)
	if err != nil {
		return err.Error()
	}
	return string(data)
}

// nested fails unless the steps are those of the rollout as it is published, within the root, and its children.
func (st *stage) nested(t trace, ro *exporter.Rollout) {
	st.Helper()
	for i, s := range t.steps {
		name := spanName(ro.Steps[i])
		if s.Name() != name || !s.StartTimestamp().AsTime().Equal(ro.Steps[i].Start) {
			st.Errorf("step %d is %s at %s, in the status %s at %s", i, s.Name(), s.StartTimestamp(), name, ro.Steps[i].Start)
		}
		if s.ParentSpanID() != t.root.SpanID() {
			st.Errorf("%s is no child of the root", s.Name())
		}
		if s.StartTimestamp() < t.root.StartTimestamp() || s.EndTimestamp() > t.root.EndTimestamp() {
			st.Errorf("%s from %s to %s is not within the rollout from %s to %s", s.Name(), s.StartTimestamp(), s.EndTimestamp(), t.root.StartTimestamp(), t.root.EndTimestamp())
		}
	}
	if t.root.Name() != "rollout" || !t.root.StartTimestamp().AsTime().Equal(ro.Started) || !t.root.EndTimestamp().AsTime().Equal(ro.Ended) {
		st.Errorf("the root is %s from %s to %s", t.root.Name(), t.root.StartTimestamp(), t.root.EndTimestamp())
	}
}

// seenBy fails unless the collection that saw a step be done was received too.
func (st *stage) seenBy(s otlp.Span) {
	st.Helper()
	if s.Links().Len() != 1 {
		st.Errorf("%s has %d links", s.Name(), s.Links().Len())
		return
	}
	link := s.Links().At(0)
	await.Nil(st, "the collection that saw "+s.Name(), func(context.Context) error {
		for _, other := range st.receiver.Spans() {
			if other.TraceID() == link.TraceID() && other.SpanID() == link.SpanID() {
				return nil
			}
		}
		return errors.New("it was not received")
	})
}

// step is a span by its name.
func (t trace) step(name string) (otlp.Span, bool) {
	for _, s := range t.steps {
		if s.Name() == name {
			return s, true
		}
	}
	return otlp.Span{}, false
}

// exact is how far a boundary may be from the event that it is of.
const exact = 50 * time.Millisecond

// boundary fails unless a step begins or ends at a time.
func (st *stage) boundary(t trace, name, which string, want time.Time) {
	st.Helper()
	s, ok := t.step(name)
	if !ok {
		st.Errorf("there is no step %s", name)
		return
	}
	have := s.StartTimestamp().AsTime()
	if which == "end" {
		have = s.EndTimestamp().AsTime()
	}
	if off := have.Sub(want).Abs(); want.IsZero() || off > exact {
		st.Errorf("the %s of %s is %s, and the event was at %s: %s off", which, name, have.Format(time.RFC3339Nano), want.Format(time.RFC3339Nano), off)
	}
}

// sandbox asks the runtime about the sandbox of a pod.
func (st *stage) sandbox(uid string) *cri.PodSandbox {
	st.Helper()
	all, err := st.node.Runtime().ListPodSandbox(st.Context(), &cri.ListPodSandboxRequest{})
	st.must(err)
	for _, s := range all.Items {
		if s.Metadata.Uid == uid {
			return s
		}
	}
	st.Fatalf("the runtime has no sandbox of %s", uid)
	return nil
}

// container asks the runtime about a container of a sandbox, its first attempt.
func (st *stage) container(sandbox, name string) (made, started, finished time.Time) {
	st.Helper()
	all, err := st.node.Runtime().ListContainers(st.Context(), &cri.ListContainersRequest{Filter: &cri.ContainerFilter{PodSandboxId: sandbox}})
	st.must(err)
	for _, c := range all.Containers {
		if c.Metadata.Name != name || c.Metadata.Attempt != 0 {
			continue
		}
		answer, err := st.node.Runtime().ContainerStatus(st.Context(), &cri.ContainerStatusRequest{ContainerId: c.Id})
		st.must(err)
		return time.Unix(0, answer.Status.CreatedAt), time.Unix(0, answer.Status.StartedAt), time.Unix(0, answer.Status.FinishedAt)
	}
	st.Fatalf("the runtime has no container %s", name)
	return made, started, finished
}

// seen is when the kubelet first saw a pod, as it wrote on the sandbox.
func (st *stage) seen(s *cri.PodSandbox) time.Time {
	st.Helper()
	at, err := time.Parse(time.RFC3339Nano, s.Annotations["kubernetes.io/config.seen"])
	st.must(err)
	return at
}

// readySince is when the kubelet says that a pod became ready, to the second.
func (st *stage) readySince(uid string) time.Time {
	st.Helper()
	pods, err := st.node.Pods(st.Context())
	st.must(err)
	for _, p := range pods {
		for _, c := range p.Status.Conditions {
			if string(p.UID) == uid && c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue {
				return c.LastTransitionTime.Time
			}
		}
	}
	st.Fatalf("the kubelet has no ready pod %s", uid)
	return time.Time{}
}

// events are when the kubelet logged events with a reason about a container.
func (st *stage) events(container, reason string) []time.Time {
	st.Helper()
	data, err := os.ReadFile(st.node.KubeletLog().Path())
	st.must(err)
	var all []time.Time
	for line := range strings.Lines(string(data)) {
		var said struct {
			TS                     float64 `json:"ts"`
			Msg, Reason, FieldPath string
		}
		if json.Unmarshal([]byte(line), &said) == nil && said.Msg == "Event occurred" && said.Reason == reason && strings.HasSuffix(said.FieldPath, "ontainers{"+container+"}") {
			all = append(all, time.UnixMicro(int64(said.TS*1000)))
		}
	}
	return all
}
