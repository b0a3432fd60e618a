// Package hands tests the commands that an operator is left with when neither the exporter nor the kubelet runs:
// containers and logs, on a real node.
package hands
