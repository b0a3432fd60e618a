package shutdown

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/godbus/dbus/v5"
	"github.com/godbus/dbus/v5/prop"

	"github.com/staticpod-exporter/staticpod-exporter/e2e/programs"
)

const (
	service = "org.freedesktop.login1"
	manager = service + ".Manager"
	object  = dbus.ObjectPath("/org/freedesktop/login1")
	// delay is what the login manager grants for a shutdown, in microseconds: more than the kubelet asks for.
	delay = uint64(10 * 60 * 1e6)
)

// A loginManager is as much of systemd's as the kubelet has to do with.
type loginManager struct {
	address string // of the bus
	bus     *dbus.Conn
}

// Inhibit gives the lock that a shutdown waits for: a file, until it is closed.
func (m *loginManager) Inhibit(what, who, why, mode string) (dbus.UnixFD, *dbus.Error) {
	if what != "shutdown" || mode != "delay" {
		return 0, dbus.MakeFailedError(fmt.Errorf("%s wants to %s %s: %s", who, mode, what, why))
	}
	fd, err := syscall.Open(os.DevNull, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return 0, dbus.MakeFailedError(err)
	}
	return dbus.UnixFD(fd), nil
}

// announce tells that the node is about to shut down, or that it is not after all.
func (m *loginManager) announce(t *testing.T, active bool) {
	t.Helper()
	if err := m.bus.Emit(object, manager+".PrepareForShutdown", active); err != nil {
		t.Fatal(err)
	}
}

// newLoginManager starts a bus and takes the login manager's place on it.
func newLoginManager(t *testing.T) *loginManager {
	t.Helper()
	if _, err := exec.LookPath("dbus-daemon"); err != nil {
		if err := programs.Install(t.Context(), "dbus-daemon"); err != nil {
			t.Fatal(err)
		}
	}
	socket := filepath.Join(t.TempDir(), "bus")
	daemon := exec.Command("dbus-daemon", "--session", "--nofork", "--nopidfile", "--print-address", "--address=unix:path="+socket)
	daemon.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	said, err := daemon.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		daemon.Process.Kill()
		daemon.Wait()
	})
	address, err := bufio.NewReader(said).ReadString('\n') // it listens by then
	if err != nil {
		t.Fatalf("dbus-daemon: %v", err)
	}
	m := &loginManager{address: strings.TrimSpace(address)}
	if m.bus, err = dbus.Connect(m.address); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.bus.Close() })
	if err := m.bus.Export(m, object, manager); err != nil {
		t.Fatal(err)
	}
	if _, err := prop.Export(m.bus, object, prop.Map{manager: {"InhibitDelayMaxUSec": {Value: delay, Emit: prop.EmitConst}}}); err != nil {
		t.Fatal(err)
	}
	if reply, err := m.bus.RequestName(service, dbus.NameFlagDoNotQueue); err != nil || reply != dbus.RequestNameReplyPrimaryOwner {
		t.Fatalf("the login manager's name: %v, %v", reply, err)
	}
	return m
}
