package main

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"

	"github.com/staticpod-exporter/staticpod-exporter/manifest"
)

// newLoader has flags as the command line would set them.
func newLoader(t *testing.T, arguments ...string) loader {
	t.Helper()
	f := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	registerConfigFlags(f)
	if err := f.Parse(arguments); err != nil {
		t.Fatal(err)
	}
	return loader{flags: f}
}

func writeFile(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestLoadWithoutAFileGivesTheDefaults(t *testing.T) {
	got, err := newLoader(t).decode("", nil)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(defaultConfig(), got.Config); d != "" {
		t.Error(d)
	}
}

func TestLoadPrefersFlagThenEnvironmentThenFile(t *testing.T) {
	path := writeFile(t, "log: {level: warn, format: json}\nnode: from-file\nkubelet: {resync-interval: 30s}\n")
	t.Setenv("STATICPOD_EXPORTER_LOG_LEVEL", "error")
	t.Setenv("STATICPOD_EXPORTER_NODE", "from-environment")
	t.Setenv("STATICPOD_EXPORTER_WEB_LISTEN_ADDRESS", "127.0.0.1:1,127.0.0.1:2")
	got, err := newLoader(t, "--config.file="+path, "--node=from-flag").load()
	if err != nil {
		t.Fatal(err)
	}
	want := defaultConfig()
	want.Node, want.Log.Level, want.Log.Format = "from-flag", "error", "json"
	want.Kubelet.ResyncInterval = 30 * time.Second
	want.Web.ListenAddress = []string{"127.0.0.1:1", "127.0.0.1:2"}
	if d := cmp.Diff(want, got.Config); d != "" {
		t.Error(d)
	}
}

func TestLoadRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		file, flag, env string
		want            string // PATH stands for the file
	}{
		"a misspelt key":            {file: "node: a\nkubelet:\n  resync-intervall: 3s\n", want: "PATH:3:3: kubelet.resync-intervall: no such key, did you mean kubelet.resync-interval?"},
		"a misspelt group":          {file: "kubelt:\n  log: auto\n", want: "PATH:1:1: kubelt: no such key, did you mean kubelet"},
		"a key in capitals":         {file: "kubelet: {Log: auto}\n", want: "PATH:1:11: kubelet.Log: no such key, did you mean kubelet.log?"},
		"a key twice":               {file: "node: a\nnode: b\n", want: "PATH:2"},
		"a value for a group":       {file: "log: debug\n", want: "PATH:1:6: log: is a group of keys: log.format, log.level"},
		"a group for a value":       {file: "node: {a: b}\n", want: "PATH:1:7: node: is a string"},
		"a bad duration":            {file: "kubelet:\n  resync-interval: soon\n", want: "PATH:2:20: kubelet.resync-interval: is a duration such as 60s or 2m30s"},
		"a duration of nothing":     {file: "kubelet:\n  resync-interval: 0s\n", want: "PATH:2:3: kubelet.resync-interval: is not above zero"},
		"a bad boolean":             {file: "kubelet:\n  insecure-skip-verify: maybe\n", want: "PATH:2:25: kubelet.insecure-skip-verify: is true or false"},
		"a list of maps":            {file: "manifest:\n  files:\n  - {a: b}\n", want: "PATH:3:5: manifest.files: is a list of strings"},
		"a relative pattern":        {file: "manifest: {files: [pods/*.yaml]}\n", want: `PATH:1:12: manifest.files: "pods/*.yaml" is not an absolute path`},
		"an unknown scheme":         {file: "cri: {endpoint: 'tcp://127.0.0.1:1'}\n", want: `PATH:1:7: cri.endpoint: "tcp://127.0.0.1:1" is neither auto nor a URL of the form unix://…`},
		"a socket without slash":    {file: "cri: {endpoint: 'unix://run/x.sock'}\n", want: "needs three slashes"},
		"a password in a URL":       {file: "kubelet: {endpoint: 'https://me:secret@127.0.0.1'}\n", want: "holds a user or password"},
		"a log that is nowhere":     {file: "kubelet: {log: 'http://127.0.0.1/'}\n", want: `PATH:1:11: kubelet.log: "http://127.0.0.1/": it is none of file:///PATH, journald:UNIT, tcp://HOST:PORT`},
		"a log without address":     {flag: "--kubelet.log=tcp://", want: `flag --kubelet.log: "tcp://": it needs an address to listen on: tcp://127.0.0.1:5170`},
		"a log with a password":     {file: "kubelet: {log: 'tcp://me:secret@127.0.0.1:1'}\n", want: "kubelet.log: holds a user or password"},
		"no YAML":                   {file: "a: [\n", want: "PATH:"},
		"a list":                    {file: "- a\n", want: "PATH:1:1: a configuration is a mapping of keys"},
		"a bad flag":                {flag: "--log.level=loud", want: `flag --log.level: "loud" is none of debug, info, warn, error`},
		"a bad variable":            {env: "STATICPOD_EXPORTER_LOG_LEVEL=loud", want: `environment variable STATICPOD_EXPORTER_LOG_LEVEL: "loud" is none of`},
		"a misspelt variable":       {env: "STATICPOD_EXPORTER_LOG_LEVL=info", want: "environment variable STATICPOD_EXPORTER_LOG_LEVL: no such key, did you mean STATICPOD_EXPORTER_LOG_LEVEL?"},
		"a certificate without key": {file: "kubelet: {cert-file: /c}\n", want: "kubelet.key-file: is missing: kubelet.cert-file is given"},
	} {
		t.Run(name, func(t *testing.T) {
			path := writeFile(t, c.file)
			arguments := []string{"--config.file=" + path}
			if c.flag != "" {
				arguments = append(arguments, c.flag)
			}
			if key, value, ok := strings.Cut(c.env, "="); ok {
				t.Setenv(key, value)
			}
			_, err := newLoader(t, arguments...).load()
			if err == nil {
				t.Fatal("it is accepted")
			}
			if got := strings.ReplaceAll(err.Error(), path, "PATH"); !strings.Contains(got, c.want) {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			if strings.Contains(err.Error(), "secret") {
				t.Error("the error tells the secret")
			}
		})
	}
}

