package dashboards

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Times are marked of what was changed and what was refused, wherever something of that is on show.
func TestAnnotations(t *testing.T) {
	vocabulary := vocabulary(t)
	words := regexp.MustCompile(`\{\{(\w+)\}\}`)
	want := map[string][]string{
		"fleet.json":    {"Definition changed", "Configuration refused"},
		"node.json":     {"Definition changed", "Exporter started", "Configuration refused"},
		"exporter.json": {"Exporter started", "Configuration refused"},
	}
	for file, d := range dashboards(t) {
		var names []string
		for _, a := range d.Annotations.List {
			if a.Expr == "" { // Grafana's own
				continue
			}
			names = append(names, a.Name)
			found, err := vocabulary.Check(a.Expr)
			if err != nil || len(found) != 1 {
				t.Errorf("%s: %s: %q, %v", file, a.Name, found, err)
				continue
			}
			if a.Datasource != prometheus || !a.Enable || a.TitleFormat == "" {
				t.Errorf("%s: %s: data source, enabled or title", file, a.Name)
			}
			for _, label := range words.FindAllStringSubmatch(a.TextFormat, -1) {
				if label[1] != "instance" && !slices.Contains(vocabulary[found[0]], label[1]) {
					t.Errorf("%s: %s: %s has no label %s", file, a.Name, found[0], label[1])
				}
			}
			// Grafana takes the value as a time in milliseconds; and it marks nothing where a value is 0.
			if a.UseValueForTime != strings.HasSuffix(a.Expr, "} * 1000") || strings.HasSuffix(a.Expr, "== 0") {
				t.Errorf("%s: %s: %s marks nothing, or a wrong time", file, a.Name, a.Expr)
			}
		}
		if diff := cmp.Diff(want[file], names); diff != "" {
			t.Errorf("%s: annotations: %s", file, diff)
		}
	}
}

var (
	repository = "https://github.com/staticpod-exporter/staticpod-exporter/blob/main/"
	inserted   = regexp.MustCompile(`\$\{([\w.]+)\}`)
)

// Each link leads to a document, a dashboard or the exporter's page, and what is put into it is there.
func TestLinks(t *testing.T) {
	vocabulary := vocabulary(t)
	leads := map[string]bool{}
	check := func(where string, variables []string, l link, has func(name string) bool) {
		for _, match := range inserted.FindAllStringSubmatch(l.URL, -1) {
			if name := match[1]; name != "__url_time_range" && !slices.Contains(variables, name) && !has(name) {
				t.Errorf("%s: %s: there is no ${%s}", where, l.Title, name)
			}
		}
		document, fragment, _ := strings.Cut(strings.TrimPrefix(l.URL, repository), "#")
		switch {
		case strings.HasPrefix(l.URL, repository):
			leads[document] = true
			if _, err := os.Stat("../" + document); err != nil {
				t.Errorf("%s: %s: %v", where, l.Title, err)
			}
			if fragment != "" && !strings.HasSuffix(fragment, ".reason}") {
				t.Errorf("%s: %s: a section %s", where, l.Title, fragment)
			}
		case strings.HasPrefix(l.URL, "/d/staticpod-node?var-datasource=${datasource}&var-job=${job}&var-instance=") && strings.HasSuffix(l.URL, "&${__url_time_range}"):
			leads["node"] = true
		case strings.HasPrefix(l.URL, "http://${instance}/staticpodstatus/"):
			leads["page"] = true
		default:
			t.Errorf("%s: %s leads to %s", where, l.Title, l.URL)
		}
	}
	for file, d := range dashboards(t) {
		for _, l := range d.Links {
			if l.URL != "" { // those of the other dashboards are by their tag
				check(file, nil, l, func(string) bool { return false })
			}
		}
		for _, p := range d.Panels {
			for _, l := range p.links(t) {
				check(file+": "+p.Title, variables()[file], l, func(name string) bool {
					if label, ok := strings.CutPrefix(name, "__field.labels."); ok {
						return !slices.ContainsFunc(p.Targets, func(q target) bool {
							names, err := vocabulary.Check(q.Expr)
							return err != nil || !slices.Contains(vocabulary[names[0]], label)
						})
					}
					// A column that is left out of a table cannot be put into a link; one that is hidden can.
					label, ok := strings.CutPrefix(name, "__data.fields.")
					return ok && !slices.ContainsFunc(p.Targets, func(q target) bool {
						names, err := vocabulary.Check(q.Expr)
						return err != nil || label != "instance" && !slices.Contains(vocabulary[names[0]], label)
					}) && !p.Transformations[len(p.Transformations)-1].Options.ExcludeByName[label]
				})
			}
		}
	}
	for _, end := range []string{"node", "page", "docs/reasons.md", "docs/runbooks.md"} {
		if !leads[end] {
			t.Errorf("no link leads to %s", end)
		}
	}
}

// docs/dashboards.md tells of each dashboard and variable, and its pictures are there.
func TestDocument(t *testing.T) {
	content, err := os.ReadFile("../docs/dashboards.md")
	if err != nil {
		t.Fatal(err)
	}
	document := string(content)
	for file, d := range dashboards(t) {
		if !strings.Contains(document, "\n## "+d.Title+"\n") {
			t.Errorf("%s: %q has no section", file, d.Title)
		}
		for _, v := range d.Templating.List {
			if !strings.Contains(document, "\n| "+v.Label+" |") {
				t.Errorf("%s: %q has no row", file, v.Label)
			}
		}
		for _, a := range d.Annotations.List {
			if a.Expr != "" && !strings.Contains(strings.ToLower(document), strings.ToLower(strings.Fields(a.Name)[1])) {
				t.Errorf("%s: %q is not told of", file, a.Name)
			}
		}
	}
	pictures := regexp.MustCompile(`"(screenshots/[^"]+)"`).FindAllStringSubmatch(document, -1)
	for _, picture := range pictures {
		if _, err := os.Stat("../docs/" + picture[1]); err != nil {
			t.Error(err)
		}
	}
	if want := 2 * len(dashboards(t)); len(pictures) != want {
		t.Errorf("%d pictures, not %d", len(pictures), want)
	}
}
