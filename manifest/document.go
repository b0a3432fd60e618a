package manifest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// newDocument renders items as the JSON v1.PodList that the kubelet reads: each item is its author's tree
// plus the UID, nothing else. The bytes depend on nothing but the items, and are never empty: a body of zero
// bytes would stop every pod.
func newDocument(items []item, at time.Time) *Document {
	var b bytes.Buffer
	b.WriteString(`{"apiVersion":"v1","items":[`)
	uids := make([]types.UID, 0, len(items))
	for i, it := range items {
		if i > 0 {
			b.WriteByte(',')
		}
		b.Write(withUID(it.revision.Canonical, it.revision.UID))
		uids = append(uids, it.revision.UID)
	}
	b.WriteString(`],"kind":"PodList","metadata":{}}` + "\n")
	sum := sha256.Sum256(b.Bytes())
	return &Document{Revision: hex.EncodeToString(sum[:]), Bytes: b.Bytes(), UIDs: uids, At: at}
}
