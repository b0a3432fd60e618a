package kubeletlog

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"syscall"
	"testing"
	"time"
)

// A model of a log under a schedule of everything that happens to logs. It knows which lines a Follower
// may fail to see, and holds it to all others.
type model struct {
	*node
	files   []*modelFile // newest first: the log itself (nil while there is none), .1, .2, …
	deleted []*modelFile
	out     *modelFile   // where the kubelet writes: an older file than the log until it moves on
	partial int          // bytes of the next line that are written already
	lost    map[int]bool // lines that may be lost
	cuts    int          // times that something was truncated, deleted or left undiscoverable
	kills   int
	clock   time.Time // of the files, finer than the system's
}

// A modelFile is one file and the lines in it.
type modelFile struct {
	*os.File
	lines []int
	blind bool // deleted, and the exporter has let go of it
}

func newModel(t *testing.T) *model {
	m := &model{node: newNode(t), lost: make(map[int]bool), clock: time.Now()}
	m.create()
	m.move()
	return m
}

func (m *model) create() {
	file, err := os.OpenFile(m.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	m.check(err)
	m.t.Cleanup(func() { file.Close() })
	if len(m.files) == 0 {
		m.files = append(m.files, nil)
	}
	m.files[0] = &modelFile{File: file}
	m.tick(file)
}

// move makes the kubelet write to the log itself.
func (m *model) move() {
	m.finishLine()
	if m.files[0] != nil {
		m.out = m.files[0]
	}
}

func (m *model) writeLine(part int) {
	text := line(m.next)
	end := len(text)
	if part > 0 {
		end = min(m.partial+part, len(text)-1)
	}
	_, err := m.out.WriteString(text[m.partial:end])
	m.check(err)
	m.tick(m.out.File)
	if m.partial = end; end == len(text) {
		m.out.lines = append(m.out.lines, m.next)
		if m.out.blind {
			m.forgive(m.out.lines)
		}
		m.partial = 0
		m.next++
	}
}

// tick dates a file that was just written.
func (m *model) tick(file *os.File) {
	m.clock = m.clock.Add(time.Millisecond)
	at := syscall.NsecToTimeval(m.clock.UnixNano())
	m.check(syscall.Futimes(int(file.Fd()), []syscall.Timeval{at, at}))
}

func (m *model) finishLine() {
	if m.partial > 0 {
		m.writeLine(0)
	}
}

// shift renames every rotated file one number up and leaves .1 free.
func (m *model) shift() {
	for i := len(m.files) - 1; i > 0; i-- {
		m.check(os.Rename(fmt.Sprintf("%s.%d", m.path, i), fmt.Sprintf("%s.%d", m.path, i+1)))
	}
}

// forgive lets the lines of a file be lost that were not drained.
func (m *model) forgive(lines []int) {
	m.cuts++
	for _, number := range lines {
		m.lost[number] = true
	}
}

// letGo forgives what stands in deleted files, now and later, when the exporter lets go of them.
func (m *model) letGo() {
	for _, file := range m.deleted {
		file.blind = true
		m.forgive(file.lines)
	}
}

func (m *model) step(op byte) {
	switch n := int(op >> 4); op & 0xf {
	default:
		for range n + 1 {
			m.writeLine(0)
		}
	case 3: // of a file that begins with less than the time of its first line nobody can say which it is
		if len(m.out.lines) > 0 {
			m.writeLine(n + 1)
		}
	case 4, 5:
		m.drain()
	case 6: // read, not drained
		m.tail().pass(m.t.Context())
	case 7: // logrotate create; the kubelet may move on later
		if m.files[0] == nil {
			return
		}
		m.shift()
		m.rename(".1")
		m.files = slices.Insert(m.files, 0, nil)
		m.create()
		if n%2 == 0 {
			m.move()
		}
	case 8: // logrotate copytruncate
		if m.files[0] == nil || m.out != m.files[0] {
			return
		}
		m.finishLine()
		if cur := m.tail().cur; cur != nil && len(cur.head) == 0 {
			m.drain() // a file that was empty when it was last looked at cannot be told from its successor
		}
		m.shift()
		m.copyTruncate(".1")
		copied, err := os.Open(m.path + ".1")
		m.check(err)
		m.tick(copied)
		m.check(copied.Close())
		m.tick(m.out.File)
		m.files = slices.Insert(m.files, 1, &modelFile{lines: m.out.lines})
		m.out.lines = nil
		m.cuts++
	case 9: // > kubelet.log
		if m.files[0] == nil || m.out != m.files[0] {
			return
		}
		m.finishLine()
		m.check(os.Truncate(m.path, 0))
		m.tick(m.out.File)
		m.forgive(m.out.lines)
		m.out.lines = nil
	case 10: // rm kubelet.log; the kubelet goes on writing to it
		if m.files[0] == nil || m.out != m.files[0] {
			return
		}
		m.drain() // once it is gone only an open file shows what is in it
		m.check(os.Remove(m.path))
		m.files[0] = nil
		m.deleted = append(m.deleted, m.out)
		m.cuts++
		if info, err := m.out.Stat(); err != nil || !os.SameFile(info, m.tail().cur.info) {
			m.letGo() // it was empty, and the exporter still had the file before it open
		}
	case 11: // and now there is one again
		if m.files[0] == nil {
			m.create()
		}
		m.move()
	case 12:
		m.letGo()
		m.restart()
	case 13:
		m.letGo()
		m.kills++
		m.kill()
	case 14:
		m.f.save()
	}
}

func (m *model) verify() {
	m.finishLine()
	if m.files[0] == nil {
		m.create()
	}
	m.move()
	m.writeLine(0)
	m.drain()
	m.drain()
	seen := make(map[int]int)
	last := -1
	for _, number := range m.got {
		if number < last && m.kills == 0 {
			m.t.Errorf("line %d came after line %d", number, last)
		}
		last = number
		seen[number]++
	}
	for number := range m.next {
		switch {
		case seen[number] == 0 && !m.lost[number]:
			m.t.Errorf("line %d is lost", number)
		case seen[number] > 1 && m.kills == 0:
			m.t.Errorf("line %d came %d times", number, seen[number])
		}
	}
	if m.kills == 0 && m.cuts == 0 && m.stats.Gaps > 0 {
		m.t.Errorf("%d gaps, and there was no reason for one", m.stats.Gaps)
	}
	m.alive()
	if m.t.Failed() {
		m.t.Logf("drained %v", m.got)
	}
}

func FuzzFollow(f *testing.F) {
	f.Add([]byte{0x10, 4, 7, 0, 4})
	f.Add([]byte{0x10, 4, 0x17, 0, 4, 11, 0, 4})
	f.Add([]byte{0x10, 4, 0x10, 8, 0x30, 7, 0, 8, 0, 4})
	f.Add([]byte{0x10, 4, 0x10, 9, 0x30, 4, 12, 0, 10, 0, 12, 11})
	f.Add([]byte{0x20, 4, 4, 14, 0x20, 6, 13, 7, 7, 7, 0, 12, 3, 12, 0})
	f.Add(bytes.Repeat([]byte{0x13, 0x12, 7, 0x20, 8, 6, 0x17, 0, 12, 5}, 4))
	f.Fuzz(func(t *testing.T, schedule []byte) {
		m := newModel(t)
		m.writeLine(0)
		m.drain()
		m.drain()
		m.f.save() // what was rotated before the first start is not read
		for _, op := range schedule[:min(len(schedule), 64)] {
			m.step(op)
		}
		m.verify()
	})
}
