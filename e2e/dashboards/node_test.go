package dashboards

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/staticpod-exporter/staticpod-exporter/e2e/await"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/otlp"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/panels"
)

// On a real node on which something is wrong each panel of each dashboard shows something, and so does each
// annotation and each variable, however the histograms are scraped.
func TestEveryPanelShowsARealNode(t *testing.T) {
	files := filepath.Join(t.TempDir(), "pods.d")
	if *screenshots != "" {
		files = "/tmp/pods.d" // is to be read in the pictures
		t.Cleanup(func() { os.RemoveAll(files) })
	}
	if err := os.Mkdir(files, 0o755); err != nil {
		t.Fatal(err)
	}
	s := newStage(t, files)
	s.play()
	all, err := panels.Dashboards(os.DirFS("../../dashboards"))
	s.must(err)
	for _, job := range jobs {
		for _, d := range all {
			s.choices(d, job)
			s.shows(d, job)
		}
	}
	t.Run("pictures", func(t *testing.T) { pictures(t, s) })
}

// choices holds that what is on show can be chosen.
func (s *stage) choices(d panels.Dashboard, job string) {
	s.Helper()
	view := s.view(job)
	for _, variable := range d.Variables {
		if variable.Type != "query" {
			continue
		}
		values, err := d.Values(s.Context(), s.prometheus.API, variable, view)
		s.must(err)
		if chosen := view.Chosen[variable.Name]; len(values) == 0 || len(chosen) == 1 && !slices.Contains(values, chosen[0]) {
			s.Errorf("%s: %s: $%s can be one of %q", job, d.Name, variable.Name, values)
		}
	}
}

// shows waits until each query of a dashboard finds something, and asks again only what has found nothing yet.
func (s *stage) shows(d panels.Dashboard, job string) {
	s.Helper()
	found := map[string]bool{}
	await.Nil(s, job+", "+d.Name, func(ctx context.Context) error {
		queries, err := d.Queries(s.view(job))
		if err != nil {
			return err
		}
		var missing []error
		for _, q := range queries {
			if found[q.String()] {
				continue
			}
			series, err := q.Run(ctx, s.prometheus.API)
			if err == nil && q.Target.Exemplars {
				err = s.traced(ctx, q)
			}
			if series = panels.Shown(series); err == nil && (len(series) == 0 || q.Panel.ID == 0 && len(panels.Marks(q.Annotation, series, q.Range.Step)) == 0) {
				err = fmt.Errorf("%s: nothing to see: %s", q, q.Expr)
			}
			found[q.String()] = err == nil
			missing = append(missing, err)
		}
		return errors.Join(missing...)
	})
}

// traced says whether the exemplars of a query lead to traces that were exported.
func (s *stage) traced(ctx context.Context, q panels.Query) error {
	exemplars, err := q.Exemplars(ctx, s.prometheus.API)
	if err != nil {
		return err
	}
	if len(exemplars) == 0 {
		return fmt.Errorf("%s: no exemplars", q)
	}
	for _, exemplar := range exemplars {
		id := string(exemplar.Labels["trace_id"])
		if !slices.ContainsFunc(s.receiver.Spans(), func(span otlp.Span) bool { return span.TraceID().String() == id }) {
			return fmt.Errorf("%s: there is no trace %q", q, id)
		}
	}
	return nil
}
