package observing

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/staticpod-exporter/staticpod-exporter/e2e/await"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/exporter"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/node"
)

// start starts a node for the length of a test.
func start(t testing.TB, o node.Options) *node.Node {
	t.Helper()
	o.Progress = t.Output()
	n, err := node.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(n.LogTail())
		}
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return n
}

// install returns an exporter in observing mode, with a state of its own, that does not run yet.
func install(t testing.TB, n *node.Node, flags ...string) *exporter.Exporter {
	t.Helper()
	e, err := exporter.New(exporter.Options{Binary: binary, StateDirectory: t.TempDir(), Flags: append(exporter.NodeFlags(n), flags...), Log: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Kill)
	return e
}

// observe starts an exporter that looks at the node until the test ends. Later flags win.
func observe(t testing.TB, n *node.Node, flags ...string) *exporter.Exporter {
	t.Helper()
	e := install(t, n, flags...)
	launch(t, e)
	return e
}

func launch(t testing.TB, e *exporter.Exporter) {
	t.Helper()
	if err := e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// pod is a definition whose one container does what testpod does with those arguments.
func pod(name string, args ...string) string {
	return fmt.Sprintf(`apiVersion: v1
kind: Pod
metadata: {name: %s}
spec:
  hostNetwork: true
  terminationGracePeriodSeconds: 0
  containers:
  - {name: main, image: "staticpod.test/pod:1", args: ["%s"]}
`, name, strings.Join(args, `", "`))
}

// write puts a file into the kubelet's manifest directory as it should be done: never half written.
func write(t testing.TB, n *node.Node, name, content string) {
	t.Helper()
	path := filepath.Join(n.ManifestDirectory(), name)
	hidden := filepath.Join(n.ManifestDirectory(), "."+name)
	if err := os.WriteFile(hidden, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(hidden, path); err != nil {
		t.Fatal(err)
	}
}

func remove(t testing.TB, n *node.Node, name string) {
	t.Helper()
	if err := os.Remove(filepath.Join(n.ManifestDirectory(), name)); err != nil {
		t.Fatal(err)
	}
}

// empty takes all files from the manifest directory, waits until nothing runs, and puts the log away: the next
// scenario is of its own. (A new exporter reads the log of the day from its beginning, because refusals are in it.)
func empty(t testing.TB, n *node.Node) {
	t.Helper()
	files, err := os.ReadDir(n.ManifestDirectory())
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		remove(t, n, f.Name())
	}
	await.Nil(t, "an empty node", func(ctx context.Context) error {
		containers, err := n.Containers(ctx)
		if err != nil {
			return err
		}
		if i := slices.IndexFunc(containers, func(c node.Container) bool { return c.State == "running" }); i >= 0 {
			return fmt.Errorf("%s runs", containers[i].Pod)
		}
		pods, err := n.Pods(ctx)
		if err == nil && len(pods) > 0 {
			err = fmt.Errorf("the kubelet has %s", pods[0].Name)
		}
		return err
	})
	if err := n.KubeletLog().Rotate(".gone"); err != nil {
		t.Fatal(err)
	}
}

// An expectation of a status returns what is otherwise.
type expectation func(exporter.Status) error

// expect waits until the status with that ID is as expected, and returns it.
func expect(t testing.TB, e *exporter.Exporter, id string, all ...expectation) exporter.Status {
	t.Helper()
	var s exporter.Status
	await.Nil(t, id, func(ctx context.Context) (err error) {
		s, err = look(ctx, e, id, all...)
		return err
	})
	return s
}

// look compares the status with that ID with what is expected, once.
func look(ctx context.Context, e *exporter.Exporter, id string, all ...expectation) (exporter.Status, error) {
	statuses, err := e.Statuses(ctx)
	if err != nil {
		return exporter.Status{}, err
	}
	s, ok := statuses[id]
	if !ok {
		return s, fmt.Errorf("there is no such status among %v", ids(statuses))
	}
	var wrong []error
	for _, expected := range all {
		if err := expected(s); err != nil {
			wrong = append(wrong, err)
		}
	}
	if wrong == nil {
		return s, nil
	}
	spec, err := json.Marshal(s.Spec)
	return s, errors.Join(append(wrong, fmt.Errorf("in %s", spec), err)...)
}

func ids(statuses map[string]exporter.Status) []string {
	var all []string
	for id := range statuses {
		all = append(all, id)
	}
	slices.Sort(all)
	return all
}

// absent waits until there is no status with that ID.
func absent(t testing.TB, e *exporter.Exporter, id string) {
	t.Helper()
	await.Nil(t, id, func(ctx context.Context) error {
		statuses, err := e.Statuses(ctx)
		if _, ok := statuses[id]; ok && err == nil {
			err = errors.New("there still is such a status")
		}
		return err
	})
}

// ready is a pod that runs, is ready, and has nothing to be said against it.
func ready(s exporter.Status) error {
	switch {
	case !s.Spec.Ready || s.Condition("Ready") != "True":
		return fmt.Errorf("it is not ready: %s", s.Spec.Reason)
	case s.Spec.Stale:
		return errors.New("it is stale")
	}
	return sound(s)
}

func unready(s exporter.Status) error {
	if s.Spec.Ready {
		return errors.New("it is ready")
	}
	return nil
}

// sound has no problem.
func sound(s exporter.Status) error {
	if len(s.Spec.Problems) > 0 || s.Spec.Reason != "" {
		return fmt.Errorf("there is a problem: %s %v", s.Spec.Reason, s.Spec.Problems)
	}
	return nil
}

func headline(reason string) expectation {
	return func(s exporter.Status) error {
		if s.Spec.Reason != reason {
			return fmt.Errorf("its headline is %q, not %q", s.Spec.Reason, reason)
		}
		return nil
	}
}

func phase(phase string) expectation {
	return func(s exporter.Status) error {
		if s.Spec.Phase != phase {
			return fmt.Errorf("its phase is %q, not %q", s.Spec.Phase, phase)
		}
		return nil
	}
}

func stale(want bool) expectation {
	return func(s exporter.Status) error {
		if s.Spec.Stale != want {
			return fmt.Errorf("stale is %t", s.Spec.Stale)
		}
		return nil
	}
}

func condition(name, want string) expectation {
	return func(s exporter.Status) error {
		if got := s.Condition(name); got != want {
			return fmt.Errorf("condition %s is %q, not %q", name, got, want)
		}
		return nil
	}
}

// problem has all of want that is not zero.
func problem(want exporter.Problem) expectation {
	return func(s exporter.Status) error {
		got, ok := s.Problem(want.Reason)
		switch {
		case !ok:
			return fmt.Errorf("there is no problem %s", want.Reason)
		case want.Level != "" && got.Level != want.Level,
			!strings.Contains(got.Message, want.Message),
			want.Path != "" && got.Path != want.Path,
			want.Line != 0 && got.Line != want.Line,
			want.Field != "" && got.Field != want.Field:
			return fmt.Errorf("problem %+v is not %+v", got, want)
		case got.Since.IsZero():
			return fmt.Errorf("problem %+v has no onset", got)
		}
		return nil
	}
}

// container has one container, in that state.
func container(state string) expectation {
	return func(s exporter.Status) error {
		if len(s.Spec.Containers) != 1 || s.Spec.Containers[0].State != state {
			return fmt.Errorf("its containers are %+v, not one that is %s", s.Spec.Containers, state)
		}
		return nil
	}
}

// another is one container, other than that.
func another(than exporter.Container) expectation {
	return func(s exporter.Status) error {
		if len(s.Spec.Containers) != 1 || s.Spec.Containers[0].ID == than.ID {
			return fmt.Errorf("its containers are %+v, not one other than %s", s.Spec.Containers, than.ID)
		}
		return nil
	}
}

// scrape waits until a scrape is as expected.
func scrape(t testing.TB, e *exporter.Exporter, what string, check func(exporter.Metrics) error) {
	t.Helper()
	await.Nil(t, what, func(ctx context.Context) error {
		m, err := e.Metrics(ctx)
		if err != nil {
			return err
		}
		return check(m)
	})
}

// A series and its value; a negative one is a series that is not there.
type series struct {
	value  float64
	family string
	labels []string
}

const none = -1

func value(want float64, family string, labels ...string) series {
	return series{want, family, labels}
}

// shows waits until a scrape has all those series.
func shows(t testing.TB, e *exporter.Exporter, all ...series) {
	t.Helper()
	scrape(t, e, "metrics", func(m exporter.Metrics) error {
		var wrong []error
		for _, s := range all {
			if got, ok := m.Value(s.family, s.labels...); ok != (s.value != none) || ok && got != s.value {
				wrong = append(wrong, fmt.Errorf("%s%v is %v (%t), not %v", s.family, s.labels, got, ok, s.value))
			}
		}
		return errors.Join(wrong...)
	})
}

// problems is the counter of a reason.
func problems(want float64, reason string) series {
	return value(want, "staticpod_problems_total", "reason", reason)
}
