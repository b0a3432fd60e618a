package status

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/staticpod-exporter/staticpod-exporter/collector/kubeletlog"
	"github.com/staticpod-exporter/staticpod-exporter/collector/mirror"
	"github.com/staticpod-exporter/staticpod-exporter/manifest"
)

const (
	// mirrorPatience is more than the kubelet takes to look at a pod again, and so at its mirror: 90 seconds at the most.
	mirrorPatience = 2 * time.Minute
	// mirrorRefusals bounds the pods of which a refusal is remembered.
	mirrorRefusals = 1024
)

// The details of MirrorStale.
const (
	mirrorOtherRevision = "OtherRevision"
	mirrorTerminating   = "Terminating"
	mirrorEdited        = "Edited"
	mirrorLeftover      = "Leftover"
)

// mirrorRefusal is what the kubelet's log says of a mirror pod that it cannot make or delete, again and again since
// First. It is immutable.
type mirrorRefusal struct {
	First   time.Time `json:"first"`
	Last    time.Time `json:"last"`
	Message string    `json:"message"`
}

// mirrors is what is remembered of mirror pods.
type mirrors struct {
	refusals map[string]*mirrorRefusal // by the pod's namespace and name; "" is the node, which the API server lacks
	missing  map[string]time.Time      // pods of the kubelet that the API server was seen to lack: since when
	leftover map[string]time.Time      // mirrors of pods that the kubelet does not have: since when

	view   *mirror.View
	byName map[string]*mirror.Pod // of view
}

// mirrorEvidence is what is known of one pod's mirror. It is comparable.
type mirrorEvidence struct {
	pod     *mirror.Pod // nil when the API server had none when it last answered
	refusal *mirrorRefusal
	missing time.Time
}

func (m *mirrors) of(namespace, name string) mirrorEvidence {
	key := joinName(namespace, name)
	if key == "" {
		return mirrorEvidence{}
	}
	return mirrorEvidence{m.byName[key], m.refusals[key], m.missing[key]}
}

// hearMirror takes what the log says of a mirror pod.
func (r *round) hearMirror(e kubeletlog.Event, at time.Time) {
	m, key := &r.next.mirrors, joinName(e.Namespace, e.Pod)
	next := mirrorRefusal{First: at, Last: at, Message: clip(e.Message)}
	if old := m.refusals[key]; old != nil {
		before, _ := mirrorDetail(old.Message)
		now, _ := mirrorDetail(next.Message)
		if at.Sub(old.Last) <= mirrorPatience && before == now {
			next.First = earliest(old.First, at)
		}
		if at.Before(old.Last) {
			next.Last, next.Message = old.Last, old.Message
		}
	} else if len(m.refusals) >= mirrorRefusals {
		return // what is known is enough
	}
	if m.refusals = maps.Clone(m.refusals); m.refusals == nil {
		m.refusals = map[string]*mirrorRefusal{}
	}
	m.refusals[key] = &next
	r.next.changes++
}

// mirrors brings what is remembered of mirror pods up to what the API server and the kubelet say now.
func (r *round) mirrors() {
	m := &r.next.mirrors
	if r.o.Mirror != m.view {
		m.view, m.byName = r.o.Mirror, make(map[string]*mirror.Pod)
		if m.view != nil {
			for _, p := range m.view.Pods {
				m.byName[joinName(p.Namespace, p.Name)] = p
			}
		}
	}
	for key, refusal := range m.refusals {
		if r.silentSince(refusal.Last) {
			r.mendMirror(key)
		}
	}
	if r.world.mirror.fresh() {
		r.compareMirrors()
	}
	r.world.unregistered = m.refusals[""]
}

// compareMirrors dates what the API server lacks of the kubelet's pods, and the kubelet of the API server's.
func (r *round) compareMirrors() {
	m := &r.next.mirrors
	has := make(map[string]bool, len(r.next.pods))
	missing := map[string]time.Time{}
	for _, p := range r.next.pods {
		key := joinName(p.namespace, p.name)
		has[key] = true
		switch seen := m.byName[key]; {
		case seen == nil:
			missing[key] = earliest(m.missing[key], r.now)
		case m.refusals[key] != nil && seen.StaticUID == p.uid && seen.Deleting.IsZero():
			r.mendMirror(key)
		}
		// The API server dates by the second.
		if node, seen := m.refusals[""], m.byName[key]; node != nil && seen != nil && seen.Created.After(node.Last.Add(-time.Second)) {
			r.mendMirror("")
		}
	}
	m.missing = missing
	if !r.world.kubelet.fresh() || r.world.sourcesNotReady {
		return
	}
	leftover := map[string]time.Time{}
	for key := range m.byName {
		if !has[key] {
			leftover[key] = earliest(m.leftover[key], r.now)
		}
	}
	m.leftover = leftover
}

