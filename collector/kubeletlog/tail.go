package kubeletlog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"syscall"
	"time"
)

// A tail reads the log where it is a file. It alone knows of files.
type tail struct {
	path    string
	to      *Follower
	pace    pace
	decoder *decoder
	// elsewhere, unless nil, tells whether the log is to be had in another place. It is asked while there is
	// none at path, and run returns when it says so.
	elsewhere func(ctx context.Context) bool

	started bool
	gone    bool      // there is no log at path, and elsewhere has not been asked since
	cur     *logFile  // nil while there is nothing to read
	last    position  // where cur was left, to find that place again
	missing time.Time // since when there is no log at path, while cur is still read
	saw     time.Time // when cur last grew
	ended   time.Time // when all there was had been read last
	gaps    uint64    // not yet published
}

func newTail(path string, to *Follower) *tail {
	return &tail{path: path, to: to, pace: defaultPace(), decoder: newDecoder()}
}

// pass reads all there is to be read now, over as many rotated files as it takes, and reports whether there
// was anything.
func (t *tail) pass(ctx context.Context) (grew bool) {
	for ctx.Err() == nil {
		if t.cur == nil && !t.begin(ctx) {
			break
		}
		n, err := t.toEnd(ctx)
		if n > 0 {
			grew, t.saw = true, time.Now()
		}
		switch {
		case errors.Is(err, errTruncated):
			t.rewind(ctx)
		case err != nil:
			t.leave()
			t.fail(err)
			return grew
		case !t.follow(ctx):
			return grew
		}
	}
	return grew
}

// begin opens the file to read first: after the last position, if there is one, else the log itself.
func (t *tail) begin(ctx context.Context) bool {
	if !t.started {
		t.started = true
		if p, ok := t.to.checkpoint.load(t.path); ok {
			t.last = p
			t.to.resume(p)
		}
	}
	files, current, err := list(t.path)
	switch {
	case err != nil && (t.last.Path == "" || !errors.Is(err, fs.ErrNotExist)):
	case t.last.Path == "":
		t.enter(current, 0)
	default:
		err = t.find(ctx, files, current, err)
	}
	closeExcept(files, t.cur)
	if t.cur == nil {
		t.fail(err)
	}
	return t.cur != nil
}

// find goes on after the last position in one of files. current is the log itself, nil for the reason err.
func (t *tail) find(ctx context.Context, files []*logFile, current *logFile, err error) error {
	var found *logFile
	sure, offset := 0, t.last.Offset
	for _, file := range files {
		if l := t.last.likeness(file.File, file.info); l > sure {
			found, sure = file, l
		}
	}
	newer := func(file *logFile) bool { return file.info.ModTime().After(t.last.Modified) }
	first := slices.IndexFunc(files, func(file *logFile) bool { return file == found || newer(file) })
	switch {
	case found != nil && t.last.Length == 0 && files[first] != found: // it was empty then, and was copied since
		t.gaps++
		found, offset = files[first], 0
	case found != nil:
		if sure < 2 || found.info.Size() < offset {
			t.gaps++ // it was copied and truncated, or cut
		}
		offset = min(offset, found.info.Size())
	case current != nil: // nothing is left of it but what came after it
		t.gaps++
		found, offset = current, 0
		if first >= 0 {
			found = files[first]
		}
	default:
		return err
	}
	t.enter(found, offset)
	t.publish(ctx, 0)
	return nil
}

// toEnd reads t.cur to its end. What was read counts only if the file still begins as it did, so a file
// that is truncated and written anew meanwhile is never taken for a longer one.
func (t *tail) toEnd(ctx context.Context) (n int64, err error) {
	for ctx.Err() == nil {
		info, err := t.cur.Stat()
		if err != nil {
			return n, err
		}
		if info.Size() < t.cur.offset {
			return n, errTruncated
		}
		got, err := t.cur.ReadAt(t.decoder.space(), t.cur.offset)
		if err != nil && err != io.EOF {
			return n, err
		}
		if err := t.cur.verify(); err != nil {
			return n, err
		}
		t.cur.info = info
		if got == 0 {
			t.ended = time.Now()
			return n, nil
		}
		t.cur.offset += int64(got)
		n += int64(got)
		t.decoder.written = t.written()
		t.decoder.take(got)
		t.publish(ctx, got)
	}
	return n, ctx.Err()
}

// written is when what is read now was written, zero when that may be long ago. What comes after the end was just written,
// whatever the zone of its clock is.
func (t *tail) written() time.Time {
	if now := time.Now(); now.Sub(t.ended) < zoneDistance/10 {
		return now
	}
	return time.Time{}
}

// rewind goes on after a truncation: where the file was cut, or else as after a restart, in the copy of what
// it was if there is one.
func (t *tail) rewind(ctx context.Context) {
	size, cut := t.cur.cut()
	if !cut {
		t.leave()
		return
	}
	t.gaps++
	t.decoder.assembler.discard()
	t.cur.offset = min(t.cur.offset, size)
	t.publish(ctx, 0)
}

