package manifest

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var updateGolden = flag.Bool("update", false, "write the golden files anew")

// TestCanonicalAndUID holds the canonical form, hash and UID of definitions. A difference restarts every pod
// of every node at the upgrade: it must not come from a new release of ours or of a library.
func TestCanonicalAndUID(t *testing.T) {
	files, err := filepath.Glob("testdata/canonical/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no definitions", err)
	}
	v := NewValidator(Rules{Node: "Node1.example.org"})
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var got strings.Builder
			for _, c := range v.File("/pods.d/"+filepath.Base(file), data, FormDefinitions) {
				got.WriteString(c.Namespace + "/" + c.Name + "\n" + c.Hash + "\n" + string(c.UID) + "\n" + string(c.Canonical) + "\n\n")
				if c.Name != "" && string(c.UID) != c.Hash[:32] {
					t.Errorf("UID %s is not the beginning of %s", c.UID, c.Hash)
				}
			}
			golden := strings.TrimSuffix(file, ".yaml") + ".golden"
			if *updateGolden {
				if err := os.WriteFile(golden, []byte(got.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got.String()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestWhatChangesAUID(t *testing.T) {
	hash := func(node, document string) string {
		t.Helper()
		return prove(t, Rules{Node: node}, document, FormDefinitions).Hash
	}
	same := hash("n", block("a"))
	for name, document := range map[string]string{
		"comments and blanks":       "# c\n\n" + block("a"),
		"JSON instead of YAML":      oneJSON("a"),
		"an element of a PodList":   "apiVersion: v1\nkind: PodList\nitems:\n- metadata: {name: a}\n  spec: {containers: [{name: c, image: i}]}\n",
		"machine.pods":              "machine:\n  pods:\n  - metadata: {name: a}\n    spec: {containers: [{name: c, image: i}]}\n",
		"a namespace that is empty": strings.Replace(block("a"), "name: a", "name: a\n  namespace: \"\"", 1),
		"a namespace that is said":  strings.Replace(block("a"), "name: a", "name: a\n  namespace: default", 1),
		"what the cluster writes": strings.Replace(block("a"), "name: a", "name: a\n  uid: u\n  creationTimestamp: null\n  deletionTimestamp: \"2026-01-01T00:00:00Z\"\n  ownerReferences: []\n  finalizers: [f]\n  annotations: {kubernetes.io/config.mirror: x, kubernetes.io/config.hash: y}", 1) +
			"status: {phase: Failed}\n",
	} {
		if got := hash("n", document); got != same {
			t.Errorf("%s change it", name)
		}
	}
	for name, document := range map[string]string{
		"another image":      strings.Replace(block("a"), "image: i", "image: j", 1),
		"another name":       block("b"),
		"an annotation":      strings.Replace(block("a"), "name: a", "name: a\n  annotations: {restart: \"1\"}", 1),
		"an unknown field":   strings.Replace(block("a"), "image: i", "image: i\n    imaje: j", 1),
		"a default, written": strings.Replace(block("a"), "image: i", "image: i\n    terminationMessagePath: /dev/termination-log", 1),
	} {
		if hash("n", document) == same {
			t.Errorf("%s does not change it", name)
		}
	}
	if hash("m", block("a")) == same {
		t.Error("another node does not change it")
	}
	if hash("N", block("a")) != same {
		t.Error("the case of the node's name changes it")
	}
}

func TestKeysSurvive(t *testing.T) {
	c := prove(t, Rules{Node: "n"}, strings.Replace(block("a"), "name: a", "name: a\n  labels: {app.kubernetes.io/Name: X}\n  annotations: {Example.COM/Key: V, a.b.c: d}", 1), FormDefinitions)
	if c.Quarantined() {
		t.Fatal(sketch(c.Problems))
	}
	if c.Pod.Labels["app.kubernetes.io/Name"] != "X" || c.Pod.Annotations["Example.COM/Key"] != "V" || c.Pod.Annotations["a.b.c"] != "d" {
		t.Errorf("%v %v", c.Pod.Labels, c.Pod.Annotations)
	}
	for _, want := range []string{`"app.kubernetes.io/Name":"X"`, `"Example.COM/Key":"V"`, `"a.b.c":"d"`} {
		if !strings.Contains(string(c.Canonical), want) {
			t.Errorf("no %s in %s", want, c.Canonical)
		}
	}
}

// TestCanonicalPassesThroughEncoders holds what the state file relies on.
func TestCanonicalPassesThroughEncoders(t *testing.T) {
	tree := map[string]any{
		"b": []any{json.Number("1.50"), json.Number("-0"), json.Number("1E3"), true, false, nil, map[string]any{}, []any{}},
		"a": "<script>&\"\\/\b\f\n\r\t\x00\x1f\x7f\u2028\u2029\u00e9\U0001F600", "": "\xff", "é": "", "z\n": "",
	}
	canonical := appendCanonical(nil, tree)
	const want = `{"":"` + "\uFFFD" + `","a":"\u003cscript\u003e\u0026\"\\/\u0008\u000c\n\r\t\u0000\u001f` + "\x7f" + `\u2028\u2029é😀","b":[1.50,-0,1E3,true,false,null,{},[]],"z\n":"","é":""}`
	if string(canonical) != want {
		t.Errorf("canonical\n%s\nwant\n%s", canonical, want)
	}
	marshalled, err := json.Marshal(map[string]json.RawMessage{"x": canonical})
	if err != nil || string(marshalled) != `{"x":`+want+`}` {
		t.Errorf("%v: %s", err, marshalled)
	}
}

func TestWithUID(t *testing.T) {
	for in, want := range map[string]string{
		`{"a":1,"metadata":{"name":"x","z":[{"b":2,"a":1.0}]},"spec":{}}`: `{"a":1,"metadata":{"name":"x","uid":"U","z":[{"b":2,"a":1.0}]},"spec":{}}`,
		`{"metadata":{"uid":"old"}}`:                                      `{"metadata":{"uid":"U"}}`,
		`{"metadata":5}`:                                                  `{"metadata":5}`,
		`{"metadata":null}`:                                               `{"metadata":null}`,
		`[]`:                                                              `[]`,
	} {
		if got := string(withUID([]byte(in), "U")); got != want {
			t.Errorf("%s becomes %s, want %s", in, got, want)
		}
	}
}

// TestFileUID holds UIDs that a kubelet 1.37.2 gave to these very files (node1, by its own pkg/kubelet/config).
func TestFileUID(t *testing.T) {
	for _, test := range []struct{ node, path, document, want string }{
		{"node1", "/etc/kubernetes/manifests/a.yaml", block("a"), "839bb59709e3a8f74a6cfc3b6a150df2"},
		{"node1", "/etc/kubernetes/manifests/b.yaml", block("a"), "c2a6f362e1e3a8f74a629424c3bccf6d"},
		{"node2", "/etc/kubernetes/manifests/a.yaml", block("a"), "173bbad3d71be5a8a9a1d546ce28d02d"},
		{"node1", "/etc/kubernetes/manifests/a.yaml", strings.Replace(block("a"), "name: a", "name: a\n  uid: mine", 1), "mine"},
	} {
		c := NewValidator(Rules{Node: test.node}).File(test.path, []byte(test.document), FormDirectory)[0]
		if string(c.UID) != test.want || string(c.Pod.UID) != test.want {
			t.Errorf("%s on %s has UID %s, want %s", test.path, test.node, c.UID, test.want)
		}
	}
}
