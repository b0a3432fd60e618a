package manifest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"
)

const (
	// feedTimeout bounds one exchange, as the kubelet's does.
	feedTimeout = 10 * time.Second
	// feedPeriod is how often the kubelet asks when it does not say.
	feedPeriod = 20 * time.Second
)

// A Feed is where another server gives the kubelet its static pods: staticPodURL and what goes with it. URL and
// Header may hold credentials, so that a Feed is printed without them.
type Feed struct {
	URL    string
	Header http.Header
	Period time.Duration // 0 for the kubelet's default
}

// Format writes the masked URL, whatever the verb.
func (f Feed) Format(s fmt.State, _ rune) { fmt.Fprint(s, MaskURL(f.URL)) }

// LogValue is the masked URL.
func (f Feed) LogValue() slog.Value { return slog.StringValue(MaskURL(f.URL)) }

func (f Feed) equal(g Feed) bool {
	return f.URL == g.URL && f.Period == g.Period && maps.EqualFunc(f.Header, g.Header, slices.Equal)
}

// MaskURL returns a URL as it may be shown: its user, its password and the values of its query may be secrets.
func MaskURL(raw string) string {
	if raw == "" {
		return ""
	}
	u, err := url.Parse(raw)
	if err != nil {
		return "a URL that cannot be parsed"
	}
	masked := url.URL{Scheme: u.Scheme, Opaque: u.Opaque, Host: u.Host, Path: u.Path, RawPath: u.RawPath}
	if u.User != nil {
		masked.User = url.User("xxxxx")
	}
	query := u.Query()
	for _, values := range query {
		for i := range values {
			values[i] = "xxxxx"
		}
	}
	masked.RawQuery = query.Encode()
	return masked.String()
}

// A body is what a feed answered that the kubelet would have read.
type body struct {
	data     []byte
	revision string    // lower-case hex SHA-256 of data
	at       time.Time // when it first came
	// former is the revision before a body of zero length. That has the kubelet stop every pod and remember the
	// bytes before: should they come again, it does not read them, and unread is set.
	former string
	unread bool
}

// feedState is what is known of a feed. It is immutable.
type feedState struct {
	feed     Feed
	body     *body  // nil before the first
	failure  string // why it cannot be read at present; "" when it can
	failures int    // in a row
	since    time.Time
}

// A feeder reads a Feed as the kubelet does, and as often.
type feeder struct {
	client *http.Client
	now    func() time.Time
	// changed is called, without a lock, when there is news.
	changed func()
	wake    chan struct{}

	mu    sync.Mutex
	state feedState
}

func newFeeder(now func() time.Time, changed func()) *feeder {
	return &feeder{
		// As the kubelet's: proxies by the environment, the system's authorities, redirects followed.
		client: &http.Client{Timeout: feedTimeout, Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, MaxIdleConns: 2, IdleConnTimeout: 90 * time.Second,
		}},
		now:     now,
		changed: changed,
		wake:    make(chan struct{}, 1),
	}
}

// follow has another feed read from now on.
func (f *feeder) follow(feed Feed) {
	f.mu.Lock()
	same := f.state.feed.equal(feed)
	if !same {
		known := f.state
		f.state = feedState{feed: feed}
		if known.feed.URL == feed.URL {
			f.state.body = known.body // the kubelet has the same pods by other headers
		}
	}
	f.mu.Unlock()
	if !same {
		f.look()
	}
}

// look has the feed read now.
func (f *feeder) look() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

func (f *feeder) current() feedState {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.state
}

// run reads the feed, while there is one, until ctx ends.
func (f *feeder) run(ctx context.Context) {
	for {
		feed := f.current().feed
		var next <-chan time.Time
		if feed.URL != "" {
			data, err := f.fetch(ctx, feed)
			if ctx.Err() != nil {
				return
			}
			f.take(feed, data, err)
			period := feed.Period
			if period <= 0 {
				period = feedPeriod
			}
			next = time.After(period)
		}
		select {
		case <-ctx.Done():
			return
		case <-f.wake:
		case <-next:
		}
	}
}

// errEmptyBody is an answer of zero length, which has the kubelet stop every pod it has by URL.
var errEmptyBody = errors.New("zero-length data received")

// fetch asks once. The error never holds more of the URL than may be shown.
func (f *feeder) fetch(ctx context.Context, feed Feed) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, feed.URL, nil)
	if err != nil {
		return nil, withoutURL(err)
	}
	request.Header = feed.Header.Clone()
	if request.Header == nil {
		request.Header = http.Header{}
	}
	if request.Header.Get("User-Agent") == "" {
		request.Header.Set("User-Agent", "staticpod-exporter") // not the kubelet's: it is not the kubelet that asks
	}
	response, err := f.client.Do(request)
	if err != nil {
		return nil, withoutURL(err)
	}
	defer response.Body.Close()
	data, err := io.ReadAll(io.LimitReader(response.Body, maxFileBytes)) // of what is unpacked, as the kubelet counts
	switch {
	case err != nil:
		return nil, withoutURL(err)
	case len(data) >= maxFileBytes:
		return nil, errors.New("the read limit is reached") // the kubelet's words
	case response.StatusCode != http.StatusOK:
		return nil, errors.New(response.Status)
	case len(data) == 0:
		return nil, errEmptyBody
	}
	return data, nil
}

// withoutURL takes away the method and the URL that net/http puts before an error.
func withoutURL(err error) error {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		return wrapped.Err
	}
	return err
}

// take remembers an answer, and tells when it is news.
func (f *feeder) take(feed Feed, data []byte, err error) {
	f.mu.Lock()
	before := f.state
	if !before.feed.equal(feed) {
		f.mu.Unlock()
		return // it is not what is followed now
	}
	next := feedState{feed: feed, body: before.body}
	now := f.now()
	if err != nil {
		next.failure, next.failures, next.since = clip(err.Error()), before.failures+1, now
		if before.failures > 0 {
			next.since = before.since
		}
	}
	if revision := revisionOf(data); err == nil || errors.Is(err, errEmptyBody) {
		if old := before.body; old == nil || old.revision != revision {
			next.body = &body{data: data, revision: revision, at: now}
			if old != nil {
				next.body.former, next.body.unread = old.revision, len(old.data) == 0 && old.former == revision
			}
		}
	}
	f.state = next
	f.mu.Unlock()
	if next.body != before.body || next.told() != before.told() {
		f.changed()
	}
}

// told is the failure as it is shown. One that comes alone after a success is none: a server is restarted.
func (s feedState) told() string {
	if s.failures < 2 && s.body != nil && len(s.body.data) > 0 {
		return ""
	}
	return s.failure
}

func revisionOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
