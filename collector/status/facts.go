package status

import (
	"hash/fnv"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/staticpod-exporter/staticpod-exporter/collector/kubeletlog"
	"github.com/staticpod-exporter/staticpod-exporter/manifest"
)

// Annotations the kubelet puts on the pods it reads from a source.
const (
	annotationSource = "kubernetes.io/config.source"
	annotationSeen   = "kubernetes.io/config.seen"
)

// podFacts is what the verdict reads of a pod of the kubelet: all of it and nothing else, so that two pods
// with equal facts have one verdict. It is immutable.
type podFacts struct {
	podHead
	containers []containerFacts // in the order of the pod: init containers, then the others

	// pod is what the facts are from, for Current of files; not compared, spec stands for it.
	pod *corev1.Pod
}

// podHead is the comparable part of podFacts.
type podHead struct {
	namespace, name, uid string
	node                 string // as the kubelet calls it
	source               string
	seen                 time.Time // when the kubelet first saw this revision, in this life of the kubelet
	phase                corev1.PodPhase
	reason, message      string
	deleting             bool
	deleted              time.Time // when it should have ended, its grace included; zero while it is not deleted
	untouched            bool      // neither start time nor conditions: the kubelet has not begun with it
	started              time.Time
	restartPolicy        corev1.RestartPolicy
	grace                time.Duration
	ready, sandbox       conditionFacts // Ready and PodReadyToStartContainers
	spec                 uint64         // a digest, of file pods only: their UID does not stand for it
}

type conditionFacts struct {
	status          corev1.ConditionStatus
	reason, message string
	since           time.Time
}

// containerFacts is one container. It is comparable.
type containerFacts struct {
	name, kind, image, imageID, id string
	known                          bool   // the kubelet has a status for it
	state                          string // waiting, running or exited
	reason, message                string
	startedAt                      time.Time
	ready                          bool
	restarts                       int
	exit                           exitFacts // of the state when it is exited, else of the attempt before
	probes                         probeFacts
	hooked                         bool // the kubelet runs a hook of it before it begins with the next one
}

// exitFacts is how a container ended; zero when it never did.
type exitFacts struct {
	code            int
	reason, message string
	started, ended  time.Time
	known           bool
}

func newPodFacts(p *corev1.Pod) *podFacts {
	f := &podFacts{podHead: podHead{
		namespace: p.Namespace, name: p.Name, uid: string(p.UID),
		node:   strings.ToLower(p.Spec.NodeName),
		source: p.Annotations[annotationSource],
		phase:  p.Status.Phase, reason: p.Status.Reason, message: said(p.Status.Message),
		untouched:     p.Status.StartTime == nil && len(p.Status.Conditions) == 0,
		restartPolicy: p.Spec.RestartPolicy,
		grace:         gracePeriod(&p.Spec),
	}, pod: p}
	if seen, err := time.Parse(time.RFC3339Nano, p.Annotations[annotationSeen]); err == nil {
		f.seen = plain(seen)
	}
	if f.source == string(manifest.SourceFile) {
		f.spec = digest(&p.Spec)
	}
	if p.DeletionTimestamp != nil {
		f.deleting, f.deleted = true, plain(p.DeletionTimestamp.Time)
	}
	if p.Status.StartTime != nil {
		f.started = plain(p.Status.StartTime.Time)
	}
	for _, c := range p.Status.Conditions {
		facts := conditionFacts{c.Status, c.Reason, said(c.Message), plain(c.LastTransitionTime.Time)}
		switch c.Type {
		case corev1.PodReady:
			f.ready = facts
		case corev1.PodReadyToStartContainers:
			f.sandbox = facts
		}
	}
	f.containers = make([]containerFacts, 0, len(p.Spec.InitContainers)+len(p.Spec.Containers))
	for i := range p.Spec.InitContainers {
		c := &p.Spec.InitContainers[i]
		f.containers = append(f.containers, newContainerFacts(c, initKind(c), p.Status.InitContainerStatuses))
	}
	for i := range p.Spec.Containers {
		f.containers = append(f.containers, newContainerFacts(&p.Spec.Containers[i], KindApp, p.Status.ContainerStatuses))
	}
	return f
}

