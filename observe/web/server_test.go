package web

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const (
	users = "basic_auth_users:\n  operator: $2a$04$nqu726Z8rzSItvlbzhJj/OU1WY8HMdtQdEI/YsjnucmI0x6R2LKAq\n" // bcrypt of "correct horse"
	tlsOn = "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n"
)

// configure writes a web configuration and the certificate it names.
func configure(t *testing.T, config string) (file string, roots *x509.CertPool) {
	t.Helper()
	directory := t.TempDir()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	certificate := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, certificate, certificate, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	crt := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	roots = x509.NewCertPool()
	roots.AppendCertsFromPEM(crt)
	for name, content := range map[string][]byte{
		"server.crt": crt, "server.key": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), "web.yml": []byte(config),
	} {
		if err := os.WriteFile(filepath.Join(directory, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(directory, "web.yml"), roots
}

// serve runs Serve on n listeners; stop ends it and returns what it returned.
func serve(t *testing.T, f *feed, n int, config string, log *slog.Logger) (addresses []string, stop func() error) {
	t.Helper()
	listeners, err := Listen(t.Context(), make([]string, n))
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range listeners {
		_, port, err := net.SplitHostPort(l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		addresses = append(addresses, "127.0.0.1:"+port)
	}
	o := options(f)
	o.ConfigFile = config
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, New(o), listeners, config, log) }()
	stop = func() error {
		cancel()
		err := <-done
		done <- err
		return err
	}
	t.Cleanup(func() { _ = stop() })
	return addresses, stop
}

func TestServe(t *testing.T) {
	var log bytes.Buffer
	f := newFeed(pods("a-a"))
	addresses, stop := serve(t, f, 2, "", slog.New(slog.NewTextHandler(&log, nil)))
	for _, address := range addresses {
		if a := ask(t, "GET", "http://"+address+"/staticpods"); a.code != 200 {
			t.Errorf("%s: %d", address, a.code)
		}
	}
	w := open(t, "http://"+addresses[1]+"/staticpods?watch=true")
	w.expect("created a-a=1")
	if err := stop(); err != nil {
		t.Error(err)
	}
	if _, err := w.lines.ReadByte(); !errors.Is(err, io.EOF) {
		t.Errorf("the watch ended with %v, want EOF", err)
	}
	for _, address := range addresses {
		if conn, err := net.Dial("tcp", address); err == nil {
			conn.Close()
			t.Errorf("%s still listens", address)
		}
	}
	if !strings.Contains(log.String(), "Listening on") {
		t.Errorf("the toolkit logs elsewhere: %q", log.String())
	}
}

func TestServeWithTLSAndPassword(t *testing.T) {
	config, roots := configure(t, tlsOn+users)
	addresses, _ := serve(t, newFeed(pods("a-a")), 2, config, slog.New(slog.DiscardHandler))
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}}
	t.Cleanup(client.CloseIdleConnections)
	for _, address := range addresses {
		for password, want := range map[string]int{"correct horse": 200, "wrong": 401, "": 401} {
			r, err := http.NewRequestWithContext(t.Context(), "GET", "https://"+address+"/staticpods?watch=true", nil)
			if err != nil {
				t.Fatal(err)
			}
			if password != "" {
				r.SetBasicAuth("operator", password)
			}
			response, err := client.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			if response.StatusCode != want || response.ProtoMajor != 2 {
				t.Errorf("%s with %q: %s %s", address, password, response.Proto, response.Status)
			}
			if want == 200 {
				line := make([]byte, 18)
				if _, err := io.ReadFull(response.Body, line); err != nil || string(line) != `{"event":"created"` {
					t.Errorf("got %q, %v", line, err)
				}
			}
			response.Body.Close()
		}
	}
}

func TestServeRefusesABrokenConfiguration(t *testing.T) {
	for _, config := range []string{"tls_server_config:\n  cert_file: nothing.crt\n  key_file: nothing.key\n", "no_such_key: 1\n", "basic_auth_users:\n  a: plain\n"} {
		file, _ := configure(t, config)
		listeners, err := Listen(t.Context(), []string{"127.0.0.1:0"})
		if err != nil {
			t.Fatal(err)
		}
		if err := Serve(t.Context(), http.NotFoundHandler(), listeners, file, slog.New(slog.DiscardHandler)); err == nil || !strings.HasPrefix(err.Error(), "web.config.file: ") {
			t.Errorf("%q: %v", config, err)
		}
		if _, err := listeners[0].Accept(); err == nil {
			t.Error("the listener is left open")
		}
	}
}

