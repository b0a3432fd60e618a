package main

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/staticpod-exporter/staticpod-exporter/"

// house says which of our packages each package may import: data flows the other way. A package that is not
// here has no place yet.
var house = map[string][]string{
	"manifest":             nil,
	"collector/change":     nil,
	"cri":                  {"collector/change"},
	"cri/containerlog":     nil,
	"collector/kubelet":    {"collector/change"},
	"collector/kubeletlog": nil,
	"collector/mirror":     {"collector/change"},
	"collector":            {"manifest", "cri", "collector/kubelet", "collector/kubeletlog", "collector/mirror"},
	"collector/status":     {"collector", "manifest", "cri", "collector/kubelet", "collector/kubeletlog", "collector/mirror"},
	"collector/diagnose":   {"manifest", "cri", "collector/kubelet", "collector/kubeletlog", "collector/mirror"},
	"observe/output":       {"collector/status", "manifest"},
	"observe/fleet":        {"collector/status", "manifest"},
	"observe/metrics":      {"collector/status", "collector", "manifest"},
	"observe/web":          {"collector/status", "collector", "manifest", "observe/output", "docs"},
	"observe/describe":     {"collector/status", "collector/kubeletlog", "manifest", "observe/output", "docs"},
	"observe/report":       {"collector/status", "manifest", "observe/output", "docs"},
	"observe/telemetry":    {"collector/status", "collector", "manifest", "observe/metrics"},
	"alerts":               nil,
	"dashboards":           nil,
	"docs":                 nil,
	"cmd/staticpod-exporter": {
		"manifest", "cri", "cri/containerlog", "collector", "collector/kubelet", "collector/kubeletlog", "collector/mirror", "collector/status",
		"collector/diagnose", "observe/output", "observe/fleet", "observe/describe", "observe/report", "observe/metrics", "observe/web", "observe/telemetry", "alerts", "dashboards", "docs",
	},
}

// rooms says where the heavy libraries may be imported. Of several entries for one import the longest holds.
var rooms = map[string][]string{
	"github.com/prometheus/client_golang/":    {"observe/metrics", "observe/telemetry"}, // the bridge takes its Gatherer
	"github.com/prometheus/client_golang/api": {"observe/fleet"},                        // the client of a Prometheus, not its instrumentation
	"github.com/prometheus/exporter-toolkit/": {"observe/web"},
	"go.opentelemetry.io/otel/sdk":            {"observe/telemetry"},
	"go.opentelemetry.io/otel/exporters/":     {"observe/telemetry"},
	"google.golang.org/grpc":                  {"cri", "collector/kubelet", "collector/diagnose"},
	"google.golang.org/grpc/codes":            {"cri", "collector/kubelet", "collector/diagnose", "observe/telemetry"}, // in what receivers answer
	"google.golang.org/grpc/credentials":      {"cri", "collector/kubelet", "collector/diagnose", "observe/telemetry"}, // none of them
	"google.golang.org/grpc/status":           {"cri", "collector/kubelet", "collector/diagnose", "observe/telemetry"},
	"k8s.io/cri-client/":                      {"cri"},
	"k8s.io/kubernetes/":                      {"manifest"},
	"github.com/spf13/":                       {"cmd/staticpod-exporter"},
	"k8s.io/client-go/":                       {"collector/mirror"},
	"k8s.io/client-go/util/jsonpath":          {"observe/output"},       // which is small, and talosctl's and kubectl's own
	"os/exec":                                 {"collector/kubeletlog"}, // journalctl
	"unsafe":                                  nil,
}

func TestImports(t *testing.T) {
	list := exec.Command("go", "list", "-json=ImportPath,Imports", module+"...")
	var stderr strings.Builder
	list.Stderr = &stderr
	out, err := list.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	decoder := json.NewDecoder(strings.NewReader(string(out)))
	seen := 0
	for {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		room, ours := strings.CutPrefix(p.ImportPath, module)
		if !ours || strings.HasSuffix(room, "test") {
			continue
		}
		seen++
		allowed, known := house[room]
		if !known {
			t.Errorf("package %s has no place in the house", room)
		}
		for _, imported := range p.Imports {
			if other, ours := strings.CutPrefix(imported, module); ours && !slices.Contains(allowed, other) {
				t.Errorf("%s imports %s: data would flow backwards", room, other)
			}
			library := ""
			for l := range rooms {
				if strings.HasPrefix(imported, l) && len(l) > len(library) {
					library = l
				}
			}
			if where := rooms[library]; library != "" && !slices.Contains(where, room) {
				t.Errorf("%s imports %s, which belongs in %v", room, imported, where)
			}
		}
	}
	if seen < len(house)/2 {
		t.Errorf("only %d packages seen", seen)
	}
}
