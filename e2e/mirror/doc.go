// Package mirror holds the tests of mirror pods: a real kubelet, a real API server with its etcd, and the exporter, that
// tells what the API server made of the static pods, and needs it for nothing else.
package mirror
