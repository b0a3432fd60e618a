package diagnose

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/staticpod-exporter/staticpod-exporter/collector/kubelet"
)

// A fakeKubelet is a server that answers as a kubelet does, with a certificate of its own.
type fakeKubelet struct {
	*httptest.Server
	ca string // a file with its certificate
}

func serveKubelet(t *testing.T, change func(*x509.Certificate), answers map[string]string, code int, clientCA *x509.CertPool) fakeKubelet {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "node1@1"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"node1"}}
	if change != nil {
		change(template)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, found := answers[r.URL.Path]
		switch {
		case code != 0:
			http.Error(w, "refused", code)
		case !found:
			http.NotFound(w, r)
		default:
			_, _ = io.WriteString(w, body)
		}
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // of handshakes that fail
	s.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	if clientCA != nil {
		s.TLS.ClientAuth, s.TLS.ClientCAs = tls.RequireAndVerifyClientCert, clientCA
	}
	s.StartTLS()
	t.Cleanup(s.Close)
	ca := filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return fakeKubelet{s, ca}
}

const (
	podList = `{"kind":"PodList","apiVersion":"v1","items":[{"metadata":{"name":"a-node1","namespace":"default","uid":"u","annotations":{"kubernetes.io/config.source":"file"}},"spec":{"nodeName":"node1"}}]}`
	configz = `{"kubeletconfig":{"staticPodPath":"/etc/kubernetes/manifests","featureGates":{"PodsAPI":false,"FromTheFuture":true},"logging":{"format":"text","verbosity":1}}}`
	metrics = "kubernetes_build_info{git_version=\"v1.36.1\"} 1\n"
)

func TestEndpoint(t *testing.T) {
	well := map[string]string{"/pods": podList, "/configz": configz, "/metrics": metrics}
	good := serveKubelet(t, nil, well, 0, nil)
	var k Kubelet
	endpoint := k.Endpoint(kubelet.Options{Endpoint: good.URL, CAFile: good.ca})
	expect(t, endpoint, OK, "kubelet v1.36.1", "1 static pod over https")
	expect(t, endpoint, Warn, "rules of v1.37.x, and the kubelet is v1.36.1")
	if !k.facts().up || k.Config() == nil || k.Config().StaticPodPath != "/etc/kubernetes/manifests" {
		t.Errorf("%+v", k.facts())
	}
	expect(t, endpoint, Warn, "do not know: FromTheFuture")
	expect(t, k.PodsAPI(kubelet.Options{PodsSocket: "unix:///missing.sock"}, false), Warn, "the kubelet's feature gate PodsAPI is off")
	expect(t, k.Node("node1"), OK, "node1, as the kubelet calls it")
	expect(t, k.Node("other"), Fail, "the kubelet calls it node1", "set node: node1")
	expect(t, (&Kubelet{known: facts{up: true}}).Node("node1"), OK, "no static pod")
	expect(t, (&Kubelet{}).Node("node1"), Skipped, "cannot be asked")

	noConfig := serveKubelet(t, nil, map[string]string{"/pods": podList}, 0, nil)
	expect(t, new(Kubelet).Endpoint(kubelet.Options{Endpoint: noConfig.URL, CAFile: noConfig.ca}), Warn, "/configz cannot be read", "nodes/configz")

	plain := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(plain.Close)
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	expired := serveKubelet(t, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Hour) }, well, 0, nil)
	nameless := serveKubelet(t, func(c *x509.Certificate) { c.IPAddresses, c.DNSNames = nil, []string{"node1", "node1.example"} }, well, 0, nil)
	unknown := serveKubelet(t, nil, well, http.StatusUnauthorized, nil)
	forbidden := serveKubelet(t, nil, well, http.StatusForbidden, nil)
	strict := serveKubelet(t, nil, well, 0, x509.NewCertPool())
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		options kubelet.Options
		parts   []string
	}{
		"no CA":             {kubelet.Options{Endpoint: good.URL}, []string{"unknown authority", "kubelet.ca-file", `issued by "CN=node1@1"`}},
		"the CA of another": {kubelet.Options{Endpoint: good.URL, CAFile: expired.ca}, []string{"kubelet.ca-file must hold"}},
		"expired":           {kubelet.Options{Endpoint: expired.URL, CAFile: expired.ca}, []string{"expired", "renew"}},
		"another name":      {kubelet.Options{Endpoint: nameless.URL, CAFile: nameless.ca}, []string{"is for node1, node1.example: set kubelet.server-name"}},
		"unknown to it":     {kubelet.Options{Endpoint: unknown.URL, CAFile: unknown.ca}, []string{"401", "kubelet.cert-file"}},
		"may not":           {kubelet.Options{Endpoint: forbidden.URL, CAFile: forbidden.ca}, []string{"403", "nodes/proxy"}},
		"no certificate":    {kubelet.Options{Endpoint: strict.URL, CAFile: strict.ca}, []string{"handshake over the client certificate"}},
		"no TLS":            {kubelet.Options{Endpoint: strings.Replace(plain.URL, "http:", "https:", 1)}, []string{"write the endpoint as http://"}},
		"nobody":            {kubelet.Options{Endpoint: closed.URL}, []string{"connection refused", "systemctl status kubelet"}},
		"a missing file":    {kubelet.Options{Endpoint: good.URL, CAFile: "/missing.crt"}, []string{"/missing.crt: no such file", "names a file that is not there"}},
		"an empty file":     {kubelet.Options{Endpoint: good.URL, CAFile: empty}, []string{"no certificate", "does not hold what it should"}},
	} {
		t.Run(name, func(t *testing.T) {
			expect(t, new(Kubelet).Endpoint(test.options), Fail, test.parts...)
		})
	}
	expect(t, new(Kubelet).Endpoint(kubelet.Options{}), Skipped, "kubelet.endpoint is empty")
}

