package telemetry

import (
	"context"
	"log/slog"

	"go.opentelemetry.io/contrib/bridges/otelslog"
)

// Log returns a logger that says what log says, and exports what that has a level for; log itself when no log records
// are exported. What is said of the export must not be logged by it: it would be exported, and fail, and be said.
func (t *Telemetry) Log(log *slog.Logger) *slog.Logger {
	if t.records == nil {
		return log
	}
	exported := otelslog.NewHandler(scope, otelslog.WithLoggerProvider(t.records), otelslog.WithVersion(t.options.Version))
	return slog.New(slog.NewMultiHandler(log.Handler(), leveled{exported, log.Handler()}))
}

// leveled takes what another handler would.
type leveled struct {
	slog.Handler
	as slog.Handler
}

func (l leveled) Enabled(ctx context.Context, level slog.Level) bool { return l.as.Enabled(ctx, level) }

func (l leveled) WithAttrs(attrs []slog.Attr) slog.Handler {
	return leveled{l.Handler.WithAttrs(attrs), l.as}
}

func (l leveled) WithGroup(name string) slog.Handler { return leveled{l.Handler.WithGroup(name), l.as} }
