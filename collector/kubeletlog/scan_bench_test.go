package kubeletlog

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// corpus writes a log of about size bytes in which one line of every is a refused manifest; the others are
// what a kubelet says at verbosity 2 to 4. It returns the number of those lines and the size.
func corpus(b *testing.B, path string, size, every int, text bool) (hits, written int) {
	file, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	defer file.Close()
	noise := []string{
		`{"ts":%d.8572,"caller":"kubelet/kubelet.go:2788","msg":"SyncLoop (PLEG): event for pod","v":2,"pod":{"name":"web-%d","namespace":"default"},"event":{"ID":"7eda7b7ce88bfc0ba448c618366e52df","Type":"ContainerStarted","Data":"5d596893b400"}}`,
		`{"ts":%d.8572,"caller":"kubelet/kubelet.go:3579","msg":"Creating a mirror pod for static pod","v":0,"pod":{"name":"web-%d","namespace":"default"}}`,
		`{"ts":%d.8572,"caller":"kubelet/pod_workers.go:861","msg":"Pod is terminating but has been requested to restart with same UID, will be reconciled later","pod":{"name":"web-%d","namespace":"default"},"podUID":"7eda7b7ce88bfc0ba448c618366e52df","updateType":"create","v":4}`,
		`{"ts":%d.8572,"caller":"prober/prober.go:114","msg":"Probe succeeded","v":3,"probeType":"Readiness","pod":{"name":"web-%d","namespace":"default"},"podUID":"7eda7b7ce88bfc0ba448c618366e52df","containerName":"c"}`,
		`{"ts":%d.8572,"caller":"reconciler/reconciler_common.go:251","msg":"operationExecutor.VerifyControllerAttachedVolume started for volume \"s\" (UniqueName: \"kubernetes.io/host-path/7eda-s\") pod \"web-%d\" (UID: \"7eda7b7ce88bfc0ba448c618366e52df\") ","v":0,"pod":{"name":"web-node1","namespace":"default"}}`,
	}
	hit := `{"ts":%d.8572,"caller":"config/file.go:186","msg":"Could not process manifest file","path":"/etc/kubernetes/manifests/web-%d.yaml","err":"invalid pod: [spec.containers: Required value]"}`
	if text {
		noise = []string{
			`I1122 14:38:27.064857   %d kubelet.go:2788] "SyncLoop (PLEG): event for pod" pod="default/web-%d" event={"ID":"7eda7b7ce88bfc0ba448c618366e52df","Type":"ContainerStarted","Data":"5d596893b400"}`,
			`I1122 14:38:27.064857   %d kubelet.go:3579] "Creating a mirror pod for static pod" pod="default/web-%d"`,
			`I1122 14:38:27.064857   %d pod_workers.go:861] "Pod is terminating but has been requested to restart with same UID, will be reconciled later" pod="default/web-%d" podUID="7eda7b7ce88bfc0ba448c618366e52df" updateType="create"`,
			`I1122 14:38:27.064857   %d prober.go:114] "Probe succeeded" probeType="Readiness" pod="default/web-%d" podUID="7eda7b7ce88bfc0ba448c618366e52df" containerName="c"`,
			`I1122 14:38:27.064857   %d reconciler_common.go:251] "operationExecutor.VerifyControllerAttachedVolume started for volume \"s\" (UniqueName: \"kubernetes.io/host-path/7eda-s\") pod \"web-%d\" (UID: \"7eda7b7ce88bfc0ba448c618366e52df\") " pod="default/web-node1"`,
		}
		hit = `E1122 14:38:27.064857   %d file.go:186] "Could not process manifest file" err="invalid pod: [spec.containers: Required value]" path="/etc/kubernetes/manifests/web-%d.yaml"`
	}
	log := bufio.NewWriter(file)
	for i := 0; written < size; i++ {
		format := noise[i%len(noise)]
		if i%every == 0 {
			format = hit
			hits++
		}
		n, _ := fmt.Fprintf(log, format+"\n", 1795358307064+i, i%110)
		written += n
	}
	if err := log.Flush(); err != nil {
		b.Fatal(err)
	}
	return hits, written
}

func cpu(who int) time.Duration {
	var usage syscall.Rusage
	if syscall.Getrusage(who, &usage) != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// BenchmarkScan reads a log from the page cache through the whole Follower, and reports how many times the
// speed of grep -cF on the same file that is, in CPU time (x-grep).
func BenchmarkScan(b *testing.B) {
	for _, test := range []struct {
		name  string
		every int
		text  bool
	}{{"quiet-json", 1000, false}, {"noisy-json", 5, false}, {"quiet-text", 1000, true}, {"noisy-text", 5, true}} {
		b.Run(test.name, func(b *testing.B) {
			path := filepath.Join(b.TempDir(), "kubelet.log")
			want, size := corpus(b, path, 128<<20, test.every, test.text)
			b.SetBytes(int64(size))
			var own, grep time.Duration
			for b.Loop() {
				f, err := Follow(Options{Path: path})
				if err != nil {
					b.Fatal(err)
				}
				before := cpu(syscall.RUSAGE_SELF)
				f.transport.(*tail).pass(b.Context())
				own += cpu(syscall.RUSAGE_SELF) - before
				_, stats, _ := f.Drain()
				if stats.Events != uint64(want) {
					b.Fatalf("%d events, want %d", stats.Events, want)
				}
				f.end()

				b.StopTimer()
				before = cpu(syscall.RUSAGE_CHILDREN)
				out, err := exec.Command("grep", "-cF", "Could not process manifest file", path).Output()
				if err != nil || strings.TrimSpace(string(out)) != fmt.Sprint(want) {
					b.Fatalf("grep: %s, %v", out, err)
				}
				grep += cpu(syscall.RUSAGE_CHILDREN) - before
				b.StartTimer()
			}
			b.ReportMetric(float64(grep)/float64(own), "x-grep")
			b.ReportMetric(float64(b.N)*float64(size)/1e6/own.Seconds(), "MB/cpu-s")
		})
	}
}
