package status

import (
	"fmt"
	"time"

	"github.com/staticpod-exporter/staticpod-exporter/collector"
	"github.com/staticpod-exporter/staticpod-exporter/manifest"
)

const (
	inputManifest = collector.InputManifest
	inputKubelet  = collector.InputKubelet
	inputRuntime  = collector.InputRuntime
	inputLog      = collector.InputLog
)

// checkFrequency is how often the kubelet reads its sources when it does not say.
const checkFrequency = 20 * time.Second

// A world is what holds for every pod of the node alike. It is comparable: a verdict stands while the world
// and the pod's own evidence do.
type world struct {
	node, kubeletNode    string
	serving              bool
	kubelet, runtime     reach
	sourcesNotReady      bool
	fileCheck, httpCheck time.Duration
	url                  *urlRefusal
	notFetching          string // why; "" when the kubelet fetches
	notFetchingSince     time.Time
	stale                manifest.Reason // the node's problem that makes every status stale; "" for none
	staleSince           time.Time
	logUp                bool
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

// fetching finds out whether the kubelet still comes for the list. A kubelet that is known to be down is no
// case of it: that it does not fetch either is no news.
func (r *round) fetching() {
	w, set := &r.world, r.o.Manifest
	w.url = r.next.url
	if set == nil || !set.Serving {
		return
	}
	if r.next.servingSince.IsZero() {
		r.next.servingSince = r.now
	}
	if w.kubelet.down() && w.stale == KubeletDown {
		return
	}
	quiet := r.next.servingSince // a fetch before that was from another process
	if r.next.fetchedNow {
		quiet = r.next.last
	}
	if limit := 3 * w.httpCheck; r.now.Sub(quiet) < limit {
		return
	}
	w.notFetchingSince = r.next.last
	if w.notFetchingSince.IsZero() {
		w.notFetchingSince = r.next.servingSince
	}
	w.notFetching = "the kubelet has not fetched the list of static pods"
	if !r.next.last.IsZero() {
		w.notFetching += " since " + r.next.last.Format(time.RFC3339)
	}
	if c := r.o.Kubelet; c != nil && c.Config != nil {
		if c.Config.StaticPodURL == "" {
			w.notFetching += ": its staticPodURL is not set"
		} else {
			w.notFetching += fmt.Sprintf(", though it should every %s", w.httpCheck)
		}
	}
}

// bare takes the node's name off a pod's.
func (r *round) bare(name, node string) string {
	name, _ = bareName(name, node, r.world.kubeletNode, r.world.node)
	return name
}
