package kubeletlog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A listener is a Follower that listens, and what it has told.
type listener struct {
	t     *testing.T
	f     *Follower
	got   []string
	stats Stats
	err   error
	stop  func()
}

func listen(t *testing.T, path string, change func(transport)) *listener {
	t.Helper()
	f, err := Follow(Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(f.transport)
	}
	l := &listener{t: t, f: f}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = f.Run(ctx) })
	l.stop = func() { cancel(); running.Wait() }
	t.Cleanup(l.stop)
	return l
}

// until drains until done.
func (l *listener) until(what string, done func() bool) {
	l.t.Helper()
	patience := time.After(20 * time.Second)
	for {
		changed := l.f.Changed()
		events, stats, err := l.f.Drain()
		for _, e := range events {
			l.got = append(l.got, e.Path)
		}
		l.stats, l.err = stats, err
		if done() {
			return
		}
		tick := time.NewTimer(20 * time.Millisecond) // counters are no change
		select {
		case <-changed:
		case <-tick.C:
		case <-patience:
			l.t.Fatalf("%s: %v, %+v, %v", what, l.got, l.stats, l.err)
		}
		tick.Stop()
	}
}

func (l *listener) await(paths ...string) {
	l.t.Helper()
	l.until(fmt.Sprint(paths), func() bool { return len(l.got) >= len(paths) })
	if fmt.Sprint(l.got) != fmt.Sprint(paths) {
		l.t.Fatalf("got %v, want %v", l.got, paths)
	}
}

func (l *listener) dead(words string) {
	l.t.Helper()
	l.until("error "+words, func() bool { return l.err != nil && strings.Contains(l.err.Error(), words) })
}

func (l *listener) alive() {
	l.t.Helper()
	l.until("no error", func() bool { return l.err == nil })
}

func (l *listener) gaps(want uint64) {
	l.t.Helper()
	l.until(fmt.Sprint(want, " gaps"), func() bool { return l.stats.Gaps >= want })
	if l.stats.Gaps != want {
		l.t.Fatalf("%d gaps, want %d", l.stats.Gaps, want)
	}
}

// where waits until it listens.
func (l *listener) where() string {
	l.t.Helper()
	for patience := time.After(20 * time.Second); ; {
		if at := l.f.transport.(interface{ where() net.Addr }).where(); at != nil {
			return at.String()
		}
		select {
		case <-patience:
			l.t.Fatal("it does not listen")
		case <-time.After(time.Millisecond):
		}
	}
}

func (l *listener) dial(network string) net.Conn {
	l.t.Helper()
	conn, err := net.Dial(network, l.where())
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { conn.Close() })
	return conn
}

func (l *listener) send(to io.Writer, text string) {
	l.t.Helper()
	if _, err := io.WriteString(to, text); err != nil {
		l.t.Fatal(err)
	}
}

func TestASenderComesAndGoesAndComesBack(t *testing.T) {
	l := listen(t, "tcp://127.0.0.1:0", func(t transport) { t.(*streams).absence = 50 * time.Millisecond })
	l.dead("nobody is connected to tcp://127.0.0.1:")
	first := l.dial("tcp")
	l.send(first, shipped(t, strings.TrimSuffix(line(0), "\n")))
	l.await("/m/0")
	l.alive()
	first.Close()
	l.dead("machine.logging.destinations")
	again := l.dial("tcp")
	l.alive()
	l.send(again, line(1)+line(2))
	l.await("/m/0", "/m/1", "/m/2")
	l.gaps(0)
}

func TestASenderBreaksOffInTheMiddleOfALine(t *testing.T) {
	l := listen(t, "tcp://127.0.0.1:0", nil)
	first := l.dial("tcp")
	l.send(first, line(0)+line(1)[:40])
	l.await("/m/0")
	first.Close()
	l.gaps(1)
	l.send(l.dial("tcp"), line(1)[40:]+line(2)) // the rest of a line is none
	l.await("/m/0", "/m/2")
}

func TestASlowSenderHoldsUpNobody(t *testing.T) {
	l := listen(t, "tcp://127.0.0.1:0", nil)
	slow, fast := l.dial("tcp"), l.dial("tcp")
	for i, b := range []byte(line(0)) {
		l.send(slow, string(b))
		if i%50 == 0 {
			l.send(fast, line(1))
		}
	}
	l.until("both", func() bool { return len(l.got) == 4 })
	l.gaps(0)
}

func TestASenderThatStallsInALineIsSentAway(t *testing.T) {
	l := listen(t, "tcp://127.0.0.1:0", func(t transport) { t.(*streams).stall = 20 * time.Millisecond })
	conn := l.dial("tcp")
	l.send(conn, line(0)+line(1)[:40])
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Error("it was not")
	}
	l.await("/m/0")
	l.gaps(1)
	silent := l.dial("tcp") // one that is silent between lines is not
	l.send(silent, line(2))
	l.await("/m/0", "/m/2")
	_ = silent.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	if _, err := silent.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(err)
	}
}

func TestThereAreTooManySenders(t *testing.T) {
	l := listen(t, "tcp://127.0.0.1:0", func(t transport) { t.(*streams).limit = 2 })
	idle := l.dial("tcp")
	l.send(idle, line(0))
	l.await("/m/0")
	busy := l.dial("tcp")
	l.send(busy, line(1))
	l.await("/m/0", "/m/1")
	l.send(l.dial("tcp"), line(2))
	l.await("/m/0", "/m/1", "/m/2")
	if _, err := idle.Read(make([]byte, 1)); err == nil {
		t.Error("the one silent longest is still there")
	}
	l.send(busy, line(3))
	l.await("/m/0", "/m/1", "/m/2", "/m/3")
}

