package diagnose

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"
)

// Exporter checks that the exporter runs and can be asked on each of its addresses. With secure it speaks TLS there.
func Exporter(addresses []string, secure bool) Check {
	return Check{"web.listen-address", func(ctx context.Context) []Finding {
		if len(addresses) == 0 {
			return one(skipped("systemd holds the sockets"))
		}
		var found []Finding
		for _, a := range addresses {
			found = append(found, reachable(ctx, a, secure))
		}
		return found
	}}
}

func reachable(ctx context.Context, address string, secure bool) Finding {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return fail(address+" is not HOST:PORT", "mend web.listen-address")
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	base := "http://" + net.JoinHostPort(host, port)
	if secure {
		base = "https" + strings.TrimPrefix(base, "http")
	}
	code, body, err := health(ctx, base)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		f := free(ctx, address)
		if f.Outcome == Warn {
			f.Message = "the exporter does not run: nobody listens on " + address
		}
		return f
	case refusesStrangers(err):
		return ok("%s answers, and wants a client certificate", base)
	case isTimeout(err):
		return fail(base+" takes connections, and does not answer", hangsAdvice)
	case err != nil:
		return fail(base+": "+err.Error(), "another program has the port (ss -ltnp names it), or the web configuration differs from that of the exporter that runs")
	case code == http.StatusUnauthorized:
		return ok("%s answers, and wants a password", base)
	case code == http.StatusServiceUnavailable:
		return warn(base+" answers, but is not ready: "+body, "it has just been started, or hangs: see its log")
	case code != http.StatusOK || body != "ok":
		return fail(fmt.Sprintf("%s/-/ready answers %d: it is another program's", base, code), "ss -ltnp names it; stop it, or choose another web.listen-address")
	}
	return ok("the exporter runs and answers at %s", base)
}

const hangsAdvice = "if it is the exporter that has the port (ss -ltnp names who has), it hangs: look at journalctl -u staticpod-exporter, and restart it"

// refusesStrangers reports whether the other end ended the TLS handshake.
func refusesStrangers(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "remote error"
}

// health asks for the exporter's health, whatever certificate it has: it is on this machine.
func health(ctx context.Context, base string) (code int, body string, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/-/ready", nil)
	if err != nil {
		return 0, "", err
	}
	r.Header.Set("User-Agent", userAgent)
	transport := &http.Transport{
		DisableKeepAlives: true, TLSHandshakeTimeout: 5 * time.Second, ResponseHeaderTimeout: 5 * time.Second,
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12},
	}
	response, err := transport.RoundTrip(r)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	said, err := io.ReadAll(io.LimitReader(response.Body, 256))
	return response.StatusCode, strings.TrimSpace(string(said)), err
}
