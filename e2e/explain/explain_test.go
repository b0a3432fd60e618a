package explain

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/staticpod-exporter/staticpod-exporter/e2e/await"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/exporter"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/node"
)

// A scene is a node that is fed by an exporter, with one pod that is well, one that is refused and one that crashes.
type scene struct {
	*testing.T
	node   *node.Node
	binary string
	flags  []string // of the exporter, and so of diagnose
	*exporter.Exporter
	files, listen string
}

func TestExplain(t *testing.T) {
	s := enter(t)
	t.Run("a pod that is well", s.healthy)
	t.Run("one that is refused", s.refused)
	t.Run("one that crashes", s.crashing)
	t.Run("validate says of a file what the exporter says of it", s.validated)
	t.Run("all is well", s.well)
	t.Run("much is broken", s.broken)
	t.Run("another user", s.anotherUser)
	t.Run("nobody runs", s.stopped)
}

func enter(t *testing.T) *scene {
	if err := node.Check(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	s := &scene{T: t, files: filepath.Join(dir, "pods.d")}
	var err error
	must(t, os.MkdirAll(s.files, 0o755))
	s.binary, err = exporter.Build(t.Context(), dir, false)
	must(t, err)
	s.listen, err = exporter.FreeAddress()
	must(t, err)
	web, err := exporter.FreeAddress()
	must(t, err)
	s.node, err = node.Start(t.Context(), node.Options{Progress: t.Output(), Auth: node.ClientCertificates, ManifestURL: "http://" + s.listen + "/pods"})
	must(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(s.node.LogTail())
		}
		must(t, s.node.Close())
	})
	state := filepath.Join(dir, "state")
	s.flags = append(exporter.NodeFlags(s.node), "--manifest.files="+s.files+"/*.yaml")
	s.Exporter, err = exporter.New(exporter.Options{Binary: s.binary, Manifest: s.listen, Web: web, StateDirectory: state, Flags: s.flags, Log: t.Output()})
	must(t, err)
	s.flags = append(s.flags, "--manifest.listen="+s.listen, "--web.listen-address="+web, "--manifest.state-directory="+state)
	t.Cleanup(s.Kill)

	s.define("well", `{name: main, image: "staticpod.test/pod:1", args: [sleep, 1h]}`)
	s.define("crashing", `{name: main, image: "staticpod.test/pod:1", args: [exit, "7"]}`)
	s.define("refused", `{name: main}`)
	must(t, s.Start(t.Context()))
	return s
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (s *scene) define(name, container string) {
	s.Helper()
	must(s.T, os.WriteFile(filepath.Join(s.files, name+".yaml"), fmt.Appendf(nil, `apiVersion: v1
kind: Pod
metadata: {name: %s}
spec:
  hostNetwork: true
  terminationGracePeriodSeconds: 0
  containers:
  - %s
`, name, container), 0o644))
}

// told runs a command until it says all of what is expected, each a regular expression of a line or a part of one.
func (s *scene) told(t *testing.T, code int, args []string, expected ...string) string {
	t.Helper()
	var last string
	await.Nil(t, strings.Join(args[:min(2, len(args))], " "), func(ctx context.Context) error {
		said, got, err := s.run(ctx, nil, args...)
		last = said
		if err != nil {
			return err
		}
		if got != code {
			return fmt.Errorf("exit code %d, not %d:\n%s", got, code, said)
		}
		for _, e := range expected {
			if !regexp.MustCompile("(?m)" + e).MatchString(said) {
				return fmt.Errorf("no %q in\n%s", e, said)
			}
		}
		return nil
	})
	return last
}

// run runs a command of the program, as another user if one is given, and returns what it said and its exit code.
func (s *scene) run(ctx context.Context, as *syscall.Credential, args ...string) (said string, code int, err error) {
	cmd := exec.CommandContext(ctx, s.binary, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: as}
	out, err := cmd.CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.Exited() {
		return string(out), exit.ExitCode(), nil
	}
	return string(out), 0, err
}

func (s *scene) describe(id string) []string {
	return []string{"describe", id, "--address=" + s.URL(), "--kubelet.log=file://" + s.node.KubeletLog().Path()}
}

