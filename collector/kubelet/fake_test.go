package kubelet

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	podsv1alpha1 "k8s.io/kubelet/pkg/apis/pods/v1alpha1"
)

// newPod returns a pod as the kubelet has it.
func newPod(name, source string, phase corev1.PodPhase) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "default", Name: name, UID: types.UID("uid-" + name),
			Annotations: map[string]string{sourceAnnotation: source, "a": "before", "z": "after"},
		},
		Spec:   corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "registry.test/app:1"}}},
		Status: corev1.PodStatus{Phase: phase},
	}
}

func marshal(t testing.TB, pod *corev1.Pod) []byte {
	t.Helper()
	raw, err := pod.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// A socketKubelet serves the Pods API; it may be started and stopped.
type socketKubelet struct {
	podsv1alpha1.UnimplementedPodsServer
	t testing.TB

	mu       sync.Mutex
	pods     []*corev1.Pod
	refusal  error // of every call
	hangs    map[string]bool
	calls    map[string]int
	listing  func()                            // called while a list is answered
	live     chan *podsv1alpha1.WatchPodsEvent // nil ends the watch
	overflow bool                              // end it as one that was too slow
	watching chan struct{}                     // receives when a watch has begun

	server *grpc.Server
	served chan struct{}
}

func newSocketKubelet(t testing.TB, pods ...*corev1.Pod) *socketKubelet {
	return &socketKubelet{
		t: t, pods: pods, hangs: make(map[string]bool), calls: make(map[string]int),
		live: make(chan *podsv1alpha1.WatchPodsEvent), watching: make(chan struct{}, 100),
	}
}

// socketPath returns a path that is short enough for a socket.
func socketPath(t testing.TB) string {
	dir, err := os.MkdirTemp("", "kubelet")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "s")
}

func (k *socketKubelet) start(path string) {
	k.t.Helper()
	listener, err := net.Listen("unix", path)
	if err != nil {
		k.t.Fatal(err)
	}
	k.server, k.served = grpc.NewServer(grpc.MaxSendMsgSize(maxPods)), make(chan struct{})
	podsv1alpha1.RegisterPodsServer(k.server, k)
	server, served := k.server, k.served
	go func() { defer close(served); server.Serve(listener) }()
	k.t.Cleanup(k.stop)
}

func (k *socketKubelet) stop() {
	if k.server != nil {
		k.server.Stop()
		<-k.served
		k.server = nil
	}
}

func (k *socketKubelet) set(change func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	change()
}

func (k *socketKubelet) asked(method string) int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.calls[method]
}

func (k *socketKubelet) called(ctx context.Context, method string) ([]*corev1.Pod, error) {
	k.mu.Lock()
	k.calls[method]++
	pods, refusal, hang := k.pods, k.refusal, k.hangs[method]
	k.mu.Unlock()
	if hang {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return pods, refusal
}

func (k *socketKubelet) ListPods(ctx context.Context, _ *podsv1alpha1.ListPodsRequest) (*podsv1alpha1.ListPodsResponse, error) {
	pods, err := k.called(ctx, "ListPods")
	if err != nil {
		return nil, err
	}
	if k.listing != nil {
		k.listing()
	}
	answer := &podsv1alpha1.ListPodsResponse{}
	for _, pod := range pods {
		answer.Pods = append(answer.Pods, marshal(k.t, pod))
	}
	return answer, nil
}

func (k *socketKubelet) WatchPods(_ *podsv1alpha1.WatchPodsRequest, s podsv1alpha1.Pods_WatchPodsServer) error {
	pods, err := k.called(s.Context(), "WatchPods")
	if err != nil {
		return err
	}
	for _, pod := range pods {
		if err := s.Send(&podsv1alpha1.WatchPodsEvent{Type: podsv1alpha1.EventType_ADDED, Pod: marshal(k.t, pod)}); err != nil {
			return err
		}
	}
	if err := s.Send(&podsv1alpha1.WatchPodsEvent{Type: podsv1alpha1.EventType_INITIAL_SYNC_COMPLETE}); err != nil {
		return err
	}
	k.watching <- struct{}{}
	for {
		select {
		case <-s.Context().Done():
			return s.Context().Err()
		case event := <-k.live:
			if event == nil {
				if k.overflow {
					return status.Error(codes.ResourceExhausted, "watch client channel closed")
				}
				return nil
			}
			if err := s.Send(event); err != nil {
				return err
			}
		}
	}
}

func added(t testing.TB, pod *corev1.Pod) *podsv1alpha1.WatchPodsEvent {
	return &podsv1alpha1.WatchPodsEvent{Type: podsv1alpha1.EventType_ADDED, Pod: marshal(t, pod)}
}

func modified(t testing.TB, pod *corev1.Pod) *podsv1alpha1.WatchPodsEvent {
	return &podsv1alpha1.WatchPodsEvent{Type: podsv1alpha1.EventType_MODIFIED, Pod: marshal(t, pod)}
}

func deleted(t testing.TB, pod *corev1.Pod) *podsv1alpha1.WatchPodsEvent {
	bare := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID}}
	return &podsv1alpha1.WatchPodsEvent{Type: podsv1alpha1.EventType_DELETED, Pod: marshal(t, bare)}
}

