package metrics

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

const (
	acceptText        = "text/plain;version=0.0.4"
	acceptOpenMetrics = "application/openmetrics-text;version=1.0.0"
	acceptProtobuf    = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
)

// scrape asks a real server, without the client's own decompression.
func scrape(t *testing.T, url, accept, encoding string) (*http.Response, []byte) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Accept", accept)
	request.Header.Set("Accept-Encoding", encoding)
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %s: %s", url, response.Status, body)
	}
	return response, body
}

func gunzip(t *testing.T, compressed []byte) []byte {
	t.Helper()
	r, err := gzip.NewReader(bytes.NewReader(compressed))
	if err != nil {
		t.Fatal(err)
	}
	// One member only: there are clients that read no second one.
	r.Multistream(false)
	plain, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return plain
}

// ofSnapshot cuts an exposition into its families and joins those of the snapshot by name.
func ofSnapshot(t *testing.T, body []byte) string {
	t.Helper()
	text, _ := strings.CutSuffix(string(body), "# EOF\n")
	families := map[string]string{}
	for block := range strings.SplitSeq("\n"+text, "\n# HELP ") {
		name, _, _ := strings.Cut(block, " ")
		if !strings.HasPrefix(name, "staticpod_") || name == "staticpod_exporter_build_info" || strings.HasPrefix(name, "staticpod_exporter_telemetry_") {
			continue
		}
		if _, ok := families[name]; ok {
			t.Errorf("%s is there twice", name)
		}
		families[name] = "# HELP " + strings.TrimSuffix(block, "\n") + "\n"
	}
	var all strings.Builder
	for _, name := range slices.Sorted(maps.Keys(families)) {
		all.WriteString(families[name])
	}
	return all.String()
}

// What the handler joins from prepared pieces is to the byte what the client library writes.
func TestScrape(t *testing.T) {
	m := observed(sick())
	server := httptest.NewServer(m.Handler())
	defer server.Close()
	for accept, format := range map[string]expfmt.FormatType{acceptText: expfmt.TypeTextPlain, acceptOpenMetrics: expfmt.TypeOpenMetrics, "*/*": expfmt.TypeTextPlain} {
		want := ofSnapshot(t, exposition(t, m, format))
		for _, encoding := range []string{"identity", "gzip"} {
			t.Run(accept+" "+encoding, func(t *testing.T) {
				for range 2 { // made and remembered
					response, body := scrape(t, server.URL, accept, encoding)
					if got := response.Header.Get("Content-Length"); got != strconv.Itoa(len(body)) {
						t.Errorf("Content-Length is %q of %d", got, len(body))
					}
					if encoding == "gzip" {
						if got := response.Header.Get("Content-Encoding"); got != "gzip" {
							t.Fatalf("Content-Encoding is %q", got)
						}
						body = gunzip(t, body)
					}
					if got := expfmt.ResponseFormat(response.Header).FormatType(); got != format && accept != acceptOpenMetrics {
						t.Errorf("Content-Type is %q", response.Header.Get("Content-Type"))
					}
					if got := bytes.HasSuffix(body, []byte("# EOF\n")); got != (format == expfmt.TypeOpenMetrics) {
						t.Errorf("# EOF at the end: %v", got)
					}
					if diff := cmp.Diff(want, ofSnapshot(t, body)); diff != "" {
						t.Errorf("(-client library +handler):\n%s", diff)
					}
					for _, own := range []string{"\nstaticpod_exporter_build_info{", "\ngo_goroutines ", "\nprocess_start_time_seconds ", "\npromhttp_metric_handler_requests_in_flight 1"} {
						if !bytes.Contains(body, []byte(own)) {
							t.Errorf("no %s", own)
						}
					}
				}
			})
		}
	}
}

// An incremental page equals one that is made from nothing.
func TestScrapeAfterChanges(t *testing.T) {
	m := observed(crowd(5))
	server := httptest.NewServer(m.Handler())
	defer server.Close()
	for step := range 5 {
		s := crowd(5)
		last := m.latest.Load()
		for i := range s.Pods { // keep all but one
			for old := range m.defs {
				if old.Metadata.ID == s.Pods[i].Metadata.ID && i != step {
					s.Pods[i] = old
				}
			}
			for old := range m.pods {
				if old.Metadata.ID == s.Statuses[i].Metadata.ID && i != step {
					s.Statuses[i] = old
				}
			}
		}
		s.Statuses[step] = member(fmt.Sprintf("renamed-%d", step), uint64(step))
		m.Observe(s)
		if kept := len(commonParts(last, m.latest.Load())); kept == 0 || kept == len(last.parts) {
			t.Fatalf("%d of %d parts kept: nothing is tested", kept, len(last.parts))
		}
		for accept, format := range map[string]expfmt.FormatType{acceptText: expfmt.TypeTextPlain, acceptOpenMetrics: expfmt.TypeOpenMetrics} {
			_, body := scrape(t, server.URL, accept, "gzip")
			want := ofSnapshot(t, exposition(t, observed(s), format))
			if diff := cmp.Diff(want, ofSnapshot(t, gunzip(t, body))); diff != "" {
				t.Errorf("step %d (-from nothing +incremental):\n%s", step, diff)
			}
		}
	}
}

