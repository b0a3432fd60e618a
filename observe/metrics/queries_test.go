package metrics_test

import (
	"os"
	"strings"
	"testing"

	"github.com/staticpod-exporter/staticpod-exporter/observe/metrics/metricstest"
)

// The queries of docs/metrics.md work on a node that has such things to tell.
func TestQueriesOfTheDocument(t *testing.T) {
	document, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(document), "```promql\n")
	block, _, ok := strings.Cut(rest, "```\n")
	if !ok {
		t.Fatal("no queries")
	}
	exposition, err := os.ReadFile("testdata/sick.prom")
	if err != nil {
		t.Fatal(err)
	}
	exposition = append(exposition, "# TYPE kube_pod_created gauge\nkube_pod_created{uid=\"a1b2c3\"} 1\n"...)
	if err := metricstest.Evaluate(t, exposition, nil, strings.Split(block, "\n\n")...); err != nil {
		t.Error(err)
	}
	if metricstest.Evaluate(t, exposition, nil, "staticpod_ready == 2") == nil {
		t.Error("a query that finds nothing is no error")
	}
}