func TestOtherServicesOfTalosAreIgnored(t *testing.T) {
	l := listen(t, "tcp://127.0.0.1:0", nil)
	conn := l.dial("tcp")
	foreign := strings.Replace(shipped(t, strings.TrimSuffix(line(0), "\n")), `"talos-service":"kubelet"`, `"talos-service":"machined"`, 1)
	l.send(conn, strings.Repeat(foreign, 1000)+shipped(t, strings.TrimSuffix(line(1), "\n")))
	l.await("/m/1")
	if l.stats.Lines != 1001 || l.stats.Events != 1 {
		t.Errorf("%+v", l.stats)
	}
}

func TestThePortIsTaken(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := listen(t, "tcp://"+taken.Addr().String(), func(t transport) { t.(*streams).retry = time.Millisecond })
	l.dead("address already in use")
	taken.Close()
	l.send(l.dial("tcp"), line(0))
	l.await("/m/0")
}

func TestManySendersAtOnce(t *testing.T) {
	l := listen(t, "tcp://127.0.0.1:0", nil)
	const senders, lines = 8, 500
	var sending sync.WaitGroup
	for s := range senders {
		conn := l.dial("tcp")
		sending.Go(func() {
			for i := range lines {
				if _, err := io.WriteString(conn, line(s*lines+i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	l.until("all", func() bool { return len(l.got) == senders*lines })
	sending.Wait()
	seen := map[string]bool{}
	for _, path := range l.got {
		seen[path] = true
	}
	if len(seen) != senders*lines || l.stats.Lines != senders*lines {
		t.Errorf("%d different ones, %+v", len(seen), l.stats)
	}
}

func TestTheRunEndsWithItsSenders(t *testing.T) {
	l := listen(t, "tcp://127.0.0.1:0", nil)
	conn := l.dial("tcp")
	l.send(conn, line(0))
	l.await("/m/0")
	l.stop()
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Error("its connection is still there")
	}
}

func TestADatagramIsALine(t *testing.T) {
	l := listen(t, "udp://127.0.0.1:0", nil)
	l.dead("nothing has come to udp://127.0.0.1:")
	conn := l.dial("udp")
	long := strings.TrimSuffix(strings.Replace(line(2), "invalid", strings.Repeat("x", 60000), 1), "\n")
	for _, text := range []string{strings.TrimSuffix(line(0), "\n"), line(1), "", long, "\x00\xff", line(3) + line(4)} {
		l.send(conn, text)
	}
	l.await("/m/0", "/m/1", "/m/2", "/m/3", "/m/4")
	l.alive()
	l.gaps(0)
}

func TestDatagramsStopComing(t *testing.T) {
	l := listen(t, "udp://127.0.0.1:0", func(t transport) { t.(*datagrams).quiet = 50 * time.Millisecond })
	conn := l.dial("udp")
	l.send(conn, line(0))
	l.await("/m/0")
	l.dead("for 50ms")
	l.send(conn, line(1))
	l.await("/m/0", "/m/1")
}

// What the system drops before it is read is known, unlike what the network loses.
func TestDatagramsComeFasterThanTheyAreRead(t *testing.T) {
	l := listen(t, "udp://127.0.0.1:0", nil)
	conn := l.dial("udp")
	l.f.mu.Lock() // nothing is published, so nothing is read after the first
	for i := range 20000 {
		if _, err := io.WriteString(conn, line(i)); err != nil && !errors.Is(err, syscall.ENOBUFS) {
			t.Fatal(err)
		}
	}
	l.f.mu.Unlock()
	l.until("those that were kept", func() bool { return len(l.got) > 1 })
	l.until("one that tells of the loss", func() bool {
		l.send(conn, line(0))
		return l.stats.Gaps > 0
	})
}

func TestAnotherListensOnTheDatagramPort(t *testing.T) {
	taken, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := listen(t, "udp://"+taken.LocalAddr().String(), func(t transport) { t.(*datagrams).retry = time.Millisecond })
	l.dead("address already in use")
	taken.Close()
	l.send(l.dial("udp"), line(0))
	l.await("/m/0")
}

// piped returns a Follower whose standard input is a pipe, and the other end of it.
func piped(t *testing.T) (*listener, *os.File) {
	t.Helper()
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); out.Close() })
	return listen(t, Stdin, func(t transport) { t.(*input).file = in }), out
}

func TestTheKubeletIsPipedIn(t *testing.T) {
	l, out := piped(t)
	l.send(out, line(0)+line(1)[:30])
	l.await("/m/0")
	l.alive()
	l.send(out, line(1)[30:])
	l.await("/m/0", "/m/1")
	out.Close()
	l.dead("it has ended")
	l.gaps(0)
}

func TestThePipeEndsInTheMiddleOfALine(t *testing.T) {
	l, out := piped(t)
	l.send(out, line(0)+line(1)[:30])
	out.Close()
	l.await("/m/0")
	l.dead("it has ended")
	l.gaps(1)
}

func TestTheRunEndsWhileThePipeIsSilent(t *testing.T) {
	l, _ := piped(t)
	l.alive()
	l.stop()
}

func TestNothingIsPipedIn(t *testing.T) {
	l := listen(t, Stdin, nil)
	l.dead("standard input: ")
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	l = listen(t, Stdin, func(t transport) { t.(*input).file = null })
	l.dead("it is a device (start the exporter behind the kubelet")
}
