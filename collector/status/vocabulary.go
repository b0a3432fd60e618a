package status

import (
	"slices"
	"strings"

	"github.com/staticpod-exporter/staticpod-exporter/manifest"
)

// The kubelet's own reasons for what it gives in words alone: those of its events.
const (
	failedMount        = "FailedMount"
	networkNotReady    = "NetworkNotReady"
	failedPodContainer = "FailedToCreatePodContainer"
	failedKillPod      = "FailedKillPod"
)

// The kubelet's own reasons for a process that cannot be run, and for a hook of it that fails.
const (
	runError  = "RunContainerError"
	hookError = "PostStartHookError"
)

var (
	imageReasons = []string{
		"ErrImagePull", "ErrImageNeverPull", "InvalidImageName", "ImageInspectError", "RegistryUnavailable", "SignatureValidationFailed",
	}
	startReasons = []string{"CreateContainerError", runError, "PreCreateHookError", "PreStartHookError", hookError}
)

const imageBackOff = "ImagePullBackOff"

// failureReason is the code for one of the kubelet's own, of a waiting container and of its log alike. What
// has none here has no code of its own, and stands in the words of another: RemoveContainerError, say.
func failureReason(kubelet string) manifest.Reason {
	switch {
	case kubelet == "CreatePodSandboxError", kubelet == "ConfigPodSandboxError":
		return SandboxFailed
	case kubelet == imageBackOff, slices.Contains(imageReasons, kubelet):
		return ImagePullFailed
	case kubelet == "CreateContainerConfigError":
		return ContainerConfigError
	case slices.Contains(startReasons, kubelet):
		return ContainerStartFailed
	case kubelet == "CrashLoopBackOff":
		return CrashLoopBackOff
	case kubelet == "KillContainerError", kubelet == "KillPodSandboxError":
		return TerminationStuck
	}
	return ""
}

// failureDetail is the kubelet's own reason, for scripts to tell. That of a back-off is what it backs off from: the
// two take turns and are one problem.
func failureDetail(kubelet, message string) string {
	if kubelet != imageBackOff {
		return kubelet
	}
	for _, reason := range imageReasons {
		if strings.Contains(message, ": "+reason+": ") {
			return reason
		}
	}
	return imageReasons[0]
}

// syncReason is the code for the error of a sync that is not about one container, and the kubelet's own reason.
func syncReason(message string) (reason manifest.Reason, detail string) {
	switch {
	case strings.Contains(message, "unmounted volumes="), strings.Contains(message, "volumes failed"):
		return VolumeMountFailed, failedMount
	case strings.Contains(message, "network is not ready"):
		return SandboxFailed, networkNotReady
	case strings.Contains(message, "cgroups exist and are correctly applied"), strings.Contains(message, "making pod data directories"):
		return SandboxFailed, failedPodContainer
	case strings.Contains(message, "error killing "):
		return TerminationStuck, failedKillPod
	}
	return "", ""
}
