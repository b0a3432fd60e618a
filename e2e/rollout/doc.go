// Package rollout follows changes of definitions to pods on a real node, and compares the traces that are received of
// them with what kubelet and runtime say themselves: each boundary of a span is the time of an event, and whatever is
// restarted in between, a rollout is one trace.
package rollout
