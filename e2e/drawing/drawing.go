// Package drawing draws the project's dashboards, with Grafana's own libraries in a Chromium, from what a Prometheus answers.
package drawing

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	v1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"

	"github.com/staticpod-exporter/staticpod-exporter/e2e/chromium"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/panels"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/programs"
)

// A Pencil draws dashboards until its test ends.
type Pencil struct {
	browser context.Context
	grafana string // the directory of what draws
	fonts   string // the directory of the font that Grafana asks for

	pngquant string // the program
}

// How wide a dashboard is, in pixels.
const (
	Laptop = 1368
	Wall   = 2528
)

// patience is how long a dashboard may take to be drawn. It is no expectation.
const patience = 60 * time.Second

// maxPicture is what a picture may weigh: the repository has them for ever.
const maxPicture = 350 << 10

// File returns the name of the file of a picture.
func File(d panels.Dashboard, theme string) string {
	return "dashboard-" + d.Name + "-" + theme + ".png"
}

// Of a dashboard as it is drawn, in pixels: a row of its grid, what is above that, and what is left free around all of it.
const row, head, margin = 38, 120, 16

// New returns one. What it needs is installed and fetched when it is missing.
func New(t *testing.T) Pencil {
	t.Helper()
	found, err := programs.EnsureBrowser(t.Context(), t.Output())
	if err != nil {
		t.Fatal(err)
	}
	grafana, err := programs.EnsureGrafana(t.Context(), t.Output())
	if err != nil {
		t.Fatal(err)
	}
	pngquant, err := programs.EnsurePngquant(t.Context(), t.Output())
	if err != nil {
		t.Fatal(err)
	}
	return Pencil{pngquant: pngquant, browser: chromium.Start(t, found.Chromium), grafana: grafana, fonts: found.Fonts}
}

// A view is what grafana/draw.jsx is given: a dashboard, how it is looked at, and all that Prometheus answered.
type view struct {
	Dashboard json.RawMessage             `json:"dashboard"`
	Theme     string                      `json:"theme"` // light or dark
	Width     int                         `json:"width"` // in pixels
	From      int64                       `json:"from"`  // times are in milliseconds
	To        int64                       `json:"to"`
	Step      int64                       `json:"step"`
	Chosen    map[string]string           `json:"chosen"`
	Answers   map[int]map[string][]answer `json:"answers"`   // by panel and target
	Exemplars map[int][][2]float64        `json:"exemplars"` // by panel: when, and how much
	Marks     []mark                      `json:"marks"`
}

// An answer is one series: when, and how much, null for what is no number.
type answer struct {
	Labels model.Metric  `json:"labels"`
	Points [][2]*float64 `json:"points"`
}

// A mark is an annotation.
type mark struct {
	Name  string     `json:"name"`
	Color string     `json:"color"`
	Times [][2]int64 `json:"times"` // from, to
}

// Draw puts all that a dashboard asks to a Prometheus, and takes a picture of it in each of the themes, light and dark, on a
// screen of that width in pixels. A panel in which there is nothing to see fails the test, and so does a table that has to be
// scrolled sideways.
func (p Pencil) Draw(t *testing.T, api v1.API, d panels.Dashboard, v panels.View, width int, themes ...string) map[string][]byte {
	t.Helper()
	answered := ask(t, api, d, v)
	answered.Width = width
	pictures := map[string][]byte{}
	for _, theme := range themes {
		answered.Theme = theme
		pictures[theme] = p.picture(t, answered, d.Height())
	}
	return pictures
}

