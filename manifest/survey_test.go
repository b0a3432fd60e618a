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