func TestServeSaysWhyItCannotGoOn(t *testing.T) {
	listeners, err := Listen(t.Context(), []string{"127.0.0.1:0", "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	listeners[0].Close()
	if err := Serve(t.Context(), http.NotFoundHandler(), listeners, "", slog.New(slog.DiscardHandler)); err == nil || !strings.HasPrefix(err.Error(), "web 127.0.0.1:") {
		t.Errorf("got %v", err)
	}
	if _, err := listeners[1].Accept(); err == nil {
		t.Error("the other listener is left open")
	}
}

func TestListenOnAllOrNone(t *testing.T) {
	taken, err := Listen(t.Context(), []string{"127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	defer taken[0].Close()
	if _, err := Listen(t.Context(), []string{"127.0.0.1:0", taken[0].Addr().String()}); err == nil || !strings.HasPrefix(err.Error(), "web.listen-address: ") {
		t.Errorf("got %v", err)
	}
}

func TestReload(t *testing.T) {
	withUsers, _ := configure(t, users)
	withoutUsers, _ := configure(t, tlsOn)
	unix := context.WithValue(t.Context(), http.LocalAddrContextKey, &net.UnixAddr{Name: "/run/x.sock", Net: "unix"})
	for _, test := range []struct {
		name    string
		peer    string
		host    string
		headers map[string]string
		config  string
		context context.Context
		tls     *tls.ConnectionState
		want    int
	}{
		{name: "loopback", peer: "127.0.0.1:5000", host: "127.0.0.1:10058", want: 200},
		{name: "loopback by name", peer: "127.0.0.1:5000", host: "localhost:10058", want: 200},
		{name: "loopback, IPv6", peer: "[::1]:5000", host: "[::1]:10058", want: 200},
		{name: "loopback, mapped", peer: "[::ffff:127.0.0.1]:5000", host: "127.0.0.1", want: 200},
		{name: "Unix socket", peer: "@", host: "x", context: unix, want: 200},
		{name: "another machine", peer: "192.0.2.1:5000", host: "127.0.0.1:10058", want: 403},
		{name: "no address", peer: "", host: "127.0.0.1:10058", want: 403},
		{name: "through a proxy", peer: "127.0.0.1:5000", host: "127.0.0.1:10058", headers: map[string]string{"X-Forwarded-For": "192.0.2.1"}, want: 403},
		{name: "rebound name", peer: "127.0.0.1:5000", host: "evil.example:10058", want: 403},
		{name: "another site's page", peer: "127.0.0.1:5000", host: "127.0.0.1:10058", headers: map[string]string{"Sec-Fetch-Site": "cross-site"}, want: 403},
		{name: "another origin", peer: "127.0.0.1:5000", host: "127.0.0.1:10058", headers: map[string]string{"Origin": "http://evil.example"}, want: 403},
		{name: "own origin", peer: "127.0.0.1:5000", host: "127.0.0.1:10058", headers: map[string]string{"Origin": "http://127.0.0.1:10058"}, want: 200},
		{name: "password that nobody checks", peer: "192.0.2.1:5000", host: "node1", headers: map[string]string{"Authorization": "Basic YTpi"}, want: 403},
		{name: "password without users", peer: "192.0.2.1:5000", host: "node1", headers: map[string]string{"Authorization": "Basic YTpi"}, config: withoutUsers, want: 403},
		{name: "password checked by the toolkit", peer: "192.0.2.1:5000", host: "node1", headers: map[string]string{"Authorization": "Basic YTpi"}, config: withUsers, want: 200},
		{name: "no password", peer: "192.0.2.1:5000", host: "node1", config: withUsers, want: 403},
		{name: "configuration gone", peer: "192.0.2.1:5000", host: "node1", headers: map[string]string{"Authorization": "Basic YTpi"}, config: withUsers + ".gone", want: 403},
		{name: "TLS without a client certificate", peer: "192.0.2.1:5000", host: "node1", tls: &tls.ConnectionState{PeerCertificates: []*x509.Certificate{{}}}, want: 403},
		{name: "verified client certificate", peer: "192.0.2.1:5000", host: "node1", tls: &tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{}}}, want: 200},
	} {
		t.Run(test.name, func(t *testing.T) {
			reloads := 0
			o := options(newFeed(nil))
			o.ConfigFile = test.config
			o.Reload = func(ctx context.Context) error {
				if _, ok := ctx.Deadline(); !ok {
					t.Error("no deadline")
				}
				reloads++
				return nil
			}
			r := httptest.NewRequest("POST", "/-/reload", nil)
			if test.context != nil {
				r = r.WithContext(test.context)
			}
			r.RemoteAddr, r.Host, r.TLS = test.peer, test.host, test.tls
			for name, value := range test.headers {
				r.Header.Set(name, value)
			}
			w := httptest.NewRecorder()
			New(o).ServeHTTP(w, r)
			if w.Code != test.want || (reloads == 1) != (test.want == 200) {
				t.Errorf("%d, %d reloads, want %d: %s", w.Code, reloads, test.want, w.Body)
			}
		})
	}
}

func TestReloadSaysWhyNot(t *testing.T) {
	o := options(newFeed(nil))
	o.Reload = func(context.Context) error { return errors.New("config.yaml:3: unknown key tiemout") }
	server := start(t, o)
	if a := ask(t, "POST", server.URL+"/-/reload"); a.code != 500 || a.body != "not reloaded: config.yaml:3: unknown key tiemout\n" {
		t.Errorf("%d %q", a.code, a.body)
	}
	if a := ask(t, "GET", server.URL+"/-/reload"); a.code == 200 {
		t.Error("GET reloads")
	}
}

func TestSpeaksTLS(t *testing.T) {
	for content, want := range map[string]bool{
		"":                         false,
		"basic_auth_users: {a: b}": false,
		"tls_server_config: {}":    false,
		"tls_server_config: {cert_file: c.pem, key_file: k.pem, min_version: TLS13, client_auth_type: NoClientCert}": true,
		"tls_server_config: {cert: x, key: y, curve_preferences: [X25519]}":                                          true,
	} {
		file := filepath.Join(t.TempDir(), "web.yaml")
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if have, err := SpeaksTLS(file); err != nil || have != want {
			t.Errorf("%q: have %v, %v; want %v", content, have, err, want)
		}
	}
	if have, err := SpeaksTLS(""); have || err != nil {
		t.Errorf("no file: %v, %v", have, err)
	}
	if _, err := SpeaksTLS(filepath.Join(t.TempDir(), "missing")); err == nil {
		t.Error("a missing file is no error")
	}
}
