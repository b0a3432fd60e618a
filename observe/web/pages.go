package web

import (
	"net/http"
	"sync"

	"github.com/staticpod-exporter/staticpod-exporter/collector/status"
)

// pages are what the pages of one snapshot consist of.
type pages struct {
	rows     map[string]rowOf
	overview func() (*show, error)
	details  map[pick]func() (*show, error)
	missing  func(pick) (*show, error)
}

// A rowOf is a row to be, and what it is made from.
type rowOf struct {
	verdict    *status.StaticPodStatus
	definition *status.StaticPod
	made       func() (*row, error)
}

// newPages returns the pages of s. A row whose verdict and definition did not change is that of prev.
func newPages(p *page, s *status.Snapshot, prev pages) pages {
	now := pages{rows: make(map[string]rowOf, len(s.Statuses)), details: make(map[pick]func() (*show, error))}
	definitions := make(map[string]*status.StaticPod, len(s.Pods))
	detail := func(kind, id string) {
		of := pick{kind, id}
		now.details[of] = sync.OnceValues(func() (*show, error) { return p.detail(s, definitions, of) })
	}
	for _, d := range s.Pods {
		definitions[d.Metadata.ID] = d
		detail(status.TypeStaticPod, d.Metadata.ID)
	}
	rows := make([]rowOf, 0, len(s.Statuses))
	for _, verdict := range s.Statuses {
		id := verdict.Metadata.ID
		detail(status.TypeStaticPodStatus, id)
		if id == status.NodeID {
			continue
		}
		definition := definitions[verdict.Spec.Definition.ID]
		r := prev.rows[id]
		if r.verdict != verdict || r.definition != definition {
			r = rowOf{verdict, definition, sync.OnceValues(func() (*row, error) { return p.row(verdict, definition) })}
		}
		now.rows[id] = r
		rows = append(rows, r)
	}
	now.overview = sync.OnceValues(func() (*show, error) { return p.overview(s, rows) })
	now.missing = func(of pick) (*show, error) { return p.detail(s, definitions, of) }
	return now
}

// detail shows what is picked, also that it is not there.
func (p pages) detail(of pick) (*show, error) {
	if made, ok := p.details[of]; ok {
		return made()
	}
	return p.missing(of)
}

// index answers with the page of the whole node.
func (h *handler) index(w http.ResponseWriter, r *http.Request) {
	watched, ok := h.watched(w, r)
	if !ok {
		return
	}
	if watched {
		h.watchPage(w, r, func(rendered *rendering) (*show, error) { return rendered.pages.overview() })
		return
	}
	rendered := h.render()
	if rendered == nil {
		w.Header().Set("Retry-After", "1")
		w.Header().Set("Refresh", "2") // with or without a script it comes back by itself
		h.writePage(w, http.StatusServiceUnavailable, func() (sheet, error) { return h.page.plainSheet("waiting", "Static pods", "", nil) })
		return
	}
	b, err := newBody(h.execute(func() (sheet, error) {
		v, err := rendered.pages.overview()
		if err != nil {
			return sheet{}, err
		}
		return h.page.overviewSheet(v, filterOf(r.URL.Query()))
	}))
	h.write(w, r, asPage, b, err)
}

// details answers with the page of what is picked.
func (h *handler) details(w http.ResponseWriter, r *http.Request, rendered *rendering, of pick) {
	b, err := newBody(h.execute(func() (sheet, error) {
		v, err := rendered.pages.detail(of)
		if err != nil {
			return sheet{}, err
		}
		return h.page.detailSheet(v, rendered.snapshot.Node), nil
	}))
	h.write(w, r, asPage, b, err)
}

func (h *handler) execute(lay func() (sheet, error)) ([]byte, error) {
	s, err := lay()
	if err != nil {
		return nil, err
	}
	return h.page.execute(s)
}

// writePage answers with a page that is not kept.
func (h *handler) writePage(w http.ResponseWriter, code int, lay func() (sheet, error)) {
	content, err := h.execute(lay)
	if err != nil {
		h.broken(w, err)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	_, _ = w.Write(content) // the reader is gone: nobody is left to tell
}
