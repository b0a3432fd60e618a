package hands

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/staticpod-exporter/staticpod-exporter/e2e/await"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/node"
)

func TestHands(t *testing.T) {
	st := newStage(t)
	counted := filepath.Join(st.node.Directory(), "counted")
	st.must(os.Mkdir(counted, 0o755))
	st.write("count", countSpec(counted, "8"))
	st.write("two", "containers: ["+runs("first", "lines", "3")+", "+runs("second", "lines", "2")+"]")
	st.write("bad", "containers: []")
	st.write("nothing", `containers: [{name: main, image: "staticpod.test/pod:1", command: [/nothing]}]`)

	await.Nil(t, "the pods to run", func(ctx context.Context) error {
		_, err := st.container(ctx, "two", "second", "running")
		_, again := st.container(ctx, "count", "main", "running")
		_, failed := st.container(ctx, "nothing", "main", "exited")
		return errors.Join(err, again, failed)
	})
	t.Run("follow over crashes, a rotation and a new pod", func(t *testing.T) { st.in(t).follow(counted) })
	t.Run("names", func(t *testing.T) { st.in(t).names() })
	t.Run("a refused pod", func(t *testing.T) { st.in(t).refused() })
	t.Run("side by side with talosctl", func(t *testing.T) { st.in(t).sideBySide() })
	t.Run("without a kubelet", func(t *testing.T) { st.in(t).withoutKubelet() })
	t.Run("a list refused by URL", func(t *testing.T) { st.in(t).refusedByURL() })
	t.Run("without a runtime", func(t *testing.T) { st.in(t).withoutRuntime() })
}

// countSpec is a pod that counts some lines and crashes, again and again.
func countSpec(dir, code string) string {
	return fmt.Sprintf(`containers: [{name: main, image: "staticpod.test/pod:1", args: [count, /counted/last, "400", "%s", 3ms], volumeMounts: [{name: c, mountPath: /counted}]}]
  volumes: [{name: c, hostPath: {path: %q}}]`, code, dir)
}

// follow reads every line once, over three crashes, a rotation of the log, and a pod that is made anew.
func (st *stage) follow(counted string) {
	logs := st.start("logs", "count", "-f")
	restarts := func(n int) {
		st.Helper()
		await.Nil(st, "restarts", func(context.Context) error {
			if got := strings.Count(logs.stderr.String(), " was started, restart "); got < n {
				return fmt.Errorf("%d restarts: %s", got, logs.stderr.String())
			}
			return nil
		})
	}
	restarts(3)
	st.rotate("count", "main")
	restarts(4)
	st.write("count", countSpec(counted, "9")) // a new UID
	await.Nil(st, "the new pod", func(context.Context) error {
		if !strings.Contains(logs.stderr.String(), "exit code 9") {
			return errors.New(logs.stderr.String())
		}
		return nil
	})
	st.write("count", "containers: ["+runs("main", "sleep", "24h")+"]") // another one, that says nothing
	await.Nil(st, "its end, and the end of the output", func(context.Context) error {
		if got := logs.stderr.String(); strings.Count(got, ", for the first time") < 2 {
			return errors.New(got)
		}
		last, err := os.ReadFile(filepath.Join(counted, "last"))
		if err == nil && !strings.Contains(logs.out.String(), "count "+string(last)+"\n") {
			err = fmt.Errorf("no line %s yet", last)
		}
		return err
	})
	logs.stop()

	lines := strings.Split(strings.TrimSuffix(logs.out.String(), "\n"), "\n")
	var first int
	_, err := fmt.Sscanf(lines[0], "count %d", &first)
	st.must(err)
	for i, line := range lines {
		want := "count " + strconv.Itoa(first+i)
		if (first+i)%100 == 0 {
			want += strings.Repeat(" and on", 6000)
		}
		if line != want {
			st.Fatalf("line %d is %.100q, want %.100q, after %.100q", i, line, want, lines[max(0, i-1)])
		}
	}
	st.Logf("%d lines, %d to %d, over:\n%s", len(lines), first, first+len(lines)-1, logs.stderr.String())
	if strings.Contains(logs.stderr.String(), "unseen") {
		st.Error("attempts were missed")
	}
}

// rotate rotates the log of a running container as the kubelet does.
func (st *stage) rotate(pod, name string) {
	st.Helper()
	await.Nil(st, "a rotation", func(ctx context.Context) error {
		c, err := st.container(ctx, pod, name, "running")
		if err != nil {
			return err
		}
		status, err := st.node.Runtime().ContainerStatus(ctx, &cri.ContainerStatusRequest{ContainerId: c.ID})
		if err != nil {
			return err
		}
		path := status.GetStatus().GetLogPath()
		if err := os.Rename(path, path+".20261122-143827"); err != nil {
			return err
		}
		_, err = st.node.Runtime().ReopenContainerLog(ctx, &cri.ReopenContainerLogRequest{ContainerId: c.ID})
		return err
	})
}

