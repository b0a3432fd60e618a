package status

import (
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/staticpod-exporter/staticpod-exporter/collector"
	"github.com/staticpod-exporter/staticpod-exporter/collector/kubelet"
	"github.com/staticpod-exporter/staticpod-exporter/collector/kubeletlog"
	"github.com/staticpod-exporter/staticpod-exporter/cri"
	"github.com/staticpod-exporter/staticpod-exporter/manifest"
)

const (
	web     = "default/web-node1"
	allTrue = "Valid=True Fetched=True Accepted=True Started=True Ready=True Current=True"
)

// TestReasons is the specification of every reason: what is seen, and what the verdict on it is.
func TestReasons(t *testing.T) {
	type want struct {
		id         string // default/web-node1 when ""
		reason     manifest.Reason
		detail     string
		message    string // a part of it
		since      time.Time
		ready      bool
		phase      string
		conditions string
		problems   []manifest.Reason // all of them; nil: the headline alone
	}
	ago := func(d time.Duration) time.Time { return noon.Add(-d) }
	tests := map[string]struct {
		given func() *scene
		want  want
	}{
		"all is well": {
			given: running,
			want:  want{ready: true, phase: "Running", conditions: allTrue, problems: []manifest.Reason{}, since: noon.Add(-50*time.Minute + 2*time.Second)},
		},
		"all is well in observing mode": {
			given: observing,
			want: want{ready: true, phase: "Running", problems: []manifest.Reason{}, since: noon.Add(-50*time.Minute + 2*time.Second),
				conditions: "Valid=True Accepted=True Started=True Ready=True Current=True"},
		},

		// Definition.
		"a definition is invalid and was never served": {
			given: func() *scene {
				s := empty()
				s.broken("web", manifest.SourceHTTP, manifest.ManifestInvalid)
				return s
			},
			want: want{reason: manifest.ManifestInvalid, message: "spec.containers: Required value", since: ago(time.Minute),
				conditions: "Valid=False(ManifestInvalid) Fetched=False(ManifestInvalid) Accepted=False(ManifestInvalid) Started=False(ManifestInvalid) Ready=False(ManifestInvalid) Current=False(ManifestInvalid)"},
		},
		"a running pod's definition is edited into an invalid one": {
			given: func() *scene {
				s := running()
				d := s.edit("web")
				d.UID, d.Valid = s.pods[0].UID, false
				d.Problems = []manifest.Problem{
					{Reason: manifest.LastRevisionKept, Level: manifest.Warning, Message: "version 1 is kept", Since: ago(time.Minute)},
					{Reason: manifest.ManifestMalformed, Level: manifest.Critical, Message: "yaml: line 3", Line: 3, Since: ago(time.Minute)},
				}
				return s
			},
			want: want{reason: manifest.ManifestMalformed, message: "yaml: line 3", since: ago(time.Minute), ready: true, phase: "Running",
				conditions: "Valid=False(ManifestMalformed) Fetched=True Accepted=True Started=True Ready=True Current=False(LastRevisionKept)",
				problems:   []manifest.Reason{manifest.ManifestMalformed, manifest.LastRevisionKept}},
		},
		"a file cannot be parsed": {
			given: func() *scene {
				s := empty()
				d := s.broken("x", manifest.SourceHTTP, manifest.ManifestMalformed)
				d.ID, d.Name, d.Namespace, d.UID, d.Pod = "file:"+d.Path, "", "", "", nil
				return s
			},
			want: want{id: "file:/etc/staticpods/x.yaml", reason: manifest.ManifestMalformed, since: ago(time.Minute),
				conditions: "Valid=False(ManifestMalformed) Fetched=False(ManifestMalformed) Accepted=False(ManifestMalformed) Started=False(ManifestMalformed) Ready=False(ManifestMalformed) Current=False(ManifestMalformed)"},
		},
		"a warning of the definition does not keep the pod from being ready": {
			given: func() *scene {
				s := running()
				s.definition("web").Problems = []manifest.Problem{{Reason: manifest.UnknownField, Level: manifest.Warning, Message: "unknown field", Field: "spec.containerz", Since: ago(time.Minute)}}
				return s
			},
			want: want{reason: manifest.UnknownField, ready: true, phase: "Running", conditions: allTrue, since: ago(time.Minute)},
		},
		"one name twice in one source": {
			given: func() *scene {
				s := running()
				d := *s.broken("web", manifest.SourceHTTP, manifest.DuplicateName)
				d.ID, d.Path = "default-web~2", "/etc/staticpods/copy.yaml"
				s.definitions[1] = &d
				return s
			},
			want: want{reason: manifest.DuplicateName, ready: true, phase: "Running", since: ago(time.Minute), conditions: allTrue},
		},
		"one name from a file and from the list": {
			given: func() *scene {
				s := running()
				d := s.define("web", manifest.SourceFile)
				s.accept(d)
				return s
			},
			want: want{reason: manifest.CrossSourceDuplicate, ready: true, phase: "Running", since: ago(50 * time.Minute), conditions: allTrue},
		},

		// Delivery.
		"the kubelet does not fetch": {
			given: func() *scene {
				s := running()
				s.fetches = nil
				s.fetch(ago(61 * time.Second))
				return s
			},
			want: want{reason: KubeletNotFetching, message: "since 2026-01-02T11:58:59Z", since: ago(61 * time.Second), ready: true, phase: "Running", conditions: allTrue},
		},
		"the kubelet has no staticPodURL": {
			given: func() *scene {
				s := running()
				s.config = &kubelet.Config{HTTPCheckFrequency: time.Second}
				return s
			},
			want: want{reason: KubeletNotFetching, message: "staticPodURL is not set", since: ago(5 * time.Second), ready: true, phase: "Running", conditions: allTrue},
		},
		"the kubelet refuses the list": {
			given: func() *scene {
				s := running()
				s.now = noon.Add(-4 * time.Second)
				s.edit("web")
				s.serve()
				s.fetch(s.now)
				s.say(kubeletlog.Event{Kind: kubeletlog.URLRefused, Message: "invalid pod: [spec.x: Forbidden]"})
				s.now = noon
				return s
			},
			want: want{reason: manifest.ListRejected, message: "spec.x: Forbidden", since: ago(4 * time.Second), ready: true, phase: "Running",
				conditions: "Valid=True Fetched=True Accepted=False(ListRejected) Started=True Ready=True Current=False(OtherRevision)"},
		},
		"the kubelet refuses a file": {
			given: func() *scene {
				s := observing()
				s.broken("bad", manifest.SourceFile, manifest.ManifestInvalid)
				s.say(kubeletlog.Event{Kind: kubeletlog.ManifestRefused, Path: "/host/manifests/bad.yaml", Message: "invalid pod: [spec.containers: Required value]"})
				return s
			},
			want: want{id: "default/bad-node1", reason: manifest.ManifestInvalid, since: ago(time.Minute),
				problems:   []manifest.Reason{manifest.ManifestInvalid, manifest.ManifestRejected},
				conditions: "Valid=False(ManifestInvalid) Accepted=False(ManifestInvalid) Started=False(ManifestInvalid) Ready=False(ManifestInvalid) Current=False(ManifestInvalid)"},
		},
		"the kubelet refuses a file that only it can see": {
			given: func() *scene {
				s := empty()
				s.say(kubeletlog.Event{Kind: kubeletlog.ManifestRefused, Path: "/host/manifests/bad.yaml", Message: "no pod"})
				return s
			},
			want: want{id: "file:/host/manifests/bad.yaml", reason: manifest.ManifestRejected, message: "no pod", since: noon,
				conditions: "Accepted=False(ManifestRejected) Started=False(ManifestRejected) Ready=False(ManifestRejected)"},
		},
		"the kubelet fetched a definition two periods ago and does not have it": {
			given: func() *scene {
				s := empty()
				s.define("web", manifest.SourceHTTP)
				s.serve()
				s.fetches = nil
				s.fetch(ago(41 * time.Second))
				s.fetch(ago(time.Second))
				return s
			},
			want: want{reason: NotAccepted, message: "was fetched by the kubelet", since: ago(41 * time.Second),
				conditions: "Valid=True Fetched=True Accepted=False(NotAccepted) Started=False(NotAccepted) Ready=False(NotAccepted) Current=False(NotAccepted)"},
		},
		"the kubelet fetched a definition lately": {
			given: func() *scene {
				s := empty()
				s.define("web", manifest.SourceHTTP)
				s.serve()
				s.fetches = nil
				s.fetch(ago(39 * time.Second))
				return s
			},
			want: want{problems: []manifest.Reason{}, since: noon,
				conditions: "Valid=True Fetched=True Accepted=False(NotYetAccepted) Started=False(NotYetStarted) Ready=False(NotYetAccepted) Current=False(NotYetAccepted)"},
		},
		"a kubelet without a runtime takes nothing in": {
			given: func() *scene {
				s := empty()
				s.define("web", manifest.SourceHTTP)
				s.serve()
				s.fetches = nil
				s.fetch(ago(41 * time.Second))
				s.down(collector.InputRuntime, ago(time.Minute), "connection refused")
				return s
			},
			want: want{reason: RuntimeDown, problems: []manifest.Reason{}, since: ago(time.Minute),
				conditions: "Valid=True Fetched=True Accepted=False(NotYetAccepted) Started=False(NotYetStarted) Ready=False(NotYetAccepted) Current=False(NotYetAccepted)"},
		},
		"a file lies in the directory and the kubelet does not have it": {
			given: func() *scene {
				s := observing()
				s.pods, s.sandboxes = nil, nil
				return s
			},
			want: want{reason: NotAccepted, message: "lies in the kubelet's directory", since: ago(time.Hour),
				problems:   []manifest.Reason{NotAccepted, RolloutStuck},
				conditions: "Valid=True Accepted=False(NotAccepted) Started=False(NotAccepted) Ready=False(NotAccepted) Current=False(NotAccepted)"},
		},

		// Admission.
		"the kubelet does not admit the pod": {
			given: func() *scene {
				s := running()
				s.sandboxes = nil
				p := s.pod("web")
				p.Status = corev1.PodStatus{Phase: corev1.PodFailed, Reason: "NodePorts", Message: "Pod was rejected: Predicate NodePorts failed"}
				return s
			},
			want: want{reason: AdmissionRejected, detail: "NodePorts", message: "Predicate NodePorts failed", phase: "Failed", since: ago(50 * time.Minute),
				conditions: "Valid=True Fetched=True Accepted=False(AdmissionRejected) Started=False(AdmissionRejected) Ready=False(AdmissionRejected) Current=True"},
		},
		"the log dates the rejection": {
			given: func() *scene {
				s := running()
				s.sandboxes = nil
				p := s.pod("web")
				p.Status = corev1.PodStatus{Phase: corev1.PodFailed, Reason: "OutOfcpu", Message: "Pod was rejected: no cpu"}
				s.say(kubeletlog.Event{Kind: kubeletlog.AdmissionDenied, At: ago(7 * time.Second), UID: string(p.UID), Reason: "OutOfcpu", Message: "no cpu"})
				return s
			},
			want: want{reason: AdmissionRejected, detail: "OutOfcpu", phase: "Failed", since: ago(7 * time.Second),
				conditions: "Valid=True Fetched=True Accepted=False(AdmissionRejected) Started=False(AdmissionRejected) Ready=False(AdmissionRejected) Current=True"},
		},
		"the node shuts down": {
			given: func() *scene {
				s := running()
				s.sandboxes = nil
				s.pod("web").Status = corev1.PodStatus{Phase: corev1.PodFailed, Reason: "NodeShutdown", Message: "Pod was rejected: node is shutting down"}
				return s
			},
			want: want{reason: NodeShutdown, detail: "NodeShutdown", phase: "Failed", since: ago(50 * time.Minute),
				conditions: "Valid=True Fetched=True Accepted=False(NodeShutdown) Started=False(NodeShutdown) Ready=False(NodeShutdown) Current=True"},
		},
		"a new revision waits for the old one to end": {
			given: func() *scene {
				s := running()
				s.pods = nil
				d := s.edit("web")
				s.serve()
				s.fetch(ago(2 * time.Second))
				p := s.accept(d)
				p.Annotations[annotationSeen] = ago(time.Second).Format(time.RFC3339Nano)
				return s
			},
			want: want{reason: WaitingForTermination, message: "still runs", phase: "Pending", since: ago(time.Second),
				conditions: "Valid=True Fetched=True Accepted=True Started=False(WaitingForTermination) Ready=False(NotReady) Current=True"},
		},

		// Start.
		"the sandbox cannot be created": {
			given: func() *scene {
				s := running()
				s.sandboxes = nil
				s.waiting("web", "ContainerCreating", "")
				s.say(kubeletlog.Event{Kind: kubeletlog.SyncFailed, At: ago(9 * time.Second), UID: string(s.pods[0].UID), Failures: []kubeletlog.Failure{
					{Action: "CreatePodSandbox", Target: "web-node1_default(uid)", Reason: "CreatePodSandboxError", Message: "no network"}}})
				return s
			},
			want: want{reason: SandboxFailed, message: "no network", phase: "Running", since: ago(9 * time.Second),
				conditions: "Valid=True Fetched=True Accepted=True Started=False(SandboxFailed) Ready=False(SandboxFailed) Current=True"},
		},
		"the network is not ready": {
			given: func() *scene {
				s := running()
				s.sandboxes = nil
				s.waiting("web", "ContainerCreating", "")
				s.say(kubeletlog.Event{Kind: kubeletlog.SyncFailed, UID: string(s.pods[0].UID), Message: "network is not ready: cni plugin not initialized"})
				return s
			},
			want: want{reason: SandboxFailed, message: "cni plugin", phase: "Running", since: noon,
				conditions: "Valid=True Fetched=True Accepted=True Started=False(SandboxFailed) Ready=False(SandboxFailed) Current=True"},
		},
		"a volume cannot be mounted": {
			given: func() *scene {
				s := running()
				s.sandboxes = nil
				s.waiting("web", "ContainerCreating", "")
				s.say(kubeletlog.Event{Kind: kubeletlog.VolumeFailed, Namespace: "default", Pod: "web-node1", Message: "hostPath type check failed: /data is not a directory"})
				return s
			},
			want: want{reason: VolumeMountFailed, message: "not a directory", phase: "Running", since: noon,
				conditions: "Valid=True Fetched=True Accepted=True Started=False(VolumeMountFailed) Ready=False(VolumeMountFailed) Current=True"},
		},
		"volumes time out": {
			given: func() *scene {
				s := running()
				s.sandboxes = nil
				s.waiting("web", "ContainerCreating", "")
				s.say(kubeletlog.Event{Kind: kubeletlog.SyncFailed, UID: string(s.pods[0].UID), Message: "unmounted volumes=[s], unattached volumes=[], failed to process volumes=[]: context deadline exceeded"})
				return s
			},
			want: want{reason: VolumeMountFailed, message: "unmounted volumes=[s]", phase: "Running", since: noon,
				conditions: "Valid=True Fetched=True Accepted=True Started=False(VolumeMountFailed) Ready=False(VolumeMountFailed) Current=True"},
		},
		"an image cannot be pulled": {
			given: func() *scene {
				s := running()
				s.waiting("web", "ImagePullBackOff", `Back-off pulling image "registry.example/web:1"`)
				return s
			},
			want: want{reason: ImagePullFailed, message: "Back-off pulling image", phase: "Running", since: ago(50 * time.Minute),
				conditions: "Valid=True Fetched=True Accepted=True Started=False(ImagePullFailed) Ready=False(ImagePullFailed) Current=True"},
		},
		"the log dates the failed pull": {
			given: func() *scene {
				s := running()
				s.waiting("web", "ErrImagePull", "not found")
				s.say(kubeletlog.Event{Kind: kubeletlog.SyncFailed, At: ago(30 * time.Second), UID: string(s.pods[0].UID), Failures: []kubeletlog.Failure{
					{Action: "StartContainer", Target: "c", Reason: "ErrImagePull", Message: "not found"}}})
				return s
			},
			want: want{reason: ImagePullFailed, message: "not found", phase: "Running", since: ago(30 * time.Second),
				conditions: "Valid=True Fetched=True Accepted=True Started=False(ImagePullFailed) Ready=False(ImagePullFailed) Current=True"},
		},
		"a container's configuration is bad": {
			given: func() *scene {
				s := running()
				s.waiting("web", "CreateContainerConfigError", "container has runAsNonRoot and image will run as root")
				return s
			},
			want: want{reason: ContainerConfigError, message: "runAsNonRoot", phase: "Running", since: ago(50 * time.Minute),
				conditions: "Valid=True Fetched=True Accepted=True Started=False(ContainerConfigError) Ready=False(ContainerConfigError) Current=True"},
		},
		"a container's binary is missing": {
			given: func() *scene {
				s := running()
				s.waiting("web", "RunContainerError", "exec: no such file or directory")
				return s
			},
			want: want{reason: ContainerStartFailed, message: "no such file", phase: "Running", since: ago(50 * time.Minute),
				conditions: "Valid=True Fetched=True Accepted=True Started=False(ContainerStartFailed) Ready=False(ContainerStartFailed) Current=True"},
		},
		"a container that cannot start is in back-off": {
			given: func() *scene {
				s := running()
				c := s.waiting("web", "CrashLoopBackOff", "back-off 10s")
				c.LastTerminationState.Terminated = terminated(128, "StartError", ago(8*time.Second))
				c.LastTerminationState.Terminated.Message = "exec: no such file or directory"
				return s
			},
			want: want{reason: ContainerStartFailed, message: "no such file", phase: "Running", since: ago(8 * time.Second),
				conditions: "Valid=True Fetched=True Accepted=True Started=False(ContainerStartFailed) Ready=False(ContainerStartFailed) Current=True"},
		},
		"an init container fails": {
			given: func() *scene {
				s := running()
				s.sandboxes = nil
				s.waiting("web", "PodInitializing", "")
				p := s.pod("web")
				p.Status.Phase = corev1.PodPending
				p.Spec.InitContainers = []corev1.Container{{Name: "i", Image: "registry.example/i:1"}}
				p.Status.InitContainerStatuses = []corev1.ContainerStatus{{Name: "i",
					State:                corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff", Message: "back-off 10s"}},
					LastTerminationState: corev1.ContainerState{Terminated: terminated(7, "Error", ago(12*time.Second))}}}
				return s
			},
			want: want{reason: InitContainerFailed, message: "code 7", phase: "Pending", since: ago(12 * time.Second),
				conditions: "Valid=True Fetched=True Accepted=True Started=False(InitContainerFailed) Ready=False(InitContainerFailed) Current=True"},
		},

		// Run.
		"a container crashes again and again": {
			given: func() *scene {
				s := running()
				c := s.waiting("web", "CrashLoopBackOff", "back-off 5m0s restarting failed container=c")
				c.RestartCount = 9
				c.LastTerminationState.Terminated = terminated(7, "Error", ago(8*time.Second))
				return s
			},
			want: want{reason: CrashLoopBackOff, message: "back-off 5m0s restarting failed container=c; container c exited with code 7", phase: "Running", since: ago(8 * time.Second),
				conditions: "Valid=True Fetched=True Accepted=True Started=True Ready=False(CrashLoopBackOff) Current=True"},
		},
		"a container has exited": {
			given: func() *scene {
				s := running()
				s.exited("web", 3, "Error", ago(time.Second))
				return s
			},
			want: want{reason: ContainerExited, message: "code 3", phase: "Running", since: ago(time.Second),
				conditions: "Valid=True Fetched=True Accepted=True Started=True Ready=False(ContainerExited) Current=True"},
		},
		"the runtime knows of an exit before the kubelet": {
			given: func() *scene {
				s := running()
				r := &s.box("web").Containers[0]
				r.State, r.ExitCode, r.Reason, r.Finished = cri.Exited, 3, "Error", ago(exitGrace)
				s.kubeletAt = ago(exitGrace)
				return s
			},
			want: want{reason: ContainerExited, message: "code 3", phase: "Running", since: ago(exitGrace),
				conditions: "Valid=True Fetched=True Accepted=True Started=True Ready=False(ContainerExited) Current=True"},
		},
		"a container is killed for its memory": {
			given: func() *scene {
				s := running()
				p := s.pod("web")
				p.Status.ContainerStatuses[0].LastTerminationState.Terminated = terminated(137, "OOMKilled", ago(5*time.Minute))
				return s
			},
			want: want{reason: OOMKilled, message: "code 137 (OOMKilled)", ready: true, phase: "Running", since: ago(5 * time.Minute), conditions: allTrue},
		},
		"a container was killed for its memory long ago": {
			given: func() *scene {
				s := running()
				s.pod("web").Status.ContainerStatuses[0].LastTerminationState.Terminated = terminated(137, "OOMKilled", ago(11*time.Minute))
				return s
			},
			want: want{problems: []manifest.Reason{}, ready: true, phase: "Running", since: noon.Add(-50*time.Minute + 2*time.Second), conditions: allTrue},
		},
		"a pod is not ready": {
			given: func() *scene {
				s := running()
				ready(s.pod("web"), corev1.ConditionFalse, ago(3*time.Second))
				return s
			},
			want: want{reason: NotReady, message: "containers with unready status: [c]", phase: "Running", since: ago(3 * time.Second),
				conditions: "Valid=True Fetched=True Accepted=True Started=True Ready=False(ContainersNotReady) Current=True"},
		},
		"a pod that started just now need not be ready yet": {
			given: func() *scene {
				s := running()
				p := s.pod("web")
				ready(p, corev1.ConditionFalse, ago(3*time.Second))
				p.Status.ContainerStatuses[0].State.Running.StartedAt = metav1.NewTime(ago(3 * time.Second))
				s.box("web").Containers[0].Started = ago(3 * time.Second)
				return s
			},
			want: want{problems: []manifest.Reason{}, phase: "Running", since: ago(3 * time.Second),
				conditions: "Valid=True Fetched=True Accepted=True Started=True Ready=False(ContainersNotReady) Current=True"},
		},
		"a pod does not start, and nobody says why": {
			given: func() *scene {
				s := running()
				s.sandboxes = nil
				s.waiting("web", "ContainerCreating", "")
				return s
			},
			want: want{reason: NotReady, message: "c: ContainerCreating", phase: "Running", since: ago(10 * time.Second),
				conditions: "Valid=True Fetched=True Accepted=True Started=False(NotYetStarted) Ready=False(ContainersNotReady) Current=True"},
		},
		"a pod has completed": {
			given: func() *scene {
				s := running()
				s.exited("web", 0, "Completed", ago(time.Minute))
				p := s.pod("web")
				p.Spec.RestartPolicy = corev1.RestartPolicyOnFailure
				p.Status.Phase = corev1.PodSucceeded
				return s
			},
			want: want{reason: Completed, phase: "Succeeded", since: ago(time.Minute),
				conditions: "Valid=True Fetched=True Accepted=True Started=True Ready=False(Completed) Current=True"},
		},
		"a pod failed for good": {
			given: func() *scene {
				s := running()
				s.exited("web", 2, "Error", ago(time.Minute))
				p := s.pod("web")
				p.Spec.RestartPolicy = corev1.RestartPolicyNever
				p.Status.Phase = corev1.PodFailed
				return s
			},
			want: want{reason: ContainerExited, message: "code 2", phase: "Failed", since: ago(time.Minute),
				conditions: "Valid=True Fetched=True Accepted=True Started=True Ready=False(ContainerExited) Current=True"},
		},
		"a pod was past its deadline": {
			given: func() *scene {
				s := running()
				s.sandboxes = nil
				p := s.pod("web")
				p.Status.Phase, p.Status.Reason, p.Status.Message = corev1.PodFailed, "DeadlineExceeded", "Pod was active on the node longer than the specified deadline"
				ready(p, corev1.ConditionFalse, ago(time.Minute))
				p.Status.ContainerStatuses = nil
				return s
			},
			want: want{reason: ContainerExited, detail: "DeadlineExceeded", message: "longer than", phase: "Failed", since: ago(time.Minute),
				conditions: "Valid=True Fetched=True Accepted=True Started=False(ContainerExited) Ready=False(ContainerExited) Current=True"},
		},

		"a pod was past its deadline, and its container was ended for it": {
			given: func() *scene {
				s := running()
				s.exited("web", 137, "Error", ago(time.Minute))
				p := s.pod("web")
				p.Status.Phase, p.Status.Reason, p.Status.Message = corev1.PodFailed, "DeadlineExceeded", "Pod was active on the node longer than the specified deadline"
				return s
			},
			want: want{reason: ContainerExited, detail: "DeadlineExceeded", message: "longer than", phase: "Failed", since: ago(time.Minute),
				conditions: "Valid=True Fetched=True Accepted=True Started=True Ready=False(ContainerExited) Current=True"},
		},
		"an older kubelet evicted the pod": {
			given: func() *scene {
				s := running()
				s.sandboxes = nil
				p := s.pod("web")
				p.Status.Phase, p.Status.Reason, p.Status.Message = corev1.PodFailed, "Evicted", "The node was low on resource: memory."
				ready(p, corev1.ConditionFalse, ago(time.Minute))
				p.Status.ContainerStatuses = nil
				return s
			},
			want: want{reason: ContainerExited, detail: "Evicted", message: "low on resource", phase: "Failed", since: ago(time.Minute),
				conditions: "Valid=True Fetched=True Accepted=True Started=False(ContainerExited) Ready=False(ContainerExited) Current=True"},
		},
		"the node's shutdown ended the pod": {
			given: func() *scene {
				s := running()
				s.exited("web", 143, "Error", ago(time.Minute))
				p := s.pod("web")
				p.Status.Phase, p.Status.Reason, p.Status.Message = corev1.PodFailed, "Terminated", "Pod was terminated in response to imminent node shutdown."
				return s
			},
			want: want{reason: NodeShutdown, detail: "Terminated", message: "imminent node shutdown", phase: "Failed", since: ago(time.Minute),
				conditions: "Valid=True Fetched=True Accepted=False(NodeShutdown) Started=True Ready=False(NodeShutdown) Current=True"},
		},
		"a job failed for good, and its sidecar goes on": {
			given: func() *scene {
				s := running()
				s.exited("web", 3, "Error", ago(time.Minute))
				p := s.pod("web")
				p.Spec.RestartPolicy = corev1.RestartPolicyNever
				return s
			},
			want: want{reason: ContainerExited, message: "code 3", phase: "Running", since: ago(time.Minute),
				conditions: "Valid=True Fetched=True Accepted=True Started=True Ready=False(ContainerExited) Current=True"},
		},

		// Drift.
		"a pod runs in two sandboxes": {
			given: func() *scene {
				s := running()
				second := s.sandboxes[0]
				second.ID, second.Containers, second.Attempt, second.Created = "second", nil, 1, ago(31*time.Second)
				s.sandboxes = append(s.sandboxes, second)
				return s
			},
			want: want{reason: DuplicateSandbox, message: "second", ready: true, phase: "Running", since: ago(31 * time.Second), conditions: allTrue},
		},

		// Node.
		"the kubelet is down": {
			given: func() *scene {
				s := running()
				s.down(collector.InputKubelet, ago(time.Minute), "connection refused")
				return s
			},
			want: want{reason: KubeletDown, message: "what is shown is old: the kubelet does not answer", phase: "Running", since: ago(time.Minute), problems: []manifest.Reason{},
				conditions: "Valid=True Fetched=True Accepted=True Started=True Ready=Unknown(KubeletDown) Current=True"},
		},
		"the runtime is down": {
			given: func() *scene {
				s := running()
				s.down(collector.InputRuntime, ago(time.Minute), "connection refused")
				return s
			},
			want: want{reason: RuntimeDown, phase: "Running", since: ago(time.Minute), problems: []manifest.Reason{}, conditions: allTrue},
		},
		"the node: the kubelet is down": {
			given: func() *scene {
				s := running()
				s.down(collector.InputKubelet, ago(time.Minute), "connection refused")
				return s
			},
			want: want{id: NodeID, reason: KubeletDown, message: "connection refused", since: ago(time.Minute)},
		},
		"the node: the kubelet refuses the exporter": {
			given: func() *scene {
				s := running()
				s.down(collector.InputKubelet, ago(time.Minute), "403 Forbidden")
				state := s.inputs[collector.InputKubelet]
				state.Unauthorized = true
				s.inputs[collector.InputKubelet] = state
				return s
			},
			want: want{id: NodeID, reason: KubeletUnauthorized, message: "403 Forbidden", since: ago(time.Minute)},
		},
		"the node: the kubelet waits for its sources": {
			given: func() *scene {
				s := running()
				s.down(collector.InputKubelet, ago(time.Minute), "Kubelet is initializing")
				state := s.inputs[collector.InputKubelet]
				state.SourcesNotReady = true
				s.inputs[collector.InputKubelet] = state
				return s
			},
			want: want{id: NodeID, reason: KubeletSourcesNotReady, message: "initializing", since: ago(time.Minute), ready: true},
		},
		"the node: the kubelet waits for its sources and says what it has": {
			given: func() *scene {
				s := running()
				state := s.inputs[collector.InputKubelet]
				state.SourcesNotReady = true
				s.inputs[collector.InputKubelet] = state
				return s
			},
			want: want{id: NodeID, reason: KubeletSourcesNotReady, message: "has not seen all its pod sources", since: noon, ready: true},
		},
		"the node: the runtime is down": {
			given: func() *scene {
				s := running()
				s.down(collector.InputRuntime, ago(time.Minute), "no such file")
				return s
			},
			want: want{id: NodeID, reason: RuntimeDown, message: "no such file", since: ago(time.Minute)},
		},
		"the node: the log cannot be read": {
			given: func() *scene {
				s := running()
				s.down(collector.InputLog, ago(time.Minute), "permission denied")
				return s
			},
			want: want{id: NodeID, reason: LogUnavailable, message: "permission denied", since: ago(time.Minute), ready: true},
		},
		"the log says nothing of the pods": {
			given: func() *scene {
				s := running()
				s.down(collector.InputLog, ago(time.Minute), "permission denied")
				return s
			},
			want: want{ready: true, phase: "Running", problems: []manifest.Reason{}, since: noon.Add(-50*time.Minute + 2*time.Second), conditions: allTrue},
		},
		"the node: the configuration is invalid": {
			given: func() *scene {
				s := running()
				s.problems = []manifest.Problem{{Reason: manifest.ConfigInvalid, Level: manifest.Critical, Message: "unknown key manifst", Since: ago(time.Minute)}}
				return s
			},
			want: want{id: NodeID, reason: manifest.ConfigInvalid, message: "unknown key", since: ago(time.Minute)},
		},
		"the node: the list is refused": {
			given: func() *scene {
				s := running()
				s.say(kubeletlog.Event{Kind: kubeletlog.URLRefused, At: ago(time.Second), Message: "invalid pod"})
				s.kubeletAt = ago(2 * time.Second)
				return s
			},
			want: want{id: NodeID, reason: manifest.ListRejected, message: "invalid pod", since: ago(time.Second)},
		},
		"the node is well": {
			given: running,
			want:  want{id: NodeID, ready: true, since: noon, problems: []manifest.Reason{}},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			want := test.want
			if want.id == "" {
				want.id = web
			}
			if want.problems == nil {
				want.problems = []manifest.Reason{want.reason}
			}
			st := find(t, Derive(nil, test.given().look()), want.id)
			spec := st.Spec
			if spec.Reason != want.reason || !strings.Contains(spec.Message, want.message) {
				t.Errorf("headline: have %s %q, want %s %q", spec.Reason, spec.Message, want.reason, want.message)
			}
			if !spec.Since.Equal(want.since) {
				t.Errorf("since: have %s, want %s", spec.Since, want.since)
			}
			if spec.Ready != want.ready {
				t.Errorf("ready: have %t, want %t", spec.Ready, want.ready)
			}
			if spec.Phase != want.phase {
				t.Errorf("phase: have %q, want %q", spec.Phase, want.phase)
			}
			if have := conditionsOf(st); have != want.conditions {
				t.Errorf("conditions:\nhave %s\nwant %s", have, want.conditions)
			}
			if have := reasons(st); !slices.Equal(have, want.problems) {
				t.Errorf("problems: have %v, want %v", have, want.problems)
			}
			if want.detail != "" && spec.Problems[0].Detail != want.detail {
				t.Errorf("detail: have %q, want %q", spec.Problems[0].Detail, want.detail)
			}
		})
	}
}

