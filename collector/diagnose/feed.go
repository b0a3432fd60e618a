package diagnose

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/staticpod-exporter/staticpod-exporter/collector/kubelet"
)

// userAgent tells the exporter that it is not the kubelet who asks.
const userAgent = "staticpod-exporter-diagnose"

// maxList is more than the kubelet reads of a list.
const maxList = 11 << 20

// A Feed is what the exporter serves to the kubelet.
type Feed struct {
	Listen    string // manifest.listen; "" in observing mode
	TokenFile string
}

// URL checks that the kubelet's staticPodURL is the exporter's, or in observing mode that it answers at all.
func (f Feed) URL(k *Kubelet) Check {
	return Check{"static-pod-url", func(ctx context.Context) []Finding {
		if k.Config == nil {
			return one(skipped("the kubelet's configuration is not known: see kubelet.endpoint"))
		}
		c := k.Config
		switch {
		case f.Listen == "" && c.StaticPodURL == "":
			return one(ok("the kubelet has none, and the exporter observes"))
		case f.Listen == "":
			return one(foreign(ctx, c))
		case c.StaticPodURL == "":
			return one(fail("the kubelet has no staticPodURL: it does not fetch what the exporter serves",
				"set staticPodURL: http://"+f.Listen+"/pods in the kubelet's configuration and restart it; if something else is to feed it, set manifest.listen to \"\""))
		}
		return f.own(c)
	}}
}

// own compares the kubelet's URL and token with ours.
func (f Feed) own(c *kubelet.Config) []Finding {
	u, err := url.Parse(c.StaticPodURL)
	if err != nil {
		return one(fail("the kubelet's staticPodURL is no URL", "set staticPodURL: http://"+f.Listen+"/pods and restart the kubelet"))
	}
	where := redacted(u)
	if u.Scheme != "http" || !sameAddress(u.Host, f.Listen) {
		return one(fail("the kubelet fetches "+where+", and the exporter serves at http://"+f.Listen+"/pods",
			"set staticPodURL: http://"+f.Listen+"/pods and restart the kubelet, or manifest.listen to its address; to watch the other server only, set manifest.listen to \"\""))
	}
	if u.Path != "/pods" {
		return one(fail("the kubelet fetches "+where+", where the exporter has nothing", "set staticPodURL: http://"+f.Listen+"/pods and restart the kubelet"))
	}
	if f.TokenFile == "" {
		return one(ok("%s is the exporter", where))
	}
	token, err := os.ReadFile(f.TokenFile)
	if err != nil {
		return one(fail(err.Error(), "manifest.token-file must be readable: without it nobody can be let in"))
	}
	want := "Bearer " + strings.TrimSpace(string(token))
	for name, values := range c.StaticPodURLHeader {
		if http.CanonicalHeaderKey(name) == "Authorization" && len(values) > 0 && subtle.ConstantTimeCompare([]byte(values[0]), []byte(want)) == 1 {
			return one(ok("%s is the exporter, and the kubelet has its token", where))
		}
	}
	return one(fail("the kubelet's staticPodURLHeader does not have the token of manifest.token-file",
		"set staticPodURLHeader: {Authorization: [\"Bearer TOKEN\"]} in the kubelet's configuration and restart it"))
}

// foreign fetches what another server gives the kubelet.
func foreign(ctx context.Context, c *kubelet.Config) Finding {
	u, err := url.Parse(c.StaticPodURL)
	if err != nil {
		return fail("the kubelet's staticPodURL is no URL", "mend it in the kubelet's configuration")
	}
	code, err := get(ctx, c.StaticPodURL, http.Header(c.StaticPodURLHeader))
	const advice = "the kubelet keeps the pods that it has and gets no change: look at the server"
	switch {
	case err != nil:
		return fail(redacted(u)+": "+err.Error(), advice)
	case code != http.StatusOK:
		return fail(fmt.Sprintf("%s answers %d %s", redacted(u), code, http.StatusText(code)), advice)
	}
	return ok("%s, another server's, answers", redacted(u))
}

// Listener checks that the manifest listener is there, and that it is ours.
func (f Feed) Listener() Check {
	return Check{"manifest.listen", func(ctx context.Context) []Finding {
		if f.Listen == "" {
			return one(skipped("manifest.listen is empty: the exporter observes"))
		}
		code, err := get(ctx, "http://"+f.Listen+"/pods", nil)
		switch {
		case errors.Is(err, syscall.ECONNREFUSED):
			return one(free(ctx, f.Listen))
		case err != nil:
			return one(fail("http://"+f.Listen+"/pods: "+err.Error(), takenAdvice))
		case code == http.StatusServiceUnavailable:
			return one(warn("http://"+f.Listen+"/pods serves no list now (503)", "see 'describe node' and the exporter's log: removals are held, or nothing could be read yet"))
		case code == http.StatusUnauthorized && f.TokenFile != "":
			return one(ok("http://%s/pods answers, and wants its token", f.Listen))
		case code != http.StatusOK:
			return one(fail(fmt.Sprintf("http://%s/pods answers %d %s", f.Listen, code, http.StatusText(code)), takenAdvice))
		}
		return one(ok("http://%s/pods serves a list", f.Listen))
	}}
}

const takenAdvice = "another program has the port: ss -ltnp names it; stop that, or choose another manifest.listen and staticPodURL"

// free says whether an address on which nobody listens could be listened on.
func free(ctx context.Context, address string) Finding {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	switch {
	case err == nil:
		_ = l.Close() // it was only tried
		return warn("nobody listens on "+address+", which is free", "start the exporter: systemctl start staticpod-exporter")
	case errors.Is(err, os.ErrPermission):
		return fail(err.Error(), "a port below 1024 needs root, CAP_NET_BIND_SERVICE, or the systemd socket named manifest")
	}
	return fail(err.Error(), "the address must be one of this machine, and free")
}

// get asks as nobody in particular, and reads the answer.
func get(ctx context.Context, from string, header http.Header) (code int, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return 0, errors.New("no URL")
	}
	for name, values := range header {
		r.Header[http.CanonicalHeaderKey(name)] = values
	}
	r.Header.Set("User-Agent", userAgent)
	transport := &http.Transport{DisableKeepAlives: true, ResponseHeaderTimeout: 5 * time.Second}
	response, err := transport.RoundTrip(r) // no redirect is followed with the kubelet's credentials, and no proxy asked
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, io.LimitReader(response.Body, maxList))
	return response.StatusCode, err
}

// redacted is a URL without its credentials and its query.
func redacted(u *url.URL) string {
	shown := *u
	if shown.RawQuery != "" {
		shown.RawQuery = "…"
	}
	return shown.Redacted()
}

// sameAddress reports whether two HOST:PORT lead to one listener on this machine.
func sameAddress(a, b string) bool {
	hostA, portA := split(a)
	hostB, portB := split(b)
	return portA == portB && (hostA == hostB || local(hostA) && local(hostB))
}

func split(address string) (host, port string) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return address, "80"
	}
	return host, port
}

// local reports whether a host is reached over loopback, or is every address of the machine.
func local(host string) bool {
	if host == "" || host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && (ip.IsLoopback() || ip.IsUnspecified())
}
