package status

import (
	"slices"
	"strings"
	"time"

	"github.com/staticpod-exporter/staticpod-exporter/collector/kubeletlog"
	"github.com/staticpod-exporter/staticpod-exporter/manifest"
)

// hear takes the events of the log into memory. They come in the order of the log; their time alone may be ahead
// of ours, on a node whose clock was set back, and is then taken for when they were read.
func (r *round) hear() {
	l := &r.next.latches
	l.newest = sooner(l.newest, r.now)
	for _, e := range r.o.Log {
		at := plain(e.At)
		if !e.Read.IsZero() {
			at = sooner(at, plain(e.Read))
		}
		e.At = at
		l.newest = latest(l.newest, at)
		r.hearsOf(e, at)
		switch e.Kind {
		case kubeletlog.URLRefused:
			r.refuseURL(e)
		case kubeletlog.ManifestRefused:
			r.refuseFile(e)
		case kubeletlog.KubeletStarted:
			r.kubeletRestarted(e)
			r.kubeletBegan(at)
			r.waits(e, at)
		case kubeletlog.AdmissionDenied:
			r.word(e, func(w *podWords) {
				w.Denied = &denial{At: at, Reason: e.Reason, Message: clip(e.Message)}
			})
		case kubeletlog.VolumeFailed:
			r.word(e, func(w *podWords) {
				w.fail(failure{Reason: VolumeMountFailed, Detail: failedMount, Message: e.Message}, at)
			})
		case kubeletlog.SyncFailed:
			r.word(e, func(w *podWords) { w.failSync(e, at) })
		case kubeletlog.KillFailed:
			r.word(e, func(w *podWords) {
				w.fail(failure{Reason: TerminationStuck, Container: e.Container, Message: e.Message}, at)
			})
		case kubeletlog.NameDuplicate:
			r.word(e, func(w *podWords) {
				w.fail(failure{Reason: manifest.DuplicateName, Message: "the kubelet ignores another pod of this name from its source " + e.Reason}, at)
			})
		case kubeletlog.PriorityIncomplete:
			r.word(e, func(w *podWords) { w.fail(failure{Reason: manifest.PriorityIncomplete, Message: e.Message}, at) })
		case kubeletlog.MirrorFailed:
			r.hearMirror(e, at)
		case kubeletlog.ProbeFailed:
			r.hearProbe(e, at)
		case kubeletlog.ProbeKills:
			r.word(e, func(w *podWords) { w.probeKills(probeReason(e.Reason), e.Container, at) })
		case kubeletlog.PullBegun:
			r.word(e, func(w *podWords) {
				w.drop(func(f *failure) bool { return f.Reason == ImagePullSlow && f.Container == e.Container })
				w.fail(failure{Reason: ImagePullSlow, Container: e.Container, Message: e.Message}, at)
				w.begin(e.Container, at)
			})
		case kubeletlog.PullEnded:
			there := strings.HasSuffix(e.Message, "already present on machine") || strings.Contains(e.Message, "already present on machine ")
			pulled := there || strings.HasPrefix(e.Message, "Successfully pulled image")
			if w := r.wordsOf(e); there || w != nil && w.has(ImagePullSlow, e.Container) {
				r.word(e, func(w *podWords) {
					w.drop(func(f *failure) bool { return f.Reason == ImagePullSlow && f.Container == e.Container })
					if pulled {
						w.pulled(e.Container, at, there)
					}
				})
			}
		case kubeletlog.WatchFailed, kubeletlog.DirectoryMissing, kubeletlog.SubDirectory,
			kubeletlog.URLUnreachable, kubeletlog.URLRead, kubeletlog.ProbeErrored:
			// They date the pod's part of the log, and are no verdict by themselves: a half-written file and
			// a refused connection say nothing of a definition, a success says nothing at all, the kubelet
			// does not count a probe that it could not make, and the rest is seen better elsewhere.
		}
	}
	r.forget()
}

// hearProbe remembers that a probe failed, and how often in a row.
func (r *round) hearProbe(e kubeletlog.Event, at time.Time) {
	reason := probeReason(e.Reason)
	if reason == "" {
		return
	}
	var limits probe
	if p := r.podOf(r.uidOf(e)); p != nil {
		for i := range p.containers {
			if p.containers[i].name == e.Container {
				limits = p.containers[i].probes.of(e.Reason)
			}
		}
	}
	r.word(e, func(w *podWords) {
		w.probeFails(failure{Reason: reason, Container: e.Container, Message: e.Message}, at, limits)
	})
}

// probeReason is the code of a probe that fails.
func probeReason(kind string) manifest.Reason {
	switch kind {
	case "Liveness":
		return LivenessFailing
	case "Startup":
		return StartupFailing
	case "Readiness":
		return NotReady
	}
	return ""
}

// probeFails counts one failure of a probe, and takes note when the kubelet has to act on it. What that one said is kept:
// those before it may have been of a start, and what differs each time, such as a port, would be a change of the pod's
// status each time.
func (w *podWords) probeFails(said failure, at time.Time, limits probe) {
	said.First, said.Last, said.Times, said.Message = at, at, 1, clip(said.Message)
	if old, ok := w.find(said.Reason, said.Container); ok {
		if !at.After(old.Last) {
			return // it was read before
		}
		said.Killed = old.Killed
		if at.Sub(old.Last) <= limits.next() {
			said.First, said.Times = old.First, old.Times+1
			if old.Times >= limits.failures {
				said.Message = old.Message
			}
		}
	}
	if limits.failures > 0 && said.Times >= limits.failures {
		said.Killed = at
	}
	w.set(said)
}

// probeKills remembers that a container is ended for a probe.
func (w *podWords) probeKills(reason manifest.Reason, container string, at time.Time) {
	f, ok := w.find(reason, container)
	if !ok {
		f = failure{Reason: reason, Container: container, First: at}
	}
	f.Last, f.Killed = latest(f.Last, at), latest(f.Killed, at)
	w.set(f)
}

// set replaces what is remembered of a code and a container.
func (w *podWords) set(f failure) {
	w.drop(func(old *failure) bool { return old.Reason == f.Reason && old.Container == f.Container })
	w.fail(f, f.Last)
	for i := range w.Failures {
		if g := &w.Failures[i]; g.Reason == f.Reason && g.Container == f.Container {
			g.First = f.First
		}
	}
}

// podOf is the kubelet's pod of a UID; nil when it has none.
func (r *round) podOf(uid string) *podFacts {
	for _, p := range r.next.pods {
		if p.uid == uid && uid != "" {
			return p
		}
	}
	return nil
}

// kubeletBegan forgets what a kubelet says once, when another life of it begins: it would say it again.
func (r *round) kubeletBegan(at time.Time) {
	for uid := range r.next.ending { // nor does it know what the life before was about to end
		if missing, ok := r.next.missing[uid]; ok && missing.Before(at) {
			r.ownEnding()
			delete(r.next.ending, uid)
		}
	}
	for uid := range r.next.words {
		r.reword(uid, func(f *failure) bool {
			once := f.Reason == manifest.DuplicateName || f.Reason == manifest.PriorityIncomplete || f.Reason == ImagePullSlow
			return once && f.Last.Before(at)
		})
	}
}

// reword forgets failures of a pod.
func (r *round) reword(uid string, which func(*failure) bool) {
	old := r.next.words[uid]
	if old == nil || !slices.ContainsFunc(old.Failures, func(f failure) bool { return which(&f) }) {
		return
	}
	w := *old
	w.Failures = slices.Clone(old.Failures)
	w.drop(which)
	r.ownWords()
	r.next.words[uid] = &w
	r.next.changes++
}

func sooner(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
