package containerlog

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
)

// An Attempt is one attempt at running a container.
type Attempt struct {
	ID      string
	UID     string // of its pod
	LogPath string // "" while it has none
	Number  int    // of restarts before it
	Created time.Time
	Ended   bool
}

// News is what a Follower has to tell besides what the container wrote.
type News struct {
	// Began is the attempt whose log comes next. Missed is how many attempts between it and the one before came
	// and went, with their logs, while nobody could look.
	Began  *Attempt
	Missed int
	// Ended is the attempt that has ended.
	Ended *Attempt
	// Blind is why it cannot be told which attempts there are, for as long as Sighted is not told. What the last
	// known one writes is printed all the same.
	Blind   error
	Sighted bool
}

// A Follower prints the log of a container as it is written, over restarts of the container.
type Follower struct {
	// Attempts lists the attempts, oldest first, those of one pod by their numbers.
	Attempts func(context.Context) ([]Attempt, error)
	Printer  *Printer
	// Tell is told the news, after everything before it was printed.
	Tell func(News)
	// Only ends with the first attempt.
	Only bool

	period  time.Duration // between two looks at the attempts
	current Attempt       // whose log is printed; without an ID when there was none yet
	log     *Log
	ended   bool // the current attempt has, and it was told
	// held are logs that were seen to be made, by path: of an attempt that is removed with its pod before anybody
	// has listed it there is nothing else.
	held    map[string]*generation
	blind   bool
	watcher *fsnotify.Watcher
}

// defaultPeriod is short enough for no restart to be missed: the kubelet keeps the log of the last attempt that
// ended, and restarts at most once a second.
const defaultPeriod = time.Second

