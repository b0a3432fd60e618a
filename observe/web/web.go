// Package web publishes the latest Snapshot over HTTP: listings, watches, a page, metrics and health.
//
// Its contract: a request reads the snapshot that is there and asks no input; what one snapshot looks like
// is rendered once; a reader that is slow or gone costs a bounded amount of memory and of time; and nothing
// is published that the snapshot does not hold.
package web

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/staticpod-exporter/staticpod-exporter/collector/status"
)

// Options of New.
type Options struct {
	// Latest returns the latest Snapshot, nil before the first; Changed returns a channel that closes when
	// that is replaced. Both are those of a status.Tracker.
	Latest  func() *status.Snapshot
	Changed func() <-chan struct{}
	// Metrics answers GET /metrics.
	Metrics http.Handler
	// Reload reads the configuration and the definitions again; its error is shown to whoever asked.
	Reload func(context.Context) error
	// Live returns nil while the process does its work, else why it does not. Without it, to answer is to live.
	Live func() error
	// ConfigFile is the exporter-toolkit's web configuration file, the same that Serve is given: POST
	// /-/reload is open to other machines only if it authenticates them.
	ConfigFile string
	// Version of the exporter, shown on the page.
	Version string
	Logger  *slog.Logger
}

// Times and numbers that bound what a client may cost.
const (
	heartbeatInterval = 15 * time.Second // of a watch on which nothing happens
	pulseInterval     = 5 * time.Second  // of a page that is kept up to date: it says how long it has heard nothing
	writeTimeout      = 30 * time.Second // of an answer, and of each event of a watch
	reloadTimeout     = 25 * time.Second
	maxWatches        = 64
)

type handler struct {
	Options
	page      *page
	heartbeat time.Duration
	pulse     time.Duration // the same of a page
	patience  time.Duration // with a reader of a watch that takes nothing
	watches   chan struct{} // one element for each watch
	runbooks  func() (body, error)

	mu       sync.Mutex
	rendered *rendering // of the latest snapshot that somebody asked for
}

// New returns the handler of the observability listener.
//
//	GET  /                              the page     ?q=words ?state=critical|warning|unknown|starting|ok
//	GET  /staticpods[/{id}]             definitions  ?output=json|yaml|table|wide ?watch=true
//	GET  /staticpodstatus[/{id}]        verdicts     likewise
//	GET  /reasons                       what each reason means, and what to do
//	GET  /metrics
//	GET  /-/healthy /livez /healthz     200 or 503: does the process do its work
//	GET  /-/ready /readyz               200 or 503: is there a snapshot
//	POST /-/reload
func New(o Options) http.Handler {
	return newHandler(o).routes()
}

func newHandler(o Options) *handler {
	p := newPage(o.Version)
	return &handler{
		Options: o, page: p, heartbeat: heartbeatInterval, pulse: pulseInterval, patience: writeTimeout,
		watches:  make(chan struct{}, maxWatches),
		runbooks: sync.OnceValues(func() (body, error) { return newBody(p.reasons()) }),
	}
}

func (h *handler) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", h.index)
	mux.HandleFunc("GET /", h.unknown)
	for _, k := range kinds() {
		mux.HandleFunc("GET "+k.path, func(w http.ResponseWriter, r *http.Request) { h.list(w, r, k) })
		mux.HandleFunc("GET "+k.path+"/{id...}", func(w http.ResponseWriter, r *http.Request) { h.get(w, r, k) })
	}
	mux.HandleFunc("GET /reasons", h.reasons)
	mux.Handle("GET /metrics", h.Metrics)
	mux.HandleFunc("GET /-/healthy", h.live)
	mux.HandleFunc("GET /livez", h.live)
	mux.HandleFunc("GET /healthz", h.live)
	mux.HandleFunc("GET /-/ready", h.ready)
	mux.HandleFunc("GET /readyz", h.ready)
	mux.Handle("POST /-/reload", http.NewCrossOriginProtection().Handler(http.HandlerFunc(h.reload)))
	mux.HandleFunc("GET /-/reload", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "POST it", http.StatusMethodNotAllowed)
	})
	return h.secure(mux)
}

// secure sets the headers of every answer. Those an operator set in the web configuration stay.
func (h *handler) secure(next http.Handler) http.Handler {
	headers := map[string]string{
		"Content-Security-Policy":      h.page.policy,
		"Cross-Origin-Resource-Policy": "same-origin",
		"Referrer-Policy":              "no-referrer",
		"X-Content-Type-Options":       "nosniff",
		"X-Frame-Options":              "DENY",
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for name, value := range headers {
			if w.Header().Get(name) == "" {
				w.Header().Set(name, value)
			}
		}
		next.ServeHTTP(w, r)
	})
}

// render returns the rendering of the latest snapshot, nil before the first.
func (h *handler) render() *rendering {
	snapshot := h.Latest()
	if snapshot == nil {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.rendered == nil || h.rendered.snapshot != snapshot {
		h.rendered = render(snapshot, h.rendered, h.page)
	}
	return h.rendered
}

// unknown answers for a path that does not exist.
func (h *handler) unknown(w http.ResponseWriter, r *http.Request) {
	h.refuse(w, r, http.StatusNotFound, refusal{
		Error:  "no such path",
		Exists: []string{"/", "/staticpods", "/staticpodstatus", "/reasons", "/metrics", "/-/healthy", "/-/ready", "/-/reload", "/livez", "/readyz"},
	})
}

// A refusal is why there is no answer, and what there is instead.
type refusal struct {
	Error  string   `json:"error"`
	Exists []string `json:"exists,omitempty"`
}

// refuse answers with why, as JSON to a client that takes JSON.
func (h *handler) refuse(w http.ResponseWriter, r *http.Request, code int, why refusal) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Del("ETag")
	if code == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	form, err := negotiate(r, offers())
	if err == nil && form == asPage {
		h.writePage(w, code, func() (sheet, error) { return h.page.plainSheet("refusal", http.StatusText(code), "", why) })
		return
	}
	if err == nil && form == asJSON {
		if body, err := json.Marshal(why); err == nil {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(code)
			_, _ = w.Write(append(body, '\n'))
			return
		}
	}
	if len(why.Exists) > 0 {
		why.Error += "; there are: " + strings.Join(why.Exists, ", ")
	}
	http.Error(w, why.Error, code)
}

// broken answers for a snapshot that cannot be rendered, which is an error of ours.
func (h *handler) broken(w http.ResponseWriter, err error) {
	h.Logger.Error("Cannot render the snapshot", "err", err)
	http.Error(w, "the snapshot cannot be rendered: see the exporter's log", http.StatusInternalServerError)
}

var errNoSnapshot = errors.New("the node has not been observed yet: try again in a second")
