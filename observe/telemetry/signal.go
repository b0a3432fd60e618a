package telemetry

import (
	"fmt"
	"log/slog"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/staticpod-exporter/staticpod-exporter/observe/metrics"
)

// A signal keeps account of what is exported of one kind: spans, data points or log records. It bounds how many wait,
// and says in the log when their export begins to fail and when it works again.
type signal struct {
	name  string
	limit uint64 // of those that wait; 0 for no queue
	log   *slog.Logger

	mu                                 sync.Mutex // guards what follows
	waiting, exported, failed, dropped uint64
	failing, full                      bool
	lost                               uint64 // failed and dropped since it last went well
	since                              time.Time
	said                               string // by a receiver that took all
}

// admit reports whether one more may wait. The SDK's own queues hold as many as this one lets in, so they never
// drop what is not counted here.
func (s *signal) admit() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waiting >= s.limit {
		s.dropped++
		s.lost++
		if !s.full {
			s.full = true
			s.log.Warn("telemetry is dropped: the queue is full", "signal", s.name, "queue", s.limit)
		}
		return false
	}
	s.waiting++
	return true
}

// done takes the result of the export of n, which waited if there is a queue.
func (s *signal) done(n int, err error) {
	if n == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.limit > 0 {
		s.waiting -= min(s.waiting, uint64(n))
	}
	s.settle(n, err)
}

// answered takes the result of an export past the queue: n is how many were taken or refused, and 0 when they are
// to be sent again.
func (s *signal) answered(n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle(n, err)
}

// lose counts what was to be sent again and is given up.
func (s *signal) lose(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failed += uint64(n)
	s.lost += uint64(n)
}

// settle counts, and says it when the export begins to fail or works again. s.mu is held.
func (s *signal) settle(n int, err error) {
	failed := failures(n, err)
	s.exported += uint64(n) - failed
	s.failed += failed
	s.lost += failed
	if err != nil && n > 0 && failed == 0 {
		if word := clip(err.Error()); word != s.said {
			s.said = word
			s.log.Warn("telemetry is exported, and the receiver has something to say", "signal", s.name, "said", word)
		}
		err = nil
	}
	switch {
	case err != nil && !s.failing:
		s.failing, s.since = true, time.Now()
		s.log.Warn("telemetry cannot be exported", "signal", s.name, "err", clip(err.Error()))
	case err == nil && s.failing, err == nil && s.full && s.waiting < s.limit/2:
		attributes := []any{"signal", s.name, "lost", s.lost}
		if s.failing {
			attributes = append(attributes, "after", time.Since(s.since).Round(time.Second))
		}
		s.failing, s.full, s.lost = false, false, 0
		s.log.Info("telemetry is exported again", attributes...)
	}
}

// count returns the account so far.
func (s *signal) count() metrics.Signal {
	s.mu.Lock()
	defer s.mu.Unlock()
	return metrics.Signal{Name: s.name, Exported: s.exported, Failed: s.failed, Dropped: s.dropped, Waiting: s.waiting, Queued: s.limit > 0}
}

// missing says how much of the newest has not arrived.
func (s *signal) missing() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := s.lost + s.waiting; n > 0 {
		return fmt.Errorf("%s: %d did not arrive", s.name, n)
	}
	return nil
}

// rejected is what the SDK says of a receiver that took a part, or that took all and has a word for it: the type of the
// error is internal to each exporter, and some wrap it.
var rejected = regexp.MustCompile(`OTLP partial success: (?s:.*) \((\d+) [a-z ]+ rejected\)$`)

// failures is how many of n did not arrive.
func failures(n int, err error) uint64 {
	if err == nil {
		return 0
	}
	if m := rejected.FindStringSubmatch(err.Error()); m != nil {
		if part, err := strconv.ParseUint(m[1], 10, 63); err == nil {
			return min(part, uint64(n))
		}
	}
	return uint64(n)
}

// refused is what the SDK says of a receiver that answers over HTTP that it does not want what it was sent.
var refused = regexp.MustCompile(`failed to send to \S+: (4\d\d) `)

// final reports whether an export that failed must not be tried again, by what OTLP says: the receiver took a part, or
// answered that it does not want any.
func final(err error) bool {
	if rejected.MatchString(err.Error()) {
		return true
	}
	if m := refused.FindStringSubmatch(err.Error()); m != nil {
		return m[1] != "408" && m[1] != "429" // it had no time
	}
	switch status.Code(err) {
	case codes.InvalidArgument, codes.NotFound, codes.AlreadyExists, codes.PermissionDenied, codes.FailedPrecondition,
		codes.Unimplemented, codes.Unauthenticated:
		return true
	}
	return false
}

// messageLimit is how much of an error is logged: receivers answer with whole pages.
const messageLimit = 1024

func clip(s string) string {
	if len(s) <= messageLimit {
		return s
	}
	return strings.ToValidUTF8(s[:messageLimit-len("…")], "") + "…"
}
