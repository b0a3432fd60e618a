package status

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/staticpod-exporter/staticpod-exporter/collector"
	"github.com/staticpod-exporter/staticpod-exporter/manifest"
)

// pendingOf is the warning of the status, and whether there is one.
func pendingOf(t *testing.T, s *Snapshot) (manifest.Problem, bool) {
	t.Helper()
	for _, p := range find(t, s, web).Spec.Problems {
		if p.Reason == StopPending {
			return p, true
		}
	}
	return manifest.Problem{}, false
}

// mar has an edit break a definition of the directory.
func (s *scene) mar(name string, reason manifest.Reason, message string) {
	for i, d := range s.definitions {
		if d.Name == name {
			bad := *d
			bad.Valid, bad.Served, bad.UID, bad.Updated = false, false, "", s.now
			bad.Problems = []manifest.Problem{{Reason: reason, Level: manifest.Critical, Message: message, Path: d.Path, Line: 4, Since: s.now}}
			s.definitions[i] = &bad
		}
	}
}

func TestStopPending(t *testing.T) {
	second := func(s *scene, path string, uid string) *manifest.Definition {
		d := *s.definition("web")
		d.Path, d.UID, d.Updated = path, uidOf(uid), s.now
		s.definitions = append(s.definitions, &d)
		return &d
	}
	for name, test := range map[string]struct {
		given   func() *scene // all is well before
		cause   func(*scene)
		patient time.Duration // after the cause, besides a second
		detail  string        // "" for no warning
		level   manifest.Level
		path    string
		message string
	}{
		"a broken edit": {
			cause:  func(s *scene) { s.mar("web", manifest.ManifestInvalid, "spec.containers: Required value") },
			detail: "Broken", level: manifest.Critical, path: "/etc/kubernetes/manifests/web.yaml",
			message: "the kubelet cannot use /etc/kubernetes/manifests/web.yaml as it is now, and stops this pod at its next reading of the directory, by 2026-01-02T12:00:20Z at the latest (every 20s): mend the file, or put the old one back, before then",
		},
		"a file that is no pod any more": {
			cause: func(s *scene) { s.mar("web", manifest.NotAPod, "invalid pod") }, detail: "Broken", level: manifest.Critical,
		},
		"a dangling link": {
			cause:  func(s *scene) { s.mar("web", manifest.ManifestUnreadable, "no such file or directory") },
			detail: "Broken", level: manifest.Critical,
		},
		"a file that only we may not read": {
			cause: func(s *scene) { s.mar("web", manifest.ManifestUnreadable, "open /x: permission denied") },
		},
		"a runtime class, which the kubelet takes": {
			cause: func(s *scene) { s.mar("web", manifest.RuntimeClassUnsupported, "it crashes") },
		},
		"a good edit": {
			cause: func(s *scene) { s.edit("web") },
		},
		"a broken edit of a pod that does not run yet": {
			given: func() *scene {
				s := empty()
				s.serving, s.document = false, nil
				s.accept(s.define("web", manifest.SourceFile))
				return s
			},
			cause: func(s *scene) { s.mar("web", manifest.ManifestInvalid, "x") },
		},
		"a broken edit of a pod that the kubelet has given up": {
			cause: func(s *scene) { s.mar("web", manifest.ManifestInvalid, "x"); s.pods = nil },
		},
		"a broken edit of a pod that was refused": {
			cause: func(s *scene) {
				s.mar("web", manifest.ManifestInvalid, "x")
				p := s.pod("web")
				p.Status.Phase, p.Status.Message = corev1.PodFailed, "Pod was rejected: x"
			},
		},
		"a broken edit while the kubelet is down": {
			cause: func(s *scene) {
				s.mar("web", manifest.ManifestInvalid, "x")
				s.down(collector.InputKubelet, s.now, "refused")
			},
			patient: time.Hour, detail: "Broken", level: manifest.Critical, message: "stops this pod when it is back",
		},
		"a broken edit that the kubelet has passed over twice": {
			cause: func(s *scene) { s.mar("web", manifest.ManifestInvalid, "x") }, patient: 45 * time.Second,
		},
		"a broken file beside a good one": {
			cause: func(s *scene) {
				bad := *s.definition("web")
				bad.Path, bad.Valid, bad.Served = "/etc/kubernetes/manifests/z.yaml", false, false
				bad.Problems = []manifest.Problem{{Reason: manifest.ManifestInvalid, Level: manifest.Critical, Message: "x", Since: s.now}}
				s.definitions = append(s.definitions, &bad)
			},
		},
		"a backup takes its place": {
			cause: func(s *scene) {
				second(s, "/etc/kubernetes/manifests/web.yaml.bak", "backup")
				old := *s.definition("web")
				old.Served, s.definitions[0] = false, &old
			},
			detail: "Replaced", level: manifest.Warning, path: "/etc/kubernetes/manifests/web.yaml.bak",
			message: "this pod is that of /etc/kubernetes/manifests/web.yaml, which comes before /etc/kubernetes/manifests/web.yaml.bak: the kubelet stops it and runs the other",
		},
		"the shadowed file is written to, and its pod does not run yet": {
			given: func() *scene {
				s := observing()
				s.definitions[0].Path = "/etc/kubernetes/manifests/web.yaml.bak"
				return s
			},
			cause: func(s *scene) {
				second(s, "/etc/kubernetes/manifests/web.yaml", "shadowed").Served = false
				s.pods = nil
				s.accept(s.definitions[1])
			},
			detail: "Replaced", level: manifest.Warning, path: "/etc/kubernetes/manifests/web.yaml.bak",
		},
		"the shadowed file is written to, and the kubelet's UIDs are not those predicted": {
			given: func() *scene {
				s := observing()
				s.definitions[0].Path = "/etc/kubernetes/manifests/web.yaml.bak"
				s.pods[0].UID, s.sandboxes[0].UID = uidOf("another minor's"), string(uidOf("another minor's"))
				return s
			},
			cause: func(s *scene) {
				d := second(s, "/etc/kubernetes/manifests/web.yaml", "shadowed")
				d.Served, d.Pod = false, d.Pod.DeepCopy()
				d.Pod.Spec.Containers[0].Args = []string{"3h"}
				s.pods = nil
				s.accept(d)
				s.pods[0].UID = uidOf("another minor's, of the shadowed")
			},
			detail: "Replaced", level: manifest.Warning, path: "/etc/kubernetes/manifests/web.yaml.bak",
			message: "this pod is that of /etc/kubernetes/manifests/web.yaml, which comes before",
		},
		"a copy of the file takes its place, and the kubelet's UIDs are not those predicted": {
			given: func() *scene {
				s := observing()
				s.pods[0].UID, s.sandboxes[0].UID = uidOf("another minor's"), string(uidOf("another minor's"))
				return s
			},
			cause: func(s *scene) {
				second(s, "/etc/kubernetes/manifests/web.yaml.bak", "backup")
				old := *s.definition("web")
				old.Served, s.definitions[0] = false, &old
			},
			detail: "Renamed", level: manifest.Info, path: "/etc/kubernetes/manifests/web.yaml.bak", // whose specification it has
		},
		"the file is renamed": {
			cause: func(s *scene) {
				d := second(s, "/etc/kubernetes/manifests/other.yaml", "renamed")
				s.definitions = []*manifest.Definition{d}
			},
			detail: "Renamed", level: manifest.Info, path: "/etc/kubernetes/manifests/other.yaml", message: "is now /etc/kubernetes/manifests/other.yaml",
		},
		"the file is removed": {
			cause: func(s *scene) { s.definitions = nil }, patient: 2 * time.Second,
			detail: "Removed", level: manifest.Info, path: "/etc/kubernetes/manifests", message: "no file of the manifest directory defines this pod any more",
		},
		"the file was removed just now": {
			cause: func(s *scene) { s.definitions = nil },
		},
		"the directory is unmounted": {
			cause:  func(s *scene) { s.definitions, s.directory.State = nil, manifest.DirectoryMissing },
			detail: "DirectoryMissing", level: manifest.Critical, path: "/etc/kubernetes/manifests", message: "the manifest directory /etc/kubernetes/manifests is missing",
		},
		"the directory cannot be read by us": {
			cause: func(s *scene) { s.definitions, s.directory.State = nil, manifest.DirectoryUnreadable },
		},
		"a directory that we never saw a file of the kubelet's in": {
			given: func() *scene { s := observing(); s.definitions = nil; return s },
			cause: func(s *scene) { s.directory.State = manifest.DirectoryMissing }, patient: 5 * time.Second,
		},
		"the runtime alone is asked": {
			given: func() *scene { s := observing(); s.without(collector.InputKubelet); return s },
			cause: func(s *scene) { s.mar("web", manifest.ManifestInvalid, "x") }, detail: "Broken", level: manifest.Critical,
		},
		"the kubelet alone is asked": {
			given: func() *scene { s := observing(); s.without(collector.InputRuntime); return s },
			cause: func(s *scene) { s.mar("web", manifest.ManifestInvalid, "x") }, detail: "Broken", level: manifest.Critical,
		},
		"the pod is of a list": {
			given: func() *scene { s := running(); s.serving = false; return s },
			cause: func(s *scene) { s.mar("web", manifest.ManifestInvalid, "x") },
		},
	} {
		t.Run(name, func(t *testing.T) {
			given := test.given
			if given == nil {
				given = observing
			}
			s := tell(t, given())
			if p, ok := pendingOf(t, s.last); ok {
				t.Fatalf("before: %+v", p)
			}
			test.cause(s.scene)
			s.then(0).then(test.patient)
			s.then(time.Second)
			p, ok := pendingOf(t, s.last)
			switch {
			case ok != (test.detail != ""):
				t.Fatalf("%+v", p)
			case !ok:
				return
			case p.Detail != test.detail, p.Level != test.level, test.path != "" && p.Path != test.path, !strings.Contains(p.Message, test.message), p.Since.IsZero():
				t.Errorf("%+v", p)
			}
			s.counted(StopPending, 1)
			if w := find(t, s.last, web); w.Spec.Reason == StopPending && test.detail == "Broken" {
				t.Error("the headline is the effect, not the cause")
			}
			again := p
			if p, _ = pendingOf(t, s.then(time.Second).last); p != again {
				t.Errorf("it changed by itself: %+v, then %+v", again, p)
			}

			// It ends with the pod.
			s.pods, s.sandboxes = nil, nil
			s.up(collector.InputKubelet, s.now)
			s.then(time.Second)
			for _, st := range s.last.Statuses {
				for _, p := range st.Spec.Problems {
					if p.Reason == StopPending {
						t.Errorf("the pod is gone: %+v", p)
					}
				}
			}
		})
	}
}