func newContainerFacts(c *corev1.Container, kind string, statuses []corev1.ContainerStatus) containerFacts {
	f := containerFacts{name: c.Name, kind: kind, image: c.Image, state: StateWaiting, probes: newProbeFacts(c, nil)}
	f.hooked = c.Lifecycle != nil && c.Lifecycle.PostStart != nil
	i := slices.IndexFunc(statuses, func(s corev1.ContainerStatus) bool { return s.Name == c.Name })
	if i < 0 {
		return f
	}
	s := &statuses[i]
	f.known, f.ready, f.restarts, f.imageID = true, s.Ready, int(s.RestartCount), s.ImageID
	_, f.id, _ = strings.Cut(s.ContainerID, "://")
	f.exit = newExitFacts(s.LastTerminationState.Terminated)
	f.probes = newProbeFacts(c, s)
	switch {
	case s.State.Running != nil:
		f.state, f.startedAt = StateRunning, plain(s.State.Running.StartedAt.Time)
	case s.State.Terminated != nil:
		t := s.State.Terminated
		f.state, f.reason, f.message = StateExited, t.Reason, said(t.Message)
		f.startedAt = plain(t.StartedAt.Time)
		f.exit = newExitFacts(t)
	case s.State.Waiting != nil:
		f.reason, f.message = s.State.Waiting.Reason, said(s.State.Waiting.Message)
	}
	return f
}

func newExitFacts(t *corev1.ContainerStateTerminated) exitFacts {
	if t == nil {
		return exitFacts{}
	}
	return exitFacts{
		code: int(t.ExitCode), reason: t.Reason, message: said(t.Message),
		started: plain(t.StartedAt.Time), ended: plain(t.FinishedAt.Time), known: true,
	}
}

// digest of a specification, in this process. One that cannot be marshalled has none, which no API server or
// kubelet hands out.
func digest(s *corev1.PodSpec) uint64 {
	data, err := s.Marshal()
	if err != nil {
		return 0
	}
	h := fnv.New64a()
	h.Write(data)
	return h.Sum64()
}

func (f *podFacts) equal(g *podFacts) bool {
	return f == g || f.podHead == g.podHead && slices.Equal(f.containers, g.containers)
}

// rejected reports whether the kubelet did not admit the pod.
func (f *podFacts) rejected() bool {
	return f.phase == corev1.PodFailed && strings.HasPrefix(f.message, "Pod was rejected:")
}

// initKind tells a sidecar, an init container that is restarted for ever, from one that has to end.
func initKind(c *corev1.Container) string {
	if c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
		return KindSidecar
	}
	return KindInit
}

func gracePeriod(s *corev1.PodSpec) time.Duration {
	if s.TerminationGracePeriodSeconds == nil {
		return corev1.DefaultTerminationGracePeriodSeconds * time.Second
	}
	return time.Duration(*s.TerminationGracePeriodSeconds) * time.Second
}

// bareName takes the node's name off a pod's: the first of nodes that is there.
func bareName(name string, nodes ...string) (string, bool) {
	for _, node := range nodes {
		if node == "" {
			continue
		}
		if bare, ok := strings.CutSuffix(name, "-"+strings.ToLower(node)); ok && bare != "" {
			return bare, true
		}
	}
	return name, false
}

// plain is t as it is written out: UTC and without a monotonic reading; a time of the epoch is none.
func plain(t time.Time) time.Time {
	if t.IsZero() || t.Unix() == 0 {
		return time.Time{}
	}
	return t.UTC().Round(0)
}

// said is what may be kept of the kubelet's and the runtime's words: without the commands of hooks (P2), and without
// the ID of what could not be made, which is another at each attempt and would be news each time.
func said(s string) string { return clip(withoutIDs(kubeletlog.Words(s))) }

// withoutIDs takes out the runtime's IDs of containers and sandboxes, and leaves the digests of images.
func withoutIDs(s string) string {
	const length = 64
	for from := 0; ; {
		run := strings.IndexFunc(s[from:], isHex)
		if run < 0 {
			return s
		}
		from += run
		end := len(s)
		if n := strings.IndexFunc(s[from:], func(r rune) bool { return !isHex(r) }); n >= 0 {
			end = from + n
		}
		if end-from == length && !strings.HasSuffix(s[:from], "sha256:") {
			s, end = s[:from]+"…"+s[end:], from+len("…")
		}
		from = end
	}
}

func isHex(r rune) bool { return '0' <= r && r <= '9' || 'a' <= r && r <= 'f' }

// messageLimit is how much of anybody's words is kept (V2).
const messageLimit = 1024

// clip cuts a message to messageLimit bytes, between characters.
func clip(s string) string {
	if len(s) <= messageLimit {
		return s
	}
	return strings.ToValidUTF8(s[:messageLimit-len("…")], "") + "…"
}

func hasUID(uids []types.UID, uid string) bool {
	return slices.Contains(uids, types.UID(uid))
}
