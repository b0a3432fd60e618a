package manifest

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf16"
)

// outline writes candidates as "line namespace/name" with the reasons of their problems, one per line.
func outline(candidates []*Candidate) string {
	var b strings.Builder
	for _, c := range candidates {
		fmt.Fprintf(&b, "%d %s/%s", c.Line, c.Namespace, c.Name)
		for _, p := range c.Problems {
			fmt.Fprintf(&b, " %s:%d", p.Reason, p.Line)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// onePod is a pod of that name in one line of YAML.
func onePod(name string) string {
	return "{apiVersion: v1, kind: Pod, metadata: {name: " + name + "}, spec: {containers: [{name: c, image: i}]}}"
}

// oneJSON is the same in JSON.
func oneJSON(name string) string {
	return `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"` + name + `"},"spec":{"containers":[{"name":"c","image":"i"}]}}`
}

// inUTF16 is a text in UTF-16, as some editors write it.
func inUTF16(text string) string {
	encoded := []byte{0xfe, 0xff}
	for _, unit := range utf16.Encode([]rune(text)) {
		encoded = append(encoded, byte(unit>>8), byte(unit))
	}
	return string(encoded)
}

// block is the same in YAML lines.
func block(name string) string {
	return "apiVersion: v1\nkind: Pod\nmetadata:\n  name: " + name + "\nspec:\n  containers:\n  - name: c\n    image: i\n"
}

func TestFiles(t *testing.T) {
	for _, test := range []struct {
		name, file string
		form       Form
		want       string // no line: the file is wholly valid and defines nothing
	}{
		// Many documents.
		{name: "two documents", file: block("a") + "---\n" + block("b"), want: "1 default/a\n10 default/b\n"},
		{name: "a marker before and after", file: "---\n" + block("a") + "---\n", want: "2 default/a\n"},
		{name: "an end marker", file: block("a") + "...\n" + block("b"), want: "1 default/a\n10 default/b\n"},
		{name: "comments alone between markers", file: "# c\n---\n# c\n---\n" + block("a") + "---\n# c\n", want: "5 default/a\n"},
		{name: "a comment before a directive", file: "# c\n%YAML 1.1\n---\n" + block("a"), want: "4 default/a\n"},
		{name: "a directive", file: "%YAML 1.1\n---\n" + block("a"), want: "3 default/a\n"},
		{name: "a comment at a marker", file: "--- # first\n" + block("a") + "---  \n" + block("b"), want: "2 default/a\n11 default/b\n"},
		{name: "CRLF", file: strings.ReplaceAll(block("a")+"---\n"+block("b"), "\n", "\r\n"), want: "1 default/a\n10 default/b\n"},
		{name: "a byte order mark before a marker", file: "\uFEFF---\n" + block("a"), want: "2 default/a\n"},
		{name: "a marker in a block of text is none when indented", file: strings.Replace(block("a"), "spec:", "  annotations:\n    x: |\n      a\n      ---\n      b\nspec:", 1), want: "1 default/a\n"},
		{name: "a broken document does not hide the others", file: block("a") + "---\nkind: [\n---\n" + block("b"),
			want: "1 default/a\n12 default/b\n10 / ManifestMalformed:10\n"},
		{name: "two broken documents are one candidate of the file", file: "a: [\n---\n" + block("a") + "---\nb: ]\n",
			want: "3 default/a\n1 / ManifestMalformed:1 ManifestMalformed:12\n"},
		{name: "more after a document without a marker", file: "[1]\n" + block("a"), want: "1 / ManifestMalformed:1 ManifestMalformed:2\n"},
		{name: "JSON documents", file: oneJSON("a") + "\n---\n" + oneJSON("b"), want: "1 default/a\n3 default/b\n"},
		{name: "JSON values one after the other", file: oneJSON("a") + "\n" + oneJSON("b") + oneJSON("c") + "\n", want: "1 default/a\n2 default/b\n2 default/c\n"},
		{name: "JSON followed by something else", file: oneJSON("a") + "\n}\n", want: "1 default/a\n2 / ManifestMalformed:2\n"},
		{name: "JSON escapes that YAML lacks", file: strings.Replace(oneJSON("a"), `"name":"a"`, `"name":"a","labels":{"x":"\ud83d\ude00"}`, 1), want: "1 default/a ManifestInvalid:1\n"},
		{name: "JSON values after a marker", file: "%YAML 1.1\n---\n# c\n" + oneJSON("a") + "\n" + oneJSON("b") + "\n", want: "4 default/a\n5 default/b\n"},
		{name: "JSON values after a byte order mark", file: "\uFEFF" + oneJSON("a") + "\n" + oneJSON("b") + "\n", want: "1 default/a\n2 default/b\n"},
		{name: "JSON after a comment and then a comment is YAML", file: "# c\n" + oneJSON("a") + "\n# d\n", want: "2 default/a\n"},
		{name: "UTF-16", file: inUTF16("# c\n" + block("a") + "---\n" + block("b")), want: "2 default/a\n11 default/b\n"},
		{name: "half a character of UTF-16", file: inUTF16(block("a")) + "\xd8\x00", want: "1 / ManifestMalformed:1\n"},
		{name: "UTF-16 and then something else, which the kubelet does not come to", file: inUTF16(block("a")+"---\n"+block("b")) + "\n---\n", want: "1 default/a\n1 / ManifestMalformed:1\n"},
		{name: "lines that end in carriage returns alone", file: strings.ReplaceAll("# c\n"+block("a")+"---\n"+block("b"), "\n", "\r"), want: "2 default/a\n11 default/b\n"},
		{name: "a quotation left open ends with its document", file: "a: '\nb\n---\n" + block("b"), want: "4 default/b\n2 / ManifestMalformed:2\n"},
		{name: "another kind beside a pod", file: block("a") + "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\n", want: "1 default/a\n11 / NotAPod:11\n"},

		// Lists.
		{name: "a PodList", file: "apiVersion: v1\nkind: PodList\nitems:\n- metadata: {name: a}\n  spec: {containers: [{name: c, image: i}]}\n- " + onePod("b") + "\n", want: "4 default/a\n6 default/b\n"},
		{name: "an empty PodList", file: "apiVersion: v1\nkind: PodList\nitems: []\n", want: ""},
		{name: "half of a PodList", file: "apiVersion: v1\nkind: PodList\n", want: "1 / ManifestMalformed:1\n"},
		{name: "half of a PodList, later", file: "apiVersion: v1\nkind: PodList\nitems:\n", want: "3 / ManifestMalformed:3\n"},
		{name: "a PodList in JSON", file: `{"apiVersion":"v1","kind":"PodList","items":[` + oneJSON("a") + `]}`, want: "1 default/a\n"},
		{name: "a List", file: "apiVersion: v1\nkind: List\nitems:\n- " + onePod("a") + "\n- {apiVersion: v1, kind: Service}\n- {metadata: {name: x}}\n- 5\n",
			want: "4 default/a\n5 / NotAPod:5 NotAPod:6 ManifestMalformed:7\n"},
		{name: "a PodList in a List", file: "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: PodList\n  items:\n  - " + onePod("a") + "\n- " + onePod("b") + "\n", want: "7 default/a\n8 default/b\n"},
		{name: "the kind of a PodList's element does not matter to the kubelet", file: "apiVersion: v1\nkind: PodList\nitems:\n- {kind: pod, metadata: {name: a}, spec: {containers: [{name: c, image: i}]}}\n- {apiVersion: v1, kind: Service, metadata: {name: s}}\n",
			want: "4 default/a\n5 / NotAPod:5\n"},
		{name: "a key twice in the second element", file: "apiVersion: v1\nkind: PodList\nitems:\n- " + onePod("a") + "\n- " + strings.Replace(onePod("b"), "image: i", "image: i, image: j", 1) + "\n", want: "4 default/a\n5 default/b DuplicateKey:5\n"},
		{name: "items written twice", file: "apiVersion: v1\nkind: PodList\nitems:\n- " + onePod("a") + "\nitems:\n- " + onePod("b") + "\n", want: "6 default/b DuplicateKey:5\n"},

		// Talos.
		{name: "a Talos machine configuration", file: "version: v1alpha1\nmachine:\n  type: worker\n  pods:\n    - " + onePod("a") + "\n    - metadata: {name: b}\n      spec: {containers: [{name: c, image: i}]}\ncluster: {}\n---\napiVersion: v1alpha1\nkind: HostnameConfig\nhostname: x\n---\napiVersion: v1alpha1\nkind: KubeStaticPodConfig\nname: c\npod:\n  apiVersion: v1\n  kind: Pod\n  metadata: {name: c, namespace: kube-system}\n  spec: {containers: [{name: c, image: i}]}\n",
			want: "5 default/a\n6 default/b\n18 kube-system/c\n"},
		{name: "a Talos machine configuration without pods", file: "version: v1alpha1\nmachine: {type: worker}\n", want: ""},
		{name: "the cluster part alone", file: "cluster: {}\n", want: ""},
		{name: "no pods, on purpose", file: "machine: {pods: []}\n", want: ""},
		{name: "half of a machine configuration", file: "machine:\n  pods:\n", want: "2 / ManifestMalformed:2\n"},
		{name: "pods that are no list", file: "machine: {pods: {}}\n", want: "1 / ManifestMalformed:1\n"},
		{name: "KubeStaticPodConfig without a pod", file: "apiVersion: v1alpha1\nkind: KubeStaticPodConfig\nname: c\n", want: "1 / ManifestMalformed:1\n"},
		{name: "a Pod of Talos' version", file: "apiVersion: v1alpha1\nkind: Pod\nmetadata: {name: a}\n", want: "1 / NotAPod:1\n"},

		// Nothing.
		{name: "nothing", file: "", want: "1 / ManifestMalformed:1\n"},
		{name: "blanks", file: " \n\n", want: "1 / ManifestMalformed:1\n"},
		{name: "comments alone", file: "# all\n# commented\n", want: "1 / ManifestMalformed:1\n"},
		{name: "markers alone", file: "---\n---\n", want: "1 / ManifestMalformed:1\n"},
		{name: "null", file: "null\n", want: "1 / ManifestMalformed:1\n"},

		// The exporter's configuration.
		{name: "machine.pods of the configuration", form: FormConfiguration, file: "node: n1\nmanifest:\n  listen: x\nmachine:\n  type: somebody else's\n  pods:\n  - " + onePod("a") + "\n", want: "7 default/a\n"},
		{name: "a configuration without machine", form: FormConfiguration, file: "node: n1\n", want: ""},
		{name: "a configuration of comments", form: FormConfiguration, file: "# node: n1\n", want: ""},
		{name: "an emptied configuration", form: FormConfiguration, file: "", want: "1 / ManifestMalformed:1\n"},
		{name: "pods of a configuration left open", form: FormConfiguration, file: "machine:\n  pods:\n", want: "2 / ManifestMalformed:2\n"},
		{name: "a Pod document of a Talos configuration", form: FormConfiguration, file: "machine: {}\n---\n" + block("a"), want: "3 default/a\n"},
		{name: "a configuration that does not parse", form: FormConfiguration, file: "node: [\n", want: "1 / ManifestMalformed:1\n"},
		{name: "a configuration that is a list", form: FormConfiguration, file: "- a\n", want: "1 / ManifestMalformed:1\n"},

		// The kubelet's directory.
		{name: "one pod", form: FormDirectory, file: block("a"), want: "1 default/a\n"},
		{name: "the first document only", form: FormDirectory, file: block("a") + "---\n" + block("b"), want: "1 default/a ExtraDocument:10\n"},
		{name: "a marker at the end is no document", form: FormDirectory, file: block("a") + "---\n# c\n", want: "1 default/a\n"},
		{name: "a broken second document, which the kubelet never sees", form: FormDirectory, file: block("a") + "---\na: [\n", want: "1 default/a ExtraDocument:10\n"},
		{name: "an empty first document", form: FormDirectory, file: "---\n---\n" + block("a"), want: "2 / ManifestMalformed:2 ExtraDocument:3\n"},
		{name: "a PodList", form: FormDirectory, file: "apiVersion: v1\nkind: PodList\nitems:\n- " + onePod("a") + "\n", want: "2 / NotAPod:2\n"},
		{name: "JSON after JSON", form: FormDirectory, file: oneJSON("a") + "\n" + oneJSON("b"), want: "2 / ManifestMalformed:2\n"},
		{name: "flow YAML, which the kubelet takes for JSON", form: FormDirectory, file: onePod("a"), want: "1 / ManifestMalformed:1\n"},
		{name: "JSON after a marker, which YAML reads with less escapes", form: FormDirectory, file: "---\n" + strings.Replace(oneJSON("a"), `"i"`, `"\ud83d\ude00"`, 1), want: "2 / ManifestMalformed:2\n"},
		{name: "keys twice in JSON, which the kubelet merges", form: FormDirectory, file: strings.Replace(oneJSON("a"), `"spec":`, `"metadata":{"labels":{"x":"y"}},"spec":`, 1), want: "1 default/a DuplicateKey:1\n"},
		{name: "an empty file", form: FormDirectory, file: "", want: "1 / ManifestMalformed:1\n"},
		{name: "the author's UID counts", form: FormDirectory, file: strings.Replace(block("a"), "name: a", "name: a\n  uid: u", 1), want: "1 default/a UIDFixed:5\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := outline(NewValidator(Rules{Node: "n"}).File("/x.yaml", []byte(test.file), test.form)); got != test.want {
				t.Errorf("got\n%swant\n%s\nof\n%s", got, test.want, test.file)
			}
		})
	}
}

func TestJSONDuplicatesAreMergedAsTheKubeletMergesThem(t *testing.T) {
	c := prove(t, Rules{Node: "n"}, strings.Replace(oneJSON("a"), `"metadata":`, `"metadata":{"labels":{"x":"y"}},"metadata":`, 1), FormDefinitions)
	if c.Quarantined() || c.Pod.Name != "a" || c.Pod.Labels["x"] != "y" {
		t.Errorf("%+v", c)
	}
}

func TestBombs(t *testing.T) {
	laughs := "a: &a [x, x, x, x, x, x, x, x, x]\n"
	for c := 'b'; c <= 'i'; c++ {
		laughs += fmt.Sprintf("%c: &%c [*%c, *%c, *%c, *%c, *%c, *%c, *%c, *%c, *%c]\n", c, c, c-1, c-1, c-1, c-1, c-1, c-1, c-1, c-1, c-1)
	}
	for name, file := range map[string]string{
		"aliases of aliases":     laughs,
		"a large string often":   "a: &a " + strings.Repeat("x", 1<<20) + "\nb: [" + strings.Repeat("*a, ", 100) + "]\n",
		"an anchor in itself":    "a: &a [*a]\n",
		"deep lists":             "a: " + strings.Repeat("[", 1<<20),
		"deep JSON":              "{\"a\":" + strings.Repeat("[", 1<<20),
		"deep mappings":          strings.Repeat("{a: ", 20_000),
		"ten megabytes":          "# " + strings.Repeat("x", maxFileBytes),
		"many empty documents":   strings.Repeat("---\n", 1<<15),
		"many broken characters": strings.Repeat("\x00", 1<<20),
		"many empty JSON values": strings.Repeat("{}", 1<<15),
	} {
		for _, form := range []Form{FormDefinitions, FormConfiguration, FormDirectory} {
			candidates := NewValidator(Rules{Node: "n"}).File("/x.yaml", []byte(file), form)
			if strings.HasPrefix(name, "many empty") && form == FormConfiguration {
				continue // an empty configuration is one
			}
			if len(candidates) != 1 || !candidates[0].Quarantined() || len(candidates[0].Canonical) > maxFileBytes {
				t.Errorf("%s as form %d: %s", name, form, outline(candidates))
			}
		}
	}
	large := block("a") + "x: &x " + strings.Repeat("x", 1<<20) + "\ny: [" + strings.Repeat("*x, ", 10) + "]\n"
	for form, want := range map[Form]Reason{FormDefinitions: ManifestMalformed, FormDirectory: ManifestUnreadable} {
		// Served it would be too large for the kubelet; from its directory the kubelet takes it.
		if c := prove(t, Rules{Node: "n"}, large, form); len(c.Problems) != 1 || c.Problems[0].Reason != want {
			t.Errorf("too large as form %d: %s", form, outline([]*Candidate{c}))
		}
	}
	few := block("a") + "---\n" + strings.Replace(block("b"), "- name: c\n", "- &c\n    name: c\n", 1) + "  - <<: *c\n    name: d\n"
	if got, want := outline(NewValidator(Rules{Node: "n"}).File("/x", []byte(few), FormDefinitions)), "1 default/a\n10 default/b\n"; got != want {
		t.Errorf("aliases in reason: %s", got)
	}
}

func TestPositions(t *testing.T) {
	document := `# comment
machine:
  pods:
  - metadata:
      name: a
      labels:
        "dotted.key/x": y
    spec: &spec
      containers:
        - {name: x, image: y}
        - name: z
          env: [{name: A,
            value: b}]
          resources: {limits: {cpu: 1, "example.com/gpu": 2}}
      tolerations:
      - <<: {key: merged}
        effect: NoExecute
  - metadata: {name: b}
    spec: *spec
`
	p, problem := document_(document).parse()
	if problem != nil {
		t.Fatal(problem)
	}
	first, second := p.place.below("machine.pods[0]"), p.place.below("machine.pods[1]")
	for _, test := range []struct {
		place        locator
		field        string
		line, column int
	}{
		{first, "", 14, 5},
		{first, "metadata.name", 15, 7},
		{first, "metadata.labels[dotted.key/x]", 17, 9},
		{first, "metadata.annotations", 14, 5}, // absent: its parent
		{first, "spec.containers[0].image", 20, 21},
		{first, "spec.containers[1]", 21, 11},
		{first, "spec.containers[1].env[0].value", 23, 13},
		{first, "spec.containers[1].env[0].valueFrom.fieldRef", 22, 17},
		{first, "spec.containers[1].resources.limits[example.com/gpu]", 24, 40},
		{first, "spec.containers[2].name", 19, 7},
		{first, "spec.containers[-1].name", 19, 7},
		{first, "spec.containers[x", 19, 7},
		{first, "spec.tolerations[0].key", 26, 14},
		{second, "spec.containers[1].name", 21, 11}, // where it is written
		{second, "spec.hostNetwork", 29, 5},
	} {
		if at := test.place.at(test.field); at != (position{test.line, test.column}) {
			t.Errorf("%s is at %v, want %d:%d", test.field, at, test.line, test.column)
		}
	}
}

// document_ is a document that begins on line 11 of its file.
func document_(text string) document { return document{text: []byte(text), line: 11} }
