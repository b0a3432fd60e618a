package matrix

import (
	"os"
	"path/filepath"
	"strings"
)

// admissions are pods that are defined as they may be and that the kubelet does not take. It never tries again: the
// definition has to change.
var admissions = []row{
	{story: "a pod wants more processors than there are", name: "cpu",
		write:  pod(with(`resources: {requests: {cpu: "640"}}`)),
		reason: "AdmissionRejected", detail: "UnexpectedAdmissionError", words: "cpu"},
	{story: "a pod wants more memory than there is", name: "memory",
		write:  pod(with(`resources: {requests: {memory: 64Ti}}`)),
		reason: "AdmissionRejected", detail: "UnexpectedAdmissionError", words: "memory"},
	{story: "a pod wants a sysctl that is not allowed", name: "sysctl",
		write:  pod("securityContext: {sysctls: [{name: kernel.msgmax, value: \"65536\"}]}\n  " + sleeps),
		reason: "AdmissionRejected", detail: "SysctlForbidden", words: "kernel.msgmax"},
	{story: "a pod selects another node", name: "selector",
		write:  pod("nodeSelector: {rack: unknown}\n  " + sleeps),
		reason: "AdmissionRejected", detail: "NodeAffinity", words: "node affinity/selector"},
	{story: "a pod has an affinity to another node", name: "affinity",
		write:  pod("affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: rack, operator: Exists}]}]}}}\n  " + sleeps),
		reason: "AdmissionRejected", detail: "NodeAffinity", words: "node affinity/selector"},
	{story: "a pod wants an AppArmor profile where there is no AppArmor", name: "apparmor",
		write:  pod(with("securityContext: {appArmorProfile: {type: Localhost, localhostProfile: absent}}")),
		reason: "AdmissionRejected", detail: "AppArmor", words: "AppArmor"},
	{story: "a pod is for another operating system", name: "windows",
		write:  strings.Replace(pod("os: {name: windows}\n  "+sleeps), "hostNetwork: true", "hostNetwork: false", 1),
		reason: "AdmissionRejected", detail: "PodOSNotSupported"},
	{story: "a port of the host is that of a pod of the other source", name: "taken", only: file,
		prepare: func(p *play) { p.fromOther("$NAME-other", pod(port)) }, write: pod(port),
		reason: "AdmissionRejected", detail: "NodePorts", words: "free ports", also: []string{"HostPortConflict"}},
}

