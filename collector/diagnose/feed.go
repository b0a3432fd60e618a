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
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/staticpod-exporter/staticpod-exporter/collector/kubelet"
	"github.com/staticpod-exporter/staticpod-exporter/manifest"
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
		c := k.Config()
		if c == nil {
			return one(skipped("the kubelet's configuration is not known: see kubelet.endpoint"))
		}
		switch {
		case f.Listen == "" && c.StaticPodURL == "":
			return one(ok("the kubelet has none, and the exporter observes"))
		case f.Listen == "":
			return one(foreign(ctx, c))
		case c.StaticPodURL == "":
			return one(fail("the kubelet has no staticPodURL: it does not fetch what the exporter serves",
				"set staticPodURL: "+f.url()+" in the kubelet's configuration and restart it; if something else is to feed it, set manifest.listen to \"\""))
		}
		return f.own(ctx, c)
	}}
}

// url is where the kubelet of this machine finds the list.
func (f Feed) url() string {
	host, port := split(f.Listen)
	if unspecified(host) {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, port) + "/pods"
}

// own compares the kubelet's URL and token with ours.
func (f Feed) own(ctx context.Context, c *kubelet.Config) []Finding {
	u, err := url.Parse(c.StaticPodURL)
	if err != nil {
		return one(fail("the kubelet's staticPodURL is no URL", "set staticPodURL: "+f.url()+" and restart the kubelet"))
	}
	where := redacted(u)
	if u.Scheme != "http" || !f.listensOn(ctx, u.Host) {
		return one(fail("the kubelet fetches "+where+", and the exporter serves at "+f.url(),
			"set staticPodURL: "+f.url()+" and restart the kubelet, or manifest.listen to its address; to watch the other server only, set manifest.listen to \"\""))
	}
	if u.Path != "/pods" {
		return one(fail("the kubelet fetches "+where+", where the exporter has nothing", "set staticPodURL: "+f.url()+" and restart the kubelet"))
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
	code, _, err := get(ctx, c.StaticPodURL, http.Header(c.StaticPodURLHeader))
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
		url := f.url()
		code, server, err := get(ctx, url, nil)
		switch {
		case errors.Is(err, syscall.ECONNREFUSED):
			return one(free(ctx, f.Listen))
		case isTimeout(err):
			return one(fail(url+" takes connections, and does not answer", hangsAdvice))
		case err != nil:
			return one(fail(url+": "+err.Error(), takenAdvice))
		case server != manifest.ServerName:
			return one(fail(fmt.Sprintf("%s answers %d %s, and not as a staticpod-exporter does", url, code, http.StatusText(code)), takenAdvice))
		case code == http.StatusServiceUnavailable:
			return one(warn(url+" serves no list now (503)", "see 'describe node' and the exporter's log: removals are held, or nothing could be read yet"))
		case code == http.StatusUnauthorized && f.TokenFile != "":
			return one(ok("%s answers, and wants its token", url))
		case code != http.StatusOK:
			return one(fail(fmt.Sprintf("%s answers %d %s", url, code, http.StatusText(code)), "the exporter that runs there has another configuration than this: restart it, or give diagnose the same flags"))
		}
		return one(ok("%s serves a list", url))
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

// get asks as nobody in particular, and reads the answer. The server is what it calls itself.
func get(ctx context.Context, from string, header http.Header) (code int, server string, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return 0, "", errors.New("no URL")
	}
	for name, values := range header {
		r.Header[http.CanonicalHeaderKey(name)] = values
	}
	r.Header.Set("User-Agent", userAgent)
	transport := &http.Transport{DisableKeepAlives: true, TLSHandshakeTimeout: 5 * time.Second, ResponseHeaderTimeout: 5 * time.Second}
	response, err := transport.RoundTrip(r) // no redirect is followed with the kubelet's credentials, and no proxy asked
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, io.LimitReader(response.Body, maxList))
	return response.StatusCode, response.Header.Get("Server"), err
}

// redacted is a URL without its credentials and its query.
func redacted(u *url.URL) string {
	shown := *u
	if shown.RawQuery != "" {
		shown.RawQuery = "…"
	}
	return shown.Redacted()
}

// listensOn reports whether who asks HOST:PORT on this machine reaches the manifest listener.
func (f Feed) listensOn(ctx context.Context, address string) bool {
	host, port := split(address)
	listen, ours := split(f.Listen)
	switch {
	case port != ours:
		return false
	case host == listen || local(host) && local(listen):
		return true
	}
	return unspecified(listen) && ofThisMachine(ctx, host)
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
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback() || unspecified(host)
}

// unspecified reports whether a host is every address of the machine.
func unspecified(host string) bool {
	ip := net.ParseIP(host)
	return host == "" || ip != nil && ip.IsUnspecified()
}

// ofThisMachine reports whether a host is an address of this machine, or a name that leads to one.
func ofThisMachine(ctx context.Context, host string) bool {
	addresses, err := net.DefaultResolver.LookupIPAddr(ctx, host) // an address leads to itself, and nobody is asked
	if err != nil {
		return false
	}
	own, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	return slices.ContainsFunc(addresses, func(a net.IPAddr) bool {
		return slices.ContainsFunc(own, func(o net.Addr) bool {
			network, ok := o.(*net.IPNet)
			return ok && network.IP.Equal(a.IP)
		})
	})
}
