package web

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"html/template"
	"strconv"
	"strings"
	"time"

	"github.com/staticpod-exporter/staticpod-exporter/collector/status"
	"github.com/staticpod-exporter/staticpod-exporter/docs"
	"github.com/staticpod-exporter/staticpod-exporter/manifest"
)

//go:embed page.html overview.html detail.html rollout.html reasons.html
var pageTemplates embed.FS

//go:embed page.css
var pageStyle string

//go:embed page.js
var pageScript string

// A page is the templates and the policy under which a browser shows what they make.
type page struct {
	templates *template.Template
	policy    string
	build     string // names the templates, the style and the script: a page of another build is to be loaded anew
	version   string
	runbooks  map[string]docs.Runbook
	levels    map[manifest.Reason]manifest.Level
}

func newPage(version string) *page {
	p := &page{version: version, runbooks: make(map[string]docs.Runbook), levels: make(map[manifest.Reason]manifest.Level)}
	for _, code := range status.Reasons() {
		p.levels[code.Reason] = code.Level
	}
	for _, stage := range docs.Stages() {
		for _, r := range stage.Runbooks {
			p.runbooks[r.Reason] = r
		}
	}
	functions := template.FuncMap{"spans": docs.Spans}
	p.templates = template.Must(template.New("").Funcs(functions).ParseFS(pageTemplates, "*.html"))

	sum := sha256.New()
	for _, name := range []string{"page.html", "overview.html", "detail.html", "rollout.html"} {
		content, _ := pageTemplates.ReadFile(name) // it is there: the compiler has seen to that
		sum.Write(content)
	}
	sum.Write([]byte(pageStyle + pageScript + version))
	p.build = hex.EncodeToString(sum.Sum(nil)[:8])
	p.policy = "default-src 'none'; script-src " + hashOf(pageScript) + "; style-src " + hashOf(pageStyle) +
		"; img-src data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
	return p
}

// hashOf names an inline script or style in a policy.
func hashOf(content string) string {
	sum := sha256.Sum256([]byte(content))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// A sheet is one page, but for what all pages have.
type sheet struct {
	Title string
	Node  string // to lead back to
	Bad   bool   // what it shows is not in order
	Live  bool   // it is kept up to date
	At    moment // of the snapshot; unknown for what does not depend on one
	Main  template.HTML
}

// execute puts a sheet into the frame that all pages have.
func (p *page) execute(s sheet) ([]byte, error) {
	var b bytes.Buffer
	err := p.templates.ExecuteTemplate(&b, "page.html", struct {
		sheet
		Style          template.CSS
		Script         template.JS
		Build, Version string
	}{s, template.CSS(pageStyle), template.JS(pageScript), p.build, p.version})
	if err != nil {
		return nil, fmt.Errorf("page: %w", err)
	}
	return b.Bytes(), nil
}

// A part is one element of a page that is sent anew when it has changed.
type part struct {
	id   string // the element's
	html template.HTML
}

// part makes a part of the template of that name.
func (p *page) part(id, name string, data any) (part, error) {
	var b strings.Builder
	if err := p.templates.ExecuteTemplate(&b, name, data); err != nil {
		return part{}, fmt.Errorf("page: %w", err)
	}
	return part{id, template.HTML(b.String())}, nil
}

// plainSheet lays out a page that is one template and does not change by itself.
func (p *page) plainSheet(name, title, node string, data any) (sheet, error) {
	main, err := p.part("main", name, data)
	return sheet{Title: title, Node: node, Main: main.html}, err
}

// A moment is a point in time. It is written as it is, so that it is true for ever; the script makes it an age.
type moment struct {
	Known      bool
	Time, Text string
}

func at(t time.Time) moment {
	if t.IsZero() {
		return moment{}
	}
	t = t.UTC()
	return moment{Known: true, Time: t.Format(time.RFC3339), Text: t.Format("2006-01-02 15:04:05 UTC")}
}

// A problemView is one problem and what to do about it.
type problemView struct {
	Reason, Level, Message, Detail, Where string
	Since                                 moment
	Known                                 bool // there is a runbook: the reason is a link
	Remedy                                string
}

func (p *page) problems(problems []manifest.Problem) []problemView {
	views := make([]problemView, 0, len(problems))
	for _, problem := range problems {
		runbook, known := p.runbooks[string(problem.Reason)]
		views = append(views, problemView{
			Reason: string(problem.Reason), Level: string(problem.Level), Message: problem.Message, Detail: problem.Detail,
			Where: where(problem.Path, problem.Line, problem.Column, problem.Field), Since: at(problem.Since),
			Known: known, Remedy: runbook.Remedy,
		})
	}
	return views
}

// where is file:line:column and the field.
func where(path string, line, column int, field string) string {
	if path != "" && line > 0 {
		path += ":" + strconv.Itoa(line)
		if column > 0 {
			path += ":" + strconv.Itoa(column)
		}
	}
	if path != "" && field != "" {
		path += " "
	}
	return path + field
}
