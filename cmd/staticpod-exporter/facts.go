package main

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/staticpod-exporter/staticpod-exporter/collector"
	"github.com/staticpod-exporter/staticpod-exporter/collector/kubeletlog"
	"github.com/staticpod-exporter/staticpod-exporter/collector/status"
	"github.com/staticpod-exporter/staticpod-exporter/manifest"
)

// kubeletFacts hands back to the definitions' store what the verdict learned of the kubelet. It is the one
// place where data flows against the stream: what the kubelet refuses must not be served again.
type kubeletFacts struct {
	config Config
	store  *manifest.Store

	standalone bool
	asked      time.Time // when the kubelet's process was looked at: the onset of its input's state then
}

// tell passes on what s knows; nil is nothing yet.
func (f *kubeletFacts) tell(s *status.Snapshot) {
	if s == nil {
		f.standalone = standalone(f.config.Kubelet.Standalone, "/proc")
		f.store.SetKubelet(manifest.Kubelet{Directory: manifestDirectory(f.config.Kubelet.ManifestDirectory, ""), Standalone: f.standalone})
		return
	}
	if since := s.Observation.Input(collector.InputKubelet).Since; !since.Equal(f.asked) {
		// The kubelet came, went or was never there: it may have another command line now.
		f.asked, f.standalone = since, standalone(f.config.Kubelet.Standalone, "/proc")
	}
	k := manifest.Kubelet{Standalone: f.standalone}
	if view := s.Observation.Kubelet; view != nil && view.Config != nil {
		c := view.Config
		k.StaticPodPath, k.FeatureGates = c.StaticPodPath, c.FeatureGates
		k.Feed = manifest.Feed{URL: c.StaticPodURL, Header: http.Header(c.StaticPodURLHeader), Period: c.HTTPCheckFrequency}
	}
	k.Directory = manifestDirectory(f.config.Kubelet.ManifestDirectory, k.StaticPodPath)
	f.store.SetKubelet(k)
	if slices.ContainsFunc(s.Observation.Log, aboutList) {
		f.store.LookAgain()
	}
	if running, known := runningPods(s); known {
		f.store.SetRunning(running)
	}
	if s.Verdict.Revision != "" {
		f.store.Judge(s.Verdict)
	}
}

// aboutList reports whether the kubelet has said something about the list it gets by URL.
func aboutList(e kubeletlog.Event) bool {
	return e.Kind == kubeletlog.URLRefused || e.Kind == kubeletlog.URLUnreachable || e.Kind == kubeletlog.URLRead
}

// runningPods lists the pods fed by URL that the node has, by the runtime or else by the kubelet.
func runningPods(s *status.Snapshot) (manifest.Running, bool) {
	running := manifest.Running{}
	suffix := "-" + s.Node
	o := s.Observation
	switch {
	case o.Runtime != nil:
		for _, sandbox := range o.Runtime.Sandboxes {
			if sandbox.Source == string(manifest.SourceHTTP) && sandbox.Ready {
				running[sandbox.Namespace+"/"+strings.TrimSuffix(sandbox.Name, suffix)] = types.UID(sandbox.UID)
			}
		}
	case o.Kubelet != nil:
		for _, pod := range o.Kubelet.Pods {
			if pod.Annotations["kubernetes.io/config.source"] == string(manifest.SourceHTTP) {
				running[pod.Namespace+"/"+strings.TrimSuffix(pod.Name, suffix)] = pod.UID
			}
		}
	default:
		// Nobody can ever tell when neither is configured: then nothing is known to run.
		for _, in := range o.Inputs {
			if (in.Input == collector.InputKubelet || in.Input == collector.InputRuntime) && in.Configured {
				return nil, false
			}
		}
	}
	return running, true
}
