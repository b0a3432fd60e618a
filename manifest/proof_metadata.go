package manifest

import (
	"regexp"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// mirrorAnnotation has the kubelet take a pod for the API server's picture of another one.
const mirrorAnnotation = "kubernetes.io/config.mirror"

// verbatim finds what the kubelet takes as it is from its directory or from another's list, though it is for
// the kubelet or the cluster to say. (What the exporter serves has none of it.)
func verbatim(pod *corev1.Pod, uid types.UID) []Problem {
	var problems []Problem
	unsafe := func(field, detail, words string) {
		problems = append(problems, Problem{Reason: UnsafeMetadata, Level: Critical, Field: field, Detail: detail, Message: words})
	}
	if _, ok := pod.Annotations[mirrorAnnotation]; ok {
		unsafe("metadata.annotations["+mirrorAnnotation+"]", "MirrorAnnotation",
			"the kubelet takes a pod with this annotation for the mirror of another one and never runs it: remove the annotation")
	}
	if pod.DeletionTimestamp != nil {
		unsafe("metadata.deletionTimestamp", "DeletionTimestamp",
			"the kubelet takes a pod with a deletionTimestamp for one that is being deleted: it ends it, or never starts it: remove the field")
	}
	switch {
	case uid == "":
	case !safeUID.MatchString(string(uid)):
		unsafe("metadata.uid", "UnsafeUID",
			"the kubelet makes directories, log files and cgroups of metadata.uid without looking at it: remove the field, or write a UUID")
	default:
		problems = append(problems, Problem{Reason: UIDFixed, Level: Warning, Field: "metadata.uid",
			Message: "the kubelet takes metadata.uid as it is, so that an edit is no new pod to it: new commands, environments, volumes and probes never reach the running containers: remove the field"})
	}
	return problems
}

// safeUID is what a part of a path and the name of a cgroup may be made of.
var safeUID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$`)
