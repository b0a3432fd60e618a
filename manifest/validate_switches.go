package manifest

import (
	"maps"
	"slices"
	"sync"

	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/component-base/featuregate"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/capabilities"
)

// switches are the ones that the Kubernetes libraries keep for the whole process: whether privileged containers
// are valid, and the feature gates, which change defaulting and validation. They cannot be handed in, so this is
// the one place where we hold state of the process: what the gates are set to, and that nobody judges by
// another kubelet's gates meanwhile.
var switches struct {
	sync.RWMutex
	set   bool
	gates map[string]bool
}

// withSwitches runs f with the kubelet's switches set. Those who want the same ones do not wait for each other.
func withSwitches(gates map[string]bool, f func()) {
	switches.RLock()
	for !switches.set || !maps.Equal(switches.gates, gates) {
		switches.RUnlock()
		setSwitches(gates)
		switches.RLock() // by now somebody else may have set others
	}
	defer switches.RUnlock()
	f()
}

func setSwitches(gates map[string]bool) {
	switches.Lock()
	defer switches.Unlock()
	capabilities.Setup(true, 0) // as the kubelet does when it starts; only the first call counts
	if !switches.set || !maps.Equal(switches.gates, gates) {
		setGates(gates)
		switches.set, switches.gates = true, maps.Clone(gates)
	}
}

// setGates sets the gates that this version knows and lets be set. They are tried on a copy first: the real
// one remembers a refused gate for ever and fails because of it from then on.
func setGates(gates map[string]bool) {
	gate := utilfeature.DefaultMutableFeatureGate
	for name := range gate.GetAll() {
		// The error only says that a gate lacked its effect, which it does now.
		_ = gate.ResetFeatureValueToDefault(name)
	}
	usable := map[string]bool{}
	waiting := slices.Sorted(maps.Keys(gates))
	for progress := true; progress; { // a gate may depend on one that comes later
		progress = false
		waiting = slices.DeleteFunc(waiting, func(name string) bool {
			tried := maps.Clone(usable)
			tried[name] = gates[name]
			if setQuietly(gate.DeepCopy(), tried) != nil {
				return false
			}
			usable, progress = tried, true
			return true
		})
	}
	_ = setQuietly(gate, usable) // cannot fail: the copy took it
}

// UnknownGates names, sorted, the feature gates that the rules built in do not know: what they change is not judged.
func UnknownGates(gates map[string]bool) []string {
	known := utilfeature.DefaultFeatureGate.DeepCopy().GetAll()
	return slices.DeleteFunc(slices.Sorted(maps.Keys(gates)), func(name string) bool {
		_, ok := known[featuregate.Feature(name)]
		return ok
	})
}

// setQuietly sets gates without the libraries' own log lines about deprecated ones.
func setQuietly(gate featuregate.MutableFeatureGate, gates map[string]bool) error {
	return gate.(featuregate.MutableFeatureGateWithLogger).SetFromMapWithLogger(klog.Logger{}, gates)
}