// Run prints the log of an attempt, or its last lines, and then what comes after, of it and of the attempts after
// it, until ctx ends. An attempt without a log is none: it begins with the first that there will be.
func (f *Follower) Run(ctx context.Context, first Attempt) (err error) {
	if f.period == 0 {
		f.period = defaultPeriod
	}
	// Without a watch all comes with the period.
	if f.watcher, err = fsnotify.NewWatcher(); err == nil {
		defer f.watcher.Close()
	}
	f.held = map[string]*generation{}
	defer func() {
		if f.log != nil {
			f.log.Close()
		}
		f.letGo()
	}()
	if first.LogPath != "" {
		f.enter(first)
		if err := f.log.Print(f.Printer); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	for ctx.Err() == nil {
		if err := f.Printer.Flush(); err != nil {
			return err
		}
		over, err := f.look(ctx)
		if err != nil || over {
			return errors.Join(err, f.Printer.Flush())
		}
		if err := f.wait(ctx); err != nil {
			return err
		}
	}
	return f.Printer.Flush()
}

// enter makes an attempt the current one.
func (f *Follower) enter(a Attempt) {
	if f.log != nil {
		f.log.Close()
		if filepath.Dir(a.LogPath) != filepath.Dir(f.log.path) {
			f.letGo()
		}
		if f.watcher != nil {
			_ = f.watcher.Remove(filepath.Dir(f.log.path)) // which may be gone
		}
	}
	f.current, f.ended, f.log = a, false, Open(a.LogPath)
	f.log.file = f.held[f.log.path]
	delete(f.held, f.log.path)
	if f.watcher != nil {
		_ = f.watcher.Add(filepath.Dir(f.log.path)) // the period heals it
	}
}

// look prints what there is and moves on to later attempts. What is listed is asked for before the log is read: an
// attempt has written its last before the next one is made. over is whether nothing will come any more.
func (f *Follower) look(ctx context.Context) (over bool, err error) {
	attempts, err := f.Attempts(ctx)
	if err != nil {
		if ctx.Err() == nil && !f.blind {
			f.blind = true
			err = f.tell(News{Blind: err})
			return false, errors.Join(err, f.more(false))
		}
		return false, f.more(false)
	}
	if f.blind {
		f.blind = false
		if err := f.tell(News{Sighted: true}); err != nil {
			return false, err
		}
	}
	for {
		at := slices.IndexFunc(attempts, func(a Attempt) bool { return a.ID == f.current.ID })
		ended := at < 0 || attempts[at].Ended
		attempts = f.unlisted(attempts)
		next := slices.IndexFunc(attempts, f.follows)
		if err := f.more(ended || next >= 0); err != nil {
			return false, err
		}
		if f.Only && f.ended {
			return true, f.log.End(f.Printer)
		}
		if at >= 0 && ended && !f.ended {
			f.ended = true
			if err := f.tell(News{Ended: &attempts[at]}); err != nil {
				return false, err
			}
		}
		if f.Only && at < 0 && f.log != nil {
			return true, f.log.End(f.Printer)
		}
		if next < 0 || f.Only && f.log != nil {
			return false, nil
		}
		if err := f.moveOn(attempts[next]); err != nil {
			return false, err
		}
	}
}

// hold keeps a log of a later attempt that was made beside the current one.
func (f *Follower) hold(path string) {
	if f.log == nil || f.held[path] != nil || attemptNumber(path) <= f.current.Number {
		return
	}
	if g, err := openGeneration(path); err == nil {
		f.held[path] = g
	}
}

func (f *Follower) letGo() {
	for path, g := range f.held {
		g.Close()
		delete(f.held, path)
	}
}

// attemptNumber is that of the log at path, N.log, or -1.
func attemptNumber(path string) int {
	n, err := strconv.Atoi(strings.TrimSuffix(filepath.Base(path), ".log"))
	if err != nil {
		return -1
	}
	return n
}

// unlisted adds to attempts those of which only a log is left that was held, and which come next.
func (f *Follower) unlisted(attempts []Attempt) []Attempt {
	var gone []Attempt
	for path := range f.held {
		listed := slices.ContainsFunc(attempts, func(a Attempt) bool { return a.LogPath == path })
		if _, err := os.Stat(path); listed || !errors.Is(err, fs.ErrNotExist) {
			continue
		}
		gone = append(gone, Attempt{
			ID: path, UID: f.current.UID, LogPath: path, Number: attemptNumber(path), Created: f.current.Created.Add(1), Ended: true,
		})
	}
	slices.SortFunc(gone, func(a, b Attempt) int { return a.Number - b.Number })
	return append(gone, attempts...)
}

// follows reports whether an attempt comes after the current one and has a log. Of one pod the numbers rise, whatever
// the clock does.
func (f *Follower) follows(a Attempt) bool {
	switch {
	case a.ID == f.current.ID || a.LogPath == "":
		return false
	case f.current.ID == "":
		return true
	case a.UID == f.current.UID:
		return a.Number > f.current.Number
	}
	return a.Created.After(f.current.Created)
}

func (f *Follower) moveOn(next Attempt) error {
	missed := 0
	if f.log != nil {
		if err := errors.Join(f.log.End(f.Printer), f.Printer.feed()); err != nil {
			return err
		}
		if next.UID == f.current.UID {
			missed = max(0, next.Number-f.current.Number-1)
		}
	}
	f.enter(next)
	f.ended = next.ID == next.LogPath // of one that was never listed nothing else is known
	return f.tell(News{Began: &next, Missed: missed})
}

// more prints what has come of the current attempt.
func (f *Follower) more(ended bool) error {
	if f.log == nil {
		return nil
	}
	return f.log.More(f.Printer, ended)
}

func (f *Follower) tell(n News) error {
	err := f.Printer.Flush()
	if f.Tell != nil {
		f.Tell(n)
	}
	return err
}

// wait prints what comes until it is time to look at the attempts again: after the period, or as soon as a log
// is made.
func (f *Follower) wait(ctx context.Context) error {
	timer := time.NewTimer(f.period)
	defer timer.Stop()
	var events chan fsnotify.Event
	var failures chan error
	if f.watcher != nil {
		events, failures = f.watcher.Events, f.watcher.Errors
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
			return nil
		case <-failures: // events were lost: the period heals it
		case e := <-events:
			if e.Has(fsnotify.Create) {
				f.hold(e.Name)
			}
			if err := errors.Join(f.more(false), f.Printer.Flush()); err != nil {
				return err
			}
			if e.Has(fsnotify.Create) {
				return nil
			}
		}
	}
}
