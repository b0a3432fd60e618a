// Package collector asks every input what it sees of the node's static pods and hands on one Observation.
//
// It is woken by changes and heals by a resync; every question has a deadline; an input that does not answer
// is a state of the Observation, never an error of the run.
package collector

import (
	"time"

	"github.com/staticpod-exporter/staticpod-exporter/collector/kubelet"
	"github.com/staticpod-exporter/staticpod-exporter/collector/kubeletlog"
	"github.com/staticpod-exporter/staticpod-exporter/collector/mirror"
	"github.com/staticpod-exporter/staticpod-exporter/cri"
	"github.com/staticpod-exporter/staticpod-exporter/manifest"
)

// An Input is where the exporter learns from.
type Input string

// The inputs. Their names are label values of staticpod_input_up.
const (
	InputManifest Input = "manifest"
	InputKubelet  Input = "kubelet"
	InputRuntime  Input = "runtime"
	InputLog      Input = "log"
	InputMirror   Input = "mirror"
)

// An InputState is how well one input answers.
type InputState struct {
	Input      Input
	Configured bool // false: the others of this struct are zero, and its absence is no problem
	Up         bool
	// LastSuccess is when it last answered, zero for never; Since is when Up last changed.
	LastSuccess, Since time.Time
	Duration           time.Duration // of the last question
	Err                string        // why it is not Up, at most 1 KiB
	Unauthorized       bool          // the kubelet or the API server refuses the exporter's credentials
	SourcesNotReady    bool          // the kubelet is up but has not seen all its pod sources
}

// An Observation is what all inputs say, at one moment. It is immutable. A view whose input is down is the
// last one it gave (with its own time), or nil when it never answered.
type Observation struct {
	At       time.Time
	Manifest *manifest.Set
	Kubelet  *kubelet.View
	Runtime  *cri.View
	Mirror   *mirror.View
	Log      []kubeletlog.Event // since the Observation before, in the order of the log
	LogStats kubeletlog.Stats
	Inputs   []InputState // one of each, in the order of the constants
}

// Input returns the state of one input.
func (o *Observation) Input(name Input) InputState {
	for _, s := range o.Inputs {
		if s.Input == name {
			return s
		}
	}
	return InputState{Input: name}
}