// A kubelet that is asked now and then may long have stopped the pod of a file that was taken away.
func TestRemovalOfAPolledKubelet(t *testing.T) {
	scene := observing()
	scene.transport = "https"
	s := tell(t, scene)
	s.kubeletAt = s.now
	s.definitions = nil
	s.then(0)
	if p, ok := pendingOf(t, s.then(5*time.Second).last); ok {
		t.Fatalf("before it was asked: %+v", p)
	}
	s.kubeletAt = s.now
	if p, ok := pendingOf(t, s.then(0).last); !ok || p.Detail != pendingRemoved {
		t.Fatalf("it has the pod still: %+v", p)
	}
}

// Mended in time, nothing happened.
func TestStopPendingIsMended(t *testing.T) {
	s := tell(t, observing())
	good := s.definitions[0]
	s.mar("web", manifest.ManifestMalformed, "x")
	s.then(time.Second).is(web, manifest.ManifestMalformed)
	if _, ok := pendingOf(t, s.last); !ok {
		t.Fatal("no warning")
	}
	s.definitions[0] = good
	s.then(time.Second).is(web, "")
	if st := find(t, s.last, web); len(st.Spec.Problems) != 0 {
		t.Errorf("%+v", st.Spec.Problems)
	}
}

// A pod that the kubelet brings back although its file is gone, as it does when a reading finds nothing at all and
// a file comes: it is told until the kubelet takes it away again.
func TestResurrectedPod(t *testing.T) {
	s := tell(t, observing())
	pods, sandboxes := s.pods, s.sandboxes
	s.definitions, s.pods, s.sandboxes = nil, nil, nil
	s.then(time.Minute)
	s.define("new", manifest.SourceFile)
	s.run(s.definition("new"))
	s.pods, s.sandboxes = append(s.pods, pods...), append(s.sandboxes, sandboxes...)
	s.then(time.Second).then(4 * time.Second).then(time.Second)
	if p, ok := pendingOf(t, s.last); !ok || p.Detail != "Removed" || p.Level != manifest.Info {
		t.Errorf("%+v", p)
	}
	s.pods, s.sandboxes = s.pods[:1], s.sandboxes[:1]
	s.then(time.Second)
	absent(t, s.last, web)
}

// A directory that is there for the kubelet alone is told as such, and nothing else is made of it.
func TestUnseenDirectory(t *testing.T) {
	given := observing()
	given.definitions, given.directory.State = nil, manifest.DirectoryMissing
	s := tell(t, given)
	if p := s.is(NodeID, manifest.ManifestUnreadable).Spec.Problems[0]; p.Path != "/etc/kubernetes/manifests" || p.Level != manifest.Critical {
		t.Errorf("%+v", p)
	}
	s.then(time.Minute).is(web, "")
	s.directory.State = manifest.DirectoryRead
	s.then(time.Second).is(NodeID, "")
	s.directory.State, s.pods, s.sandboxes = manifest.DirectoryMissing, nil, nil
	s.then(time.Second).is(NodeID, "")
}