// A Talos machine configuration is a configuration as it stands, and its pods never pass through Viper, which
// would lower-case keys and split those with dots.
func TestLoadTakesATalosMachineConfiguration(t *testing.T) {
	const file = `version: v1alpha1
debug: false
persist: true
machine:
  type: controlplane
  token: not-ours
  network: {hostname: cp-1}
  pods:
    - apiVersion: v1
      kind: Pod
      metadata:
        name: nginx
        labels: {app.kubernetes.io/Name: X}
        annotations: {UPPER: "1", a.b.c/D.e: "2"}
      spec: {containers: [{name: nginx, image: nginx}]}
cluster:
  controlPlane: {endpoint: "https://127.0.0.1:6443"}
---
apiVersion: v1alpha1
kind: KubeStaticPodConfig
name: proxy
pod:
  metadata: {name: proxy}
  spec: {containers: [{name: proxy, image: proxy}]}
`
	got, err := newLoader(t, "--config.file="+writeFile(t, file)).load()
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(defaultConfig(), got.Config); d != "" {
		t.Error(d)
	}
	candidates := manifest.NewValidator(manifest.Rules{Node: "n"}).File(got.Path, got.Data, manifest.FormConfiguration)
	if len(candidates) != 2 {
		t.Fatalf("%d definitions, want nginx and proxy", len(candidates))
	}
	pod := candidates[0].Pod
	if pod == nil || pod.Labels["app.kubernetes.io/Name"] != "X" || pod.Annotations["UPPER"] != "1" || pod.Annotations["a.b.c/D.e"] != "2" {
		t.Errorf("keys did not survive: %+v", pod)
	}
	for _, c := range candidates {
		if c.Quarantined() {
			t.Errorf("%s: %+v", c.Name, c.Problems)
		}
	}
}

