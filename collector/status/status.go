// Package status gives the verdict: one StaticPodStatus per static pod of the node, derived from an
// Observation and the Snapshot before it by a pure function.
package status

import (
	"time"

	"github.com/staticpod-exporter/staticpod-exporter/collector"
	"github.com/staticpod-exporter/staticpod-exporter/manifest"
)

// The types of resources, as talosctl prints them.
const (
	TypeStaticPod       = "StaticPod"
	TypeStaticPodStatus = "StaticPodStatus"
	// Namespace is the resource namespace of both.
	Namespace = "k8s"
	// NodeID is the ID of the StaticPodStatus that lists the problems of the node itself.
	NodeID = "node"
)

// Metadata of a resource, as in Talos. Version starts at 1 and rises by one per effective change.
type Metadata struct {
	Namespace string    `json:"namespace"`
	Type      string    `json:"type"`
	ID        string    `json:"id"`
	Version   uint64    `json:"version"`
	Created   time.Time `json:"created"`
	Updated   time.Time `json:"updated"`
}

// A StaticPod is a definition on the wire.
type StaticPod struct {
	Node     string        `json:"node"`
	Metadata Metadata      `json:"metadata"`
	Spec     StaticPodSpec `json:"spec"`
}

// StaticPodSpec says what somebody defined and whether it is sound.
type StaticPodSpec struct {
	Namespace  string             `json:"namespace"`
	Name       string             `json:"name"`
	Source     manifest.Source    `json:"source"`
	Path       string             `json:"path"`
	Line       int                `json:"line"`
	Hash       string             `json:"hash"`
	UID        string             `json:"uid"`
	Served     bool               `json:"served"`
	Valid      bool               `json:"valid"`
	Containers []ContainerImage   `json:"containers"`
	Problems   []manifest.Problem `json:"problems"`
}

// ContainerImage is a container as defined.
type ContainerImage struct {
	Name  string `json:"name"`
	Image string `json:"image"`
}

// A StaticPodStatus is the verdict on the wire.
type StaticPodStatus struct {
	Node     string     `json:"node"`
	Metadata Metadata   `json:"metadata"`
	Spec     StatusSpec `json:"spec"`
}

// StatusSpec says what became of a static pod.
type StatusSpec struct {
	Pod        PodRef        `json:"pod"`
	Definition DefinitionRef `json:"definition"`
	Ready      bool          `json:"ready"`
	Phase      string        `json:"phase"` // the kubelet's; "" for a pod that it does not have
	// Reason is the headline: the most causal problem, "" when there is none. While the status is stale and
	// none of its own problems is critical it is the node's problem that makes it so.
	Reason     manifest.Reason    `json:"reason"`
	Message    string             `json:"message"`
	Since      time.Time          `json:"since"` // of the headline, else of the last change of Ready
	Stale      bool               `json:"stale"` // part of the evidence is old: see Observed
	Conditions []Condition        `json:"conditions"`
	Problems   []manifest.Problem `json:"problems"`
	Containers []ContainerStatus  `json:"containers"`
	// Rollout is the last one that was seen of the pod, also after its end; nil when none was.
	Rollout  *Rollout `json:"rollout,omitempty"`
	Observed Observed `json:"observed"`
}

// PodRef names the pod the kubelet runs.
type PodRef struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"` // with the node's name
	UID       string `json:"uid"`
	MirrorUID string `json:"mirrorUid"`
}

// DefinitionRef names the definition it comes from; zero, but for the source that the kubelet says, when there
// is none to be seen.
type DefinitionRef struct {
	ID      string          `json:"id"`
	Version uint64          `json:"version"`
	Source  manifest.Source `json:"source"`
	Path    string          `json:"path"`
	Hash    string          `json:"hash"`
}

// ConditionType names a step from definition to a running pod.
type ConditionType string

