package matrix

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/staticpod-exporter/staticpod-exporter/e2e/exporter"
)

// scrapeInterval is how often /metrics is looked at, and so how exact the times are.
const scrapeInterval = 50 * time.Millisecond

// A page is what one scrape returned.
type page struct {
	begun, ended time.Time
	exporter.Metrics
}

// pages are an exporter's /metrics, scraped for all who wait for something.
type pages struct {
	mu      sync.Mutex
	latest  page
	err     error // of the last scrape
	changed chan struct{}
}

func newPages() *pages {
	return &pages{err: errors.New("not scraped yet"), changed: make(chan struct{})}
}

// scrape scrapes until ctx is done.
func (p *pages) scrape(ctx context.Context, e *exporter.Exporter) {
	tick := time.NewTicker(scrapeInterval)
	defer tick.Stop()
	for ctx.Err() == nil {
		next := page{begun: time.Now()}
		m, err := e.Metrics(ctx)
		next.ended, next.Metrics = time.Now(), m
		p.mu.Lock()
		if p.err = err; err == nil {
			p.latest = next
		}
		close(p.changed)
		p.changed = make(chan struct{})
		p.mu.Unlock()
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

// first waits for the first page, of those that were begun after a time, that passes the check, and returns when it
// was there.
func (p *pages) first(ctx context.Context, after time.Time, patience time.Duration, check func(exporter.Metrics) error) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		p.mu.Lock()
		latest, err, changed := p.latest, p.err, p.changed
		p.mu.Unlock()
		if err == nil && latest.begun.Before(after) {
			err = errors.New("no scrape since")
		}
		if err == nil {
			if err = check(latest.Metrics); err == nil {
				return latest.ended, nil
			}
		}
		select {
		case <-ctx.Done():
			return time.Time{}, fmt.Errorf("%w, after %s", err, patience)
		case <-changed:
		}
	}
}
