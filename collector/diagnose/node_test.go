package diagnose

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/staticpod-exporter/staticpod-exporter/collector/kubelet"
	"github.com/staticpod-exporter/staticpod-exporter/manifest"
)

func write(t *testing.T, path, content string) string {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(content), 0o600)); err != nil {
		t.Fatal(err)
	}
	return path
}

const pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [{name: c, image: i}]}\n"

func TestStateDirectory(t *testing.T) {
	dir := t.TempDir()
	private := filepath.Join(dir, "private")
	if err := os.Mkdir(private, 0o700); err != nil {
		t.Fatal(err)
	}
	expect(t, StateDirectory(private), OK, "can be written")
	if left, _ := os.ReadDir(private); len(left) > 0 {
		t.Errorf("it left %v", left)
	}
	expect(t, StateDirectory(filepath.Join(private, "a", "b")), OK, "serve makes it")
	if err := os.Chmod(private, 0o755); err != nil {
		t.Fatal(err)
	}
	expect(t, StateDirectory(private), Warn, "mode 0755", "chmod 0700")
	expect(t, StateDirectory(write(t, filepath.Join(dir, "file"), "")), Fail, "is no directory")
	expect(t, StateDirectory("/proc/self/nothing"), Fail, "/proc/self/nothing is not there")
}

func TestDefinitions(t *testing.T) {
	dir := t.TempDir()
	v := func() *manifest.Validator { return manifest.NewValidator(manifest.Rules{Node: "n"}) }
	none := func() string { return "" }
	sources := manifest.Sources{Patterns: []string{filepath.Join(dir, "*.yaml")}}
	expect(t, Definitions(v, sources, false, none), Skipped, "observes")
	expect(t, Definitions(v, sources, true, none), OK, "no definition")
	write(t, filepath.Join(dir, "a.yaml"), pod)
	expect(t, Definitions(v, sources, true, none), OK, "1 definition, and none that would not run")
	write(t, filepath.Join(dir, "b.yaml"), "kind: Pod\n")
	expect(t, Definitions(v, sources, true, none), Warn, "1 of 2 definitions would not run, first "+dir+"/b.yaml:1: ", "[NotAPod]")
	if err := os.Symlink("nowhere", filepath.Join(dir, "c.yaml")); err != nil {
		t.Fatal(err)
	}
	expect(t, Definitions(v, sources, true, none), Fail, "dangling symbolic link")
	expect(t, Definitions(v, sources, true, func() string { return dir }), Fail, "would run twice")
}

func TestManifestDirectory(t *testing.T) {
	dir := t.TempDir()
	v := func() *manifest.Validator { return manifest.NewValidator(manifest.Rules{Node: "n"}) }
	at := func(dir string) Check { return ManifestDirectory(v, func() string { return dir }) }
	expect(t, at(""), Skipped, "no staticPodPath")
	expect(t, at(filepath.Join(dir, "missing")), Fail, "no such file or directory", "mount it")
	expect(t, at(dir), OK, "no definition")
	write(t, filepath.Join(dir, "a.yaml"), pod)
	write(t, filepath.Join(dir, "a.yaml.bak"), pod)
	expect(t, at(dir), Warn, "1 of 2 definitions would not run", "[DuplicateName]", "validate --as-directory "+dir)
}

func TestLog(t *testing.T) {
	dir := t.TempDir()
	now := func() time.Time { return time.Now() }
	up := &Kubelet{known: facts{up: true}}
	at := func(content string, k *Kubelet, now func() time.Time) Check {
		return Log("file://"+write(t, filepath.Join(dir, "kubelet.log"), content), k, now)
	}
	const line = "E1122 15:58:00.000001    1234 pod_workers.go:1324] \"Error syncing pod, skipping\" err=\"failed\"\n"
	expect(t, at(line, up, now), OK, "text lines, last ")
	expect(t, at(line, up, func() time.Time { return time.Now().Add(2 * time.Hour) }), Warn, "no line for 2h0m0s", "log elsewhere")
	expect(t, at(line, &Kubelet{}, func() time.Time { return time.Now().Add(2 * time.Hour) }), OK)
	expect(t, at("Nov 22 dhclient[1]: bound\n", up, now), Fail, "no line at its end is the kubelet's")
	expect(t, at("", up, now), Warn, "is empty")
	expect(t, at(line, &Kubelet{known: facts{config: &kubelet.Config{LoggingVerbosity: 0}}}, now), Warn, "verbosity 0", "logging.verbosity: 2")
	expect(t, Log("file:///missing.log", up, now), Fail, "no such file", "names a file that is not there")
	expect(t, Log("", up, now), Skipped, "is empty")
	expect(t, Log("stdin", up, now), Skipped, "standard input")

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	expect(t, Log("tcp://"+address, up, now), OK, "is listened on")
	l.Close()
	expect(t, Log("tcp://"+address, up, now), Warn, "is free")
	expect(t, Log("udp://"+address, up, now), Warn, "is free")
	expect(t, Log("udp://192.0.2.1:1", up, now), Fail)
}

func TestRuntimeThatIsNotThere(t *testing.T) {
	dir := t.TempDir()
	expect(t, Runtime(""), Skipped, "is empty")
	expect(t, Runtime("unix://"+dir+"/missing.sock"), Fail, "no such file", "a socket that is not there")
	expect(t, Runtime("tcp://x"), Fail, "unix:///PATH")
	for want, err := range map[string]error{
		"run the exporter as root": fmt.Errorf("x: %w", os.ErrPermission),
		"CRI v1":                   errors.New("unknown service runtime.v1.RuntimeService"),
	} {
		if got := runtimeAdvice(err); !strings.Contains(got, want) {
			t.Errorf("%v: %q", err, got)
		}
	}
}

func TestMirrorsThatAreNotThere(t *testing.T) {
	expect(t, Mirrors("", "n"), Skipped, "is empty")
	expect(t, Mirrors("relative", "n"), Fail, "not an absolute path")
	expect(t, Mirrors("/missing.conf", "n"), Fail, "/missing.conf")
}

func TestConfiguration(t *testing.T) {
	expect(t, Configuration("", nil), OK, "defaults")
	expect(t, Configuration("/a", nil), OK, "/a")
	expect(t, Configuration("/a", errors.New("/a:1: no such key")), Fail, "/a:1: no such key")
	expect(t, Configuration("/a", errors.New("x")), Skipped, "everything else")
	expect(t, Usable("x", "", nil), Skipped, "x is empty")
	expect(t, Usable("x", "y", func() error { return nil }), OK, "y can be used")
	expect(t, Usable("x", "y", func() error { return errors.New("z") }), Fail, "z")
}