// ask puts all that a dashboard asks to a Prometheus.
func ask(t *testing.T, api v1.API, d panels.Dashboard, v panels.View) view {
	t.Helper()
	t.Helper()
	content, err := os.ReadFile(filepath.Join("../../dashboards", d.Name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var colours struct {
		Annotations struct {
			List []struct{ Name, IconColor string }
		}
	}
	if err := json.Unmarshal(content, &colours); err != nil {
		t.Fatal(err)
	}
	queries, err := d.Queries(v)
	if err != nil {
		t.Fatal(err)
	}
	drawn := view{
		Dashboard: content, From: v.Start.UnixMilli(), To: v.End.UnixMilli(), Step: v.Step().Milliseconds(),
		Chosen: map[string]string{"datasource": "prometheus"}, Answers: map[int]map[string][]answer{}, Exemplars: map[int][][2]float64{}, Marks: []mark{},
	}
	for name, values := range v.Chosen {
		drawn.Chosen[name] = strings.Join(values, " + ")
	}
	for _, q := range queries {
		series, err := q.Run(t.Context(), api)
		if err != nil {
			t.Fatal(err)
		}
		if q.Panel.ID == 0 {
			m := mark{Name: q.Annotation.Name, Times: [][2]int64{}}
			for _, a := range colours.Annotations.List {
				if a.Name == m.Name {
					m.Color = a.IconColor
				}
			}
			for _, marked := range panels.Marks(q.Annotation, series, v.Step()) {
				if !marked.End.Time().Before(v.Start) {
					m.Times = append(m.Times, [2]int64{int64(marked.Begin), int64(marked.End)})
				}
			}
			drawn.Marks = append(drawn.Marks, m)
			continue
		}
		if drawn.Answers[q.Panel.ID] == nil {
			drawn.Answers[q.Panel.ID] = map[string][]answer{}
		}
		drawn.Answers[q.Panel.ID][q.Target.Ref] = answers(series)
		exemplars, err := q.Exemplars(t.Context(), api)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range exemplars {
			drawn.Exemplars[q.Panel.ID] = append(drawn.Exemplars[q.Panel.ID], [2]float64{float64(e.Timestamp), float64(e.Value)})
		}
	}
	return drawn
}

func answers(series []panels.Series) []answer {
	all := []answer{}
	for _, s := range series {
		a := answer{Labels: maps.Clone(s.Labels)}
		for _, p := range s.Points {
			at, value := float64(p.Timestamp), new(float64(p.Value))
			if math.IsNaN(*value) || math.IsInf(*value, 0) {
				value = nil
			}
			a.Points = append(a.Points, [2]*float64{&at, value})
		}
		all = append(all, a)
	}
	return all
}

// picture takes a picture of all of a dashboard.
func (p Pencil) picture(t *testing.T, v view, rows int) []byte {
	t.Helper()
	content, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	files := http.NewServeMux()
	files.Handle("/", http.FileServer(http.Dir(p.grafana)))
	files.Handle("/public/build/img/icons/", http.StripPrefix("/public/build/img", http.FileServer(http.Dir(p.grafana))))
	files.HandleFunc("/public/fonts/inter/{font}", func(w http.ResponseWriter, r *http.Request) {
		http.ServeFile(w, r, filepath.Join(p.fonts, strings.TrimSuffix(r.PathValue("font"), ".woff2")+".otf"))
	})
	files.HandleFunc("/view.json", func(w http.ResponseWriter, _ *http.Request) { w.Write(content) })
	files.HandleFunc("/{$}", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `<!doctype html><meta charset="utf-8"><title>A dashboard</title><link rel="icon" href="data:,"><link rel="stylesheet" href="draw.css"><div id="dashboard"></div><script src="draw.js"></script>`)
	})
	server := httptest.NewServer(files)
	defer server.Close()

	tab, cancel := chromedp.NewContext(p.browser)
	defer cancel()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(chromedp.Do(tab))
	complaints := complaints(tab)
	_, err = chromedp.Call(tab, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
		// Grafana draws no table that is not to be seen.
		Width: int64(v.Width) + 2*margin, Height: int64(rows*row + head), DeviceScaleFactor: 1,
	})
	must(err)
	must(chromedp.Do(tab, chromedp.Navigate(server.URL+"/")))
	if _, err = chromedp.Run(tab, chromedp.Poll[bool](`document.documentElement.dataset.drawn === "on"`, chromedp.WithPollingTimeout(patience))); err != nil {
		t.Fatalf("%v; the console has %q", err, complaints())
	}
	for _, complaint := range complaints() {
		t.Errorf("the console has %s", complaint)
	}
	empty, err := chromedp.Run(tab, chromedp.Evaluate[[]string](`[...document.querySelectorAll("[data-empty]")].map((e) => e.dataset.empty)`))
	must(err)
	if len(empty) > 0 {
		t.Errorf("there is nothing to see in %q", empty)
	}
	wide, err := chromedp.Run(tab, chromedp.Evaluate[[]string](`[...document.querySelectorAll("[role=grid]")].filter((g) => g.scrollWidth > g.clientWidth + 1).map((g) => g.closest("[data-panel]").dataset.panel)`))
	must(err)
	if len(wide) > 0 {
		t.Errorf("%d pixels are too few for the columns of %q", v.Width, wide)
	}
	picture, err := chromium.Picture(tab, false)
	must(err)
	// A third of the bytes, and no difference to be seen.
	quantize := exec.CommandContext(t.Context(), p.pngquant, "--speed", "1", "--strip", "256", "-")
	quantize.Stdin = bytes.NewReader(picture)
	picture, err = quantize.Output()
	must(err)
	if len(picture) > maxPicture {
		t.Errorf("the picture has %d bytes", len(picture))
	}
	return picture
}

// complaints collects what the console of a tab complains about from now on, and returns what returns it.
func complaints(tab context.Context) func() []string {
	var mu sync.Mutex
	var all []string
	messages := chromedp.Console(tab)
	go func() {
		for message, err := range messages {
			if err != nil {
				return
			}
			if message.Type == "error" || message.Type == chromedp.ConsoleException {
				mu.Lock()
				all = append(all, fmt.Sprintf("%s: %s", message.Type, message.Text))
				mu.Unlock()
			}
		}
	}()
	return func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(all)
	}
}
