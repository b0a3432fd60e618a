package diagnose

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"syscall"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	corev1 "k8s.io/api/core/v1"

	"github.com/staticpod-exporter/staticpod-exporter/collector/kubelet"
	"github.com/staticpod-exporter/staticpod-exporter/manifest"
)

// A Kubelet is what checks learn of it, for those that come after them. A check that was given up teaches nothing any more.
type Kubelet struct {
	mu    sync.Mutex
	known facts
}

type facts struct {
	config *kubelet.Config // nil while it is not known
	up     bool            // it answered
	pods   []*corev1.Pod
}

// Config is the kubelet's configuration, nil while it is not known.
func (k *Kubelet) Config() *kubelet.Config { return k.facts().config }

func (k *Kubelet) facts() facts {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.known
}

// learn takes what an answer to a question says.
func (k *Kubelet) learn(ctx context.Context, view *kubelet.View, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if ctx.Err() != nil {
		return
	}
	k.known.up = k.known.up || err == nil || errors.Is(err, kubelet.ErrSourcesNotReady)
	if view == nil {
		return
	}
	k.known.pods = view.Pods
	if view.Config != nil {
		k.known.config = view.Config
	}
}

// PodsAPI asks for the pods over the kubelet's socket.
func (k *Kubelet) PodsAPI(o kubelet.Options, auto bool) Check {
	return Check{"kubelet.pods-socket", func(ctx context.Context) []Finding {
		if o.PodsSocket == "" {
			return one(skipped("kubelet.pods-socket is empty: the socket is not used"))
		}
		o.Endpoint = ""
		view, err := k.ask(ctx, o)
		switch {
		case err == nil:
			return one(ok("%s over the Pods API, with every change as it happens", counted(len(view.Pods), "static pod")))
		case errors.Is(err, kubelet.ErrSourcesNotReady):
			return one(warn(err.Error(), sourcesAdvice))
		case gateOff(k.Config()):
			return one(warn(err.Error(), "the kubelet's feature gate PodsAPI is off: set featureGates: {PodsAPI: true}, or do with kubelet.endpoint, which is asked every 10 s"))
		case auto && (errors.Is(err, fs.ErrNotExist) || status.Code(cause(err)) == codes.Unimplemented):
			return one(warn(err.Error(), "kubelets before 1.37, or with the feature gate PodsAPI off, do not have it: then kubelet.endpoint is asked, every 10 s"))
		}
		return one(fail(err.Error(), kubeletAdvice(err)))
	}}
}

func gateOff(c *kubelet.Config) bool {
	if c == nil {
		return false
	}
	on, set := c.FeatureGates["PodsAPI"]
	return set && !on
}

// Endpoint asks for the pods over the kubelet's HTTP server, and for what it says of itself.
func (k *Kubelet) Endpoint(o kubelet.Options) Check {
	return Check{"kubelet.endpoint", func(ctx context.Context) []Finding {
		if o.Endpoint == "" {
			return one(skipped("kubelet.endpoint is empty: the kubelet's configuration, its version and its feature gates stay unknown"))
		}
		o.PodsSocket = ""
		view, err := k.ask(ctx, o)
		if err != nil && !errors.Is(err, kubelet.ErrSourcesNotReady) {
			return one(fail(err.Error(), kubeletAdvice(err)))
		}
		var found []Finding
		if err != nil {
			found = append(found, warn(err.Error(), sourcesAdvice))
		}
		if view == nil {
			return found
		}
		version := view.Version
		if version == "" {
			version = "of unknown version"
		}
		found = append(found, ok("kubelet %s, %s over %s", version, counted(len(view.Pods), "static pod"), view.Transport))
		if view.Config == nil {
			found = append(found, warn("/configz cannot be read: staticPodPath, staticPodURL and feature gates are not known",
				"allow the exporter's user to get nodes/configz (or nodes/proxy), and use the HTTPS port"))
		}
		if view.Config != nil {
			if unknown := manifest.UnknownGates(view.Config.FeatureGates); len(unknown) > 0 {
				found = append(found, warn("the kubelet has feature gates that the rules of "+manifest.Release+"x do not know: "+strings.Join(unknown, ", "),
					"what they change is found only when the kubelet refuses it"))
			}
		}
		if view.Version != "" && !strings.HasPrefix(view.Version, manifest.Release) {
			found = append(found, warn("validation has the rules of "+manifest.Release+"x, and the kubelet is "+view.Version,
				"what differs between the two is found only when the kubelet refuses it: use the exporter's release for this kubelet where there is one"))
		}
		return found
	}}
}

