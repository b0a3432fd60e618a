package manifest

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// BenchmarkValidator proves 1,000 manifests of the size of a control plane's, and says what that takes as a multiple of
// decoding them strictly into a Pod, as kubectl does, and no more: new ones, new ones on all cores, and ones that did
// not change.
func BenchmarkValidator(b *testing.B) {
	data, err := os.ReadFile("testdata/canonical/etcd.yaml")
	if err != nil {
		b.Fatal(err)
	}
	files := make([][]byte, 1000)
	for i := range files {
		files[i] = bytes.Replace(data, []byte("name: etcd\n"), fmt.Appendf(nil, "name: etcd-%d\n", i), 1)
	}
	prove := func(v *Validator, i int) {
		if candidates := v.File(fmt.Sprint(i), files[i], FormDefinitions); len(candidates) != 1 || candidates[0].Quarantined() {
			b.Error(outline(candidates))
		}
	}
	load := func(v *Validator) {
		for i := range files {
			prove(v, i)
		}
		v.Sweep()
	}
	decoding := time.Duration(math.MaxInt64) // the best of some rounds
	for range 5 {
		began := time.Now()
		for _, file := range files {
			if err := yaml.UnmarshalStrict(file, new(corev1.Pod)); err != nil {
				b.Fatal(err)
			}
		}
		decoding = min(decoding, time.Since(began))
	}
	perDecoding := func(b *testing.B) {
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(decoding), "x-decoding")
	}
	b.Run("new", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			load(NewValidator(Rules{Node: "node1"}))
		}
		perDecoding(b)
	})
	b.Run("cores", func(b *testing.B) {
		for b.Loop() {
			v := NewValidator(Rules{Node: "node1"})
			var next atomic.Int64
			var group sync.WaitGroup
			for range runtime.GOMAXPROCS(0) {
				group.Go(func() {
					for i := int(next.Add(1)) - 1; i < len(files); i = int(next.Add(1)) - 1 {
						prove(v, i)
					}
				})
			}
			group.Wait()
		}
		perDecoding(b)
	})
	b.Run("unchanged", func(b *testing.B) {
		v := NewValidator(Rules{Node: "node1"})
		load(v)
		b.ReportAllocs()
		for b.Loop() {
			load(v)
		}
		perDecoding(b)
	})
}
