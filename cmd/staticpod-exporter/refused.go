package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/staticpod-exporter/staticpod-exporter/collector/kubeletlog"
	"github.com/staticpod-exporter/staticpod-exporter/cri/containerlog"
	"github.com/staticpod-exporter/staticpod-exporter/manifest"
	"github.com/staticpod-exporter/staticpod-exporter/observe/output"
)

const (
	// How often it is looked whether a pod without a container has got one, and what the kubelet has said since.
	lookInterval = time.Second
	readInterval = 5 * time.Second
)

// How a pod is whose container cannot be shown.
const (
	absent = "does not run"
	notYet = "has no container yet"
	unseen = "may run or not"
)

// withoutRuntime prints what the kubelet says about a pod that a manifest defines, while the runtime says nothing.
func (q *logQuery) withoutRuntime(ctx context.Context, mute error) error {
	if q.options.previous || !q.subject().known {
		return mute
	}
	q.note("%v", mute)
	err := q.withoutContainer(ctx, unseen)
	if err == nil && !q.options.follow {
		return errIncomplete
	}
	return err
}

// withoutContainer prints what the kubelet says about a pod that has no container, or not the one that was asked
// for. is says how it is.
func (q *logQuery) withoutContainer(ctx context.Context, is string) error {
	if q.options.previous {
		return fmt.Errorf("%s has no container in the runtime, so none before the last one either", q.id)
	}
	a := q.subject()
	lines, err := q.kubeletLines(ctx, a)
	if ctx.Err() != nil {
		return nil
	}
	if len(lines) == 0 && is == absent && !a.known {
		return errors.Join(q.unknown(ctx), err)
	}
	switch {
	case err != nil:
		q.note("%s %s: %v", q.id, is, err)
	case len(lines) == 0 && is == unseen:
		q.note("%s %s, and the kubelet's log says nothing about it", q.id, is)
	case len(lines) == 0:
		q.note("%s %s, and the kubelet's log does not say why", q.id, is)
	case a.nameless:
		q.note("%s %s, and the kubelet has refused a list of pods without saying which it was. Its log says:", q.id, is)
	default:
		q.note("%s %s. The kubelet's log says about it:", q.id, is)
	}
	if err := q.printLines(lines); err != nil {
		return err
	}
	if q.options.follow {
		return q.await(ctx, a, is, lines)
	}
	if err != nil || len(lines) == 0 {
		return errInvalid // it has been told
	}
	return nil
}

// unknown says that there is nothing of that name, and what there is.
func (q *logQuery) unknown(ctx context.Context) error {
	err := fmt.Errorf("the container runtime has no %s, no manifest defines it, and the kubelet's log does not know it", q.id)
	if there := q.complete(ctx); len(there) > 0 {
		err = fmt.Errorf("%w; there are: %s", err, output.Printable(strings.Join(there, ", ")))
	}
	return err
}

// A subject is a pod as the kubelet may speak of it.
type subject struct {
	namespace string // "" for any
	names     []string
	paths     []string // of the manifests that define it; files of the kubelet's directory go by their name alone
	uids      []string
	known     bool // some manifest defines it
	byURL     bool // the kubelet may get it by URL
	nameless  bool // what was found names no pod
}

// subject finds out how the kubelet may speak of what the ID names.
func (q *logQuery) subject() *subject {
	a := &subject{namespace: q.id.namespace, names: []string{q.id.pod, q.id.pod + "-" + q.node}, byURL: true}
	if q.id.path != "" {
		a.names, a.paths, a.byURL = nil, []string{q.id.path}, false
	}
	candidates, directory := q.definitions()
	for _, c := range candidates {
		if !q.named(c) {
			continue
		}
		a.known = true
		a.paths = append(a.paths, c.Path)
		a.names = append(a.names, c.Name+"-"+q.node)
		if c.UID != "" {
			a.uids = append(a.uids, string(c.UID))
		}
		if within(c.Path, directory) {
			a.byURL = false
		}
	}
	return a
}

func within(path, directory string) bool {
	return directory != "" && (path == directory || filepath.Dir(path) == filepath.Clean(directory))
}

// named reports whether the ID names a definition.
func (q *logQuery) named(c *manifest.Candidate) bool {
	if q.id.path != "" {
		return c.Path == q.id.path
	}
	return c.Name != "" && (q.id.pod == c.Name || q.id.pod == c.Name+"-"+q.node) && (q.id.namespace == "" || q.id.namespace == c.Namespace)
}

// defines reports whether a definition that the ID names has a container.
func (q *logQuery) defines(container string) bool {
	candidates, _ := q.definitions()
	for _, c := range candidates {
		if !q.named(c) || c.Pod == nil {
			continue
		}
		for _, other := range slices.Concat(c.Pod.Spec.InitContainers, c.Pod.Spec.Containers) {
			if other.Name == container {
				return true
			}
		}
	}
	return false
}

