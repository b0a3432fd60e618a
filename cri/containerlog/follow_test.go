package containerlog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// A container is restarted again and again, and followed.
type container struct {
	*testing.T
	dir string

	mu       sync.Mutex
	attempts []Attempt
	begun    int
	down     bool // the runtime does not answer
	out      bytes.Buffer
	news     []string
	changed  chan struct{} // receives when there is something printed or told
}

func newContainer(t *testing.T) *container {
	return &container{T: t, dir: t.TempDir(), changed: make(chan struct{}, 1)}
}

func (c *container) note() {
	select {
	case c.changed <- struct{}{}:
	default:
	}
}

func (c *container) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.note()
	return c.out.Write(p)
}

func (c *container) list(context.Context) ([]Attempt, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.down {
		return nil, errors.New("the runtime does not answer")
	}
	return append([]Attempt(nil), c.attempts...), nil
}

func (c *container) tell(n News) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case n.Began != nil:
		c.news = append(c.news, fmt.Sprintf("%s began, %d missed", n.Began.ID, n.Missed))
	case n.Ended != nil:
		c.news = append(c.news, n.Ended.ID+" ended")
	case n.Blind != nil:
		c.news = append(c.news, n.Blind.Error())
	case n.Sighted:
		c.news = append(c.news, "it does again")
	}
	c.note()
}

// begin begins an attempt with a number in a pod; end ends the last one.
func (c *container) begin(uid string, number int) Attempt {
	c.mu.Lock()
	defer c.mu.Unlock()
	dir := filepath.Join(c.dir, uid)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		c.Fatal(err)
	}
	c.begun++
	a := Attempt{
		ID: fmt.Sprint(uid, number), UID: uid, Number: number, LogPath: filepath.Join(dir, fmt.Sprint(number, ".log")),
		Created: time.Date(2026, 11, 22, 14, 38, c.begun, 0, time.UTC),
	}
	c.attempts = append(c.attempts, a)
	return a
}

func (c *container) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.attempts[len(c.attempts)-1].Ended = true
}

func (c *container) print(a Attempt, text string) {
	c.Helper()
	file, err := os.OpenFile(a.LogPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
	if err == nil {
		_, err = file.WriteString(stamp(1) + " stdout " + text + "\n")
		err = errors.Join(err, file.Close())
	}
	if err != nil {
		c.Fatal(err)
	}
}

// await waits until exactly that is printed and told.
func (c *container) await(out string, news ...string) {
	c.Helper()
	patience := time.After(20 * time.Second)
	for {
		c.mu.Lock()
		gotOut, gotNews := c.out.String(), strings.Join(c.news, "\n")
		c.mu.Unlock()
		if gotOut == out && gotNews == strings.Join(news, "\n") {
			return
		}
		select {
		case <-c.changed:
		case <-patience:
			c.Fatalf("printed %q and told %q, want %q and %q", gotOut, gotNews, out, news)
		}
	}
}

// follow follows the container until the end of the test, or its own.
func (c *container) follow(first Attempt, only bool) (ended <-chan error) {
	f := &Follower{
		Attempts: c.list, Printer: NewPrinter(c, Options{Tail: -1}), Tell: c.tell, Only: only, period: 5 * time.Millisecond,
	}
	ctx, cancel := context.WithCancel(c.Context())
	done := make(chan error, 1)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		done <- f.Run(ctx, first)
	}()
	c.Cleanup(func() { cancel(); <-stopped })
	return done
}

