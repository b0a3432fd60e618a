package kubeletlog

import (
	"strconv"
	"strings"
)

// A rule makes an event of a message that begins with prefix. fill gets what comes after that and reports
// whether the record is what it looked like. A prefix holds nothing that either format escapes.
type rule struct {
	prefix string
	kind   Kind
	fill   func(e *Event, f *fields, rest string) bool

	head, mask uint64 // the first eight bytes of prefix, and which of them count
}

// rules by the first byte of their prefix. It is never changed.
var rules = byFirst(
	on("Could not process manifest file", ManifestRefused, aboutPath),
	on("Can't process manifest file ", ManifestRefused, aboutQuoted),
	on("Could not get metadata", ManifestRefused, aboutPath),
	on("Can't get metadata for ", ManifestRefused, aboutQuoted),
	on("Manifest path is not a directory or file", ManifestRefused, aboutMode),
	on("Manifest path ", ManifestRefused, aboutQuoted),
	on("Unable to process watch event", WatchFailed, aboutWatch),
	on("Unable to read config path ", DirectoryMissing, aboutQuoted),
	on("Unable to read config path", DirectoryMissing, aboutPath),
	on("Provided manifest path is a directory, not recursing into manifest path", SubDirectory, aboutPath),
	on("Not recursing into manifest path ", SubDirectory, aboutQuoted),

	on("Failed to read pods from URL", URLRefused, aboutURL),
	on("Successfully read pods from URL", URLRead, func(_ *Event, _ *fields, rest string) bool { return rest == "" || rest == "." }),

	on("Pod failed validation due to duplicate pod name, ignoring", NameDuplicate, aboutDuplicate),
	on("Pod[", NameDuplicate, aboutOldDuplicate),
	on("Static pod has ", PriorityIncomplete, aboutPriority),
	on("Pod admission denied", AdmissionDenied, aboutAdmission),

	on("Error syncing pod, skipping", SyncFailed, aboutSync),
	on("Error syncing pod ", SyncFailed, aboutOldSync),
	on("Unable to make pod data directories for pod", SyncFailed, aboutDirectories),

	on("Unable to attach or mount volumes for pod; skipping pod", VolumeFailed, aboutPod),
	on("Error processing volume", VolumeFailed, aboutVolume),
	on("Failed to add volume to desiredStateOfWorld", VolumeFailed, aboutVolume),
	on("Operation for ", VolumeFailed, aboutOperation),
	on("operationExecutor.MountVolume failed", VolumeFailed, aboutExecutor),
	on("operationExecutor.VerifyControllerAttachedVolume failed", VolumeFailed, aboutExecutor),

	on("Failed creating a mirror pod", MirrorFailed, aboutPod),
	on("Failed deleting mirror pod", MirrorFailed, aboutPod),
	on("Failed deleting a mirror pod", MirrorFailed, aboutPod),
	on("Encountered error when deleting mirror pod", MirrorFailed, aboutPod),
	on("No need to create a mirror pod, since ", MirrorFailed, aboutMirrorNode),
	on("Unable to register mirror pod because node is not registered yet", MirrorFailed, aboutPod),
	on("Failed to wait until node is registered", MirrorFailed, aboutPod),

	on("Probe failed", ProbeFailed, aboutProbe),
	on("Probe errored", ProbeErrored, aboutProbe),
	on("Message for Container of pod", ProbeKills, aboutKilling),
	on("Event occurred", PullBegun, aboutPull),

	on("Container termination failed with gracePeriod", KillFailed, aboutContainer),
	on("Kill container failed", KillFailed, aboutContainer),
	on("killContainer for pod failed", KillFailed, aboutContainer),
	on("KillPod failed", KillFailed, aboutContainer),
	on("PreStop hook failed", KillFailed, aboutContainer),

	on("Adding static pod path", KubeletStarted, aboutPath),
	on("Adding pod path: ", KubeletStarted, aboutPlainPath),
	on("Adding pod URL ", KubeletStarted, aboutStart),
)

func on(prefix string, kind Kind, fill func(*Event, *fields, string) bool) rule {
	r := rule{prefix: prefix, kind: kind, fill: fill}
	for i := range min(8, len(prefix)) {
		r.head |= uint64(prefix[i]) << (8 * i)
		r.mask |= 0xff << (8 * i)
	}
	return r
}

func byFirst(all ...rule) (index [256][]rule) {
	for _, r := range all {
		index[r.prefix[0]] = append(index[r.prefix[0]], r)
	}
	return index
}

// err returns the error of a record: its key "err", or what Talos and older kubelets append to the message.
func (f *fields) err(rest string) (string, bool) {
	if rest == "" {
		return f.get("err"), true
	}
	return strings.CutPrefix(rest, ": ")
}