// about reports whether the kubelet says something of the subject.
func (a *subject) about(e *kubeletlog.Event) bool {
	switch {
	case e.Path != "":
		return slices.ContainsFunc(a.paths, func(path string) bool { return filepath.Base(path) == filepath.Base(e.Path) })
	case e.Pod != "":
		return slices.Contains(a.names, e.Pod) && (a.namespace == "" || e.Namespace == "" || e.Namespace == a.namespace)
	}
	return e.UID != "" && slices.Contains(a.uids, e.UID)
}

// kubeletLines are what the kubelet's log says about a subject: when that is nothing and the kubelet may get it by
// URL, what it says about the list since it last took one.
func (q *logQuery) kubeletLines(ctx context.Context, a *subject) ([]kubeletlog.Line, error) {
	if q.Kubelet.Log == "" {
		return nil, errors.New("kubelet.log is empty: by this configuration the kubelet's log is not to be read")
	}
	end := startProgress(q.notes, func() string { return "reading the kubelet's log" })
	defer end()
	lines, err := kubeletlog.Read(ctx, q.Kubelet.Log, func(e *kubeletlog.Event) bool {
		return a.about(e) || a.byURL && e.Kind == kubeletlog.URLRefused
	})
	named := slices.DeleteFunc(slices.Clone(lines), func(l kubeletlog.Line) bool { return !a.about(&l.Event) })
	a.nameless = len(named) == 0 && len(lines) > 0 && a.known
	if a.nameless {
		return lines, err
	}
	return named, err
}

// printLines prints lines of the kubelet's as the flags ask for, each text once: with its last time.
func (q *logQuery) printLines(lines []kubeletlog.Line) error {
	type said struct {
		last, first time.Time
		text        string
		times       int
	}
	var all []*said
	for _, l := range lines {
		at := slices.IndexFunc(all, func(s *said) bool { return s.text == l.Text })
		s := &said{first: l.At, text: l.Text}
		if at >= 0 {
			s = all[at]
			all = slices.Delete(all, at, at+1)
		}
		s.last = l.At
		s.times++
		all = append(all, s)
	}
	all = slices.DeleteFunc(all, func(s *said) bool { return s.last.Before(q.options.Since) })
	if q.options.Tail >= 0 {
		all = all[max(0, len(all)-q.options.Tail):]
	}
	for _, s := range all {
		again := ""
		if s.times > 1 {
			again = fmt.Sprintf(" (%d times since %s)", s.times, s.first.UTC().Format(time.RFC3339))
		}
		if _, err := fmt.Fprintf(q.out, "%s %s%s\n", s.last.UTC().Format(lineTime), output.Printable(s.text), again); err != nil {
			return err
		}
	}
	return nil
}

const lineTime = "2006-01-02T15:04:05.000000Z07:00"

// await prints what more the kubelet says, until the pod has a container, and then follows that.
func (q *logQuery) await(ctx context.Context, a *subject, is string, told []kubeletlog.Line) error {
	if is == unseen {
		q.note("waiting for the runtime")
	} else {
		q.note("waiting for it to be started")
	}
	look, read := time.NewTicker(lookInterval), time.NewTicker(readInterval)
	defer look.Stop()
	defer read.Stop()
	quiet := *q
	quiet.notes = io.Discard // a runtime that is asked every second need not be told of
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-look.C:
			t, err := quiet.find(ctx)
			if ambiguous, ok := errors.AsType[*ambiguousError](err); ok {
				return ambiguous // there is more than one container now
			}
			if err == nil && len(t.attempts) > 0 {
				if is == unseen {
					return q.print(ctx, t)
				}
				o := q.options.Options
				o.Tail = -1 // all of it is new
				return q.follow(ctx, t, containerlog.Attempt{}, containerlog.NewPrinter(q.out, o))
			}
		case <-read.C:
			lines, err := quiet.kubeletLines(ctx, a)
			if err != nil {
				continue
			}
			if err := q.printLines(after(lines, told)); err != nil {
				return err
			}
			told = lines
		}
	}
}

// after are the lines that came after those that were told.
func after(lines, told []kubeletlog.Line) []kubeletlog.Line {
	if len(told) == 0 {
		return lines
	}
	last := told[len(told)-1]
	for i := len(lines) - 1; i >= 0; i-- {
		if lines[i].At.Equal(last.At) && lines[i].Text == last.Text {
			return lines[i+1:]
		}
	}
	return slices.DeleteFunc(slices.Clone(lines), func(l kubeletlog.Line) bool { return !l.At.After(last.At) })
}
