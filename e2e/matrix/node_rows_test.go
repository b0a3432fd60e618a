package matrix

import (
	"io"
	nethttp "net/http"
	"os"
	"strings"

	"github.com/staticpod-exporter/staticpod-exporter/e2e/exporter"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/node"
)

// incidents happen to a whole node, its kubelet, its runtime or the exporter, one after the other. The pods run on
// unless it is said.
var incidents = []row{
	{story: "the kubelet is stopped", name: "kubelet-stopped", only: theNode,
		act:    func(p *play) { p.node.Kubelet.Stop(p.Context()) },
		mend:   func(p *play) { p.must(p.node.Kubelet.Start(p.Context())) },
		reason: "KubeletDown", also: []string{"KubeletSourcesNotReady"}},
	{story: "the kubelet hangs", name: "kubelet-hangs", only: theNode,
		act:    func(p *play) { p.must(p.node.Kubelet.Freeze()) },
		mend:   func(p *play) { p.must(p.node.Kubelet.Thaw()) },
		reason: "KubeletDown", also: []string{"KubeletNotFetching"}}, // which is noticed first
	{story: "the runtime is stopped", name: "runtime-stopped", only: theNode,
		act:    func(p *play) { p.node.Containerd.Stop(p.Context()) },
		mend:   func(p *play) { p.must(p.node.Containerd.Start(p.Context())) },
		reason: "RuntimeDown"},
	{story: "the runtime hangs", name: "runtime-hangs", only: theNode,
		act:    func(p *play) { p.must(p.node.Containerd.Freeze()) },
		mend:   func(p *play) { p.must(p.node.Containerd.Thaw()) },
		reason: "RuntimeDown"},
	{story: "the kubelet's log is a directory", name: "log-directory", only: theNode, ready: true,
		act:    func(p *play) { p.must(p.node.KubeletLog().Rename(".away")); p.mkdir(p.node.KubeletLog().Path()) },
		mend:   func(p *play) { p.must(os.Remove(p.node.KubeletLog().Path())); p.must(p.node.KubeletLog().Reopen()) },
		reason: "LogUnavailable", words: "not a regular file"},
	{story: "the kubelet's log is deleted", name: "log-deleted", only: theNode, ready: true,
		act:    func(p *play) { p.must(os.Remove(p.node.KubeletLog().Path())) },
		mend:   func(p *play) { p.must(p.node.KubeletLog().Reopen()) },
		reason: "LogUnavailable", words: "no such file"},
	{story: "the log is rotated while a refusal goes on", name: "rotated", only: file,
		write:  pod("containers: []"),
		mend:   func(p *play) { p.must(p.node.KubeletLog().Rotate(".1")); p.quiet(); p.put(p.base, pod(sleeps)) },
		reason: "ManifestRejected", beside: true, words: "spec.containers: Required value", also: []string{"ManifestInvalid"}},
	{story: "somebody else's certificate is shown to the kubelet", name: "certificate", only: theNode,
		prepare: func(p *play) {
			p.put("client.crt", p.read(p.node.ClientCertFile()))
			p.put("client.key", p.read(p.node.ClientKeyFile()))
			p.observe("--kubelet.pods-socket=", "--kubelet.cert-file="+p.path("client.crt"), "--kubelet.key-file="+p.path("client.key"))
		},
		act: func(p *play) { p.foreignCertificate("client.crt", "client.key") },
		mend: func(p *play) {
			p.put("client.key", p.read(p.node.ClientKeyFile()))
			p.put("client.crt", p.read(p.node.ClientCertFile()))
		},
		reason: "KubeletUnauthorized"},
	{story: "the exporter is told another name of the node", name: "node-name", only: theNode,
		act:    func(p *play) { p.observe("--node=somebody") },
		mend:   func(p *play) { p.Stop(p.Context()); p.again() },
		reason: "ConfigInvalid", words: "somebody", field: "node", also: []string{"NotAccepted"}},
	{story: "a key of the configuration is misspelt", name: "configuration", only: theNode,
		act: func(p *play) {
			p.Cleanup(func() { p.configure(p, "") })
			p.configure(p, "kubelt: {log: nowhere}\n")
		},
		mend:   func(p *play) { p.configure(p, "") },
		reason: "ConfigInvalid", words: "did you mean kubelet", field: "kubelt"},
	{story: "the disk with the definitions is not mounted", name: "mass-removal", only: http,
		prepare: func(p *play) { p.other("-1", pod(sleeps)); p.other("-2", pod(sleeps)) },
		before:  pod(sleeps),
		act:     func(p *play) { p.remove(p.base); p.remove("$NAME-1.yaml"); p.remove("$NAME-2.yaml") },
		mend: func(p *play) {
			p.put("$NAME-1.yaml", named(pod(sleeps), "-1"))
			p.put("$NAME-2.yaml", named(pod(sleeps), "-2"))
			p.put(p.base, pod(sleeps))
		},
		reason: "MassRemovalHeld", ready: true},
	{story: "the kubelet boots while its URL is not answered", name: "sources", only: theNode, ready: true,
		act:    func(p *play) { p.restartKubelet(at(p.server(unavailable))) },
		mend:   func(p *play) { p.restartKubelet(p.ordinary) },
		reason: "KubeletSourcesNotReady", also: []string{"KubeletDown", "KubeletNotFetching"}},
	{story: "the kubelet looks at another address", name: "elsewhere", only: http,
		before: pod(sleeps),
		act:    func(p *play) { p.restartKubelet(at(p.server(unavailable))) },
		mend:   func(p *play) { p.restartKubelet(p.ordinary) },
		reason: "KubeletNotFetching", words: "staticPodURL", also: []string{"KubeletDown", "KubeletSourcesNotReady"}},
	{story: "the kubelet has no URL, and stops what it had from there", name: "no-url", only: http, disturbs: true, done: true, most: 2, // it is made anew, which is told
		before: pod(sleeps),
		act:    func(p *play) { p.restartKubelet(func(o *node.Options) { p.ordinary(o); o.ManifestURL = "" }) },
		mend:   func(p *play) { p.restartKubelet(p.ordinary) },
		reason: "KubeletNotFetching", words: "staticPodURL is not set", also: []string{"KubeletDown", "NotAccepted", "ContainerExited"}},
	{story: "the kubelet is older than our validation, and refuses a list for one pod", name: "skew", only: http, restarts: true,
		prepare: func(p *play) {
			p.Stop(p.Context())
			p.Cleanup(func() { p.Stop(p.WithoutCancel()); p.again() })
			if !p.node.HasPodsAPI() { // it is older: it has none of these gates, and says nothing of them
				p.restartKubelet(p.ordinary)
				p.again()
				return
			}
			p.restartKubelet(func(o *node.Options) {
				p.ordinary(o)
				o.FeatureGates = map[string]bool{"ContainerRestartRules": false, "RestartAllContainersOnContainerExits": false}
			})
			p.again("--kubelet.endpoint=") // or it learned the gates
		},
		before: pod(sleeps),
		write:  pod(with("restartPolicy: OnFailure")),
		reason: "ManifestRejected", words: "restartPolicy: Forbidden", ready: true, must: []string{"LastRevisionKept"}, also: []string{"ListRejected", "KubeletDown"}},
	{story: "another server gives the kubelet a list with one pod that is none", name: "foreign-list", only: theNode, most: 2, // by the log, and by the list
		act: func(p *play) {
			p.restartKubelet(at(p.server(func(w nethttp.ResponseWriter, _ *nethttp.Request) {
				io.WriteString(w, list(strings.Replace(pod(sleeps), "$NAME", "good", 1), strings.Replace(pod("containers: []"), "$NAME", "bad", 1)))
			})))
			p.observe()
		},
		mend:   func(p *play) { p.restartKubelet(p.ordinary) },
		reason: "ListRejected", words: "spec.containers: Required value",
		must: []string{"KubeletSourcesNotReady"}, also: []string{"KubeletDown", "KubeletNotFetching"}},
	{story: "a proxy between kubelet and exporter answers with an old list", name: "proxy", only: http,
		prepare: func(p *play) { p.restartKubelet(at(p.server(p.stale()))) },
		write:   pod(sleeps),
		mend:    func(p *play) { p.restartKubelet(p.ordinary) },
		reason:  "NotAccepted", also: []string{"KubeletDown", "KubeletNotFetching"}},
	{story: "the exporter looks into another directory than the kubelet", name: "wrong-directory", only: theNode,
		prepare: func(p *play) { p.observe("--kubelet.manifest-directory=" + p.dir) },
		act: func(p *play) {
			p.put("web.yaml", pod(sleeps))
			p.id = "default/" + p.name + "-" + p.node.Name()
		},
		mend:   func(p *play) { p.remove("web.yaml") },
		gone:   true,
		reason: "NotAccepted"},
	{story: "a file is edited while the kubelet is down, and its URL is not answered when it boots: the old pod runs on beside the new", name: "side-by-side", only: file, slow: true, disturbs: true,
		before: pod(sleeps),
		act: func(p *play) {
			url := p.server(unavailable)
			p.node.Kubelet.Stop(p.Context())
			p.put(p.base, pod(runs("sleep", "25h")))
			p.restartKubelet(at(url))
		},
		mend:   func(p *play) { p.restartKubelet(p.ordinary) },
		reason: "DuplicateSandbox", ready: true, also: []string{"KubeletDown", "KubeletSourcesNotReady", "KubeletNotFetching", "StopPending", "Orphaned"}},
	{story: "a file is removed while the kubelet is down, and the runtime cannot end the pod", name: "unkillable", only: file, slow: true, gone: true,
		before: pod(sleeps),
		act: func(p *play) {
			p.undo = p.unkillable()
			p.node.Kubelet.Stop(p.Context())
			p.remove(p.base)
			p.must(p.node.Kubelet.Start(p.Context()))
		},
		mend:   func(p *play) { p.undo() },
		reason: "TerminationStuck", also: []string{"KubeletDown", "StopPending"}},
}