// The conditions, in the order of cause. Fetched applies to definitions that we serve, Mirrored when a
// mirror source is configured; one that does not apply is absent.
const (
	Valid    ConditionType = "Valid"
	Fetched  ConditionType = "Fetched"
	Accepted ConditionType = "Accepted"
	Started  ConditionType = "Started"
	Ready    ConditionType = "Ready"
	Current  ConditionType = "Current"
	Mirrored ConditionType = "Mirrored"
)

// ConditionStatus is True, False or Unknown.
type ConditionStatus string

// The values of a condition.
const (
	True    ConditionStatus = "True"
	False   ConditionStatus = "False"
	Unknown ConditionStatus = "Unknown"
)

// A Condition is one step and whether it is done.
type Condition struct {
	Type               ConditionType   `json:"type"`
	Status             ConditionStatus `json:"status"`
	Reason             string          `json:"reason"`
	Message            string          `json:"message"`
	LastTransitionTime time.Time       `json:"lastTransitionTime"`
}

// The kinds of a container.
const (
	KindInit    = "init"
	KindSidecar = "sidecar"
	KindApp     = "app"
)

// The states of a container.
const (
	StateWaiting = "waiting"
	StateCreated = "created"
	StateRunning = "running"
	StateExited  = "exited"
	StateUnknown = "unknown"
)

// ContainerStatus is one container of a static pod.
type ContainerStatus struct {
	Name         string    `json:"name"`
	Kind         string    `json:"kind"` // init, sidecar or app
	Image        string    `json:"image"`
	ImageID      string    `json:"imageId"`
	ID           string    `json:"id"` // of the newest attempt, without the runtime's scheme
	PID          int       `json:"pid"`
	State        string    `json:"state"` // waiting, created, running, exited, unknown
	Reason       string    `json:"reason,omitempty"`
	Ready        bool      `json:"ready"`
	RestartCount int       `json:"restartCount"`
	StartedAt    time.Time `json:"startedAt,omitzero"`
	LastExit     *Exit     `json:"lastExit,omitempty"`
}

// Exit is how a container ended last.
type Exit struct {
	Code   int       `json:"code"`
	Reason string    `json:"reason"`
	At     time.Time `json:"at"`
}

// Observed dates the evidence: when each input last told about this pod. It alone never raises the version.
type Observed struct {
	Manifest time.Time `json:"manifest,omitzero"`
	Kubelet  time.Time `json:"kubelet,omitzero"`
	Runtime  time.Time `json:"runtime,omitzero"`
	Log      time.Time `json:"log,omitzero"`
	Mirror   time.Time `json:"mirror,omitzero"`
}

// A Snapshot is the whole truth of the node, at one moment. It and all it points to are immutable. A pod
// that did not change keeps its pointer from one Snapshot to the next; at most once a minute it is replaced by
// a copy of the same version with later dates in Observed.
type Snapshot struct {
	Node     string
	At       time.Time
	Pods     []*StaticPod       // sorted by ID
	Statuses []*StaticPodStatus // sorted by ID, that of the node (NodeID) included
	Inputs   []collector.InputState
	// Counters since start.
	ProblemsTotal map[manifest.Reason]uint64
	Info          NodeInfo
	// Observation is what the Snapshot was derived from, for counters that need no verdict.
	Observation *collector.Observation
	// Verdict on the served document, for the manifest store; zero while there is none.
	Verdict manifest.Verdict
	// Laps are the parts of rollouts that were done since the Snapshot before, each told once, also over restarts.
	// Ended are the last rollouts that no status shows, oldest first, at most 64.
	Laps  []Lap
	Ended []EndedRollout
	// Transitions are the problems that began or ended since the Snapshot before; what a former process told is not
	// told again.
	Transitions []Transition

	memory memory
}

// NodeInfo is what is constant about a node while nobody upgrades it.
type NodeInfo struct {
	Node, KubeletVersion, Runtime, RuntimeVersion string
	Mode                                          string // serving or observing
}

// Condition returns a condition of s.
func (s *StaticPodStatus) Condition(t ConditionType) (Condition, bool) {
	for _, c := range s.Spec.Conditions {
		if c.Type == t {
			return c, true
		}
	}
	return Condition{}, false
}
