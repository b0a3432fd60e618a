package web

import (
	"net/http"

	"github.com/staticpod-exporter/staticpod-exporter/docs"
)

// reasons renders the runbooks of all reasons. They are part of the program, so that they can be read where the node
// has no way out.
func (p *page) reasons() ([]byte, error) {
	s, err := p.plainSheet("reasons", "Reasons", "", docs.Stages())
	if err != nil {
		return nil, err
	}
	return p.execute(s)
}

// reasons answers with the runbooks: a page to a browser, the Markdown that it is made from to others.
func (h *handler) reasons(w http.ResponseWriter, r *http.Request) {
	w.Header().Add("Vary", "Accept")
	f, err := negotiate(r, []offer{{"text/plain", asTable}, {"text/markdown", asTable}, {"text/html", asPage}})
	if err != nil {
		h.refuse(w, r, http.StatusNotAcceptable, refusal{Error: err.Error()})
		return
	}
	if f == asPage {
		b, err := h.runbooks()
		h.write(w, r, f, b, err)
		return
	}
	b, err := newBody([]byte(docs.Reasons()), nil)
	h.write(w, r, f, b, err)
}
