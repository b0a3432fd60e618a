package scale

import (
	"flag"
	"os"
	"path/filepath"
	"time"

	"github.com/staticpod-exporter/staticpod-exporter/e2e/drawing"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/panels"
)

var screenshots = flag.String("screenshots", "", "the directory in which pictures of the dashboard of the fleet are kept; none are taken without")

// picture draws the dashboard of the fleet.
func (f *fleet) picture() {
	f.Helper()
	if *screenshots == "" {
		return
	}
	dashboards, err := panels.Dashboards(os.DirFS("../../dashboards"))
	f.must(err)
	end := time.Now()
	view := panels.View{Start: end.Add(-min(*past, 6*time.Hour)), End: end, Scrape: scrape, Chosen: panels.Chosen{"job": {job}}}
	pencil := drawing.New(f.T)
	for _, d := range dashboards {
		if d.Name != "fleet" {
			continue
		}
		for theme, picture := range pencil.Draw(f.T, f.prometheus.API, d, view, drawing.Laptop, "light", "dark") {
			f.must(os.WriteFile(filepath.Join(*screenshots, drawing.File(d, theme)), picture, 0o644))
		}
	}
}
