// Package service runs long-lived programs as children that can be stopped, killed, frozen and started again, and
// that never outlive the process that started them.
package service

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
	startTimeout = 3 * time.Minute // on a machine that is busy with other things
	stopTimeout  = 10 * time.Second
	pollInterval = 20 * time.Millisecond
)

// Options describe a service.
type Options struct {
	Name string
	// Command makes the command, at each start.
	Command func() (*exec.Cmd, error)
	// Started, when not nil, is told the new process before anything else happens.
	Started func(pid int) error
	// Ready returns nil once the service does what it is for.
	Ready func(ctx context.Context) error
	// Patience is how long it may take until then; 0 is 3 minutes.
	Patience time.Duration
	// Tail, when not nil, returns the end of the log, for the errors of Start.
	Tail func() string
}

// A Service is one long-running program. It can be stopped and started again; what it left running goes on
// meanwhile. It dies with the process that started it, whichever way that ends.
type Service struct {
	options Options

	mu   sync.Mutex
	cmd  *exec.Cmd     // nil while it does not run
	done chan struct{} // closed when cmd has ended
	err  error         // how it ended
}

// New returns a service that does not run yet.
func New(o Options) *Service {
	if o.Started == nil {
		o.Started = func(int) error { return nil }
	}
	if o.Patience == 0 {
		o.Patience = startTimeout
	}
	if o.Tail == nil {
		o.Tail = func() string { return "" }
	}
	return &Service{options: o}
}

// Start starts the service, if it does not run, and waits until it is ready to serve.
func (s *Service) Start(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running() {
		return nil
	}
	cmd, err := s.options.Command()
	if err != nil {
		return fmt.Errorf("%s: %w", s.options.Name, err)
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
		return fmt.Errorf("%s: %w", s.options.Name, err)
	}
	s.cmd, s.done = cmd, done
	if err := s.options.Started(cmd.Process.Pid); err != nil {
		s.kill()
		return fmt.Errorf("%s: %w", s.options.Name, err)
	}

	ctx, cancel := context.WithTimeout(ctx, s.options.Patience)
	defer cancel()
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		unready := s.options.Ready(ctx)
		if unready == nil {
			return nil
		}
		select {
		case <-done:
			return fmt.Errorf("%s ended at its start: %w\n%s", s.options.Name, endedWith(s.err), s.options.Tail())
		case <-ctx.Done():
			s.kill()
			return fmt.Errorf("%s: not ready: %w (%w)\n%s", s.options.Name, unready, context.Cause(ctx), s.options.Tail())
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

// Signal sends the process a signal, such as SIGHUP.
func (s *Service) Signal(signal os.Signal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.running() {
		return fmt.Errorf("%s does not run", s.options.Name)
	}
	return s.cmd.Process.Signal(signal)
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
func (s *Service) Freeze() error { return s.Signal(syscall.SIGSTOP) }

// Thaw ends Freeze.
func (s *Service) Thaw() error { return s.Signal(syscall.SIGCONT) }

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
