package soak

import (
	"fmt"
	"strings"
)

// A shape is a kind of healthy pod. In its spec $PORT stands for a port of its own and $DIR for a directory.
type shape struct {
	story string
	name  string
	spec  string
	ends  bool   // it completes
	flaps string // ready or live: what the pod denies for less than a probe's threshold, again and again
}

// shapes are what is normal, though it may not look so at every moment.
var shapes = []shape{
	{story: "one container", name: "plain",
		spec: containers(main(`args: [sleep, 24h]`))},
	{story: "five containers", name: "five",
		spec: containers(sleeping("a", "b", "c", "d", "e")...)},
	{story: "init containers, one after the other", name: "init",
		spec: initial(container("first", `args: [sleep, 2s]`), container("second", `args: [exit, "0"]`)) + containers(main(`args: [sleep, 24h]`))},
	{story: "a sidecar before an init container", name: "sidecar",
		spec: initial(container("proxy", `restartPolicy: Always, args: [serve, "127.0.0.1:$PORT"], `+probe("startup", "/ready", "")), container("waits", `args: [get, "http://127.0.0.1:$PORT/ready"]`)) + containers(main(`args: [sleep, 24h]`))},
	{story: "a job", name: "job", ends: true,
		spec: "restartPolicy: Never\n  " + containers(main(`args: [exit, "0", 5s]`))},
	{story: "a job of two containers, after an init container", name: "job-two", ends: true,
		spec: "restartPolicy: OnFailure\n  " + initial(container("first", `args: [sleep, 1s]`)) + containers(container("a", `args: [exit, "0", 2s]`), container("b", `args: [exit, "0", 20s]`))},
	{story: "a job beside a service", name: "job-beside", spec: "restartPolicy: OnFailure\n  " +
		containers(main(`args: [sleep, 24h]`), container("once", `args: [exit, "0", 8s]`))},
	{story: "a service", name: "service",
		spec: containers(main(`args: [serve, "127.0.0.1:$PORT"], ports: [{containerPort: $PORT}], ` + probe("readiness", "/ready", "") + ", " + probe("liveness", "/live", "")))},
	{story: "a readiness probe that fails once in a while", name: "unsteady", flaps: "ready",
		spec: containers(main(`args: [serve, "127.0.0.1:$PORT"], ` + probe("readiness", "/ready", "failureThreshold: 5, ")))},
	{story: "a liveness probe that fails once in a while", name: "hiccups", flaps: "live",
		spec: containers(main(`args: [serve, "127.0.0.1:$PORT"], ` + probe("liveness", "/live", "failureThreshold: 5, ")))},
	{story: "a slow start under a startup probe", name: "slow",
		spec: containers(main(`args: [serve, "127.0.0.1:$PORT", 40s], ` + probe("startup", "/ready", "failureThreshold: 120, ") + ", " + probe("liveness", "/live", "")))},
	{story: "a slow start under a late readiness probe", name: "late",
		spec: containers(main(`args: [serve, "127.0.0.1:$PORT", 15s], ` + probe("readiness", "/ready", "initialDelaySeconds: 20, ")))},
	{story: "a hook that takes its time", name: "hook",
		spec: "terminationGracePeriodSeconds: 8\n  " + containers(main(`args: [sleep, 24h], lifecycle: {postStart: {sleep: {seconds: 4}}, preStop: {sleep: {seconds: 1}}}`))},
	{story: "volumes and what a pod knows of itself", name: "volumes",
		spec: "volumes:\n  - {name: here, hostPath: {path: $DIR, type: Directory}}\n  - {name: empty, emptyDir: {}}\n" +
			"  - {name: self, downwardAPI: {items: [{path: name, fieldRef: {fieldPath: metadata.name}}]}}\n  " +
			containers(main(`args: [sleep, 24h], env: [{name: NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}], volumeMounts: [{name: here, mountPath: /here}, {name: empty, mountPath: /empty}, {name: self, mountPath: /self}]`))},
	{story: "much to say", name: "loud",
		spec: containers(main(`args: [lines, "100000", 10ms]`))},
	{story: "as much memory as it may have", name: "large",
		spec: containers(main(`args: [memory, "24"], resources: {requests: {cpu: 1m}, limits: {memory: 128Mi}}`))},
	{story: "SIGTERM is ignored, for as long as is granted", name: "stubborn",
		spec: "terminationGracePeriodSeconds: 6\n  " + containers(main(`args: [stubborn]`))},
}

func main(more string) string { return container("main", more) }

func container(name, more string) string {
	return fmt.Sprintf("  - {name: %s, image: \"staticpod.test/pod:1\", %s}\n", name, more)
}

func sleeping(names ...string) []string {
	all := make([]string, len(names))
	for i, name := range names {
		all[i] = container(name, "args: [sleep, 24h]")
	}
	return all
}

func containers(all ...string) string { return "containers:\n" + strings.Join(all, "") + "  " }

func initial(all ...string) string { return "initContainers:\n" + strings.Join(all, "") + "  " }

func probe(kind, path, more string) string {
	return kind + "Probe: {periodSeconds: 1, " + more + "httpGet: {host: 127.0.0.1, port: $PORT, path: " + path + "}}"
}
