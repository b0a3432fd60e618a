package logs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/staticpod-exporter/staticpod-exporter/e2e/await"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/exporter"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/logshape"
)

const unit = "kubelet.service"

// A kept journal, and an exporter that reads nothing else.
type kept struct {
	t    *testing.T
	dir  string
	j    *logshape.Journal
	e    *exporter.Exporter
	next int
}

func keep(t *testing.T, flags ...string) *kept {
	t.Helper()
	k := &kept{t: t, dir: filepath.Join(t.TempDir(), "journal")}
	k.check(os.Mkdir(k.dir, 0o755))
	var err error
	k.j, err = logshape.OpenJournal(t.Context(), k.dir)
	k.check(err)
	t.Cleanup(func() { k.j.Close() })
	k.e, err = exporter.New(exporter.Options{Binary: binary, StateDirectory: t.TempDir(), Log: t.Output(), Flags: append([]string{
		"--node=node1", "--kubelet.endpoint=", "--kubelet.pods-socket=", "--kubelet.manifest-directory=", "--cri.endpoint=",
		"--kubelet.log=journald:" + unit + "?directory=" + k.dir,
	}, flags...)})
	k.check(err)
	t.Cleanup(k.e.Kill)
	return k
}

func (k *kept) check(err error) {
	k.t.Helper()
	if err != nil {
		k.t.Fatal(err)
	}
}

// log writes refusals of files that no line before was about.
func (k *kept) log(lines int) {
	k.t.Helper()
	for range lines {
		k.check(k.j.Write(unit, refusalLine(k.next)))
		k.next++
	}
}

func refusalLine(number int) []byte {
	return fmt.Appendf(nil, `{"ts":1795358307064.%04d,"caller":"config/file.go:186","msg":"Could not process manifest file","path":"/m/%d.yaml","err":"invalid pod: [spec.containers: Required value]"}`, number, number)
}

// told waits until the exporter, in this life, has made so many events, and met so many gaps.
func (k *kept) told(events, gaps int) {
	k.t.Helper()
	await.Nil(k.t, "events and gaps", func(ctx context.Context) error {
		m, err := k.e.Metrics(ctx)
		if err != nil {
			return err
		}
		e, _ := m.Value("staticpod_kubelet_log_events_total")
		g, _ := m.Value("staticpod_kubelet_log_gaps_total")
		if int(e) != events || int(g) != gaps {
			return fmt.Errorf("%v events and %v gaps, not %d and %d", e, g, events, gaps)
		}
		return nil
	})
}

// down waits until the node's log is said to be unavailable in such words, up until it is not.
func down(t *testing.T, e *exporter.Exporter, words string) {
	t.Helper()
	await.Nil(t, "LogUnavailable", func(ctx context.Context) error {
		statuses, err := e.Statuses(ctx)
		if err != nil {
			return err
		}
		if p, ok := statuses["node"].Problem("LogUnavailable"); !ok || !strings.Contains(p.Message, words) {
			return fmt.Errorf("the node's problems are %+v", statuses["node"].Spec.Problems)
		}
		return nil
	})
}

func up(t *testing.T, e *exporter.Exporter) {
	t.Helper()
	await.Nil(t, "the log", func(ctx context.Context) error {
		m, err := e.Metrics(ctx)
		if err != nil {
			return err
		}
		if v, _ := m.Value("staticpod_input_up", "input", "log"); v != 1 {
			return errors.New("the input is down")
		}
		return nil
	})
}

func TestTheRealJournalIsRotatedAndVacuumed(t *testing.T) {
	k := keep(t)
	k.log(10) // before the first start, in this boot
	k.check(k.j.Write("other.service", refusalLine(1000)))
	k.check(k.e.Start(t.Context()))
	k.told(10, 0)
	k.log(5)
	k.told(15, 0)

	k.check(k.j.Rotate())
	k.log(5)
	k.told(20, 0)
	k.check(k.j.Vacuum()) // of what was read
	k.log(5)
	k.told(25, 0)
	up(t, k.e)

	// The exporter is away while the journal is rotated, and finds all that is there.
	k.e.Stop(t.Context())
	k.log(5)
	k.check(k.j.Rotate())
	k.log(5)
	k.check(k.e.Start(t.Context()))
	k.told(10, 0)

	// And while it is vacuumed: that is a gap, and the first line that is left is not passed over.
	k.e.Stop(t.Context())
	k.log(5)
	k.check(k.j.Rotate())
	k.log(5)
	k.check(k.j.Vacuum())
	k.check(k.e.Start(t.Context()))
	k.told(5, 1)

	// After a crash some lines come again, and none is lost; nor does the child stay.
	children := journalctls(t, k.dir)
	if len(children) == 0 {
		t.Error("no journalctl runs")
	}
	k.e.Kill()
	k.log(1) // a child that cannot write ends
	await.Nil(t, "the end of journalctl", func(context.Context) error {
		if left := journalctls(t, k.dir); len(left) > 0 {
			return fmt.Errorf("%v are left", left)
		}
		return nil
	})
	k.check(k.e.Start(t.Context()))
	await.Nil(t, "the line after the crash", func(ctx context.Context) error {
		statuses, err := k.e.Statuses(ctx)
		if _, ok := statuses[fmt.Sprintf("file:/m/%d.yaml", k.next-1)]; err == nil && !ok {
			err = errors.New("it is not there")
		}
		return err
	})
	statuses, err := k.e.Statuses(t.Context())
	k.check(err)
	for number := range k.next {
		_, there := statuses[fmt.Sprintf("file:/m/%d.yaml", number)]
		if vacuumed := number >= 35 && number < 40; there == vacuumed {
			t.Errorf("line %d: %t, vacuumed unread: %t", number, there, vacuumed)
		}
	}

	// Somebody kills the child.
	for _, pid := range journalctls(t, k.dir) {
		k.check(syscall.Kill(pid, syscall.SIGKILL))
	}
	m, err := k.e.Metrics(t.Context())
	k.check(err)
	events, _ := m.Value("staticpod_kubelet_log_events_total")
	gaps, _ := m.Value("staticpod_kubelet_log_gaps_total") // the one from above, when the crash came before its checkpoint
	k.log(5)
	k.told(int(events)+5, int(gaps))
}

