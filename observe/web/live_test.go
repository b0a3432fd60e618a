package web

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/staticpod-exporter/staticpod-exporter/collector/status"
	"github.com/staticpod-exporter/staticpod-exporter/manifest"
)

// next reads one event of a page.
func (w *watcher) next() (name, data string) {
	w.t.Helper()
	for {
		line, err := w.lines.ReadString('\n')
		if err != nil {
			w.t.Fatal(err)
		}
		line = strings.TrimSuffix(line, "\n")
		switch {
		case line == "" && name != "":
			return name, data
		case strings.HasPrefix(line, "event: "):
			name = strings.TrimPrefix(line, "event: ")
		case strings.HasPrefix(line, "data: "):
			data = strings.TrimPrefix(line, "data: ")
		}
	}
}

// batch reads up to and with the event that tells the time. It returns the parts by ID, and the order if there was one.
func (w *watcher) batch() (parts map[string]string, order []string) {
	w.t.Helper()
	parts = make(map[string]string)
	for {
		name, data := w.next()
		var part struct{ ID, HTML string }
		var err error
		switch name {
		case partEvent:
			if err = json.Unmarshal([]byte(data), &part); err == nil {
				parts[part.ID] = part.HTML
			}
		case orderEvent:
			err = json.Unmarshal([]byte(data), &order)
		case nowEvent:
			return parts, order
		}
		if err != nil {
			w.t.Fatalf("%v in %s", err, data)
		}
	}
}

