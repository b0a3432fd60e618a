package oracle

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/staticpod-exporter/staticpod-exporter/manifest"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// leastByFeed are the verdicts that a corpus must reach, per thousand documents.
var leastByFeed = map[string]int{"accepted": 200, "refused": 400}

// agreeByFeed has another server give documents to the kubelet, which we observe there: whether the kubelet takes
// one, and as what, we must know before.
func agreeByFeed(t *testing.T, seed uint64, documents []document) {
	y := newTally(t, seed)
	source := newURLSource(t)
	store := observeFeed(t, source.url)
	for _, d := range documents {
		if len(d.text) == 0 {
			continue // not a document, but an answer of its own kind
		}
		source.offer(d.text)
		store.LookAgain()
		set := awaitRevision(t, store, d.text)
		refusal := source.read(t, raw(d.text))
		switch {
		case refusal == "" && set.List.Refusal != "":
			y.disagree(d, "%s; but the kubelet takes it", set.List.Refusal)
			source.clear(t)
		case refusal != "" && set.List.Refusal == "":
			if len(set.List.UIDs) == 1 && set.List.UIDs[0] == "" {
				y.count("too large to be judged")
				continue
			}
			y.disagree(d, "we take the list; the kubelet refuses it: %s", refusal)
		case refusal != "":
			y.count("refused")
		default:
			y.count("accepted")
			compareFeed(y, d, set, source.clear(t))
		}
	}
	y.report(len(documents), leastByFeed)
}

// compareFeed compares the kubelet's pods with the definitions of a list.
func compareFeed(y *tally, d document, set *manifest.Set, pods []*corev1.Pod) {
	byUID := map[types.UID]*corev1.Pod{}
	for _, p := range pods {
		byUID[p.UID] = p
	}
	n := 0
	for _, definition := range set.Definitions {
		if !definition.Served {
			y.count("dropped as a duplicate")
			continue
		}
		n++
		if difference := differs(definition, byUID[definition.UID]); difference != "" {
			y.disagree(d, "%s: %s", definition.ID, difference)
		}
	}
	if n != len(pods) || n != len(set.List.UIDs) {
		y.disagree(d, "%d definitions with %d UIDs, and the kubelet has %d pods", n, len(set.List.UIDs), len(pods))
	}
}

// observeFeed returns a Store that reads what is at a URL whenever it is told to look.
func observeFeed(t *testing.T, url string) *manifest.Store {
	t.Helper()
	store, err := manifest.Open(manifest.Options{
		Node: string(node), StateDirectory: t.TempDir(), Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Load: func() (manifest.Sources, error) { return manifest.Sources{}, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	store.SetKubelet(manifest.Kubelet{Feed: manifest.Feed{URL: url, Period: time.Hour}})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = store.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return store
}

// awaitRevision waits until a Store has read that text.
func awaitRevision(t *testing.T, store *manifest.Store, text []byte) *manifest.Set {
	t.Helper()
	sum := sha256.Sum256(text)
	revision := hex.EncodeToString(sum[:])
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for {
		changed := store.Changed()
		if set := store.Current(); set.List != nil && set.List.Revision == revision {
			return set
		}
		select {
		case <-changed:
		case <-timeout.C:
			t.Fatalf("it is never read: %s", excerpt(text))
		}
	}
}
