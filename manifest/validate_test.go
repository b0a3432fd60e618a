package manifest

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
)

// sketch writes problems as "line:column reason field: message", one per line.
func sketch(problems []Problem) string {
	var b strings.Builder
	for _, p := range problems {
		fmt.Fprintf(&b, "%d:%d %s %s: %s\n", p.Line, p.Column, p.Reason, p.Field, p.Message)
	}
	return b.String()
}

// prove reads one document and returns its one candidate.
func prove(t *testing.T, rules Rules, document string, form Form) *Candidate {
	t.Helper()
	candidates := NewValidator(rules).File("/pods.d/x.yaml", []byte(document), form)
	if len(candidates) != 1 {
		t.Fatalf("%d candidates, want 1:\n%s", len(candidates), document)
	}
	return candidates[0]
}

const good = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n"

func TestVerdicts(t *testing.T) {
	for _, test := range []struct {
		name, document string
		rules          Rules
		want           string // the problems
		refusal        string // the kubelet's words as a whole; "" when it accepts
		runs           bool   // not quarantined
	}{
		{name: "a pod", runs: true, document: good + "  containers: [{name: a, image: b}]"},
		{name: "a privileged pod", runs: true, document: good + "  containers: [{name: a, image: b, securityContext: {privileged: true}}]"},
		{name: "JSON with tabs", runs: true, document: "{\n\t\"apiVersion\": \"v1\",\n\t\"kind\": \"Pod\",\n\t\"metadata\": {\"name\": \"a\"},\n\t\"spec\": {\"containers\": [{\"name\": \"a\", \"image\": \"b\"}]}}"},
		{name: "CRLF", runs: true, document: strings.ReplaceAll(good+"  containers:\n  - name: a\n    image: b\n", "\n", "\r\n")},
		{name: "a byte order mark", runs: true, document: "\uFEFF" + good + "  containers: [{name: a, image: b}]"},
		{name: "kind in another case, which the kubelet finds", runs: true,
			document: "apiVersion: v1\nKind: Pod\nmetadata: {name: a}\nspec: {containers: [{name: a, image: b}]}",
			want:     "2:1 UnknownField Kind: unknown field \"Kind\": did you mean \"kind\"?\n"},

		// Decoding.
		{name: "YAML that does not parse", document: "# c\n" + good + "  containers: [{name: a\n",
			want: "6:0 ManifestMalformed : yaml: line 6: did not find expected ',' or '}'\n", refusal: "yaml: line 6: did not find expected ',' or '}'"},
		{name: "a tab in YAML", document: good + "\tcontainers: []\n",
			want: "5:0 ManifestMalformed : yaml: line 5: found character that cannot start any token (a tab: YAML is indented with spaces)\n", refusal: "yaml: line 5: found character that cannot start any token"},
		{name: "JSON that does not parse", document: "{\n  \"kind\": \"Pod\",\n  \"x\": [1,]\n}",
			want:    "3:11 ManifestMalformed : couldn't get version/kind; json parse error: invalid character ']' looking for beginning of value\n",
			refusal: "couldn't get version/kind; json parse error: invalid character ']' looking for beginning of value"},
		{name: "half of JSON", document: "{\n  \"kind\": \"Pod\",\n",
			want:    "2:0 ManifestMalformed : couldn't get version/kind; json parse error: unexpected end of JSON input\n",
			refusal: "couldn't get version/kind; json parse error: unexpected end of JSON input"},
		{name: "not UTF-8", document: good + "  hostname: \"\xff\"\n",
			want: "1:0 ManifestMalformed : yaml: invalid leading UTF-8 octet\n", refusal: "yaml: invalid leading UTF-8 octet"},
		{name: "nothing", document: "",
			want:    "1:0 ManifestMalformed : the file is empty: to define no pods write a PodList with items: [], or remove the file\n",
			refusal: "the file is empty: to define no pods write a PodList with items: [], or remove the file"},
		{name: "a list of words", document: "- a\n",
			want:    "1:1 ManifestMalformed : couldn't get version/kind; json parse error: json: cannot unmarshal array into Go value of type struct { APIVersion string \"json:\\\"apiVersion,omitempty\\\"\"; Kind string \"json:\\\"kind,omitempty\\\"\" }\n",
			refusal: "couldn't get version/kind; json parse error: json: cannot unmarshal array into Go value of type struct { APIVersion string \"json:\\\"apiVersion,omitempty\\\"\"; Kind string \"json:\\\"kind,omitempty\\\"\" }"},
		{name: "fields of wrong types", document: good + "  containers:\n  - name: a\n    image: 5\n    ports:\n    - containerPort: \"80\"\n    resources: {limits: {cpu: much}}\n",
			want: "7:5 ManifestMalformed spec.containers[0].image: json: cannot unmarshal number into Go value of type string\n" +
				"9:7 ManifestMalformed spec.containers[0].ports[0].containerPort: json: cannot unmarshal string into Go value of type int32\n" +
				"10:26 ManifestMalformed spec.containers[0].resources.limits.cpu: quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'\n",
			refusal: "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"},
		{name: "one field of wrong types, twice", document: good + "  containers:\n  - name: a\n    image: b\n    env:\n    - {name: A, value: [1]}\n    - {name: B, value: {a: b}}\n",
			want: "9:17 ManifestMalformed spec.containers[0].env[0].value: json: cannot unmarshal array into Go struct field EnvVar.spec.containers.env.value of type string\n" +
				"10:17 ManifestMalformed spec.containers[0].env[1].value: json: cannot unmarshal object into Go value of type string\n",
			refusal: "json: cannot unmarshal array into Go struct field EnvVar.spec.containers.env.value of type string"},
		{name: "a boolean of YAML 1.1", document: good + "  containers:\n  - name: a\n    image: b\n    args: [on]\n",
			want:    "8:12 ManifestMalformed spec.containers[0].args[0]: json: cannot unmarshal bool into Go struct field Container.spec.containers.args of type string: an unquoted on is a boolean, quote it\n",
			refusal: "json: cannot unmarshal bool into Go struct field Container.spec.containers.args of type string"},

		// Kinds.
		{name: "another kind", document: "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n",
			want: "2:1 NotAPod kind: invalid pod: this is a ConfigMap, not a Pod\n", refusal: "invalid pod: this is a ConfigMap, not a Pod"},
		{name: "no such kind", document: strings.Replace(good, "Pod", "Pood", 1) + "  containers: []",
			want:    "2:1 NotAPod kind: no kind \"Pood\" is registered for version \"v1\" in scheme \"" + legacyscheme.Scheme.Name() + "\"\n",
			refusal: "no kind \"Pood\" is registered for version \"v1\" in scheme \"" + legacyscheme.Scheme.Name() + "\""},
		{name: "no such version", document: strings.Replace(good, "v1", "v2", 1) + "  containers: []",
			want:    "1:1 NotAPod apiVersion: no kind \"Pod\" is registered for version \"v2\" in scheme \"" + legacyscheme.Scheme.Name() + "\"\n",
			refusal: "no kind \"Pod\" is registered for version \"v2\" in scheme \"" + legacyscheme.Scheme.Name() + "\""},
		{name: "no kind", document: "apiVersion: v1\nmetadata: {name: a}\n",
			want: "1:1 NotAPod kind: Object 'Kind' is missing\n", refusal: "Object 'Kind' is missing"},
		{name: "no apiVersion", document: "kind: Pod\nmetadata: {name: a}\n",
			want: "1:1 NotAPod apiVersion: Object 'apiVersion' is missing\n", refusal: "Object 'apiVersion' is missing"},

		{name: "a kind that is no string", document: "apiVersion: v1\nkind: [Pod]\nmetadata: {name: a}\n",
			want:    "2:1 ManifestMalformed kind: couldn't get version/kind; json parse error: json: cannot unmarshal array into Go struct field .kind of type string\n",
			refusal: "couldn't get version/kind; json parse error: json: cannot unmarshal array into Go struct field .kind of type string"},
		{name: "an apiVersion of three parts", document: "kind: Pod\napiVersion: a/b/c\nmetadata: {name: a}\n",
			want: "2:1 ManifestMalformed apiVersion: unexpected GroupVersion string: a/b/c\n", refusal: "unexpected GroupVersion string: a/b/c"},

		// Validation.
		{name: "no containers", document: good + "  hostPID: true\n",
			want: "4:1 ManifestInvalid spec.containers: Required value\n", refusal: "invalid pod: [spec.containers: Required value]"},
		{name: "no name", document: "apiVersion: v1\nkind: Pod\nmetadata:\n  labels: {a: b}\nspec: {containers: []}",
			want: "3:1 ManifestInvalid metadata.name: invalid pod: name is needed for the pod\n", refusal: "invalid pod: name is needed for the pod"},
		{name: "two fields wrong", document: good + "  containers:\n  - name: A_\n    image: b\n    imagePullPolicy: Sometimes\n",
			want: "6:5 ManifestInvalid spec.containers[0].name: spec.containers[0].name: Invalid value: \"A_\": a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')\n" +
				"8:5 ManifestInvalid spec.containers[0].imagePullPolicy: spec.containers[0].imagePullPolicy: Unsupported value: \"Sometimes\": supported values: \"Always\", \"IfNotPresent\", \"Never\"\n",
			refusal: "invalid pod: [spec.containers[0].name: Invalid value: \"A_\": a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?') spec.containers[0].imagePullPolicy: Unsupported value: \"Sometimes\": supported values: \"Always\", \"IfNotPresent\", \"Never\"]"},
		{name: "a name too long with the node's", rules: Rules{Node: strings.Repeat("n", 63)}, document: strings.Replace(good, "name: a", "name: "+strings.Repeat("a.", 100)+"a", 1) + "  containers: [{name: a, image: b}]",
			want:    "3:12 ManifestInvalid metadata.name: metadata.name: Invalid value: must be no more than 253 characters\n",
			refusal: "invalid pod: [metadata.name: Invalid value: must be no more than 253 characters]"},

		// References.
		{name: "a secret and a volume of a config map", document: good + "  containers:\n  - name: a\n    image: b\n    env:\n    - name: A\n      valueFrom:\n        secretKeyRef: {name: s, key: k}\n  volumes:\n  - name: v\n    configMap: {name: c}\n",
			want: "11:9 APIReference spec.containers[0].env[0].valueFrom.secretKeyRef: static pods may not reference secrets\n" +
				"14:5 APIReference spec.volumes[0].configMap: static pods may not reference configmaps\n",
			refusal: "static pods may not reference secrets"},
		{name: "a service account", document: good + "  serviceAccountName: x\n  containers: [{name: a, image: b}]",
			want: "5:3 APIReference spec.serviceAccountName: static pods may not reference serviceaccounts\n", refusal: "static pods may not reference serviceaccounts"},
		{name: "a config map before a secret, of which the kubelet names the secret", document: good + "  containers: [{name: a, image: b, envFrom: [{configMapRef: {name: c}}]}]\n  volumes: [{name: v, secret: {secretName: s}}, {name: w, secret: null, emptyDir: {}}]\n",
			want: "5:47 APIReference spec.containers[0].envFrom[0].configMapRef: static pods may not reference configmaps\n" +
				"6:23 APIReference spec.volumes[0].secret: static pods may not reference secrets\n",
			refusal: "static pods may not reference secrets"},
		{name: "an image pulled with a secret", document: good + "  imagePullSecrets: [{name: s}]\n  containers: [{name: a, image: b}]\n",
			want: "5:22 APIReference spec.imagePullSecrets[0]: static pods may not reference secrets\n", refusal: "static pods may not reference secrets"},
		{name: "a volume of a driver", document: good + "  containers: [{name: a, image: b}]\n  volumes:\n  - name: v\n    csi: {driver: d}\n",
			want: "8:5 APIReference spec.volumes[0].csi: static pods may not reference csidrivers (via CSI volumes)\n", refusal: "static pods may not reference csidrivers (via CSI volumes)"},
		{name: "a claim", document: good + "  containers: [{name: a, image: b}]\n  volumes: [{name: v, persistentVolumeClaim: {claimName: c}}]\n",
			want: "6:23 APIReference spec.volumes[0].persistentVolumeClaim: static pods may not reference persistentvolumeclaims\n", refusal: "static pods may not reference persistentvolumeclaims"},

		// What the kubelet does not say.
		{name: "a misspelt field", runs: true, document: good + "  hostNetwrok: true\n  containers:\n  - name: a\n    image: b\n    comands: [x]\n    volumes: []\n    qwertz: 1\n",
			want: "5:3 UnknownField spec.hostNetwrok: unknown field \"spec.hostNetwrok\": did you mean \"hostNetwork\"?\n" +
				"9:5 UnknownField spec.containers[0].comands: unknown field \"spec.containers[0].comands\": did you mean \"command\"?\n" +
				"10:5 UnknownField spec.containers[0].volumes: unknown field \"spec.containers[0].volumes\": did you mean \"volumes\" of the pod it is part of?\n" +
				"11:5 UnknownField spec.containers[0].qwertz: unknown field \"spec.containers[0].qwertz\"\n"},
		{name: "containers misspelt", document: good + "  containerz: [{name: a, image: b}]\n",
			want: "4:1 ManifestInvalid spec.containers: Required value\n" +
				"5:3 UnknownField spec.containerz: unknown field \"spec.containerz\": did you mean \"containers\"?\n",
			refusal: "invalid pod: [spec.containers: Required value]"},
		{name: "a key twice", runs: true, document: good + "  containers:\n  - name: a\n    image: b\n    image: c\n",
			want: "8:5 DuplicateKey spec.containers[0].image: key \"image\" is already set in this mapping: the kubelet takes the last one\n"},
		{name: "a key twice in JSON", runs: true, document: `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"},"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"a","image":"b"}]}}`,
			want: "1:57 DuplicateKey metadata: key \"metadata\" is already set in this mapping: the kubelet takes the last one\n"},
		{name: "two merges, which are no key twice", runs: true, document: good + "  containers:\n  - &c {name: a, image: b}\n  - {<<: *c, <<: {tty: true}, name: c}\n"},
		{name: "a merged key, which is none twice", runs: true, document: good + "  containers:\n  - &c {name: a, image: b}\n  - {<<: *c, name: c}\n"},
		{name: "a warning before what is critical", document: strings.Replace(good, "name: a", "name: a, uid: 5", 1) + "  containers: []",
			want: "5:3 ManifestInvalid spec.containers: Required value\n" +
				"3:21 UIDIgnored metadata.uid: metadata.uid is ignored: it is derived from the content, so that a change is a new pod\n",
			refusal: "invalid pod: [spec.containers: Required value]"},
		{name: "a field of an element that the kubelet does not number", document: good + "  containers:\n  - name: a\n    image: b\n    volumeMounts:\n    - {name: v, mountPath: /x}\n    - name: v\n      mountPath: /y\n      subPath: ../z\n  volumes: [{name: v, emptyDir: {}}]\n",
			want:    "12:7 ManifestInvalid spec.containers[0].volumeMounts.subPath: spec.containers[0].volumeMounts.subPath: Invalid value: \"../z\": must not contain '..'\n",
			refusal: "invalid pod: [spec.containers[0].volumeMounts.subPath: Invalid value: \"../z\": must not contain '..']"},
		{name: "a UID", runs: true, document: strings.Replace(good, "name: a", "name: a, uid: u", 1) + "  containers: [{name: a, image: b}]",
			want: "3:21 UIDIgnored metadata.uid: metadata.uid is ignored: it is derived from the content, so that a change is a new pod\n"},
		{name: "a class without priority", runs: true, document: good + "  priorityClassName: system-node-critical\n  containers: [{name: a, image: b}]",
			want: "5:3 PriorityIncomplete spec.priorityClassName: Static pod has priorityClassName and nil priority. Kubelet will not use priorityClassName, and mirror pod creation may fail.\n"},
		{name: "a priority without class", runs: true, document: good + "  priority: 5\n  containers: [{name: a, image: b}]",
			want: "5:3 PriorityIncomplete spec.priority: Static pod has priority without priorityClassName. Mirror pod creation may fail if the default priority class doesn't match the given priority.\n"},
		{name: "another priority", runs: true, document: good + "  priority: 2000000000\n  priorityClassName: system-cluster-critical\n  containers: [{name: a, image: b}]",
			want: "5:3 PriorityIncomplete spec.priority: Static pod has a priority other than 2000001000 or a priorityClassName other than system-node-critical. Mirror pod may be attempted to be evicted from the node ineffectively.\n"},
		{name: "node critical", runs: true, document: good + "  priority: 2000001000\n  priorityClassName: system-node-critical\n  containers: [{name: a, image: b}]"},
		{name: "a runtime class", runs: true, document: good + "  runtimeClassName: r\n  containers: [{name: a, image: b}]"},
		{name: "a runtime class on a standalone kubelet", rules: Rules{Standalone: true}, document: good + "  runtimeClassName: r\n  containers: [{name: a, image: b}]",
			want: "5:3 RuntimeClassUnsupported spec.runtimeClassName: a kubelet without an API server crashes on a pod with runtimeClassName (kubernetes/kubernetes#125561)\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.rules.Node == "" {
				test.rules.Node = "node1"
			}
			c := prove(t, test.rules, test.document, FormDefinitions)
			// Required value alone is the kubelet's whole word; its field stands before it.
			want := strings.ReplaceAll(test.want, "spec.containers: Required value\n", "spec.containers: spec.containers: Required value\n")
			if got := sketch(c.Problems); got != want {
				t.Errorf("problems\n%swant\n%s", got, want)
			}
			if c.Refusal() != test.refusal {
				t.Errorf("refusal %q\n   want %q", c.Refusal(), test.refusal)
			}
			if c.Quarantined() == test.runs {
				t.Errorf("quarantined %v", c.Quarantined())
			}
		})
	}
}