func TestFollowGoesOnOverRestarts(t *testing.T) {
	c := newContainer(t)
	a := c.begin("u", 0)
	c.print(a, "F one")
	c.follow(a, false)
	c.await("one\n")
	c.print(a, "P no end")
	c.end()
	c.await("one\n", "u0 ended")
	c.print(a, "P  yet") // the runtime is slower to write than to tell
	b := c.begin("u", 1)
	c.await("one\nno end yet\n", "u0 ended", "u1 began, 0 missed")
	c.print(b, "F two")
	c.await("one\nno end yet\ntwo\n", "u0 ended", "u1 began, 0 missed")

	// What comes and goes while nobody can look is known to be missing.
	c.mu.Lock()
	c.down = true
	c.mu.Unlock()
	c.await("one\nno end yet\ntwo\n", "u0 ended", "u1 began, 0 missed", "the runtime does not answer")
	c.print(b, "F three")
	c.await("one\nno end yet\ntwo\nthree\n", "u0 ended", "u1 began, 0 missed", "the runtime does not answer")
	d := c.begin("u", 5)
	c.print(d, "F four")
	c.mu.Lock()
	c.down = false
	c.attempts = c.attempts[2:]
	c.mu.Unlock()
	c.await("one\nno end yet\ntwo\nthree\nfour\n", "u0 ended", "u1 began, 0 missed", "the runtime does not answer", "it does again", "u5 began, 3 missed")

	// A pod that is made anew begins to count again.
	e := c.begin("v", 0)
	c.print(e, "F five")
	c.await("one\nno end yet\ntwo\nthree\nfour\nfive\n", "u0 ended", "u1 began, 0 missed", "the runtime does not answer", "it does again", "u5 began, 3 missed", "v0 began, 0 missed")
}

// The numbers of one pod's attempts rise also when the clock is set back.
func TestFollowWhileTheClockIsSetBack(t *testing.T) {
	c := newContainer(t)
	a := c.begin("u", 3)
	c.print(a, "F one")
	c.follow(a, false)
	c.await("one\n")
	c.end()
	c.await("one\n", "u3 ended")
	b := Attempt{ID: "u4", UID: "u", Number: 4, LogPath: filepath.Join(filepath.Dir(a.LogPath), "4.log"), Created: a.Created.Add(-time.Hour)}
	c.mu.Lock()
	c.attempts = append(c.attempts, b)
	c.mu.Unlock()
	c.print(b, "F two")
	c.await("one\ntwo\n", "u3 ended", "u4 began, 0 missed")

	// What is older of another pod is not what comes next.
	c.mu.Lock()
	old := Attempt{ID: "v0", UID: "v", LogPath: filepath.Join(c.dir, "v.log"), Created: a.Created.Add(-2 * time.Hour), Ended: true}
	c.attempts = append([]Attempt{old}, c.attempts...)
	c.mu.Unlock()
	c.print(old, "F zero")
	d := c.begin("u", 5)
	c.print(d, "F three")
	c.await("one\ntwo\nthree\n", "u3 ended", "u4 began, 0 missed", "u5 began, 0 missed")
}

func TestFollowOnlyOneAttempt(t *testing.T) {
	c := newContainer(t)
	a := c.begin("u", 0)
	c.print(a, "F one")
	ended := c.follow(a, true)
	c.await("one\n")
	c.print(a, "P two")
	c.end()
	b := c.begin("u", 1)
	c.print(b, "F three")
	if err := <-ended; err != nil {
		t.Error(err)
	}
	c.await("one\ntwo", "u0 ended")
}

func TestFollowWaitsForTheFirst(t *testing.T) {
	c := newContainer(t)
	a := c.begin("u", 0)
	c.mu.Lock()
	c.attempts[0].LogPath = "" // it is being started
	created := c.attempts[0]
	c.mu.Unlock()
	c.follow(created, false)
	c.mu.Lock()
	c.attempts[0] = a
	c.mu.Unlock()
	c.await("", "u0 began, 0 missed") // without a log yet
	c.print(a, "F one")
	c.await("one\n", "u0 began, 0 missed")
}

// An attempt that is removed with its pod, log and all, before anybody could list it.
func TestFollowHoldsWhatIsRemoved(t *testing.T) {
	c := newContainer(t)
	a := c.begin("u", 0)
	c.print(a, "F one")
	c.follow(a, false)
	c.await("one\n")
	b := a
	b.LogPath = filepath.Join(filepath.Dir(a.LogPath), "1.log")
	c.print(b, "F two")
	c.print(a, "F one more") // once that is seen, so was the new file
	c.await("one\none more\n")
	c.end()
	c.await("one\none more\n", "u0 ended")
	if err := os.RemoveAll(filepath.Dir(a.LogPath)); err != nil {
		t.Fatal(err)
	}
	d := c.begin("v", 0)
	c.print(d, "F three")
	c.await("one\none more\ntwo\nthree\n", "u0 ended", b.LogPath+" began, 0 missed", "v0 began, 0 missed")
}
