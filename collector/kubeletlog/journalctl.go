package kubeletlog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// A journalctl is a child that prints entries of a journal in the export format, until it has none left, or,
// when it follows, for ever.
type journalctl struct {
	exportReader
	cmd    *exec.Cmd
	stderr limited
}

var errNoJournalctl = errors.New("there is no journalctl to read the journal with (in a container mount the node's root and add ?root=/MOUNT, or let the kubelet log to a file)")

// startJournalctl starts one that begins with the entry at cursor, or, without a cursor, with the first one since
// the node booted. It is killed when ctx ends; wait must be called.
func startJournalctl(ctx context.Context, source journalSource, cursor string, arguments ...string) (*journalctl, error) {
	program, err := source.program()
	if err != nil {
		return nil, err
	}
	j := &journalctl{}
	j.cmd = exec.CommandContext(ctx, program,
		"--no-pager", "--output=export", "--output-fields="+exportFields, "--unit="+source.unit)
	if source.directory != "" {
		j.cmd.Args = append(j.cmd.Args, "--directory="+source.directory)
	}
	if cursor != "" {
		j.cmd.Args = append(j.cmd.Args, "--cursor="+cursor)
	} else {
		j.cmd.Args = append(j.cmd.Args, "--boot")
	}
	j.cmd.Args = append(j.cmd.Args, arguments...)
	j.cmd.Env = []string{"LC_ALL=C", "SYSTEMD_COLORS=0"}
	j.cmd.Stderr = &j.stderr
	j.cmd.WaitDelay = time.Second
	if source.root != "" {
		j.cmd.SysProcAttr, j.cmd.Dir = &syscall.SysProcAttr{Chroot: source.root}, "/"
	}
	stdout, err := j.cmd.StdoutPipe()
	if err == nil {
		err = j.cmd.Start()
	}
	if err != nil {
		return nil, fmt.Errorf("journalctl: %w", err)
	}
	j.exportReader = newExportReader(stdout)
	return j, nil
}

// program is the path of journalctl, within the source's root.
func (s journalSource) program() (string, error) {
	if s.root == "" {
		path, err := exec.LookPath("journalctl")
		if err != nil {
			return "", errNoJournalctl
		}
		return path, nil
	}
	for _, path := range []string{"/usr/bin/journalctl", "/bin/journalctl", "/run/current-system/sw/bin/journalctl"} {
		if _, err := os.Lstat(filepath.Join(s.root, path)); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("there is no journalctl below %s", s.root)
}

// wait is called after the last entry was read, for whatever reason. It says what journalctl complained of.
func (j *journalctl) wait() error {
	err := j.cmd.Wait()
	said := strings.TrimSpace(j.stderr.String())
	if err == nil {
		return nil
	}
	if said == "" {
		return fmt.Errorf("journalctl: %w", err)
	}
	said = strings.Join(strings.Fields(said), " ")
	if strings.Contains(said, "ermission") {
		said += " (run the exporter as root, or with the group systemd-journal)"
	}
	return fmt.Errorf("journalctl: %s", said)
}

// limited keeps the beginning of what is written to it.
type limited struct{ bytes.Buffer }

func (l *limited) Write(p []byte) (int, error) {
	l.Buffer.Write(p[:min(len(p), max(0, 1<<10-l.Len()))])
	return len(p), nil
}

// has reports whether the journal has an entry of the unit since the node booted.
func (s journalSource) has(ctx context.Context) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	j, err := startJournalctl(ctx, s, "", "--lines=1")
	if err != nil {
		return false, err
	}
	var e entry
	found := j.next(&e)
	_, _ = io.Copy(io.Discard, j) // it is one entry
	err = j.wait()
	if found == nil {
		return true, nil
	}
	return false, err
}

// sameEntry compares cursors. The file of an entry is part of its cursor and not of the entry.
func sameEntry(a, b string) bool {
	return identity(a) == identity(b)
}

func identity(cursor string) string {
	var parts []string
	for part := range strings.SplitSeq(cursor, ";") {
		if key, _, _ := strings.Cut(part, "="); key != "s" && key != "i" {
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, ";")
}