func TestIdentityOfWhatIsWrong(t *testing.T) {
	for _, test := range []struct{ name, document, want string }{
		{"a wrong type keeps its name", good + "  containers: 5\n", "default/a"},
		{"an invalid pod keeps its name", "apiVersion: v1\nkind: Pod\nmetadata: {name: b, namespace: ns}\nspec: {}\n", "ns/b"},
		{"a misspelt kind of what looks like a pod keeps its name", strings.Replace(good, "Pod", "Pdo", 1) + "  containers: []", "default/a"},
		{"another kind has no pod's name", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n", "/"},
		{"a namespace that is a boolean in YAML 1.1 is none", "apiVersion: v1\nkind: Pod\nmetadata: {name: b, namespace: n}\nspec: {}\n", "/"},
		{"a name that is no string is none", strings.Replace(good, "name: a", "name: 5", 1) + "  containers: []", "/"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := prove(t, Rules{Node: "n"}, test.document, FormDefinitions)
			if got := c.Namespace + "/" + c.Name; got != test.want || !c.Quarantined() {
				t.Errorf("%s, quarantined %v, want %s", got, c.Quarantined(), test.want)
			}
		})
	}
}

func TestPodIsWhatTheKubeletMakesOfIt(t *testing.T) {
	document := good + "  containers: [{name: a, image: b, ports: [{containerPort: 80}]}]\n  hostNetwork: true\n"
	c := prove(t, Rules{Node: "Node1"}, document, FormDefinitions)
	pod := c.Pod
	if pod.Name != "a" || pod.Namespace != "default" || pod.Spec.NodeName != "node1" || pod.UID != c.UID ||
		pod.Annotations["kubernetes.io/config.hash"] != string(c.UID) || pod.Status.Phase != corev1.PodPending {
		t.Errorf("%+v", pod)
	}
	if pod.Spec.Containers[0].Ports[0].HostPort != 80 || pod.Spec.RestartPolicy != corev1.RestartPolicyAlways || pod.Spec.TerminationGracePeriodSeconds == nil {
		t.Errorf("not defaulted: %+v", pod.Spec)
	}
	if len(pod.Spec.Tolerations) != 0 {
		t.Errorf("a served pod gets no toleration: %+v", pod.Spec.Tolerations)
	}
	file := prove(t, Rules{Node: "Node1"}, document, FormDirectory)
	want := corev1.Toleration{Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute}
	if len(file.Pod.Spec.Tolerations) != 1 || file.Pod.Spec.Tolerations[0] != want {
		t.Errorf("a pod from a file gets %+v", file.Pod.Spec.Tolerations)
	}
}

