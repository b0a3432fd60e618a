package main

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/staticpod-exporter/staticpod-exporter/cri"
	"github.com/staticpod-exporter/staticpod-exporter/observe/output"
)

// A containerID names a container, or what may become one, as somebody typed it:
//
//	[NAMESPACE/]POD[:CONTAINER[:ID]]   with the node's name at the end of POD, or without it
//	ID                                 of a container, or its beginning
//	file:/PATH                         a manifest, by its path
type containerID struct {
	namespace, pod, container, id string
	path                          string
}

func (c containerID) String() string {
	if c.path != "" {
		return "file:" + c.path
	}
	s := c.pod
	if c.namespace != "" {
		s = c.namespace + "/" + s
	}
	if c.container != "" {
		s += ":" + c.container
	}
	if c.id != "" {
		s += ":" + c.id
	}
	return s
}

// parseContainerID takes an ID apart. It does not say whether there is such a thing.
func parseContainerID(text string) (containerID, error) {
	var c containerID
	malformed := usageError{fmt.Errorf("%q is no ID of a container: [NAMESPACE/]POD[:CONTAINER[:ID]]", text)}
	if path, ok := strings.CutPrefix(text, "file:"); ok && strings.HasPrefix(path, "/") {
		c.path = path
		return c, nil
	}
	pod, rest, hasContainer := strings.Cut(text, ":")
	namespace, name, hasNamespace := strings.Cut(pod, "/")
	if !hasNamespace {
		namespace, name = "", pod
	}
	container, id, hasID := strings.Cut(rest, ":")
	c = containerID{namespace: namespace, pod: name, container: container, id: id}
	for _, part := range []struct {
		is   bool
		text string
	}{{true, name}, {hasNamespace, namespace}, {hasContainer, container}, {hasID, id}} {
		if part.is && !isName(part.text) {
			return containerID{}, malformed
		}
	}
	return c, nil
}

// isName reports whether s may be a name of Kubernetes, or the ID of a container.
func isName(s string) bool {
	return s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-.") == ""
}

// A target is the container that an ID names.
type target struct {
	namespace, pod, container string
	attempts                  []cri.Container // that the runtime has, oldest first; none while it has yet to be made
	one                       bool            // one attempt was named by its ID, and is the only one here
}

func (t *target) String() string {
	if t.container == "" {
		return t.namespace + "/" + t.pod
	}
	return t.namespace + "/" + t.pod + ":" + t.container
}

// errNoSuchPod says that the runtime has no pod of a name.
var errNoSuchPod = errors.New("no such pod in the container runtime")

