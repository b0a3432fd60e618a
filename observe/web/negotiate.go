package web

import (
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"strings"
)

// A form is how resources are written.
type form string

// The forms. The first four are values of ?output=.
const (
	asJSON   form = "json"
	asYAML   form = "yaml"
	asTable  form = "table"
	asWide   form = "wide"
	asPage   form = "html"         // to a browser; of a watch: the parts of the page, as server-sent events
	asLines  form = "ndjson"       // of a watch: one JSON object a line
	asEvents form = "event-stream" // of a watch: server-sent events
)

// An offer is a media type and the form it gets.
type offer struct {
	media string
	form  form
}

// offers are the media types of a listing, the preferred first.
func offers() []offer {
	return []offer{
		{"application/json", asJSON},
		{"application/yaml", asYAML}, {"application/x-yaml", asYAML}, {"text/yaml", asYAML},
		{"text/plain", asTable},
		{"text/html", asPage},
	}
}

// watchOffers are the media types of a watch, the preferred first.
func watchOffers() []offer {
	return []offer{
		{"application/x-ndjson", asLines}, {"application/json", asLines},
		{"text/event-stream", asEvents},
	}
}

var (
	errOutput = errors.New("unknown output")
	errAccept = errors.New("not acceptable")
)

// negotiate returns the form that ?output= or else the header Accept asks for, out of offers. An error is
// errOutput or errAccept and names what there is.
func negotiate(r *http.Request, offers []offer) (form, error) {
	watched := offers[0].form == asLines
	if output := r.URL.Query().Get("output"); output != "" {
		switch f := form(output); {
		case watched && f == asJSON:
			return asLines, nil
		case watched && f == asPage:
			return asPage, nil
		case watched:
			return "", fmt.Errorf("%w %q: a watch has json, or html for the parts of the page, or server-sent events by the header Accept: text/event-stream", errOutput, output)
		case f == asJSON || f == asYAML || f == asTable || f == asWide:
			return f, nil
		}
		return "", fmt.Errorf("%w %q: there are json, yaml, table, wide", errOutput, output)
	}
	accept := strings.Join(r.Header.Values("Accept"), ",")
	if strings.TrimSpace(accept) == "" {
		return offers[0].form, nil
	}
	ranges := mediaRanges(accept)
	best, quality, detail := form(""), 0.0, 0
	for _, o := range offers {
		q, d := ranges.quality(o.media)
		if q > quality || q == quality && q > 0 && d > detail {
			best, quality, detail = o.form, q, d
		}
	}
	if best == "" {
		names := make([]string, len(offers))
		for i, o := range offers {
			names[i] = o.media
		}
		return "", fmt.Errorf("%w: there are %s", errAccept, strings.Join(names, ", "))
	}
	return best, nil
}

// A mediaRange is one element of the header Accept.
type mediaRange struct {
	media   string
	quality float64
}

type ranges []mediaRange

// mediaRanges parses the header Accept; elements it cannot read are left out.
func mediaRanges(accept string) ranges {
	var rs ranges
	for element := range strings.SplitSeq(accept, ",") {
		media, parameters, err := mime.ParseMediaType(element)
		if err != nil {
			continue
		}
		quality := 1.0
		if q, ok := parameters["q"]; ok {
			if quality, err = strconv.ParseFloat(q, 64); err != nil || quality < 0 || quality > 1 {
				continue
			}
		}
		rs = append(rs, mediaRange{media, quality})
	}
	return rs
}

// quality returns what the most detailed range that covers media says of it, and how detailed that is: 0 for
// no range at all, 1 for */*, 2 for type/*, 3 for the type itself.
func (rs ranges) quality(media string) (quality float64, detail int) {
	kind, _, _ := strings.Cut(media, "/")
	for _, r := range rs {
		d := 0
		switch r.media {
		case media:
			d = 3
		case kind + "/*":
			d = 2
		case "*/*":
			d = 1
		}
		if d > detail {
			quality, detail = r.quality, d
		}
	}
	return quality, detail
}
