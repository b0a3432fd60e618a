package status

import (
	"slices"
	"time"

	"github.com/staticpod-exporter/staticpod-exporter/collector"
	"github.com/staticpod-exporter/staticpod-exporter/manifest"
)

const (
	inputManifest = collector.InputManifest
	inputKubelet  = collector.InputKubelet
	inputRuntime  = collector.InputRuntime
	inputLog      = collector.InputLog
	inputMirror   = collector.InputMirror
)

// checkFrequency is how often the kubelet reads its sources when it does not say.
const checkFrequency = 20 * time.Second

// A world is what holds for every pod of the node alike. It is comparable: a verdict stands while the world
// and the pod's own evidence do.
type world struct {
	node, kubeletNode    string
	serving              bool
	kubelet, runtime     reach
	mirror               reach
	unregistered         *mirrorRefusal // the API server does not have the node; nil when nobody says so
	sourcesNotReady      bool
	fileCheck, httpCheck time.Duration
	url                  *urlRefusal
	notFetching          manifest.Problem // zero when the kubelet fetches, or nobody can tell
	list                 refusedList      // of another server, in observing mode
	exact                bool             // the UIDs that we predict for another server's list are the kubelet's
	stale                manifest.Reason  // the node's problem that makes every status stale; "" for none
	staleSince           time.Time
	logUp                bool
	directory            manifest.Directory // the kubelet's manifest directory
	directoryProven      bool               // it is the one that the kubelet reads
}

// reach is how well an input can be asked.
type reach struct {
	configured bool
	known      bool // it has answered once
	up         bool
	since      time.Time // of up
}

// fresh reports whether what the input says is about now.
func (r reach) fresh() bool { return r.known && r.up }

// down reports whether the input should answer and does not.
func (r reach) down() bool { return r.configured && !r.up }

func newReach(s collector.InputState, known bool) reach {
	return reach{configured: s.Configured, known: known, up: s.Up, since: plain(s.Since)}
}

// survey fills in the world, all but what the latches tell.
func (r *round) survey() {
	w, o := &r.world, r.o
	k := o.Input(inputKubelet)
	w.kubelet = newReach(k, o.Kubelet != nil)
	w.runtime = newReach(o.Input(inputRuntime), o.Runtime != nil)
	w.mirror = newReach(o.Input(inputMirror), o.Mirror != nil)
	w.logUp = o.Input(inputLog).Up
	w.sourcesNotReady = k.SourcesNotReady
	w.fileCheck, w.httpCheck = checkFrequency, checkFrequency
	if o.Kubelet != nil && o.Kubelet.Config != nil {
		if f := o.Kubelet.Config.FileCheckFrequency; f > 0 {
			w.fileCheck = f
		}
		if f := o.Kubelet.Config.HTTPCheckFrequency; f > 0 {
			w.httpCheck = f
		}
	}
	if o.Kubelet == nil || o.Kubelet.Config == nil {
		w.httpCheck = max(checkFrequency, spacing(o.Manifest))
	}
	for _, p := range r.next.pods {
		if w.kubeletNode == "" || p.node != "" && p.node < w.kubeletNode {
			w.kubeletNode = p.node
		}
	}
	switch {
	case o.Manifest != nil:
		w.node, w.serving = o.Manifest.Node, o.Manifest.Serving
	case r.prev.Node != "":
		w.node = r.prev.Node
	default:
		w.node = w.kubeletNode
	}
	w.stale, w.staleSince = staleness(k, w)
}

// spacing is how often the kubelet fetches the list, as it was seen to; zero when that is too seldom to tell.
func spacing(set *manifest.Set) time.Duration {
	if set == nil || len(set.Fetches.Recent) < 5 {
		return 0
	}
	var gaps []time.Duration
	for i, f := range set.Fetches.Recent[1:] {
		gaps = append(gaps, f.At.Sub(set.Fetches.Recent[i].At))
	}
	slices.Sort(gaps)
	return min(gaps[len(gaps)/2].Round(time.Second), 5*time.Minute) // whole, because a world that changes has every pod looked at again
}

// staleness is the node's problem that makes statuses stale, and its onset.
func staleness(k collector.InputState, w *world) (manifest.Reason, time.Time) {
	switch {
	case w.kubelet.down():
		return kubeletProblem(k), w.kubelet.since
	case w.runtime.down():
		return RuntimeDown, w.runtime.since
	}
	return "", time.Time{}
}

// kubeletProblem is the code for a kubelet that does not answer as it should.
func kubeletProblem(k collector.InputState) manifest.Reason {
	switch {
	case k.Unauthorized:
		return KubeletUnauthorized
	case k.SourcesNotReady:
		return KubeletSourcesNotReady
	}
	return KubeletDown
}

// bare takes the node's name off a pod's.
func (r *round) bare(name, node string) string {
	name, _ = bareName(name, node, r.world.kubeletNode, r.world.node)
	return name
}
