package matrix

import (
	"cmp"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
)

// The sources.
const (
	file    = "file" // the kubelet's own directory
	http    = "http" // served to it by the exporter
	theNode = "node" // no pod, but the node itself
)

// A row is one way in which a static pod fails. In definitions these words stand for what is each play's own:
// $NAME the pod's name, $DIR a directory, $ADDRESS and $PORT where its process may listen, $REGISTRY a registry.
type row struct {
	story string // what happened, as an operator would tell it
	name  string // of the pod and of its file, with the source behind it
	only  string // the source with which it can happen; both when empty

	// The cause: a definition that is written, or something else that is done.
	base    string      // the file's name, when it matters
	before  string      // a definition whose pod is Ready before
	prepare func(*play) // what else there has to be before
	write   string      // the definition that goes wrong; # HERE marks the line that is to be named
	act     func(*play) // what else goes wrong

	// The verdict.
	reason  string   // what is found; "" when nothing is to be found
	beside  bool     // the headline is another
	words   string   // of the kubelet or the runtime, in the message
	detail  string   // the reason of the kubelet
	field   string   // of the definition
	unnamed bool     // the definition tells no name: its status goes by the file
	ready   bool     // the pod is Ready all the same
	also    []string // what else may be said, before or beside it
	must    []string // what else must be said beside it
	refused string   // the kubelet's words when it refuses the file
	times   int      // how often it is counted, once when 0
	most    int      // how often it may be, when that is chance; times when 0

	// The end: the file is given a good definition, unless something else is done.
	mend func(*play)
	gone bool // once mended there is no pod
	done bool // what becomes of it once it is mended is another story
	slow bool // it takes minutes: it begins first

	// Of an incident.
	disturbs bool // all pods may be restarted by it
	restarts bool // the exporter is
}

// pod is a definition: its spec without what all have in common.
func pod(spec string) string {
	return `apiVersion: v1
kind: Pod
metadata:
  name: $NAME
spec:
  hostNetwork: true
  terminationGracePeriodSeconds: 1
  ` + strings.TrimSpace(spec) + "\n"
}

// runs is the spec of a pod whose one container does something: see testpod.
func runs(args ...string) string {
	return fmt.Sprintf(`containers: [{name: main, image: "staticpod.test/pod:1", args: ["%s"]}]`, strings.Join(args, `", "`))
}

// sleeps is the spec of a pod with which nothing is wrong.
const sleeps = `containers: [{name: main, image: "staticpod.test/pod:1", args: [sleep, 24h]}]`

// serves is the spec of a pod that is asked by a probe.
func serves(probe string) string {
	return `containers: [{name: main, image: "staticpod.test/pod:1", args: [serve, "$ADDRESS"], ` + probe + `}]`
}

// with adds to the one container of sleeps.
func with(more string) string { return strings.Replace(sleeps, "name: main", "name: main, "+more, 1) }

// sources are those with which the row can happen.
func (r *row) sources() []string {
	if r.only != "" {
		return []string{r.only}
	}
	return []string{file, http}
}

func (r *row) counted() (least, most int) {
	least = cmp.Or(r.times, 1)
	return least, cmp.Or(r.most, least)
}

// levels reads from the documentation which level each reason has.
func levels(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile("../../docs/reasons.md")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^### (\w+)\n<a .*\n\n\*(critical|warning|info)`).FindAllStringSubmatch(string(text), -1) {
		found[m[1]] = m[2]
	}
	if len(found) < 40 {
		t.Fatalf("docs/reasons.md has %d reasons", len(found))
	}
	return found
}

// probe is a probe of a kind, each second.
func probe(kind, path, more string) string {
	return kind + "Probe: {periodSeconds: 1, " + more + "httpGet: {host: 127.0.0.1, port: $PORT, path: " + path + "}}"
}

// replaceGrace is a definition with another grace period.
func replaceGrace(definition, seconds string) string {
	return strings.Replace(definition, "terminationGracePeriodSeconds: 1", "terminationGracePeriodSeconds: "+seconds, 1)
}
