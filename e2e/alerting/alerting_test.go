package alerting

import (
	"context"
	"strings"
	"testing"
)

// pod is a definition of a pod in a namespace, and of what its one container does.
func pod(namespace, name, args, more string) string {
	return strings.NewReplacer("NAMESPACE", namespace, "NAME", name, "ARGS", args, "MORE", more).Replace(`apiVersion: v1
kind: Pod
metadata: {name: NAME, namespace: NAMESPACE}
spec:
  hostNetwork: true
  terminationGracePeriodSeconds: 1
  containers:
    - name: main
      image: staticpod.test/pod:1
      args: [ARGS]
      MORE
`)
}

const sleeps = "sleep, 24h"

// From a cause on the node to the receiver's webhook: what an operator must act on reaches who must act, with what they
// need, nothing else does, and once it is mended they are told so.
func TestAlertsReachWhoMustAct(t *testing.T) {
	s := newStage(t)
	at := func(name string) string { return name + "-" + s.node.Name() }
	on := func(labels map[string]string) map[string]string {
		labels["instance"] = host(s.exporter)
		return labels
	}
	healthy := []string{"kube-system/" + at("web"), "kube-system/" + at("crash"), "default/" + at("large")}
	for _, p := range [][2]string{{"kube-system", "web"}, {"kube-system", "crash"}, {"default", "large"}} {
		s.write(p[1]+".yaml", pod(p[0], p[1], sleeps, ""))
	}
	s.ready(healthy...)

	// Four things go wrong at once, each on a pod of its own.
	begin := s.since()
	edit := expected{"tickets", "StaticPodManifestInvalid", "warning", on(map[string]string{"namespace": "kube-system", "pod": at("web"), "definition": "kube-system-web"}),
		[]string{"ManifestInvalid: " + s.files + "/web.yaml:", "(spec.containers", "What ran before runs on."}}
	fresh := expected{"pager", "StaticPodManifestInvalid", "critical", on(map[string]string{"namespace": "kube-system", "pod": at("new"), "definition": "kube-system-new"}),
		[]string{"ManifestInvalid: " + s.files + "/new.yaml:", "no ready pod runs for it"}}
	crash := expected{"pager", "StaticPodNotReady", "critical", on(map[string]string{"namespace": "kube-system", "pod": at("crash")}), []string{"kube-system/" + at("crash")}}
	large := expected{"tickets", "StaticPodNotReady", "warning", on(map[string]string{"namespace": "default", "pod": at("large")}), []string{"AdmissionRejected since"}}
	cause := s.write("web.yaml", strings.Replace(pod("kube-system", "web", sleeps, ""), "image: staticpod.test/pod:1", "imag: staticpod.test/pod:1", 1))
	s.write("crash.yaml", pod("kube-system", "crash", `exit, "7"`, ""))
	s.write("large.yaml", pod("default", "large", sleeps, `resources: {requests: {cpu: "640"}}`))
	s.write("new.yaml", pod("kube-system", "new", sleeps, "imagePullPolicy: Sometimes"))
	// The misspelt field is a flaw, too, which is a line for the morning.
	flaw := expected{"morning", "StaticPodManifestFlawed", "info", on(map[string]string{"definition": "kube-system-web"}), []string{"UnknownField: " + s.files + "/web.yaml:"}}
	s.told("four definitions are edited", begin, "firing", cause, edit, fresh, crash, large, flaw)

	begin = s.since()
	for _, p := range [][2]string{{"kube-system", "web"}, {"kube-system", "crash"}, {"default", "large"}, {"kube-system", "new"}} {
		cause = s.write(p[1]+".yaml", pod(p[0], p[1], sleeps, ""))
	}
	// Those that were told of last may be told once more before they end.
	s.told("and mended", begin, "resolved", cause, edit, fresh, crash, large, flaw)
	s.ready(append(healthy, "kube-system/"+at("new"))...)

	begin = s.since()
	other := s.instead()
	defer other.Close()
	cause = s.restartKubelet(other.URL)
	fetch := expected{"tickets", "StaticPodKubeletNotFetching", "warning", on(map[string]string{}), []string{"has not fetched its list of static pods since"}}
	s.told("the kubelet fetches from somewhere else", begin, "firing", cause, fetch)
	begin = s.since()
	cause = s.restartKubelet(s.url())
	s.told("and from here again", begin, "resolved", cause, fetch)
	s.ready(append(healthy, "kube-system/"+at("new"))...)

	begin = s.since()
	s.exporter.Kill()
	down := expected{"tickets", "StaticPodExporterDown", "warning", on(map[string]string{}), []string{"The static pods of this node are not watched."}}
	s.told("the exporter is killed", begin, "firing", cause, down)
	begin = s.since()
	s.must(s.exporter.Start(context.Background()))
	s.told("and started", begin, "resolved", cause, down)
	s.report()
}
