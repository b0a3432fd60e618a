package status

import (
	"cmp"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/staticpod-exporter/staticpod-exporter/collector/kubeletlog"
	"github.com/staticpod-exporter/staticpod-exporter/manifest"
)

const (
	// wordsLast is how long the log's words about a pod are believed when it does not repeat them: the
	// kubelet tries again within five minutes at the latest.
	wordsLast = 10 * time.Minute
	// wordsPods bounds the pods whose words are remembered.
	wordsPods = 1024
	// wordsFailures bounds the failures that are remembered of one pod.
	wordsFailures = 32
)

// hear takes the events of the log into memory.
func (r *round) hear() {
	for _, e := range r.o.Log {
		l, at := &r.next.latches, plain(e.At)
		l.newest = latest(l.newest, at)
		r.hearsOf(e, at)
		switch e.Kind {
		case kubeletlog.URLRefused:
			r.refuseURL(e)
		case kubeletlog.ManifestRefused:
			r.refuseFile(e)
		case kubeletlog.KubeletStarted:
			r.kubeletRestarted(e)
		case kubeletlog.AdmissionDenied:
			r.word(e, func(w *podWords) {
				w.Denied = &denial{At: at, Reason: e.Reason, Message: clip(e.Message)}
			})
		case kubeletlog.VolumeFailed:
			r.word(e, func(w *podWords) { w.fail(VolumeMountFailed, "", at, e.Message) })
		case kubeletlog.SyncFailed:
			r.word(e, func(w *podWords) { w.failSync(e, at) })
		case kubeletlog.WatchFailed, kubeletlog.DirectoryMissing, kubeletlog.SubDirectory,
			kubeletlog.URLUnreachable, kubeletlog.URLRead, kubeletlog.NameDuplicate,
			kubeletlog.MirrorFailed, kubeletlog.ProbeFailed, kubeletlog.PriorityIncomplete:
			// They date the pod's part of the log, and are no verdict by themselves: a half-written file and
			// a refused connection say nothing of a definition, a success says nothing at all, and the rest
			// is seen better elsewhere.
		}
	}
	r.forget()
}

// hearsOf remembers whom the log spoke of in this round.
func (r *round) hearsOf(e kubeletlog.Event, at time.Time) {
	for _, subject := range []string{e.UID, joinName(e.Namespace, e.Pod), baseKey(e.Path)} {
		if subject != "" {
			r.heard[subject] = latest(r.heard[subject], at)
		}
	}
}

func joinName(namespace, name string) string {
	if name == "" {
		return ""
	}
	return namespace + "/" + name
}

// baseKey is the key of a manifest in heard: by its base name.
func baseKey(path string) string {
	if path == "" {
		return ""
	}
	return "file:" + filepath.Base(path)
}

// word changes what is remembered of the event's pod.
func (r *round) word(e kubeletlog.Event, change func(*podWords)) {
	uid := e.UID
	if uid == "" {
		for _, p := range r.next.pods { // the line names the pod only
			if p.namespace == e.Namespace && p.name == e.Pod {
				uid = p.uid
			}
		}
	}
	if uid == "" {
		return
	}
	r.ownWords()
	w := podWords{}
	if old := r.next.words[uid]; old != nil {
		w = *old
		w.Failures = slices.Clone(old.Failures)
	}
	w.Last = latest(w.Last, plain(e.At))
	w.Namespace, w.Pod = cmp.Or(e.Namespace, w.Namespace), cmp.Or(e.Pod, w.Pod)
	change(&w)
	r.next.words[uid] = &w
	r.next.changes++
}

// failSync remembers what "Error syncing pod, skipping" says.
func (w *podWords) failSync(e kubeletlog.Event, at time.Time) {
	for _, f := range e.Failures {
		container := f.Target
		reason := failureReason(f.Reason)
		if reason == SandboxFailed {
			container = "" // its target is the pod
		}
		w.fail(reason, container, at, f.Message)
	}
	if len(e.Failures) == 0 {
		w.fail(syncReason(e.Message), "", at, e.Message)
	}
}

