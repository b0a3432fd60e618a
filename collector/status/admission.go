package status

import (
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/staticpod-exporter/staticpod-exporter/manifest"
)

// waitingGrace is how long a pod may lie untouched before it is said to wait: the kubelet begins with a new
// one at once.
const waitingGrace = 5 * time.Second

// judgeAdmission asks whether the kubelet admitted the pod.
func (f *findings) judgeAdmission() {
	p := f.pod()
	switch {
	case p == nil:
		f.judgeDenial()
	case p.rejected():
		f.add(manifest.Problem{Reason: admissionReason(p.reason), Detail: p.reason, Message: p.message, Since: f.deniedAt(p)})
	case p.phase == corev1.PodFailed && p.reason == "Terminated" && strings.Contains(p.message, "node shutdown"):
		f.add(manifest.Problem{Reason: NodeShutdown, Detail: p.reason, Message: p.message, Since: p.ready.since})
	case f.waits():
		f.judgeWaiting(p)
	}
}

func admissionReason(kubelet string) manifest.Reason {
	if kubelet == string(NodeShutdown) {
		return NodeShutdown
	}
	return AdmissionRejected
}

// deniedAt dates a rejection by the log's line, else by when the kubelet first saw the pod.
func (f *findings) deniedAt(p *podFacts) time.Time {
	if f.words != nil && f.words.Denied != nil && f.words.Denied.Reason == p.reason {
		return f.words.Denied.At
	}
	return p.seen
}

// judgeDenial believes the log's word for it when the kubelet cannot be asked and nothing runs.
func (f *findings) judgeDenial() {
	if f.words == nil || f.words.Denied == nil || f.r.world.kubelet.known || len(f.sandboxes) > 0 {
		return
	}
	denied := f.words.Denied
	f.add(manifest.Problem{Reason: admissionReason(denied.Reason), Detail: denied.Reason, Message: denied.Message, Since: denied.At})
}

// waits reports whether the kubelet has the pod and has not begun with it: one of its name is in the way.
func (f *findings) waits() bool {
	p := f.pod()
	return p != nil && p.untouched && (p.phase == corev1.PodPending || p.phase == "")
}

func (f *findings) judgeWaiting(p *podFacts) {
	message := "the kubelet has not begun with the pod: one of its name has yet to end"
	others := f.otherIncarnations()
	_, said := f.was(WaitingForTermination, "")
	switch {
	case len(others) == 0 && len(f.incarnation()) > 0:
		return // it is the kubelet that began anew, and has yet to look at what it runs
	case len(others) > 0:
		message = "an earlier pod of this name still runs: UID " + others[0].UID
	case len(f.pods) > 1:
		message = "another pod of this name is there: UID " + f.pods[1].uid
	case !said && !p.seen.IsZero() && !f.reached(p.seen.Add(waitingGrace)):
		return
	}
	f.add(manifest.Problem{Reason: WaitingForTermination, Message: message, Since: p.seen})
}
