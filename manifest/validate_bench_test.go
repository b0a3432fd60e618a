package manifest

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

// BenchmarkValidator loads 1,000 manifests of the size of a control plane's, and says what that takes as a
// multiple of parsing their YAML alone: new ones, and ones that did not change.
func BenchmarkValidator(b *testing.B) {
	data, err := os.ReadFile("testdata/canonical/etcd.yaml")
	if err != nil {
		b.Fatal(err)
	}
	files := make([][]byte, 1000)
	for i := range files {
		files[i] = bytes.Replace(data, []byte("name: etcd\n"), fmt.Appendf(nil, "name: etcd-%d\n", i), 1)
	}
	load := func(v *Validator) {
		for i, file := range files {
			if candidates := v.File(fmt.Sprint(i), file, FormDefinitions); len(candidates) != 1 || candidates[0].Quarantined() {
				b.Fatal(outline(candidates))
			}
		}
		v.Sweep()
	}
	parsing := time.Duration(math.MaxInt64) // the best of some rounds
	for range 5 {
		began := time.Now()
		for _, file := range files {
			var root yaml.Node
			if err := yaml.Unmarshal(file, &root); err != nil {
				b.Fatal(err)
			}
		}
		parsing = min(parsing, time.Since(began))
	}
	perParsing := func(b *testing.B) {
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(parsing), "x-parsing")
	}
	b.Run("new", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			load(NewValidator(Rules{Node: "node1"}))
		}
		perParsing(b)
	})
	b.Run("unchanged", func(b *testing.B) {
		v := NewValidator(Rules{Node: "node1"})
		load(v)
		b.ReportAllocs()
		for b.Loop() {
			load(v)
		}
		perParsing(b)
	})
}
