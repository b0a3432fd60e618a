package cri

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// The labels by which the kubelet finds its containers again.
const (
	podNameLabel       = "io.kubernetes.pod.name"
	podNamespaceLabel  = "io.kubernetes.pod.namespace"
	containerNameLabel = "io.kubernetes.container.name"
)

// A Pod is a sandbox with what only its status says. Image of its containers is, as that of the sandbox, the
// first tag that the runtime knows the image by, else its ID. (A runtime that keeps no images says what the author wrote.)
type Pod struct {
	Sandbox
	PID   int // of the process that holds its namespaces; 0 when there is none or the runtime does not say
	Image string
}

// Sandboxes lists the sandboxes with their containers, as a View does, of static pods or of all.
func (c *Client) Sandboxes(ctx context.Context, all bool) ([]Sandbox, error) {
	var l listing
	err := c.ask(ctx, func(ctx context.Context) (err error) {
		l, err = c.list(ctx, time.Now(), all)
		return err
	})
	return l.sandboxes, err
}

// Pods lists what Sandboxes does, with processes and images.
func (c *Client) Pods(ctx context.Context, all bool) ([]Pod, error) {
	var pods []Pod
	err := c.ask(ctx, func(ctx context.Context) (err error) {
		pods, err = c.pods(ctx, all)
		return err
	})
	return pods, err
}

// Attempts lists every attempt at running a container of a pod that the runtime still has, oldest first: also
// those of earlier pods of that name.
func (c *Client) Attempts(ctx context.Context, namespace, pod, container string) ([]Container, error) {
	var attempts []Container
	err := c.ask(ctx, func(ctx context.Context) error {
		listed, err := c.session.ListContainers(ctx, &runtimeapi.ContainerFilter{LabelSelector: map[string]string{
			podNamespaceLabel: namespace, podNameLabel: pod, containerNameLabel: container,
		}})
		if err != nil {
			return fmt.Errorf("containers: %w", err)
		}
		found, err := c.detailed(ctx, time.Now(), listed)
		for _, attempt := range found {
			attempts = append(attempts, attempt)
		}
		sortByCreation(attempts)
		return err
	})
	return attempts, err
}

// ask runs question with a session, and drops that when it fails: the next question looks for the runtime
// again.
func (c *Client) ask(ctx context.Context, question func(context.Context) error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	ctx = c.quietly(ctx)
	err := c.open(ctx)
	if err == nil {
		err = question(ctx)
	}
	if err != nil {
		c.hangUp()
		return named(err)
	}
	return nil
}

// named says of an error that it is the runtime's.
func named(err error) error {
	if status.Code(err) == codes.DeadlineExceeded {
		err = timeoutError{err}
	}
	return fmt.Errorf("runtime: %w", err)
}

// A timeoutError is a context.DeadlineExceeded, which that of gRPC is not.
type timeoutError struct{ error }

func (e timeoutError) Unwrap() error { return e.error }

func (e timeoutError) Is(target error) bool { return target == context.DeadlineExceeded }

// pods is Pods with c.mu held.
func (c *Client) pods(ctx context.Context, all bool) ([]Pod, error) {
	l, err := c.list(ctx, time.Now(), all)
	if err != nil {
		return nil, err
	}
	tags := c.tags(ctx)
	pods := make([]Pod, len(l.sandboxes))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(concurrentStatuses)
	for i, s := range l.sandboxes {
		for j := range s.Containers {
			if id := l.images[s.Containers[j].ID]; tags != nil && id != "" {
				s.Containers[j].Image = cmp.Or(tags[id], id)
			}
		}
		g.Go(func() (err error) {
			pods[i], err = c.pod(ctx, s, tags)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(pods, func(p Pod) bool { return p.ID == "" }), nil
}

// pod asks for the process and the image of a sandbox. One without an ID is gone.
func (c *Client) pod(ctx context.Context, s Sandbox, tags map[string]string) (Pod, error) {
	answer, err := c.session.PodSandboxStatus(ctx, s.ID, true)
	switch status.Code(err) {
	case codes.NotFound:
		return Pod{}, nil
	case codes.Unavailable, codes.DeadlineExceeded, codes.Canceled:
		return Pod{}, fmt.Errorf("sandbox %s: %w", s.ID, err)
	}
	var info struct {
		Image string `json:"image"`
	}
	verbose := answer.GetInfo()
	_ = json.Unmarshal([]byte(verbose["info"]), &info) // a runtime that says it otherwise has no image to show
	return Pod{Sandbox: s, PID: pid(verbose), Image: cmp.Or(tags[info.Image], info.Image)}, nil
}

// tags returns the first tag of each image that has one, by the image's ID, or nil when the runtime does not
// say.
func (c *Client) tags(ctx context.Context) (tags map[string]string) {
	err := call(ctx, c.session.endpoint, c.timeout, func(ctx context.Context, conn *grpc.ClientConn) error {
		answer, err := runtimeapi.NewImageServiceClient(conn).ListImages(ctx, &runtimeapi.ListImagesRequest{})
		if err != nil {
			return err
		}
		tags = make(map[string]string, len(answer.GetImages()))
		for _, image := range answer.GetImages() {
			if all := image.GetRepoTags(); len(all) > 0 {
				tags[image.GetId()] = all[0]
			}
		}
		return nil
	})
	if err != nil {
		c.log.Debug("no tags of images", "err", err)
	}
	return tags
}