// TestSecretsStayAtHome puts a secret wherever people put them and breaks the document around it.
func TestSecretsStayAtHome(t *testing.T) {
	const secret = "hunter2-correct-horse"
	env := good + "  containers:\n  - name: a\n    image: b\n"
	for _, document := range []string{
		env + "    env: [{name: A, value: *" + secret + "}]\n",
		env + "    env: [{name: A, value: {x: " + secret + "}}]\n",
		env + "    env: [{name: A=" + secret + ", value: x}]\n",
		env + "    env: [{name: A, value: !!int " + secret + "}]\n",
		env + "    env: [{? {" + secret + ": x} : y}]\n",
		env + "    env: [{? [" + secret + "] : y}]\n",
		env + "    env: [{~: " + secret + "}]\n",
		env + "    env: {A: " + secret + "}\n",
		env + "    args: " + secret + "\n",
		env + "    command: [{x: " + secret + "}]\n",
		env + "    livenessProbe: {httpGet: {port: 0, httpHeaders: [{name: a b, value: " + secret + "}]}}\n",
		env + "    livenessProbe: {exec: {command: " + secret + "}}\n",
		env + "    env: [{name: A, value: \"" + secret + "}]\n",
		"{\"apiVersion\":\"v1\",\"metadata\":{\"annotations\":{\"a\":\"" + secret + "\"}}}",
		strings.Replace(env, "name: a", "name: a, annotations: {container.apparmor.security.beta.kubernetes.io/a: "+secret+"}", 1),
		strings.Replace(env, "name: a", "name: a, annotations: "+secret, 1),
		"apiVersion: v1\nkind: Pod\n" + secret,
		secret,
	} {
		for _, form := range []Form{FormDefinitions, FormConfiguration, FormDirectory} {
			for _, c := range NewValidator(Rules{Node: "n"}).File("/x", []byte(document), form) {
				if said := c.Refusal() + sketch(c.Problems); strings.Contains(said, secret) {
					t.Errorf("said %s\nof %s", said, document)
				}
			}
		}
	}
}

