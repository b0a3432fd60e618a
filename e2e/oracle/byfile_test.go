package oracle

import (
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"testing"

	"github.com/staticpod-exporter/staticpod-exporter/manifest"
	corev1 "k8s.io/api/core/v1"
)

// leastByFile are the verdicts that a corpus must reach, per thousand documents.
var leastByFile = map[string]int{"accepted": 150, "refused": 400, "shadowed": 1}

// alone is how many documents are read as a staticPodPath that is one file: each costs the process an inotify
// instance, of which a user has 128.
const alone = 24

// directorySize is how many documents lie in one manifest directory.
const directorySize = 1000

// agreeByFile lays documents into manifest directories, which the kubelet reads and we observe.
func agreeByFile(t *testing.T, seed uint64, documents []document) {
	y := newTally(t, seed)
	for batch := range slices.Chunk(documents, directorySize) {
		dir := t.TempDir()
		for _, d := range batch {
			write(t, dir, d)
		}
		compareDirectory(t, y, batch, dir, dir)
	}
	y.report(len(documents), leastByFile)
	for i := range min(alone, len(documents)) {
		d := documents[i*len(documents)/alone]
		dir := t.TempDir()
		compareDirectory(t, y, []document{d}, dir, write(t, dir, d))
	}
}

// compareDirectory compares what the kubelet makes of staticPodPath with what a Store observes in it.
func compareDirectory(t *testing.T, y *tally, batch []document, dir, staticPodPath string) {
	definitions := observe(t, staticPodPath)
	reading := readPath(t, staticPodPath)
	pods := map[string]*corev1.Pod{}
	for _, p := range reading.pods {
		pods[p.Namespace+"/"+p.Name] = p
	}
	for _, d := range batch {
		path := filepath.Join(dir, d.name)
		definition, ok := definitions[path]
		if !ok {
			y.disagree(d, "it is not observed")
			continue
		}
		refusal := reading.refused[path]
		switch {
		case definition.Valid && refusal != "":
			y.disagree(d, "we accept the file; the kubelet refuses it: %s", refusal)
		case !definition.Valid && refusal == "":
			y.disagree(d, "we refuse the file; the kubelet takes it: %+v", definition.Problems)
		case !definition.Valid:
			y.count("refused")
		case !definition.Served:
			y.count("shadowed") // the kubelet takes the last of the files with one name, which is compared
		default:
			y.count("accepted")
			key := definition.Namespace + "/" + definition.Name + "-" + string(node)
			pod := pods[key]
			delete(pods, key)
			if pod != nil && pod.UID != definition.UID {
				y.disagree(d, "the kubelet gives it UID %s, we predict %s", pod.UID, definition.UID)
			} else if difference := differs(definition, pod); difference != "" {
				y.disagree(d, "%s", difference)
			}
		}
	}
	for key, pod := range pods {
		y.disagree(batch[0], "the kubelet runs %s with UID %s, which we do not expect", key, pod.UID)
	}
}

// observe returns what a Store says of the files of a manifest directory, by path.
func observe(t *testing.T, staticPodPath string) map[string]*manifest.Definition {
	t.Helper()
	store, err := manifest.Open(manifest.Options{
		Node: string(node), StateDirectory: t.TempDir(), Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Load: func() (manifest.Sources, error) { return manifest.Sources{}, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	store.SetKubelet(manifest.Kubelet{Directory: staticPodPath})
	if err := store.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	definitions := map[string]*manifest.Definition{}
	for _, d := range store.Current().Definitions {
		definitions[d.Path] = d
	}
	return definitions
}