// Node compares the node's name with the one that the kubelet gives its pods.
func (k *Kubelet) Node(node string) Check {
	return Check{"node", func(context.Context) []Finding {
		known := k.facts()
		for _, pod := range known.pods {
			if pod.Spec.NodeName != "" && pod.Spec.NodeName != node {
				return one(fail(fmt.Sprintf("the exporter calls the node %s, the kubelet calls it %s", node, pod.Spec.NodeName),
					"set node: "+pod.Spec.NodeName+"; it is part of every UID, so that all pods that are served restart once"))
			}
		}
		switch {
		case !known.up:
			return one(skipped("%s; the kubelet cannot be asked what it calls the node", node))
		case len(known.pods) == 0:
			return one(ok("%s; the kubelet has no static pod to compare it with", node))
		}
		return one(ok("%s, as the kubelet calls it", node))
	}}
}

func (k *Kubelet) ask(ctx context.Context, o kubelet.Options) (*kubelet.View, error) {
	client, err := kubelet.New(o)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	view, err := client.View(ctx, true)
	k.learn(ctx, view, err)
	return view, err
}

const sourcesAdvice = "the kubelet cleans nothing up until all its sources have answered: its staticPodURL, its staticPodPath or its API server does not; see the check static-pod-url"

// kubeletAdvice says what to change so that the kubelet answers.
func kubeletAdvice(err error) string {
	if advice := certificateAdvice(err); advice != "" {
		return advice
	}
	said := err.Error()
	switch {
	case errors.Is(err, fs.ErrPermission):
		return "run the exporter as root, or give its user the socket's group"
	case strings.Contains(said, "credentials:") && errors.Is(err, fs.ErrNotExist):
		return "kubelet.ca-file, kubelet.cert-file, kubelet.key-file or kubelet.token-file names a file that is not there"
	case strings.Contains(said, "credentials:"):
		return "one of kubelet.ca-file, kubelet.cert-file, kubelet.key-file and kubelet.token-file does not hold what it should"
	case code(err) == http.StatusForbidden:
		return "the kubelet knows the exporter's user, who may not ask: allow get on nodes/proxy, or on nodes/pods, nodes/configz, nodes/metrics and nodes/statusz"
	case code(err) == http.StatusUnauthorized:
		return "the kubelet does not know the exporter: give kubelet.cert-file and kubelet.key-file of a client that its authentication.x509.clientCAFile has signed, or kubelet.token-file (which needs authentication.webhook)"
	case errors.Is(err, kubelet.ErrUnauthorized):
		return "the kubelet ended the TLS handshake over the client certificate: kubelet.cert-file must be signed by its authentication.x509.clientCAFile, and not be expired"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nobody listens there: is the kubelet running (systemctl status kubelet)? Does it listen elsewhere (--port, --address)?"
	case errors.Is(err, fs.ErrNotExist):
		return "is the kubelet running (systemctl status kubelet)? Its socket is below its --root-dir, in pods-api/, with the feature gate PodsAPI"
	case errors.Is(err, http.ErrSchemeMismatch):
		return "it does not speak TLS: write the endpoint as http://"
	case isTimeout(err):
		return "the kubelet does not answer: look at its log, and at the load of the node"
	}
	return "is it the kubelet of this node that is asked? Its log may say what it made of it; docs/configuration.md says what kubelet.endpoint and kubelet.pods-socket can be"
}

// code is the HTTP status of an answer that is an error, 0 without an answer.
func code(err error) int {
	if answer, ok := errors.AsType[*kubelet.StatusError](err); ok {
		return answer.Code
	}
	return 0
}

// certificateAdvice says what to change when the kubelet's certificate is not accepted.
func certificateAdvice(err error) string {
	if unknown, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		by := ""
		if unknown.Cert != nil {
			by = fmt.Sprintf(" (it was issued by %q)", unknown.Cert.Issuer.String())
		}
		return "kubelet.ca-file must hold the authority of the kubelet's serving certificate" + by +
			": that of its serverTLSBootstrap, else the kubelet signed it itself and it is its own, as /var/lib/kubelet/pki/kubelet.crt"
	}
	if name, ok := errors.AsType[x509.HostnameError](err); ok && name.Certificate != nil {
		names := slices.Clone(name.Certificate.DNSNames)
		for _, ip := range name.Certificate.IPAddresses {
			names = append(names, ip.String())
		}
		if len(names) == 0 {
			return "the kubelet's certificate has no names: renew it, or set kubelet.insecure-skip-verify for a loopback endpoint"
		}
		return "the kubelet's certificate is for " + strings.Join(names, ", ") + ": set kubelet.server-name to one of these"
	}
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok && invalid.Reason == x509.Expired {
		return "renew the kubelet's serving certificate (rotateCertificates, serverTLSBootstrap), and look at the node's clock"
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return "look at the kubelet's serving certificate: openssl s_client -connect HOST:PORT </dev/null | openssl x509 -text"
	}
	return ""
}

// isTimeout reports whether nobody answered in time.
func isTimeout(err error) bool {
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout() || errors.Is(err, context.DeadlineExceeded) || status.Code(cause(err)) == codes.DeadlineExceeded
}

// cause is the innermost error that has a gRPC status.
func cause(err error) error {
	for err != nil {
		if _, ok := status.FromError(err); ok {
			return err
		}
		err = errors.Unwrap(err)
	}
	return nil
}
