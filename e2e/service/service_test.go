package service_test

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
	"github.com/staticpod-exporter/staticpod-exporter/e2e/service"
)

// parentVariable makes this program start a service, print its process, and wait.
const parentVariable = "STATICPOD_SERVICE_TEST_PARENT"

func TestMain(m *testing.M) {
	if os.Getenv(parentVariable) == "" {
		os.Exit(m.Run())
	}
	s := shell("exec sleep 1000", func() error { return nil })
	fmt.Println(s.Start(context.Background()), s.PID())
	select {}
}

func shell(script string, ready func() error) *service.Service {
	return service.New(service.Options{
		Name:    "shell",
		Command: func() (*exec.Cmd, error) { return exec.Command("/bin/sh", "-c", script), nil },
		Ready:   func(context.Context) error { return ready() },
		Tail:    func() string { return "the log's end" },
	})
}

func TestServiceStartsStopsAndStartsAgain(t *testing.T) {
	mark := filepath.Join(t.TempDir(), "mark")
	started := 0
	s := shell("trap 'echo stopped >> "+mark+"; exit 0' TERM; echo started >> "+mark+"; while :; do sleep 0.01; done", func() error {
		content, err := os.ReadFile(mark)
		if err == nil && strings.Count(string(content), "started") != started {
			err = errors.New("not started")
		}
		return err
	})
	defer s.Kill()
	for started = 1; started <= 2; started++ {
		if err := s.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		pid := s.PID()
		if err := s.Start(t.Context()); err != nil || s.PID() != pid || !s.Running() {
			t.Fatalf("a second Start: %v, process %d after %d", err, s.PID(), pid)
		}
		s.Stop(t.Context())
		if s.Running() || s.PID() != 0 {
			t.Fatal("it runs after Stop")
		}
	}
	if content, _ := os.ReadFile(mark); strings.Count(string(content), "stopped") != 2 {
		t.Errorf("asked to stop, it wrote %q", content)
	}
	if err := s.Signal(syscall.SIGHUP); err == nil {
		t.Error("a service that does not run took a signal")
	}
}

func TestServiceThatEndsAtItsStartSaysWhy(t *testing.T) {
	s := shell("exit 3", func() error { return errors.New("never") })
	if err := s.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "exit status 3") || !strings.Contains(err.Error(), "the log's end") {
		t.Errorf("it says %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	s = shell("exec sleep 1000", func() error { cancel(); return errors.New("not yet") })
	if err := s.Start(ctx); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "not yet") {
		t.Errorf("given up, it says %v", err)
	}
	if s.Running() {
		t.Error("given up, it still runs")
	}
}

func TestServiceDiesWithItsParent(t *testing.T) {
	parent := exec.Command(os.Args[0])
	parent.Env = append(os.Environ(), parentVariable+"=1")
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	var failure string
	var pid int
	if _, err := fmt.Fscan(out, &failure, &pid); err != nil || failure != "<nil>" || pid == 0 {
		t.Fatalf("%v, %s, process %d", err, failure, pid)
	}
	parent.Process.Kill()
	parent.Wait()
	await.Nil(t, "the service's end", func(context.Context) error {
		stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		if err == nil && !strings.Contains(string(stat), ") Z ") {
			return fmt.Errorf("process %d lives: %s", pid, stat)
		}
		return nil
	})
}
