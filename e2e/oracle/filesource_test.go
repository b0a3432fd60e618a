package oracle

import (
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/record"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/kubelet/config"
	kubetypes "k8s.io/kubernetes/pkg/kubelet/types"
)

// A fileReading is what the kubelet made of its staticPodPath.
type fileReading struct {
	pods    []*corev1.Pod
	refused map[string]string // why, by path
}

// readPath lets the kubelet read a manifest directory, or a manifest, once. The kubelet has no way of stopping a
// source either, but this one rests until its directory changes.
func readPath(t *testing.T, path string) fileReading {
	t.Helper()
	log := newLogbook()
	logger := logr.New(log)
	pods := config.NewPodConfig(&record.FakeRecorder{}, nobody{})
	channel := pods.Channel(klog.NewContext(t.Context(), logger), kubetypes.FileSource)
	config.NewSourceFile(logger, path, node, 24*time.Hour, channel)

	r := fileReading{refused: map[string]string{}}
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for {
		select {
		case u := <-pods.Updates():
			if u.Op != kubetypes.ADD {
				t.Fatalf("the kubelet makes %v of pods that are new", u.Op)
			}
			r.pods = u.Pods
			r.note(log.take())
			return r
		case <-log.news: // a manifest that is refused alone brings no update
			if r.note(log.take()); r.refused[path] != "" {
				return r
			}
		case <-timeout.C:
			t.Fatalf("the kubelet tells nothing of %s", path)
		}
	}
}

func (r *fileReading) note(lines []line) {
	for _, l := range lines {
		if l.err != "" {
			r.refused[l.path] = l.err
		}
	}
}
