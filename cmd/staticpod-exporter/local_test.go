package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"testing"

	"github.com/staticpod-exporter/staticpod-exporter/cri"
)

// Whatever keeps a runtime or a log from answering, the error says what to try next.
func TestAdvice(t *testing.T) {
	wrapped := func(err error) error { return fmt.Errorf("runtime: unix:///run/x.sock: %w", err) }
	for _, tc := range []struct {
		advise func(error) error
		err    error
		want   string // "" for the error as it is
	}{
		{advise, wrapped(cri.ErrNoSocket), "--cri.endpoint names its socket"},
		{advise, wrapped(&fs.PathError{Op: "dial", Path: "/run/x.sock", Err: syscall.ENOENT}), "--cri.endpoint=auto"},
		{advise, wrapped(syscall.EACCES), "run this as root (sudo staticpod-exporter …)"},
		{advise, wrapped(syscall.EPERM), "run this as root"},
		{advise, wrapped(syscall.ECONNREFUSED), "systemctl status containerd"},
		{advise, wrapped(context.DeadlineExceeded), "does not answer: systemctl status containerd"},
		{advise, wrapped(errors.New("no CRI")), ""},
		{adviseLog, &fs.PathError{Op: "open", Path: "/0.log", Err: syscall.EACCES}, "container log: open /0.log: permission denied: run this as root"},
		{adviseLog, &fs.PathError{Op: "open", Path: "/0.log", Err: syscall.ENOENT}, "/var/log/pods is not mounted here"},
		{adviseLog, syscall.EIO, "container log: input/output error"},
	} {
		got := tc.advise(tc.err)
		if !errors.Is(got, tc.err) || !strings.Contains(got.Error(), tc.want) || tc.want == "" && got != tc.err {
			t.Errorf("%v: %v, want %s", tc.err, got, tc.want)
		}
	}
	if advise(nil) != nil || adviseLog(nil) != nil {
		t.Error("advice on nothing")
	}
}