func TestPodsAPI(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "401-403") // which are no answers of a kubelet's
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	missing := kubelet.Options{PodsSocket: "unix://" + dir + "/missing.sock"}
	expect(t, new(Kubelet).PodsAPI(missing, true), Warn, "no such file", "kubelet.endpoint is asked")
	expect(t, new(Kubelet).PodsAPI(missing, false), Fail, "no such file", "is the kubelet running")
	expect(t, new(Kubelet).PodsAPI(kubelet.Options{}, false), Skipped, "is empty")

	stale := filepath.Join(dir, "stale.sock")
	l, err := net.Listen("unix", stale)
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	l.Close()
	expect(t, new(Kubelet).PodsAPI(kubelet.Options{PodsSocket: "unix://" + stale}, true), Fail, "connection refused", "systemctl status kubelet")
}

// A socket that takes connections and does not answer is told from one that nobody listens on.
func TestPodsAPIAndRuntimeThatHang(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "hangs.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	for want, check := range map[string]Check{
		"the kubelet does not answer": new(Kubelet).PodsAPI(kubelet.Options{PodsSocket: "unix://" + socket}, true),
		"the runtime does not answer": Runtime("unix://" + socket),
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		found := check.Run(ctx)
		if len(found) != 1 || found[0].Outcome != Fail || !strings.HasPrefix(found[0].Advice, want) {
			t.Errorf("%s: %+v", want, found)
		}
	}
}

// What a check learns after it was given up is not for those that run by then.
func TestKubeletLearnsNothingOfACheckThatWasGivenUp(t *testing.T) {
	var k Kubelet
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	k.learn(ctx, &kubelet.View{Config: &kubelet.Config{}}, nil)
	if k.Config() != nil || k.facts().up {
		t.Errorf("%+v", k.facts())
	}
	k.learn(t.Context(), &kubelet.View{Config: &kubelet.Config{}}, nil)
	k.learn(t.Context(), &kubelet.View{}, nil) // the Pods API has no configuration
	if k.Config() == nil || !k.facts().up {
		t.Errorf("%+v", k.facts())
	}
}

func TestKubeletAdvice(t *testing.T) {
	for want, err := range map[string]error{
		"run the exporter as root": fmt.Errorf("dial: %w", os.ErrPermission),
		"does not answer":          fmt.Errorf("kubelet: %w", context.DeadlineExceeded),
		"the kubelet does not":     fmt.Errorf("kubelet: %w", status.Error(codes.DeadlineExceeded, "context deadline exceeded")),
		"docs/configuration.md":    errors.New("something else"),
	} {
		if got := kubeletAdvice(err); !strings.Contains(got, want) {
			t.Errorf("%v: %q", err, got)
		}
	}
}
