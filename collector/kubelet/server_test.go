package kubelet

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"
)

func TestViewOverHTTPS(t *testing.T) {
	ca := newAuthority(t, "ca")
	k := newWebKubelet(crowd()...)
	s := secure(t, k, ca, nil)
	f := newFolder(t)
	c := newClient(t, Options{Endpoint: s.URL, CAFile: f.write("ca", ca.pem)})
	v := view(t, c, false)
	if v.Transport != "https" || v.Version != "v1.37.2" || v.Config == nil || v.Config.StaticPodPath != "/etc/kubernetes/manifests" {
		t.Errorf("view %+v", v)
	}
	if got := names(v.Pods); got != "dns-node1=Running web-node1=Running" {
		t.Errorf("pods %s", got)
	}
	again := view(t, c, false)
	if v.Pods[0] != again.Pods[0] || v.Pods[1] != again.Pods[1] {
		t.Error("the pods have other pointers")
	}
	if got := k.heads["/pods"].Get("User-Agent"); got != "staticpod-exporter" {
		t.Errorf("user agent %s", got)
	}
}

// A base path, as of an API server's proxy to the node.
func TestEndpointWithPath(t *testing.T) {
	k := newWebKubelet(crowd()...)
	s := httptest.NewServer(http.StripPrefix("/api/v1/nodes/node1/proxy", k))
	t.Cleanup(s.Close)
	c := newClient(t, Options{Endpoint: s.URL + "/api/v1/nodes/node1/proxy"})
	if v := view(t, c, false); v.Transport != "http" || len(v.Pods) != 2 {
		t.Errorf("view %+v", v)
	}
}

// A client certificate that is rotated on disk is used from the next question on, and the old one until the
// new pair is whole.
func TestCertificateRotation(t *testing.T) {
	serving, old, next := newAuthority(t, "serving"), newAuthority(t, "old"), newAuthority(t, "next")
	k := newWebKubelet(crowd()...)
	k.client = old.pool()
	s := secure(t, k, serving, nil)
	f := newFolder(t)
	cert, key := old.issue("exporter-1")
	var out lockedBuffer
	c := newClient(t, Options{
		Endpoint: s.URL, CAFile: f.write("ca", serving.pem), CertFile: f.write("cert", cert), KeyFile: f.write("key", key),
		Logger: slog.New(slog.NewTextHandler(&out, nil)),
	})
	peer := func() string { k.mu.Lock(); defer k.mu.Unlock(); return k.peers["/pods"] }
	view(t, c, false)
	if got := peer(); got != "exporter-1" {
		t.Fatalf("certificate of %q", got)
	}

	cert, key = old.issue("exporter-2")
	f.write("cert", cert) // the key of the other is still there
	for range 2 {
		view(t, c, false)
	}
	if got := peer(); got != "exporter-1" {
		t.Errorf("half-way: certificate of %q", got)
	}
	if n := strings.Count(out.String(), "cannot be read again"); n != 1 {
		t.Errorf("%d lines about it:\n%s", n, out.String())
	}
	f.write("key", key)
	view(t, c, false)
	if got := peer(); got != "exporter-2" {
		t.Errorf("rotated: certificate of %q", got)
	}

	// The kubelet trusts another authority now; until the exporter has its certificate it is refused.
	k.set(func() { k.client = next.pool() })
	if _, err := c.View(t.Context(), false); !errors.Is(err, ErrUnauthorized) {
		t.Errorf("error %v", err)
	}
	cert, key = next.issue("exporter-3")
	f.write("cert", cert)
	f.write("key", key)
	view(t, c, false)
	if got := peer(); got != "exporter-3" {
		t.Errorf("after it: certificate of %q", got)
	}
}

