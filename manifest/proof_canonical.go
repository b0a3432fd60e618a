package manifest

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"
)

// appendCanonical appends the canonical JSON of a tree: keys in byte order, no white space, numbers with the
// digits they were given, strings escaped as encoding/json does it in a json.RawMessage, so that canonical
// JSON passes through any of Go's encoders unchanged. UIDs depend on every byte of it: it must never change.
func appendCanonical(dst []byte, tree any) []byte {
	switch t := tree.(type) {
	case map[string]any:
		dst = append(dst, '{')
		for i, key := range slices.Sorted(maps.Keys(t)) {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendString(dst, key)
			dst = append(dst, ':')
			dst = appendCanonical(dst, t[key])
		}
		return append(dst, '}')
	case []any:
		dst = append(dst, '[')
		for i, v := range t {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendCanonical(dst, v)
		}
		return append(dst, ']')
	case string:
		return appendString(dst, t)
	case json.Number:
		return append(dst, t...)
	case bool:
		if t {
			return append(dst, "true"...)
		}
		return append(dst, "false"...)
	default:
		return append(dst, "null"...)
	}
}

func appendString(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == '"' || r == '\\':
			dst = append(dst, '\\', byte(r))
		case r == '\n':
			dst = append(dst, `\n`...)
		case r == '\r':
			dst = append(dst, `\r`...)
		case r == '\t':
			dst = append(dst, `\t`...)
		case r < 0x20 || r == '<' || r == '>' || r == '&':
			dst = append(dst, '\\', 'u', '0', '0', hex[r>>4], hex[r&0xf])
		case r == '\u2028':
			dst = append(dst, `\u2028`...)
		case r == '\u2029':
			dst = append(dst, `\u2029`...)
		case r == utf8.RuneError && size == 1:
			dst = append(dst, "\uFFFD"...)
		default:
			dst = append(dst, s[i:i+size]...)
		}
		i += size
	}
	return append(dst, '"')
}

// generatedAnnotations are what the kubelet itself notes on a pod; one of them, config.mirror, would make it
// take a static pod for a mirror pod.
const generatedAnnotations = "kubernetes.io/config."

// normalize makes of a pod's tree what identifies it: namespace, kind and apiVersion set, and without what is
// the cluster's or the kubelet's to say. It changes tree in place and reports whether there was a UID.
func normalize(tree map[string]any) (uid bool) {
	tree["apiVersion"], tree["kind"] = "v1", "Pod"
	delete(tree, "status")
	if tree["metadata"] == nil {
		tree["metadata"] = map[string]any{}
	}
	metadata, ok := tree["metadata"].(map[string]any)
	if !ok {
		return false // it will not decode
	}
	if metadata["namespace"] == nil || metadata["namespace"] == "" {
		metadata["namespace"] = "default"
	}
	uid = metadata["uid"] != nil && metadata["uid"] != ""
	for _, key := range []string{"uid", "deletionTimestamp", "creationTimestamp", "ownerReferences", "finalizers"} {
		delete(metadata, key)
	}
	if annotations, ok := metadata["annotations"].(map[string]any); ok {
		before := len(annotations)
		maps.DeleteFunc(annotations, func(key string, _ any) bool { return strings.HasPrefix(key, generatedAnnotations) })
		if len(annotations) == 0 && before > 0 {
			delete(metadata, "annotations")
		}
	}
	return uid
}