// mendMirror forgets what the kubelet said of a mirror pod.
func (r *round) mendMirror(key string) {
	m := &r.next.mirrors
	m.refusals = maps.Clone(m.refusals)
	delete(m.refusals, key)
	r.next.changes++
}

// silentSince reports whether the kubelet would have said again by now what it said last of a mirror pod.
func (r *round) silentSince(last time.Time) bool {
	log := r.o.Input(inputLog)
	if r.world.kubelet.down() || !log.Up || r.o.LogStats.Lag != 0 {
		return false
	}
	return r.now.Sub(latest(last, plain(r.o.Input(inputKubelet).Since), plain(log.Since))) > mirrorPatience
}

// judgeMirror asks whether the API server shows the pod as it runs. Nothing here applies to a kubelet that stands alone:
// it makes no mirrors, fails at none, and nobody asks an API server about it.
func (f *findings) judgeMirror() {
	if !f.wantsMirror() {
		return
	}
	w, m := &f.r.world, f.mirror.pod
	if f.mirrored() && w.mirror.fresh() {
		if m.Generation > 1 {
			f.add(manifest.Problem{Reason: MirrorStale, Detail: mirrorEdited,
				Message: "the specification of the mirror pod was edited in the API server: the kubelet takes no note of that, and runs the pod as it is defined"})
		}
		return
	}
	if p, ok := f.mirrorRefused(); ok {
		f.add(p)
		return
	}
	switch {
	case !w.mirror.fresh():
		for _, reason := range []manifest.Reason{MirrorMissing, MirrorStale} {
			if p, ok := f.was(reason, ""); ok && w.mirror.configured {
				f.add(p) // nobody says otherwise
			}
		}
	case m == nil:
		f.lateMirror(latest(f.mirror.missing, w.mirror.since, f.since()), manifest.Problem{Reason: MirrorMissing,
			Message: "the API server has no mirror of the pod" + w.whyNoMirror()})
	case !m.Deleting.IsZero():
		f.lateMirror(plain(m.Deleting), manifest.Problem{Reason: MirrorStale, Detail: mirrorTerminating,
			Message: "the mirror pod is being deleted, and does not go" + w.whyNoMirror()})
	default:
		f.lateMirror(latest(w.mirror.since, f.since(), plain(m.Created)), manifest.Problem{Reason: MirrorStale, Detail: mirrorOtherRevision,
			Message: fmt.Sprintf("the mirror pod is of UID %s, and the pod that runs has %s%s", m.StaticUID, f.uid, w.whyNoMirror())})
	}
}

// wantsMirror reports whether the kubelet would make a mirror of the pod: it runs, or is about to.
func (f *findings) wantsMirror() bool {
	if f.over() {
		return false
	}
	p := f.pod()
	return p == nil || !p.untouched && p.phase != corev1.PodSucceeded && p.phase != corev1.PodFailed
}

// mirrored reports whether the API server has the mirror of the very pod that runs.
func (f *findings) mirrored() bool {
	m := f.mirror.pod
	return m != nil && f.uid != "" && m.StaticUID == f.uid && m.Deleting.IsZero()
}

// mirrorRefused is what the kubelet says of the mirror of this revision. What may pass by itself is no news while it comes
// and goes.
func (f *findings) mirrorRefused() (manifest.Problem, bool) {
	said := f.mirror.refusal
	if said == nil {
		return manifest.Problem{}, false
	}
	if p := f.pod(); p != nil && p.seen.After(said.Last) {
		return manifest.Problem{}, false // of a revision before
	}
	detail, passes := mirrorDetail(said.Message)
	return manifest.Problem{Reason: MirrorFailed, Detail: detail, Message: said.Message, Since: said.First}, !passes || said.lasting()
}

// lasting reports whether the kubelet said it more than once or twice.
func (m *mirrorRefusal) lasting() bool { return m.Last.Sub(m.First) >= mirrorPatience }

// lateMirror adds a problem that the kubelet would have mended by itself in time, or that it was before.
func (f *findings) lateMirror(since time.Time, p manifest.Problem) {
	p.Since = since
	if old, ok := f.was(p.Reason, ""); ok && old.Detail == p.Detail || f.reached(since.Add(mirrorPatience)) {
		f.add(p)
	}
}

// whyNoMirror adds what is known of why the kubelet does nothing about it.
func (w *world) whyNoMirror() string {
	switch {
	case w.kubelet.down():
		return ": the kubelet does not answer"
	case w.sourcesNotReady:
		return ": the kubelet has not seen all its pod sources"
	}
	return ""
}