func (s *scene) healthy(t *testing.T) {
	s.told(t, 0, s.describe("well"),
		`^Name: +well$`, `^Verdict: +ready for `, `^Phase: +Running$`,
		`^  File: +`+regexp.QuoteMeta(s.files)+`/well\.yaml:1$`, `^  Source: +http`, `^  Valid: +yes$`, `^  Served: +yes$`,
		`^  Fetched: +True`, `^  Accepted: +True`, `^  Ready: +True`, `^  Current: +True`,
		`^    State: +running for .*, PID \d+$`, `^    Restarts: +0$`,
		`^  Outcome: +ready after `, `^  Trace ID: +[0-9a-f]{32}$`, `^  sandbox +- `, `^  container +main +\+`, `^  ready +- `)
	page := s.told(t, 0, s.describe("default/well-node1"))
	if strings.Contains(page, "Problems:") {
		t.Errorf("of a pod that is well:\n%s", page)
	}
}

func (s *scene) refused(t *testing.T) {
	s.told(t, 0, s.describe("default-refused"),
		`^Verdict: +ManifestInvalid`, `^Phase: +none`, `^  Valid: +no$`, `^  Served: +no$`,
		`^  ManifestInvalid \(critical\) for `, `spec\.containers\[0\]\.image: Required value`,
		`^    Where: +`+regexp.QuoteMeta(s.files)+`/refused\.yaml:8:\d+, spec\.containers\[0\]\.image$`,
		`^    What to do: `, `^  Outcome: +rejected after `, `^  rejected `)
	s.told(t, 0, s.describe(s.files+"/refused.yaml"), `^Name: +refused$`)
}

func (s *scene) crashing(t *testing.T) {
	s.told(t, 0, s.describe("crashing"),
		`^Verdict: +CrashLoopBackOff for `, `^    Last exit: +code 7 \(Error\), `, `^    Restarts: +[1-9]`,
		`^  CrashLoopBackOff \(critical\) for `, `^    What to do: `,
		`^Kubelet's log:$`, `Error syncing pod, skipping`, `back-off`)
	s.told(t, 0, s.describe("node"), `^Verdict: +no problem`)
	s.told(t, 1, s.describe("nothing"), `no static pod "nothing"; there are: default/crashing-node1, default/refused-node1`)
}

func (s *scene) validated(t *testing.T) {
	s.told(t, 1, []string{"validate", s.files},
		`refused\.yaml:8:\d+: critical: spec\.containers\[0\]\.image: Required value \[ManifestInvalid\]$`, `^3 files, 3 pods: 1 critical$`)
}

func (s *scene) well(t *testing.T) {
	said := s.told(t, 0, append([]string{"diagnose"}, s.flags...),
		`^ok +kubelet\.pods-socket +2 static pods over the Pods API`, `^ok +kubelet\.endpoint +kubelet (v1\.\S+|of unknown version), 2 static pods over https$`,
		`^ok +node +node1, as the kubelet calls it$`, `^ok +static-pod-url +\S+ is the exporter$`, `^ok +manifest\.listen +\S+ serves a list$`,
		`^warn +manifest\.files .*1 of 3 definitions would not run, first .*refused\.yaml:8`,
		`^ok +kubelet\.manifest-directory .*no definition$`, `^ok +kubelet\.log +file:\S+, json lines`,
		`^ok +cri\.endpoint +containerd \S+, sandboxes of static pods: \d`, `^ok +manifest\.state-directory `,
		`^ok +web\.listen-address +the exporter runs and answers`)
	if strings.Contains(said, "\nfail") {
		t.Error(said)
	}
}

