package serving

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/staticpod-exporter/staticpod-exporter/e2e/exporter"
)

// Each mistake in a definition has its reason, disturbs nobody else's pod, and is forgotten when it is mended.
func definitionReasons(s *scene) {
	port := func(name string, port int) string {
		return pod(name, fmt.Sprintf(`containers: [{name: main, image: "staticpod.test/pod:1", args: [sleep, 24h], ports: [{containerPort: %d, hostPort: %d}]}]`, port, port))
	}
	s.write("first.yaml", pod("first", sleeps))
	s.write("port.yaml", port("port", 18080))
	s.ready(s.start(), "first", "port")
	before := s.containers()

	file := func(name string) string { return "file:" + filepath.Join(s.files, name) }
	mistakes := []struct {
		file, definition string
		id, reason       string
		field            string
		mended           string // the pod's name after that
	}{
		{"malformed.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {name: \n", file("malformed.yaml"), "ManifestMalformed", "", "malformed"},
		{"empty.yaml", "", file("empty.yaml"), "ManifestMalformed", "", "empty"},
		{"deployment.yaml", "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: deployment}\n", file("deployment.yaml"), "NotAPod", "kind", "deployment"},
		{"secret.yaml", pod("secret", `containers: [{name: main, image: "staticpod.test/pod:1", env: [{name: A, valueFrom: {secretKeyRef: {name: s, key: k}}}]}]`),
			s.id("secret"), "APIReference", "spec.containers[0].env[0].valueFrom.secretKeyRef", "secret"},
		{"invalid.yaml", pod("invalid", `containers: [{name: MAIN, image: "staticpod.test/pod:1"}]`), s.id("invalid"), "ManifestInvalid", "spec.containers[0].name", "invalid"},
		{"runtime-class.yaml", pod("runtime-class", "runtimeClassName: gvisor\n  "+sleeps), s.id("runtime-class"), "RuntimeClassUnsupported", "spec.runtimeClassName", "runtime-class"},
		{"port-too.yaml", port("port-too", 18080), s.id("port-too"), "HostPortConflict", "spec.containers[0].ports[0].hostPort", "port-too"},
		{"second.yaml", pod("first", runs("sleep", "25h")), s.id("first"), "DuplicateName", "metadata.name", "second"},
		{"misspelt.yaml", pod("misspelt", sleeps+"\n  hostNetwrk: true"), s.id("misspelt"), "UnknownField", "spec.hostNetwrk", "misspelt"},
	}
	for _, m := range mistakes {
		s.write(m.file, m.definition)
	}
	cause := time.Now()
	findings := []finding{}
	for _, m := range mistakes {
		findings = append(findings, finding{m.id, m.reason})
	}
	s.begun(cause, findings...)
	for _, m := range mistakes {
		status := s.reads(m.id, m.reason)
		if p, _ := status.Problem(m.reason); p.Path != filepath.Join(s.files, m.file) || p.Field != m.field || p.Line == 0 && m.definition != "" {
			s.Errorf("%s: %+v", m.file, p)
		}
	}
	s.fetched(2, "200")
	s.undisturbed(before, "first", "port")

	names := []string{"first", "port"}
	for _, m := range mistakes {
		s.write(m.file, pod(m.mended, sleeps))
		names = append(names, m.mended)
	}
	cause = time.Now()
	s.ended(cause, findings...)
	s.ready(cause, names...)
	s.undisturbed(before, "first", "port")
}