func TestFieldWords(t *testing.T) {
	path := field.NewPath("spec").Child("containers").Index(0)
	port := int32(5)
	for _, test := range []struct {
		err  *field.Error
		want string
	}{
		{field.Invalid(path.Child("image"), " x", "no blanks"), `spec.containers[0].image: Invalid value: " x": no blanks`},
		{field.Invalid(path.Child("port"), &port, "odd"), `spec.containers[0].port: Invalid value: 5: odd`},
		{field.Duplicate(path.Child("name"), "x"), `spec.containers[0].name: Duplicate value: "x"`},
		{field.Invalid(path, corev1.Container{Args: []string{"secret"}}, "all of it"), `spec.containers[0]: Invalid value: all of it`},
		{field.Invalid(path.Child("env").Index(0).Child("value"), "secret", "secret is bad"), `spec.containers[0].env[0].value: Invalid value: … is bad`},
		{field.Invalid(path.Child("image"), strings.Repeat("x", 257), "long"), `spec.containers[0].image: Invalid value: long`},
		{field.Invalid(path.Child("args").Index(1), "secret", ""), `spec.containers[0].args[1]: Invalid value`},
		{field.Invalid(field.NewPath("metadata", "annotations").Key("k"), "secret", ""), `metadata.annotations[k]: Invalid value`},
	} {
		if got := fieldWords(test.err); got != test.want {
			t.Errorf("%s\nwant %s", got, test.want)
		}
	}
}

