package panels

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

// Grafana's own schema knows every field of the dashboards, down to the options of each panel, and misses none.
func TestDashboardsAreOfGrafanasSchema(t *testing.T) {
	plugins.RegisterDefaultPlugins()
	files, err := filepath.Glob("../../dashboards/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal("no dashboards", err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := strict(content); err != nil {
			t.Errorf("%s: %v", file, err)
		}
		for _, field := range []string{`"schemaVersion"`, `"gridPos"`, `"reduceOptions"`, `"placement"`} {
			misspelt := bytes.Replace(content, []byte(field), []byte(field[:len(field)-1]+`x"`), 1)
			if !bytes.Equal(misspelt, content) && strict(misspelt) == nil {
				t.Errorf("%s: a misspelt %s is taken", file, field)
			}
		}
	}
}

// strict is what Grafana's schema has against a dashboard.
func strict(content []byte) error {
	//lint:ignore SA1019 of the classic schema, which every Grafana in use imports
	var d dashboard.Dashboard
	// Both return an error that is not nil and holds nothing when all is well.
	if err := d.UnmarshalJSONStrict(content); err != nil && err.Error() != "" {
		return fmt.Errorf("decoding: %w", err)
	}
	if err := d.Validate(); err != nil && err.Error() != "" {
		return fmt.Errorf("validation: %w", err)
	}
	if len(d.Panels) == 0 {
		return errors.New("there are no panels")
	}
	return nil
}
