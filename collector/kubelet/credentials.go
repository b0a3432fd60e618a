package kubelet

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"
)

// A credential file is at most this long.
const maxCredential = 1 << 20

// credentials are how the exporter and the kubelet prove themselves to each other, read from files that are
// read again when they change. What was read before stays in use while the new cannot be: a rotation writes
// certificate and key one after the other.
type credentials struct {
	ca, cert, key, token file
	serverName           string
	insecure             bool
	log                  *slog.Logger

	mu       sync.Mutex
	client   *http.Client // nil until the files could be read
	bearer   string
	doubtful bool   // the kubelet refused them: read them again whatever they look like
	problem  string // why they could not be read last, logged already
}

// A file is a path, or "" for none, and what the file at it looked like when it was read.
type file struct {
	path string
	read os.FileInfo
}

// stat reports how the file looks now and whether that is as when it was read.
func (f file) stat() (os.FileInfo, bool, error) {
	if f.path == "" {
		return nil, true, nil
	}
	info, err := os.Stat(f.path)
	if err != nil {
		return nil, false, err
	}
	same := f.read != nil && os.SameFile(f.read, info) && f.read.Size() == info.Size() && f.read.ModTime().Equal(info.ModTime())
	return info, same, nil
}

func (f file) contents() ([]byte, error) {
	opened, err := os.Open(f.path)
	if err != nil {
		return nil, err
	}
	defer opened.Close()
	data, err := io.ReadAll(io.LimitReader(opened, maxCredential+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxCredential {
		return nil, fmt.Errorf("%s is longer than %d bytes", f.path, maxCredential)
	}
	return data, nil
}

// use returns the client to ask with and the bearer token to send, "" for none.
func (c *credentials) use() (*http.Client, string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	err := c.refresh()
	switch {
	case err == nil:
		c.problem = ""
	case c.client == nil:
		return nil, "", fmt.Errorf("credentials: %w", err)
	case err.Error() != c.problem:
		c.problem = err.Error()
		c.log.Warn("kubelet credentials cannot be read again: those read before stay in use", "err", err)
	}
	return c.client, c.bearer, nil
}

// doubt makes the next use read the files again.
func (c *credentials) doubt() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.doubtful = true
}

func (c *credentials) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.client != nil {
		c.client.CloseIdleConnections()
	}
}

// refresh reads the files if one of them changed. c.mu is held.
func (c *credentials) refresh() error {
	files := []*file{&c.ca, &c.cert, &c.key, &c.token}
	infos := make([]os.FileInfo, len(files))
	fresh := c.client != nil && !c.doubtful
	for i, f := range files {
		info, same, err := f.stat()
		if err != nil {
			return err
		}
		infos[i], fresh = info, fresh && same
	}
	if fresh {
		return nil
	}
	config, bearer, err := c.load()
	if err != nil {
		return err
	}
	for i, f := range files {
		f.read = infos[i] // as it looked before it was read: a change since then shows the next time
	}
	if c.client != nil {
		c.client.CloseIdleConnections()
	}
	c.client, c.bearer, c.doubtful = newHTTPClient(transport(config)), bearer, false
	return nil
}

func (c *credentials) load() (*tls.Config, string, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: c.serverName, InsecureSkipVerify: c.insecure}
	if c.ca.path != "" {
		pem, err := c.ca.contents()
		if err != nil {
			return nil, "", err
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, "", fmt.Errorf("%s: no certificate", c.ca.path)
		}
	}
	if c.cert.path != "" {
		cert, err := c.cert.contents()
		if err != nil {
			return nil, "", err
		}
		key, err := c.key.contents()
		if err != nil {
			return nil, "", err
		}
		pair, err := tls.X509KeyPair(cert, key)
		if err != nil {
			return nil, "", fmt.Errorf("%s and %s: %w", c.cert.path, c.key.path, err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	if c.token.path == "" {
		return config, "", nil
	}
	data, err := c.token.contents()
	if err != nil {
		return nil, "", err
	}
	bearer := strings.TrimSpace(string(data))
	if bearer == "" || strings.ContainsFunc(bearer, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, "", fmt.Errorf("%s: no token", c.token.path)
	}
	return config, bearer, nil
}

// newHTTPClient refuses redirects: nothing but the kubelet itself is asked, and nothing else sees the token.
func newHTTPClient(t *http.Transport) *http.Client {
	return &http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}
}

var errHalfPair = errors.New("kubelet cert-file and key-file go together")
