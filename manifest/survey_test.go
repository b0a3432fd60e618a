package manifest

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestNodeName(t *testing.T) {
	dir := t.TempDir()
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	hostname, err := nodeName("", "")
	if err != nil || hostname == "" {
		t.Fatalf("%q of %q: %v", hostname, host, err)
	}
	for _, tc := range []struct{ state, flag, want string }{
		{"", "", hostname},
		{"{", "", hostname},
		{`{"version":1,"node":"edge-7"}`, "", "edge-7"},
		{`{"version":1,"node":"edge-7"}`, "Edge-8", "edge-8"},
	} {
		if tc.state != "" {
			if err := os.WriteFile(filepath.Join(dir, stateFile), []byte(tc.state), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := NodeName(tc.flag, dir); got != tc.want || err != nil {
			t.Errorf("%+v: %q, %v", tc, got, err)
		}
	}
	if _, err := NodeName("", filepath.Join(dir, "none")); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "none")); !os.IsNotExist(err) {
		t.Error("it made a state directory")
	}
}

func TestSurvey(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	for _, d := range []string{"pods.d", "manifests"} {
		if err := os.Mkdir(at(d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	pod := func(name string) string {
		return "apiVersion: v1\nkind: Pod\nmetadata: {name: " + name + "}\nspec: {containers: []}\n"
	}
	for name, content := range map[string]string{
		"pods.d/a.yaml": pod("a") + "---\n" + pod("b"), "pods.d/half.yaml": "kind: [", "pods.d/c.txt": pod("c"),
		"manifests/d.yaml": pod("d"), "manifests/.e.yaml": pod("e"), "manifests/f": pod("f"),
	} {
		if err := os.WriteFile(at(name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	sources := Sources{
		ConfigPath: at("config.yaml"), Patterns: []string{at("pods.d/*.yaml"), at("nowhere/*.yaml")},
		Config: []byte("machine:\n  pods:\n  - {apiVersion: v1, kind: Pod, metadata: {name: g}}\n"),
	}
	var got []string
	for _, c := range NewValidator(Rules{Node: "node1"}).Survey(sources, at("manifests")) {
		rel, err := filepath.Rel(dir, c.Path)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, rel+" "+c.Namespace+"/"+c.Name)
	}
	want := []string{
		"pods.d/a.yaml default/a", "pods.d/a.yaml default/b", "pods.d/half.yaml /", "config.yaml default/g",
		"manifests/d.yaml default/d", "manifests/f default/f",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := NewValidator(Rules{Node: "node1"}).Survey(Sources{}, at("nowhere")); len(got) != 0 {
		t.Errorf("got %v of nothing", got)
	}
}

// A pattern may go on below a wildcard, which other things match than directories.
func TestWildcardsForDirectories(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	for _, d := range []string{"web", "empty"} {
		if err := os.Mkdir(at(d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"config.yaml", "web/pod.yaml", "web/notes"} {
		if err := os.WriteFile(at(name), []byte("apiVersion: v1\nkind: Pod\nmetadata: {name: web}\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("web", at("link")); err != nil {
		t.Fatal(err)
	}
	l := list([]string{at("*/pod.yaml")})
	var files []string
	for _, f := range l.files {
		files = append(files, f.path)
	}
	if want := []string{at("link/pod.yaml"), at("web/pod.yaml")}; !slices.Equal(files, want) {
		t.Errorf("have %q, want %q", files, want)
	}
	for dir, err := range l.dirs {
		if err != nil {
			t.Errorf("%s: %v", dir, err)
		}
	}
	if _, asked := l.dirs[at("web")]; !asked {
		t.Error("web was not looked into")
	}
	// Without a wildcard it is somebody's intent.
	if l := list([]string{at("config.yaml/*.yaml")}); l.dirs[at("config.yaml")] == nil {
		t.Error("a file that is to be a directory")
	}
}
