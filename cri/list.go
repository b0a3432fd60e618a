package cri

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

const (
	sourceAnnotation       = "kubernetes.io/config.source"
	restartCountAnnotation = "io.kubernetes.container.restartCount"
)

// static reports whether the annotations of a sandbox are those of a static pod.
func static(annotations map[string]string) bool {
	s := Sandbox{Source: annotations[sourceAnnotation]}
	return s.Static()
}

// View lists what the runtime has of static pods. It always asks for the two lists, since nothing proves them
// unchanged, but for the details of a container only when its state is another than before; with resync it
// asks for the runtime's version too. A nil View comes with every error.
func (c *Client) View(ctx context.Context, resync bool) (*View, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.changed.Noted()
	ctx = c.quietly(ctx)
	v, err := c.view(ctx, resync)
	if err != nil {
		c.hangUp() // the next View looks for the runtime again
		return nil, named(err)
	}
	return v, nil
}

// view is View with c.mu held.
func (c *Client) view(ctx context.Context, resync bool) (*View, error) {
	known := c.session != nil
	if err := c.open(ctx); err != nil {
		return nil, err
	}
	if known && resync {
		version, err := c.session.Version(ctx, "")
		if err != nil {
			return nil, fmt.Errorf("version: %w", err)
		}
		c.session.runtime, c.session.version = version.GetRuntimeName(), plain(version.GetRuntimeVersion())
	}
	asked := time.Now()
	l, err := c.list(ctx, asked, false)
	if err != nil {
		return nil, err
	}
	c.foreign.set(l.others)
	c.listed.Store(asked.UnixNano())
	return &View{At: asked, Runtime: c.session.runtime, Version: c.session.version, Sandboxes: l.sandboxes}, nil
}

// open looks for the runtime if it has to. c.mu is held.
func (c *Client) open(ctx context.Context) error {
	if c.session != nil {
		return nil
	}
	s, err := c.dial(ctx, c.tracer)
	if err != nil {
		return err
	}
	c.session = s
	return nil
}

// A listing is what the two lists of the runtime say.
type listing struct {
	sandboxes []Sandbox
	others    map[string]struct{} // the sandboxes that were left out
	images    map[string]string   // by container, the ID of its image
}

// list asks for the two lists, and for the details of the containers in them: of static pods, or of all. c.mu
// is held.
func (c *Client) list(ctx context.Context, asked time.Time, all bool) (listing, error) {
	sandboxes, err := c.session.ListPodSandbox(ctx, nil)
	if err != nil {
		return listing{}, fmt.Errorf("sandboxes: %w", err)
	}
	containers, err := c.session.ListContainers(ctx, nil)
	if err != nil {
		return listing{}, fmt.Errorf("containers: %w", err)
	}

	l := listing{others: make(map[string]struct{}), images: make(map[string]string)}
	bySandbox := make(map[string]int)
	for _, s := range sandboxes {
		if !all && !static(s.GetAnnotations()) {
			l.others[s.GetId()] = struct{}{}
			continue
		}
		l.sandboxes = append(l.sandboxes, newSandbox(s))
	}
	slices.SortFunc(l.sandboxes, func(a, b Sandbox) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name),
			a.Created.Compare(b.Created), cmp.Compare(a.ID, b.ID))
	})
	for i := range l.sandboxes {
		bySandbox[l.sandboxes[i].ID] = i
	}
	containers = slices.DeleteFunc(containers, func(r *runtimeapi.Container) bool {
		_, ok := bySandbox[r.GetPodSandboxId()]
		return !ok
	})
	found, err := c.detailed(ctx, asked, containers)
	if err != nil {
		return listing{}, err
	}
	for _, r := range containers {
		l.images[r.GetId()] = r.GetImageRef()
		if container, ok := found[r.GetId()]; ok {
			s := &l.sandboxes[bySandbox[r.GetPodSandboxId()]]
			s.Containers = append(s.Containers, container)
		}
	}
	for i := range l.sandboxes {
		sortByCreation(l.sandboxes[i].Containers)
	}
	return l, nil
}

// detailed joins containers with their details, by ID. Those that went meanwhile are not there. c.mu is held.
func (c *Client) detailed(ctx context.Context, at time.Time, containers []*runtimeapi.Container) (map[string]Container, error) {
	details, err := c.inspect(ctx, at, containers)
	if err != nil {
		return nil, err
	}
	found := make(map[string]Container, len(containers))
	for _, r := range containers {
		d := details[r.GetId()]
		if d == nil {
			d = &detail{state: r.GetState()}
		}
		if d.state != removed {
			found[r.GetId()] = newContainer(r, d)
		}
	}
	return found, nil
}

func sortByCreation(containers []Container) {
	slices.SortFunc(containers, func(a, b Container) int {
		return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.ID, b.ID))
	})
}

// Static reports whether a sandbox is one of a static pod.
func (s *Sandbox) Static() bool { return s.Source == "file" || s.Source == "http" }

func newSandbox(s *runtimeapi.PodSandbox) Sandbox {
	m := s.GetMetadata()
	return Sandbox{
		ID:        s.GetId(),
		Namespace: m.GetNamespace(),
		Name:      m.GetName(),
		UID:       m.GetUid(),
		Source:    s.GetAnnotations()[sourceAnnotation],
		Attempt:   m.GetAttempt(),
		Ready:     s.GetState() == runtimeapi.PodSandboxState_SANDBOX_READY,
		Created:   nanos(s.GetCreatedAt()),
	}
}

// newContainer joins what the list says with the details, which are the younger of the two.
func newContainer(r *runtimeapi.Container, d *detail) Container {
	return Container{
		ID:           r.GetId(),
		Name:         r.GetMetadata().GetName(),
		Image:        cmp.Or(r.GetImage().GetUserSpecifiedImage(), d.image, r.GetImage().GetImage()),
		ImageID:      cmp.Or(d.imageRef, r.GetImageRef(), r.GetImageId()),
		State:        stateOf(d.state),
		RestartCount: restarts(r),
		PID:          d.pid,
		Created:      nanos(r.GetCreatedAt()),
		Started:      d.started,
		Finished:     d.finished,
		ExitCode:     d.exitCode,
		Reason:       d.reason,
		Message:      d.message,
		LogPath:      d.logPath,
	}
}

func stateOf(s runtimeapi.ContainerState) State {
	switch s {
	case runtimeapi.ContainerState_CONTAINER_CREATED:
		return Created
	case runtimeapi.ContainerState_CONTAINER_RUNNING:
		return Running
	case runtimeapi.ContainerState_CONTAINER_EXITED:
		return Exited
	}
	return Unknown
}

// restarts is the kubelet's count, which it writes on the container; the attempt is the same number.
func restarts(r *runtimeapi.Container) int {
	if n, err := strconv.Atoi(r.GetAnnotations()[restartCountAnnotation]); err == nil {
		return n
	}
	return int(r.GetMetadata().GetAttempt())
}

// nanos is the time n nanoseconds after the epoch. Runtimes write "never" as 0, or as Go's zero time, which is
// before the epoch.
func nanos(n int64) time.Time {
	if n <= 0 {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}
