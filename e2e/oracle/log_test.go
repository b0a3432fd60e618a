package oracle

import (
	"fmt"
	"sync"

	"github.com/go-logr/logr"
)

// A line is what the kubelet logged. Its configuration sources report errors in no other way.
type line struct {
	message, path, err string
}

// A logbook is a logr.LogSink of every verbosity that keeps the lines.
type logbook struct {
	mu    sync.Mutex
	lines []line
	news  chan struct{} // holds a token when lines were added since it was last taken
}

func newLogbook() *logbook { return &logbook{news: make(chan struct{}, 1)} }

// take returns the lines since it was called last.
func (l *logbook) take() []line {
	l.mu.Lock()
	defer l.mu.Unlock()
	lines := l.lines
	l.lines = nil
	return lines
}

func (l *logbook) add(message string, err error, keysAndValues []any) {
	entry := line{message: message}
	if err != nil {
		entry.err = err.Error()
	}
	for i := 0; i+1 < len(keysAndValues); i += 2 {
		switch keysAndValues[i] {
		case "path":
			entry.path = fmt.Sprint(keysAndValues[i+1])
		case "err":
			entry.err = fmt.Sprint(keysAndValues[i+1])
		}
	}
	l.mu.Lock()
	l.lines = append(l.lines, entry)
	l.mu.Unlock()
	select {
	case l.news <- struct{}{}:
	default:
	}
}

func (l *logbook) Init(logr.RuntimeInfo) {}
func (l *logbook) Enabled(int) bool      { return true }
func (l *logbook) Info(_ int, message string, keysAndValues ...any) {
	l.add(message, nil, keysAndValues)
}
func (l *logbook) Error(err error, message string, kv ...any) { l.add(message, err, kv) }
func (l *logbook) WithValues(...any) logr.LogSink             { return l }
func (l *logbook) WithName(string) logr.LogSink               { return l }
