package hands

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kubeletconfig "k8s.io/kubelet/config/v1beta1"

	"github.com/staticpod-exporter/staticpod-exporter/e2e/exporter"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/node"
)

// A stage is the node that all stories play on, and the program. No exporter runs.
type stage struct {
	*testing.T
	node   *node.Node
	binary string
	flags  []string
}

func newStage(t *testing.T) *stage {
	t.Helper()
	st := &stage{T: t}
	var err error
	st.binary, err = exporter.Build(t.Context(), t.TempDir(), false)
	st.must(err)
	st.node, err = node.Start(t.Context(), node.Options{
		Progress: t.Output(),
		// So that a container that crashes is started again at once.
		FeatureGates: map[string]bool{"KubeletCrashLoopBackOffMax": true},
		Configure: func(c *kubeletconfig.KubeletConfiguration) {
			c.CrashLoopBackOff.MaxContainerRestartPeriod = &metav1.Duration{Duration: time.Second}
		},
	})
	st.must(err)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(st.node.LogTail())
		}
		if err := st.node.Close(); err != nil {
			t.Error(err)
		}
	})
	st.flags = []string{
		"--node=" + st.node.Name(), "--cri.endpoint=" + st.node.RuntimeEndpoint(), "--kubelet.log=file://" + st.node.KubeletLog().Path(),
		"--kubelet.manifest-directory=" + st.node.ManifestDirectory(), "--manifest.listen=", "--manifest.state-directory=" + t.TempDir(),
	}
	return st
}

// in returns the stage for a story of its own.
func (st *stage) in(t *testing.T) *stage {
	copied := *st
	copied.T = t
	return &copied
}

func (st *stage) must(err error) {
	st.Helper()
	if err != nil {
		st.Fatal(err)
	}
}

// write writes a manifest, whole at once.
func (st *stage) write(name, spec string) {
	st.Helper()
	manifest := fmt.Sprintf("apiVersion: v1\nkind: Pod\nmetadata:\n  name: %s\nspec:\n  hostNetwork: true\n  terminationGracePeriodSeconds: 5\n  %s\n", name, spec)
	path := filepath.Join(st.node.ManifestDirectory(), name+".yaml")
	temporary := filepath.Join(st.node.Directory(), name+".tmp")
	st.must(os.WriteFile(temporary, []byte(manifest), 0o644))
	st.must(os.Rename(temporary, path))
}

// runs is a container that does something.
func runs(name string, args ...string) string {
	return fmt.Sprintf(`{name: %s, image: "staticpod.test/pod:1", args: ["%s"]}`, name, strings.Join(args, `", "`))
}

// command is one of the program, with the node's flags before those of its own.
func (st *stage) command(args ...string) *exec.Cmd {
	cmd := exec.Command(st.binary, slices.Concat(args[:1], st.flags, args[1:])...)
	cmd.Env = append(os.Environ(), "NO_COLOR=1")
	return cmd
}

// run runs a command that must end with an exit code.
func (st *stage) run(code int, args ...string) (stdout, stderr string) {
	st.Helper()
	var out, told bytes.Buffer
	cmd := st.command(args...)
	cmd.Stdout, cmd.Stderr = &out, &told
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		err = nil
		if exit.ExitCode() != code {
			st.Errorf("%s: exit code %d, want %d: %s%s", args, exit.ExitCode(), code, out.String(), told.String())
		}
	} else if err == nil && code != 0 {
		st.Errorf("%s: no error: %s%s", args, out.String(), told.String())
	}
	st.must(err)
	return out.String(), told.String()
}

// A running command goes on until it is stopped.
type running struct {
	*stage
	cmd         *exec.Cmd
	out, stderr buffer
}

func (st *stage) start(args ...string) *running {
	st.Helper()
	r := &running{stage: st, cmd: st.command(args...)}
	r.cmd.Stdout, r.cmd.Stderr = &r.out, &r.stderr
	st.must(r.cmd.Start())
	st.Cleanup(func() { r.cmd.Process.Kill(); r.cmd.Wait() })
	return r
}

// stop interrupts the command, which is no failure of it.
func (r *running) stop() {
	r.Helper()
	r.must(r.cmd.Process.Signal(syscall.SIGINT))
	if err := r.cmd.Wait(); err != nil {
		r.Errorf("interrupted: %v: %s", err, r.stderr.String())
	}
}

// A buffer may be written and read at once.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// container returns the last attempt at running a container of a pod, with state or in any.
func (st *stage) container(ctx context.Context, pod, name, state string) (node.Container, error) {
	all, err := st.node.Containers(ctx)
	if err != nil {
		return node.Container{}, err
	}
	found := node.Container{}
	for _, c := range all {
		if c.Pod == pod+"-"+st.node.Name() && c.Name == name && (state == "" || c.State == state) {
			found = c
		}
	}
	if found.ID == "" {
		return found, fmt.Errorf("no container %s of %s that is %q", name, pod, state)
	}
	return found, nil
}
