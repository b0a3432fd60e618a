package metrics

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"

	"github.com/staticpod-exporter/staticpod-exporter/collector/status"
)

// Where no traces are exported nothing leads to them.
func TestRolloutsWithoutExemplars(t *testing.T) {
	m := New(Options{Log: slog.New(slog.DiscardHandler)})
	m.Observe(rolledOut())
	all, err := m.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, mf := range all {
		if text := mf.String(); strings.Contains(text, "exemplar") {
			t.Errorf("it has some: %s", text)
		} else if mf.GetName() == "staticpod_rollout_duration_seconds" && !strings.Contains(text, "sample_sum:3") {
			t.Errorf("it has no durations: %s", text)
		}
	}
}

// rolledOut is a node on which a rollout took three seconds, two of them for its image.
func rolledOut() *status.Snapshot {
	s := sick()
	ro := &status.Rollout{TraceID: strings.Repeat("ab", 16)}
	s.Laps = []status.Lap{
		{Rollout: ro, Step: status.StepPull, SpanID: strings.Repeat("cd", 8), Duration: 2 * time.Second},
		{Rollout: ro, SpanID: strings.Repeat("ef", 8), Duration: 3 * time.Second},
	}
	return s
}

// What of a rollout was done is counted once, in each format of a scrape, and leads to its trace.
func TestRolloutDurations(t *testing.T) {
	after := sick()
	m := observed(sick(), rolledOut(), after)
	server := httptest.NewServer(m.Handler())
	defer server.Close()

	_, text := scrape(t, server.URL, acceptText, "identity")
	for _, want := range []string{
		`staticpod_rollout_duration_seconds_bucket{stage="pull",le="1"} 0`,
		`staticpod_rollout_duration_seconds_bucket{stage="pull",le="4"} 1`,
		`staticpod_rollout_duration_seconds_sum{stage="total"} 3`,
		`staticpod_rollout_duration_seconds_count{stage="total"} 1`,
		`staticpod_rollout_duration_seconds_count{stage="rejected"} 0`,
	} {
		if !bytes.Contains(text, []byte(want+"\n")) {
			t.Errorf("the text has no %s", want)
		}
	}
	_, open := scrape(t, server.URL, acceptOpenMetrics, "identity")
	want := `staticpod_rollout_duration_seconds_bucket{stage="pull",le="4.0"} 1 # {span_id="cdcdcdcdcdcdcdcd",trace_id="abababababababababababababababab"} 2.0 `
	turned := `staticpod_rollout_duration_seconds_bucket{stage="pull",le="4.0"} 1 # {trace_id="abababababababababababababababab",span_id="cdcdcdcdcdcdcdcd"} 2.0 `
	if !bytes.Contains(open, []byte(want)) && !bytes.Contains(open, []byte(turned)) {
		t.Errorf("OpenMetrics has no exemplar of the pull:\n%s", open)
	}

	response, body := scrape(t, server.URL, acceptProtobuf, "identity")
	decoder := expfmt.NewDecoder(bytes.NewReader(body), expfmt.ResponseFormat(response.Header))
	found := 0
	for {
		var mf dto.MetricFamily
		if err := decoder.Decode(&mf); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if mf.GetName() != "staticpod_rollout_duration_seconds" {
			continue
		}
		for _, metric := range mf.Metric {
			h := metric.GetHistogram()
			if metric.Label[0].GetValue() != "total" {
				continue
			}
			found++
			if len(h.Bucket) != 6 || len(h.PositiveSpan) == 0 || h.GetSampleCount() != 1 {
				t.Errorf("%d classic buckets, %d native spans, %d samples", len(h.Bucket), len(h.PositiveSpan), h.GetSampleCount())
			}
			if len(h.Exemplars) != 1 || len(h.Exemplars[0].Label) != 2 {
				t.Errorf("exemplars: %v", h.Exemplars)
			}
		}
	}
	if found != 1 {
		t.Errorf("%d histograms of whole rollouts", found)
	}
}
