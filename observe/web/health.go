package web

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"

	"go.yaml.in/yaml/v3"
)

// live answers whether the process does its work.
func (h *handler) live(w http.ResponseWriter, _ *http.Request) {
	if h.Live == nil {
		health(w, nil)
		return
	}
	health(w, h.Live())
}

// ready answers whether there is a snapshot to read.
func (h *handler) ready(w http.ResponseWriter, _ *http.Request) {
	if h.Latest() == nil {
		health(w, errNoSnapshot)
		return
	}
	health(w, nil)
}

func health(w http.ResponseWriter, err error) {
	w.Header().Set("Cache-Control", "no-store")
	if err != nil {
		w.Header().Set("Retry-After", "1")
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, "ok\n") // the reader is gone: nobody is left to tell
}

// reload has the configuration and the definitions read again, for a caller who may ask for that.
func (h *handler) reload(w http.ResponseWriter, r *http.Request) {
	if !local(r) && !authenticated(r, h.ConfigFile) {
		http.Error(w, "reload is for this node alone: POST it to 127.0.0.1, or send SIGHUP; other machines "+
			"may if --web.config.file authenticates them", http.StatusForbidden)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), reloadTimeout)
	defer cancel()
	if err := h.Reload(ctx); err != nil {
		http.Error(w, fmt.Sprintf("not reloaded: %v", err), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, "reloaded\n") // the reader is gone: nobody is left to tell
}

// local reports whether the request was made on this machine, for this machine: by a loopback peer or over a
// Unix socket, by no proxy on behalf of another, and under a name that no foreign DNS server can have given
// (a browser on this machine would else act for any site whose name resolves to 127.0.0.1).
func local(r *http.Request) bool {
	for name := range r.Header {
		if name == "Forwarded" || name == "Via" || strings.HasPrefix(name, "X-Forwarded-") || name == "X-Real-Ip" {
			return false
		}
	}
	if address, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok && address.Network() == "unix" {
		return true
	}
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && peer.Addr().Unmap().IsLoopback() && loopbackName(r.Host)
}

func loopbackName(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	address, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return host == "localhost" || err == nil && address.Unmap().IsLoopback()
}

// authenticated reports whether the exporter-toolkit has told who makes the request: by a client certificate
// it verified, or by the password that it demands of every request when the web configuration has users.
func authenticated(r *http.Request, configFile string) bool {
	if r.TLS != nil && len(r.TLS.VerifiedChains) > 0 {
		return true
	}
	if _, _, ok := r.BasicAuth(); !ok || configFile == "" {
		return false
	}
	content, err := os.ReadFile(configFile)
	if err != nil {
		return false
	}
	var config struct {
		Users map[string]string `yaml:"basic_auth_users"`
	}
	return yaml.Unmarshal(content, &config) == nil && len(config.Users) > 0
}
