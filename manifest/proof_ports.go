package manifest

import corev1 "k8s.io/api/core/v1"

// A portConflict is a host port that two pods cannot both have. First and Second index the pods, First < Second.
type portConflict struct {
	First, Second int
	Port          string // as in 0.0.0.0:80/TCP
	fields        [2]string
}

// Field is the port's field in the pod with that index: spec.containers[0].ports[1].hostPort.
func (c portConflict) Field(pod int) string {
	if pod == c.Second {
		return c.fields[1]
	}
	return c.fields[0]
}

// hostPortConflicts lists every pair of pods that ask for one host port, in order of First and Second.
func hostPortConflicts(pods []*corev1.Pod) []portConflict { return nil }
