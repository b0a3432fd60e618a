package dashboards

import (
	"encoding/json"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/staticpod-exporter/staticpod-exporter/alerts"
	"github.com/staticpod-exporter/staticpod-exporter/observe/metrics"
	"github.com/staticpod-exporter/staticpod-exporter/observe/metrics/metricstest"
)

// A dashboard is what these tests look at of one.
type dashboard struct {
	UID, Title, Description, Timezone, Refresh string

	Tags          []string
	SchemaVersion int
	Editable      *bool
	Panels        []panel
	Templating    struct{ List []variable }
	Annotations   struct{ List []annotation }
	Links         []link
}

type annotation struct {
	Name, Expr, TitleFormat, TextFormat string

	Datasource              source
	Enable, UseValueForTime bool
}

type link struct{ Title, URL string }

type variable struct {
	Name, Type, Label string
	Query             json.RawMessage
	Definition        string
	Datasource        source
	Refresh           int
}

type source struct{ Type, UID string }

type panel struct {
	ID                       int
	Type, Title, Description string

	Datasource  source
	GridPos     struct{ X, Y, W, H int }
	FieldConfig struct {
		Defaults struct {
			Unit  string
			Links []link
		}
		Overrides []struct {
			Properties []struct {
				ID    string
				Value json.RawMessage
			}
		}
	}
	Targets []target

	Transformations []struct {
		Options struct {
			IndexByName   map[string]int
			ExcludeByName map[string]bool
		}
	}
}

// links are those of the panel as a whole and of its columns.
func (p panel) links(t *testing.T) []link {
	t.Helper()
	all := slices.Clone(p.FieldConfig.Defaults.Links)
	for _, override := range p.FieldConfig.Overrides {
		for _, property := range override.Properties {
			if property.ID != "links" {
				continue
			}
			var links []link
			if err := json.Unmarshal(property.Value, &links); err != nil {
				t.Fatalf("%s: links: %v", p.Title, err)
			}
			all = append(all, links...)
		}
	}
	return all
}

type target struct {
	Datasource  source
	Expr, RefID string
	Instant     bool
	Range       bool
	Format      string
}

// exprs are all that the dashboard asks, in panels and for annotations.
func (d dashboard) exprs() []string {
	var all []string
	for _, p := range d.Panels {
		for _, q := range p.Targets {
			all = append(all, q.Expr)
		}
	}
	for _, a := range d.Annotations.List {
		if a.Expr != "" {
			all = append(all, a.Expr)
		}
	}
	return all
}

func dashboards(t *testing.T) map[string]dashboard {
	t.Helper()
	files, err := fs.Glob(FS, "*.json")
	if err != nil || len(files) == 0 {
		t.Fatal("no dashboards", err)
	}
	all := map[string]dashboard{}
	for _, file := range files {
		content, err := FS.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var d dashboard
		if err := json.Unmarshal(content, &d); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		all[file] = d
	}
	return all
}

// variables are those of each dashboard, in order.
func variables() map[string][]string {
	return map[string][]string{
		"fleet.json":    {"datasource", "job"},
		"node.json":     {"datasource", "job", "instance", "pod"},
		"exporter.json": {"datasource", "job", "instance"},
	}
}

var prometheus = source{"prometheus", "${datasource}"}

func TestDashboards(t *testing.T) {
	uids := map[string]bool{}
	for file, d := range dashboards(t) {
		t.Run(file, func(t *testing.T) {
			if d.UID != "staticpod-"+strings.TrimSuffix(file, ".json") || uids[d.UID] {
				t.Errorf("uid %q", d.UID)
			}
			uids[d.UID] = true
			if d.Title == "" || d.Description == "" || !slices.Contains(d.Tags, "staticpod-exporter") {
				t.Error("no title, description or tag")
			}
			if d.SchemaVersion < 36 || d.SchemaVersion > 42 {
				t.Errorf("schema version %d", d.SchemaVersion)
			}
			if d.Editable == nil || *d.Editable {
				t.Error("what is provisioned cannot be edited")
			}
			if d.Timezone != "browser" || d.Refresh == "" {
				t.Errorf("timezone %q, refresh %q", d.Timezone, d.Refresh)
			}
		})
	}
}

