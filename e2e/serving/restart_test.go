package serving

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/staticpod-exporter/staticpod-exporter/e2e/await"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/exporter"
)

// Whatever happens to the exporter, and to a kubelet meanwhile: no pod restarts.
func restarts(s *scene) {
	s.write("web.yaml", pod("web", sleeps))
	s.write("db.yaml", pod("db", sleeps))
	s.ready(s.start(), "db", "web")
	before := s.containers()

	for _, happening := range []struct {
		what string
		do   func()
	}{
		{"stopped for three looks of the kubelet", func() { s.stop(); s.pause() }},
		{"killed", func() { s.Kill() }},
		{"upgraded", func() { s.stop(); s.upgrade() }},
		{"its state directory lost", func() { s.stop(); s.must(os.RemoveAll(s.state)) }},
		{"its state file damaged", func() { s.Kill(); s.damageState() }},
		{"killed, and the kubelet booted while it is down", func() {
			s.Kill()
			s.must(s.restartKubelet(s.Context(), s.ordinary))
			s.pause()
			s.undisturbed(before)
		}},
		{"its state directory lost, and the kubelet booted while it is down", func() {
			s.Kill()
			s.must(os.RemoveAll(s.state))
			s.must(s.restartKubelet(s.Context(), s.ordinary))
			s.pause()
		}},
	} {
		s.Log("the exporter:", happening.what)
		happening.do()
		cause := s.start()
		s.ready(cause, "db", "web")
		s.fetched(3, "200")
		s.undisturbed(before)
	}

	// A machine that boots brings up the pods, the same ones: the list comes from the state, before any definition
	// is read. So it does without the definitions.
	uids := s.uids()
	s.stop()
	s.must(s.node.Reboot(s.Context(), func() error { return os.Rename(s.files, s.files+".away") }))
	cause := s.start()
	await.Nil(s, "the pods after the boot", func(context.Context) error {
		if now := s.uids(); now != uids {
			return fmt.Errorf("there run %s, expected %s", now, uids)
		}
		return nil
	})
	s.ready(cause, "db", "web")
}

// An exporter whose configuration is broken at its start runs on the last good one and says so.
func badConfiguration(s *scene) {
	s.configure("machine:\n  pods:\n  - " + strings.ReplaceAll(strings.TrimSpace(pod("inline", sleeps)), "\n", "\n    ") + "\n")
	s.write("filed.yaml", pod("filed", sleeps))
	s.ready(s.start(), "filed", "inline")
	before := s.containers()

	s.stop()
	cause := s.configure("kubelt: {log: nowhere}\n")
	s.start()
	s.begun(cause, finding{"node", "ConfigInvalid"})
	p, _ := s.status("node").Problem("ConfigInvalid")
	s.Log("ConfigInvalid:", p.Message)
	if p.Field != "kubelt" || p.Path != s.config || p.Line != 3 {
		s.Errorf("the problem of the configuration is %+v", p)
	}
	s.ready(cause, "filed", "inline")
	s.fetched(3, "200")
	s.undisturbed(before)
	metrics, err := s.Metrics(s.Context())
	s.must(err)
	if v, ok := metrics.Value("staticpod_exporter_config_last_reload_successful"); !ok || v != 0 {
		s.Errorf("staticpod_exporter_config_last_reload_successful is %v, %v", v, ok)
	}

	cause = s.configure("machine:\n  pods:\n  - " + strings.ReplaceAll(strings.TrimSpace(pod("inline", sleeps)), "\n", "\n    ") + "\n")
	s.ended(cause, finding{"node", "ConfigInvalid"})
	s.fetched(3, "200")
	s.undisturbed(before)

	// Where nothing ran before there is nothing to run on.
	s.stop()
	s.configure("kubelt: {log: nowhere}\n")
	s.must(os.RemoveAll(s.state))
	bound, cancel := context.WithTimeout(s.Context(), 30*time.Second)
	defer cancel()
	out, err := exec.CommandContext(bound, s.binary, "serve", "--config.file="+s.config, "--manifest.state-directory="+s.state).CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() <= 0 || !strings.Contains(string(out), s.config+":3:") {
		s.Errorf("without a last good configuration: %v\n%s", err, out)
	}
	s.undisturbed(before)
}

// With the state lost nobody knows the last valid revision of a definition that is invalid now. Its pod runs, and
// would stop if a list without it were served: none is.
func stateLost(s *scene) {
	s.write("web.yaml", pod("web", sleeps))
	s.write("db.yaml", pod("db", sleeps))
	s.ready(s.start(), "db", "web")
	before := s.containers()

	s.write("web.yaml", pod("web", emptied))
	s.stop()
	s.must(os.RemoveAll(s.state))
	cause := s.start()
	s.begun(cause, finding{"node", "MassRemovalHeld"})
	s.headline(cause, s.id("web"), "ManifestInvalid")
	s.fetched(3, "503")
	s.undisturbed(before)
	code, body := s.document()
	s.Logf("GET /pods: %d %s", code, body)
	if code != http.StatusServiceUnavailable || !strings.Contains(body, "default/web") {
		s.Errorf("the document is not withheld: %d %s", code, body)
	}

	cause = s.write("web.yaml", pod("web", sleeps))
	s.ended(cause, finding{"node", "MassRemovalHeld"})
	s.ready(cause, "db", "web")
	s.fetched(3, "200")
	s.undisturbed(before)
}

// upgrade builds the exporter anew, as another version, and has the next start run that.
func (s *scene) upgrade() {
	s.Helper()
	s.Setenv("GOFLAGS", strings.TrimSpace(os.Getenv("GOFLAGS")+" -ldflags=-X=github.com/prometheus/common/version.Version=99.0.0"))
	binary, err := exporter.Build(s.Context(), s.TempDir(), false)
	s.must(err)
	s.Configure(func(o *exporter.Options) { o.Binary = binary })
	if says, err := s.Exporter.Run(s.Context(), "version"); err != nil || !strings.Contains(says, "99.0.0") {
		s.Fatalf("the new binary says %s, %v", says, err)
	}
}

// damageState leaves half of the state file.
func (s *scene) damageState() {
	s.Helper()
	path := s.state + "/manifest.json"
	content, err := os.ReadFile(path)
	s.must(err)
	s.must(os.WriteFile(path, content[:len(content)/2], 0o600))
}

// pause waits until the kubelet has found nobody at the exporter's address three times.
func (s *scene) pause() {
	s.Helper()
	s.remains("the exporter is down", func() error {
		if s.Running() {
			return errors.New("it runs")
		}
		return nil
	})
}

// uids lists the pods that run, with their UIDs.
func (s *scene) uids() string {
	s.Helper()
	var b strings.Builder
	for _, c := range s.containers() {
		fmt.Fprintf(&b, "%s %s\n", c.Pod, c.UID)
	}
	return b.String()
}
