package manifest

import (
	"cmp"
	"fmt"
	"reflect"
	"regexp"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	metajson "k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	podutil "k8s.io/kubernetes/pkg/api/pod"
	"k8s.io/kubernetes/pkg/apis/core"
	"k8s.io/kubernetes/pkg/apis/core/helper"
	_ "k8s.io/kubernetes/pkg/apis/core/install" // the Pod type, its versions and defaults
	kubev1 "k8s.io/kubernetes/pkg/apis/core/v1"
	"k8s.io/kubernetes/pkg/apis/core/validation"
	"k8s.io/kubernetes/pkg/apis/scheduling"
)

// A verdict is the kubelet's judgement of one pod. Its problems have fields but no positions yet.
type verdict struct {
	refusal  string // the kubelet's words as a whole; "" when it accepts
	pod      *corev1.Pod
	uid      types.UID
	problems []Problem
}

func (v *verdict) refuse(reason Reason, field, detail, words string) {
	words = clip(words)
	if v.refusal == "" {
		v.refusal = words
	}
	v.problems = append(v.problems, Problem{Reason: reason, Level: Critical, Message: words, Detail: detail, Field: field})
}

// An origin is where the kubelet has a pod from, which it makes the UID of when the author gave none: the path of
// a file, or the URL of a list. The pods of our own list have a UID.
type origin struct {
	source Source
	place  string
}

// judgeItem judges an item of a list that the kubelet gets by URL, as JSON.
func (s fieldTypes) judgeItem(item []byte, node string, from origin) verdict {
	var v verdict
	list := append(append([]byte(`{"apiVersion":"v1","items":[`), item...), `],"kind":"PodList"}`...)
	object, err := runtime.Decode(legacyscheme.Codecs.UniversalDecoder(), list)
	if err != nil {
		v.undecodable(s, item, err)
		return v
	}
	pods, ok := object.(*core.PodList)
	if !ok || len(pods.Items) != 1 {
		v.refuse(ManifestMalformed, "", "", "invalid pods list")
		return v
	}
	v.judge(&pods.Items[0], item, node, from)
	return v
}

// judgePod judges a document that is one pod, converted to JSON: a file of the kubelet's manifest directory, or
// what it gets by URL.
func (s fieldTypes) judgePod(data []byte, node string, from origin) verdict {
	var v verdict
	if field, reason, words := checkKind(data); reason != "" {
		v.refuse(reason, field, "", words)
		return v
	}
	object, err := runtime.Decode(legacyscheme.Codecs.UniversalDecoder(), data)
	if err != nil {
		v.undecodable(s, data, err)
		return v
	}
	pod, ok := object.(*core.Pod)
	if !ok {
		v.refuse(NotAPod, "kind", "", "invalid pod")
		return v
	}
	v.judge(pod, data, node, from)
	return v
}

// checkKind refuses what is not a Pod of version v1, in the kubelet's words but for those that quote the whole
// object.
func checkKind(data []byte) (field string, reason Reason, words string) {
	kind, err := metajson.DefaultMetaFactory.Interpret(data)
	switch {
	case err != nil:
		words = err.Error()
		switch {
		case strings.HasSuffix(words, " field .kind of type string"):
			field = "kind"
		case strings.HasSuffix(words, " field .apiVersion of type string"), strings.HasPrefix(words, "unexpected GroupVersion string"):
			field = "apiVersion"
		}
		return field, ManifestMalformed, discreet(words)
	case kind.Kind == "":
		return "kind", NotAPod, "Object 'Kind' is missing"
	case kind.Version == "":
		return "apiVersion", NotAPod, "Object 'apiVersion' is missing"
	case *kind == schema.GroupVersionKind{Version: "v1", Kind: "Pod"}:
		return "", "", ""
	case legacyscheme.Scheme.Recognizes(*kind):
		return "kind", NotAPod, fmt.Sprintf("invalid pod: this is a %s, not a Pod", kind.Kind)
	case kind.Kind == "Pod":
		field = "apiVersion"
	default:
		field = "kind"
	}
	return field, NotAPod, runtime.NewNotRegisteredErrForKind(legacyscheme.Scheme.Name(), *kind).Error()
}

// undecodable refuses what does not fit the types of a pod, one problem for every place where it does not. The
// kubelet speaks of the first place it meets only, and does not number the elements of lists.
func (v *verdict) undecodable(s fieldTypes, data []byte, err error) {
	words := strings.Replace(err.Error(), ".items.", ".", 1) // of the list that we made of it
	tree, _ := decodeTree(data)
	said := false
	for _, m := range s.misfits(reflect.TypeFor[corev1.Pod](), tree, "") {
		if !said && strings.Contains(words, "."+indices.ReplaceAllString(m.field, "")+" of type ") {
			m.words, said = words, true
		}
		v.refuse(ManifestMalformed, m.field, "", discreet(m.words))
	}
	if len(v.problems) == 0 {
		v.refuse(ManifestMalformed, "", "", discreet(words))
	}
	v.refusal = clip(discreet(words))
}

// indices are what a path in the kubelet's notation has more than one in encoding/json's.
var indices = regexp.MustCompile(`\[[0-9]+\]`)