func TestStartFallsBackToTheLastGoodConfiguration(t *testing.T) {
	state := t.TempDir()
	path := writeFile(t, "node: a\nmanifest: {state-directory: "+state+"}\n")
	c, bad, err := start(newLoader(t, "--config.file="+path))
	if bad != nil || err != nil {
		t.Fatal(bad, err)
	}
	if _, err := c.sources(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("node: a\nmanifest: \n  state-directory: "+state+"\nnod: b\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, bad, err = start(newLoader(t, "--config.file="+path))
	if err != nil || bad == nil || !strings.Contains(bad.Error(), "nod: no such key") {
		t.Fatalf("bad %v, err %v", bad, err)
	}
	if c.inForce.Node != "a" || c.inForce.Path != path {
		t.Errorf("in force: %+v", c.inForce.Config)
	}
	if _, _, err := start(newLoader(t, "--config.file="+path, "--manifest.state-directory="+t.TempDir())); err == nil {
		t.Error("it starts with a bad configuration where none was good before")
	}
}

// Nobody takes a pod away by moving the exporter's own file aside, be it the one that need not be there.
func TestAConfigurationThatVanishesStaysInForce(t *testing.T) {
	content := "manifest: {files: [/srv/pods/*.yaml], state-directory: " + t.TempDir() + "}\nmachine: {pods: []}\n"
	usual := writeFile(t, content)
	l := newLoader(t)
	l.usual = usual
	c, bad, err := start(l)
	if bad != nil || err != nil {
		t.Fatal(bad, err)
	}
	c.log = slog.New(slog.DiscardHandler)
	moved := usual + ".bak"
	if err := os.Rename(usual, moved); err != nil {
		t.Fatal(err)
	}
	sources, err := c.sources()
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), usual) {
		t.Errorf("error %v", err)
	}
	if sources.ConfigPath != usual || string(sources.Config) != content || !slices.Equal(sources.Patterns, []string{"/srv/pods/*.yaml"}) {
		t.Errorf("sources: %+v", sources)
	}
	if err := os.Rename(moved, usual); err != nil {
		t.Fatal(err)
	}
	if _, err := c.sources(); err != nil {
		t.Error(err)
	}
	// Who starts it without one means it.
	l.usual = moved
	if c, bad, err = start(l); bad != nil || err != nil {
		t.Fatal(bad, err)
	}
	if sources, err := c.sources(); err != nil || sources.ConfigPath != "" {
		t.Errorf("sources: %+v, %v", sources, err)
	}
}

// Every key is documented, and every documented key exists.
func TestConfigurationReferenceIsComplete(t *testing.T) {
	data, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]bool{}
	for line := range strings.Lines(string(data)) {
		if cell, ok := strings.CutPrefix(line, "| `"); ok {
			key, _, _ := strings.Cut(cell, "`")
			documented[key] = true
		}
	}
	newLoader(t).flags.VisitAll(func(f *pflag.Flag) {
		if isKey(f.Name) && !documented[f.Name] {
			t.Errorf("docs/configuration.md lacks %s", f.Name)
		}
		delete(documented, f.Name)
	})
	for key := range documented {
		t.Errorf("docs/configuration.md describes %s, which does not exist", key)
	}
}

func TestStandaloneByTheKubeletsCommandLine(t *testing.T) {
	proc := t.TempDir()
	process := func(pid, comm, cmdline string) {
		dir := filepath.Join(proc, pid)
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		for name, content := range map[string]string{"comm": comm + "\n", "cmdline": strings.ReplaceAll(cmdline, " ", "\x00")} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	process("1", "init", "init --kubeconfig=/x")
	if standalone(auto, proc) {
		t.Error("without a kubelet nothing is known")
	}
	process("22", "kubelet", "/usr/bin/kubelet --config=/c")
	if !standalone(auto, proc) || standalone("false", proc) {
		t.Error("a kubelet without --kubeconfig is standalone, unless configured otherwise")
	}
	process("22", "kubelet", "/usr/bin/kubelet --kubeconfig /k")
	if standalone(auto, proc) || !standalone("true", proc) {
		t.Error("a kubelet with --kubeconfig is not, unless configured otherwise")
	}
	process("33", "kubelet", "/usr/bin/kubelet --config=/c")
	if !standalone(auto, proc) {
		t.Error("of two kubelets one without --kubeconfig is enough")
	}
}