// at is a kubelet with another URL.
func at(url string) func(*node.Options) {
	return func(o *node.Options) { o.ManifestURL = url }
}

// unavailable answers as a server that is about to start.
func unavailable(w nethttp.ResponseWriter, _ *nethttp.Request) {
	nethttp.Error(w, "not yet", nethttp.StatusServiceUnavailable)
}

// stale is a proxy before the exporter that answers with what it was answered first.
func (p *play) stale() nethttp.HandlerFunc {
	var first []byte
	return func(w nethttp.ResponseWriter, r *nethttp.Request) {
		body, err := fetch(r, "http://"+p.stage.address+"/pods")
		if first == nil {
			first = body
		}
		if err != nil {
			nethttp.Error(w, err.Error(), nethttp.StatusBadGateway)
			return
		}
		w.Write(first)
	}
}

// read reads a file.
func (p *play) read(path string) string {
	p.Helper()
	content, err := os.ReadFile(path)
	p.must(err)
	return string(content)
}

// observe has another exporter look at the node, in observing mode, and asks it from now on.
func (p *play) observe(flags ...string) {
	p.Helper()
	e, err := exporter.New(exporter.Options{
		Binary: p.binary, StateDirectory: p.TempDir(), Flags: append(p.flags(), flags...), Log: p.log(p.T, p.name+".log"),
	})
	p.must(err)
	p.view = p.look(p.T, e)
	p.must(e.Start(p.Context()))
}

// list is a PodList of definitions.
func list(pods ...string) string {
	var b strings.Builder
	b.WriteString("apiVersion: v1\nkind: PodList\nitems:\n")
	for _, p := range pods {
		b.WriteString("- " + strings.ReplaceAll(strings.TrimSpace(p), "\n", "\n  ") + "\n")
	}
	return b.String()
}

// again starts the exporter with other flags than before.
func (p *play) again(flags ...string) {
	p.Helper()
	p.Configure(func(o *exporter.Options) { o.Flags = append(p.flags(), flags...) })
	p.must(p.Start(p.WithoutCancel()))
}
