package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// downTimeout bounds taking one node down.
const downTimeout = 30 * time.Second

// A Live node is one that another process runs.
type Live struct {
	Directory string
	Owner     int // the process
}

// Down takes down what nodes left whose processes ended without doing so: processes, mounts, cgroups, files and
// kernel parameters. It returns the directories of those, and the nodes that it left alone because their
// processes live.
func Down(ctx context.Context) (removed []string, alive []Live, err error) {
	left, living, err := abandoned()
	for _, r := range living {
		alive = append(alive, Live{Directory: r.Directory, Owner: r.Owner})
	}
	for _, l := range left {
		if downErr := l.down(ctx); downErr != nil {
			err = errors.Join(err, fmt.Errorf("node in %s: %w", l.Directory, downErr))
			continue
		}
		removed = append(removed, l.Directory)
	}
	return removed, alive, err
}

// Guard waits until in ends, as it does with the process that holds its other end, and takes down the node with
// that cgroup, if that process left it.
func Guard(ctx context.Context, in io.Reader, cgroup string) error {
	if _, err := io.Copy(io.Discard, in); err != nil {
		return err
	}
	// A process that ends closes its files one by one: the lock on its record may outlive this pipe for a moment.
	ctx, cancel := context.WithTimeout(ctx, downTimeout)
	defer cancel()
	for {
		if _, err := os.Stat(recordPath(cgroup)); errors.Is(err, os.ErrNotExist) {
			return nil
		}
		if _, _, err := Down(ctx); err != nil {
			return err
		}
		if err := pause(ctx); err != nil {
			return err
		}
	}
}

// down removes everything there is of the node.
func (l *lease) down(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), downTimeout)
	defer cancel()
	group := cgroup{l.Cgroup}
	if err := l.halt(ctx); err != nil {
		return err
	}
	if err := errors.Join(group.remove(ctx), removeLinks("/var/log/containers", l.Directory), os.RemoveAll(l.Directory)); err != nil {
		return err
	}
	return l.release()
}

// halt ends all processes of the node and unmounts all its file systems, as a machine that is switched off.
func (l *lease) halt(ctx context.Context) error {
	if err := (cgroup{l.Cgroup}).kill(ctx); err != nil {
		return err
	}
	return unmountBelow(l.Directory)
}

// removeLinks removes the links in dir that lead to below target.
func removeLinks(dir, target string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, entry := range entries {
		path := filepath.Join(dir, entry.Name())
		if to, err := os.Readlink(path); err == nil && strings.HasPrefix(to, target+"/") {
			if err := os.Remove(path); err != nil {
				return err
			}
		}
	}
	return nil
}