// A webKubelet serves /pods, /configz, /metrics and /statusz, and refuses as the kubelet does.
type webKubelet struct {
	mu       sync.Mutex
	pods     []*corev1.Pod
	config   string
	metrics  string
	statusz  string
	bearer   string         // required when set
	client   *x509.CertPool // a certificate of these is required when set
	answers  map[string]http.HandlerFunc
	requests map[string]int
	heads    map[string]http.Header // of the last request
	peers    map[string]string      // the common name of its certificate
}

func newWebKubelet(pods ...*corev1.Pod) *webKubelet {
	return &webKubelet{
		pods:     pods,
		config:   `{"kubeletconfig":{"kind":"KubeletConfiguration","staticPodPath":"/etc/kubernetes/manifests"}}`,
		metrics:  "# HELP kubernetes_build_info x\nkubernetes_build_info{build_date=\"x\",git_version=\"v1.37.2\",go_version=\"go\"} 1\n",
		answers:  make(map[string]http.HandlerFunc),
		requests: make(map[string]int),
		heads:    make(map[string]http.Header),
		peers:    make(map[string]string),
	}
}

func (k *webKubelet) set(change func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	change()
}

func (k *webKubelet) asked(path string) int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.requests[path]
}

func (k *webKubelet) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	k.mu.Lock()
	k.requests[r.URL.Path]++
	k.heads[r.URL.Path] = r.Header.Clone()
	known := k.bearer == "" && k.client == nil
	if k.bearer != "" && r.Header.Get("Authorization") == "Bearer "+k.bearer {
		known = true
	}
	if k.client != nil && r.TLS != nil && len(r.TLS.PeerCertificates) > 0 {
		leaf := r.TLS.PeerCertificates[0]
		k.peers[r.URL.Path] = leaf.Subject.CommonName
		_, err := leaf.Verify(x509.VerifyOptions{Roots: k.client, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
		known = known || err == nil
	}
	answer := k.answers[r.URL.Path]
	pods, config, metrics, statusz := k.pods, k.config, k.metrics, k.statusz
	k.mu.Unlock()
	switch {
	case !known:
		http.Error(w, "Unauthorized", http.StatusUnauthorized)
	case answer != nil:
		answer(w, r)
	case r.URL.Path == "/pods":
		list := corev1.PodList{TypeMeta: metav1.TypeMeta{Kind: "PodList", APIVersion: "v1"}}
		for _, pod := range pods {
			list.Items = append(list.Items, *pod)
		}
		json.NewEncoder(w).Encode(list)
	case r.URL.Path == "/configz" && config != "":
		fmt.Fprint(w, config)
	case r.URL.Path == "/metrics" && metrics != "":
		fmt.Fprint(w, metrics)
	case r.URL.Path == "/statusz" && statusz != "":
		fmt.Fprint(w, statusz)
	default:
		http.NotFound(w, r)
	}
}

// secure serves k with TLS, with a certificate of a. As the kubelet's, the server wants no client certificate
// but looks at one that is shown; required makes it end the handshake without one.
func secure(t testing.TB, k http.Handler, a *authority, required *x509.CertPool) *httptest.Server {
	t.Helper()
	cert, key := a.issue("node1")
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(k)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequestClientCert}
	if required != nil {
		s.TLS.ClientAuth, s.TLS.ClientCAs = tls.RequireAndVerifyClientCert, required
	}
	s.Config.ErrorLog = log.New(&bytes.Buffer{}, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

// A folder writes credential files as they are rotated: each write is another file under the same name.
type folder struct {
	t   testing.TB
	dir string
}

func newFolder(t testing.TB) folder { return folder{t, t.TempDir()} }

func (f folder) path(name string) string { return filepath.Join(f.dir, name) }

func (f folder) write(name string, data []byte) string {
	f.t.Helper()
	next := f.path("." + name)
	if err := os.WriteFile(next, data, 0o600); err != nil {
		f.t.Fatal(err)
	}
	if err := os.Rename(next, f.path(name)); err != nil {
		f.t.Fatal(err)
	}
	return f.path(name)
}

func newClient(t testing.TB, o Options) *Client {
	t.Helper()
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// run runs the client until the end of the test.
func run(t testing.TB, c *Client) {
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := c.Run(ctx); err != nil {
			t.Errorf("run: %v", err)
		}
	})
	t.Cleanup(func() { cancel(); running.Wait() })
}

func await(t testing.TB, ch <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-ch:
	case <-time.After(20 * time.Second):
		t.Fatalf("no %s", what)
	}
}

func view(t testing.TB, c *Client, resync bool) *View {
	t.Helper()
	v, err := c.View(t.Context(), resync)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// names lists the pods of a view with their phases.
func names(pods []*corev1.Pod) string {
	var s []string
	for _, pod := range pods {
		s = append(s, pod.Name+"="+string(pod.Status.Phase))
	}
	return strings.Join(s, " ")
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
