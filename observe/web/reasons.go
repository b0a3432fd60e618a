package web

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"net/http"

	"github.com/staticpod-exporter/staticpod-exporter/docs"
)

//go:embed reasons.html
var reasonsTemplate string

// newReasons renders the runbooks of all reasons. They are part of the program, so that they can be read where the
// node has no way out.
func newReasons(version string) (body, error) {
	t, err := template.New("reasons").Funcs(template.FuncMap{"spans": docs.Spans}).Parse(reasonsTemplate)
	if err != nil {
		return body{}, fmt.Errorf("reasons: %w", err)
	}
	var b bytes.Buffer
	err = t.Execute(&b, struct {
		Version string
		Style   template.CSS
		Stages  []docs.Stage
	}{version, template.CSS(pageStyle), docs.Stages()})
	return newBody(b.Bytes(), err)
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