func TestWhatIsSaidIsBounded(t *testing.T) {
	document := good + "  containers:\n" + strings.Repeat("  - {name: \""+strings.Repeat("X", 300)+"\"}\n", 500)
	c := prove(t, Rules{Node: "n"}, document, FormDefinitions)
	if len(c.Problems) != maxProblems || len(c.Refusal()) > maxMessage {
		t.Errorf("%d problems, refusal of %d bytes", len(c.Problems), len(c.Refusal()))
	}
	for _, p := range c.Problems {
		if len(p.Message) > maxMessage {
			t.Errorf("a message of %d bytes", len(p.Message))
		}
	}
	if last := c.Problems[maxProblems-1].Message; !strings.HasSuffix(last, andMore) {
		t.Errorf("the last problem does not say that there are more: %s", last)
	}
}

func TestClip(t *testing.T) {
	for in, want := range map[string]string{
		"short":                     "short",
		"\xff":                      "\uFFFD",
		strings.Repeat("é", 1<<9):   strings.Repeat("é", 1<<9),
		strings.Repeat("é", 1<<9+1): strings.Repeat("é", 1<<9-2) + "…",
	} {
		if got := clip(in); got != want {
			t.Errorf("%q becomes %q", in, got)
		}
	}
}

func TestCacheKeysDiffer(t *testing.T) {
	if cacheKey(FormDirectory, "/ab", []byte("c")) == cacheKey(FormDirectory, "/a", []byte("bc")) {
		t.Error("path and data run into each other")
	}
}