// journalctls are the processes of that name that read a directory.
func journalctls(t *testing.T, dir string) (pids []int) {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		line, _ := os.ReadFile(filepath.Join("/proc", entry.Name(), "cmdline"))
		if strings.Contains(string(line), "journalctl\x00") && strings.Contains(string(line), dir) {
			pids = append(pids, pid)
		}
	}
	return pids
}

func TestTheJournalSuppressesMessages(t *testing.T) {
	k := keep(t)
	k.log(1)
	k.check(k.j.Suppress(unit, 1234))
	k.check(k.j.Suppress("other.service", 1))
	k.log(1)
	k.check(k.e.Start(t.Context()))
	k.told(2, 1)
}

// A line longer than journald takes in one entry, such as one that quotes the list that was served.
func TestTheJournalBreaksALongLine(t *testing.T) {
	k := keep(t)
	body := strings.Repeat(`{\"kind\":\"Pod\"},`, 20000)
	k.check(k.j.Write(unit, fmt.Appendf(nil, `{"ts":1795358307064.1,"caller":"config/file.go:186","msg":"Could not process manifest file","path":"/m/long.yaml","err":"/m/long.yaml: couldn't parse as pod(%s), please check config file"}`, body)))
	k.log(1)
	k.check(k.e.Start(t.Context()))
	k.told(2, 0)
	statuses, err := k.e.Statuses(t.Context())
	k.check(err)
	if _, ok := statuses["file:/m/long.yaml"]; !ok {
		t.Error("the long line told nothing")
	}
}

func TestTheUnitHasAnotherName(t *testing.T) {
	k := keep(t)
	k.check(k.j.Write("kubelite.service", refusalLine(0)))
	k.check(k.e.Start(t.Context()))
	down(t, k.e, "the journal has no entry of "+unit+" since the node booted (is that the name of the kubelet's unit")
	k.log(1) // it was the name, and the kubelet had yet to start
	k.told(1, 0)
	up(t, k.e)
}

func TestTheJournalMayNotBeRead(t *testing.T) {
	k := keep(t)
	k.log(1)
	k.check(k.j.Rotate())
	k.check(os.Chmod(k.dir, 0o700))
	for dir := k.dir; dir != os.TempDir() && dir != "/"; {
		dir = filepath.Dir(dir)
		k.check(os.Chmod(dir, 0o755|os.ModeSticky))
	}
	setpriv, err := exec.LookPath("setpriv")
	k.check(err)
	nobody := filepath.Join(t.TempDir(), "nobody")
	k.check(os.WriteFile(nobody, fmt.Appendf(nil, "#!/bin/sh\nexec %s --reuid=65534 --regid=65534 --clear-groups %s \"$@\"\n", setpriv, binary), 0o755))
	state := t.TempDir()
	k.check(os.Chown(state, 65534, 65534))
	for dir := state; dir != os.TempDir() && dir != "/"; {
		dir = filepath.Dir(dir)
		k.check(os.Chmod(dir, 0o755|os.ModeSticky))
	}
	k.e.Configure(func(o *exporter.Options) { o.Binary, o.StateDirectory = nobody, state })
	k.check(k.e.Start(t.Context()))
	down(t, k.e, "Permission denied (run the exporter as root, or with the group systemd-journal)")
	k.check(os.Chown(filepath.Join(k.dir, "kubelet@0001.journal"), 65534, 65534))
	k.check(os.Chown(k.dir, 65534, 65534))
	k.told(1, 0)
	up(t, k.e)
}

// The journal of a system that is mounted somewhere, read by that system's own journalctl. Here it is this one.
func TestTheJournalIsReadByTheJournalctlOfItsSystem(t *testing.T) {
	k := keep(t)
	k.e.Configure(func(o *exporter.Options) {
		o.Flags = append(o.Flags, "--kubelet.log=journald:"+unit+"?root=/&directory="+k.dir)
	})
	k.log(3)
	k.check(k.e.Start(t.Context()))
	k.told(3, 0)
	k.log(1)
	k.told(4, 0)
	up(t, k.e)
}
