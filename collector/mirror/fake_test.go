package mirror

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

var created = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// object is a pod's metadata as the API server sends it. static is "" for one that is no mirror.
func object(name, uid, static string) metav1.PartialObjectMetadata {
	o := metav1.PartialObjectMetadata{
		TypeMeta: metav1.TypeMeta{APIVersion: "meta.k8s.io/v1", Kind: "PartialObjectMetadata"},
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "default", Name: name, UID: types.UID(uid), ResourceVersion: "7",
			CreationTimestamp: metav1.NewTime(created), Generation: 1,
		},
	}
	if static != "" {
		o.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: static}
	}
	return o
}

// An apiServer answers as one does to the metadata of pods.
type apiServer struct {
	*httptest.Server
	t testing.TB

	mu      sync.Mutex
	token   string
	items   []metav1.PartialObjectMetadata
	refusal int  // the status of every answer; 0 for none
	hangs   bool // watches get no answer
	queries []string

	events chan event // of a watch
}

// event is one of a watch; without an object the watch ends.
type event struct {
	Type   string `json:"type"`
	Object any    `json:"object"`
}

func serve(t testing.TB, items ...metav1.PartialObjectMetadata) *apiServer {
	s := &apiServer{t: t, token: "sesame", items: items, events: make(chan event)}
	s.Server = httptest.NewTLSServer(s)
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return s
}

func (s *apiServer) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

func (s *apiServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	items, refusal, hangs := s.items, s.refusal, s.hangs
	s.queries = append(s.queries, r.URL.RequestURI())
	if r.Header.Get("Authorization") != "Bearer "+s.token {
		refusal = http.StatusUnauthorized
	}
	s.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	if refusal != 0 {
		w.WriteHeader(refusal)
		json.NewEncoder(w).Encode(status(refusal, "the reason why"))
		return
	}
	if r.URL.Query().Get("watch") == "" {
		json.NewEncoder(w).Encode(metav1.PartialObjectMetadataList{
			TypeMeta: metav1.TypeMeta{APIVersion: "meta.k8s.io/v1", Kind: "PartialObjectMetadataList"},
			ListMeta: metav1.ListMeta{ResourceVersion: "5"}, Items: items,
		})
		return
	}
	if hangs {
		<-r.Context().Done()
		return
	}
	w.(http.Flusher).Flush()
	for {
		select {
		case <-r.Context().Done():
			return
		case e := <-s.events:
			if e.Object == nil {
				return
			}
			json.NewEncoder(w).Encode(e)
			w.(http.Flusher).Flush()
		}
	}
}

func status(code int, message string) metav1.Status {
	reasons := map[int]metav1.StatusReason{401: metav1.StatusReasonUnauthorized, 403: metav1.StatusReasonForbidden, 410: metav1.StatusReasonExpired}
	return metav1.Status{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"},
		Status:   metav1.StatusFailure, Code: int32(code), Reason: reasons[code], Message: message,
	}
}

// tell hands an event to the watch that is open, or to the next one.
func (s *apiServer) tell(e event) {
	s.t.Helper()
	select {
	case s.events <- e:
	case <-time.After(10 * time.Second):
		s.t.Fatal("nobody watches")
	}
}

// kubeconfig writes one for the server, with that token in a file beside it, as the kubelet's has its certificate.
func (s *apiServer) kubeconfig(token string) string {
	s.t.Helper()
	path := filepath.Join(s.t.TempDir(), "kubelet.conf")
	s.rewrite(path, token)
	return path
}

func (s *apiServer) rewrite(path, token string) {
	s.t.Helper()
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	text := fmt.Sprintf(`apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: %q, certificate-authority: ca.crt}}]
users: [{name: u, user: {token: %q}}]
contexts: [{name: x, context: {cluster: c, user: u}}]
current-context: x
`, s.URL, token)
	for name, content := range map[string]string{path: text, filepath.Join(filepath.Dir(path), "ca.crt"): string(authority)} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			s.t.Fatal(err)
		}
	}
}

// run runs a client until the test ends.
func run(t testing.TB, kubeconfig string, timeout time.Duration) *Client {
	t.Helper()
	c, err := New(Options{Kubeconfig: kubeconfig, Node: "node1", Timeout: timeout})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- c.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return c
}

// eventually looks again whenever something changed until what it sees is all right.
func eventually(t testing.TB, c *Client, what string, right func(v *View, err error) bool) (*View, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for {
		v, err := c.View(ctx, false)
		if right(v, err) {
			return v, err
		}
		select {
		case <-c.Changed():
		case <-ctx.Done():
			t.Fatalf("%s: at last %+v, %v", what, v, err)
		}
	}
}
