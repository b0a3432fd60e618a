package manifest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// listFiles writes what a directory holds: name, pod and reasons, one file per line.
func listFiles(files []readFile) string {
	var b strings.Builder
	for _, f := range files {
		fmt.Fprintf(&b, "%s:", filepath.Base(f.path))
		if f.err != nil {
			b.WriteString(" unreadable")
		}
		for _, c := range f.candidates {
			if c.Name != "" {
				b.WriteString(" " + c.Name)
			}
			for _, p := range c.Problems {
				fmt.Fprintf(&b, " %s(%s)", p.Reason, p.Level)
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func write(t *testing.T, path, data string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(data), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestDirectory(t *testing.T) {
	dir := t.TempDir()
	for name, data := range map[string]string{
		"20-web":            block("web"), // no extension
		"30-db.yaml":        block("db"),
		"30-db.yaml.bak":    block("db"), // the kubelet takes this one
		"40-log.yaml~":      block("log"),
		"#50-x.yaml#":       block("x"),
		"60-list.yaml":      "apiVersion: v1\nkind: PodList\nitems: []\n",
		"70-bad.yaml":       "apiVersion: v1\nkind: Pod\nmetadata: {name: bad}\nspec: {}\n",
		"80-half.json":      "{\"kind\":",
		"81-half":           "apiVersion: v1\nkind: Po: d\n",
		"90-README":         "these are the manifests of node 1\n",
		"91-touched":        "",
		"92-ZWeb.yaml":      block("web2"),
		".hidden.yaml":      block("hidden"),
		".30-db.yaml.swp":   "b0VIM",
		"93-web.yaml.2025":  block("old"),
		"94-web copy.yaml":  block("copy"),
		"95-two.yaml":       block("two") + "---\n" + block("three"),
		"96-invalid-db.yml": strings.Replace(block("db"), "image: i", "imag: i", 1), // not valid, so it shadows nothing
	} {
		write(t, filepath.Join(dir, name), data)
	}
	elsewhere := t.TempDir()
	write(t, filepath.Join(elsewhere, "target"), block("linked"))
	for _, err := range []error{
		os.Symlink(filepath.Join(elsewhere, "target"), filepath.Join(dir, "10-link.yaml")),
		os.Symlink(filepath.Join(elsewhere, "gone"), filepath.Join(dir, "11-dangling.yaml")),
		os.Symlink("12-loop.yaml", filepath.Join(dir, "12-loop.yaml")),
		os.Mkdir(filepath.Join(dir, "below"), 0o755),
		syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o644),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(dir, "below", "never.yaml"), block("never"))

	files, err := NewValidator(Rules{Node: "n"}).readDirectory(dir, "/host")
	if err != nil {
		t.Fatal(err)
	}
	relate(files)
	const want = `#50-x.yaml#: x StrayFile(warning)
10-link.yaml: linked
11-dangling.yaml: unreadable
12-loop.yaml: unreadable
20-web: web
30-db.yaml: db DuplicateName(critical)
30-db.yaml.bak: db StrayFile(warning)
40-log.yaml~: log StrayFile(warning)
60-list.yaml: NotAPod(critical)
70-bad.yaml: bad ManifestInvalid(critical)
80-half.json: ManifestMalformed(critical)
81-half: ManifestMalformed(critical)
90-README: StrayFile(warning)
91-touched: StrayFile(warning)
92-ZWeb.yaml: web2
93-web.yaml.2025: old StrayFile(warning)
94-web copy.yaml: copy
95-two.yaml: two ExtraDocument(warning)
96-invalid-db.yml: db ManifestInvalid(critical) UnknownField(warning)
below: StrayFile(warning)
fifo: StrayFile(warning)
`
	if got := listFiles(files); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	for _, f := range files {
		if filepath.Dir(f.path) != "/host" {
			t.Errorf("%s is not named as the kubelet names it", f.path)
		}
		for _, c := range f.candidates {
			for _, p := range c.Problems {
				if p.Path != f.path || p.Message == "" {
					t.Errorf("%s: %+v", f.path, p)
				}
				if p.Reason == DuplicateName && (!strings.Contains(p.Message, "/host/30-db.yaml.bak") || p.Line != 4 || c.Quarantined()) {
					t.Errorf("%+v", p)
				}
			}
		}
		if f.err == nil && f.modified.IsZero() && f.candidates[0].Name != "" {
			t.Errorf("%s has no time", f.path)
		}
	}
	again, err := NewValidator(Rules{Node: "n"}).readDirectory(dir, "")
	if err != nil || again[1].candidates[0].UID == files[1].candidates[0].UID {
		t.Errorf("the kubelet's own path is not part of the UID: %v", err)
	}
}

func TestDirectoryTwiceWithOneValidator(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a.yaml"), block("web"))
	write(t, filepath.Join(dir, "b.yaml"), block("web"))
	v := NewValidator(Rules{Node: "n"})
	want := "a.yaml: web DuplicateName(critical)\nb.yaml: web\n"
	for range 2 {
		files, err := v.readDirectory(dir, "")
		relate(files)
		if err != nil || listFiles(files) != want {
			t.Errorf("%v\n%swant\n%s", err, listFiles(files), want)
		}
	}
	if err := os.Remove(filepath.Join(dir, "b.yaml")); err != nil {
		t.Fatal(err)
	}
	files, err := v.readDirectory(dir, "")
	relate(files)
	if err != nil || listFiles(files) != "a.yaml: web\n" {
		t.Errorf("the mark stuck to the remembered candidate: %v\n%s", err, listFiles(files))
	}
}

func TestDirectoryThatIsNone(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, ".pod")
	write(t, file, block("single"))
	v := NewValidator(Rules{Node: "n"})
	if files, err := v.readDirectory(file, ""); err != nil || listFiles(files) != ".pod: single\n" {
		t.Errorf("a single file: %v %s", err, listFiles(files))
	}
	if files, err := v.readDirectory(t.TempDir(), ""); err != nil || len(files) != 0 {
		t.Errorf("an empty directory: %v %v", err, files)
	}
	if _, err := v.readDirectory(filepath.Join(dir, "missing"), ""); err == nil {
		t.Error("a missing directory is no error")
	}
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := v.readDirectory(fifo, ""); err == nil {
		t.Error("a fifo is no error")
	}
}
