package page

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/staticpod-exporter/staticpod-exporter/e2e/await"
)

var screenshots = flag.String("screenshots", "", "the directory in which pictures of the page are kept")

// maxPicture is what a picture may weigh: the repository has them for ever.
const maxPicture = 150 << 10

// pictures are those of the documentation.
func pictures(t *testing.T, s *stage) {
	// Edits that the exporter sees are rollouts as they are; what was there before it started is not.
	s.write(t, "refused.yaml", strings.Replace(definitions["refused.yaml"], "name: refused\n", "name: refused\n  labels: {edit: once}\n", 1))
	s.write(t, "lines.yaml", strings.Replace(definitions["lines.yaml"], "name: lines\n", "name: lines\n  labels: {edit: once}\n", 1))
	await.Nil(t, "the edits", func(ctx context.Context) error {
		all, err := s.Statuses(ctx)
		if err != nil {
			return err
		}
		lines := all[s.id("lines")]
		if lines.Spec.Definition.Version != 2 || !lines.Spec.Ready || lines.Condition("Current") != "True" || all[s.id("refused")].Metadata.Version < 2 {
			return fmt.Errorf("lines is %+v", lines.Spec)
		}
		return nil
	})
	dir := *screenshots
	if dir == "" {
		dir = t.ArtifactDir()
	}
	tab := s.browser.open(t)
	for _, picture := range []struct {
		name, path, scheme string
		height             int64
		settled            string // what must be there
	}{
		{"overview-light.png", "/", "light", 710, s.row("crash")},
		{"overview-dark.png", "/", "dark", 710, s.row("crash")},
		{"refused.png", "/staticpodstatus/" + s.id("refused"), "light", 760, `document.querySelector(".problem")`},
		{"rollout.png", "/staticpodstatus/" + s.id("lines"), "dark", 760, `document.querySelector(".rollout svg")`},
	} {
		tab.look(1200, picture.height, "prefers-color-scheme", picture.scheme)
		tab.visit(s.URL() + picture.path)
		tab.live()
		tab.until(picture.settled)
		content := tab.picture(false)
		if len(content) > maxPicture {
			t.Errorf("%s has %d bytes", picture.name, len(content))
		}
		if err := os.WriteFile(filepath.Join(dir, picture.name), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	tab.look(390, 844, "prefers-color-scheme", "light")
	tab.visit(s.URL() + "/")
	tab.live()
	if err := os.WriteFile(filepath.Join(t.ArtifactDir(), "phone.png"), tab.picture(true), 0o644); err != nil {
		t.Fatal(err)
	}
}
