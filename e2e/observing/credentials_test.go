package observing

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/staticpod-exporter/staticpod-exporter/e2e/await"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/exporter"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/node"
)

// There are three ways to ask a kubelet, and it lets not everybody in.
func TestCredentials(t *testing.T) {
	n := start(t, node.Options{Auth: node.ClientCertificates, ReadOnlyPort: true})
	write(t, n, "web.yaml", pod("web", "sleep", "1h"))
	write(t, n, "broken.yaml", broken)
	t.Run("every way to the kubelet leads to the same verdicts", func(t *testing.T) { sameVerdicts(t, n) })
	t.Run("who has no certificate is told so", func(t *testing.T) { unauthorized(t, n) })
	t.Run("a certificate that is renewed is picked up", func(t *testing.T) { renewed(t, n) })
	t.Run("a kubelet without the Pods API is asked over HTTPS", func(t *testing.T) { withoutPodsAPI(t, n) })
}

func sameVerdicts(t *testing.T, n *node.Node) {
	ways := map[string]*exporter.Exporter{
		"HTTPS":              observe(t, n, "--kubelet.pods-socket=", resync),
		"the read-only port": observe(t, n, "--kubelet.pods-socket=", "--kubelet.endpoint="+n.ReadOnlyEndpoint(), resync),
	}
	if n.HasPodsAPI() {
		ways["the Pods API"] = observe(t, n, "--kubelet.endpoint=", resync)
	}
	for way, e := range ways {
		t.Log(way)
		expect(t, e, "node", healthy, sound)
		expect(t, e, "default/web-node1", ready, phase("Running"), container("running"), condition("Current", "True"))
		expect(t, e, "default/broken-node1", headline("ManifestInvalid"), unready, problem(exporter.Problem{Reason: "ManifestRejected"}))
	}
	for _, id := range []string{"default/web-node1", "default/broken-node1"} {
		var first, firstWay string
		for way, e := range ways {
			verdict := verdictOf(t, e, id)
			if first == "" {
				first, firstWay = verdict, way
			}
			if verdict != first {
				t.Errorf("%s, over %s:\n%s\nand over %s:\n%s", id, firstWay, first, way, verdict)
			}
		}
	}
}

// verdictOf is all of a status but when it was observed.
func verdictOf(t *testing.T, e *exporter.Exporter, id string) string {
	t.Helper()
	statuses, err := e.Statuses(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s := statuses[id].Spec
	s.Observed.Manifest, s.Observed.Kubelet, s.Observed.Runtime, s.Observed.Log = time.Time{}, time.Time{}, time.Time{}, time.Time{}
	for i := range s.Conditions {
		s.Conditions[i].LastTransitionTime = time.Time{} // of one that is not in the evidence: when it was seen
	}
	s.Rollout = nil // which says when each exporter read the definition
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func unauthorized(t *testing.T, n *node.Node) {
	e := observe(t, n, "--kubelet.pods-socket=", "--kubelet.cert-file=", "--kubelet.key-file=", resync)
	expect(t, e, "node", unready, headline("KubeletUnauthorized"), problem(exporter.Problem{Reason: "KubeletUnauthorized", Level: "critical"}))
	s := expect(t, e, "default/web-node1", stale(true), unready, container("running"), condition("Ready", "Unknown"))
	if why := reasonOf(s, "Ready"); why != "KubeletUnauthorized" {
		t.Errorf("it is stale because of %q", why)
	}
	shows(t, e, value(0, "staticpod_input_up", "input", "kubelet"), problems(1, "KubeletUnauthorized"), problems(0, "KubeletDown"))
}

func renewed(t *testing.T, n *node.Node) {
	dir := t.TempDir()
	certificate, key := filepath.Join(dir, "client.crt"), filepath.Join(dir, "client.key")
	foreign(t, certificate, key)
	e := observe(t, n, "--kubelet.pods-socket=", "--kubelet.cert-file="+certificate, "--kubelet.key-file="+key, resync)
	expect(t, e, "node", headline("KubeletUnauthorized"))

	replace(t, n.ClientKeyFile(), key)
	replace(t, n.ClientCertFile(), certificate)
	expect(t, e, "node", healthy, sound)
	expect(t, e, "default/web-node1", ready, container("running"))

	// And the other way round, because then a connection is open that the kubelet has let in already.
	foreign(t, certificate, key)
	expect(t, e, "node", headline("KubeletUnauthorized"))
	expect(t, e, "default/web-node1", stale(true))
}

// foreign writes a certificate that no CA of this node has signed.
func foreign(t *testing.T, certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "staticpod-exporter"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	signed, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	put(t, certificate, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: signed}))
	put(t, key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}))
}

func replace(t *testing.T, from, to string) {
	t.Helper()
	content, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	put(t, to, content)
}

// put replaces a file as those do it that renew certificates.
func put(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path+".new", content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// withoutPodsAPI is the kubelet up to 1.36, and one with the gate off.
func withoutPodsAPI(t *testing.T, n *node.Node) {
	e := observe(t, n, resync)
	before := expect(t, e, "default/web-node1", ready, container("running")).Spec.Containers[0]
	n.Kubelet.Stop(t.Context())
	expect(t, e, "node", headline("KubeletDown"))
	n.Configure(func(o *node.Options) { o.FeatureGates = map[string]bool{"PodsAPI": false} })
	if err := n.Kubelet.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	expect(t, e, "node", healthy, sound)
	s := expect(t, e, "default/web-node1", ready, container("running"))
	if s.Spec.Containers[0].ID != before.ID {
		t.Errorf("the container is %s and was %s", s.Spec.Containers[0].ID, before.ID)
	}

	// What happens is seen all the same, if not at once.
	write(t, n, "web.yaml", pod("web", "sleep", "2h"))
	expect(t, e, "default/web-node1", ready, container("running"), another(before), condition("Current", "True"))
	remove(t, n, "web.yaml")
	absent(t, e, "default/web-node1")
	await.Nil(t, "no problem of the pod", func(ctx context.Context) error {
		m, err := e.Metrics(ctx)
		if err != nil {
			return err
		}
		for _, reason := range []string{"ContainerExited", "NotAccepted", "Orphaned", "DuplicateSandbox", "NotReady"} {
			if n, _ := m.Value("staticpod_problems_total", "reason", reason); n != 0 {
				err = fmt.Errorf("%s was met %v times", reason, n)
			}
		}
		return err
	})
}
