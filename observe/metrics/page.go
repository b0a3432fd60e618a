package metrics

import (
	"bytes"
	"compress/flate"
	"fmt"
	"hash/crc32"
	"sync"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
)

// A format is a text format that pages are kept in.
type format int

const (
	plainText format = iota
	openMetrics
	formats // how many there are
)

// A page is a run of whole families: part of the body of a scrape.
type page struct {
	families []*dto.MetricFamily // sorted by name
	samples  [families][]*samples
	bodies   [formats]body // guarded by renderer.mu
}

// A body is a page in one format. It is empty until it is asked for.
type body struct {
	plain    []byte
	crc      uint32 // of plain
	deflated []byte // plain as DEFLATE blocks that end on a byte's boundary and are not the last ones
}

// newPage gathers the families of parts.
func newPage(parts ...*part) *page {
	p := &page{}
	for _, part := range parts {
		for _, s := range part.samples {
			p.samples[s.family] = append(p.samples[s.family], s)
		}
	}
	for f, all := range p.samples {
		if len(all) == 0 {
			continue
		}
		mf := header(family(f))
		for _, s := range all {
			mf.Metric = append(mf.Metric, s.metrics...)
		}
		p.families = append(p.families, mf)
	}
	return p
}

// header is a family without its series.
func header(f family) *dto.MetricFamily {
	entry := &catalogue[f]
	mf := &dto.MetricFamily{Name: &entry.Name, Help: &entry.Help, Type: dto.MetricType_GAUGE.Enum()}
	switch entry.Type {
	case Counter:
		mf.Type = dto.MetricType_COUNTER.Enum()
	case Histogram:
		mf.Type = dto.MetricType_HISTOGRAM.Enum()
	}
	if entry.Unit != "" {
		mf.Unit = &entry.Unit
	}
	return mf
}

// A renderer turns pages into bodies, each once. Lines that a part has given before are copied.
type renderer struct {
	mu      sync.Mutex
	headers [families][formats][]byte
	scratch bytes.Buffer
	flater  *flate.Writer
}

// body returns p in format f; with deflated or without.
func (r *renderer) body(p *page, f format, deflated bool) (body, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	b := &p.bodies[f]
	if b.plain == nil && len(p.families) > 0 {
		plain, err := r.render(p, f)
		if err != nil {
			return body{}, err
		}
		b.plain, b.crc = plain, crc32.ChecksumIEEE(plain)
	}
	if deflated && b.deflated == nil && len(b.plain) > 0 {
		b.deflated = r.deflate(b.plain)
	}
	return *b, nil
}

// render writes p and lets the samples remember their lines in it: what they remembered of the page before is
// then free.
func (r *renderer) render(p *page, f format) ([]byte, error) {
	size := 0
	for id, all := range p.samples {
		if len(all) == 0 {
			continue
		}
		if r.headers[id][f] == nil {
			comments, _, err := r.encode(header(family(id)), all[0].metrics, f)
			if err != nil {
				return nil, err
			}
			r.headers[id][f] = comments
		}
		size += len(r.headers[id][f])
		for _, s := range all {
			if s.text[f] == nil {
				_, lines, err := r.encode(header(family(id)), s.metrics, f)
				if err != nil {
					return nil, err
				}
				s.text[f] = lines
			}
			size += len(s.text[f])
		}
	}
	plain := make([]byte, 0, size)
	for id, all := range p.samples {
		if len(all) == 0 {
			continue
		}
		plain = append(plain, r.headers[id][f]...)
		for _, s := range all {
			start := len(plain)
			plain = append(plain, s.text[f]...)
			s.text[f] = plain[start:len(plain):len(plain)]
		}
	}
	return plain, nil
}

// encode writes a family with the given series, and parts its comments from its lines.
func (r *renderer) encode(mf *dto.MetricFamily, metrics []*dto.Metric, f format) (comments, lines []byte, err error) {
	mf.Metric = metrics
	r.scratch.Reset()
	if f == openMetrics {
		_, err = expfmt.MetricFamilyToOpenMetrics(&r.scratch, mf)
	} else {
		_, err = expfmt.MetricFamilyToText(&r.scratch, mf)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("family %s: %w", mf.GetName(), err)
	}
	written := bytes.Clone(r.scratch.Bytes())
	end := 0
	for end < len(written) && written[end] == '#' {
		end += bytes.IndexByte(written[end:], '\n') + 1
	}
	return written[:end:end], written[end:], nil
}

func (r *renderer) deflate(plain []byte) []byte {
	r.scratch.Reset()
	if r.flater == nil {
		r.flater = newFlater()
	}
	r.flater.Reset(&r.scratch)
	// A buffer takes every write.
	r.flater.Write(plain) //nolint:errcheck
	r.flater.Flush()      //nolint:errcheck
	return bytes.Clone(r.scratch.Bytes())
}

// newFlater returns a compressor for Reset. The fast level makes metrics 8 % larger than the default one in
// half the time.
func newFlater() *flate.Writer {
	w, _ := flate.NewWriter(nil, flate.BestSpeed) // fails on an unknown level only
	return w
}
