package metrics

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
)

const document = "../../docs/metrics.md"

// The catalogue of docs/metrics.md is that of this package.
func TestDocumentHasTheCatalogue(t *testing.T) {
	content, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	const begin, end = "<!-- catalogue -->\n", "<!-- /catalogue -->\n"
	before, rest, ok := strings.Cut(string(content), begin)
	_, after, okEnd := strings.Cut(rest, end)
	if !ok || !okEnd {
		t.Fatalf("%s has no place for the catalogue", document)
	}
	golden(t, document, []byte(before+begin+table()+end+after))
}

func table() string {
	var out strings.Builder
	for _, scope := range []Scope{PerDefinition, PerPod, PerContainer, PerProblem, PerNode, PerExporter} {
		fmt.Fprintf(&out, "\n### Per %s\n\n| Family | Type | Labels | Meaning | OpenTelemetry | Unit | Stability |\n|---|---|---|---|---|---|---|\n", scope)
		for _, f := range catalogue {
			if f.Scope != scope {
				continue
			}
			labels := ""
			if len(f.Labels) > 0 {
				labels = "`" + strings.Join(f.Labels, "`, `") + "`"
			}
			fmt.Fprintf(&out, "| `%s` | %s | %s | %s | `%s` | `%s` | %s |\n", f.Name, f.Type, labels, f.Help, f.OTel.Name, f.OTel.Unit, f.Stability)
		}
	}
	out.WriteString("\n")
	return out.String()
}

// Every name of a family in the text exists.
func TestDocumentNamesNoOtherFamily(t *testing.T) {
	content, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, f := range catalogue {
		known[f.Name] = true
		if f.Type == Histogram {
			known[f.Name+"_bucket"] = true
		}
	}
	for _, name := range regexp.MustCompile(`\bstaticpod_\w+`).FindAllString(string(content), -1) {
		if !known[name] && name != "staticpod_exporter" { // the program, in the words of the version collector
			t.Errorf("%s names %s, which does not exist", document, name)
		}
	}
}

// The bounds that the text gives are those of TestCardinality.
func TestDocumentGivesTheBounds(t *testing.T) {
	content, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{fmt.Sprintf("end after %d bytes", maxLabel), fmt.Sprintf("at most %d places", maxPlaces)} {
		if !strings.Contains(string(content), want) {
			t.Errorf("%s does not say: %s", document, want)
		}
	}
}
