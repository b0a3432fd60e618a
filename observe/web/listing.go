package web

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// maxNamed is how many IDs a refusal names.
const maxNamed = 20

// list answers with all resources of k.
func (h *handler) list(w http.ResponseWriter, r *http.Request, k kind) {
	watched, ok := h.watched(w, r)
	if !ok {
		return
	}
	if watched {
		h.watch(w, r, k, "")
		return
	}
	f, ok := h.form(w, r, offers())
	if !ok {
		return
	}
	if f == asPage {
		h.index(w, r)
		return
	}
	rendered, ok := h.snapshot(w, r)
	if !ok {
		return
	}
	b, err := k.of(rendered).body(f)
	h.write(w, r, f, b, err)
}

// get answers with one resource of k.
func (h *handler) get(w http.ResponseWriter, r *http.Request, k kind) {
	id := r.PathValue("id")
	if id == "" { // a slash behind the listing's path
		h.list(w, r, k)
		return
	}
	watched, ok := h.watched(w, r)
	if !ok {
		return
	}
	if watched {
		h.watch(w, r, k, id)
		return
	}
	f, ok := h.form(w, r, offers())
	if !ok {
		return
	}
	rendered, ok := h.snapshot(w, r)
	if !ok {
		return
	}
	l := k.of(rendered)
	resource, ok := l.byID[id]
	if !ok {
		h.refuse(w, r, http.StatusNotFound, l.missing(k, id))
		return
	}
	if f == asPage {
		h.details(w, r, rendered, pick{k.name, id})
		return
	}
	b, err := l.one(f, resource)
	h.write(w, r, f, b, err)
}

// missing says that there is no resource id and which there are.
func (l *listing) missing(k kind, id string) refusal {
	why := refusal{Error: fmt.Sprintf("no %s %q", k.name, id)}
	for i, r := range l.resources {
		if i == maxNamed {
			why.Exists = append(why.Exists, fmt.Sprintf("%d more", len(l.resources)-i))
			break
		}
		why.Exists = append(why.Exists, r.ID)
	}
	if len(l.resources) == 0 {
		why.Error += ": the node has none"
	}
	return why
}

// watched reports whether the request is for a watch; ok is false when it has been refused.
func (h *handler) watched(w http.ResponseWriter, r *http.Request) (watched, ok bool) {
	query := r.URL.Query()
	if !query.Has("watch") {
		return false, true
	}
	value := query.Get("watch")
	if value == "" {
		return true, true
	}
	watched, err := strconv.ParseBool(value)
	if err != nil {
		h.refuse(w, r, http.StatusBadRequest, refusal{Error: fmt.Sprintf("watch=%q is neither true nor false", value)})
		return false, false
	}
	return watched, true
}

// form returns the form the request asks for; ok is false when it has been refused.
func (h *handler) form(w http.ResponseWriter, r *http.Request, offers []offer) (form, bool) {
	w.Header().Add("Vary", "Accept")
	f, err := negotiate(r, offers)
	if err == nil {
		return f, true
	}
	code := http.StatusNotAcceptable
	if errors.Is(err, errOutput) {
		code = http.StatusBadRequest
	}
	h.refuse(w, r, code, refusal{Error: err.Error()})
	return "", false
}

// snapshot returns the rendering of the latest snapshot; ok is false when the request has been refused.
func (h *handler) snapshot(w http.ResponseWriter, r *http.Request) (*rendering, bool) {
	rendered := h.render()
	if rendered == nil {
		h.refuse(w, r, http.StatusServiceUnavailable, refusal{Error: errNoSnapshot.Error()})
	}
	return rendered, rendered != nil
}

// write answers with b, or with 304 to a client that has it.
func (h *handler) write(w http.ResponseWriter, r *http.Request, f form, b body, err error) {
	if err != nil {
		h.broken(w, err)
		return
	}
	media := "text/plain; charset=utf-8"
	switch f {
	case asJSON:
		media = "application/json"
	case asYAML:
		media = "application/yaml"
	case asPage:
		media = "text/html; charset=utf-8"
	}
	w.Header().Set("Content-Type", media)
	w.Header().Set("Cache-Control", "no-cache")
	w.Header().Set("ETag", b.etag)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(b.bytes))
}
