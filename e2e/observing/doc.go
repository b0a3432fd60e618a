// Package observing holds what the exporter shows of static pods that somebody else feeds to the kubelet, told as
// scenarios on a real node: a kubelet and a containerd, files in the kubelet's manifest directory, and the
// exporter's own program beside them, known by its flags and by what it publishes alone.
//
// go test -bench Latency measures how long a change on the node takes to show on /metrics, and -bench Idle what the
// exporter costs while nothing changes.
package observing
