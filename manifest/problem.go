package manifest

import "time"

// A Reason is the code of a problem. Codes are a contract: metrics carry them as a label, alerts and
// docs/reasons.md name them. This package owns the codes of the definition and delivery stages that it
// can find by itself; collector/status owns the rest and the table of all.
type Reason string

// Codes of the definition stage, critical. Those marked Q quarantine the definition: it is not served.
const (
	ManifestUnreadable      Reason = "ManifestUnreadable"
	ManifestMalformed       Reason = "ManifestMalformed"       // Q
	NotAPod                 Reason = "NotAPod"                 // Q
	ManifestInvalid         Reason = "ManifestInvalid"         // Q
	APIReference            Reason = "APIReference"            // Q
	RuntimeClassUnsupported Reason = "RuntimeClassUnsupported" // Q
	DuplicateName           Reason = "DuplicateName"           // Q
	CrossSourceDuplicate    Reason = "CrossSourceDuplicate"    // Q
	HostPortConflict        Reason = "HostPortConflict"        // Q, the newcomer
	// UnsafeMetadata is metadata that the kubelet takes as it is from its directory or another's list, and that
	// keeps the pod from running or harms the node: MirrorAnnotation, DeletionTimestamp, UnsafeUID, DuplicateUID.
	UnsafeMetadata Reason = "UnsafeMetadata"
)

// Codes of the definition stage, warning.
const (
	LastRevisionKept   Reason = "LastRevisionKept"
	MassRemovalHeld    Reason = "MassRemovalHeld"
	UnknownField       Reason = "UnknownField"
	DuplicateKey       Reason = "DuplicateKey"
	ExtraDocument      Reason = "ExtraDocument"
	StrayFile          Reason = "StrayFile"
	PriorityIncomplete Reason = "PriorityIncomplete"
	UIDIgnored         Reason = "UIDIgnored"
	// UIDFixed is a UID of the author's that the kubelet takes as it is: most edits never reach the running pod.
	UIDFixed Reason = "UIDFixed"
)

// Codes of the delivery stage and of the node that the store itself gives.
const (
	ListRejected     Reason = "ListRejected"
	ManifestRejected Reason = "ManifestRejected" // Q: the kubelet refused what our validation accepts
	ConfigInvalid    Reason = "ConfigInvalid"
)

// Level says how much a problem hurts.
type Level string

// The levels: Critical does not run as defined, Warning will hurt, Info is worth knowing.
const (
	Critical Level = "critical"
	Warning  Level = "warning"
	Info     Level = "info"
)

// A Problem is one thing that is wrong, where, since when, and in whose words.
type Problem struct {
	Reason  Reason    `json:"reason"`
	Level   Level     `json:"level"`
	Message string    `json:"message"`          // the kubelet's own words where it has any, at most 1 KiB
	Detail  string    `json:"detail,omitempty"` // a sub-code, such as the admission reason NodePorts
	Path    string    `json:"path,omitempty"`
	Line    int       `json:"line,omitempty"`   // from 1; 0 is unknown
	Column  int       `json:"column,omitempty"` // in characters, from 1; 0 is unknown
	Field   string    `json:"field,omitempty"`  // as the kubelet writes it: spec.containers[0].image
	Since   time.Time `json:"since"`            // when it began, by the evidence's own clock
}

// Same reports whether p and q are one problem, seen twice: everything but the words and the time agrees.
func (p Problem) Same(q Problem) bool {
	return p.Reason == q.Reason && p.Detail == q.Detail && p.Path == q.Path && p.Line == q.Line && p.Field == q.Field
}
