package oracle

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

var (
	numbers = []string{"0", "-1", "1", "65535", "65536", "2147483647", "2147483648", "-2147483648", "-2147483649", "4294967296",
		"9223372036854775807", "9223372036854775808", "1.0", "1.5", "1e3", "1e400", "-0", "0.1e1", "100000000000000000000"}

	// tokens are what YAML understands in its own way.
	tokens = []string{"on", "off", "yes", "no", "y", "n", "Yes", "NO", "true", "True", "~", "null", "Null", "0x1F", "0o17", "010", "0b11",
		"1_000", ".5", "5.", "1e3", ".inf", "-.INF", ".nan", "2024-01-01", "2024-01-01T00:00:00Z", "12:30:45", "!!str 5", "!!int \"5\"",
		"!!binary aGVsbG8=", "!!binary \"?\"", "!!float 5", "!!null x", "!custom x", "&anchor x", "*nowhere", "''", "\"\"", "'it''s'", "\"\\t\\u263A\"", "\"\\x41\"",
		"\"\\ud83d\\ude00\"", "\"\\/\"", "[]", "{}", "[a, b]", "{a: b}", "|", ">", "@x", "`x", "%x", "-", "- a", "? a", "a: b", "#x", "<<", "=", "+1", "-0", "1:", ""}

	words = []string{"", "a", "b-1", "main", "/", "/etc/x", "a/b", "Always", "Never", "IfNotPresent", "RuntimeDefault", "Localhost", "Unconfined", "TCP", "UDP",
		"node-1", "default", "kube-system", "Exists", "Equal", "NoExecute", "NoSchedule", "In", "cpu", "memory", "limits.cpu", "metadata.name", "spec.nodeName",
		"metadata.labels['a']", "status.podIP", "v1", "example.com/x", "ALL", "NET_ADMIN", "10.0.0.1", "::1", "HTTP", "HTTPS", "File", "None", "Default", "Memory", "linux",
		"windows", "Strict", "Merge", "MountOption", "Recursive", "Restart", "RestartContainer", "NotRequired", "SIGTERM", "Honor", "100", "50%", "Ready", "2024-01-01T00:00:00Z"}

	quantities = []string{"100m", "1", "0", "-1", "1Gi", "1.5Gi", "1e3", "1E", "1n", "0.1n", "1ki", "1Kib", "", " 1", "1 ", "much", "12e6", "1e-3", "0x10", "9223372036854775808",
		"1e30", "99999999999Ei", ".5", "5.", "+1", "1,5"}

	times = []string{"2024-01-01T00:00:00Z", "2024-01-01T00:00:00+02:00", "2024-02-30T00:00:00Z", "2024-01-01", "now", "", "0001-01-01T00:00:00Z"}

	abuses = []string{
		`metadata/uid "11111111-2222-3333-4444-555555555555"`, `metadata/uid "../../evil"`, `metadata/uid ""`, `metadata/uid 5`, `metadata/uid null`,
		`metadata/ownerReferences [{"apiVersion":"v1","kind":"Node","name":"n","uid":"u","controller":true}]`,
		`metadata/ownerReferences [{"apiVersion":"","kind":"","name":"","uid":""}]`, `metadata/ownerReferences {}`,
		`metadata/ownerReferences [{"apiVersion":"v1","kind":"Event","name":"n","uid":"u"}]`,
		`metadata/deletionTimestamp "2024-01-01T00:00:00Z"`, `metadata/deletionTimestamp "soon"`, `metadata/deletionTimestamp 5`, `metadata/deletionGracePeriodSeconds 30`,
		`metadata/deletionGracePeriodSeconds -1`, `metadata/creationTimestamp null`, `metadata/creationTimestamp "2024-01-01"`, `metadata/creationTimestamp "2024-01-01T00:00:00Z"`,
		`metadata/finalizers ["example.com/x"]`, `metadata/finalizers ["not a finalizer"]`, `metadata/finalizers "x"`, `metadata/generation -1`, `metadata/generation 5`,
		`metadata/generateName "Bad_"`, `metadata/generateName "good-"`, `metadata/selfLink "x"`, `metadata/resourceVersion "5"`, `metadata/resourceVersion 5`,
		`metadata/managedFields [{"manager":"m","operation":"Update"}]`, `metadata/managedFields [{"operation":"Nothing"}]`, `metadata/managedFields [{"fieldsV1":{"f:x":{}},"operation":"Apply","apiVersion":"v1"}]`,
		`metadata/annotations/kubernetes.io~config.mirror "x"`, `metadata/annotations/kubernetes.io~config.source "api"`, `metadata/annotations/kubernetes.io~config.hash "abc"`,
		`metadata/annotations/kubernetes.io~config.seen 5`, `metadata/annotations/a "` + strings.Repeat("x", 1000) + `"`, `metadata/annotations/bad~~key "x"`,
		`metadata/annotations/scheduler.alpha.kubernetes.io~node-selector "x"`, `metadata/annotations/seccomp.security.alpha.kubernetes.io~pod "runtime/default"`,
		`metadata/annotations/container.apparmor.security.beta.kubernetes.io~c "unconfined"`, `metadata/annotations/controller.kubernetes.io~pod-deletion-cost "abc"`,
		`metadata/annotations null`, `metadata/annotations []`, `metadata/labels/a "not a value!"`, `metadata/labels/not~a~key "x"`, `metadata/labels null`,
		`metadata/name ""`, `metadata/name null`, `metadata/name "Upper"`, `metadata/name "a_b"`, `metadata/name "-a"`, `metadata/name "a..b"`, `metadata/name 5`,
		`metadata/name "` + strings.Repeat("n", 238) + `"`, `metadata/name "` + strings.Repeat("n", 239) + `"`, `metadata/name "` + strings.Repeat("n", 253) + `"`, `metadata/name "ümlaut"`,
		`metadata/namespace ""`, `metadata/namespace null`, `metadata/namespace "Upper"`, `metadata/namespace "a.b"`, `metadata/namespace "` + strings.Repeat("n", 64) + `"`, `metadata/namespace 5`, `metadata/namespace "kube-system"`,
		`metadata null`, `metadata []`, `metadata "x"`, `metadata {}`, `spec null`, `spec []`, `spec {}`, `status {"phase":"Running","podIP":"x"}`, `status "fine"`, `status {"phase":5}`, `status null`,
		`kind "pod"`, `kind "Pods"`, `kind "PodList"`, `kind "List"`, `kind "PodTemplate"`, `kind "Service"`, `kind ""`, `kind null`, `kind 5`, `kind ["Pod"]`, `Kind "Pod"`, `KIND "Service"`,
		`apiVersion "v2"`, `apiVersion "v1beta1"`, `apiVersion "core/v1"`, `apiVersion "apps/v1"`, `apiVersion "/v1"`, `apiVersion "v1/"`, `apiVersion "a/b/c"`, `apiVersion ""`, `apiVersion null`, `apiVersion 1`, `apiVersion "__internal"`, `APIVERSION "v1"`,
		`spec/nodeName "elsewhere"`, `spec/nodeName "Bad Name"`, `items []`, `items [{"metadata":{"name":"x"}}]`, `machine {"pods":[]}`,
	}

	references = []string{
		`spec/serviceAccountName "sa"`, `spec/serviceAccountName ""`, `spec/serviceAccount "sa"`, `spec/serviceAccount ""`, `spec/serviceAccountName "Bad Name"`, `spec/imagePullSecrets [{"name":"s"}]`, `spec/imagePullSecrets [{}]`, `spec/imagePullSecrets []`,
		`spec/containers/*/env [{"name":"A","valueFrom":{"secretKeyRef":{"name":"s","key":"k"}}}]`, `spec/containers/*/env [{"name":"A","valueFrom":{"configMapKeyRef":{"name":"s","key":"k"}}}]`,
		`spec/containers/*/env [{"name":"A","valueFrom":{"secretKeyRef":{}}}]`, `spec/containers/*/env [{"name":"A","valueFrom":{}}]`,
		`spec/containers/*/env [{"name":"A","value":"x","valueFrom":{"fieldRef":{"fieldPath":"metadata.name"}}}]`,
		`spec/containers/*/envFrom [{"secretRef":{"name":"s"}}]`, `spec/containers/*/envFrom [{"configMapRef":{"name":"s"}}]`, `spec/containers/*/envFrom [{}]`, `spec/containers/*/envFrom [{"secretRef":{"name":""}}]`,
		`spec/initContainers/+ {"name":"added","image":"i","envFrom":[{"secretRef":{"name":"s"}}]}`, `spec/initContainers/+ {"name":"added","image":"i"}`,
		`spec/ephemeralContainers/+ {"name":"added","image":"i"}`, `spec/ephemeralContainers []`, `spec/ephemeralContainers/+ {"name":"added","image":"i","env":[{"name":"A","valueFrom":{"secretKeyRef":{"name":"s","key":"k"}}}]}`,
		`spec/resourceClaims [{"name":"g","resourceClaimName":"g"}]`, `spec/resourceClaims [{"name":"g"}]`, `spec/resourceClaims []`, `spec/schedulingGates [{"name":"g"}]`, `spec/schedulingGates []`,
		`spec/containers/*/resources/claims [{"name":"g"}]`, `spec/runtimeClassName "gvisor"`, `spec/runtimeClassName ""`, `spec/priorityClassName "nope"`, `spec/workloadRef {"name":"w","podGroup":"g"}`,
		`spec/schedulingGroup {"podGroupName":"g"}`, `spec/containers/*/securityContext {"privileged":true}`, `spec/containers/*/securityContext {"privileged":true,"allowPrivilegeEscalation":false}`,
		`spec/containers/*/resizePolicy [{"resourceName":"cpu","restartPolicy":"NotRequired"}]`, `spec/containers/*/resizePolicy [{"resourceName":"cpu","restartPolicy":"Sometimes"}]`,
		`spec/containers/*/restartPolicy "Always"`, `spec/hostUsers false`, `spec/hostNetwork true`, `spec/hostNetwork false`, `spec/restartPolicy "Never"`, `spec/restartPolicy "Sometimes"`,
	}

	volumes = []string{
		`{}`, `{"emptyDir":{}}`, `{"emptyDir":null}`, `{"emptyDir":{"sizeLimit":"-1"}}`, `{"emptyDir":{"medium":"Disk"}}`, `{"hostPath":{"path":"/x"}}`, `{"hostPath":{"path":""}}`, `{"hostPath":{"path":"/a/../b"}}`,
		`{"hostPath":{"path":"/x","type":"Any"}}`, `{"hostPath":{"path":"/x"},"emptyDir":{}}`, `{"configMap":{"name":"c"}}`, `{"secret":{"secretName":"s"}}`, `{"secret":{}}`, `{"persistentVolumeClaim":{"claimName":"c"}}`,
		`{"csi":{"driver":"d"}}`, `{"csi":{"driver":"d","nodePublishSecretRef":{"name":"s"}}}`, `{"ephemeral":{}}`, `{"ephemeral":{"volumeClaimTemplate":{"spec":{"accessModes":["ReadWriteOnce"],"resources":{"requests":{"storage":"1Gi"}}}}}}`,
		`{"glusterfs":{"endpoints":"e","path":"p"}}`, `{"azureFile":{"secretName":"s","shareName":"x"}}`, `{"image":{"reference":"r"}}`, `{"image":{"reference":"r","pullPolicy":"Often"}}`, `{"image":{}}`,
		`{"projected":{"sources":[]}}`, `{"projected":{}}`, `{"projected":{"sources":[{}]}}`, `{"projected":{"sources":[{"secret":{"name":"s"}}]}}`, `{"projected":{"sources":[{"configMap":{"name":"s"}}]}}`,
		`{"projected":{"sources":[{"downwardAPI":{"items":[{"path":"a","fieldRef":{"fieldPath":"metadata.name"}}]}}]}}`, `{"projected":{"sources":[{"serviceAccountToken":{"path":"t"}}]}}`,
		`{"projected":{"sources":[{"clusterTrustBundle":{"name":"n","path":"p"}}]}}`, `{"projected":{"sources":[{"podCertificate":{"signerName":"example.com/s","keyType":"RSA3072","credentialBundlePath":"p"}}]}}`,
		`{"downwardAPI":{"items":[{"path":"../x","fieldRef":{"fieldPath":"metadata.name"}}]}}`, `{"downwardAPI":{"items":[{"path":"x","fieldRef":{"fieldPath":"spec.nodeName"}}]}}`, `{"nfs":{"server":"s","path":"relative"}}`, `{"nfs":{"server":"s","path":"/p"}}`,
		`{"gitRepo":{"repository":"r","directory":".."}}`, `{"flexVolume":{"driver":"d","secretRef":{"name":"s"}}}`, `{"flexVolume":{"driver":""}}`, `{"rbd":{"monitors":["m"],"image":"i","secretRef":{"name":"s"}}}`, `{"cephfs":{"monitors":[]}}`,
		`{"iscsi":{"targetPortal":"p","iqn":"iqn.2001-04.com.example:s","lun":300}}`, `{"scaleIO":{"gateway":"g","system":"s","volumeName":"v","secretRef":null}}`, `{"storageos":{"volumeName":"v"}}`, `{"unheardOf":{"a":"b"}}`, `{"gcePersistentDisk":{"pdName":"p","partition":256}}`,
		`{"portworxVolume":{"volumeID":""}}`, `{"awsElasticBlockStore":{"volumeID":"v"}}`, `{"azureDisk":{"diskName":"d","diskURI":"/subscriptions/x","kind":"Managed"}}`, `{"vsphereVolume":{}}`, `{"quobyte":{"registry":"r:1","volume":"v"}}`, `{"flocker":{"datasetName":"a","datasetUUID":"b"}}`, `{"fc":{}}`, `{"photonPersistentDisk":{"pdID":"p"}}`, `{"cinder":{"volumeID":"v","secretRef":{"name":"s"}}}`,
	}
)

