package serving

import (
	"context"
	"errors"
	"os"
	"strings"
	"time"

	"github.com/staticpod-exporter/staticpod-exporter/e2e/await"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/exporter"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/node"
)

// ruled is the spec of a pod that kubelets of before 1.35 refuse, as does one without the gate ContainerRestartRules:
// spec.containers[0].restartPolicy: Forbidden: may not be set for non-init containers.
const ruled = `containers: [{name: main, image: "staticpod.test/pod:1", args: [sleep, 24h], restartPolicy: OnFailure}]`

// unruled makes a kubelet like that, unless the node has an older one: then it is like that.
func (s *scene) unruled() {
	s.withKubelet(func(o *node.Options) {
		if s.node.HasPodsAPI() {
			o.FeatureGates = map[string]bool{"ContainerRestartRules": false, "RestartAllContainersOnContainerExits": false}
		}
	})
}

// blind makes an exporter that does not learn the kubelet's feature gates, for want of its HTTP server. An older
// kubelet says nothing of gates that are as it has them by default.
func (s *scene) blind() {
	if s.node.HasPodsAPI() {
		s.Configure(func(o *exporter.Options) { o.Flags = append(o.Flags, "--kubelet.endpoint=") })
	}
}

// A kubelet of another version may refuse what our validation accepts, and then refuses the whole list. The culprit
// is found and the others run.
func versionSkew(s *scene) {
	s.unruled()
	s.blind()
	s.write("old.yaml", pod("old", sleeps))
	s.ready(s.start(), "old")
	before := s.containers()

	// Four at once, so that there are many who may have done it.
	for _, name := range []string{"able", "baker", "delta"} {
		s.write(name+".yaml", pod(name, sleeps))
	}
	cause := s.write("culprit.yaml", pod("culprit", ruled))
	status := s.headline(cause, s.id("culprit"), "ManifestRejected")
	if p := status.Spec.Problems[0]; !strings.Contains(p.Message, "restartPolicy: Forbidden") || p.Path != s.files+"/culprit.yaml" {
		s.Errorf("the kubelet's own words: %+v", p)
	}
	s.ready(cause, "able", "baker", "delta", "old")
	s.ended(cause, finding{"node", "ListRejected"})
	s.undisturbed(before, "old")
	metrics, err := s.Metrics(s.Context())
	s.must(err)
	if n, ok := metrics.Value("staticpod_manifest_rejections_total", "stage", "kubelet"); !ok || n < 1 {
		s.Errorf("staticpod_manifest_rejections_total of the kubelet is %v, %v", n, ok)
	}
	four := s.containers()

	// The verdict survives: the list is not put at risk again.
	s.Kill()
	s.start()
	s.headline(cause, s.id("culprit"), "ManifestRejected")
	s.fetched(3, "200")
	s.undisturbed(four)

	cause = s.write("culprit.yaml", pod("culprit", sleeps))
	s.ended(cause, finding{s.id("culprit"), "ManifestRejected"})
	s.ready(cause, "able", "baker", "culprit", "delta", "old")
	s.undisturbed(four, "able", "baker", "delta", "old")

	// The same as an edit of a pod that runs: it runs on.
	all := s.containers()
	cause = s.write("baker.yaml", pod("baker", ruled))
	s.headline(cause, s.id("baker"), "ManifestRejected")
	s.fetched(3, "200")
	s.undisturbed(all)

	if !s.node.HasPodsAPI() {
		return
	}
	// Who may ask the kubelet for its gates refuses it by himself.
	s.stop()
	s.Configure(func(o *exporter.Options) { o.Flags = exporter.NodeFlags(s.node) })
	s.start()
	s.write("baker.yaml", pod("baker", ruled+"\n  priority: 1"))
	cause = time.Now()
	s.headline(cause, s.id("baker"), "ManifestInvalid")
	s.fetched(2, "200")
	s.undisturbed(all)
}

// A kubelet that has failed to fetch four times logs further failures at verbosity 4 only, also those of another kind:
// the first list after the exporter's absence is refused without a word. It is made to speak.
func silentRefusal(s *scene) {
	s.unruled()
	await.Nil(s, "the kubelet falls silent", func(context.Context) error {
		log, err := os.ReadFile(s.node.KubeletLog().Path())
		if err == nil && !strings.Contains(string(log), "Dropping verbosity of this message") {
			err = errors.New("not yet")
		}
		return err
	})
	s.blind()
	s.write("innocent.yaml", pod("innocent", sleeps))
	s.write("guilty.yaml", pod("guilty", ruled))
	cause := s.start()
	s.headline(cause, s.id("guilty"), "ManifestRejected")
	s.ready(cause, "innocent")
}
