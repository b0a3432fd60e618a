package telemetry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/staticpod-exporter/staticpod-exporter/e2e/await"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/otlp"
)

// With log.otel the exporter's own log is exported too, as it is written; and the SDK's metrics about itself, when they
// are asked for, and then beside those of /metrics and not among them.
func TestOwnLog(t *testing.T) {
	for _, protocol := range []string{otlp.GRPC, otlp.HTTP} {
		t.Run(protocol, func(t *testing.T) {
			r := listen(t, otlp.Options{})
			o := observe(t, slices.Concat(quick, r.Environment(protocol), []string{"STATICPOD_EXPORTER_LOG_OTEL=true", "OTEL_GO_X_OBSERVABILITY=true"})...)
			o.refuse(t)
			await.Nil(t, "the log", func(context.Context) error {
				err := r.Refused()
				for _, want := range []string{"starting", "Listening on", "input is up"} {
					written := o.log.count(`msg="`+want+`"`) + o.log.count("msg="+want+" ")
					sent := len(slices.DeleteFunc(r.Records(), func(r otlp.Record) bool { return r.Body().Str() != want || r.SeverityText() != "INFO" }))
					if sent == 0 || sent != written {
						err = errors.Join(err, fmt.Errorf("%q was written %d times and exported %d times", want, written, sent))
					}
				}
				return err
			})
			await.Nil(t, "the SDK's metrics", func(ctx context.Context) error {
				known := map[string]bool{}
				for _, export := range r.Metrics() {
					for _, m := range export {
						known[m.Name()] = true
					}
				}
				if !known["otel.sdk.processor.span.processed"] && !known["otel.sdk.exporter.span.exported"] || !known["staticpod.exporter.build_info"] && !known["staticpod.problems"] {
					return fmt.Errorf("there are %v", known)
				}
				return r.Refused()
			})
			page, err := o.Get(t.Context(), "/metrics")
			if err != nil || strings.Contains(string(page), "otel_sdk") {
				t.Errorf("%v, or the SDK's metrics are on /metrics", err)
			}
		})
	}
}

// A variable that cannot be costs what it is about, and no more.
func TestWrongVariables(t *testing.T) {
	r := listen(t, otlp.Options{})
	o := observe(t, slices.Concat(quick, r.Environment(otlp.HTTP), []string{"OTEL_METRICS_EXPORTER=prometheus", "OTEL_EXPORTER_OTLP_LOGS_PROTOCOL=http/json"})...)
	o.refuse(t)
	await.Nil(t, "traces", func(context.Context) error {
		if len(r.Spans()) == 0 {
			return errors.New("there are none")
		}
		return r.Refused()
	})
	if metrics, records := len(r.Metrics()), len(r.Records()); metrics > 0 || records > 0 {
		t.Errorf("%d exports of metrics and %d log records", metrics, records)
	}
	if n := o.log.count("level=ERROR", "OTEL_METRICS_EXPORTER", "OTEL_EXPORTER_OTLP_LOGS_PROTOCOL"); n != 1 {
		t.Errorf("it is said %d times which are wrong", n)
	}
	statuses, err := o.Statuses(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var wrong []string
	for _, p := range statuses["node"].Spec.Problems {
		if p.Reason == "ConfigInvalid" {
			wrong = append(wrong, p.Field)
		}
	}
	slices.Sort(wrong)
	if want := []string{"OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", "OTEL_METRICS_EXPORTER"}; !slices.Equal(wrong, want) {
		t.Errorf("problems of the node are %q, not %q", wrong, want)
	}
}

// A receiver may take a part of what it is sent, and may have something to say of what it takes.
func TestPartialSuccess(t *testing.T) {
	for _, protocol := range []string{otlp.GRPC, otlp.HTTP} {
		t.Run("a part is rejected over "+protocol, func(t *testing.T) {
			r := listen(t, otlp.Options{Partly: func(items int) (int, string) { return 1, "one is too old" }})
			o := observe(t, slices.Concat(quick, r.Environment(protocol))...)
			for range 3 {
				o.refuse(t)
			}
			o.account(t, func(signal string, exported, failed float64) (err error) {
				if failed == 0 || signal == "metrics" && exported < failed {
					err = errors.Join(err, fmt.Errorf("%s: %v were exported, %v failed", signal, exported, failed))
				}
				if n := o.log.count("telemetry cannot be exported", "signal="+signal, "one is too old"); n != 1 {
					err = errors.Join(err, fmt.Errorf("%s: it is said %d times", signal, n))
				}
				return err
			})
		})
		t.Run("all is taken, with a word, over "+protocol, func(t *testing.T) {
			r := listen(t, otlp.Options{Partly: func(items int) (int, string) { return 0, "send less" }})
			o := observe(t, slices.Concat(quick, r.Environment(protocol))...)
			for range 3 {
				o.refuse(t)
			}
			o.account(t, func(signal string, exported, failed float64) (err error) {
				if failed > 0 || exported == 0 {
					err = errors.Join(err, fmt.Errorf("%s: %v were exported, %v failed", signal, exported, failed))
				}
				if n := o.log.count("signal="+signal, "send less"); n != 1 {
					err = errors.Join(err, fmt.Errorf("%s: it is said %d times", signal, n))
				}
				return err
			})
			if n := o.log.count("telemetry cannot be exported"); n > 0 {
				t.Errorf("it is said %d times to fail", n)
			}
		})
	}
}

// account waits until what the exporter says that it has exported, and what has failed, of each signal passes the check.
func (o *observer) account(t *testing.T, check func(signal string, exported, failed float64) error) {
	t.Helper()
	await.Nil(t, "the account", func(ctx context.Context) error {
		m, err := o.Metrics(ctx)
		if err != nil {
			return err
		}
		for _, signal := range []string{"traces", "metrics", "logs"} {
			exported, _ := m.Value("staticpod_exporter_telemetry_exported_total", "signal", signal)
			failed, _ := m.Value("staticpod_exporter_telemetry_failed_total", "signal", signal)
			err = errors.Join(err, check(signal, exported, failed))
		}
		return err
	})
}