// unions are the structs of which one field should be set.
var unions = map[string]bool{"Volume": true, "Probe": true, "LifecycleHandler": true, "EnvVarSource": true, "VolumeProjection": true, "VolumeSource": true}

// value makes a value of a type, likely enough one that is valid.
func (m *maker) value(kind reflect.Type, name string, depth int) any {
	for kind != nil && kind.Kind() == reflect.Pointer {
		kind = kind.Elem()
	}
	switch kind {
	case nil:
		return m.wrongType()
	case reflect.TypeFor[resource.Quantity]():
		return pick(m, quantities)
	case reflect.TypeFor[intstr.IntOrString]():
		return pick(m, []any{json.Number("8080"), "http", "50%", json.Number("0"), json.Number("70000"), "", "not-a-port-name-"})
	case reflect.TypeFor[metav1.Time](), reflect.TypeFor[metav1.MicroTime]():
		return pick(m, times)
	case reflect.TypeFor[metav1.FieldsV1]():
		return tree{"f:x": tree{}}
	}
	switch kind.Kind() {
	case reflect.String:
		return m.word(name)
	case reflect.Bool:
		return m.IntN(2) == 0
	case reflect.Int32, reflect.Int64, reflect.Int:
		if m.IntN(2) == 0 {
			return json.Number(pick(m, []string{"0", "1", "2", "5", "30", "80", "1000", "3600"}))
		}
		return json.Number(pick(m, numbers))
	case reflect.Map:
		object := tree{}
		for range m.IntN(3) {
			object[pick(m, []string{"a", "b.c/d", "cpu", "memory", "Bad Key", "example.com/x"})] = m.value(kind.Elem(), name, depth+1)
		}
		return object
	case reflect.Slice:
		if kind.Elem().Kind() == reflect.Uint8 {
			return "aGVsbG8="
		}
		list := []any{}
		for range m.IntN(3) {
			list = append(list, m.value(kind.Elem(), name, depth+1))
		}
		return list
	case reflect.Struct:
		return m.object(kind, depth)
	}
	return m.wrongType()
}