// mirroredCondition applies when there is an API server to ask.
func (f *findings) mirroredCondition() Condition {
	c := Condition{Type: Mirrored, Status: False}
	w, m := &f.r.world, f.mirror.pod
	if !w.mirror.fresh() {
		c.Status, c.Reason, c.Message = Unknown, string(MirrorUnavailable), f.r.next.codes[MirrorUnavailable].Meaning
		return c
	}
	if f.mirrored() {
		c.Status, c.LastTransitionTime = True, plain(m.Created)
		return c
	}
	p, found := f.found(MirrorFailed, MirrorMissing, MirrorStale)
	switch {
	case found:
		c.Reason, c.Message = string(p.Reason), p.Message
	case f.uid == "" || f.over():
		c.Reason, c.Message = f.cause(StageDefinition, StageDelivery, StageAdmission)
		c.Reason = firstOf(c.Reason, notYetAccepted)
	case m == nil:
		c.Reason, c.Message = notYetMirrored, "the API server does not have the mirror pod yet"
	case !m.Deleting.IsZero():
		c.Reason, c.Message = mirrorTerminating, "the mirror pod is being deleted"
	default:
		c.Reason, c.Message = otherRevision, "the mirror pod is of UID "+m.StaticUID
	}
	return c
}

// mirrorProblems are those of the node: an API server that cannot be asked, one that does not know the node, and
// mirrors of pods that the node does not have.
func (r *round) mirrorProblems() []manifest.Problem {
	var problems []manifest.Problem
	if s := r.o.Input(inputMirror); s.Configured && !s.Up {
		p := manifest.Problem{Reason: MirrorUnavailable, Message: s.Err, Since: s.Since}
		if s.Unauthorized {
			p.Detail = "Unauthorized"
		}
		problems = append(problems, p)
	}
	if u := r.world.unregistered; u != nil && u.lasting() {
		problems = append(problems, manifest.Problem{Reason: NodeUnregistered, Message: u.Message, Since: u.First})
	}
	var names []string
	var since time.Time
	for key, at := range r.next.mirrors.leftover {
		if r.now.Sub(at) >= mirrorPatience {
			names, since = append(names, key), earliest(since, at)
		}
	}
	if len(names) > 0 {
		slices.Sort(names)
		problems = append(problems, manifest.Problem{Reason: MirrorStale, Detail: mirrorLeftover, Since: since,
			Message: clip("the API server has mirror pods of this node that it does not run: " + strings.Join(names, ", "))})
	}
	return problems
}

// mirrorDetail finds in the words of the API server, or of the kubelet's client, what refused the mirror pod, and whether
// that may pass by itself.
func mirrorDetail(message string) (detail string, passes bool) {
	for _, d := range mirrorDetails {
		for _, words := range d.words {
			if strings.Contains(message, words) {
				return d.detail, d.passes
			}
		}
	}
	return "", false
}

// mirrorDetails in the order in which they are looked for: a webhook may say anything.
var mirrorDetails = [...]struct {
	detail string
	passes bool
	words  []string
}{
	{"Webhook", false, []string{"admission webhook ", "failed calling webhook "}},
	{"AdmissionPolicy", false, []string{"ValidatingAdmissionPolicy ", "MutatingAdmissionPolicy "}},
	{"PodSecurity", false, []string{"violates PodSecurity "}},
	{"Quota", false, []string{"exceeded quota: ", "failed quota: ", "status unknown for quota: "}},
	{"LimitRange", false, []string{" usage per Container is ", " usage per Pod is ", "limit to request ratio per "}},
	{"Priority", false, []string{"no PriorityClass with name ", "the integer value of priority ", "string value of preemptionPolicy "}},
	{"NamespaceTerminating", false, []string{"because it is being terminated"}},
	{"NamespaceMissing", false, []string{"namespaces \""}},
	{"Unauthorized", false, []string{"Unauthorized", " cannot create resource ", " cannot delete resource "}},
	// A kubelet that starts, or whose API server was away, has not seen yet what it made itself.
	{"NameTaken", true, []string{"\" already exists"}},
	{"NodeMissing", true, []string{"failed to get node UID: "}},
	{"Unreachable", true, []string{"connection refused", "no route to host", "i/o timeout", "TLS handshake timeout", "connection reset by peer",
		"no such host", "unexpected EOF", ": EOF", "context deadline exceeded", "http2: ", "Client.Timeout exceeded", "the server is currently unable", "etcdserver: "}},
}