// pod names the pod of the record.
func (e *Event) pod(f *fields) {
	ref := f.get("pod")
	if ref == "" {
		if name, namespace, ok := strings.Cut(f.get("podName"), "_"); ok { // podName is name_namespace
			e.Pod, e.Namespace = name, namespace
		}
	} else if namespace, name, ok := strings.Cut(ref, "/"); ok {
		e.Namespace, e.Pod = namespace, name
	} else {
		e.Pod = ref
	}
	e.UID = f.get("podUID")
}

func aboutPath(e *Event, f *fields, rest string) (ok bool) {
	e.Path = f.get("path")
	e.Message, ok = f.err(rest)
	return ok && e.Path != ""
}

// aboutQuoted reads `"<path>": <err>`, `"<path>" is …` and `"<path>"` of older kubelets.
func aboutQuoted(e *Event, _ *fields, rest string) bool {
	quoted, err := strconv.QuotedPrefix(rest)
	if err != nil {
		return false
	}
	e.Path, err = strconv.Unquote(quoted)
	e.Message = strings.TrimLeft(rest[len(quoted):], ": ")
	return err == nil && e.Path != ""
}

func aboutMode(e *Event, f *fields, rest string) bool {
	e.Path = f.get("path")
	e.Message = "not a directory or file: " + f.get("mode")
	return rest == "" && e.Path != ""
}

func aboutWatch(e *Event, f *fields, rest string) (ok bool) {
	if e.Message, ok = f.err(rest); !ok {
		return false
	}
	if file, found := strings.CutPrefix(e.Message, "can't process config file "); found {
		return aboutQuoted(e, f, file)
	}
	return true
}

func aboutURL(e *Event, f *fields, rest string) (ok bool) {
	rest = strings.TrimPrefix(rest, ". Dropping verbosity of this message to V(4)")
	e.Message, ok = f.err(rest)
	if !refusal(e.Message) {
		e.Kind = URLUnreachable
	}
	return ok && e.Message != ""
}

// refusal reports whether the kubelet judged what it was served. Everything else happened on the way and
// is no verdict: a status other than 200, a refused connection, a timeout, a body over the read limit.
func refusal(err string) bool {
	for _, verdict := range []string{
		"invalid pod", "static pods may not ", "zero-length data received from ",
		"unknown volume type ", "unknown source for projected volume ",
	} {
		if strings.HasPrefix(err, verdict) {
			return true
		}
	}
	return strings.Contains(err, ": received '")
}

func aboutDuplicate(e *Event, f *fields, rest string) bool {
	e.pod(f)
	e.Reason = f.get("source")
	e.Message = "duplicate pod name, ignoring"
	return rest == "" && e.Pod != ""
}

// aboutOldDuplicate reads `Pod[1] (name_ns(uid)) from http failed validation due to duplicate pod name …`.
func aboutOldDuplicate(e *Event, _ *fields, rest string) bool {
	_, rest, ok := strings.Cut(rest, "] (")
	name, rest, named := strings.Cut(rest, ") from ")
	source, _, said := strings.Cut(rest, " failed validation due to duplicate pod name")
	e.Reason = source
	e.Message = "duplicate pod name, ignoring"
	return ok && named && said && e.fullName(name)
}

// fullName reads name_namespace(uid).
func (e *Event) fullName(s string) bool {
	name, rest, ok := strings.Cut(s, "_")
	namespace, uid, _ := strings.Cut(rest, "(")
	e.Pod, e.Namespace, e.UID = name, namespace, strings.TrimSuffix(uid, ")")
	return ok && name != ""
}

func aboutPriority(e *Event, f *fields, rest string) bool {
	e.pod(f)
	e.Message = f.msg
	return strings.Contains(rest, "priority") && e.Pod != ""
}

func aboutAdmission(e *Event, f *fields, rest string) bool {
	e.pod(f)
	e.Reason, e.Message = f.get("reason"), f.get("message")
	return rest == "" && e.Reason != "" && f.get("operation") != "resize" // the pod runs on, with what it has
}

func aboutSync(e *Event, f *fields, rest string) (ok bool) {
	e.pod(f)
	e.Message, ok = f.err(rest)
	return ok && e.sync()
}

// aboutOldSync reads `<uid> ("name_ns(uid)"), skipping: <err>`.
func aboutOldSync(e *Event, _ *fields, rest string) bool {
	name, rest, ok := strings.Cut(rest, `), skipping: `)
	uid, name, named := strings.Cut(name, ` ("`)
	e.Message = rest
	return ok && named && e.fullName(strings.TrimSuffix(name, `"`)) && uid == e.UID && e.sync()
}

