package oracle

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// The corpus that must always agree, and the smaller one that may be another each time.
const (
	mainSeed, mainSize   = 1, 6000
	otherSeed, otherSize = 2, 1000
)

// TestAgreement proves the corpus of every run.
func TestAgreement(t *testing.T) {
	agree(t, mainSeed, mainSize)
}

// TestAgreementOnAnotherCorpus proves one that ORACLE_SEED and ORACLE_SIZE choose. The seed "random" is a new one.
func TestAgreementOnAnotherCorpus(t *testing.T) {
	seed, size := uint64(otherSeed), otherSize
	switch word := os.Getenv("ORACLE_SEED"); word {
	case "":
	case "random":
		seed = uint64(time.Now().UnixNano())
	default:
		var err error
		if seed, err = strconv.ParseUint(word, 10, 64); err != nil {
			t.Fatalf("ORACLE_SEED: %v", err)
		}
	}
	if word := os.Getenv("ORACLE_SIZE"); word != "" {
		var err error
		if size, err = strconv.Atoi(word); err != nil {
			t.Fatalf("ORACLE_SIZE: %v", err)
		}
	}
	agree(t, seed, size)
}

func agree(t *testing.T, seed uint64, size int) {
	t.Logf("corpus of %d documents, ORACLE_SEED=%d", size, seed)
	documents := newCorpus(t).documents(seed, size)
	t.Run("url", func(t *testing.T) {
		t.Parallel()
		agreeByURL(t, seed, documents)
	})
	t.Run("feed", func(t *testing.T) {
		t.Parallel()
		agreeByFeed(t, seed, documents)
	})
	t.Run("file", func(t *testing.T) {
		t.Parallel()
		agreeByFile(t, seed, documents)
	})
}

// TestSeeds proves the manifests that the corpus is made of: each is good or bad by the name of its directory, so
// that a mistake which both sides share is found as well.
func TestSeeds(t *testing.T) {
	source := newURLSource(t)
	for _, s := range newCorpus(t).seeds {
		t.Run(s.name, func(t *testing.T) {
			d := document{name: s.name, origin: s.name, text: s.text("seed", 1024)}
			judged := judge(d)
			for _, c := range judged.accepted {
				if !s.good {
					t.Errorf("%s/%s is accepted", c.Namespace, c.Name)
				}
			}
			for _, r := range judged.refused {
				if s.good {
					t.Errorf("refused: %s", r.words)
				}
			}
			if pods := bytes.Count(s.data, []byte("NAME")); s.foreign && len(judged.accepted) != pods {
				t.Errorf("%d pods are found, want %d", len(judged.accepted), pods)
			}
			if len(judged.accepted)+len(judged.refused) == 0 {
				t.Error("nothing is defined")
			}
			refusal := source.read(t, raw(d.text))
			if refusal == "" {
				source.clear(t)
			}
			if !s.foreign && (refusal == "") != s.good {
				t.Errorf("the kubelet says %q", refusal)
			}
		})
	}
}

// A tally counts definitions by verdict, and disagreements.
type tally struct {
	t       *testing.T
	seed    uint64
	started time.Time

	mu            sync.Mutex
	counts        map[string]int
	disagreements int
}

func newTally(t *testing.T, seed uint64) *tally {
	return &tally{t: t, seed: seed, started: time.Now(), counts: map[string]int{}}
}

func (y *tally) count(what string) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.counts[what]++
}

// maxTold bounds how many disagreements are told in full.
const maxTold = 10

// disagree reports a document that the kubelet and we judge differently.
func (y *tally) disagree(d document, format string, args ...any) {
	y.t.Helper()
	y.mu.Lock()
	defer y.mu.Unlock()
	if y.disagreements++; y.disagreements > maxTold {
		return
	}
	path := filepath.Join(y.t.ArtifactDir(), d.name)
	if err := os.WriteFile(path, d.text, 0o600); err != nil {
		y.t.Error(err)
	}
	y.t.Errorf("%s (%s), of ORACLE_SEED=%d: %s\n%s", d.name, d.origin, y.seed, fmt.Sprintf(format, args...), excerpt(d.text))
}

// report tells the figures, and fails where of a thousand documents too few were judged so to say anything.
func (y *tally) report(documents int, least map[string]int) {
	y.t.Helper()
	var b strings.Builder
	for _, what := range slices.Sorted(maps.Keys(y.counts)) {
		fmt.Fprintf(&b, ", %s %d", what, y.counts[what])
	}
	y.t.Logf("%d documents%s, disagreements %d, %.1f s", documents, b.String(), y.disagreements, time.Since(y.started).Seconds())
	for what, n := range least {
		if documents >= 1000 && y.counts[what]*1000 < documents*n {
			y.t.Errorf("%d of %d documents are %s: too few to prove anything", y.counts[what], documents, what)
		}
	}
	if y.disagreements > maxTold {
		y.t.Errorf("%d disagreements, %d of them told", y.disagreements, maxTold)
	}
}

// excerpt bounds what is told of a document.
func excerpt(text []byte) string {
	const most = 3000
	if len(text) > most {
		return fmt.Sprintf("%q…", text[:most])
	}
	if slices.ContainsFunc(text, func(b byte) bool { return b < ' ' && b != '\n' || b > '~' }) {
		return fmt.Sprintf("%q", text)
	}
	return string(text)
}
