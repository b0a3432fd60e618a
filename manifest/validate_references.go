package manifest

import (
	"fmt"
	"maps"
	"slices"
)

// A reference is a field that refers to an object of the API, which a static pod must not.
type reference struct{ field, resource string }

// apiReferences finds the references in a pod's tree. The kubelet itself tells the first kind of resource
// only, and no field.
func apiReferences(tree map[string]any) []reference {
	var found []reference
	spec, _ := tree["spec"].(map[string]any)
	for _, name := range []string{"serviceAccountName", "serviceAccount"} {
		if s, ok := spec[name].(string); ok && s != "" {
			found = append(found, reference{"spec." + name, "serviceaccounts"})
		}
	}
	lists := []struct{ name, resource string }{{"imagePullSecrets", "secrets"}, {"resourceClaims", "resourceclaims"}}
	for _, l := range lists {
		list, _ := spec[l.name].([]any)
		for i := range list {
			found = append(found, reference{fmt.Sprintf("spec.%s[%d]", l.name, i), l.resource})
		}
	}
	for _, name := range []string{"containers", "initContainers", "ephemeralContainers"} {
		containers, _ := spec[name].([]any)
		for i, c := range containers {
			container, _ := c.(map[string]any)
			for _, part := range []string{"env", "envFrom"} {
				found = appendReferences(found, container[part], fmt.Sprintf("spec.%s[%d].%s", name, i, part))
			}
		}
	}
	return appendReferences(found, spec["volumes"], "spec.volumes")
}

// appendReferences looks for the keys that refer to something in environments and volumes.
func appendReferences(found []reference, tree any, path string) []reference {
	switch t := tree.(type) {
	case []any:
		for i, v := range t {
			found = appendReferences(found, v, fmt.Sprintf("%s[%d]", path, i))
		}
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(t)) {
			if t[key] == nil {
				continue
			}
			field := join(path, key)
			if resource := referenced(key); resource != "" {
				found = append(found, reference{field, resource})
				continue
			}
			found = appendReferences(found, t[key], field)
		}
	}
	return found
}

// referenced is the resource that a key refers to.
func referenced(key string) string {
	switch key {
	case "secret", "secretRef", "secretKeyRef", "nodePublishSecretRef", "azureFile":
		return "secrets"
	case "configMap", "configMapRef", "configMapKeyRef":
		return "configmaps"
	case "persistentVolumeClaim", "ephemeral":
		return "persistentvolumeclaims"
	case "csi":
		return "csidrivers"
	case "glusterfs":
		return "endpoints"
	case "serviceAccountToken":
		return "serviceaccounts"
	case "clusterTrustBundle":
		return "clustertrustbundles"
	case "podCertificate":
		return "podcertificates"
	}
	return ""
}
