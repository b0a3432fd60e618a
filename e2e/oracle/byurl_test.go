package oracle

import (
	"crypto/sha256"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/staticpod-exporter/staticpod-exporter/manifest"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"
)

// leastByURL are the verdicts that a corpus must reach, per thousand documents.
var leastByURL = map[string]int{"accepted": 200, "taken as written": 200, "ManifestMalformed": 40, "NotAPod": 20, "ManifestInvalid": 100, "APIReference": 20}

// agreeByURL serves what we accept through a Store, and feeds what we refuse to the kubelet alone.
func agreeByURL(t *testing.T, seed uint64, documents []document) {
	y := newTally(t, seed)
	judged := make([]judgement, len(documents))
	for i, d := range documents {
		judged[i] = judge(d)
	}
	f := feeder{t: t, y: y, source: newURLSource(t), seen: map[[sha256.Size]byte]bool{}}
	for i, d := range documents {
		f.refused(d, judged[i])
		f.missed(d, judged[i])
	}
	serve(t, y, documents, judged)
	y.report(len(documents), leastByURL)
}

// A feeder gives the kubelet one document after the other, each once: it does not look at bytes that it has just
// read.
type feeder struct {
	t      *testing.T
	y      *tally
	source *urlSource
	seen   map[[sha256.Size]byte]bool
}

// read returns the pods that the kubelet takes from bytes; fed is false when it was given them before.
func (f *feeder) read(bytes []byte) (pods []*corev1.Pod, taken, fed bool) {
	key := sha256.Sum256(bytes)
	if f.seen[key] {
		return nil, false, false
	}
	f.seen[key] = true
	if f.source.read(f.t, raw(bytes)) != "" {
		return nil, false, true
	}
	return f.source.clear(f.t), true, true
}

// refused has the kubelet read everything that we refuse of a document, each in a document of its own.
func (f *feeder) refused(d document, j judgement) {
	for _, r := range j.refused {
		pods, taken, fed := f.read(r.bytes)
		if !fed {
			continue
		}
		f.y.count(string(r.reason))
		switch pod := stranger(pods, r.beside); {
		case pod != nil:
			f.y.disagree(d, "we refuse it as %s: %s; the kubelet takes pod %s of\n%s", r.reason, r.words, pod.Name, excerpt(r.bytes))
		case len(pods) > 0:
			f.y.count("beside a pod")
		case taken:
			f.y.count("without pods") // such as a PodList that lacks items: half a file to us, an empty list to the kubelet
		}
	}
}

// missed has the kubelet read the author's own text, of which we must accept every pod that it takes.
func (f *feeder) missed(d document, j judgement) {
	if j.broken && d.parts != nil && !d.separate {
		return
	}
	for _, text := range d.alone() {
		pods, taken, _ := f.read(text)
		if taken {
			f.y.count("taken as written")
		}
		if pod := stranger(pods, names(j.accepted)); pod != nil {
			f.y.disagree(d, "the kubelet takes pod %s, which we do not accept, of\n%s", pod.Name, excerpt(text))
		}
	}
}

// stranger returns a pod whose namespace/name is not among the known, nil when there is none.
func stranger(pods []*corev1.Pod, known []string) *corev1.Pod {
	for _, p := range pods {
		if !slices.Contains(known, p.Namespace+"/"+p.Name) {
			return p
		}
	}
	return nil
}

// batchSize is how many documents are served at once.
const batchSize = 400

// serve has the kubelet read everything that we accept, as a Store serves it from files that hold the bad
// definitions too.
func serve(t *testing.T, y *tally, documents []document, judged []judgement) {
	s := server{t: t, y: y, source: newURLSource(t)}
	var queue []entry
	for i, d := range documents {
		queue = append(queue, entry{d, judged[i]})
	}
	for len(queue) > 0 {
		n := min(batchSize, len(queue))
		batch := queue[:n:n]
		again := s.serve(batch)
		if len(again) == n { // each stands in its own way
			for _, e := range again {
				s.serve([]entry{e})
			}
			again = nil
		}
		queue = append(queue[n:len(queue):len(queue)], again...)
	}
}

type entry struct {
	document
	judgement
}

// A server serves documents to one kubelet.
type server struct {
	t      *testing.T
	y      *tally
	source *urlSource
}