// follow is called at the end of t.cur and moves on to the file after it, if there is one. A file comes
// after another once it has its first byte: then its writer writes there, so that the end of the one before
// is final, and it is read once more.
func (t *tail) follow(ctx context.Context) bool {
	next, err := t.next()
	if next == nil {
		t.judge(err)
		return false
	}
	if _, err := t.toEnd(ctx); err != nil {
		next.Close()
		if errors.Is(err, errTruncated) {
			t.rewind(ctx)
			return true
		}
		return false
	}
	if t.decoder.assembler.end() {
		t.gaps++ // its last line was never ended
	}
	t.publish(ctx, 0)
	t.cur.Close()
	t.enter(next, 0)
	return true
}

// next opens the file after t.cur, nil when there is none yet. The error is why the log itself is not
// there, nil when t.cur is the newest file.
func (t *tail) next() (*logFile, error) {
	info, err := os.Stat(t.path)
	if err != nil {
		return nil, err
	}
	if os.SameFile(info, t.cur.info) {
		return nil, nil
	}
	files, newest, err := list(t.path)
	if newest == nil {
		closeExcept(files, nil)
		return nil, err
	}
	chosen := t.after(files)
	closeExcept(files, chosen)
	return chosen, nil
}

// after returns the one of files, oldest first, that follows on t.cur, nil when there is none.
func (t *tail) after(files []*logFile) *logFile {
	first := slices.IndexFunc(files, func(file *logFile) bool { return os.SameFile(file.info, t.cur.info) }) + 1
	deleted := first == 0
	if deleted {
		first = slices.IndexFunc(files, func(file *logFile) bool { return !file.info.ModTime().Before(t.cur.info.ModTime()) })
		if first < 0 { // and the clock was set back
			first = len(files) - 1
		}
	}
	next := slices.IndexFunc(files[first:], func(file *logFile) bool { return file.info.Size() > 0 })
	if next < 0 {
		return nil
	}
	if deleted && first < len(files)-1 { // by rotation, which may have deleted what came after it, too
		t.gaps++
	}
	return files[first+next]
}

// judge reports whether the log is to be had, after all of t.cur was read. While a rotation is under way it
// may be missing for a moment; a deleted file is kept for as long as its writer may still be there.
func (t *tail) judge(err error) {
	switch {
	case err == nil:
		t.missing = time.Time{}
		t.to.report(nil)
		return
	case t.missing.IsZero():
		t.missing = time.Now()
	}
	if time.Since(t.missing) >= t.pace.grace {
		t.fail(err)
	}
	if t.cur.info.Sys().(*syscall.Stat_t).Nlink == 0 && time.Since(t.saw) >= t.pace.forget {
		t.leave() // it holds its space on the disk for as long as it is open
	}
}

// enter makes file the one that is read.
func (t *tail) enter(file *logFile, offset int64) {
	file.offset = offset
	_ = file.verify() // takes note of its head; what is wrong with it shows when it is read
	t.cur, t.saw, t.missing = file, time.Now(), time.Time{}
}

// leave closes t.cur and keeps its place.
func (t *tail) leave() {
	t.last = t.position()
	t.decoder.assembler.discard() // it is read again
	t.cur.Close()
	t.cur = nil
}

// position is the end of the last finished record.
func (t *tail) position() position {
	device, inode := nodeOf(t.cur.info)
	return position{
		Path: t.path, Device: device, Inode: inode, Length: len(t.cur.head), Sum: t.cur.sum,
		Offset: t.cur.offset - t.decoder.assembler.pending(), Modified: t.cur.info.ModTime(),
	}
}

// publish hands on what was made of n bytes.
func (t *tail) publish(ctx context.Context, n int) {
	p := t.decoder.flush()
	p.bytes, p.gaps, t.gaps = uint64(n), t.gaps, 0
	p.lag, p.reached = max(0, t.cur.info.Size()-t.cur.offset), t.position()
	t.to.publish(ctx, p)
}

// fail reports why the log cannot be read.
func (t *tail) fail(err error) {
	t.gone = errors.Is(err, fs.ErrNotExist)
	t.to.report(fmt.Errorf("kubelet log: %w", advise(err)))
}

// advise says what to do about a file that cannot be read, where that is not plain.
func advise(err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w (run the exporter as root, or as a user or with a group that may read it)", err)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w (if the kubelet logs elsewhere, name that place with kubelet.log)", err)
	case errors.Is(err, errNotAFile):
		return fmt.Errorf("%w (kubelet.log must name a file, or another kind of place)", err)
	}
	return err
}

// end closes the log.
func (t *tail) end() {
	if t.cur != nil {
		t.leave()
	}
}
