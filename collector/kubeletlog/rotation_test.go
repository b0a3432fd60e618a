package kubeletlog

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
)

func TestFirstStartReadsTheFileOfTheDay(t *testing.T) {
	n := newNode(t)
	n.write(2)
	n.rename(".1")
	n.open()
	n.write(3)
	n.drain()
	n.expect(0, 2, 5)
	n.alive()
	if s := n.stats; s.Lines != 3 || s.Events != 3 || s.Lag != 0 || s.Bytes != uint64(3*len(line(0))) {
		t.Errorf("stats %+v", s)
	}
}

func TestLogrotateRenamesAndCreates(t *testing.T) {
	n := newNode(t)
	n.write(3)
	n.drain()
	n.write(2)
	n.rename(".1")
	n.open()
	n.write(2)
	n.drain()
	n.expect(0, 0, 7)
	n.alive()
}

// The kubelet goes on in the old file until somebody makes it open the new one.
func TestTheKubeletIsSlowToMoveToTheNewFile(t *testing.T) {
	n := newNode(t)
	n.write(1)
	n.drain()
	n.rename(".1")
	n.write(1)
	n.drain()
	n.expect(0, 0, 2)
	n.check(os.WriteFile(n.path, nil, 0o644))
	n.write(1)
	n.drain()
	n.expect(0, 0, 3)
	n.write(1)
	n.open()
	n.write(1)
	n.drain()
	n.expect(0, 0, 5)
	n.alive()
}

func TestTheLogRotatesTwiceBetweenTwoLooks(t *testing.T) {
	for name, rotate := range map[string]func(n *node){
		"numbers": func(n *node) {
			os.Rename(n.path+".2", n.path+".3")
			os.Rename(n.path+".1", n.path+".2")
			n.rename(".1")
		},
		"dates": func(n *node) { n.rename(fmt.Sprintf("-20261122%02d", n.next)) },
		"lumberjack": func(n *node) {
			n.check(os.Rename(n.path, fmt.Sprintf("%s/kubelet-2026-11-22T14-38-%02d.064.log", filepath.Dir(n.path), n.next)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t)
			n.write(2)
			rotate(n)
			n.open()
			n.write(2)
			n.drain()
			n.write(2)
			for range 2 {
				rotate(n)
				n.open()
				n.write(2)
			}
			n.drain()
			n.expect(0, 2, 10)
			n.alive()
		})
	}
}

// Talos keeps one rotated file.
func TestTheLogRotatesOutOfSightBetweenTwoLooks(t *testing.T) {
	n := newNode(t)
	n.write(2)
	n.drain()
	n.write(1) // in the file that is still open
	for range 3 {
		n.rename(".1")
		n.open()
		n.write(2)
	}
	n.drain()
	n.expect(1, 0, 3, 5, 9)
}

func TestCopyTruncateCostsNoLineThatWasCopied(t *testing.T) {
	n := newNode(t)
	n.write(2)
	n.drain()
	n.write(2)
	n.copyTruncate(".1")
	n.write(4) // more than before, so that the file is longer than what was read of it
	n.drain()
	n.expect(1, 0, 8)
	n.alive()
}

func TestCopyTruncateInTheMiddleOfARecord(t *testing.T) {
	n := newNode(t)
	n.write(1)
	_, err := n.out.WriteString("E1122 14:38:27.064857   29116 file.go:186] \"Could not process manifest file\" path=\"/m/1\" err=<\n\tfirst\n")
	n.check(err)
	n.next++
	n.drain()
	n.copyTruncate(".1")
	n.write(1)
	n.drain()
	n.expect(1, 0, 3)
}

func TestCopyTruncateLeavesAHoleBeforeAWriterWithAnOffset(t *testing.T) {
	n := newNode(t)
	n.out, _ = os.OpenFile(n.path, os.O_CREATE|os.O_WRONLY, 0o644) // not O_APPEND
	for range 3 {
		n.write(1000)
		n.drain()
	}
	n.copyTruncate(".1")
	n.write(2)
	n.drain()
	n.expect(1, 0, 3002)
	if n.stats.Oversized != 0 {
		t.Errorf("the hole is an oversized line")
	}
}