// object makes a value of a struct, with some of its fields.
func (m *maker) object(kind reflect.Type, depth int) tree {
	object := tree{}
	fields := fieldsOf(kind)
	names := slices.Sorted(maps.Keys(fields))
	if len(names) == 0 || depth > 6 {
		return object
	}
	if unions[kind.Name()] && m.IntN(6) > 0 {
		name := pick(m, names)
		object[name] = m.value(fields[name], name, depth+1)
		names = []string{"name"}
	}
	for _, name := range names {
		if _, known := fields[name]; !known {
			continue
		}
		often := 4
		if slices.Contains([]string{"name", "key", "path", "image", "mountPath", "port", "containerPort", "operator", "type", "topologyKey"}, name) {
			often = 1
		}
		if m.IntN(often) == 0 {
			object[name] = m.value(fields[name], name, depth+1)
		}
	}
	return object
}

// word makes a string for a field, with some sense for its name.
func (m *maker) word(name string) string {
	known := map[string][]string{
		"name": {"added", "c", "v", "A", "NAME_X", "a.b"}, "mountPath": {"/added", "relative", "/a:b"}, "image": {"added", " i", ""}, "imagePullPolicy": {"Always", "always"},
		"protocol": {"TCP", "SCTP", "tcp"}, "operator": {"Exists", "In", "Equal", "Gt"}, "effect": {"NoExecute", "NoSchedule", "Never"}, "path": {"/x", "x", "../x"}, "fieldPath": {"metadata.name", "spec.nodeName", "metadata.annotations['a']", "x"},
		"dnsPolicy": {"None", "ClusterFirst", "Default"}, "restartPolicy": {"Always", "Never", "OnFailure", "never"}, "terminationMessagePolicy": {"File", "file"}, "resource": {"limits.cpu", "requests.memory", "cpu"},
		"hostIP": {"10.0.0.1", "010.0.0.1", "::1", "x", ""}, "ip": {"10.0.0.1", "::ffff:1.2.3.4", "x"}, "scheme": {"HTTP", "HTTPS", "https"}, "topologyKey": {"kubernetes.io/hostname", "bad key"}, "key": {"a", "a/b", "A B"},
		"type": {"RuntimeDefault", "Localhost", "Directory", ""}, "hostname": {"h", "H", "a.b"}, "subdomain": {"s", "S"}, "whenUnsatisfiable": {"DoNotSchedule", "x"}, "preemptionPolicy": {"Never", "PreemptLowerPriority", "x"},
		"procMount": {"Default", "Unmasked", "x"}, "mountPropagation": {"None", "Bidirectional", "HostToContainer"}, "medium": {"Memory", "HugePages", "x"}, "stopSignal": {"SIGTERM", "SIGNOPE", "SIGKILL"}, "schedulerName": {"default-scheduler", "A"},
	}
	if of := known[name]; len(of) > 0 && m.IntN(4) > 0 {
		return pick(m, of)
	}
	return pick(m, words)
}

