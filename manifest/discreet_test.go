package manifest

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// hidden is in every place of a manifest that people put secrets in.
const hidden = "hunter2-correct-horse"

const hiding = `apiVersion: v1
kind: Pod
metadata:
  name: web
  namespace: default
  creationTimestamp: 2026-01-01T00:00:00Z
  labels: {app: web}
  annotations: {note: hunter2-correct-horse, container.apparmor.security.beta.kubernetes.io/main: hunter2-correct-horse}
spec:
  hostNetwork: true
  terminationGracePeriodSeconds: 5
  tolerations: [{key: a, operator: Exists, effect: NoExecute, tolerationSeconds: 3}]
  securityContext: {runAsUser: 5, sysctls: [{name: kernel.shm_rmid_forced, value: "1"}]}
  containers:
  - name: main
    image: i
    command: [run, --password=hunter2-correct-horse]
    args: [hunter2-correct-horse]
    env:
    - {name: TOKEN, value: hunter2-correct-horse}
    - {name: POD, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
    ports: [{name: http, containerPort: 80, hostPort: 80, protocol: TCP}]
    resources: {limits: {cpu: 100m, memory: 10Mi}}
    livenessProbe: {periodSeconds: 5, httpGet: {path: /, port: http, httpHeaders: [{name: Authorization, value: hunter2-correct-horse}]}}
    readinessProbe: {exec: {command: [sh, -c, hunter2-correct-horse]}}
    lifecycle: {preStop: {exec: {command: [hunter2-correct-horse]}}}
    volumeMounts: [{name: v, mountPath: /v, readOnly: true}]
  volumes:
  - name: v
    hostPath: {path: /v, type: Directory}
  - name: f
    flexVolume: {driver: a/b, options: {password: hunter2-correct-horse}}
`

// Whatever is broken in a manifest, and in whichever way, what is said of it holds no secret. The Kubernetes
// libraries quote values, and whole objects, in many of their errors.
func TestNoBrokenManifestIsQuoted(t *testing.T) {
	var documents []string
	add := func(root *yaml.Node) {
		var b bytes.Buffer
		if err := yaml.NewEncoder(&b).Encode(root); err != nil {
			t.Fatal(err)
		}
		documents = append(documents, b.String())
	}
	var root yaml.Node
	if err := yaml.Unmarshal([]byte(hiding), &root); err != nil {
		t.Fatal(err)
	}
	scalar := func(tag, value string) *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Tag: tag, Value: value} }
	var walk func(n *yaml.Node)
	walk = func(n *yaml.Node) {
		for i, c := range n.Content {
			others := []*yaml.Node{
				scalar("!!null", "null"), scalar("!!int", "-7"), scalar("!!float", "1.5"), scalar("!!bool", "true"), scalar("!!str", ""), scalar("!!str", "a b/../c"),
				{Kind: yaml.SequenceNode, Content: []*yaml.Node{c}}, {Kind: yaml.MappingNode, Content: []*yaml.Node{scalar("!!str", "x"), c}},
			}
			if n.Kind == yaml.MappingNode && i%2 == 0 {
				others = []*yaml.Node{scalar("!!str", "misspelt"), scalar("!!null", "null"), scalar("!!int", "7"), scalar("!!bool", "true")}
			}
			if strings.Contains(c.Value, hidden) {
				for _, tag := range []string{"!!int", "!!float", "!!bool", "!!null", "!!binary", "!!timestamp", "!mine"} {
					others = append(others, scalar(tag, hidden))
				}
			}
			for _, other := range others {
				n.Content[i] = other
				add(&root)
			}
			n.Content[i] = c
			walk(c)
		}
	}
	walk(&root)
	for i := 0; i < len(hiding); i += 5 {
		documents = append(documents, hiding[:i])
	}
	lines := strings.SplitAfter(hiding, "\n")
	for i := range lines {
		without := strings.Join(lines[:i], "") + strings.Join(lines[i+1:], "")
		documents = append(documents, without, strings.Join(lines[:i], "")+"\t"+strings.Join(lines[i:], ""), strings.Join(lines[:i], "")+" "+strings.Join(lines[i:], ""),
			strings.Join(lines[:i], "")+"---\n"+strings.Join(lines[i:], ""), strings.Join(lines[:i], "")+"}"+strings.Join(lines[i:], ""))
	}
	for _, kind := range []string{"PodList", "List", "Deployment", "Secret", "Node", "PodTemplate", "nonsense", "''"} {
		for _, version := range []string{"v1", "apps/v1", "v2", "a/b/c", "''"} {
			documents = append(documents, strings.Replace(strings.Replace(hiding, "kind: Pod", "kind: "+kind, 1), "apiVersion: v1", "apiVersion: "+version, 1))
		}
	}

	v := NewValidator(Rules{Node: "n"})
	feed := Feed{URL: "http://feed/pods"}
	for _, d := range documents {
		var said strings.Builder
		for _, form := range []Form{FormDefinitions, FormDirectory} {
			for _, c := range v.File("/x", []byte(d), form) {
				fmt.Fprintf(&said, "%s %+v\n", c.Refusal(), c.Problems)
			}
		}
		r := v.foreign(feed, &body{data: []byte(podList(d))})
		fmt.Fprintf(&said, "%s %+v\n", r.list.Refusal, r.faults)
		for _, c := range r.candidates {
			fmt.Fprintf(&said, "%s %+v\n", c.Refusal(), c.Problems)
		}
		if at := strings.Index(said.String(), "hunter2"); at >= 0 {
			t.Fatalf("said …%s\nof\n%s", said.String()[max(0, at-300):min(at+100, said.Len())], d)
		}
	}
	t.Logf("%d documents", len(documents))
}
