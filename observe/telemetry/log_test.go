package telemetry

import (
	"log/slog"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/log"
	sdklog "go.opentelemetry.io/otel/sdk/log"
)

func TestOwnLogIsExported(t *testing.T) {
	lines, base := newJournal()
	if got := (&Telemetry{}).Log(base); got != base {
		t.Error("it is another logger though nothing is exported")
	}
	kept := &records{}
	telemetry := &Telemetry{records: sdklog.NewLoggerProvider(sdklog.WithProcessor(sdklog.NewSimpleProcessor(kept)))}
	own := telemetry.Log(base).With("input", "kubelet")
	own.Debug("asked") // below the level
	own.Warn("input is down", slog.String("err", "no answer"))
	if got := strings.TrimSpace(lines.take()); got != `level=WARN msg="input is down" input=kubelet err="no answer"` {
		t.Errorf("it says %q", got)
	}
	if len(kept.all) != 1 {
		t.Fatalf("%d records", len(kept.all))
	}
	r := kept.all[0]
	attributes := map[attribute.Key]string{}
	r.WalkAttributes(func(a attribute.KeyValue) bool {
		attributes[a.Key] = a.Value.AsString()
		return true
	})
	if r.Body().AsString() != "input is down" || r.Severity() != log.SeverityWarn || attributes["input"] != "kubelet" || attributes["err"] != "no answer" {
		t.Errorf("it is %v, %s, %v", r.Body(), r.Severity(), attributes)
	}
}
