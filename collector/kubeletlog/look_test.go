package kubeletlog

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestLook(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kubelet.log")
	const (
		klog  = "E1122 15:58:00.000001    1234 pod_workers.go:1324] \"Error syncing pod, skipping\" err=\"failed\"\n"
		json  = `{"ts":1763823480000.0,"caller":"kubelet/pod_workers.go:1324","msg":"Error syncing pod, skipping","err":"failed"}` + "\n"
		talos = `{"msg":"1122 15:58:00.000001    1234 pod_workers.go:1324] \"Error\"","talos-level":"info","talos-service":"kubelet"}` + "\n"
	)
	for name, test := range map[string]struct{ content, format string }{
		"text":                 {klog, "text"},
		"json":                 {json, "json"},
		"Talos":                {talos, "json"},
		"a runtime's":          {"2026-11-22T14:38:27.064857123Z stderr F " + klog, "cri text"},
		"a torn end":           {json + "{\"ts\":17638", "json"},
		"a value of lines":     {klog + "  more of it\n", "text"},
		"another program's":    {"Nov 22 15:58:00 host dhclient[1]: bound to [x] y\n", ""},
		"a long one":           {strings.Repeat("x", 2*lookLength) + "\n" + klog, "text"},
		"one that was another": {klog + json, "json"},
		"empty":                {"", ""},
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(path, []byte(test.content), 0o600); err != nil {
				t.Fatal(err)
			}
			s, err := Look(t.Context(), "file://"+path)
			if err != nil || s.Format != test.format || s.Bytes != int64(min(len(test.content), lookLength)) || time.Since(s.Newest) > time.Minute {
				t.Errorf("%+v, %v", s, err)
			}
		})
	}
	for _, path := range []string{"file:///missing", "file://" + filepath.Dir(path), "tcp://127.0.0.1:1", "stdin", "x"} {
		if s, err := Look(t.Context(), path); err == nil {
			t.Errorf("%s: %+v", path, s)
		}
	}
}
