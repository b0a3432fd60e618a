package status

import "github.com/staticpod-exporter/staticpod-exporter/manifest"

// StopPending is of the definition stage: what the kubelet will do to a running pod because of a file.
const StopPending manifest.Reason = "StopPending"

// Codes of the delivery stage that the store cannot find by itself.
const (
	KubeletNotFetching manifest.Reason = "KubeletNotFetching"
	NotAccepted        manifest.Reason = "NotAccepted"
)

// Codes of the admission stage.
const (
	AdmissionRejected     manifest.Reason = "AdmissionRejected"
	NodeShutdown          manifest.Reason = "NodeShutdown"
	WaitingForTermination manifest.Reason = "WaitingForTermination"
)

// Codes of the start stage.
const (
	SandboxFailed        manifest.Reason = "SandboxFailed"
	VolumeMountFailed    manifest.Reason = "VolumeMountFailed"
	ImagePullFailed      manifest.Reason = "ImagePullFailed"
	ContainerConfigError manifest.Reason = "ContainerConfigError"
	ContainerStartFailed manifest.Reason = "ContainerStartFailed"
	InitContainerFailed  manifest.Reason = "InitContainerFailed"
	ImagePullSlow        manifest.Reason = "ImagePullSlow"
)

// Codes of the run stage.
const (
	CrashLoopBackOff manifest.Reason = "CrashLoopBackOff"
	ContainerExited  manifest.Reason = "ContainerExited"
	OOMKilled        manifest.Reason = "OOMKilled"
	NotReady         manifest.Reason = "NotReady"
	LivenessFailing  manifest.Reason = "LivenessFailing"
	StartupFailing   manifest.Reason = "StartupFailing"
	Completed        manifest.Reason = "Completed"
)

// Codes of the drift stage.
const (
	RolloutStuck        manifest.Reason = "RolloutStuck"
	DuplicateSandbox    manifest.Reason = "DuplicateSandbox"
	Orphaned            manifest.Reason = "Orphaned"
	TerminationStuck    manifest.Reason = "TerminationStuck"
	UnplannedRecreation manifest.Reason = "UnplannedRecreation"
)

// Codes of the mirror stage.
const (
	MirrorFailed  manifest.Reason = "MirrorFailed"
	MirrorMissing manifest.Reason = "MirrorMissing"
	MirrorStale   manifest.Reason = "MirrorStale"
)

// Codes of the node.
const (
	KubeletDown            manifest.Reason = "KubeletDown"
	KubeletUnauthorized    manifest.Reason = "KubeletUnauthorized"
	KubeletSourcesNotReady manifest.Reason = "KubeletSourcesNotReady"
	RuntimeDown            manifest.Reason = "RuntimeDown"
	LogUnavailable         manifest.Reason = "LogUnavailable"
	NodeUnregistered       manifest.Reason = "NodeUnregistered"
	MirrorUnavailable      manifest.Reason = "MirrorUnavailable"
)

// A Stage is a step on the way from a definition to a running pod, where a problem sits.
type Stage string

// The stages, in the order of cause. StageNode is for problems of the node, not of one pod.
const (
	StageNode       Stage = "node"
	StageDefinition Stage = "definition"
	StageDelivery   Stage = "delivery"
	StageAdmission  Stage = "admission"
	StageStart      Stage = "start"
	StageRun        Stage = "run"
	StageDrift      Stage = "drift"
	StageMirror     Stage = "mirror"
)

// A Code is a reason, as the documentation and the catalogue of metrics know it.
type Code struct {
	Reason  manifest.Reason
	Stage   Stage
	Level   manifest.Level
	Meaning string // one line
}

