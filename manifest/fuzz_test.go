package manifest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	"k8s.io/kubernetes/pkg/apis/core"
)

// FuzzFile reads anything as any form. It must not panic, canonical JSON must be its own canonical form, and
// what is not quarantined must be accepted once more from a list as we serve it.
func FuzzFile(f *testing.F) {
	files, _ := filepath.Glob("testdata/canonical/*.yaml")
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, byte(FormDefinitions))
		f.Add(data, byte(FormDirectory))
	}
	for _, s := range []string{
		block("a"), oneJSON("a"), onePod("a"), oneJSON("a") + oneJSON("b"), strings.Replace(oneJSON("a"), "{", `{"kind":"x",`, 1),
		"machine: {pods: [" + onePod("a") + "]}", "apiVersion: v1\nkind: PodList\nitems: [" + onePod("a") + "]", "%YAML 1.1\n---\n" + block("a") + "...\n" + block("b"),
		"a: &a [*a]", "? {a: b}\n: c", "\uFEFF---\n", "{\"metadata\":{\"name\":\"\\ud800\"}}", "kind: Pod\napiVersion: v1\nmetadata: 5", "metadata: {name: [}", "<<: {a: b}\n<<: [c]\n",
	} {
		for form := range byte(3) {
			f.Add([]byte(s), form)
		}
	}
	v := NewValidator(Rules{Node: "node1", Standalone: true})
	f.Fuzz(func(t *testing.T, data []byte, form byte) {
		form %= 3
		v.Sweep()
		nameless := 0
		for _, c := range v.File("/x.yaml", data, Form(form)) {
			if c.Name == "" {
				nameless++
			}
			if c.Line < 1 || c.Quarantined() && len(c.Problems) == 0 {
				t.Fatalf("%+v", c)
			}
			for _, p := range c.Problems {
				if p.Path != "/x.yaml" || p.Line < 1 || p.Message == "" || len(p.Message) > maxMessage {
					t.Errorf("%+v", p)
				}
			}
			if c.Canonical == nil || Form(form) == FormDirectory {
				continue
			}
			tree, err := decodeTree(c.Canonical)
			if err != nil {
				t.Fatalf("canonical JSON does not decode: %v\n%s", err, c.Canonical)
			}
			root := tree.(map[string]any)
			normalize(root)
			if again := appendCanonical(nil, root); string(again) != string(c.Canonical) {
				t.Errorf("canonical twice\n%s\n%s", c.Canonical, again)
			}
			if c.Quarantined() {
				continue
			}
			same := v.File("/restored", c.Canonical, FormDefinitions)
			if len(same) != 1 || same[0].Hash != c.Hash || same[0].Quarantined() {
				t.Errorf("what is restored is another: %s", outline(same))
			}
			list := `{"apiVersion":"v1","items":[` + string(withUID(c.Canonical, c.UID)) + `],"kind":"PodList"}`
			object, err := runtime.Decode(legacyscheme.Codecs.UniversalDecoder(), []byte(list))
			if err != nil {
				t.Fatalf("%v\n%s", err, list)
			}
			if pods := object.(*core.PodList); len(pods.Items) != 1 || pods.Items[0].Name != c.Name || pods.Items[0].UID != c.UID {
				t.Errorf("%+v", pods)
			}
		}
		if nameless > 1 {
			t.Errorf("%d candidates without a name", nameless)
		}
	})
}
