package web

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/staticpod-exporter/staticpod-exporter/collector/status"
	"github.com/staticpod-exporter/staticpod-exporter/observe/output"
)

// A kind is a type of resource and where it is.
type kind struct {
	name string // as metadata.type has it
	path string
	of   func(*rendering) *listing
}

func kinds() []kind {
	return []kind{
		{status.TypeStaticPod, "/staticpods", func(r *rendering) *listing { return r.pods }},
		{status.TypeStaticPodStatus, "/staticpodstatus", func(r *rendering) *listing { return r.statuses }},
	}
}

// A rendering is what a snapshot looks like. Each part is made when it is first asked for, and never again.
type rendering struct {
	snapshot       *status.Snapshot
	pods, statuses *listing
	pages          pages
}

// render returns the rendering of s, which takes over from prev (nil is none) what did not change.
func render(s *status.Snapshot, prev *rendering, p *page) *rendering {
	if prev == nil {
		prev = &rendering{pods: &listing{}, statuses: &listing{}}
	}
	return &rendering{
		snapshot: s,
		pods: newListing(s.At, s.Pods, prev.pods, output.PodColumns, output.PodRow,
			func(p *status.StaticPod) *status.Metadata { return &p.Metadata }),
		statuses: newListing(s.At, s.Statuses, prev.statuses, output.StatusColumns, output.StatusRow,
			func(p *status.StaticPodStatus) *status.Metadata { return &p.Metadata }),
		pages: newPages(p, s, prev.pages),
	}
}

// A listing is all resources of one kind.
type listing struct {
	at        time.Time // AGE is counted to it
	columns   func(wide bool) []string
	resources []*resource // sorted by ID
	byID      map[string]*resource
	bodies    map[form]func() (body, error)
}

// A resource is one object on the wire.
type resource struct {
	*status.Metadata
	object any // the *status.StaticPod or *status.StaticPodStatus: its identity
	json   func() ([]byte, error)
	row    func(wide bool, now time.Time) []string
}

// A body is an answer and its entity tag.
type body struct {
	bytes []byte
	etag  string
}

func newListing[T any](at time.Time, objects []*T, prev *listing, columns func(bool) []string,
	row func(*T, bool, time.Time) []string, metadata func(*T) *status.Metadata) *listing {
	l := &listing{
		at: at, columns: columns,
		resources: make([]*resource, 0, len(objects)), byID: make(map[string]*resource, len(objects)),
		bodies: make(map[form]func() (body, error)),
	}
	for _, object := range objects {
		m := metadata(object)
		r := prev.byID[m.ID]
		if r == nil || r.object != any(object) {
			r = &resource{
				Metadata: m, object: object,
				json: sync.OnceValues(func() ([]byte, error) { return encode(object) }),
				row:  func(wide bool, now time.Time) []string { return row(object, wide, now) },
			}
		}
		l.resources = append(l.resources, r)
		l.byID[m.ID] = r
	}
	for _, f := range []form{asJSON, asYAML, asTable, asWide} {
		l.bodies[f] = sync.OnceValues(func() (body, error) {
			if f == asJSON {
				return newBody(l.json())
			}
			return l.write(f, l.resources)
		})
	}
	return l
}

// body returns the listing in a form.
func (l *listing) body(f form) (body, error) { return l.bodies[f]() }

// one returns one resource of the listing in a form.
func (l *listing) one(f form, r *resource) (body, error) {
	if f != asJSON {
		return l.write(f, []*resource{r})
	}
	object, err := r.json()
	return newBody(append(bytes.Clone(object), '\n'), err)
}

func (l *listing) json() ([]byte, error) {
	var b bytes.Buffer
	b.WriteString(`{"items":[`)
	for i, r := range l.resources {
		if i > 0 {
			b.WriteByte(',')
		}
		object, err := r.json()
		if err != nil {
			return nil, err
		}
		b.Write(object)
	}
	b.WriteString("]}\n")
	return b.Bytes(), nil
}

// write writes resources as YAML documents or as a table.
func (l *listing) write(f form, resources []*resource) (body, error) {
	var b bytes.Buffer
	if f == asYAML {
		documents := output.NewDocuments(&b)
		for _, r := range resources {
			object, err := r.json()
			if err != nil {
				return body{}, err
			}
			if err := documents.Write(object); err != nil {
				return body{}, err
			}
		}
		return newBody(b.Bytes(), nil)
	}
	table := output.NewTable(&b, l.columns(f == asWide))
	for _, r := range resources {
		table.Row(r.row(f == asWide, l.at))
	}
	err := table.Flush()
	return newBody(b.Bytes(), err)
}

// newBody returns b with its entity tag.
func newBody(b []byte, err error) (body, error) {
	if err != nil {
		return body{}, err
	}
	sum := sha256.Sum256(b)
	return body{bytes: b, etag: `"` + hex.EncodeToString(sum[:16]) + `"`}, nil
}

// encode returns object as compact JSON, without escapes for HTML: the words of the kubelet stay readable.
func encode[T any](object *T) ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(object); err != nil {
		return nil, fmt.Errorf("resource: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
