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
	source := annotations[sourceAnnotation]
	return source == "file" || source == "http"
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
		return nil, fmt.Errorf("runtime: %w", err)
	}
	return v, nil
}

// view is View with c.mu held.
func (c *Client) view(ctx context.Context, resync bool) (*View, error) {
	if c.session == nil {
		s, err := c.dial(ctx, c.tracer)
		if err != nil {
			return nil, err
		}
		c.session = s
	} else if resync {
		version, err := c.session.Version(ctx, "")
		if err != nil {
			return nil, fmt.Errorf("version: %w", err)
		}
		c.session.runtime, c.session.version = version.GetRuntimeName(), plain(version.GetRuntimeVersion())
	}

	asked := time.Now()
	sandboxes, err := c.session.ListPodSandbox(ctx, nil)
	if err != nil {
		return nil, fmt.Errorf("sandboxes: %w", err)
	}
	containers, err := c.session.ListContainers(ctx, nil)
	if err != nil {
		return nil, fmt.Errorf("containers: %w", err)
	}

	v := &View{At: asked, Runtime: c.session.runtime, Version: c.session.version}
	others := make(map[string]struct{})
	bySandbox := make(map[string]int)
	for _, s := range sandboxes {
		if !static(s.GetAnnotations()) {
			others[s.GetId()] = struct{}{}
			continue
		}
		v.Sandboxes = append(v.Sandboxes, newSandbox(s))
	}
	slices.SortFunc(v.Sandboxes, func(a, b Sandbox) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name),
			a.Created.Compare(b.Created), cmp.Compare(a.ID, b.ID))
	})
	for i := range v.Sandboxes {
		bySandbox[v.Sandboxes[i].ID] = i
	}
	containers = slices.DeleteFunc(containers, func(r *runtimeapi.Container) bool {
		_, ok := bySandbox[r.GetPodSandboxId()]
		return !ok
	})
	details, err := c.inspect(ctx, asked, containers)
	if err != nil {
		return nil, err
	}
	for _, r := range containers {
		d := details[r.GetId()]
		if d == nil {
			d = &detail{state: r.GetState()}
		}
		if d.state != removed {
			s := &v.Sandboxes[bySandbox[r.GetPodSandboxId()]]
			s.Containers = append(s.Containers, newContainer(r, d))
		}
	}
	for i := range v.Sandboxes {
		slices.SortFunc(v.Sandboxes[i].Containers, func(a, b Container) int {
			return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.ID, b.ID))
		})
	}
	c.foreign.set(others)
	c.listed.Store(asked.UnixNano())
	return v, nil
}

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
