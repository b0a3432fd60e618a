package monitoring

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/staticpod-exporter/staticpod-exporter/e2e/await"
)

// A Prometheus scrapes what it is told to, keeps it over a restart, and follows another configuration.
func TestPrometheusScrapes(t *testing.T) {
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "answer 42") }))
	defer target.Close()
	address := strings.TrimPrefix(target.URL, "http://")
	p, err := New(t.Context(), Options{Directory: t.TempDir(), Config: ScrapeConfig("test", address), Progress: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Stop(context.Background())
	answer := func(query string) func(context.Context) error {
		return func(ctx context.Context) error {
			vector, err := p.Query(ctx, query)
			if err == nil && (len(vector) != 1 || vector[0].Value != 42) {
				err = fmt.Errorf("%s: %v", query, vector)
			}
			return err
		}
	}
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	await.Nil(t, "a scrape", answer(`answer{job="test"}`))
	p.Stop(t.Context())
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	await.Nil(t, "what was scraped", answer(`max_over_time(answer{job="test"}[10m])`))

	if err := p.Configure(t.Context(), ScrapeConfig("other", address)); err != nil {
		t.Fatal(err)
	}
	await.Nil(t, "a scrape by another job", answer(`answer{job="other"}`))
	if err := p.Configure(t.Context(), "scrape_configurations: []"); err == nil || !strings.Contains(err.Error(), "scrape_configurations") {
		t.Errorf("a broken configuration: %v", err)
	}
	if _, err := p.Query(t.Context(), "answer{"); err == nil {
		t.Error("a query that is none was answered")
	}
}
