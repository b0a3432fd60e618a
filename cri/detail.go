package cri

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"
	"unicode/utf8"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

const (
	concurrentStatuses = 4
	maxMessage         = 1 << 10
	// The runtime learns of an exit and of the lack of memory behind it by two ways. For this long after a
	// kill its reason may still become OOMKilled.
	settling  = 10 * time.Second
	killed    = 128 + 9
	oomKilled = "OOMKilled"
	// removed is the state of a container that went between the list and the question. No runtime lists it.
	removed runtimeapi.ContainerState = -1
)

// A detail is what only the status of a container says. It is immutable.
type detail struct {
	state             runtimeapi.ContainerState
	pid               int
	started, finished time.Time
	exitCode          int
	reason, message   string
	image, imageRef   string
	logPath           string
}

// serves reports whether a container that is listed in a state needs no new status at a time. While it runs
// its process stays the same, and how it ended does not change.
func (d *detail) serves(listed runtimeapi.ContainerState, at time.Time) bool {
	if d == nil || d.state != listed {
		return false
	}
	unsettled := d.state == runtimeapi.ContainerState_CONTAINER_EXITED &&
		d.exitCode == killed && d.reason != oomKilled && at.Sub(d.finished) < settling
	return !unsettled
}

// inspect returns the details of the containers that have some, asking only for those that it does not know.
// Only a runtime that stops answering is an error: a container whose status cannot be had is one without
// details. c.mu is held.
func (c *Client) inspect(ctx context.Context, at time.Time, containers []*runtimeapi.Container) (map[string]*detail, error) {
	found := make(map[string]*detail, len(containers))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(concurrentStatuses)
	var mu sync.Mutex // guards found
	for _, r := range containers {
		id, listed, known := r.GetId(), r.GetState(), c.details[r.GetId()]
		// A created container has no more to say, and one in an unknown state nothing that is certain.
		if listed != runtimeapi.ContainerState_CONTAINER_RUNNING && listed != runtimeapi.ContainerState_CONTAINER_EXITED {
			continue
		}
		if known.serves(listed, at) {
			mu.Lock()
			found[id] = known
			mu.Unlock()
			continue
		}
		g.Go(func() error {
			d, err := c.status(ctx, id, listed)
			if d == nil && known != nil && known.state == listed {
				d = known
			}
			mu.Lock()
			defer mu.Unlock()
			if d != nil {
				found[id] = d
			}
			return err
		})
	}
	err := g.Wait()
	c.details = found // whatever came of it need not be asked for again
	return found, err
}

// status asks for the status of one container. A nil detail and no error is a runtime that answers, but not
// this.
func (c *Client) status(ctx context.Context, id string, listed runtimeapi.ContainerState) (*detail, error) {
	running := listed == runtimeapi.ContainerState_CONTAINER_RUNNING
	answer, err := c.session.ContainerStatus(ctx, id, running) // the process is in the verbose part
	switch status.Code(err) {
	case codes.OK:
	case codes.NotFound:
		return &detail{state: removed}, nil
	case codes.Unavailable, codes.DeadlineExceeded, codes.Canceled:
		return nil, fmt.Errorf("container %s: %w", id, err)
	default:
		return nil, nil
	}
	s := answer.GetStatus()
	if s == nil {
		return nil, nil
	}
	d := &detail{
		state:    s.GetState(),
		started:  nanos(s.GetStartedAt()),
		finished: nanos(s.GetFinishedAt()),
		exitCode: int(s.GetExitCode()),
		reason:   s.GetReason(),
		message:  truncate(s.GetMessage(), maxMessage),
		image:    s.GetImage().GetImage(),
		imageRef: s.GetImageRef(),
		logPath:  s.GetLogPath(),
	}
	if d.state == runtimeapi.ContainerState_CONTAINER_RUNNING {
		d.pid = pid(answer.GetInfo())
	}
	return d, nil
}

// pid reads the process out of the verbose part of a status, which is JSON of the runtime's own making. The
// rest of it is environment and arguments, which stay where they are.
func pid(info map[string]string) int {
	var process struct {
		PID int `json:"pid"`
	}
	if json.Unmarshal([]byte(info["info"]), &process) != nil || process.PID < 0 {
		return 0
	}
	return process.PID
}

// truncate cuts s to at most n bytes, between two characters.
func truncate(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
