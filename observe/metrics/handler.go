package metrics

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"hash/crc32"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/common/expfmt"
)

// A handler answers the scrapes that Prometheus makes, text and OpenMetrics, from prepared pages and leaves
// the others to promhttp.
type handler struct {
	metrics *Metrics
	formats []expfmt.Format
	other   http.Handler
	scratch sync.Pool // of *scratch
}

// scratch is the memory of one scrape for what changes with each: the exporter's own families.
type scratch struct {
	plain, deflated bytes.Buffer
	flater          *flate.Writer
}

func newHandler(m *Metrics, log *slog.Logger) http.Handler {
	h := &handler{
		metrics: m,
		formats: expfmt.DefaultOpenMetricsAcceptedFormats(),
		other: promhttp.HandlerFor(prometheus.GathererFunc(m.gatherAll), promhttp.HandlerOpts{
			ErrorLog:            slog.NewLogLogger(log.Handler(), slog.LevelWarn),
			ErrorHandling:       promhttp.ContinueOnError,
			Registry:            m.self,
			EnableOpenMetrics:   true,
			OfferedCompressions: []promhttp.Compression{promhttp.Identity, promhttp.Gzip},
		}),
	}
	h.scratch.New = func() any { return &scratch{flater: newFlater()} }
	return promhttp.InstrumentMetricHandler(m.self, h)
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	negotiated := expfmt.NegotiateAccept(r.Header, h.formats...)
	var f format
	switch negotiated.FormatType() {
	case expfmt.TypeTextPlain:
		f = plainText
	case expfmt.TypeOpenMetrics:
		f = openMetrics
	default:
		h.other.ServeHTTP(w, r)
		return
	}
	if r.URL.Query().Has("name[]") {
		h.other.ServeHTTP(w, r)
		return
	}
	own := h.scratch.Get().(*scratch)
	defer h.scratch.Put(own)
	gzip := acceptsGzip(r.Header)
	pages, err := h.pages(f, gzip)
	if err == nil {
		err = own.encode(h.metrics.self, negotiated)
	}
	if err != nil {
		// Not in full: promhttp has the ways to say so.
		h.other.ServeHTTP(w, r)
		return
	}

	header := w.Header()
	header.Set("Content-Type", string(negotiated))
	header.Add("Vary", "Accept")
	header.Add("Vary", "Accept-Encoding")
	if gzip {
		header.Set("Content-Encoding", "gzip")
		writeGzip(w, pages, own)
		return
	}
	writePlain(w, pages, own)
}

// pages returns the bodies of the latest snapshot, none before the first.
func (h *handler) pages(f format, deflated bool) ([]body, error) {
	v := h.metrics.latest.Load()
	if v == nil {
		return nil, nil
	}
	pods, err := h.metrics.renderer.body(v.pods, f, deflated)
	if err != nil {
		return nil, err
	}
	node, err := h.metrics.renderer.body(v.node, f, deflated)
	if err != nil {
		return nil, err
	}
	return []body{pods, node}, nil
}

// encode writes the families of g, and what ends a body in the format.
func (s *scratch) encode(g prometheus.Gatherer, f expfmt.Format) error {
	families, err := g.Gather()
	if err != nil {
		return err
	}
	s.plain.Reset()
	encoder := expfmt.NewEncoder(&s.plain, f)
	for _, mf := range families {
		if err := encoder.Encode(mf); err != nil {
			return err
		}
	}
	return encoder.(expfmt.Closer).Close()
}

// writePlain writes the pages and then the exporter's own families. What a client that went away does not
// take is its own loss.
func writePlain(w http.ResponseWriter, pages []body, own *scratch) {
	size := own.plain.Len()
	for _, b := range pages {
		size += len(b.plain)
	}
	w.Header().Set("Content-Length", strconv.Itoa(size))
	for _, b := range pages {
		if _, err := w.Write(b.plain); err != nil {
			return
		}
	}
	w.Write(own.plain.Bytes()) //nolint:errcheck
}

// gzipHeader is that of RFC 1952 §2.3: DEFLATE, no name, no time, unknown system.
const gzipHeader = "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"

// writeGzip writes the same as one gzip member. The pages come compressed: DEFLATE blocks that were flushed
// to a byte's boundary, and that look back on nothing outside their page, may be joined as they are.
func writeGzip(w http.ResponseWriter, pages []body, own *scratch) {
	own.deflated.Reset()
	own.flater.Reset(&own.deflated)
	own.flater.Write(own.plain.Bytes()) //nolint:errcheck // A buffer takes every write.
	own.flater.Close()                  //nolint:errcheck

	var crc uint32
	size, compressed := own.plain.Len(), len(gzipHeader)+own.deflated.Len()+8
	for i, b := range pages {
		if i == 0 {
			crc = b.crc // of the large page, and known
		} else {
			crc = crc32.Update(crc, crc32.IEEETable, b.plain)
		}
		size += len(b.plain)
		compressed += len(b.deflated)
	}
	crc = crc32.Update(crc, crc32.IEEETable, own.plain.Bytes())
	trailer := binary.LittleEndian.AppendUint32(nil, crc)
	trailer = binary.LittleEndian.AppendUint32(trailer, uint32(size))

	w.Header().Set("Content-Length", strconv.Itoa(compressed))
	if _, err := w.Write([]byte(gzipHeader)); err != nil {
		return
	}
	for _, b := range pages {
		if _, err := w.Write(b.deflated); err != nil {
			return
		}
	}
	own.deflated.Write(trailer)
	w.Write(own.deflated.Bytes()) //nolint:errcheck
}

// acceptsGzip reports whether the client takes gzip (RFC 9110 §12.5.3).
func acceptsGzip(h http.Header) bool {
	others := false
	for _, value := range h.Values("Accept-Encoding") {
		for item := range strings.SplitSeq(value, ",") {
			coding, weight, _ := strings.Cut(item, ";")
			name, q, _ := strings.Cut(weight, "=")
			quality := 1.0
			if strings.EqualFold(strings.TrimSpace(name), "q") {
				quality, _ = strconv.ParseFloat(strings.TrimSpace(q), 64)
			}
			switch strings.ToLower(strings.TrimSpace(coding)) {
			case "gzip", "x-gzip":
				return quality > 0
			case "*":
				others = quality > 0
			}
		}
	}
	return others
}
