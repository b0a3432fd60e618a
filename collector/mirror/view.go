// Package mirror sees the mirror pods of one node in the API server: what kubectl, and everybody else who asks the
// API, believes of the node's static pods.
//
// It lists and watches the metadata of the node's pods, never their specification, and keeps of it only what
// tells a mirror apart. It only reads, and nothing else waits for it: the API server may be gone for days.
package mirror

import (
	"errors"
	"time"
)

// ErrUnauthorized is an answer of 401 or 403: the kubeconfig's credentials may not list or watch the node's pods.
var ErrUnauthorized = errors.New("the API server does not authorize the exporter")

// A View is what the API server has of the node's mirror pods, at one moment. It is immutable.
type View struct {
	At   time.Time
	Pods []*Pod // sorted by namespace and name; the pointer of one that did not change stays the same
}

// A Pod is a mirror pod. It is immutable.
type Pod struct {
	Namespace, Name, UID string
	// StaticUID is the UID of the static pod that it mirrors, so of that revision.
	StaticUID string
	Created   time.Time
	Deleting  time.Time // when its deletion was asked for and may take effect; zero while nobody did
	// Generation is 1 until somebody edits the specification in the API server, of which a kubelet takes no note. API
	// servers before 1.34 do not count: 0.
	Generation int64
}
