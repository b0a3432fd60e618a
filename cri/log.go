package cri

import (
	"context"
	"log/slog"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"
)

// quietly hands the client library a logger through ctx.
func (c *Client) quietly(ctx context.Context) context.Context {
	return klog.NewContext(ctx, logr.FromSlogHandler(libraryHandler{c.log.Handler()}))
}

// A libraryHandler turns every line of the client library into a debug line: its errors are returned too, and
// whoever asked reports them. Verbosity 4 and more is dropped, since it prints whole sandboxes, whose
// annotations may hold manifests with credentials.
type libraryHandler struct{ slog.Handler }

func (h libraryHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return level > -4 && h.Handler.Enabled(ctx, slog.LevelDebug)
}

func (h libraryHandler) Handle(ctx context.Context, r slog.Record) error {
	r.Level = slog.LevelDebug
	if !h.Handler.Enabled(ctx, r.Level) {
		return nil // errors come here unasked
	}
	return h.Handler.Handle(ctx, r)
}

func (h libraryHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return libraryHandler{h.Handler.WithAttrs(attrs)}
}

func (h libraryHandler) WithGroup(name string) slog.Handler {
	return libraryHandler{h.Handler.WithGroup(name)}
}
