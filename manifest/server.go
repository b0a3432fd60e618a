package manifest

import (
	"crypto/subtle"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"
)

// keptFetches is how many of the kubelet's fetches a Set remembers.
const keptFetches = 32

// ServerName is what the Server header of the manifest listener says.
const ServerName = "staticpod-exporter"

// Handler serves the document to the kubelet as GET /pods (and HEAD). Until there is one, and while it is
// withheld, the answer is 503, which the kubelet takes as "ask again": running pods stay. With a token file
// every request needs `Authorization: Bearer <token>` (kubelet: staticPodURLHeader).
func (s *Store) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /pods", s.servePods)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Server", ServerName)
		mux.ServeHTTP(w, r)
	})
}

func (s *Store) servePods(w http.ResponseWriter, r *http.Request) {
	kubelet, authorized := s.caller(r)
	if !authorized {
		s.record(Fetch{At: s.now(), Code: http.StatusUnauthorized, Kubelet: likeKubelet(r)})
		w.Header().Set("WWW-Authenticate", "Bearer")
		http.Error(w, "a bearer token is required", http.StatusUnauthorized)
		return
	}
	document, withheld := s.document()
	if document == nil {
		s.record(Fetch{At: s.now(), Code: http.StatusServiceUnavailable, Kubelet: kubelet})
		w.Header().Set("Retry-After", "5")
		http.Error(w, withheld, http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("ETag", `"`+document.Revision+`"`)
	_, err := w.Write(document.Bytes)
	if err == nil && kubelet && s.unanswered(document.Revision) {
		_, err = w.Write([]byte("\n"))
	}
	if err != nil {
		return // the client has not got it: not a fetch
	}
	s.record(Fetch{At: s.now(), Code: http.StatusOK, Revision: document.Revision, Kubelet: kubelet})
}

// unanswered reports whether the kubelet has fetched the revision twice in a row and not taken it, as far as is
// known. Then it gets the same list with a line feed at its end, once more to read: a kubelet decodes a list only
// when its bytes change, and after four failures to fetch it does not even log that it refuses one. The second
// fetch of what it refused silently counts as a success to it; from then on it logs again.
func (s *Store) unanswered(revision string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if revision == s.accepted {
		return false
	}
	n := 0
	for _, f := range slices.Backward(s.set.Fetches.Recent) {
		if f.Revision != revision {
			break
		}
		n++
	}
	return n >= 2
}

// caller says whether the request is the kubelet's and whether it may be answered. The token file is read
// each time (every few seconds at most), so a rotated token works at once; one that cannot be read closes.
func (s *Store) caller(r *http.Request) (kubelet, authorized bool) {
	if s.options.TokenFile == "" {
		return likeKubelet(r), true
	}
	token, err := os.ReadFile(s.options.TokenFile)
	want := strings.TrimSpace(string(token))
	got, isBearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if err != nil || want == "" || !isBearer || subtle.ConstantTimeCompare([]byte(got), []byte(want)) != 1 {
		return false, false
	}
	return true, true
}

// likeKubelet reports whether a request is made as the kubelet makes it. Others may, too.
func likeKubelet(r *http.Request) bool { return strings.HasPrefix(r.UserAgent(), "Go-http-client/") }

// record remembers a fetch and publishes it. Only the kubelet's enter the history: anybody else who looks
// must not hide that the kubelet does not.
func (s *Store) record(f Fetch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := *s.set
	next.Fetches.ByCode = map[int]uint64{}
	for code, n := range s.set.Fetches.ByCode {
		next.Fetches.ByCode[code] = n
	}
	next.Fetches.ByCode[f.Code]++
	switch {
	case f.Code == http.StatusUnauthorized && f.Kubelet:
		next.Fetches.Unauthorized = f.At
	case f.Kubelet:
		recent := append(append([]Fetch(nil), s.set.Fetches.Recent...), f)
		next.Fetches.Recent = recent[max(0, len(recent)-keptFetches):]
	}
	s.publish(&next)
}

// NewServer returns the server of the manifest listener, with deadlines that suit a local kubelet.
func (s *Store) NewServer() *http.Server {
	return &http.Server{
		Handler:           s.Handler(),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       5 * time.Second,
		WriteTimeout:      10 * time.Second, // the kubelet gives up after ten
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
	}
}
