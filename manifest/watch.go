package manifest

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	// quiet is how long sources must be quiet before they are read: an editor writes in several steps.
	quiet = 50 * time.Millisecond
	// quietAtMost bounds it, so that one busy file does not keep the others from being read.
	quietAtMost = 500 * time.Millisecond
	// relist heals what the watch missed: network file systems tell nothing.
	relist = time.Minute
	// relistBlind is the same without a watch.
	relistBlind = 5 * time.Second
)

// Run loads the definitions and loads them anew whenever a source changes, until ctx ends. A failure to
// watch is no failure of the run: the sources are then read every few seconds.
func (s *Store) Run(ctx context.Context) error {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		s.log.Warn("definitions cannot be watched and are read every few seconds instead", "err", err)
	} else {
		defer w.Close()
	}
	var feed sync.WaitGroup
	feed.Go(func() { s.feeder.run(ctx) })
	defer feed.Wait()
	s.loading.Lock()
	s.watcher = &watcher{fs: w, log: s.log, watched: map[string]bool{}}
	s.loading.Unlock()

	for {
		recheck, err := s.load(false)
		if err != nil {
			s.log.Debug("the configuration cannot be used", "err", err)
		}
		if !s.wait(ctx, recheck) {
			return nil
		}
	}
}

// wait returns true when it is time to load again, false when ctx ends.
func (s *Store) wait(ctx context.Context, recheck time.Time) bool {
	s.loading.Lock()
	blind := s.watcher.blind()
	s.loading.Unlock()
	next := relist
	if blind {
		next = relistBlind
	}
	if !recheck.IsZero() {
		next = min(next, max(0, recheck.Sub(s.now())))
	}
	timer := time.NewTimer(next)
	defer timer.Stop()
	var settled, latest <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return false
		case <-timer.C:
			return true
		case <-settled:
			return true
		case <-latest:
			return true
		case <-s.wake:
			return true
		case _, ok := <-s.watcher.events():
			if !ok {
				return false
			}
			settled = time.After(quiet)
			if latest == nil {
				latest = time.After(quietAtMost)
			}
		case err := <-s.watcher.errors():
			s.log.Warn("definitions are read anew because the watch lost events", "err", err)
			return true
		}
	}
}

// A watcher follows a changing set of directories. Whoever holds the store's loading may call it; its channels
// are anybody's.
type watcher struct {
	fs      *fsnotify.Watcher // nil when the system gives none
	log     *slog.Logger
	watched map[string]bool
	failed  bool // a directory could not be watched
}

// follow watches exactly these directories; of one that is missing the nearest parent that is there. It
// reports whether one is new: what changed in it since it was read, before it was watched, told nobody.
func (w *watcher) follow(dirs []string) (news bool) {
	if w == nil || w.fs == nil {
		return false
	}
	want := map[string]bool{}
	failed := false
	for _, dir := range dirs {
		watched, err := w.add(dir)
		if err != nil {
			failed = true
			if !w.failed {
				w.log.Warn("a directory of definitions cannot be watched and is read every few seconds instead", "err", err)
			}
			continue
		}
		want[watched] = true
		news = news || !w.watched[watched]
	}
	for dir := range w.watched {
		if !want[dir] {
			_ = w.fs.Remove(dir) // gone with its directory
		}
	}
	w.watched, w.failed = want, failed
	return news
}

func (w *watcher) add(dir string) (string, error) {
	for {
		err := w.fs.Add(dir)
		parent := filepath.Dir(dir)
		if err == nil || parent == dir {
			if err != nil {
				err = fmt.Errorf("%s: %w", dir, err)
			}
			return dir, err
		}
		dir = parent
	}
}

func (w *watcher) blind() bool { return w == nil || w.fs == nil || w.failed }

func (w *watcher) events() <-chan fsnotify.Event {
	if w.fs == nil {
		return nil
	}
	return w.fs.Events
}

func (w *watcher) errors() <-chan error {
	if w.fs == nil {
		return nil
	}
	return w.fs.Errors
}