func TestVariables(t *testing.T) {
	vocabulary := vocabulary(t)
	query := regexp.MustCompile(`^label_values\((.+), (\w+)\)$`)
	for file, d := range dashboards(t) {
		var names []string
		for _, v := range d.Templating.List {
			names = append(names, v.Name)
			if v.Label == "" {
				t.Errorf("%s: $%s has no label", file, v.Name)
			}
			if v.Type != "query" {
				continue
			}
			match := query.FindStringSubmatch(v.Definition)
			if match == nil {
				t.Errorf("%s: $%s: %s", file, v.Name, v.Definition)
				continue
			}
			if _, err := vocabulary.Check("count by (" + match[2] + ") (" + match[1] + ")"); err != nil {
				t.Errorf("%s: $%s: %v", file, v.Name, err)
			}
			if v.Datasource != prometheus || v.Refresh != 2 {
				t.Errorf("%s: $%s is not of the data source, or not asked anew when the time changes", file, v.Name)
			}
		}
		if diff := cmp.Diff(variables()[file], names); diff != "" {
			t.Errorf("%s: variables: %s", file, diff)
		}
	}
}

func TestPanels(t *testing.T) {
	types := []string{"row", "stat", "timeseries", "state-timeline", "table"}
	for file, d := range dashboards(t) {
		ids := map[int]bool{}
		taken := map[[2]int]string{}
		for _, p := range d.Panels {
			if ids[p.ID] || p.ID == 0 {
				t.Errorf("%s: %s: id %d", file, p.Title, p.ID)
			}
			ids[p.ID] = true
			for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
				for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
					if other, ok := taken[[2]int{x, y}]; ok || x >= 24 {
						t.Fatalf("%s: %s lies on %q or beyond the edge", file, p.Title, other)
					}
					taken[[2]int{x, y}] = p.Title
				}
			}
			if !slices.Contains(types, p.Type) || p.Title == "" || p.GridPos.W == 0 || p.GridPos.H == 0 {
				t.Errorf("%s: %s: type %s, or no title or size", file, p.Title, p.Type)
			}
			if p.Type == "row" {
				continue
			}
			if !strings.HasSuffix(p.Description, ".") || p.FieldConfig.Defaults.Unit == "" || p.Datasource != prometheus || len(p.Targets) == 0 {
				t.Errorf("%s: %s: description, unit, data source or queries", file, p.Title)
			}
			refs := map[string]bool{}
			for _, q := range p.Targets {
				if refs[q.RefID] || q.RefID == "" || q.Datasource != prometheus || q.Instant == q.Range {
					t.Errorf("%s: %s: query %q", file, p.Title, q.RefID)
				}
				refs[q.RefID] = true
				if (q.Format == "table") != (p.Type == "table") || q.Instant != (p.Type == "table" || p.Type == "stat") {
					t.Errorf("%s: %s: a %s that asks for format %q, instant %v", file, p.Title, p.Type, q.Format, q.Instant)
				}
			}
		}
	}
}

func vocabulary(t *testing.T) metricstest.Vocabulary {
	t.Helper()
	v, err := metricstest.NewVocabulary()
	if err != nil {
		t.Fatal(err)
	}
	records, err := alerts.Records()
	if err != nil {
		t.Fatal(err)
	}
	for _, match := range regexp.MustCompile(`- record: (\S+)\n +expr: \w+ by \(([^)]+)\)`).FindAllStringSubmatch(records, -1) {
		v[match[1]] = strings.Split(match[2], ", ")
	}
	return v
}

var (
	selectors = regexp.MustCompile(`\b((?:\w+:)?(?:staticpod|process|go|promhttp|scrape)_\w+(?::\w+)?|up\b)(\{[^}]*\})?`)
	ranges    = regexp.MustCompile(`\[([^\]]*)\]`)
	counters  = regexp.MustCompile(`(\w+)\((\w+_total)\{[^}]*\}\[`)
)