// find returns what an ID names among the sandboxes of a node. A static pod goes before another one, and a name as
// it stands before one to which the node's has to be added.
func (c containerID) find(sandboxes []cri.Sandbox, node string) (*target, error) {
	pods := c.pods(sandboxes, node)
	if len(pods) == 0 {
		return c.byID(sandboxes)
	}
	if names := podIDs(pods); len(names) > 1 {
		return nil, &ambiguousError{c, names}
	}
	t := &target{namespace: pods[0].Namespace, pod: pods[0].Name}
	var names []string
	for _, s := range pods {
		for _, a := range s.Containers {
			names = append(names, a.Name)
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	t.container = c.container
	switch {
	case len(names) == 0:
		return t, nil
	case c.container == "" && len(names) > 1:
		for i := range names {
			names[i] = t.String() + ":" + names[i]
		}
		return nil, &ambiguousError{c, names}
	case c.container == "":
		t.container = names[0]
	case !slices.Contains(names, c.container):
		t.container = ""
		return nil, &noContainerError{t.String(), c.container, names}
	}
	for _, s := range pods {
		for _, a := range s.Containers {
			if a.Name == t.container {
				t.attempts = append(t.attempts, a)
			}
		}
	}
	sortAttempts(t.attempts)
	if c.id == "" {
		return t, nil
	}
	return t.only(c)
}

// sortAttempts sorts attempts at running one container, oldest first: those of one pod by their numbers, since the clock may
// have been set back meanwhile, and pods by their last attempts.
func sortAttempts(attempts []cri.Container) {
	last := map[string]time.Time{} // by pod
	for _, a := range attempts {
		if pod := attempt(a).UID; a.Created.After(last[pod]) {
			last[pod] = a.Created
		}
	}
	slices.SortStableFunc(attempts, func(a, b cri.Container) int {
		podA, podB := attempt(a).UID, attempt(b).UID
		return cmp.Or(last[podA].Compare(last[podB]), cmp.Compare(podA, podB), cmp.Compare(a.RestartCount, b.RestartCount), a.Created.Compare(b.Created))
	})
}

// pods are the sandboxes of the pods that the ID may name.
func (c containerID) pods(sandboxes []cri.Sandbox, node string) []cri.Sandbox {
	for _, static := range []bool{true, false} {
		for _, name := range []string{c.pod, c.pod + "-" + node} {
			var found []cri.Sandbox
			for _, s := range sandboxes {
				if s.Name == name && (c.namespace == "" || s.Namespace == c.namespace) && s.Static() == static {
					found = append(found, s)
				}
			}
			if len(found) > 0 {
				return found
			}
		}
	}
	return nil
}

func podIDs(sandboxes []cri.Sandbox) (ids []string) {
	for _, s := range sandboxes {
		ids = append(ids, podID(s))
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// leastID is how much of a container's ID must be given where no pod is.
const leastID = 6

// byID returns the container whose ID begins with what may have been taken for a pod's name.
func (c containerID) byID(sandboxes []cri.Sandbox) (*target, error) {
	var found []*target
	var names []string
	for _, s := range sandboxes {
		for _, a := range s.Containers {
			if c.namespace == "" && c.container == "" && len(c.pod) >= leastID && strings.HasPrefix(a.ID, c.pod) {
				t := &target{namespace: s.Namespace, pod: s.Name, container: a.Name, attempts: []cri.Container{a}, one: true}
				found = append(found, t)
				names = append(names, t.attempt(a))
			}
		}
	}
	switch len(found) {
	case 0:
		return nil, errNoSuchPod
	case 1:
		return found[0], nil
	}
	return nil, &ambiguousError{c, names}
}

// attempt is the ID of one attempt as it is listed.
func (t *target) attempt(a cri.Container) string { return t.String() + ":" + shortID(a.ID) }

// only leaves the attempt that was named by its ID: by its beginning, or, as talosctl takes it, any part of it.
func (t *target) only(c containerID) (*target, error) {
	var all []string
	for _, a := range t.attempts {
		all = append(all, t.attempt(a))
	}
	for _, matches := range []func(s, id string) bool{strings.HasPrefix, strings.Contains} {
		var found []cri.Container
		var names []string
		for i, a := range t.attempts {
			if matches(a.ID, c.id) {
				found, names = append(found, a), append(names, all[i])
			}
		}
		switch len(found) {
		case 0:
			continue
		case 1:
			t.attempts, t.one = found, true
			return t, nil
		}
		return nil, &ambiguousError{c, names}
	}
	return nil, fmt.Errorf("the runtime has no attempt %s of %s any more; there are: %s", c.id, t, strings.Join(all, ", "))
}

// An ambiguousError is about an ID that may name more than one thing.
type ambiguousError struct {
	id         containerID
	candidates []string
}

func (e *ambiguousError) Error() string {
	return output.Printable(fmt.Sprintf("%s may be any of: %s", e.id, strings.Join(e.candidates, ", ")))
}

// A noContainerError is about a pod that runs and has no container of a name, or has not yet.
type noContainerError struct {
	pod, container string
	names          []string // that it has
}

func (e *noContainerError) Error() string {
	return fmt.Sprintf("%s has no container %s; there are: %s", e.pod, e.container, strings.Join(e.names, ", "))
}
