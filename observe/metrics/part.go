package metrics

import (
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	dto "github.com/prometheus/client_model/go"
)

// maxLabel is how long a label value may be that somebody's manifest decides on, in bytes.
const maxLabel = 512

// A part is what one pod, one definition or the node itself contributes. It is immutable but for the texts
// that its samples remember.
type part struct {
	samples []*samples // at most one of each family
}

// samples are one part's series of one family.
type samples struct {
	family  family
	metrics []*dto.Metric
	text    [formats][]byte // the lines, once somebody scraped them in that format; guarded by renderer.mu
}

// add appends a series. The labels must be those of the catalogue, in any order.
func (p *part) add(f family, value float64, labels ...*dto.LabelPair) {
	slices.SortFunc(labels, func(a, b *dto.LabelPair) int { return strings.Compare(a.GetName(), b.GetName()) })
	m := &dto.Metric{Label: labels}
	if catalogue[f].Type == Counter {
		m.Counter = &dto.Counter{Value: new(value)}
	} else {
		m.Gauge = &dto.Gauge{Value: new(value)}
	}
	for _, s := range p.samples {
		if s.family == f {
			s.metrics = append(s.metrics, m)
			return
		}
	}
	p.samples = append(p.samples, &samples{family: f, metrics: []*dto.Metric{m}})
}

// flag is add for a truth.
func (p *part) flag(f family, value bool, labels ...*dto.LabelPair) {
	if value {
		p.add(f, 1, labels...)
	} else {
		p.add(f, 0, labels...)
	}
}

// moment is add for a time; there is no series for none.
func (p *part) moment(f family, at time.Time, labels ...*dto.LabelPair) {
	if !at.IsZero() {
		p.add(f, float64(at.UnixNano())/1e9, labels...)
	}
}

// label makes a pair. Values come from files and sockets: what is not UTF-8 would spoil the whole scrape.
func label(name, value string) *dto.LabelPair {
	return &dto.LabelPair{Name: new(name), Value: new(strings.ToValidUTF8(value, "\uFFFD"))}
}

// bounded shortens a value that an author can make as long as he likes.
func bounded(value string) string {
	if len(value) <= maxLabel {
		return value
	}
	cut := maxLabel - len("…")
	for cut > 0 && !utf8.RuneStart(value[cut]) {
		cut--
	}
	return value[:cut] + "…"
}
