package serving

import (
	"fmt"
	"strings"
)

// sleeps is the spec of a pod that runs.
const sleeps = `containers: [{name: main, image: "staticpod.test/pod:1", args: [sleep, 24h]}]`

// pod is a definition: a name and, as YAML, its spec without what all have in common.
func pod(name, spec string) string {
	return fmt.Sprintf(`apiVersion: v1
kind: Pod
metadata:
  name: %s
spec:
  hostNetwork: true
  terminationGracePeriodSeconds: 0
  %s
`, name, spec)
}

// runs is the spec of a pod whose one container does something: see testpod.
func runs(args ...string) string {
	return fmt.Sprintf(`containers: [{name: main, image: "staticpod.test/pod:1", args: ["%s"]}]`, strings.Join(args, `", "`))
}

// emptied is a spec that the kubelet refuses: spec.containers: Required value. The field is on line emptiedLine of
// a pod's definition.
const (
	emptied     = `containers: []`
	emptiedLine = 8
)

// list is a PodList of definitions.
func list(pods ...string) string {
	var b strings.Builder
	b.WriteString("apiVersion: v1\nkind: PodList\nitems:\n")
	for _, p := range pods {
		b.WriteString("- " + strings.ReplaceAll(strings.TrimSpace(p), "\n", "\n  ") + "\n")
	}
	return b.String()
}
