package manifest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/kubernetes/pkg/apis/core"
	"k8s.io/kubernetes/pkg/util/hash"
)

// uidFormat is the first line of what is hashed. Any change of the canonical form needs another one, and
// restarts every pod of every node that runs this.
const uidFormat = "v1"

// contentHash identifies a definition's content on a node: lower-case hex SHA-256 over three lines, the
// format, the node's name and the canonical JSON.
func contentHash(node string, canonical []byte) string {
	h := sha256.New()
	fmt.Fprintf(h, "%s\n%s\n", uidFormat, node)
	h.Write(canonical)
	return hex.EncodeToString(h.Sum(nil))
}

// contentUID is the UID of a pod that we serve: the first 128 bits of its content's hash.
func contentUID(contentHash string) types.UID { return types.UID(contentHash[:32]) }

// kubeletUID is the UID that the kubelet gives to a pod when the author gave none: FNV-128a over a dump of its
// internal, defaulted pod, and the node's name with the file's path, or the URL alone. It holds for a kubelet of
// the same minor version.
func kubeletUID(pod *core.Pod, node string, from origin) types.UID {
	h := fnv.New128a()
	hash.DeepHashObject(h, pod)
	if from.source == SourceFile {
		fmt.Fprintf(h, "host:%s", node)
		fmt.Fprintf(h, "file:%s", from.place)
	} else {
		fmt.Fprintf(h, "url:%s", from.place)
	}
	return types.UID(hex.EncodeToString(h.Sum(nil)))
}

// withUID returns canonical with metadata.uid set: an item of the served document. What has no metadata comes
// back as it is.
func withUID(canonical []byte, uid types.UID) []byte {
	var pod, metadata map[string]json.RawMessage
	if json.Unmarshal(canonical, &pod) != nil || json.Unmarshal(pod["metadata"], &metadata) != nil || metadata == nil {
		return canonical
	}
	metadata["uid"] = appendString(nil, string(uid))
	pod["metadata"] = appendObject(nil, metadata)
	return appendObject(nil, pod)
}

// appendObject is appendCanonical of a map whose values are canonical already.
func appendObject(dst []byte, object map[string]json.RawMessage) []byte {
	dst = append(dst, '{')
	for i, key := range slices.Sorted(maps.Keys(object)) {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(appendString(dst, key), ':')
		dst = append(dst, object[key]...)
	}
	return append(dst, '}')
}
