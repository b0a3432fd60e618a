package serving

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/staticpod-exporter/staticpod-exporter/e2e/await"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/exporter"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/node"
)

// fetched waits until the kubelet has come for the list that often from now on.
func (s *scene) fetched(times float64, code string) {
	s.Helper()
	count := func(ctx context.Context) (float64, error) {
		m, err := s.Metrics(ctx)
		if err != nil {
			return 0, err
		}
		n, _ := m.Value("staticpod_manifest_fetches_total", "code", code)
		return n, nil
	}
	before, err := count(s.Context())
	s.must(err)
	await.Nil(s, "fetches answered with "+code, func(ctx context.Context) error {
		n, err := count(ctx)
		if err == nil && n < before+times {
			err = fmt.Errorf("%v of %v", n-before, times)
		}
		return err
	})
}

// remains checks for three of the kubelet's periods and some more that something is so.
func (s *scene) remains(what string, check func() error) {
	s.Helper()
	await.Always(s, 3500*time.Millisecond, what, func(context.Context) error { return check() })
}

// undisturbed checks that containers still run, the very same ones: same IDs, same sandboxes, not restarted.
func (s *scene) undisturbed(before []node.Container, names ...string) {
	s.Helper()
	if len(before) == 0 {
		s.Fatal("no containers to compare")
	}
	if now := s.containers(names...); !slices.Equal(now, before) {
		s.Fatalf("the containers before\n\t%+v\nand now\n\t%+v", before, now)
	}
}

// ready waits until exactly these pods are Ready, notes when /metrics said so, and waits for /staticpodstatus and
// the kubelet to agree.
func (s *scene) ready(cause time.Time, names ...string) {
	s.Helper()
	slices.Sort(names)
	await.Nil(s, fmt.Sprint("ready on /metrics ", names), func(ctx context.Context) error {
		m, err := s.Metrics(ctx)
		if err != nil {
			return err
		}
		for _, name := range names {
			if v, ok := m.Value("staticpod_ready", "pod", s.pod(name)); !ok || v != 1 {
				return s.explain(ctx, name)
			}
		}
		return nil
	})
	s.note(cause, "Ready: "+strings.Join(names, ", "))
	await.Nil(s, "exactly the ready pods are there", func(ctx context.Context) error {
		statuses, err := s.Statuses(ctx)
		if err != nil {
			return err
		}
		var ready []string
		for id, status := range statuses {
			if status.Spec.Ready && id != "node" {
				ready = append(ready, strings.TrimSuffix(status.Spec.Pod.Name, "-"+s.node.Name()))
			}
		}
		slices.Sort(ready)
		pods, err := s.node.Pods(ctx)
		if err != nil {
			return err
		}
		if !slices.Equal(ready, names) || len(pods) != len(names) {
			return fmt.Errorf("ready are %v, and the kubelet has %d pods", ready, len(pods))
		}
		return nil
	})
}

// explain says what is known of a pod that is not as it should be.
func (s *scene) explain(ctx context.Context, name string) error {
	statuses, err := s.Statuses(ctx)
	if err != nil {
		return err
	}
	status, ok := statuses[s.id(name)]
	if !ok {
		return fmt.Errorf("there is no %s", s.id(name))
	}
	return fmt.Errorf("%s, UID %s: ready %v, phase %q, reason %q: %s", name, status.Spec.Pod.UID, status.Spec.Ready, status.Spec.Phase, status.Spec.Reason, status.Spec.Message)
}

// rolledOut waits until the one pod of a definition is the new one, and Ready, and notes when /metrics said so.
func (s *scene) rolledOut(cause time.Time, name string) {
	s.Helper()
	uid := s.definition("default-" + name).Spec.UID
	await.Nil(s, "the rollout of "+name, func(ctx context.Context) error {
		m, err := s.Metrics(ctx)
		if err != nil {
			return err
		}
		ready, _ := m.Value("staticpod_ready", "pod", s.pod(name))
		if _, is := m.Value("staticpod_info", "pod", s.pod(name), "uid", uid); !is || ready != 1 {
			return s.explain(ctx, name)
		}
		return nil
	})
	s.note(cause, "rollout of "+name)
	if now := s.containers(name); len(now) != 1 || now[0].UID != uid || now[0].Attempt != 0 {
		s.Errorf("of %s there run %+v, expected one with the UID %s, not restarted", name, now, uid)
	}
}

