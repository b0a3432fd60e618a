package matrix

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"text/tabwriter"
	"time"
)

// report prints what was found, and how quickly, and keeps it with the artifacts.
func (st *stage) report(t *testing.T) {
	t.Helper()
	var text bytes.Buffer
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "SOURCE\tREASON\tFOUND\tCLEARED\tWHEN")
	for _, s := range st.scores {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", s.source, s.reason, seconds(s.found), seconds(s.cleared), s.story)
	}
	w.Flush()
	t.Logf("from the cause to /metrics, and from mending it to its end there, in seconds:\n%s", text.Bytes())
	must(t, os.WriteFile(filepath.Join(t.ArtifactDir(), "report.txt"), text.Bytes(), 0o644))
}

func seconds(d time.Duration) string {
	if d == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", d.Seconds())
}