// names are all the ways to say which container is meant.
func (st *stage) names() {
	c, err := st.container(st.Context(), "two", "first", "running")
	st.must(err)
	const three = "line 1\nline 2\nline 3\n"
	for _, id := range []string{
		"two:first", "default/two:first", "two-node1:first", "default/two-node1:first", "default/two-node1:first:" + c.ID[:12], c.ID[:12], c.ID,
	} {
		if out, told := st.run(0, "logs", id); out != three || told != "" {
			st.Errorf("logs %s: %q, %q", id, out, told)
		}
	}
	if out, _ := st.run(0, "logs", "two", "-c", "second", "--tail", "1"); out != "line 2\n" {
		st.Errorf("the last line is %q", out)
	}
	if out, _ := st.run(0, "logs", "two:second", "--raw"); strings.Count(out, " stdout F line ") != 2 {
		st.Errorf("raw: %q", out)
	}
	if out, _ := st.run(0, "logs", "two:second", "--since", "24h", "--timestamps"); !strings.HasPrefix(out, "20") || strings.Count(out, "Z line ") != 2 {
		st.Errorf("with timestamps: %q", out)
	}
	if out, told := st.run(1, "logs", "two"); out != "" || !strings.Contains(told, "two may be any of: default/two-node1:first, default/two-node1:second") {
		st.Errorf("ambiguous: %q, %q", out, told)
	}
	if out, told := st.run(0, "logs", "nothing"); out != "" || !strings.Contains(told, "has written nothing: exit code 128 (StartError)") {
		st.Errorf("what cannot be started: %q, %q", out, told)
	}
}

// refused is a pod of which the runtime knows nothing. It is followed, and mended meanwhile.
func (st *stage) refused() {
	out, told := st.run(0, "logs", "bad")
	if !strings.Contains(out, `Could not process manifest file path="`+st.node.ManifestDirectory()+`/bad.yaml" err="invalid pod: [spec.containers: Required value]"`) ||
		!strings.Contains(told, "bad does not run. The kubelet's log says about it:") {
		st.Errorf("%s%s", out, told)
	}
	logs := st.start("logs", "bad", "-f")
	st.write("bad", "containers: ["+runs("main", "lines", "2")+"]")
	await.Nil(st, "the log of the mended pod", func(context.Context) error {
		if out := logs.out.String(); !strings.HasSuffix(out, "]\"\nline 1\nline 2\n") && !strings.HasSuffix(out, ")\nline 1\nline 2\n") {
			return fmt.Errorf("%s%s", out, logs.stderr.String())
		}
		return nil
	})
	logs.stop()
}

func (st *stage) withoutKubelet() {
	st.node.Kubelet.Stop(context.Background())
	st.sideBySide()
	if out, _ := st.run(0, "logs", "two:second"); out != "line 1\nline 2\n" {
		st.Errorf("%q", out)
	}
	if out, _ := st.run(0, "containers", "-o", "wide"); !strings.Contains(out, "StartError") || !strings.Contains(out, " file\n") {
		st.Error(out)
	}
	st.write("worse", "containers: []") // which no kubelet sees
	if out, told := st.run(1, "logs", "worse"); out != "" || !strings.Contains(told, "worse does not run, and the kubelet's log does not say why") {
		st.Errorf("%s%s", out, told)
	}
	if _, told := st.run(1, "logs", "nobody"); !strings.Contains(told, "there are: ") {
		st.Error(told)
	}
}

// refusedByURL is a pod of a list that the kubelet refuses without saying which one of it is wrong.
func (st *stage) refusedByURL() {
	const list = `{"kind":"PodList","apiVersion":"v1","items":[{"metadata":{"name":"byurl"},"spec":{"containers":[]}}]}`
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, list) }))
	defer server.Close()
	st.node.Configure(func(o *node.Options) { o.ManifestURL = server.URL })
	st.must(st.node.Kubelet.Start(st.Context()))
	files := st.TempDir()
	st.must(os.WriteFile(filepath.Join(files, "byurl.yaml"), []byte("apiVersion: v1\nkind: Pod\nmetadata: {name: byurl}\nspec: {containers: []}\n"), 0o644))
	await.Nil(st, "the refusal", func(context.Context) error {
		cmd := st.command("logs", "byurl", "--manifest.listen=127.0.0.1:959", "--manifest.files="+files+"/*.yaml")
		out, err := cmd.Output()
		if err == nil && !strings.Contains(string(out), `Failed to read pods from URL err="invalid pod: [spec.containers: Required value]"`) {
			err = errors.New(string(out))
		}
		return err
	})
	st.node.Kubelet.Stop(context.Background())
}

func (st *stage) withoutRuntime() {
	st.node.Containerd.Stop(context.Background())
	for _, args := range [][]string{{"containers"}, {"logs", "two:second"}} {
		if out, told := st.run(1, args...); out != "" || !strings.Contains(told, "systemctl status containerd") && !strings.Contains(told, "--cri.endpoint=auto looks") {
			st.Errorf("%s: %s%s", args, out, told)
		}
	}
}