func aboutDirectories(e *Event, f *fields, rest string) bool {
	ok := aboutPod(e, f, rest)
	e.Message = "making pod data directories: " + e.Message
	return ok && e.Pod != ""
}

// sync takes the error of a failed sync apart.
func (e *Event) sync() bool {
	if strings.HasPrefix(e.Message, "unmounted volumes=") {
		e.Kind = VolumeFailed
		return true
	}
	e.Failures = failures(e.Message)
	for _, f := range e.Failures {
		if f.Action == "StartContainer" || f.Action == "InitContainer" {
			e.Container = f.Target
			break
		}
	}
	return e.Message != "" && (e.Pod != "" || e.UID != "")
}

func aboutPod(e *Event, f *fields, rest string) (ok bool) {
	e.pod(f)
	e.Message, ok = f.err(rest)
	return ok
}

func aboutVolume(e *Event, f *fields, rest string) bool {
	ok := aboutPod(e, f, rest)
	if name := f.get("volumeName"); name != "" {
		e.Message = "volume " + strconv.Quote(name) + ": " + e.Message
	}
	return ok && e.Pod != ""
}

// aboutOperation reads `"{volumeName:… podName:<uid> nodeName:}" failed. No retries … Error: MountVolume.SetUp
// failed for volume "s" (UniqueName: …) pod "<name>" (UID: "<uid>") : …`. It has no namespace.
func aboutOperation(e *Event, _ *fields, rest string) bool {
	_, said, ok := strings.Cut(rest, ". Error: ")
	if !ok || !(strings.HasPrefix(said, "MountVolume.") || strings.HasPrefix(said, "MapVolume.")) {
		return false
	}
	e.Message = said
	e.Pod = between(said, ` pod "`, `"`)
	e.UID = between(said, `(UID: "`, `"`)
	return e.Pod != "" || e.UID != ""
}

// aboutExecutor is like aboutOperation, with the pod as a key.
func aboutExecutor(e *Event, f *fields, _ string) bool {
	e.pod(f)
	if e.UID == "" {
		e.UID = between(f.msg, `(UID: "`, `"`)
	}
	e.Message = f.msg
	return e.Pod != "" || e.UID != ""
}

func between(s, before, after string) string {
	_, s, _ = strings.Cut(s, before)
	s, _, ok := strings.Cut(s, after)
	if !ok {
		return ""
	}
	return s
}

func aboutMirrorNode(e *Event, f *fields, rest string) bool {
	why, merged, _ := strings.Cut(rest, ": ")
	e.Message = why
	if err := f.get("err") + merged; err != "" {
		e.Message += ": " + err
	}
	return true
}

func aboutProbe(e *Event, f *fields, rest string) (ok bool) {
	e.pod(f)
	e.Reason, e.Container = f.get("probeType"), f.get("containerName")
	e.Message, ok = f.err(rest)
	if e.Message == "" {
		e.Message = probeWords(f.get("output"))
	}
	return ok && e.Pod != "" && e.Reason != ""
}

// aboutKilling reads why a running container is ended: "Container c failed liveness probe, will be restarted".
func aboutKilling(e *Event, f *fields, rest string) bool {
	e.pod(f)
	e.Container, e.Message = f.get("containerName"), f.get("containerMessage")
	switch {
	case strings.Contains(e.Message, " failed liveness probe"):
		e.Reason = "Liveness"
	case strings.Contains(e.Message, " failed startup probe"):
		e.Reason = "Startup"
	}
	return rest == "" && e.Pod != "" && e.Reason != ""
}

// aboutPull reads the events about an image. All others are told by lines of their own, at lower verbosity.
func aboutPull(e *Event, f *fields, rest string) bool {
	e.Namespace, e.Pod, _ = strings.Cut(f.get("object"), "/")
	e.Container = between(f.get("fieldPath"), "ontainers{", "}")
	e.Message = f.get("message")
	switch f.get("reason") {
	case "Pulling":
	case "Pulled", "Created", "Failed":
		e.Kind = PullEnded
	default:
		return false
	}
	return rest == "" && e.Pod != "" && e.Container != ""
}

func aboutContainer(e *Event, f *fields, rest string) (ok bool) {
	e.pod(f)
	e.Container = f.get("containerName")
	e.Message, ok = f.err(rest)
	return ok && e.Pod != "" && e.Message != ""
}

func aboutPlainPath(e *Event, _ *fields, rest string) bool {
	e.Path = rest
	return true
}

// aboutStart keeps the URL and nothing else: the header carries tokens, and older kubelets print both as
// one text.
func aboutStart(e *Event, f *fields, rest string) bool {
	e.Message = f.get("URL")
	if quoted, err := strconv.QuotedPrefix(rest); err == nil {
		e.Message, _ = strconv.Unquote(quoted)
	}
	return true
}