func commonParts(a, b *view) []*part {
	var common []*part
	for _, p := range a.parts {
		if slices.Contains(b.parts, p) {
			common = append(common, p)
		}
	}
	return common
}

func TestScrapeProtobuf(t *testing.T) {
	m := observed(sick())
	server := httptest.NewServer(m.Handler())
	defer server.Close()
	response, body := scrape(t, server.URL, acceptProtobuf, "gzip")
	decoder := expfmt.NewDecoder(bytes.NewReader(gunzip(t, body)), expfmt.ResponseFormat(response.Header))
	var got []string
	for {
		var mf dto.MetricFamily
		if err := decoder.Decode(&mf); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		got = append(got, mf.GetName())
	}
	if !slices.IsSorted(got) {
		t.Errorf("families are not sorted: %v", got)
	}
	for _, entry := range catalogue {
		if !slices.Contains(got, entry.Name) {
			t.Errorf("no %s", entry.Name)
		}
	}
}

func TestScrapeByName(t *testing.T) {
	server := httptest.NewServer(observed(sick()).Handler())
	defer server.Close()
	_, body := scrape(t, server.URL+"?name[]=staticpod_ready&name[]=staticpod_exporter_build_info", acceptText, "identity")
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"staticpod_exporter_build_info", "staticpod_ready"}
	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(families))); diff != "" {
		t.Error(diff)
	}
}

func TestScrapeBeforeTheFirstSnapshot(t *testing.T) {
	server := httptest.NewServer(observed().Handler())
	defer server.Close()
	for _, encoding := range []string{"gzip", "identity"} {
		_, body := scrape(t, server.URL, acceptOpenMetrics, encoding)
		if encoding == "gzip" {
			body = gunzip(t, body)
		}
		if ofSnapshot(t, body) != "" || !bytes.Contains(body, []byte("staticpod_exporter_build_info{")) {
			t.Errorf("%s", body)
		}
	}
}

// When the exporter's own registry fails, the rest is published and the failure is counted.
func TestScrapeWithAFailingCollector(t *testing.T) {
	var log bytes.Buffer
	m := New(Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
	m.Observe(sick())
	m.self.MustRegister(prometheus.CollectorFunc(func(out chan<- prometheus.Metric) {
		out <- prometheus.NewInvalidMetric(prometheus.NewDesc("broken", "", nil, nil), errors.New("out of order"))
	}))
	server := httptest.NewServer(m.Handler())
	defer server.Close()
	for range 2 {
		_, body := scrape(t, server.URL, acceptText, "identity")
		if !bytes.Contains(body, []byte("\nstaticpod_ready{")) {
			t.Errorf("nothing of the snapshot: %s", body)
		}
	}
	_, body := scrape(t, server.URL+"?name[]=promhttp_metric_handler_errors_total", acceptText, "identity")
	if !bytes.Contains(body, []byte(`promhttp_metric_handler_errors_total{cause="gathering"} 2`)) || !strings.Contains(log.String(), "out of order") {
		t.Errorf("the failure is not told: %s%s", body, &log)
	}
}

// Scrapes and snapshots overlap; run with -race.
func TestScrapeWhileObserving(t *testing.T) {
	m := observed(crowd(20))
	server := httptest.NewServer(m.Handler())
	defer server.Close()
	var group sync.WaitGroup
	for _, accept := range []string{acceptText, acceptOpenMetrics, acceptProtobuf} {
		for _, encoding := range []string{"gzip", "identity"} {
			group.Go(func() {
				for range 10 {
					response, body := scrape(t, server.URL, accept, encoding)
					if encoding == "gzip" {
						body = gunzip(t, body)
					}
					if accept == acceptText {
						parser := expfmt.NewTextParser(model.UTF8Validation)
						if _, err := parser.TextToMetricFamilies(bytes.NewReader(body)); err != nil {
							t.Errorf("%s: %v", response.Header, err)
						}
					}
				}
			})
		}
	}
	group.Go(func() {
		s := crowd(20)
		for i := range 100 {
			next := *s
			next.Statuses = slices.Clone(s.Statuses)
			next.Statuses[i%20] = member(fmt.Sprintf("pod-%04d", i%20), uint64(i))
			m.Observe(&next)
			s = &next
		}
	})
	group.Wait()
}

func TestAcceptsGzip(t *testing.T) {
	for header, want := range map[string]bool{
		"":                              false,
		"gzip":                          true,
		"GZIP":                          true,
		"deflate, gzip;q=0.5":           true,
		"gzip;q=0":                      false,
		"gzip; q=0.000, *":              false,
		"*":                             true,
		"*;q=0":                         false,
		"identity":                      false,
		"zstd":                          false,
		"gzipped":                       false,
		"br;q=1.0, gzip;q=0.8, *;q=0.1": true,
		"gzip;q=many":                   false,
	} {
		if got := acceptsGzip(http.Header{"Accept-Encoding": {header}}); got != want {
			t.Errorf("acceptsGzip(%q) = %v", header, got)
		}
	}
}