// starts are pods that the kubelet takes and cannot bring up.
var starts = []row{
	// Sandboxes.
	{story: "there is no network for a pod that wants one of its own", name: "network",
		write:  strings.Replace(pod(sleeps), "hostNetwork: true", "hostNetwork: false", 1),
		reason: "SandboxFailed", words: "network"},
	{story: "a sysctl has an impossible value", name: "sysctl-value",
		write:  pod("securityContext: {sysctls: [{name: kernel.shm_rmid_forced, value: banana}]}\n  " + sleeps),
		reason: "SandboxFailed", words: "sysctl"},
	{story: "a seccomp profile is missing", name: "seccomp",
		write:  pod("securityContext: {seccompProfile: {type: Localhost, localhostProfile: absent.json}}\n  " + sleeps),
		reason: "ContainerStartFailed", words: "absent.json", field: "spec.containers{main}"},

	// Volumes.
	{story: "a directory of the host is missing", name: "no-directory",
		write: hostPath("$DIR/absent", "Directory"), mend: func(p *play) { p.mkdir("$DIR/absent") }, slow: true,
		reason: "VolumeMountFailed", words: "$DIR/absent"},
	{story: "a file of the host is missing", name: "no-file",
		write: hostPath("$DIR/absent", "File"), slow: true,
		reason: "VolumeMountFailed", words: "$DIR/absent"},
	{story: "a directory of the host is a file", name: "file-for-directory",
		prepare: func(p *play) { p.must(os.WriteFile(filepath.Join(p.dir, "data"), nil, 0o644)) },
		write:   hostPath("$DIR/data", "Directory"),
		reason:  "VolumeMountFailed", words: "hostPath type check failed: $DIR/data is not a directory"},

	// Images.
	{story: "a registry does not know an image", name: "not-found",
		write:  image("$REGISTRY/absent:1"),
		reason: "ImagePullFailed", words: "$REGISTRY/absent:1", field: "spec.containers{main}"},
	{story: "a registry lets nobody in", name: "private",
		write:  image("$REGISTRY/private/pod:1"),
		reason: "ImagePullFailed", words: "401 Unauthorized", field: "spec.containers{main}"},
	{story: "a registry is broken", name: "broken-registry",
		write:  image("$REGISTRY/broken/pod:1"),
		reason: "ImagePullFailed", words: "500 Internal Server Error", field: "spec.containers{main}"},
	{story: "a registry is not there", name: "no-registry",
		write:  image("127.0.0.1:1/pod:1"),
		reason: "ImagePullFailed", words: "connection refused", field: "spec.containers{main}"},
	{story: "an image may not be pulled, and somebody has to bring it", name: "never-pull",
		write:  image("staticpod.test/$NAME:1, imagePullPolicy: Never"),
		mend:   func(p *play) { p.pullByHand("staticpod.test/$NAME:1") },
		reason: "ImagePullFailed", words: "pull policy of Never", field: "spec.containers{main}"},
	{story: "an image has an impossible name", name: "image-name",
		write:  image("staticpod.test/POD:1"),
		reason: "ImagePullFailed", words: "must be lowercase", field: "spec.containers{main}"},
	{story: "an image comes slowly", name: "slow-image", slow: true,
		write:  image("$REGISTRY/slow/$NAME:1"),
		mend:   func(p *play) { p.registry.Release(p.name) },
		reason: "ImagePullSlow", words: "$REGISTRY/slow/$NAME:1", field: "spec.containers{main}"},
	{story: "the image of an init container is missing", name: "init-image",
		write:  pod("initContainers: [{name: first, image: \"$REGISTRY/absent:1\"}]\n  " + sleeps),
		reason: "ImagePullFailed", words: "$REGISTRY/absent:1", field: "spec.initContainers{first}"},

	// Configurations.
	{story: "an image runs as root where it must not", name: "root",
		write:  pod(with("securityContext: {runAsNonRoot: true}")),
		reason: "ContainerConfigError", words: "runAsNonRoot", field: "spec.containers{main}"},
	{story: "a variable is a limit of a container that is not there", name: "no-such-limit",
		write:  pod(with("env: [{name: LIMIT, valueFrom: {resourceFieldRef: {containerName: absent, resource: limits.cpu}}}]")),
		reason: "ContainerConfigError", words: "absent", field: "spec.containers{main}"},
	{story: "a subPath leaves its volume by a link", name: "escape",
		prepare: func(p *play) { p.must(os.Symlink("/etc", filepath.Join(p.dir, "out"))) },
		write:   pod("volumes: [{name: data, hostPath: {path: $DIR}}]\n  " + with("volumeMounts: [{name: data, mountPath: /data, subPath: out}]")),
		reason:  "ContainerConfigError", words: "subPath", field: "spec.containers{main}"},

	// Containers.
	{story: "a program is not in the image", name: "no-program",
		write:  pod(with("command: [/absent]")),
		reason: "ContainerStartFailed", words: "/absent", field: "spec.containers{main}"},
	{story: "a program may not be executed", name: "no-permission",
		write:  pod(with("command: [/tmp]")),
		reason: "ContainerStartFailed", words: "/tmp", field: "spec.containers{main}"},
	{story: "a working directory is a file", name: "working-directory",
		write:  pod(with("workingDir: /testpod")),
		reason: "ContainerStartFailed", words: "/testpod", field: "spec.containers{main}"},
	{story: "a file is mounted over a directory", name: "mount-over",
		write:  pod("volumes: [{name: data, hostPath: {path: /etc/hostname, type: File}}]\n  " + with("volumeMounts: [{name: data, mountPath: /tmp}]")),
		reason: "ContainerStartFailed", words: "not a directory", field: "spec.containers{main}"},
	{story: "a postStart hook fails", name: "post-start",
		write:  pod(with("lifecycle: {postStart: {exec: {command: [/testpod, exit, \"9\"]}}}")),
		reason: "ContainerStartFailed", words: "9", field: "spec.containers{main}", also: []string{"ContainerExited", "CrashLoopBackOff", "NotReady"}},

	// Init containers.
	{story: "an init container fails", name: "init",
		write:  pod("initContainers: [{name: first, image: \"staticpod.test/pod:1\", args: [exit, \"3\"]}]\n  " + sleeps),
		reason: "InitContainerFailed", words: "exited with code 3", field: "spec.initContainers{first}"},
	{story: "an init container never ends", name: "endless-init", slow: true,
		write:  pod("initContainers: [{name: first, image: \"staticpod.test/pod:1\", args: [sleep, 24h]}]\n  " + sleeps),
		reason: "NotReady", beside: true, words: "first"},
}

// image is a pod with another image.
func image(name string) string {
	return pod(`containers: [{name: main, image: ` + name + `, args: [sleep, 24h]}]`)
}

// hostPath is a pod that mounts a path of the host.
func hostPath(path, kind string) string {
	return pod("volumes: [{name: data, hostPath: {path: " + path + ", type: " + kind + "}}]\n  " + with("volumeMounts: [{name: data, mountPath: /data}]"))
}
