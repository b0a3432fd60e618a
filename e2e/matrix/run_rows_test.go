package matrix

import (
	"syscall"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// runs are pods that came up and do not stay so.
var running = []row{
	{story: "a container fails again and again", name: "crash",
		write:  pod(runs("exit", "7")),
		reason: "CrashLoopBackOff", words: "exited with code 7", field: "spec.containers{main}", also: []string{"ContainerExited"}},
	{story: "a container ends well again and again", name: "ends-well",
		write:  pod(runs("exit", "0")),
		reason: "CrashLoopBackOff", words: "exited with code 0", field: "spec.containers{main}", also: []string{"ContainerExited"}},
	{story: "a command is misspelt, so the image does what it does without", name: "commands",
		write:  pod("containers:\n  - name: main\n    image: staticpod.test/pod:1\n    commands: [/testpod, sleep, 24h]"),
		reason: "CrashLoopBackOff", words: "exited with code 2", field: "spec.containers{main}", must: []string{"UnknownField"}, also: []string{"ContainerExited"}},
	{story: "a container fails now and then where it shall be restarted on failure", name: "on-failure",
		write:  pod("restartPolicy: OnFailure\n  " + runs("exit", "4")),
		reason: "CrashLoopBackOff", words: "exited with code 4", field: "spec.containers{main}", also: []string{"ContainerExited"}},
	{story: "a sidecar fails again and again", name: "sidecar",
		write:  pod("initContainers: [{name: proxy, image: \"staticpod.test/pod:1\", args: [exit, \"5\"], restartPolicy: Always}]\n  " + sleeps),
		reason: "CrashLoopBackOff", words: "exited with code 5", field: "spec.initContainers{proxy}", also: []string{"ContainerExited", "NotReady"}},
	{story: "a container takes more memory than it may", name: "oom",
		write:  pod(`containers: [{name: main, image: "staticpod.test/pod:1", args: [memory, "64"], resources: {limits: {memory: 32Mi}}}]`),
		reason: "OOMKilled", beside: true, words: "OOMKilled", field: "spec.containers{main}", also: []string{"ContainerExited", "CrashLoopBackOff"}, times: 1},
	{story: "a job fails, and is not to be restarted", name: "job-fails",
		write:  pod("restartPolicy: Never\n  " + runs("exit", "3")),
		reason: "ContainerExited", words: "exited with code 3", field: "spec.containers{main}"},
	{story: "a job ends", name: "job",
		write:  pod("restartPolicy: Never\n  " + runs("exit", "0", "1s")),
		reason: "Completed"},
	{story: "a job that may be restarted ends", name: "job-on-failure",
		write:  pod("restartPolicy: OnFailure\n  " + runs("exit", "0", "1s")),
		reason: "Completed"},
	{story: "a pod has its deadline", name: "deadline",
		write:  pod("activeDeadlineSeconds: 4\n  " + sleeps),
		reason: "ContainerExited", detail: "DeadlineExceeded", words: "active on the node longer than the specified deadline"},

	// Probes.
	{story: "a service says that it is not ready", name: "unready",
		before: pod(serves(probe("readiness", "/ready", ""))),
		act:    func(p *play) { p.tell("/ready/off") }, mend: func(p *play) { p.tell("/ready/on") },
		reason: "NotReady", words: "main"},
	{story: "a service never becomes ready", name: "never-ready",
		write:  pod(serves(probe("readiness", "/absent", ""))),
		reason: "NotReady", words: "main"},
	{story: "a service hangs, and is restarted for it", name: "liveness",
		before: pod(serves(probe("liveness", "/live", ""))),
		act:    func(p *play) { p.tell("/live/off") }, mend: func(*play) {}, // the restart mends it
		reason: "LivenessFailing", words: "503", field: "spec.containers{main}", beside: true, ready: true, also: []string{"ContainerExited", "CrashLoopBackOff", "NotReady"}},
	{story: "a liveness probe asks the wrong thing, for ever", name: "liveness-loop",
		write:  pod(serves(probe("liveness", "/absent", ""))),
		reason: "LivenessFailing", words: "404", field: "spec.containers{main}", beside: true, ready: true, also: []string{"ContainerExited", "CrashLoopBackOff", "NotReady"}},
	{story: "a service does not come up in the time it is given", name: "startup",
		write:  pod(serves(probe("startup", "/absent", ""))),
		reason: "StartupFailing", words: "404", field: "spec.containers{main}", beside: true, also: []string{"ContainerExited", "CrashLoopBackOff", "NotReady"}},

	// Hands.
	{story: "a process is killed, and restarted", name: "killed",
		before: pod(sleeps),
		act:    func(p *play) { p.must(syscall.Kill(p.running().Spec.Containers[0].PID, syscall.SIGKILL)) },
		also:   []string{"ContainerExited"}},
	{story: "a container is removed by hand", name: "removed",
		before: pod(sleeps),
		act: func(p *play) {
			_, err := p.node.Runtime().StopContainer(p.Context(), &cri.StopContainerRequest{ContainerId: p.running().Spec.Containers[0].ID})
			p.must(err)
		},
		also: []string{"ContainerExited"}},
	{story: "a sandbox is stopped by hand", name: "stopped",
		before: pod(sleeps),
		act: func(p *play) {
			_, err := p.node.Runtime().StopPodSandbox(p.Context(), &cri.StopPodSandboxRequest{PodSandboxId: p.sandbox()})
			p.must(err)
		},
		mend: func(p *play) { p.put(p.base, pod(runs("sleep", "25h"))) },
		// The kubelet may try it in the old one first, and then wait before it tries it in the new.
		reason: "UnplannedRecreation", ready: true, also: []string{"ContainerExited", "ContainerStartFailed", "CrashLoopBackOff"}},
	{story: "a readiness probe fails once in a while, which the threshold is there for", name: "flaps",
		before: pod(serves(probe("readiness", "/ready", "failureThreshold: 5, "))),
		act:    func(p *play) { p.tell("/ready/off") },
		mend:   func(p *play) { p.tell("/ready/on") }},
}

// drifts are pods that are not what is defined.
var drifts = []row{
	{story: "a pod that nothing is wrong with does not become ready in time", name: "rollout",
		before: pod(serves(probe("readiness", "/ready", ""))), slow: true,
		write:  pod(serves(probe("readiness", "/absent", ""))),
		reason: "RolloutStuck", beside: true, also: []string{"NotReady"}},
	{story: "a pod takes its time to end, and is replaced", name: "slow-end",
		before: graceful("8"), write: pod(runs("sleep", "25h")), mend: func(*play) {},
		reason: "WaitingForTermination"},
	{story: "the runtime cannot end a removed pod", name: "stuck", slow: true, gone: true,
		before: pod(sleeps), act: func(p *play) { p.undo = p.unkillable(); p.remove(p.base) }, mend: func(p *play) { p.undo() },
		reason: "TerminationStuck"},
	{story: "a pod runs that the kubelet does not have, and nobody knows why", name: "orphan", slow: true, gone: true,
		before: pod(sleeps),
		act: func(p *play) {
			p.undo = p.unkillable()
			p.remove(p.base)
			p.givenUp()
			p.observe("--kubelet.log=")
		},
		mend:   func(p *play) { p.undo() },
		reason: "Orphaned"},
	{story: "a removed pod takes the time that it is given", name: "graceful", gone: true,
		before: graceful("6"), act: func(p *play) { p.remove(p.base) }},
	{story: "a file is renamed, and the kubelet restarts the pod", name: "renamed", only: file,
		before: pod(sleeps),
		act:    func(p *play) { p.rename("$NAME-renamed.yaml") },
		mend:   func(p *play) { p.put(p.base, pod(runs("sleep", "25h"))) },
		reason: "UnplannedRecreation", ready: true, also: []string{"StopPending"}},
}

// graceful is a pod that ignores that it shall end, for as long as it is given.
func graceful(seconds string) string {
	return replaceGrace(pod(runs("stubborn")), seconds)
}
