package status

import "github.com/staticpod-exporter/staticpod-exporter/collector"

// Derive gives the verdict on o, given the Snapshot before it (nil for the first). It is pure.
func Derive(prev *Snapshot, o *collector.Observation) *Snapshot {
	_ = prev
	return &Snapshot{At: o.At, Inputs: o.Inputs, Observation: o}
}