// wrongType makes a value of any type.
func (m *maker) wrongType() any {
	return copied(pick(m, []any{"x", "", "5", json.Number("5"), json.Number("1.5"), true, false, nil, tree{}, []any{}, tree{"a": "b"}, []any{"a"}, []any{nil}, []any{tree{}}, tree{"": nil}}))
}

// badString makes another string of one.
func (m *maker) badString(text string) string {
	switch m.IntN(12) {
	case 0:
		return ""
	case 1:
		return strings.ToUpper(text)
	case 2:
		return " " + text
	case 3:
		return text + "\n"
	case 4:
		return text + pick(m, []string{"ä", "世", "\U0001F600", "\u2028", "\u0000", "\u0007", "\ufeff", "\u0085", "\ufffd"})
	case 5:
		return strings.Repeat(text+"x", 1+m.IntN(300))
	case 6:
		return strings.Repeat("x", pick(m, []int{62, 63, 64, 252, 253, 254, 1024, 70000}))
	case 7:
		return text + pick(m, []string{"_", "-", ".", "/", ":", "$", "$(X)", "$$", "%", "\\", "\"", "'", "<&>", "\t"})
	case 8:
		return "." + text
	case 9:
		return pick(m, words)
	case 10:
		return pick(m, tokens)
	default:
		return verbatim(text)
	}
}
