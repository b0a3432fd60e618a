package kubeletlog

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

var watching = pace{hold: time.Millisecond, poll: time.Hour, deafPoll: time.Hour, forget: time.Hour}

func (n *node) run(p pace) (stop func()) {
	n.tail().pace = p
	ctx, cancel := context.WithCancel(n.t.Context())
	var group sync.WaitGroup
	group.Go(func() {
		if err := n.f.Run(ctx); err != nil {
			n.t.Error(err)
		}
	})
	return func() { cancel(); group.Wait() }
}

// await drains until all lines written so far are there.
func (n *node) await() {
	n.t.Helper()
	for len(n.got) < n.next {
		changed := n.f.Changed()
		if n.collect(); len(n.got) < n.next {
			<-changed
		}
	}
}

func TestALineIsSeenWhenItIsWritten(t *testing.T) {
	n := newNode(t)
	n.open()
	stop := n.run(watching)
	for range 20 {
		n.write(1)
		n.await()
	}
	n.rename(".1")
	n.write(1)
	n.await()
	n.open()
	n.write(1)
	n.await()
	n.check(os.Rename(n.path+".1", n.path+".2"))
	n.copyTruncate(".1")
	n.write(1)
	n.await()
	stop()
	n.expect(1, 0, 23)
}

func TestALinkedLogIsSeenWhenItIsWritten(t *testing.T) {
	n := newNode(t)
	real := filepath.Join(n.dir, "real")
	n.check(os.Mkdir(real, 0o755))
	n.check(os.WriteFile(filepath.Join(real, "kubelet.log"), nil, 0o644))
	n.check(os.Symlink(filepath.Join(real, "kubelet.log"), n.path))
	n.open()
	defer n.run(watching)()
	for range 3 {
		n.write(1)
		n.await()
	}
	n.check(os.Rename(filepath.Join(real, "kubelet.log"), filepath.Join(real, "kubelet.log.1")))
	n.write(1)
	n.open()
	n.write(1)
	n.await()
}

func TestALinkedLogIsRotatedWhereItLies(t *testing.T) {
	n := newNode(t)
	real := filepath.Join(n.dir, "real.log")
	n.check(os.WriteFile(real, nil, 0o644))
	n.check(os.Symlink(real, n.path))
	n.write(1)
	n.drain()
	n.restart()
	n.write(1)
	n.check(os.Rename(real, real+".1"))
	n.open()
	n.write(1)
	n.drain()
	n.expect(0, 0, 3)
}

func TestErrorsAreChangesToo(t *testing.T) {
	n := newNode(t)
	defer n.run(watching)()
	<-n.f.Changed()
	n.collect()
	n.dead("no such file")
	n.write(1)
	n.await()
	for n.err != nil {
		<-n.f.Changed()
		n.collect()
	}
	n.check(os.Remove(n.path))
	for n.err == nil {
		<-n.f.Changed()
		n.collect()
	}
	n.dead("no such file")
}

func TestTheDirectoryOfTheLogComesLater(t *testing.T) {
	n := newNode(t)
	n.check(os.Remove(filepath.Dir(n.path)))
	defer n.run(pace{deafPoll: time.Millisecond, poll: time.Hour, forget: time.Hour})()
	n.check(os.Mkdir(filepath.Dir(n.path), 0o755))
	n.write(2)
	n.await()
}

// The first line after silence does not wait for the hold-off, and neither does the end of the run.
func TestTheHoldOffDelaysNeitherTheFirstLineNorTheEnd(t *testing.T) {
	n := newNode(t)
	n.open()
	slow := watching
	slow.hold = time.Hour
	stop := n.run(slow)
	n.write(1)
	n.await()
	stop()
}

func TestTheEndOfARunIsACheckpoint(t *testing.T) {
	n := newNode(t)
	n.write(3)
	stop := n.run(watching)
	n.await()
	stop()
	n.start()
	n.write(1)
	stop = n.run(watching)
	n.await()
	stop()
	n.expect(0, 0, 4)
}
