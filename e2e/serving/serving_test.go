// Package serving tests the exporter in serving mode on a real node: a kubelet that fetches its static pods from
// the exporter's program, and a containerd that runs them. Each scenario is a story that can be read on its own;
// together they are what the documentation promises. They run one after the other on one node.
package serving

import "testing"

func TestServing(t *testing.T) {
	st := newStage(t)
	for _, scenario := range []struct {
		name string
		play func(*scene)
	}{
		{"one broken definition of three", oneBrokenOfThree},
		{"a bad edit of a running pod", badEdit},
		{"a source that cannot be read", unreadableSource},
		{"what happens to exporter and kubelet", restarts},
		{"a bad configuration at the start", badConfiguration},
		{"the state is lost while a definition is invalid", stateLost},
		{"files that are renamed, swapped and split", filesMoved},
		{"a mass removal", massRemoval},
		{"a kubelet that knows better", versionSkew},
		{"a list refused without a word", silentRefusal},
		{"a kubelet that does not fetch", notFetching},
		{"a bearer token", bearerToken},
	} {
		t.Run(scenario.name, func(t *testing.T) { scenario.play(st.enter(t)) })
	}
	st.report(t)
}