// judge does what the kubelet does with a decoded pod: fill in the node's part, validate, and refuse what
// needs the API. data is what it was decoded from.
func (v *verdict) judge(pod *core.Pod, data []byte, node string, from origin) {
	if pod.Name == "" {
		v.refuse(ManifestInvalid, "metadata.name", "Required value", "invalid pod: name is needed for the pod")
		return
	}
	name := pod.Name
	applyDefaults(pod, node, from)
	v.uid = pod.UID

	options := podutil.GetValidationOptionsFromPodSpecAndMeta(&pod.Spec, nil, &pod.ObjectMeta, nil)
	invalid := validation.ValidatePodCreate(pod, options)
	for _, e := range invalid {
		v.refuse(ManifestInvalid, e.Field, e.Type.String(), fieldWords(e))
	}
	if len(invalid) > 0 {
		v.refusal = clip(listWords(invalid))
	}
	external := &corev1.Pod{}
	if err := kubev1.Convert_core_Pod_To_v1_Pod(pod, external, nil); err != nil {
		v.refuse(ManifestInvalid, "", "", err.Error())
		return
	}
	external.TypeMeta.APIVersion, external.TypeMeta.Kind = "v1", "Pod"
	if len(invalid) == 0 {
		v.checkReferences(pod, data)
	}
	external.Name = name
	v.pod = external
	if field, words := priorityWarning(pod); words != "" {
		v.problems = append(v.problems, Problem{Reason: PriorityIncomplete, Level: Warning, Message: words, Field: field})
	}
}

// applyDefaults mirrors the kubelet's: it keeps a UID that is set.
func applyDefaults(pod *core.Pod, node string, from origin) {
	if pod.UID == "" {
		pod.UID = kubeletUID(pod, node, from)
	}
	pod.Name += "-" + node
	if pod.Namespace == "" {
		pod.Namespace = corev1.NamespaceDefault
	}
	pod.Spec.NodeName = node
	if pod.Annotations == nil {
		pod.Annotations = map[string]string{}
	}
	pod.Annotations["kubernetes.io/config.hash"] = string(pod.UID)
	if from.source == SourceFile {
		helper.AddOrUpdateTolerationInPod(pod, &core.Toleration{Operator: core.TolerationOpExists, Effect: core.TaintEffectNoExecute})
	}
	pod.Status.Phase = core.PodPending
}

// checkReferences refuses references to objects of the API, one problem for each.
func (v *verdict) checkReferences(pod *core.Pod, data []byte) {
	_, resource, err := podutil.HasAPIObjectReference(pod)
	if err != nil {
		v.refuse(APIReference, "spec.volumes", "", err.Error())
		return
	}
	if resource == "" {
		return
	}
	first := fmt.Sprintf("static pods may not reference %s", resource)
	kind, _, _ := strings.Cut(resource, " ")
	tree, _ := decodeTree(data)
	root, _ := tree.(map[string]any)
	for _, r := range apiReferences(root) {
		words := "static pods may not reference " + r.resource
		if r.resource == kind {
			words = first
		}
		v.refuse(APIReference, r.field, r.resource, words)
	}
	if len(v.problems) == 0 {
		v.refuse(APIReference, "spec", kind, first)
	}
	v.refusal = first
}

// priorityWarning gives the kubelet's three warnings about a priority that is not the one of node critical
// pods, which the API server refuses or the mirror pod does not get.
func priorityWarning(pod *core.Pod) (field, words string) {
	const nodeCritical = scheduling.SystemCriticalPriority + 1000
	priority, class := pod.Spec.Priority, pod.Spec.PriorityClassName
	switch {
	case priority == nil && class != "":
		return "spec.priorityClassName", "Static pod has priorityClassName and nil priority. Kubelet will not use priorityClassName, and mirror pod creation may fail."
	case priority != nil && class == "":
		return "spec.priority", "Static pod has priority without priorityClassName. Mirror pod creation may fail if the default priority class doesn't match the given priority."
	case priority != nil && (*priority != nodeCritical || class != scheduling.SystemNodeCritical):
		return "spec.priority", fmt.Sprintf("Static pod has a priority other than %d or a priorityClassName other than %s. Mirror pod may be attempted to be evicted from the node ineffectively.",
			nodeCritical, scheduling.SystemNodeCritical)
	}
	return "", ""
}

// ownUID is the author's metadata.uid, "" when there is none.
func ownUID(tree map[string]any) types.UID {
	metadata, _ := tree["metadata"].(map[string]any)
	uid, _ := metadata["uid"].(string)
	return types.UID(uid)
}

// nameOf reads the identity from a tree that may not decode; name is "" when there is none.
func nameOf(tree map[string]any) (namespace, name string) {
	metadata, _ := tree["metadata"].(map[string]any)
	name, _ = metadata["name"].(string)
	if name == "" {
		return "", ""
	}
	switch namespace := metadata["namespace"].(type) {
	case nil:
		return corev1.NamespaceDefault, name
	case string:
		return cmp.Or(namespace, corev1.NamespaceDefault), name
	}
	return "", ""
}

// meantAsPod reports whether something of another kind looks like a pod, so that its name is a pod's.
func meantAsPod(tree map[string]any) bool {
	spec, _ := tree["spec"].(map[string]any)
	_, ok := spec["containers"].([]any)
	return ok
}