// broken breaks one thing after the other, for real.
func (s *scene) broken(t *testing.T) {
	diagnose := func(flags ...string) []string { return append(append([]string{"diagnose"}, s.flags...), flags...) }
	other, err := exporter.FreeAddress()
	must(t, err)
	stranger := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(stranger.Close)
	elsewhere := stranger.Listener.Addr().String()
	token := filepath.Join(t.TempDir(), "token")
	must(t, os.WriteFile(token, []byte("hunter2"), 0o600))

	s.told(t, 1, diagnose("--kubelet.ca-file="+s.node.ClientCertFile()),
		`^fail +kubelet\.endpoint .*unknown authority.*To do: kubelet\.ca-file must hold the authority .*issued by`, `^skipped +static-pod-url `)
	s.told(t, 1, diagnose("--kubelet.cert-file=", "--kubelet.key-file="), `^fail +kubelet\.endpoint .*401.*To do: .*kubelet\.cert-file`)
	s.told(t, 1, diagnose("--kubelet.server-name=other.example"), `^fail +kubelet\.endpoint .*To do: the kubelet's certificate is for .*: set kubelet\.server-name`)
	s.told(t, 1, diagnose("--manifest.listen="+other),
		`^fail +static-pod-url +the kubelet fetches \S+, and the exporter serves at \S+\. To do: set staticPodURL`, `^warn +manifest\.listen +nobody listens`)
	said := s.told(t, 1, diagnose("--manifest.token-file="+token), `^fail +static-pod-url +the kubelet's staticPodURLHeader does not have the token`)
	if strings.Contains(said, "hunter2") {
		t.Error("it tells the token")
	}
	s.told(t, 1, diagnose("--manifest.listen="+elsewhere, "--web.listen-address="+elsewhere),
		`^fail +manifest\.listen .*404`, `^fail +web\.listen-address .*another program's`)
	s.told(t, 1, diagnose("--kubelet.log=file:///var/log/missing-kubelet.log"), `^fail +kubelet\.log .*no such file.*To do: `)
	s.told(t, 1, diagnose("--kubelet.log=file://"+s.node.ContainerdLog()), `^fail +kubelet\.log .*no line at its end is the kubelet's`)
	s.told(t, 1, diagnose("--cri.endpoint=unix:///run/missing.sock", "--kubelet.pods-socket=unix:///run/missing.sock"),
		`^fail +kubelet\.pods-socket .*no such file`, `^fail +cri\.endpoint .*no such file.*To do: cri\.endpoint names a socket`)
	s.told(t, 1, diagnose("--node=other"), `^fail +node +the exporter calls the node other, the kubelet calls it node1\. To do: set node: node1`)
	s.told(t, 1, diagnose("--manifest.files="+s.node.ManifestDirectory()+"/*.yaml"), `^fail +manifest\.files .*would run twice`)
	s.told(t, 0, diagnose("--manifest.listen=", "--kubelet.endpoint="), `^skipped +manifest\.listen `, `^skipped +kubelet\.endpoint `)
}

// anotherUser is one who may not open the sockets, and who has no certificate's key.
func (s *scene) anotherUser(t *testing.T) {
	for dir := filepath.Dir(s.binary); dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		must(t, os.Chmod(dir, 0o755))
	}
	nobody := &syscall.Credential{Uid: 65534, Gid: 65534}
	said, code, err := s.run(t.Context(), nobody, append([]string{"diagnose"}, s.flags...)...)
	must(t, err)
	for _, e := range []string{
		`^fail +kubelet\.pods-socket .*permission denied.*To do: run the exporter as root`,
		`^fail +kubelet\.endpoint .*permission denied.*To do: `,
		`^fail +kubelet\.log .*permission denied.*To do: run the exporter as root`,
		`^fail +cri\.endpoint .*permission denied.*To do: run the exporter as root`,
		`^fail +manifest\.state-directory .*permission denied.*To do: run as the exporter's user`,
		`^ok +web\.listen-address `,
	} {
		if !regexp.MustCompile("(?m)" + e).MatchString(said) {
			t.Errorf("no %q in\n%s", e, said)
		}
	}
	if code != 1 {
		t.Errorf("exit code %d", code)
	}
}

func (s *scene) stopped(t *testing.T) {
	s.Stop(t.Context())
	s.told(t, 0, append([]string{"diagnose"}, s.flags...), `^warn +web\.listen-address +the exporter does not run`, `^warn +manifest\.listen +nobody listens on `)
	s.told(t, 1, s.describe("well"), `exporter not reachable at http://127\.0\.0\.1:\d+: connection refused`)
	s.node.Kubelet.Stop(t.Context())
	s.told(t, 1, append([]string{"diagnose"}, s.flags...),
		`^fail +kubelet\.endpoint .*connection refused.*To do: nobody listens there`, `^ok +cri\.endpoint `, `^skipped +node `)
}
