package dashboards

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/staticpod-exporter/staticpod-exporter/e2e/drawing"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/panels"
)

var screenshots = flag.String("screenshots", "", "the directory in which pictures of the dashboards are kept")

// pictures draws the dashboards of the node with Grafana's own libraries, by which none of their panels is empty, and all
// columns of tables have room: on a laptop and on a wall.
func pictures(t *testing.T, s *stage) {
	all, err := panels.Dashboards(os.DirFS("../../dashboards"))
	s.must(err)
	screens := map[int][]string{drawing.Laptop: {"light"}, drawing.Wall: {"dark"}}
	dir := func(width int) string { return filepath.Join(t.ArtifactDir(), strconv.Itoa(width)) }
	if *screenshots != "" {
		dir, screens = func(int) string { return *screenshots }, map[int][]string{drawing.Laptop: {"light", "dark"}}
		s.pass(2 * time.Minute)
		s.write(s.files, "etcd.yaml", edited("kube-system", "etcd"))
		s.pass(2 * time.Minute)
		// That of the fleet is taken of more nodes than one, in the room scale.
		all = slices.DeleteFunc(all, func(d panels.Dashboard) bool { return d.Name == "fleet" })
	}
	view := s.view(jobs[0]) // what is seen ends before a browser starts
	pencil := drawing.New(t)
	for width, themes := range screens {
		s.must(os.MkdirAll(dir(width), 0o755))
		for _, d := range all {
			for theme, picture := range pencil.Draw(t, s.prometheus.API, d, view, width, themes...) {
				s.must(os.WriteFile(filepath.Join(dir(width), drawing.File(d, theme)), picture, 0o644))
			}
		}
	}
}

// pass lets time pass, of which there is something to see in a picture. Nothing is waited for.
func (s *stage) pass(d time.Duration) {
	select {
	case <-time.After(d):
	case <-s.Context().Done():
	}
}
