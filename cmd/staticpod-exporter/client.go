package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/staticpod-exporter/staticpod-exporter/observe/output"
)

const (
	defaultPort    = "10058"
	defaultAddress = "http://127.0.0.1:" + defaultPort

	dialTimeout   = 5 * time.Second
	answerTimeout = 10 * time.Second
	silenceLimit  = 45 * time.Second // of a watch: the exporter says something every 15 s
	answerLimit   = 64 << 20         // bytes of an answer, or of one event of a watch
)

// A client asks one exporter.
type client struct {
	base    *url.URL
	http    *http.Client
	silence time.Duration
	among   bool // others, who are asked too: errors name the exporter and no flag
}

// newClient returns the client of the exporter at address, a URL, HOST:PORT or HOST.
func newClient(address string) (*client, error) {
	base, err := url.Parse(completeAddress(address))
	if err != nil || base.Hostname() == "" || base.Scheme != "http" && base.Scheme != "https" {
		// The address may hold a password: it is not repeated.
		return nil, usageError{errors.New("--address is neither a URL (" + defaultAddress + ") nor HOST[:PORT]")}
	}
	transport := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: dialTimeout}).DialContext,
		TLSHandshakeTimeout:   dialTimeout,
		ResponseHeaderTimeout: answerTimeout,
		ForceAttemptHTTP2:     true,
	}
	return &client{base: base, http: &http.Client{Transport: transport}, silence: silenceLimit}, nil
}

// completeAddress makes a URL of HOST and HOST:PORT.
func completeAddress(address string) string {
	if strings.Contains(address, "://") {
		return address
	}
	credentials, host := "", address
	if i := strings.LastIndexByte(address, '@'); i >= 0 {
		credentials, host = address[:i+1], address[i+1:]
	}
	if ip, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil && ip.Is6() {
		host = "[" + ip.String() + "]"
	}
	if authority, path, _ := strings.Cut(host, "/"); authority != "" && (&url.URL{Host: authority}).Port() == "" {
		host = strings.TrimSuffix(authority+":"+defaultPort+"/"+path, "/")
	}
	return "http://" + credentials + host
}

// String is the address without its password.
func (c *client) String() string { return c.base.Redacted() }

// fetch returns the JSON objects of all resources at path, or of the one named id.
func (c *client) fetch(ctx context.Context, path, id string) ([]json.RawMessage, error) {
	if id == "" {
		return c.list(ctx, path)
	}
	object, err := c.one(ctx, path, id)
	return []json.RawMessage{object}, err
}

// list returns the JSON objects of all resources at path.
func (c *client) list(ctx context.Context, path string) ([]json.RawMessage, error) {
	var list struct {
		Items []json.RawMessage `json:"items"`
	}
	if err := c.get(ctx, c.base.JoinPath(path), &list); err != nil {
		return nil, err
	}
	if list.Items == nil {
		return nil, fmt.Errorf("%s does not answer as a %s does: there is no list of items", c, program)
	}
	for _, item := range list.Items {
		if err := c.object(item); err != nil {
			return nil, err
		}
	}
	return list.Items, nil
}

// one returns the JSON object of the resource id at path.
func (c *client) one(ctx context.Context, path, id string) (json.RawMessage, error) {
	var object json.RawMessage
	if err := c.get(ctx, c.base.JoinPath(path, url.PathEscape(id)), &object); err != nil {
		return nil, err
	}
	return object, c.object(object)
}

// object refuses what is no JSON object, and so no resource.
func (c *client) object(resource json.RawMessage) error {
	if bytes.HasPrefix(bytes.TrimSpace(resource), []byte("{")) {
		return nil
	}
	return fmt.Errorf("%s does not answer as a %s does: %.40q is no resource", c, program, resource)
}

func (c *client) get(ctx context.Context, u *url.URL, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	u.RawQuery = "output=json"
	body, err := c.ask(ctx, u)
	if err != nil {
		return err
	}
	defer body.Close()
	if err := json.NewDecoder(io.LimitReader(body, answerLimit)).Decode(answer); err != nil {
		return fmt.Errorf("%s does not answer as a %s does: %w", c, program, err)
	}
	return nil
}

// ask returns the body of the answer 200; another answer is an error.
func (c *client) ask(ctx context.Context, u *url.URL) (io.ReadCloser, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept", "application/json")
	response, err := c.http.Do(r)
	if err != nil {
		return nil, c.unreachable(err)
	}
	if response.StatusCode == http.StatusOK {
		return response.Body, nil
	}
	defer response.Body.Close()
	return nil, c.refused(response)
}