// Metrics and labels exist, and every selector is of the node on show.
func TestExpressions(t *testing.T) {
	vocabulary := vocabulary(t)
	for file, d := range dashboards(t) {
		for _, p := range d.Panels {
			for _, q := range p.Targets {
				if _, err := vocabulary.Check(q.Expr); err != nil {
					t.Errorf("%s: %s: %v", file, p.Title, err)
				}
				for _, match := range selectors.FindAllStringSubmatch(q.Expr, -1) {
					shown := `{job="$job"`
					if slices.Contains(variables()[file], "instance") {
						shown += `,instance="$instance"`
					}
					if slices.Contains(variables()[file], "pod") && slices.Contains(vocabulary[match[1]], "pod") {
						shown += `,pod=~"$pod"`
					}
					if !strings.HasPrefix(match[2], shown) {
						t.Errorf("%s: %s: %s is not of what is on show", file, p.Title, match[0])
					}
				}
				for _, match := range ranges.FindAllStringSubmatch(q.Expr, -1) {
					// A table tells of the time that is shown, as a whole.
					if match[1] != "$__rate_interval" && (match[1] != "$__range" || p.Type != "table") {
						t.Errorf("%s: %s: range %s", file, p.Title, match[0])
					}
				}
				rated := len(counters.FindAllString(q.Expr, -1))
				if strings.Count(q.Expr, "_total{") != rated {
					t.Errorf("%s: %s: a counter says nothing but by its rate or increase", file, p.Title)
				}
			}
		}
	}
}

// On a node with something of everything each panel shows something, and each table has all its columns.
func TestEveryPanelHasData(t *testing.T) {
	exposition, err := os.ReadFile("../observe/metrics/testdata/sick.prom")
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile("testdata/process.prom")
	if err != nil {
		t.Fatal(err)
	}
	exposition = append(exposition, content...)
	shown := strings.NewReplacer("$job", metricstest.Job, "$instance", metricstest.Instance, "$pod", ".*", "$__rate_interval", "1m", "$__range", "30m")
	for file, d := range dashboards(t) {
		var exprs []string
		for _, a := range d.Annotations.List {
			// What an annotation refuses to do is seen on a node on which nothing else is wrong.
			if a.Expr != "" && a.Name != "Configuration refused" {
				exprs = append(exprs, shown.Replace(a.Expr))
			}
		}
		for _, p := range d.Panels {
			for _, q := range p.Targets {
				expr := shown.Replace(q.Expr)
				exprs = append(exprs, expr)
				for _, transformation := range p.Transformations {
					for column := range transformation.Options.IndexByName {
						if !strings.HasPrefix(column, "Value") {
							exprs = append(exprs, has(column, expr))
						}
					}
				}
			}
		}
		if err := metricstest.Evaluate(t, exposition, []string{"../alerts/rules.yaml"}, exprs...); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}

// has is what expr finds that has a label.
func has(label, expr string) string {
	return `label_replace(` + expr + `, "has", "it", "` + label + `", ".+") and on (has) label_replace(vector(1), "has", "it", "", "")`
}

// What the exporter publishes is on a dashboard, or has a reason not to be.
func TestEveryFamilyIsShown(t *testing.T) {
	unused := map[string]string{
		"staticpod_mirror_info":    "for joins with kube-state-metrics",
		"staticpod_status_version": "for clients that watch the listing",
	}
	vocabulary := vocabulary(t)
	shown := map[string]bool{}
	for _, d := range dashboards(t) {
		for _, expr := range d.exprs() {
			names, err := vocabulary.Check(expr)
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range names {
				shown[name] = true
			}
		}
	}
	for _, family := range metrics.Catalogue() {
		if shown[family.Name] == (unused[family.Name] != "") {
			t.Errorf("%s: on a dashboard: %v; reason not to be: %q", family.Name, shown[family.Name], unused[family.Name])
		}
	}
}
