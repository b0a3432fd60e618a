package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"
)

const (
	startTimeout = 60 * time.Second
	stopTimeout  = 10 * time.Second
	pollInterval = 20 * time.Millisecond
)

// A Service is one long-running program of the node: its kubelet or its containerd. It can be stopped and
// started again on the same state; what it left running, as containerd its shims, goes on. It dies with the
// process that started it, whichever way that ends.
type Service struct {
	name string
	// prepare makes the command, at each start; ready says whether it serves by now.
	prepare func() (*exec.Cmd, error)
	ready   func(ctx context.Context) error
	// joined puts the process into the node's cgroup.
	joined  func(pid int) error
	logTail func() string

	mu   sync.Mutex
	cmd  *exec.Cmd     // nil while it does not run
	done chan struct{} // closed when cmd has ended
	err  error         // how it ended
}

// Start starts the service, if it does not run, and waits until it is ready to serve.
func (s *Service) Start(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running() {
		return nil
	}
	cmd, err := s.prepare()
	if err != nil {
		return fmt.Errorf("%s: %w", s.name, err)
	}
	// A group of its own keeps the terminal's Ctrl-C from it: we stop it ourselves, in order.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.WaitDelay = time.Second
	started, done := make(chan error), make(chan struct{})
	go func() {
		// The kernel sends Pdeathsig when the thread ends that started the process, so that thread stays.
		runtime.LockOSThread()
		if err := cmd.Start(); err != nil {
			started <- err
			return
		}
		started <- nil
		s.err = cmd.Wait()
		close(done)
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("%s: %w", s.name, err)
	}
	s.cmd, s.done = cmd, done
	if err := s.joined(cmd.Process.Pid); err != nil {
		s.kill()
		return fmt.Errorf("%s: %w", s.name, err)
	}

	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		unready := s.ready(ctx)
		if unready == nil {
			return nil
		}
		select {
		case <-done:
			return fmt.Errorf("%s ended at its start: %w\n%s", s.name, endedWith(s.err), s.logTail())
		case <-ctx.Done():
			s.kill()
			return fmt.Errorf("%s: not ready: %w (%w)\n%s", s.name, unready, context.Cause(ctx), s.logTail())
		case <-tick.C:
		}
	}
}

// Stop asks the service to end, waits for that, and insists after ten seconds or when ctx is done.
func (s *Service) Stop(ctx context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.running() {
		return
	}
	s.cmd.Process.Signal(syscall.SIGTERM)
	ctx, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	select {
	case <-s.done:
	case <-ctx.Done():
	}
	s.kill()
}

// Kill ends the service at once, as kill -9 and as a crash.
func (s *Service) Kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kill()
}

// Running reports whether the service runs.
func (s *Service) Running() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.running()
}

// PID returns its process, 0 while it does not run.
func (s *Service) PID() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.running() {
		return 0
	}
	return s.cmd.Process.Pid
}

// Freeze stops the process as SIGSTOP does, so that it holds its sockets and answers nothing, until Thaw.
func (s *Service) Freeze() error { return s.signal(syscall.SIGSTOP) }

// Thaw ends Freeze.
func (s *Service) Thaw() error { return s.signal(syscall.SIGCONT) }

func (s *Service) signal(signal os.Signal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.running() {
		return fmt.Errorf("%s does not run", s.name)
	}
	return s.cmd.Process.Signal(signal)
}

func (s *Service) running() bool {
	if s.cmd == nil {
		return false
	}
	select {
	case <-s.done:
		return false
	default:
		return true
	}
}

func (s *Service) kill() {
	if s.cmd == nil {
		return
	}
	s.cmd.Process.Kill()
	<-s.done
	s.cmd = nil
}

func endedWith(err error) error {
	if err == nil {
		return errors.New("exit status 0")
	}
	return err
}