// The table of codes is the contract of metrics, alerts and docs.
func TestCodes(t *testing.T) {
	seen := map[manifest.Reason]bool{}
	for _, c := range Reasons() {
		if seen[c.Reason] {
			t.Errorf("%s is there twice", c.Reason)
		}
		seen[c.Reason] = true
		if c.Meaning == "" || c.Stage == "" || !slices.Contains([]manifest.Level{manifest.Critical, manifest.Warning, manifest.Info}, c.Level) {
			t.Errorf("%+v is not complete", c)
		}
	}
	// Of the codes of one stage, critical ones come first, so that a warning never covers one.
	rank := map[manifest.Level]int{manifest.Critical: 0, manifest.Warning: 1, manifest.Info: 2}
	last := map[Stage]int{}
	for _, c := range Reasons() {
		if rank[c.Level] < last[c.Stage] && c.Level == manifest.Critical {
			t.Errorf("%s is critical and comes after a lesser code of stage %s", c.Reason, c.Stage)
		}
		last[c.Stage] = max(last[c.Stage], rank[c.Level])
	}
	// Every code is counted from the start, so that its first increase is seen.
	total := Derive(nil, empty().look()).ProblemsTotal
	for reason := range seen {
		if n, ok := total[reason]; !ok || n != 0 {
			t.Errorf("%s: count %d, %t", reason, n, ok)
		}
	}
	if len(total) != len(seen) {
		t.Errorf("%d codes are counted, %d exist", len(total), len(seen))
	}
}

// A file that only the kubelet can see is told apart from the node by the ID of its definition, in metrics too.
func TestDefinitionOfAFileThatOnlyTheKubeletSees(t *testing.T) {
	s := empty()
	s.say(kubeletlog.Event{Kind: kubeletlog.ManifestRefused, Path: "/host/manifests/bad.yaml", Message: "no pod"})
	const id = "file:/host/manifests/bad.yaml"
	st := find(t, Derive(nil, s.look()), id)
	if want := (DefinitionRef{ID: id, Source: manifest.SourceFile, Path: "/host/manifests/bad.yaml"}); st.Spec.Definition != want {
		t.Errorf("definition %+v, want %+v", st.Spec.Definition, want)
	}
}