func keys(parts map[string]string) string {
	var ids []string
	for id := range parts {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return strings.Join(ids, " ")
}

// First come all parts, then those that have changed and no others.
func TestLivePage(t *testing.T) {
	a, b := verdict("a/a", status.True), verdict("b/b", status.True)
	f := newFeed(verdicts(a, b))
	h := newHandler(options(f))
	h.pulse = time.Hour // the time is told after each change, not by and by
	server := httptest.NewServer(h.routes())
	t.Cleanup(server.Close)
	w := open(t, server.URL+"/?watch=true")
	parts, order := w.batch()
	if keys(parts) != "counts inputs node pod:a/a pod:b/b summary" || fmt.Sprint(order) != "[pod:a/a pod:b/b]" {
		t.Errorf("first come %s, %v", keys(parts), order)
	}
	page := look(t, server.URL+"/").body
	for id, html := range parts {
		if !strings.Contains(page, html) {
			t.Errorf("the page has another %s than %s", id, html)
		}
	}

	broken := verdict("b/b", status.False, problem(status.CrashLoopBackOff, manifest.Critical))
	f.publish(verdicts(a, broken))
	parts, order = w.batch()
	if keys(parts) != "counts pod:b/b summary" || fmt.Sprint(order) != "[pod:b/b pod:a/a]" || !strings.Contains(parts["pod:b/b"], "CrashLoopBackOff") {
		t.Errorf("of one that breaks come %s, %v", keys(parts), order)
	}

	f.publish(verdicts(a, broken)) // nothing
	later := *broken               // its evidence is newer, and nobody sees that here
	later.Spec.Observed.Kubelet = time.Unix(1e9, 0)
	f.publish(verdicts(a, &later))
	f.publish(verdicts(a))
	parts, order = w.batch()
	if keys(parts) != "counts summary" || fmt.Sprint(order) != "[pod:a/a]" {
		t.Errorf("of one that goes come %s, %v", keys(parts), order)
	}

	f.publish(verdicts(a, broken)) // it is back, as it was
	parts, order = w.batch()
	if keys(parts) != "counts pod:b/b summary" || fmt.Sprint(order) != "[pod:b/b pod:a/a]" {
		t.Errorf("of one that comes back come %s, %v", keys(parts), order)
	}

	f.publish(verdicts())
	if _, order = w.batch(); order == nil || len(order) != 0 {
		t.Errorf("of none comes %v", order)
	}
}

// A reader that comes to an empty node, or comes back to one, is told that there are no rows.
func TestLivePageOfAnEmptyNode(t *testing.T) {
	server := start(t, options(newFeed(verdicts())))
	if _, order := open(t, server.URL+"/?watch=true").batch(); order == nil || len(order) != 0 {
		t.Errorf("the order is %v", order)
	}
}

// The page of one static pod follows it, also when it goes and comes back.
func TestLiveDetail(t *testing.T) {
	a := verdict("a/a", status.True)
	f := newFeed(verdicts(a))
	server := start(t, options(f))
	w := open(t, server.URL+"/staticpodstatus/a/a?watch=true&output=html", "Accept", "text/event-stream")
	parts, order := w.batch()
	if keys(parts) != "detail" || order != nil || !strings.Contains(parts["detail"], "Ready") {
		t.Errorf("first come %v, %v", parts, order)
	}
	f.publish(verdicts())
	if parts, _ = w.batch(); !strings.Contains(parts["detail"], "no static pod of this name") {
		t.Errorf("of one that goes come %v", parts)
	}
	f.publish(verdicts(verdict("a/a", status.False, problem(status.NotReady, manifest.Warning))))
	if parts, _ = w.batch(); !strings.Contains(parts["detail"], "NotReady") {
		t.Errorf("of one that comes back come %v", parts)
	}
}

// A page waits for the first snapshot, and hears all the while that the exporter is there.
func TestLivePageBeforeTheFirstSnapshot(t *testing.T) {
	f := newFeed(nil)
	h := newHandler(options(f))
	h.pulse = time.Millisecond
	server := httptest.NewServer(h.routes())
	t.Cleanup(server.Close)
	w := open(t, server.URL+"/?watch=true")
	for range 3 {
		name, data := w.next()
		if name != nowEvent || strings.Contains(data, `"at"`) || !strings.Contains(data, `"build":"`+h.page.build+`"`) {
			t.Fatalf("%s %s", name, data)
		}
	}
	f.publish(verdicts(verdict("a/a", status.True)))
	for {
		if parts, _ := w.batch(); len(parts) > 0 {
			return
		}
	}
}

// It tells of when the snapshot is: an exporter that answers and no longer looks is no live one.
func TestLivePageTellsTheTime(t *testing.T) {
	s := verdicts()
	server := start(t, options(newFeed(s)))
	w := open(t, server.URL+"/?watch=true")
	for {
		name, data := w.next()
		if name != nowEvent {
			continue
		}
		var told struct{ Now, At time.Time }
		if err := json.Unmarshal([]byte(data), &told); err != nil || !told.At.Equal(s.At) || told.Now.IsZero() {
			t.Errorf("%v in %s", err, data)
		}
		return
	}
}

// A slow reader is sent the latest, and is a watch like any other.
func TestLivePageIsBounded(t *testing.T) {
	f := newFeed(verdicts(verdict("a/a", status.True)))
	h := newHandler(options(f))
	reader, writer := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		h.routes().ServeHTTP(pipe{writer, make(http.Header)}, httptest.NewRequestWithContext(t.Context(), "GET", "/?watch=true", nil))
	}()
	w := newWatcher(t, reader)
	w.batch()
	if len(h.watches) != 1 {
		t.Errorf("%d watches", len(h.watches))
	}
	for i := range 100 {
		f.publish(verdicts(verdict("a/a", status.False, problem(manifest.Reason(fmt.Sprintf("Reason%d", i)), manifest.Critical))))
	}
	seen := 0
	for {
		parts, _ := w.batch()
		if seen++; strings.Contains(parts["pod:a/a"], "Reason99") {
			break
		}
	}
	if seen > 10 {
		t.Errorf("it was sent %d of 100 changes", seen)
	}
	reader.Close()
	f.publish(verdicts())
	<-done
	if len(h.watches) != 0 {
		t.Error("its place is still taken")
	}

	for range maxWatches {
		h.watches <- struct{}{}
	}
	server := httptest.NewServer(h.routes())
	t.Cleanup(server.Close)
	if a := ask(t, "GET", server.URL+"/?watch=true", "Accept", "text/event-stream"); a.code != http.StatusServiceUnavailable {
		t.Errorf("%d %s", a.code, a.body)
	}
	// By these words the page knows that the exporter is not lost.
	const words = "watches already"
	if a := ask(t, "GET", server.URL+"/?watch=true&output=html", "Accept", "text/html"); a.code != http.StatusServiceUnavailable || !strings.Contains(a.body, words) {
		t.Errorf("%d %s", a.code, a.body)
	}
	if script, err := os.ReadFile("page.js"); err != nil || !strings.Contains(string(script), words) {
		t.Errorf("the page does not know %q (%v)", words, err)
	}
}