// What goes wrong on the way from a valid definition to a running pod has its reason too.
func runReasons(s *scene) {
	missing := filepath.Join(s.TempDir(), "missing")
	address, err := exporter.FreeAddress()
	s.must(err)
	_, port, _ := strings.Cut(address, ":")
	probed := fmt.Sprintf(`containers: [{name: main, image: "staticpod.test/pod:1", args: [serve, "%s"], readinessProbe: {httpGet: {path: /ready, port: %s, host: 127.0.0.1}, periodSeconds: 1, failureThreshold: 1}}]`, address, port)
	failures := []struct {
		name, spec     string
		reason, detail string // detail: the kubelet's own reason, where it is the problem's
		says           string // in the message
	}{
		{"no-image", `containers: [{name: main, image: "127.0.0.1:1/absent:1"}]`, "ImagePullFailed", "", "127.0.0.1:1/absent:1"},
		{"no-program", `containers: [{name: main, image: "staticpod.test/pod:1", command: [/absent]}]`, "ContainerStartFailed", "", "/absent"},
		{"crashes", runs("exit", "7"), "CrashLoopBackOff", "", ""},
		{"ends-badly", "restartPolicy: Never\n  " + runs("exit", "3"), "ContainerExited", "", "3"},
		{"ends-well", "restartPolicy: OnFailure\n  " + runs("exit", "0"), "Completed", "", ""},
		{"init-fails", `initContainers: [{name: first, image: "staticpod.test/pod:1", args: [exit, "3"]}]` + "\n  " + sleeps, "InitContainerFailed", "", "first"},
		{"huge", strings.Replace(sleeps, "name: main", `name: main, resources: {requests: {cpu: "640"}}`, 1), "AdmissionRejected", "UnexpectedAdmissionError", "cpu"},
		{"elsewhere", "nodeSelector: {rack: unknown}\n  " + sleeps, "AdmissionRejected", "NodeAffinity", ""},
		{"sysctl", "securityContext: {sysctls: [{name: kernel.msgmax, value: \"65536\"}]}\n  " + sleeps, "AdmissionRejected", "SysctlForbidden", ""},
		{"no-volume", fmt.Sprintf("volumes: [{name: data, hostPath: {path: %q, type: Directory}}]\n  ", missing) + strings.Replace(sleeps, "name: main", "name: main, volumeMounts: [{name: data, mountPath: /data}]", 1), "VolumeMountFailed", "", missing},
		{"no-network", sleeps, "SandboxFailed", "", ""},
	}
	s.write("steady.yaml", pod("steady", sleeps))
	s.write("probed.yaml", pod("probed", probed))
	s.ready(s.start(), "probed", "steady")
	before := s.containers()

	for _, f := range failures {
		definition := pod(f.name, f.spec)
		if f.name == "no-network" { // the node has none but the host's
			definition = strings.Replace(definition, "hostNetwork: true", "hostNetwork: false", 1)
		}
		s.write(f.name+".yaml", definition)
	}
	s.post(address, "/ready/off")
	cause := time.Now()
	findings := []finding{{s.id("probed"), "NotReady"}}
	for _, f := range failures {
		findings = append(findings, finding{s.id(f.name), f.reason})
	}
	s.begun(cause, findings...)
	s.reads(s.id("probed"), "NotReady")
	for _, f := range failures {
		status := s.reads(s.id(f.name), f.reason)
		p, _ := status.Problem(f.reason)
		if f.detail != "" && p.Detail != f.detail || !strings.Contains(p.Message, f.says) || status.Spec.Ready {
			s.Errorf("%s: ready %v, %+v", f.name, status.Spec.Ready, p)
		}
		if status.Condition("Valid") != "True" || len(status.Spec.Pod.UID) != 32 {
			s.Errorf("%s: its definition is valid and it has a UID: %+v", f.name, status.Spec)
		}
	}
	s.undisturbed(before, "probed", "steady")

	// Mended is what can be by removing the cause; of the others the definition.
	s.post(address, "/ready/on")
	s.must(os.Mkdir(missing, 0o755))
	names := []string{"probed", "steady"}
	for _, f := range failures {
		names = append(names, f.name)
		if f.reason != "VolumeMountFailed" {
			s.write(f.name+".yaml", pod(f.name, runs("sleep", "25h")))
		}
	}
	cause = time.Now()
	s.ended(cause, findings...)
	s.ready(cause, names...)
	s.undisturbed(before, "probed", "steady")
}

// post tells a pod that serves what to do.
func (s *scene) post(address, path string) {
	s.Helper()
	res, err := http.Post("http://"+address+path, "text/plain", nil)
	s.must(err)
	s.must(res.Body.Close())
}