// Reasons returns every code there is, in the order in which they take the headline: of several problems
// the one that comes first here explains the others.
//
// What keeps the pod from running as defined comes first, by stage. A kubelet that does not fetch and a
// duplicate come after what is wrong with the pod that runs, because they are about what does not. Then comes
// what a running pod suffers from, then what explains that it does not run and is no fault, then what will
// hurt one day.
func Reasons() []Code {
	return []Code{
		{KubeletUnauthorized, StageNode, manifest.Critical, "the kubelet refuses the exporter's credentials"},
		{KubeletDown, StageNode, manifest.Critical, "the kubelet does not answer"},
		{RuntimeDown, StageNode, manifest.Critical, "the container runtime does not answer"},
		{manifest.ConfigInvalid, StageNode, manifest.Critical, "the exporter's configuration is invalid, or is not that of this node"},
		{LogUnavailable, StageNode, manifest.Warning, "the kubelet's log cannot be read: refusals go unseen"},
		{NodeUnregistered, StageNode, manifest.Warning, "the API server does not have the node: its static pods get no mirror pods"},
		{MirrorUnavailable, StageNode, manifest.Warning, "the API server cannot be asked for mirror pods"},

		{manifest.ManifestUnreadable, StageDefinition, manifest.Critical, "the file of the definition cannot be read"},
		{manifest.ManifestMalformed, StageDefinition, manifest.Critical, "the definition is not YAML or JSON of a known kind"},
		{manifest.NotAPod, StageDefinition, manifest.Critical, "the definition is of another kind than Pod"},
		{manifest.ManifestInvalid, StageDefinition, manifest.Critical, "the kubelet's validation refuses the definition"},
		{manifest.APIReference, StageDefinition, manifest.Critical, "the definition refers to an API object, which a static pod may not"},
		{manifest.RuntimeClassUnsupported, StageDefinition, manifest.Critical, "the definition has a runtime class, which crashes a standalone kubelet"},
		{manifest.UnsafeMetadata, StageDefinition, manifest.Critical, "the definition has metadata that the kubelet takes as it is, to the pod's harm"},
		{manifest.HostPortConflict, StageDefinition, manifest.Critical, "another definition has the host port already"},
		{StopPending, StageDefinition, manifest.Critical, "the kubelet stops the running pod at its next reading of its manifest directory"},

		{manifest.ManifestRejected, StageDelivery, manifest.Critical, "the kubelet refused the definition"},
		{manifest.ListRejected, StageDelivery, manifest.Critical, "the kubelet refused the whole list that the definition is in"},
		{KubeletSourcesNotReady, StageNode, manifest.Warning, "the kubelet has not seen all its pod sources, and cleans nothing up until it has"},
		{NotAccepted, StageDelivery, manifest.Critical, "the kubelet was given the definition and does not have the pod"},

		{NodeShutdown, StageAdmission, manifest.Critical, "the node is shutting down"},
		{AdmissionRejected, StageAdmission, manifest.Critical, "the kubelet did not admit the pod, and will not try again"},

		{VolumeMountFailed, StageStart, manifest.Critical, "a volume cannot be mounted"},
		{SandboxFailed, StageStart, manifest.Critical, "the pod's sandbox cannot be created"},
		{ImagePullFailed, StageStart, manifest.Critical, "an image cannot be pulled"},
		{ContainerConfigError, StageStart, manifest.Critical, "a container's configuration cannot be made"},
		{ContainerStartFailed, StageStart, manifest.Critical, "a container cannot be created or started"},
		{InitContainerFailed, StageStart, manifest.Critical, "an init container fails"},

		{CrashLoopBackOff, StageRun, manifest.Critical, "a container exits again and again"},
		{ContainerExited, StageRun, manifest.Critical, "a container that should run has exited"},

		{KubeletNotFetching, StageDelivery, manifest.Critical, "the kubelet does not fetch the list of static pods"},
		{manifest.DuplicateName, StageDefinition, manifest.Critical, "another definition has the name already"},
		{manifest.CrossSourceDuplicate, StageDefinition, manifest.Critical, "a file and the served list define one name"},

		{RolloutStuck, StageDrift, manifest.Warning, "a new revision is not ready in time"},
		{OOMKilled, StageRun, manifest.Warning, "a container was killed for its memory"},
		{LivenessFailing, StageRun, manifest.Warning, "a liveness probe fails"},
		{StartupFailing, StageRun, manifest.Warning, "a startup probe fails"},
		{ImagePullSlow, StageStart, manifest.Warning, "an image takes long to pull"},
		{NotReady, StageRun, manifest.Warning, "the pod is not ready"},
		{Orphaned, StageDrift, manifest.Warning, "a pod runs that the kubelet does not have"},
		{TerminationStuck, StageDrift, manifest.Warning, "a removed pod does not end"},
		{DuplicateSandbox, StageDrift, manifest.Warning, "a pod runs in more than one sandbox"},
		{MirrorFailed, StageMirror, manifest.Warning, "the API server refuses the mirror pod"},
		{MirrorMissing, StageMirror, manifest.Warning, "the pod has no mirror pod"},
		{MirrorStale, StageMirror, manifest.Warning, "the mirror pod is not that of the pod that runs"},

		{WaitingForTermination, StageAdmission, manifest.Info, "the pod waits for one of its name to end"},
		{Completed, StageRun, manifest.Info, "the pod ended as its restart policy lets it"},

		{manifest.LastRevisionKept, StageDefinition, manifest.Warning, "an invalid edit: the last valid revision is kept"},
		{manifest.MassRemovalHeld, StageDefinition, manifest.Warning, "too many definitions vanished at once: they are kept"},
		{manifest.UnknownField, StageDefinition, manifest.Warning, "the kubelet drops a field it does not know"},
		{manifest.DuplicateKey, StageDefinition, manifest.Warning, "a key is there twice: the last one counts"},
		{manifest.ExtraDocument, StageDefinition, manifest.Warning, "the kubelet reads the first document of the file only"},
		{manifest.StrayFile, StageDefinition, manifest.Warning, "the kubelet reads a file that looks like none of its manifests"},
		{manifest.PriorityIncomplete, StageDefinition, manifest.Warning, "the priority and its class do not go together"},
		{manifest.UIDIgnored, StageDefinition, manifest.Warning, "the definition's own UID is not used"},
		{manifest.UIDFixed, StageDefinition, manifest.Warning, "the definition's own UID keeps most edits from the running pod"},
		{UnplannedRecreation, StageDrift, manifest.Info, "the pod was recreated without a change of its definition"},
	}
}

// codes is Reasons with the rank of each, made once.
type codes map[manifest.Reason]rankedCode

type rankedCode struct {
	Code
	rank int
}

func newCodes() codes {
	all := Reasons()
	c := make(codes, len(all))
	for i, code := range all {
		c[code.Reason] = rankedCode{code, i}
	}
	return c
}

// rank of a reason in Reasons; one that is not there comes last.
func (c codes) rank(r manifest.Reason) int {
	if code, ok := c[r]; ok {
		return code.rank
	}
	return len(c)
}
