package kubelet

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"time"
	"unicode"

	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
	corev1 "k8s.io/api/core/v1"
)

const (
	userAgent = "staticpod-exporter"
	// What the kubelet says when it refuses is kept to this length.
	maxRefusal = 256
)

// A server is the kubelet's HTTP server, with TLS and credentials, or the read-only one without either.
type server struct {
	name        string // https or http
	base        *url.URL
	credentials *credentials // nil on the read-only port
	plain       *http.Client // nil with TLS
	decoder     *decoder
	tracer      trace.Tracer
	limit       int64         // of the bytes of /pods
	answered    atomic.Uint64 // connections that were answered on, each of which may be to another kubelet
}

// newServer returns the server at base.
func newServer(base *url.URL, o Options, tracer trace.Tracer) *server {
	s := &server{name: base.Scheme, base: base, decoder: newDecoder(), tracer: tracer, limit: maxPods}
	if s.name == "http" {
		s.plain = newHTTPClient(transport(nil))
		return s
	}
	s.credentials = &credentials{
		ca: file{path: o.CAFile}, cert: file{path: o.CertFile}, key: file{path: o.KeyFile}, token: file{path: o.TokenFile},
		serverName: o.ServerName, insecure: o.InsecureSkipVerify,
		log: o.Logger,
	}
	return s
}

// transport speaks HTTP/1.1 over a connection or two that are kept, and asks no proxy.
func transport(config *tls.Config) *http.Transport {
	return &http.Transport{
		TLSClientConfig:        config,
		MaxIdleConnsPerHost:    2,
		IdleConnTimeout:        5 * time.Minute,
		MaxResponseHeaderBytes: 64 << 10,
	}
}

func (s *server) close() {
	if s.plain != nil {
		s.plain.CloseIdleConnections()
	} else {
		s.credentials.close()
	}
}

// view returns the static pods of /pods, and when they were asked for. It always asks.
func (s *server) view(ctx context.Context, _ bool) ([]*corev1.Pod, time.Time, error) {
	var pods []*corev1.Pod
	s.decoder.turn()
	asked := time.Now()
	err := s.get(ctx, "pods", "application/json", s.limit, func(body io.Reader) (err error) {
		pods, err = s.decoder.list(body)
		return err
	})
	if err != nil {
		return nil, time.Time{}, err
	}
	return sorted(pods), asked, nil
}

// A StatusError is an answer of the kubelet's other than 200. One of 401 or 403 comes wrapped with ErrUnauthorized.
type StatusError struct {
	Code       int // of HTTP
	path, said string
}

func (e *StatusError) Error() string { return fmt.Sprintf("/%s: %s", e.path, e.said) }

// get asks for a path and reads the body, of which there may be up to limit bytes.
func (s *server) get(ctx context.Context, path, accept string, limit int64, read func(io.Reader) error) (err error) {
	ctx, end := span(ctx, s.tracer, "GET /"+path,
		semconv.HTTPRequestMethodGet, semconv.URLFull(s.base.JoinPath(path).String()), semconv.ServerAddress(s.base.Hostname()))
	defer func() { end(err) }()
	client, bearer := s.plain, ""
	if s.credentials != nil {
		if client, bearer, err = s.credentials.use(); err != nil {
			return err
		}
	}
	var connected atomic.Bool // for this question
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) {
		connected.Store(!i.Reused)
	}})
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.base.JoinPath(path).String(), nil)
	if err != nil {
		return err
	}
	request.Header.Set("Accept", accept)
	request.Header.Set("User-Agent", userAgent)
	if bearer != "" {
		request.Header.Set("Authorization", "Bearer "+bearer)
	}
	response, err := client.Do(request)
	if err != nil {
		return s.refusal(bare(err))
	}
	defer response.Body.Close()
	answered(ctx, response)
	if connected.Load() {
		s.answered.Add(1)
	}
	// The body of a refusal is read too: a connection is kept only when its answer was read to the end.
	switch body := http.MaxBytesReader(nil, response.Body, limit); response.StatusCode {
	case http.StatusOK:
		err := read(body)
		if err == nil {
			_, err = io.Copy(io.Discard, body)
		}
		if over, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return fmt.Errorf("/%s: the answer is longer than %d bytes", path, over.Limit)
		}
		if err != nil && ctx.Err() != nil {
			err = ctx.Err() // which is why the body ended
		}
		if err != nil {
			return s.refusal(fmt.Errorf("/%s: %w", path, err))
		}
		return nil
	case http.StatusUnauthorized, http.StatusForbidden:
		said, _ := io.ReadAll(io.LimitReader(body, maxRefusal))
		return s.refusal(fmt.Errorf("%w: %w", ErrUnauthorized,
			&StatusError{Code: response.StatusCode, path: path, said: response.Status + reason(said)}))
	default:
		io.Copy(io.Discard, io.LimitReader(body, maxRefusal))
		return &StatusError{Code: response.StatusCode, path: path, said: response.Status}
	}
}

// refusal recognises a kubelet that refuses the credentials, also one that ends the handshake over them, and
// has them read again before the next question.
func (s *server) refusal(err error) error {
	// With TLS 1.3 the client learns that it is refused when it reads the answer.
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "remote error" {
		err = fmt.Errorf("%w: %w", ErrUnauthorized, err)
	}
	if s.credentials != nil && errors.Is(err, ErrUnauthorized) {
		s.credentials.doubt()
	}
	return err
}

// bare takes away the method and the URL that net/http puts before an error.
func bare(err error) error {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		return wrapped.Err
	}
	return err
}

// reason is what the kubelet says about a refusal: who it takes us for, and what that one lacks.
func reason(said []byte) string {
	line, _, _ := strings.Cut(strings.TrimSpace(string(said)), "\n")
	line = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, line)
	if line == "" {
		return ""
	}
	return ": " + line
}
