package matrix

import (
	"slices"
	"testing"
	"time"

	"github.com/staticpod-exporter/staticpod-exporter/e2e/node"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/replay"
)

// atOnce is how many pods go wrong at a time. They mostly wait; two processors can start a few containers at once.
const atOnce = 16

// pods are the rows of single pods, which fail side by side.
var pods = slices.Concat(definitions, admissions, starts, running, drifts)

func TestMatrix(t *testing.T) {
	st := open(t, func(*node.Options) {})
	st.control(t)
	st.plays(t, pods, []string{file, http}, atOnce)
	st.controlled(t, time.Time{})
	st.counted(t, time.Time{}, map[string]float64{})
	replay.Same(t, st.binary, keep(t, st.node.KubeletLog().Path(), "kubelet.log"))
	st.happen(t, incidents, []string{file, http, theNode})
	st.report(t)
}

// The same with a kubelet that logs text. What it reads from files it says more of in its log than of its list.
func TestTextLog(t *testing.T) {
	st := open(t, func(o *node.Options) { o.LogFormat = "text" })
	st.control(t)
	st.plays(t, pods, []string{file}, atOnce)
	st.controlled(t, time.Time{})
	st.counted(t, time.Time{}, map[string]float64{})
	keep(t, st.node.KubeletLog().Path(), "kubelet.log")
	st.happen(t, incidents, []string{file})
	st.report(t)
}

// elsewhere are the reasons that no row finds, and why.
var elsewhere = map[string]string{
	"MirrorFailed":      "needs an API server: e2e/mirror",
	"MirrorMissing":     "needs an API server: e2e/mirror",
	"MirrorStale":       "needs an API server: e2e/mirror",
	"MirrorTerminating": "needs an API server: e2e/mirror",
	"MirrorUnavailable": "needs an API server: e2e/mirror",
	"NodeUnregistered":  "needs an API server: e2e/mirror",
	"NodeShutdown":      "needs a login manager, which tells the kubelet of it: e2e/shutdown",
}

// Every reason that there is is found on the real node, or it is said why not.
func TestEveryReasonHasARow(t *testing.T) {
	found := map[string]bool{}
	for _, r := range slices.Concat(pods, incidents) {
		for _, reason := range append(r.must, r.reason) {
			found[reason] = true
		}
		if r.refused != "" {
			found["ManifestRejected"] = true
		}
	}
	for reason := range levels(t) {
		if why := elsewhere[reason]; found[reason] == (why != "") {
			t.Errorf("%s has a row: %t; and is left out because it %q", reason, found[reason], why)
		}
	}
}

// Each row has a name of its own, by which its pods and files are known.
func TestRowsHaveNames(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range slices.Concat(pods, incidents) {
		for _, source := range r.sources() {
			name := r.name + "-" + source
			if seen[name] || r.story == "" {
				t.Errorf("%s is the name of two rows, or of one without a story: %q", name, r.story)
			}
			seen[name] = true
		}
	}
}
