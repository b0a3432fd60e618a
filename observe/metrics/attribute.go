package metrics

// attributes are the labels that the semantic conventions of OpenTelemetry have a key for.
var attributes = map[string]string{
	"code":            "http.response.status_code",
	"container":       "k8s.container.name",
	"container_id":    "container.id",
	"image_id":        "container.image.id",
	"namespace":       "k8s.namespace.name",
	"node":            "k8s.node.name",
	"path":            "file.path",
	"phase":           "k8s.pod.status.phase",
	"pod":             "k8s.pod.name",
	"runtime":         "container.runtime.name",
	"runtime_version": "container.runtime.version",
	"uid":             "k8s.pod.uid",
}

// others are those that it has none for, where the label alone would say too little.
var others = map[string]string{
	"definition":      "staticpod.definition.id",
	"field":           "staticpod.problem.field",
	"image":           "staticpod.container.image",
	"kind":            "staticpod.kubelet.log.kind",
	"kubelet_version": "staticpod.kubelet.version",
	"level":           "staticpod.problem.level",
	"line":            "staticpod.problem.line",
	"mirror_uid":      "staticpod.mirror.uid",
	"reason":          "staticpod.problem.reason",
	"source":          "staticpod.definition.source",
	"state":           "staticpod.container.state",
}

// Attribute returns the key of a label in what is exported by OpenTelemetry.
func Attribute(label string) string {
	if key, ok := attributes[label]; ok {
		return key
	}
	if key, ok := others[label]; ok {
		return key
	}
	return "staticpod." + label
}
