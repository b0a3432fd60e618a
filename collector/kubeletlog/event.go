// Package kubeletlog follows the kubelet's log, wherever it is, over rotation, truncation, reconnects and
// restarts, and turns the lines about static pods into typed events.
//
// Bytes flow one way: a transport brings them (a tail from a file, a journal from journalctl, streams and
// datagrams from the network, an input from standard input), an assembler cuts them into records and keeps
// those that may matter, Parse makes an Event of a record, and the Follower holds the events until they are
// drained. Only the transport knows where the log is, and only Parse knows what a record looks like.
//
// A record is known by its message alone, never by its file:line or severity: those change between
// releases of the kubelet. Credentials, the received manifests that the kubelet quotes and the commands of
// hooks and probes are cut out before a word is kept.
package kubeletlog

import "time"

// Kind of an event.
type Kind string

// The kinds. The message each is made from is in the comment; research and recorded lines are in testdata.
const (
	ManifestRefused    Kind = "ManifestRefused"    // Could not process manifest file, Could not get metadata, not a file (Path)
	WatchFailed        Kind = "WatchFailed"        // Unable to process watch event (Path): may be a half-written file
	DirectoryMissing   Kind = "DirectoryMissing"   // Unable to read config path (Path)
	SubDirectory       Kind = "SubDirectory"       // Provided manifest path is a directory (Path)
	URLRefused         Kind = "URLRefused"         // Failed to read pods from URL, because of what was served: a verdict
	URLUnreachable     Kind = "URLUnreachable"     // Failed to read pods from URL, by status code or transport: no verdict
	URLRead            Kind = "URLRead"            // Successfully read pods from URL: proves nothing
	NameDuplicate      Kind = "NameDuplicate"      // Pod failed validation due to duplicate pod name, ignoring (Reason is the source)
	AdmissionDenied    Kind = "AdmissionDenied"    // Pod admission denied (Reason, Message)
	SyncFailed         Kind = "SyncFailed"         // Error syncing pod, skipping (Failures, or Message alone)
	VolumeFailed       Kind = "VolumeFailed"       // MountVolume.SetUp failed …, Unable to attach or mount volumes, or a sync error "unmounted volumes=[…]"
	MirrorFailed       Kind = "MirrorFailed"       // Failed creating a mirror pod and its kin; without Pod when the node is what is missing
	ProbeFailed        Kind = "ProbeFailed"        // Probe failed (Reason is the probe's type)
	ProbeErrored       Kind = "ProbeErrored"       // Probe errored: the kubelet does not count it (Reason is the probe's type)
	ProbeKills         Kind = "ProbeKills"         // Message for Container of pod: … failed liveness probe, will be restarted (Reason is the probe's type)
	PullBegun          Kind = "PullBegun"          // Event occurred, reason Pulling
	PullEnded          Kind = "PullEnded"          // Event occurred, reason Pulled, Created or Failed
	KillFailed         Kind = "KillFailed"         // Container termination failed with gracePeriod and its kin
	KubeletStarted     Kind = "KubeletStarted"     // Adding static pod path (Path), Adding pod URL with HTTP header (Message is the URL)
	PriorityIncomplete Kind = "PriorityIncomplete" // Static pod has priorityClassName and nil priority …
)

// An Event is one line of the kubelet's log that says something about a static pod.
type Event struct {
	At   time.Time // the kubelet's own clock
	Read time.Time // when the line was read
	Kind Kind
	Path string // of a manifest, as the kubelet sees it
	// Namespace and Pod name the pod with the node's name; UID may be there without them.
	Namespace, Pod, UID string
	Container           string
	Reason              string // of an admission refusal, the type of a probe (Liveness, Readiness or Startup), or the source of a duplicate
	Message             string // the kubelet's words, at most 1 KiB, without the body it quotes
	Failures            []Failure
}

// A Failure is one element of the error of "Error syncing pod, skipping":
// failed to "<Action>" for "<Target>" with <Reason>: "<message>".
type Failure struct {
	Action, Target, Reason, Message string
}

// Stats of the follower since start.
type Stats struct {
	Lines, Bytes, Events uint64
	Gaps                 uint64 // times that lines may have been lost beyond recovery
	Oversized            uint64 // lines and records too long to be kept whole
	Lag                  int64  // bytes not yet read; 0 where that cannot be known
	Noise                Noise  // lines that look like trouble and are none
}