// gone waits until no container of a pod runs and the exporter has forgotten it.
func (s *scene) gone(cause time.Time, name string) {
	s.Helper()
	await.Nil(s, "the end of "+name, func(ctx context.Context) error {
		if left := s.containers(name); len(left) > 0 {
			return fmt.Errorf("still runs: %+v", left)
		}
		m, err := s.Metrics(ctx)
		if err != nil {
			return err
		}
		if _, ok := m.Value("staticpod_ready", "pod", s.pod(name)); ok {
			return errors.New("still on /metrics")
		}
		return nil
	})
	s.note(cause, "removal of "+name)
}

// A finding is a reason that is to be found, of the status with that ID.
type finding struct{ id, reason string }

// headline waits until a problem of the status with that ID is in /metrics, notes when, and until it is the headline.
func (s *scene) headline(cause time.Time, id, reason string) exporter.Status {
	s.Helper()
	s.begun(cause, finding{id, reason})
	return s.reads(id, reason)
}

// reads waits until a reason is the headline of the status with that ID, and returns the status.
func (s *scene) reads(id, reason string) (status exporter.Status) {
	s.Helper()
	await.Nil(s, "headline of "+id, func(ctx context.Context) error {
		statuses, err := s.Statuses(ctx)
		if err != nil {
			return err
		}
		status = statuses[id]
		if status.Spec.Reason != reason {
			return fmt.Errorf("reason %q instead of %q: %s; problems %+v", status.Spec.Reason, reason, status.Spec.Message, status.Spec.Problems)
		}
		return nil
	})
	s.Logf("%s: %s: %s", id, reason, status.Spec.Message)
	return status
}

// begun waits until problems are in /metrics and notes when each came.
func (s *scene) begun(cause time.Time, findings ...finding) {
	s.Helper()
	s.turn(cause, true, "", findings)
}

// ended waits until problems are gone from /metrics and /staticpodstatus, and notes when each went.
func (s *scene) ended(cause time.Time, findings ...finding) {
	s.Helper()
	s.turn(cause, false, "end of ", findings)
	for _, f := range findings {
		if p, ok := s.status(f.id).Problem(f.reason); ok {
			s.Errorf("%s has no longer %s on /metrics, but on /staticpodstatus: %+v", f.id, f.reason, p)
		}
	}
}

// turn waits until problems are in /metrics, or no longer are.
func (s *scene) turn(cause time.Time, present bool, word string, findings []finding) {
	s.Helper()
	findings = slices.Clone(findings)
	await.Nil(s, "problems on /metrics", func(ctx context.Context) error {
		m, err := s.Metrics(ctx)
		if err != nil {
			return err
		}
		findings = slices.DeleteFunc(findings, func(f finding) bool {
			done := hasProblem(m, f.id, f.reason) == present
			if done {
				s.note(cause, word+f.reason+" of "+filepath.Base(f.id))
			}
			return done
		})
		if len(findings) == 0 {
			return nil
		}
		statuses, err := s.Statuses(ctx)
		status := statuses[findings[0].id].Spec
		return cmp.Or(err, fmt.Errorf("missing is the %s%+v; the first now says %q: %s; problems %+v", word, findings, status.Reason, status.Message, status.Problems))
	})
}

// hasProblem looks for a problem by the ID of its status: of a pod, of the node or of a file.
func hasProblem(m exporter.Metrics, id, reason string) bool {
	labels := []string{"reason", reason}
	switch namespace, pod, _ := strings.Cut(id, "/"); {
	case strings.HasPrefix(id, "file:"):
		labels = append(labels, "definition", id)
	case id == "node":
		labels = append(labels, "definition", "", "namespace", "", "pod", "")
	default:
		labels = append(labels, "namespace", namespace, "pod", pod)
	}
	_, ok := m.Value("staticpod_problem_start_timestamp_seconds", labels...)
	return ok
}

// note notes how long ago the cause was.
func (s *scene) note(cause time.Time, effect string) {
	s.Helper()
	took := time.Since(cause)
	_, name, _ := strings.Cut(s.Name(), "/")
	s.figures = append(s.figures, figure{strings.ReplaceAll(name, "_", " "), effect, took})
	s.Logf("%6.2fs to /metrics: %s", took.Seconds(), effect)
}
