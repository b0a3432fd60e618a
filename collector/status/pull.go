package status

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/staticpod-exporter/staticpod-exporter/manifest"
)

// pullGrace is how long an image may be pulled before that is worth a word: as long as a pod may take to start
// without one.
const pullGrace = startGrace

// judgePull finds an image that takes long.
func (f *findings) judgePull() {
	c, since, ok := f.pulling()
	f.clockPulls(since, ok)
	if !ok || f.about(c) || !f.reached(since.Add(pullGrace)) {
		return
	}
	f.add(manifest.Problem{
		Reason: ImagePullSlow, Field: c.field(), Since: since,
		Message: "image " + c.Image + " of container " + c.Name + " is still being pulled",
	})
}

// pulling returns the container whose image the kubelet pulls, and since when. Unless its log says so at verbosity 3
// that is concluded: a pod with a sandbox has its volumes, and a container that is next and that the runtime does not
// have lacks its image only.
func (f *findings) pulling() (*container, time.Time, bool) {
	if !f.r.world.kubelet.fresh() || f.pod() == nil || f.over() {
		return nil, time.Time{}, false
	}
	for i := range f.containers {
		c := &f.containers[i]
		if w, ok := f.words.find(ImagePullSlow, c.Name); ok && c.State != StateRunning && w.First.After(c.exit.ended) {
			return c, w.First, true
		}
	}
	step := f.sandboxSince()
	if step.IsZero() {
		return nil, time.Time{}, false
	}
	for i := range f.containers {
		c := &f.containers[i]
		switch {
		case c.State == StateWaiting && c.ID == "" && !c.exit.known:
			quiet := c.Reason == "" || c.Reason == "ContainerCreating" || c.Reason == "PodInitializing"
			return c, step, quiet && c.RestartCount == 0
		case c.hooked && c.State == StateRunning:
			return nil, time.Time{}, false // the kubelet may be at its hook
		case c.Kind == KindInit && (c.State != StateExited || c.exit.code != 0):
			return nil, time.Time{}, false
		case c.Kind == KindSidecar && (c.State != StateRunning || !c.probes.started):
			return nil, time.Time{}, false
		}
		step = latest(step, c.StartedAt, c.exit.ended)
	}
	return nil, time.Time{}, false
}

// sandboxSince is since when the pod has its sandbox; zero when it has none.
func (f *findings) sandboxSince() time.Time {
	if f.r.world.runtime.fresh() {
		for _, s := range f.incarnation() {
			if s.Ready {
				return plain(s.Created)
			}
		}
		return time.Time{}
	}
	if p := f.pod(); p.sandbox.status == corev1.ConditionTrue {
		return p.sandbox.since
	}
	return time.Time{}
}

// clockPulls adds up how long images were pulled for an incarnation of the pod.
func (f *findings) clockPulls(since time.Time, now bool) {
	h := &f.history
	if h.PulledFor != f.uid {
		h.PulledFor, h.Pulled, h.Pulling, h.PulledUntil = f.uid, 0, time.Time{}, time.Time{}
	}
	switch {
	case now && h.Pulling.IsZero():
		h.Pulling = latest(since, h.PulledUntil)
	case !now && !h.Pulling.IsZero():
		h.Pulled += f.r.now.Sub(h.Pulling)
		h.Pulling, h.PulledUntil = time.Time{}, f.r.now
	}
}

// begin remembers that the kubelet began to pull the image of a container. It tries again until it has it.
func (w *podWords) begin(container string, at time.Time) {
	if begun, ended := w.pullOf(container); begun.IsZero() || !ended.IsZero() {
		w.keep(pull{Container: container, Begun: at})
	}
}

// pulled remembers that the image of a container is there, and whether it was there already.
func (w *podWords) pulled(container string, at time.Time, there bool) {
	p := pull{Container: container, Ended: at}
	if !there {
		p.Begun, _ = w.pullOf(container)
	}
	w.keep(p)
}

// keep replaces what is remembered of the image of a container.
func (w *podWords) keep(p pull) {
	i := slices.IndexFunc(w.Pulls, func(old pull) bool { return old.Container == p.Container })
	switch {
	case i >= 0:
		w.Pulls[i] = p
	case len(w.Pulls) < wordsFailures:
		w.Pulls = append(w.Pulls, p)
	}
}

// pullOf is when the image of a container was begun to be pulled, and was there.
func (w *podWords) pullOf(container string) (begun, ended time.Time) {
	if w == nil {
		return begun, ended
	}
	for _, p := range w.Pulls {
		if p.Container == container {
			return p.Begun, p.Ended
		}
	}
	return begun, ended
}