func TestSomebodyEmptiesTheLog(t *testing.T) {
	n := newNode(t)
	n.write(3)
	n.drain()
	n.write(1) // nobody can have seen it
	n.check(os.Truncate(n.path, 0))
	n.drain()
	n.expect(1, 0, 3)
	n.write(2)
	n.drain()
	n.expect(1, 0, 3, 4, 6)
	n.alive()
}

func TestSomebodyCutsTheEndOfTheLog(t *testing.T) {
	n := newNode(t)
	n.write(5)
	n.drain()
	n.check(os.Truncate(n.path, int64(3*len(line(0)))))
	n.drain()
	n.write(1)
	n.drain()
	n.expect(1, 0, 6)
}

func TestTheLogIsWrittenAnewUnderOurFeet(t *testing.T) {
	n := newNode(t)
	n.write(2)
	n.drain()
	n.check(os.Truncate(n.path, 0))
	n.write(9)
	n.drain()
	n.expect(1, 0, 11)
}

// Two lines begin alike for as long as they are written in one second.
func TestTheLogIsWrittenAnewAndTheFirstLineIsNotThereYet(t *testing.T) {
	n := newNode(t)
	n.write(1)
	n.drain()
	n.check(os.Truncate(n.path, 0))
	_, err := n.out.WriteString(line(1)[:20])
	n.check(err)
	n.drain()
	_, err = n.out.WriteString(line(1)[20:])
	n.check(err)
	n.drain()
	n.expect(1, 0, 2)
}

func TestTheLogIsDeletedAndComesBack(t *testing.T) {
	n := newNode(t)
	n.write(2)
	n.drain()
	n.write(1)
	n.check(os.Remove(n.path))
	n.write(1) // into the deleted file
	n.drain()
	n.expect(0, 0, 4)
	n.alive() // it may be a rotation
	n.tail().pace.grace = 0
	n.drain()
	n.dead("no such file")
	n.write(1)
	n.open()
	n.write(1)
	n.drain()
	n.expect(0, 0, 6)
	n.alive()
}

func TestADeletedLogDoesNotHoldItsSpaceForEver(t *testing.T) {
	n := newNode(t)
	n.write(2)
	n.drain()
	n.tail().pace.grace, n.tail().pace.forget = 0, 0
	n.check(os.Remove(n.path))
	n.drain()
	if n.tail().cur != nil {
		t.Error("the deleted file is still open")
	}
	n.dead("no such file")
	n.open()
	n.write(1)
	n.drain()
	n.expect(1, 0, 3)
	n.alive()
}

func TestADirectoryTakesTheLogsPlace(t *testing.T) {
	n := newNode(t)
	n.write(1)
	n.drain()
	n.tail().pace.grace = 0
	n.rename(".1")
	n.check(os.Mkdir(n.path, 0o755))
	n.write(1)
	n.drain()
	n.expect(0, 0, 2)
	n.dead("not a regular file")
	n.check(os.Remove(n.path))
	n.open()
	n.write(1)
	n.drain()
	n.expect(0, 0, 3)
	n.alive()
}

func TestTheLogIsNotThereYet(t *testing.T) {
	n := newNode(t)
	n.drain()
	n.dead("no such file")
	n.write(1)
	n.drain()
	n.expect(0, 0, 1)
	n.alive()
}

func TestTheLogIsAPipe(t *testing.T) {
	n := newNode(t)
	n.check(syscall.Mkfifo(n.path, 0o644))
	n.drain() // does not wait for a writer
	n.dead("not a regular file")
}

func TestTheLogMayNotBeRead(t *testing.T) {
	n := newNode(t)
	n.write(1)
	n.check(os.Chmod(n.path, 0))
	if os.Geteuid() == 0 { // root reads everything, so this thread is somebody else for a while
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		n.check(syscall.Setfsuid(65534))
		defer syscall.Setfsuid(0)
	}
	n.drain()
	n.dead("permission denied")
	if os.Geteuid() == 0 {
		n.check(syscall.Setfsuid(0))
	}
	n.check(os.Chmod(n.path, 0o644))
	n.drain()
	n.expect(0, 0, 1)
	n.alive()
}
