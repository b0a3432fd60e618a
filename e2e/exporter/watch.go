package exporter

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
)

// An Event is what a watch tells of one status: created, updated or destroyed; or, of none, bookmark, when it has
// told everything up to now.
type Event struct {
	Event string
	Status
}

// Watch follows GET /staticpodstatus?watch=true, and returns when that ends or ctx is done.
func (e *Exporter) Watch(ctx context.Context, tell func(Event)) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, e.URL()+"/staticpodstatus?watch=true&bookmarks=true", nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req) // without a timeout: it lasts as long as the exporter
	if err != nil {
		return fmt.Errorf("exporter: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("exporter: watch: %s", res.Status)
	}
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var event Event
		if err := json.Unmarshal(lines.Bytes(), &event); err != nil {
			return fmt.Errorf("exporter: watch: %w", err)
		}
		tell(event)
	}
	return lines.Err()
}
