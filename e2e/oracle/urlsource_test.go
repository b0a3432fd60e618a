package oracle

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/record"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/kubelet/config"
	kubetypes "k8s.io/kubernetes/pkg/kubelet/types"
)

// patience bounds every wait for the kubelet; reaching it fails the test.
const patience = time.Minute

// A urlSource is the kubelet's staticPodURL, reading one document at a time: its GET is left waiting until there is
// a document, and its next GET says that it is done with the one before. So nothing is polled for, and what is
// logged in between is about that document.
type urlSource struct {
	url     string // where the kubelet asks
	log     *logbook
	updates <-chan kubetypes.PodUpdate
	next    chan http.Handler
	done    chan []line
	marks   int

	mu      sync.Mutex
	reading bool
	offered []byte // what is there for whoever is not the kubelet
}

// newURLSource starts a source. The kubelet has no way of stopping one, so it and its server live as long as the
// process: a source whose server is gone would never rest.
func newURLSource(t *testing.T) *urlSource {
	s := &urlSource{log: newLogbook(), next: make(chan http.Handler), done: make(chan []line)}
	server := httptest.NewServer(s)
	logger := logr.New(s.log)
	pods := config.NewPodConfig(&record.FakeRecorder{}, nobody{})
	s.updates = pods.Updates()
	ctx := klog.NewContext(t.Context(), logger)
	s.url = server.URL + "/pods"
	config.NewSourceURL(logger, s.url, http.Header{}, node, time.Microsecond, pods.Channel(ctx, kubetypes.HTTPSource))
	return s
}

// offer shows a document to whoever is not the kubelet.
func (s *urlSource) offer(document []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.offered = document
}

// ServeHTTP answers the kubelet with what is next.
func (s *urlSource) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	if r.UserAgent() == "staticpod-exporter" {
		_, _ = w.Write(s.offered)
		s.mu.Unlock()
		return
	}
	if s.reading {
		s.reading = false
		s.done <- s.log.take()
	}
	s.mu.Unlock()
	idle := time.NewTimer(5 * time.Second) // the kubelet gives up after ten
	defer idle.Stop()
	select {
	case document := <-s.next:
		s.mu.Lock()
		s.reading = true
		s.log.take()
		s.mu.Unlock()
		document.ServeHTTP(w, r)
	case <-idle.C:
		w.WriteHeader(http.StatusServiceUnavailable)
	case <-r.Context().Done():
	}
}

// read lets the kubelet read a document, and returns why it does not take it, "" when it does.
func (s *urlSource) read(t *testing.T, document http.Handler) (refusal string) {
	t.Helper()
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	select {
	case s.next <- document:
	case <-timeout.C:
		t.Fatal("the kubelet does not ask for a document")
	}
	select {
	case lines := <-s.done:
		for _, l := range lines {
			if l.err != "" {
				return l.err
			}
		}
		return ""
	case <-timeout.C:
		t.Fatal("the kubelet does not come back from a document")
	}
	return ""
}

// clear returns the pods that the last document brought, and has the kubelet remove them: the next document is then
// all news. What the kubelet does with a document shows in its own time, so another one with a pod that nobody else
// has is read to mark the end.
func (s *urlSource) clear(t *testing.T) []*corev1.Pod {
	t.Helper()
	s.marks++
	uid := types.UID(fmt.Sprintf("mark-%d", s.marks))
	mark := fmt.Sprintf(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"mark","uid":%q},"spec":{"containers":[{"name":"c","image":"i"}]}}`, uid)
	if refusal := s.read(t, raw([]byte(mark))); refusal != "" {
		t.Fatal(refusal)
	}
	var pods []*corev1.Pod
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for {
		select {
		case u := <-s.updates:
			switch {
			case u.Op == kubetypes.ADD && len(u.Pods) == 1 && u.Pods[0].UID == uid:
				return pods
			case u.Op == kubetypes.ADD:
				pods = append(pods, u.Pods...)
			case u.Op != kubetypes.REMOVE:
				t.Fatalf("the kubelet makes %v of pods that are new", u.Op)
			}
		case <-timeout.C:
			t.Fatal("the kubelet tells of no new pods")
		}
	}
}

// raw is a document of these bytes.
func raw(data []byte) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(data) })
}

// nobody wants to know how fast pods start.
type nobody struct{}

func (nobody) ObservedPodOnWatch(klog.Logger, *corev1.Pod, time.Time) {}

// node is the node of every test.
const node types.NodeName = "node-1.example"