// serve has a new Store serve a batch, and returns the documents that must be tried again because others in the
// batch are in their way.
func (s *server) serve(batch []entry) (again []entry) {
	set, store := s.load(batch)
	if len(set.Document.UIDs) == 0 {
		return nil
	}
	if refusal := s.source.read(s.t, store.Handler()); refusal != "" {
		if len(batch) == 1 {
			s.y.disagree(batch[0].document, "we serve it; the kubelet refuses it: %s", refusal)
			return nil
		}
		half := len(batch) / 2
		return append(s.serve(batch[:half]), s.serve(batch[half:])...)
	}
	pods := map[types.UID]*corev1.Pod{}
	for _, p := range s.source.clear(s.t) {
		pods[p.UID] = p
	}
	if len(pods) != len(set.Document.UIDs) {
		s.y.disagree(batch[0].document, "%d pods are served, the kubelet has %d", len(set.Document.UIDs), len(pods))
	}
	for _, e := range batch {
		if s.compare(e, set, pods, len(batch) == 1) {
			again = append(again, e)
		}
	}
	return again
}

// load loads a batch into a new Store.
func (s *server) load(batch []entry) (*manifest.Set, *manifest.Store) {
	dir, state := s.t.TempDir(), s.t.TempDir()
	for _, e := range batch {
		write(s.t, dir, e.document)
	}
	store, err := manifest.Open(manifest.Options{
		Node: string(node), Serving: true, StateDirectory: state, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Load: func() (manifest.Sources, error) { return manifest.Sources{Patterns: []string{dir + "/*"}}, nil },
	})
	if err != nil {
		s.t.Fatal(err)
	}
	if err := store.Reload(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	set := store.Current()
	if set.Document == nil {
		s.t.Fatalf("nothing is served: %+v", set.Problems)
	}
	return set, store
}

// compare looks for every definition of a document that we accept among the kubelet's pods, and for no other.
func (s *server) compare(e entry, set *manifest.Set, pods map[types.UID]*corev1.Pod, alone bool) (again bool) {
	for _, d := range set.Definitions {
		if filepath.Base(d.Path) != e.name {
			continue
		}
		accepted := slices.ContainsFunc(e.accepted, func(c *manifest.Candidate) bool {
			return c.Namespace == d.Namespace && c.Name == d.Name && c.Line == d.Line && c.UID == d.UID
		})
		switch {
		case d.Served && !accepted:
			s.y.disagree(e.document, "%s is served although the validator refuses it", d.ID)
		case d.Served:
			s.y.count("accepted")
			if difference := differs(d, pods[d.UID]); difference != "" {
				s.y.disagree(e.document, "%s: %s", d.ID, difference)
			}
		case accepted && !slices.ContainsFunc(d.Problems, inTheWay):
			s.y.disagree(e.document, "%s is not served although the validator accepts it: %+v", d.ID, d.Problems)
		case accepted && alone:
			s.y.count("in its own way") // twice in one file, or one host port twice
		case accepted:
			again = true
		}
	}
	return again
}

// inTheWay reports whether a problem is with another definition.
func inTheWay(p manifest.Problem) bool {
	return p.Reason == manifest.DuplicateName || p.Reason == manifest.HostPortConflict
}

// differs says how the kubelet's pod is not what we say it makes of the definition, "" when it is.
func differs(d *manifest.Definition, pod *corev1.Pod) string {
	if pod == nil {
		return "the kubelet has no pod with UID " + string(d.UID)
	}
	if want := d.Name + "-" + string(node); pod.Name != want {
		return "the kubelet names it " + pod.Name + ", we " + want
	}
	if pod.Namespace != d.Namespace {
		return "the kubelet has it in namespace " + pod.Namespace + ", we in " + d.Namespace
	}
	got, want := plain(pod, d.Name), plain(d.Pod, d.Name)
	if !equality.Semantic.DeepEqual(got, want) {
		return "the kubelet makes of it\n" + got.String() + "\nwe\n" + want.String()
	}
	return ""
}

// plain is a pod without what only the kubelet can know.
func plain(pod *corev1.Pod, name string) *corev1.Pod {
	pod = pod.DeepCopy()
	pod.Name = name
	pod.TypeMeta.Kind, pod.TypeMeta.APIVersion = "", ""
	delete(pod.Annotations, "kubernetes.io/config.source")
	delete(pod.Annotations, "kubernetes.io/config.seen")
	return pod
}

func write(t *testing.T, dir string, d document) string {
	t.Helper()
	path := filepath.Join(dir, d.name)
	if err := os.WriteFile(path, d.text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