func TestUnchangedDocumentsAreNotValidatedAgain(t *testing.T) {
	v := NewValidator(Rules{Node: "n"})
	one, other := good+"  containers: [{name: a, image: b}]\n", good+"  containers: [{name: a, image: c}]\n"
	first := v.File("/a", []byte(one), FormDefinitions)
	steps := []struct {
		what  string
		do    func()
		count int
	}{
		{"the first time", func() {}, 1},
		{"the same file", func() { v.File("/a", []byte(one), FormDefinitions) }, 1},
		{"the same pod elsewhere, with a comment", func() { v.File("/b", []byte("# moved\n"+one), FormDefinitions) }, 1},
		{"another one beside it", func() {
			v.File("/a", []byte(one+"---\n"+strings.Replace(other, "name: a}", "name: z}", 1)), FormDefinitions)
		}, 2},
		{"after a full load", func() { v.Sweep(); v.File("/a", []byte(one), FormDefinitions) }, 2},
		{"after two full loads that used it", func() { v.Sweep(); v.File("/a", []byte(one), FormDefinitions); v.Sweep() }, 2},
		{"after a full load without it", func() { v.Sweep(); v.File("/a", []byte(one), FormDefinitions) }, 3},
		{"in the kubelet's directory, which is another judgement", func() { v.File("/a", []byte(one), FormDirectory) }, 4},
	}
	for _, s := range steps {
		if s.do(); v.validated != s.count {
			t.Errorf("%s: %d validations, want %d", s.what, v.validated, s.count)
		}
	}
	if again := v.File("/a", []byte(one), FormDefinitions); again[0].Hash != first[0].Hash {
		t.Error("another hash")
	}
}

