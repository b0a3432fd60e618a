package fleet

import (
	"math"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/timestamp"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/storage"
)

// A series is one time series of a target, known to the storage by ref once it has been written.
type series struct {
	labels labels.Labels
	ref    storage.SeriesRef
	scrape int // the last one that had it
}

// A target writes what is scraped of one instance: values, and that a series is gone, as Prometheus does.
type target struct {
	job, instance string
	keep          func(name string) bool
	live          []*series // of the last scrape
	next          []*series // of this one
	scrape        int
	app           storage.Appender
	at            int64
	err           error
}

// new returns a series of the target, or nil when the family is not kept. Labels with an empty value are none.
func (t *target) new(name string, pairs ...string) *series {
	if !t.keep(name) {
		return nil
	}
	b := labels.NewScratchBuilder(3 + len(pairs)/2)
	b.Add(model.MetricNameLabel, name)
	b.Add("instance", t.instance)
	b.Add("job", t.job)
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			b.Add(pairs[i], pairs[i+1])
		}
	}
	b.Sort()
	return &series{labels: b.Labels()}
}

func (t *target) begin(app storage.Appender, at time.Time) {
	t.app, t.at, t.next = app, timestamp.FromTime(at), t.next[:0]
	t.scrape++
}

// set writes a value of this scrape.
func (t *target) set(s *series, v float64) {
	if s == nil || t.err != nil {
		return
	}
	if s.scrape != t.scrape {
		s.scrape = t.scrape
		t.next = append(t.next, s)
	}
	s.ref, t.err = t.app.Append(s.ref, s.labels, t.at, v)
}

// end writes that the series are gone which the scrape before had. It returns how many this one has.
func (t *target) end() (int, error) {
	stale := math.Float64frombits(value.StaleNaN)
	for _, s := range t.live {
		if s.scrape != t.scrape && t.err == nil {
			s.ref, t.err = t.app.Append(s.ref, s.labels, t.at, stale)
		}
	}
	t.live, t.next = t.next, t.live
	return len(t.live), t.err
}

// A changing series has other labels at other times, by a number that says which.
type changing struct {
	make func(which int) *series
	by   map[int]*series
}

func (c *changing) get(which int) *series {
	s, ok := c.by[which]
	if !ok {
		if c.by == nil {
			c.by = map[int]*series{}
		}
		s = c.make(which)
		c.by[which] = s
	}
	return s
}
