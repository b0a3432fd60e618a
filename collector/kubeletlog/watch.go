package kubeletlog

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

// run reads the log until ctx ends, or there is one elsewhere: whenever it changes, and now and then in case
// that went unnoticed.
func (t *tail) run(ctx context.Context) {
	w := &watch{}
	defer w.close()
	for ctx.Err() == nil {
		if !w.complete || time.Since(w.renewed) >= t.pace.poll {
			w.renew(t.path)
		}
		if t.pass(ctx) {
			wait(ctx, t.pace.hold)
		}
		if gone := t.gone; gone && t.elsewhere != nil {
			if t.gone = false; t.elsewhere(ctx) {
				return
			}
		}
		poll := t.pace.poll
		if !w.complete {
			poll = t.pace.deafPoll
		}
		if time.Since(t.to.checkpoint.at) >= t.pace.poll {
			t.to.save()
		}
		w.wait(ctx, t.path, poll)
	}
}

func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// A watch tells when something happens to the log. It watches directories, since a file that is renamed
// takes its watch along.
type watch struct {
	watcher  *fsnotify.Watcher // nil while the system has none to give
	target   string            // what path is a link to
	complete bool              // every directory is watched
	renewed  time.Time
}

// renew watches the directory of path and, if that is a link, the one of its target, whatever became of
// them since.
func (w *watch) renew(path string) {
	w.complete, w.renewed = false, time.Now()
	if w.watcher == nil {
		watcher, err := fsnotify.NewWatcher()
		if err != nil {
			return
		}
		w.watcher = watcher
	}
	err := w.watcher.Add(filepath.Dir(path))
	if target, linkErr := filepath.EvalSymlinks(path); linkErr == nil && target != path {
		w.target = target
		err = errors.Join(err, w.watcher.Add(filepath.Dir(target)))
	}
	w.complete = err == nil
}

// wait returns when something happened to path, after poll, or when ctx ends.
func (w *watch) wait(ctx context.Context, path string, poll time.Duration) {
	timer := time.NewTimer(poll)
	defer timer.Stop()
	var events chan fsnotify.Event
	var errs chan error
	if w.watcher != nil {
		events, errs = w.watcher.Events, w.watcher.Errors
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			return
		case <-errs: // an overflow: something was missed
			return
		case e := <-events:
			if e.Name == filepath.Dir(path) || e.Name == filepath.Dir(w.target) {
				w.complete = false // the directory itself was moved or deleted
				return
			}
			if concerns(e.Name, path) || concerns(e.Name, w.target) {
				return
			}
		}
	}
}

// concerns reports whether name is that of the log or of a rotated file of it.
func concerns(name, path string) bool {
	if filepath.Dir(name) != filepath.Dir(path) {
		return false
	}
	_, ok := rotation(filepath.Base(path), filepath.Base(name))
	return ok || name == path
}

func (w *watch) close() {
	if w.watcher != nil {
		w.watcher.Close()
	}
}