// TestFeatureGates takes a gate that changes validation, one that is unknown, and one that is locked.
func TestFeatureGates(t *testing.T) {
	document := good + "  hostNetwork: true\n  hostUsers: false\n  containers: [{name: a, image: b}]\n"
	gates := func(on bool) map[string]bool {
		return map[string]bool{"NoSuchGate": true, "HostnameOverride": false, "UserNamespacesHostNetworkSupport": on}
	}
	byDefault, on, off := NewValidator(Rules{Node: "n"}), NewValidator(Rules{Node: "n", FeatureGates: gates(true)}), NewValidator(Rules{Node: "n", FeatureGates: gates(false)})
	for range 2 { // each judges by its own gates, whatever another Validator set for the process meanwhile
		for i, v := range []*Validator{byDefault, on, byDefault, off, on, off} {
			refused := v != on
			v.Sweep()
			v.Sweep()
			if c := v.File("/a", []byte(document), FormDefinitions)[0]; c.Quarantined() != refused {
				t.Errorf("turn %d, gates %v: quarantined %v: %s", i, v.rules.FeatureGates, c.Quarantined(), c.Refusal())
			}
		}
	}
}

func TestValidatorsShareTheProcess(t *testing.T) {
	document := good + "  hostNetwork: true\n  hostUsers: false\n  containers: [{name: a, image: b}]\n"
	var group sync.WaitGroup
	defer group.Wait()
	for _, on := range []bool{true, false} {
		v := NewValidator(Rules{Node: "n", FeatureGates: map[string]bool{"UserNamespacesHostNetworkSupport": on}})
		for i := range 4 {
			group.Go(func() {
				for j := range 10 {
					c := v.File("/a", []byte(strings.Replace(document, "image: b", fmt.Sprintf("image: b%d", i*j), 1)), FormDefinitions)
					if c[0].Quarantined() == on {
						t.Errorf("with the gate %v: %s", on, c[0].Refusal())
					}
					v.Sweep()
				}
			})
		}
	}
}
