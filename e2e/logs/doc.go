// Package logs holds how a real kubelet's log reaches the exporter by every way there is, told as scenarios: through a
// relay that ships it as Talos does, out of a real journal that the real journalctl reads, as a container runtime
// writes it, and by standard input.
package logs
