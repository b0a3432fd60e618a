package logshape

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/staticpod-exporter/staticpod-exporter/e2e/programs"
)

// A Journal is a directory of real journal files. systemd-journal-remote writes them, from its export format, as
// journald writes its own.
type Journal struct {
	dir     string
	boot    string
	cmd     *exec.Cmd
	stdin   io.WriteCloser
	entry   int64 // the last one's time, in microseconds: no two are the same
	rotated int
}

const remote = "/lib/systemd/systemd-journal-remote"

// LineLimit is how long a line journald takes in one entry.
const LineLimit = 48 << 10

// OpenJournal makes a journal in a directory. It installs what it needs where there is apt-get.
func OpenJournal(ctx context.Context, dir string) (*Journal, error) {
	if err := installRemote(ctx); err != nil {
		return nil, err
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return nil, err
	}
	j := &Journal{dir: dir, boot: strings.ReplaceAll(strings.TrimSpace(string(boot)), "-", "")}
	return j, j.open()
}

func installRemote(ctx context.Context) error {
	_, missing := os.Stat(remote)
	_, err := exec.LookPath("journalctl")
	if missing == nil && err == nil {
		return nil
	}
	if err := programs.Install(ctx, "systemd", "systemd-journal-remote"); err != nil {
		return fmt.Errorf("a journal needs journalctl and systemd-journal-remote: %w", err)
	}
	return nil
}

func (j *Journal) open() (err error) {
	var said bytes.Buffer
	j.cmd = exec.Command(remote, "--output="+filepath.Join(j.dir, "kubelet.journal"), "-")
	j.cmd.Stderr = &said
	if j.stdin, err = j.cmd.StdinPipe(); err == nil {
		err = j.cmd.Start()
	}
	return err
}

// Write logs a line of a unit; one that is longer than LineLimit becomes several entries, as with journald.
func (j *Journal) Write(unit string, line []byte) error {
	line = bytes.TrimRight(line, "\r\n")
	for {
		n := min(len(line), LineLimit)
		fields := map[string]string{"_SYSTEMD_UNIT": unit, "_TRANSPORT": "stdout", "_STREAM_ID": "7a0b"}
		if n < len(line) {
			fields["_LINE_BREAK"] = "line-max"
		}
		if err := j.write(fields, line[:n]); err != nil {
			return err
		}
		if line = line[n:]; len(line) == 0 {
			return nil
		}
	}
}

// Suppress logs what journald says when it leaves out messages of a unit.
func (j *Journal) Suppress(unit string, messages int) error {
	return j.write(map[string]string{
		"_SYSTEMD_UNIT": "systemd-journald.service", "_TRANSPORT": "driver", "MESSAGE_ID": "a596d6fe7bfa4994828e72309e95d61e",
		"OBJECT_SYSTEMD_UNIT": unit, "N_DROPPED": fmt.Sprint(messages),
	}, fmt.Appendf(nil, "Suppressed %d messages from %s", messages, unit))
}

func (j *Journal) write(fields map[string]string, message []byte) error {
	j.entry = max(j.entry+1, time.Now().UnixMicro())
	var out bytes.Buffer
	fmt.Fprintf(&out, "__REALTIME_TIMESTAMP=%d\n__MONOTONIC_TIMESTAMP=%d\n_BOOT_ID=%s\n_UID=0\n", j.entry, j.entry-1e15, j.boot)
	for name, value := range fields {
		fmt.Fprintf(&out, "%s=%s\n", name, value)
	}
	out.WriteString("MESSAGE\n")
	out.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(message))))
	out.Write(message)
	out.WriteString("\n\n")
	_, err := j.stdin.Write(out.Bytes())
	return err
}

// Rotate puts the file away, and goes on in a new one.
func (j *Journal) Rotate() error {
	if err := j.Close(); err != nil {
		return err
	}
	j.rotated++
	if err := os.Rename(filepath.Join(j.dir, "kubelet.journal"), j.away(j.rotated)); err != nil {
		return err
	}
	return j.open()
}

func (j *Journal) away(number int) string {
	return filepath.Join(j.dir, fmt.Sprintf("kubelet@%04d.journal", number))
}

// Vacuum removes the files that were put away.
func (j *Journal) Vacuum() error {
	var err error
	for n := 1; n <= j.rotated; n++ {
		if gone := os.Remove(j.away(n)); gone != nil && !os.IsNotExist(gone) {
			err = errors.Join(err, gone)
		}
	}
	return err
}

// Close ends the writing. All that was written is there then.
func (j *Journal) Close() error {
	if j.cmd == nil {
		return nil
	}
	err := errors.Join(j.stdin.Close(), j.cmd.Wait())
	j.cmd = nil
	if err != nil {
		return fmt.Errorf("systemd-journal-remote: %w", err)
	}
	return nil
}
