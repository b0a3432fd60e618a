package matrix

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	nethttp "net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/staticpod-exporter/staticpod-exporter/e2e/await"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/exporter"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/node"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/programs"
)

// link makes the play's file a link.
func (p *play) link(to string) {
	p.Helper()
	p.must(os.Symlink(to, p.path(p.base)))
}

// mkdir makes a directory.
func (p *play) mkdir(path string) {
	p.Helper()
	p.must(os.Mkdir(p.expand(path), 0o755))
}

// other starts another pod, from a file of its own, whose name is the play's with something behind it.
func (p *play) other(behind, definition string) exporter.Status {
	p.Helper()
	cause := time.Now()
	p.put("$NAME"+behind+".yaml", named(definition, behind))
	return p.isReady(cause, strings.Replace(p.id, p.name, p.name+behind, 1))
}

// rename renames the play's file.
func (p *play) rename(to string) {
	p.Helper()
	p.must(os.Rename(p.path(p.base), p.path(to)))
	p.base = p.expand(to)
}

// breakIt breaks the definition of the pod that runs, until a reason is told of it: the kubelet may look into its
// directory at the very moment, and then there is nothing to be told beforehand. The pod that it has then stopped is
// followed by another: itself would be a recreation.
func (p *play) breakIt(reason string) {
	p.Helper()
	for try := range 10 {
		p.cause = time.Now()
		p.put(p.base, pod("containers: []"))
		_, err := p.once(p.Context(), p.cause, 2*time.Second, p.id, func(s exporter.Status) error {
			if _, ok := s.Problem(reason); !ok || !s.Spec.Ready {
				return errors.New("not told in time")
			}
			return nil
		})
		if err == nil {
			return
		}
		p.put(p.base, pod(runs("sleep", fmt.Sprint(30+try, "h"))))
		p.ready(time.Now())
	}
}

// fromOther starts a pod of that name from the other source.
func (p *play) fromOther(name, definition string) {
	p.Helper()
	q := p.stage.play(p.row, map[string]string{file: http, http: file}[p.source])
	q.called(p.expand(name))
	q.T, q.dir, q.address = p.T, p.dir, p.address
	p.Cleanup(q.clear)
	cause := time.Now()
	q.put(q.base, definition)
	q.ready(cause)
}

// tell has the process of the pod do something.
func (p *play) tell(path string) {
	p.Helper()
	await.Nil(p, path, func(ctx context.Context) error {
		req, err := nethttp.NewRequestWithContext(ctx, nethttp.MethodPost, "http://"+p.address+path, nil)
		if err != nil {
			return err
		}
		res, err := nethttp.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		res.Body.Close()
		if res.StatusCode != nethttp.StatusOK {
			return errors.New(res.Status)
		}
		return nil
	})
}

// running returns the status of the pod, of which all containers run.
func (p *play) running() exporter.Status {
	p.Helper()
	s, err := p.until(p.Context(), p.patience(), p.id, func(s exporter.Status, _ bool) error {
		for _, c := range s.Spec.Containers {
			if c.State != "running" || c.PID == 0 {
				return fmt.Errorf("container %s does not run", c.Name)
			}
		}
		if len(s.Spec.Containers) == 0 {
			return errors.New("it has no containers")
		}
		return nil
	})
	p.must(err)
	return s
}

// unkillable has the runtime fail to end the pod's container, until the function that it returns is called: runc
// reads what it knows of a container from a file.
func (p *play) unkillable() (killable func()) {
	p.Helper()
	path := filepath.Join(p.node.Directory(), "containerd/runc/k8s.io", p.running().Spec.Containers[0].ID, "state.json")
	content, err := os.ReadFile(path)
	p.must(err)
	p.must(os.WriteFile(path, content[:len(content)/2], 0o600))
	killable = func() {
		if err := os.WriteFile(path, content, 0o600); err != nil && !errors.Is(err, os.ErrNotExist) {
			p.Error(err)
		}
	}
	p.Cleanup(killable)
	return killable
}

// givenUp waits until the kubelet does not have the pod.
func (p *play) givenUp() {
	p.Helper()
	await.Nil(p, "the kubelet gives it up", func(ctx context.Context) error {
		all, err := p.node.Pods(ctx)
		if err == nil && slices.ContainsFunc(all, func(q corev1.Pod) bool { return q.Name == p.pod }) {
			err = errors.New("it has it")
		}
		return err
	})
}

// sandbox returns the ID of the pod's sandbox that is ready.
func (p *play) sandbox() string {
	p.Helper()
	list, err := p.node.Runtime().ListPodSandbox(p.Context(), &cri.ListPodSandboxRequest{Filter: &cri.PodSandboxFilter{
		State:         &cri.PodSandboxStateValue{State: cri.PodSandboxState_SANDBOX_READY},
		LabelSelector: map[string]string{"io.kubernetes.pod.name": p.pod},
	}})
	p.must(err)
	if len(list.Items) != 1 {
		p.Fatalf("there are %d sandboxes", len(list.Items))
	}
	return list.Items[0].Id
}

// pullByHand gives the node an image, under the name that a definition has for it.
func (p *play) pullByHand(name string) {
	p.Helper()
	p.must(p.node.TagImage(p.Context(), programs.PodImage, p.expand(name)))
}

// named is the definition of another pod, whose name is the play's with something behind it.
func named(definition, behind string) string {
	return strings.Replace(definition, "name: $NAME", "name: $NAME"+behind, 1)
}

// restartKubelet gives the node another kubelet, and the ordinary one when the play is over.
func (p *play) restartKubelet(change func(*node.Options)) {
	p.Helper()
	if !p.restarted {
		p.restarted = true
		p.Cleanup(func() { p.restartKubelet(p.ordinary) })
	}
	ctx := p.WithoutCancel()
	p.node.Kubelet.Stop(ctx)
	p.node.Configure(change)
	if err := p.node.Kubelet.Start(ctx); err != nil {
		p.Error(err)
	}
}

// WithoutCancel is a context for what comes after the play, too.
func (p *play) WithoutCancel() context.Context { return context.WithoutCancel(p.Context()) }

// server serves on loopback until the play is over, and returns the URL of a list there.
func (p *play) server(answer nethttp.HandlerFunc) string {
	s := httptest.NewServer(answer)
	p.Cleanup(func() { s.CloseClientConnections(); s.Close() })
	return s.URL + "/pods"
}

// fetch asks as the kubelet does.
func fetch(r *nethttp.Request, url string) ([]byte, error) {
	req, err := nethttp.NewRequestWithContext(r.Context(), nethttp.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	res, err := nethttp.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != nethttp.StatusOK {
		return nil, errors.New(res.Status)
	}
	return io.ReadAll(res.Body)
}

// foreignCertificate writes a certificate that no CA of the node has signed, and its key.
func (p *play) foreignCertificate(certificate, key string) {
	p.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	p.must(err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "staticpod-exporter"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	signed, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	p.must(err)
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	p.must(err)
	p.put(key, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded})))
	p.put(certificate, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: signed})))
}