// A token is sent over TLS only, read again when its file changes, and stays out of errors and logs.
func TestTokenRotation(t *testing.T) {
	ca := newAuthority(t, "ca")
	k := newWebKubelet(crowd()...)
	k.bearer = "secret-1"
	s := secure(t, k, ca, nil)
	f := newFolder(t)
	token := f.write("token", []byte("secret-1\n"))
	var out lockedBuffer
	log := slog.New(slog.NewJSONHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
	c := newClient(t, Options{Endpoint: s.URL, CAFile: f.write("ca", ca.pem), TokenFile: token, Logger: log})
	view(t, c, false)
	k.set(func() { k.bearer = "secret-2" })
	_, err := c.View(t.Context(), false)
	if !errors.Is(err, ErrUnauthorized) || strings.Contains(err.Error(), "secret") {
		t.Errorf("error %v", err)
	}
	// In place and of the same length and time: only the refusal says that it is another one.
	info, statErr := os.Stat(token)
	if statErr != nil {
		t.Fatal(statErr)
	}
	if err := os.WriteFile(token, []byte("secret-2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(token, info.ModTime(), info.ModTime()); err != nil {
		t.Fatal(err)
	}
	view(t, c, false)

	for _, bad := range []string{"", " \n", "secret with blanks", "secret\r\nX-Other: 1", "s\u00e9cret"} {
		f.write("token", []byte(bad))
		view(t, c, false) // by the one before
		if err := errOf(newClient(t, Options{Endpoint: s.URL, TokenFile: token, InsecureSkipVerify: true}).View(t.Context(), false)); err == nil || strings.Contains(err.Error(), "secret") || !strings.Contains(err.Error(), "no token") {
			t.Errorf("%q: error %v", bad, err)
		}
	}
	if strings.Contains(out.String(), "secret") {
		t.Errorf("logged: %s", out.String())
	}

	plain := newWebKubelet(crowd()...)
	p := httptest.NewServer(plain)
	t.Cleanup(p.Close)
	f.write("token", []byte("secret-2"))
	view(t, newClient(t, Options{Endpoint: p.URL, TokenFile: token}), false)
	if got := plain.heads["/pods"].Get("Authorization"); got != "" {
		t.Errorf("sent without TLS: %s", got)
	}
}

func TestAuthorities(t *testing.T) {
	ca, other := newAuthority(t, "ca"), newAuthority(t, "other")
	k := newWebKubelet(crowd()...)
	s := secure(t, k, ca, nil)
	f := newFolder(t)
	path := f.write("ca", other.pem)
	c := newClient(t, Options{Endpoint: s.URL, CAFile: path})
	_, err := c.View(t.Context(), false)
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); !ok || errors.Is(err, ErrUnauthorized) {
		t.Errorf("wrong authority: %v", err)
	}
	f.write("ca", ca.pem)
	view(t, c, false)
	f.write("ca", []byte("none"))
	view(t, c, false) // by the one before
	if err := errOf(newClient(t, Options{Endpoint: s.URL, CAFile: path}).View(t.Context(), false)); err == nil || !strings.Contains(err.Error(), "no certificate") {
		t.Errorf("no authority: %v", err)
	}
	f.write("ca", ca.pem)
	for name, ok := range map[string]bool{"node1": true, "node2": false} {
		err := errOf(newClient(t, Options{Endpoint: s.URL, CAFile: path, ServerName: name}).View(t.Context(), false))
		if (err == nil) != ok {
			t.Errorf("server name %s: %v", name, err)
		}
	}
	if err := errOf(newClient(t, Options{Endpoint: s.URL}).View(t.Context(), false)); err == nil {
		t.Error("trusted by the system's authorities")
	}
	view(t, newClient(t, Options{Endpoint: s.URL, InsecureSkipVerify: true}), false)
	for _, missing := range []Options{{CAFile: f.path("x")}, {TokenFile: f.path("x")}, {CertFile: f.path("x"), KeyFile: f.path("x")}} {
		missing.Endpoint = s.URL
		if err := errOf(newClient(t, missing).View(t.Context(), false)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("missing file: %v", err)
		}
	}
}

// A server that wants a certificate ends the handshake: with TLS 1.3 that shows when the answer is read.
func TestHandshakeEndedByTheKubelet(t *testing.T) {
	ca, clients, others := newAuthority(t, "ca"), newAuthority(t, "clients"), newAuthority(t, "others")
	s := secure(t, newWebKubelet(crowd()...), ca, clients.pool())
	f := newFolder(t)
	o := Options{Endpoint: s.URL, CAFile: f.write("ca", ca.pem)}
	if err := errOf(newClient(t, o).View(t.Context(), false)); !errors.Is(err, ErrUnauthorized) {
		t.Errorf("without a certificate: %v", err)
	}
	cert, key := others.issue("exporter")
	o.CertFile, o.KeyFile = f.write("cert", cert), f.write("key", key)
	c := newClient(t, o)
	if _, err := c.View(t.Context(), false); !errors.Is(err, ErrUnauthorized) {
		t.Errorf("with another's: %v", err)
	}
	cert, key = clients.issue("exporter")
	f.write("cert", cert)
	f.write("key", key)
	view(t, c, false)
}

// Every answer that is none, in whatever way, is an error and not a kubelet without pods.
func TestAnswers(t *testing.T) {
	write := func(body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, body) }
	}
	fail := func(code int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { http.Error(w, body, code) }
	}
	for _, tc := range []struct {
		name         string
		answer       http.HandlerFunc
		want         string // in the error; "" for none
		unauthorized bool
	}{
		{"no pods", write(`{"kind":"PodList","items":[]}`), "", false},
		{"null", write(`{"items":null,"kind":"PodList","apiVersion":"v1","metadata":{"x":[1,{}]}}`), "", false},
		{"absent", write(`{"kind":"PodList"}`), "", false},
		{"empty object", write(`{}`), "no PodList", false},
		{"another kind", write(`{"kind":"NodeList","items":[]}`), "no PodList", false},
		{"empty body", write(``), "unexpected EOF", false},
		{"cut off", write(`{"kind":"PodList","items":[{"metadata":{}}`), "EOF", false},
		{"cut off before the end", write(`{"kind":"PodList","items":[]`), "EOF", false},
		{"a page", write(`<html>`), "invalid character", false},
		{"a list", write(`[]`), "expected {", false},
		{"items of another type", write(`{"kind":"PodList","items":{}}`), "items is no list", false},
		{"a pod of another type", write(`{"kind":"PodList","items":[7]}`), "cannot unmarshal", false},
		{"a field of another type", write(`{"kind":"PodList","items":[{"metadata":{"annotations":{"kubernetes.io/config.source":"file"}},"spec":7}]}`), "cannot unmarshal", false},
		{"huge", func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, `{"kind":"PodList","items":[`)
			blank := strings.Repeat(" ", 1<<20)
			for range 3 {
				io.WriteString(w, blank)
			}
		}, "longer than", false},
		{"401", fail(401, "Unauthorized"), "401 Unauthorized: Unauthorized", true},
		{"403", fail(403, "Forbidden (user=system:anonymous, verb=get, resource=nodes)\nmore"), "(user=system:anonymous, verb=get, resource=nodes)", true},
		{"403 with a long and strange body", fail(403, "\x1b[31m"+strings.Repeat("x", 1000)), "403 Forbidden: [31mxxx", true},
		{"404", fail(404, "secret"), "/pods: 404 Not Found", false},
		{"500", fail(500, "secret"), "/pods: 500 Internal Server Error", false},
		{"204", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }, "/pods: 204 No Content", false},
		{"redirect", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		}, "/pods: 307 Temporary Redirect", false},
		{"hang", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, "deadline exceeded", false},
		{"slow body", func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, `{"kind":"PodList","items":[`)
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}, "deadline exceeded", false},
		{"broken off", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			io.WriteString(w, `{"kind":"PodList",`)
			panic(http.ErrAbortHandler)
		}, "EOF", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			k := newWebKubelet()
			k.answers["/pods"] = tc.answer
			s := secure(t, k, newAuthority(t, "ca"), nil)
			o := Options{Endpoint: s.URL, InsecureSkipVerify: true}
			if strings.Contains(tc.want, "deadline") {
				o.Timeout = 200 * time.Millisecond
			}
			c := newClient(t, o)
			if c.servers[0].limit != maxPods {
				t.Fatal("no limit")
			}
			c.servers[0].limit = 2 << 20
			v, err := c.View(t.Context(), false)
			switch {
			case tc.want == "" && (err != nil || len(v.Pods) != 0):
				t.Errorf("view %v, error %v", v, err)
			case tc.want != "" && (err == nil || v != nil || !strings.Contains(err.Error(), tc.want)):
				t.Errorf("view %v, error %v, want %s", v, err, tc.want)
			}
			if errors.Is(err, ErrUnauthorized) != tc.unauthorized {
				t.Errorf("error %v", err)
			}
			if err != nil && (len(err.Error()) > 1024 || strings.Contains(err.Error(), "secret")) {
				t.Errorf("error %v", err)
			}
			if k.asked("/elsewhere") != 0 {
				t.Error("followed a redirect")
			}
			if strings.Contains(tc.want, "deadline") && !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("error %v", err)
			}
		})
	}
}

// One connection serves all questions.
func TestConnectionIsKept(t *testing.T) {
	k := newWebKubelet(crowd()...)
	k.metrics = fmt.Sprintf("%s# %s\n", k.metrics, strings.Repeat("x", 200<<10))
	s := secure(t, k, newAuthority(t, "ca"), nil)
	c := newClient(t, Options{Endpoint: s.URL, InsecureSkipVerify: true})
	for range 3 {
		view(t, c, true)
	}
	if n := c.servers[0].answered.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
	if n := k.asked("/configz") + k.asked("/metrics"); n != 2 {
		t.Errorf("%d questions about the kubelet", n)
	}
}
