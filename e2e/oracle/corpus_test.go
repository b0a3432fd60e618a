package oracle

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// A document is a file of the corpus.
type document struct {
	name   string // of the file
	origin string // the manifest it was made of, and what was done to it
	text   []byte
	// parts are the parts of a file that we made of several, each as a document of its own, by the line it is on;
	// nil for a file whose parts are separated by markers.
	parts    [][]byte
	separate bool // markers stand between them, so that a broken one does not spoil the others
}

// A seed is a manifest that people could have written. NAME and PORT in it stand for what must not be the same in
// two documents.
type seed struct {
	name    string
	good    bool // the kubelet takes it
	foreign bool // the kubelet does not know the format around the pods
	data    []byte
}

// text is the manifest with a name and with ports from port on.
func (s seed) text(name string, port int) []byte {
	text := bytes.ReplaceAll(s.data, []byte("NAME"), []byte(name))
	for bytes.Contains(text, []byte("PORT")) {
		text = bytes.Replace(text, []byte("PORT"), []byte(strconv.Itoa(port)), 1)
		port++
	}
	return text
}

// A corpus makes documents of seeds.
type corpus struct {
	seeds []seed
}

func newCorpus(t *testing.T) *corpus {
	t.Helper()
	c := &corpus{}
	paths, err := filepath.Glob("testdata/*/*")
	if err != nil || len(paths) == 0 {
		t.Fatalf("%d seeds: %v", len(paths), err)
	}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		verdict := filepath.Base(filepath.Dir(path))
		c.seeds = append(c.seeds, seed{name: filepath.Base(path), good: verdict != "bad", foreign: verdict == "foreign", data: data})
	}
	return c
}

// documents makes the corpus of a seed: the same one each time.
func (c *corpus) documents(seed uint64, size int) []document {
	var documents []document
	seen := map[[sha256.Size]byte]bool{}
	for i := range size {
		random := rand.New(rand.NewPCG(seed, uint64(i)))
		for {
			d := c.document(random, i)
			if key := sha256.Sum256(d.text); !seen[key] {
				seen[key] = true
				documents = append(documents, d)
				break
			}
		}
	}
	return documents
}

// portsPerDocument is how many ports a document may have for itself.
const portsPerDocument = 10

// document makes the i-th document.
func (c *corpus) document(random *rand.Rand, i int) document {
	m := &maker{Rand: random, corpus: c, name: fmt.Sprintf("d%d", i), port: 1024 + i*portsPerDocument%64000}
	var d document
	switch n := m.IntN(100); {
	case n < 8:
		s := pick(m, c.seeds)
		d = document{name: s.name, origin: s.name, text: s.text(m.name, m.port)}
	case n < 74:
		d = m.structural()
	case n < 92:
		d = m.textual()
	default:
		d = m.wrapped()
	}
	d.name = fmt.Sprintf("%05d-%s", i, d.name)
	if m.IntN(40) == 0 {
		d.name += pick(m, []string{".bak", "~", ".old", ".1", " copy"})
	}
	return d
}

// A maker makes one document.
type maker struct {
	*rand.Rand
	corpus *corpus
	name   string
	port   int
	done   []string // what was done, for the origin
}

// parsed is the tree of a seed, nil when it does not parse.
func (m *maker) parsed(s seed) tree {
	data, err := yaml.YAMLToJSON(s.text(m.name, m.port))
	if err != nil {
		return nil
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	var root tree
	if decoder.Decode(&root) != nil {
		return nil
	}
	return root
}

// seed picks a seed, good ones more often: there are more ways of spoiling one than of mending one.
func (m *maker) seed() seed {
	for {
		if s := pick(m, m.corpus.seeds); s.good || m.IntN(4) == 0 {
			return s
		}
	}
}

// mutant is a changed tree, and the seed that it is of.
func (m *maker) mutant() (tree, string) {
	for {
		s := m.seed()
		if root := m.parsed(s); root != nil && !s.foreign {
			m.done = nil
			for range 1 + min(m.IntN(3), m.IntN(3), m.IntN(3)) {
				m.mutate(root)
			}
			return root, s.name
		}
	}
}

// structural is a document whose tree was changed.
func (m *maker) structural() document {
	root, name := m.mutant()
	text := m.render(root)
	return document{name: base(name) + ".yaml", origin: name + ": " + strings.Join(m.done, ", "), text: text}
}

// textual is a document whose text was changed, too.
func (m *maker) textual() document {
	s := m.seed()
	text := s.text(m.name, m.port)
	name := s.name
	m.done = nil
	if m.IntN(3) == 0 {
		var root tree
		root, name = m.mutant()
		text = m.render(root)
	}
	for range 1 + m.IntN(2) {
		text = m.garble(text)
	}
	return document{name: base(name) + ".yaml", origin: name + ": " + strings.Join(m.done, ", "), text: text}
}

// wrapped is a document that holds several pods, each on a line of its own.
func (m *maker) wrapped() document {
	head, item, alone := "", "- %s\n", "apiVersion: v1\nkind: PodList\nitems:\n- %s\n"
	kind := pick(m, []string{"documents", "values", "podlist", "list", "machine", "talos"})
	switch kind {
	case "documents":
		item, alone = "--- %s\n", "--- %s\n"
	case "values":
		item, alone = "%s\n", "%s\n"
	case "podlist":
		head = "apiVersion: v1\nkind: PodList\nitems:\n"
	case "list":
		head, alone = "apiVersion: v1\nkind: List\nitems:\n", "# of a list\n%s\n"
	case "machine":
		head = "version: v1alpha1\nmachine:\n  pods:\n"
		item = "  - %s\n"
	case "talos":
		item = "--- {apiVersion: v1alpha1, kind: KubeStaticPodConfig, name: x, pod: %s}\n"
	}
	var text bytes.Buffer
	text.WriteString(head)
	parts := make([][]byte, strings.Count(head, "\n"))
	var origins []string
	name, port := m.name, m.port
	for i := range 1 + m.IntN(4) {
		m.name, m.port = fmt.Sprintf("%sw%d", name, i), port+2*i
		root, origin := m.mutant()
		one := oneLine(root)
		fmt.Fprintf(&text, item, one)
		parts = append(parts, fmt.Appendf(nil, alone, one))
		origins = append(origins, origin+": "+strings.Join(m.done, ", "))
	}
	return document{name: kind + ".yaml", origin: kind + " of " + strings.Join(origins, "; "), text: text.Bytes(), parts: parts,
		separate: strings.HasPrefix(item, "---")}
}

func base(name string) string { return strings.TrimSuffix(name, filepath.Ext(name)) }

func pick[E any](m *maker, of []E) E { return of[m.IntN(len(of))] }