// unreachable says what to try about an exporter that gave no answer.
func (c *client) unreachable(err error) error {
	if cause, ok := errors.AsType[*url.Error](err); ok {
		err = cause.Err // without the URL, which we name ourselves
	}
	where := "exporter not reachable at " + c.String()
	another := ""
	if !c.among {
		another = ": --address names another"
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return fmt.Errorf("%s: %w: name its authority's certificate in the variable SSL_CERT_FILE", where, err)
	}
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%s: connection refused: is it running there (systemctl status %s)?%s", where, program, strings.TrimPrefix(another, ":"))
	case errors.Is(err, http.ErrSchemeMismatch):
		return fmt.Errorf("%s: it does not speak TLS: try http://%s", where, c.base.Host)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s: no answer in time%s", where, another)
	}
	return fmt.Errorf("%s: %w%s", where, err, another)
}

// refused says what to try about an answer that is no success.
func (c *client) refused(response *http.Response) error {
	body, err := io.ReadAll(io.LimitReader(response.Body, 64<<10))
	if err != nil {
		return c.unreachable(err)
	}
	var why struct {
		Error  string   `json:"error"`
		Exists []string `json:"exists"`
	}
	if response.StatusCode == http.StatusUnauthorized {
		return fmt.Errorf("exporter at %s wants a password: give its address as %s://USER:PASSWORD@%s", c, c.base.Scheme, c.base.Host)
	}
	if json.Unmarshal(body, &why) == nil && why.Error != "" {
		if len(why.Exists) > 0 {
			why.Error += "; there are: " + strings.Join(why.Exists, ", ")
		}
		if c.among {
			why.Error = c.base.Host + ": " + why.Error
		}
		return errors.New(output.Printable(why.Error))
	}
	said, _, _ := strings.Cut(strings.TrimSpace(string(body)), "\n")
	return fmt.Errorf("%s does not answer as a %s does: %s: %.200q", c, program, output.Printable(response.Status), said)
}

// An event is one line of a watch.
type event struct {
	name   string // created, updated, destroyed or bookmark
	object []byte // of the resource, without the event; nil for a bookmark
}

// A stream is the answer to a watch.
type stream struct {
	body    io.ReadCloser
	lines   *bufio.Reader
	cancel  context.CancelCauseFunc
	cause   func() error // why it was cancelled, nil if it was not
	timer   *time.Timer  // cancels when nothing comes for as long as silence
	silence time.Duration
}

// watch begins to watch the resources at path, or the one named id.
func (c *client) watch(ctx context.Context, path, id string) (*stream, error) {
	u := c.base.JoinPath(path)
	if id != "" {
		u = c.base.JoinPath(path, url.PathEscape(id))
	}
	u.RawQuery = "watch=true&bookmarks=true"
	ctx, cancel := context.WithCancelCause(ctx)
	timer := time.AfterFunc(c.silence, func() { cancel(errors.New("the exporter has fallen silent")) })
	body, err := c.ask(ctx, u)
	if err != nil {
		timer.Stop()
		cancel(nil)
		return nil, err
	}
	return &stream{body: body, lines: bufio.NewReader(body), cancel: cancel, cause: func() error { return context.Cause(ctx) }, timer: timer, silence: c.silence}, nil
}

func (s *stream) close() {
	s.timer.Stop()
	s.cancel(nil)
	_ = s.body.Close() // it has been read as far as anybody wants
}

// next returns the next event.
func (s *stream) next() (event, error) {
	line, err := s.line()
	if err != nil {
		if cause := s.cause(); cause != nil {
			return event{}, cause
		}
		if errors.Is(err, io.EOF) {
			return event{}, errors.New("the exporter ended it")
		}
		return event{}, err
	}
	s.timer.Reset(s.silence)
	return parseEvent(line)
}

// line returns the next line, which may not be longer than answerLimit.
func (s *stream) line() ([]byte, error) {
	var line []byte
	for {
		part, err := s.lines.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case err == nil:
			return line, nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, err
		case len(line) > answerLimit:
			return nil, errors.New("an event is too long")
		}
	}
}

// parseEvent takes the member "event" out of the object on a line and leaves the others as they are.
func parseEvent(line []byte) (event, error) {
	decoder := json.NewDecoder(strings.NewReader(string(line)))
	if open, err := decoder.Token(); err != nil || open != json.Delim('{') {
		return event{}, errors.New("an event is no JSON object")
	}
	var e event
	object := []byte{'{'}
	for decoder.More() {
		key, err := decoder.Token()
		if err != nil {
			return event{}, fmt.Errorf("event: %w", err)
		}
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return event{}, fmt.Errorf("event: %w", err)
		}
		if key == "event" {
			if err := json.Unmarshal(value, &e.name); err != nil {
				return event{}, fmt.Errorf("event: %w", err)
			}
			continue
		}
		name, err := json.Marshal(key)
		if err != nil {
			return event{}, fmt.Errorf("event: %w", err)
		}
		if len(object) > 1 {
			object = append(object, ',')
		}
		object = append(append(append(object, name...), ':'), value...)
	}
	if _, err := decoder.Token(); err != nil {
		return event{}, fmt.Errorf("event: %w", err)
	}
	if len(object) > 1 {
		e.object = append(object, '}')
	}
	return e, nil
}