// fail remembers one failure, or that it goes on.
func (w *podWords) fail(reason manifest.Reason, container string, at time.Time, message string) {
	i := slices.IndexFunc(w.Failures, func(f failure) bool { return f.Reason == reason && f.Container == container })
	if i < 0 {
		if len(w.Failures) == wordsFailures {
			return
		}
		w.Failures = append(w.Failures, failure{Reason: reason, Container: container, First: at, Last: at, Message: clip(message)})
		slices.SortFunc(w.Failures, func(a, b failure) int {
			return cmp.Or(cmp.Compare(a.Reason, b.Reason), cmp.Compare(a.Container, b.Container))
		})
		return
	}
	f := &w.Failures[i]
	f.First = earliest(f.First, at)
	if !at.Before(f.Last) {
		f.Last, f.Message = at, clip(message)
	}
}

// find returns the failure of a code and a container.
func (w *podWords) find(reason manifest.Reason, container string) (failure, bool) {
	if w == nil {
		return failure{}, false
	}
	for _, f := range w.Failures {
		if f.Reason == reason && f.Container == container {
			return f, true
		}
	}
	return failure{}, false
}

// failureReason is the code for one of the kubelet's own, of a waiting container and of its log alike. What
// has none here has no code of its own: a step of termination, say.
func failureReason(kubelet string) manifest.Reason {
	switch kubelet {
	case "CreatePodSandboxError", "ConfigPodSandboxError":
		return SandboxFailed
	case "ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName", "ImageInspectError",
		"RegistryUnavailable", "SignatureValidationFailed":
		return ImagePullFailed
	case "CreateContainerConfigError":
		return ContainerConfigError
	case "CreateContainerError", "RunContainerError", "PreCreateHookError", "PreStartHookError", "PostStartHookError":
		return ContainerStartFailed
	case "CrashLoopBackOff":
		return CrashLoopBackOff
	}
	return ""
}

// syncReason is the code for the error of a sync that is not about one container.
func syncReason(message string) manifest.Reason {
	switch {
	case strings.Contains(message, "unmounted volumes="), strings.Contains(message, "volumes failed"):
		return VolumeMountFailed
	case strings.HasPrefix(message, "network is not ready"), strings.Contains(message, "cgroups exist and are correctly applied"):
		return SandboxFailed
	}
	return ""
}

// forget drops the words about pods that are gone, and keeps memory bounded.
func (r *round) forget() {
	if len(r.next.words) == 0 {
		return
	}
	known := make(map[string]bool, len(r.next.sandboxes))
	for _, s := range r.next.sandboxes {
		known[s.UID] = true
	}
	var gone []string
	for uid, w := range r.next.words {
		if !known[uid] && !r.next.listed[uid] && r.now.Sub(w.Last) > wordsLast {
			gone = append(gone, uid)
		}
	}
	if over := len(r.next.words) - len(gone) - wordsPods; over > 0 {
		rest := slices.DeleteFunc(slices.Collect(maps.Keys(r.next.words)), func(uid string) bool { return slices.Contains(gone, uid) })
		slices.SortFunc(rest, func(a, b string) int {
			return cmp.Or(r.next.words[a].Last.Compare(r.next.words[b].Last), cmp.Compare(a, b))
		})
		gone = append(gone, rest[:over]...)
	}
	if len(gone) == 0 {
		return
	}
	r.ownWords()
	for _, uid := range gone {
		delete(r.next.words, uid)
	}
	r.next.changes++
}

// ownWords makes the map of words this round's own, once.
func (r *round) ownWords() {
	if r.wordsOwned {
		return
	}
	r.wordsOwned = true
	if r.next.words = maps.Clone(r.next.words); r.next.words == nil {
		r.next.words = map[string]*podWords{}
	}
}
