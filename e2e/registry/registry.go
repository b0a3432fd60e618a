// Package registry is an image registry on loopback that does what bad ones do.
package registry

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"strconv"
	"strings"
	"sync"

	"github.com/opencontainers/go-digest"
	spec "github.com/opencontainers/image-spec/specs-go/v1"
)

// A Registry serves the one image of an archive under many names. The first element of a name says how:
//
//	good/…     as it should be
//	slow/…     not before Release of that name
//	private/…  401
//	broken/…   500
//	else       404: there is no such image
type Registry struct {
	server   *httptest.Server
	files    map[string][]byte // of the archive: an OCI layout
	manifest spec.Manifest
	config   spec.Image

	mu   sync.Mutex
	held map[string]chan struct{} // by the name after slow/; closed by Release
}

// Serve serves the image of that name from an archive, until Close.
func Serve(archive, name string) (*Registry, error) {
	file, err := os.Open(archive)
	if err != nil {
		return nil, fmt.Errorf("registry: %w", err)
	}
	defer file.Close()
	r := &Registry{files: map[string][]byte{}, held: map[string]chan struct{}{}}
	for in := tar.NewReader(file); ; {
		header, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("registry: %s: %w", archive, err)
		}
		if r.files[header.Name], err = io.ReadAll(in); err != nil {
			return nil, fmt.Errorf("registry: %s: %w", archive, err)
		}
	}
	if err := r.find(name); err != nil {
		return nil, fmt.Errorf("registry: %s: %w", archive, err)
	}
	r.server = httptest.NewServer(r)
	return r, nil
}

// find reads the manifest of the image of that name.
func (r *Registry) find(name string) error {
	var index spec.Index
	if err := json.Unmarshal(r.files[spec.ImageIndexFile], &index); err != nil {
		return err
	}
	for _, m := range index.Manifests {
		for _, is := range m.Annotations {
			if is == name {
				if err := json.Unmarshal(r.blob(m.Digest), &r.manifest); err != nil {
					return err
				}
				return json.Unmarshal(r.blob(r.manifest.Config.Digest), &r.config)
			}
		}
	}
	return fmt.Errorf("no image %s", name)
}

func (r *Registry) blob(d digest.Digest) []byte {
	return r.files[path.Join(spec.ImageBlobsDir, d.Algorithm().String(), d.Encoded())]
}

// objects returns the manifest and the configuration of a name. They are its own, or whoever has one of the images
// would take it for all others.
func (r *Registry) objects(name string) (manifest, config []byte, err error) {
	c, m := r.config, r.manifest
	c.Author = name
	if config, err = json.Marshal(c); err != nil {
		return nil, nil, err
	}
	m.Config.Digest, m.Config.Size = digest.FromBytes(config), int64(len(config))
	manifest, err = json.Marshal(m)
	return manifest, config, err
}

// Address returns host and port: the beginning of the images' names.
func (r *Registry) Address() string { return strings.TrimPrefix(r.server.URL, "http://") }

// Close ends it, also for those who wait for a slow image.
func (r *Registry) Close() {
	r.server.CloseClientConnections()
	r.server.Close()
}

// Release lets a slow image be pulled: Release("x") is for slow/x.
func (r *Registry) Release(name string) { close(r.gate(name)) }

func (r *Registry) gate(name string) chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.held[name] == nil {
		r.held[name] = make(chan struct{})
	}
	return r.held[name]
}

// ServeHTTP answers as the distribution specification says, as far as a pull needs it.
func (r *Registry) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if req.URL.Path == "/v2/" {
		return
	}
	name, reference, manifest := strings.Cut(strings.TrimPrefix(req.URL.Path, "/v2/"), "/manifests/")
	if !manifest {
		name, reference, _ = strings.Cut(strings.TrimPrefix(req.URL.Path, "/v2/"), "/blobs/")
	}
	switch how, _, _ := strings.Cut(name, "/"); {
	case how == "private":
		refuse(w, http.StatusUnauthorized, "UNAUTHORIZED", "authentication required")
		return
	case how == "broken":
		refuse(w, http.StatusInternalServerError, "UNKNOWN", "unknown error")
		return
	case how != "good" && how != "slow":
		refuse(w, http.StatusNotFound, "NAME_UNKNOWN", "repository name not known to registry")
		return
	}
	m, config, err := r.objects(name)
	if err != nil {
		refuse(w, http.StatusInternalServerError, "UNKNOWN", err.Error())
		return
	}
	if manifest {
		w.Header().Set("Content-Type", spec.MediaTypeImageManifest)
		r.answer(w, req, name, m)
		return
	}
	content := config
	if wanted := digest.Digest(reference); wanted != digest.FromBytes(config) {
		content = r.blob(wanted)
	}
	if content == nil {
		refuse(w, http.StatusNotFound, "BLOB_UNKNOWN", "blob unknown to registry")
		return
	}
	r.answer(w, req, name, content)
}

// answer sends an object of an image.
func (r *Registry) answer(w http.ResponseWriter, req *http.Request, name string, content []byte) {
	w.Header().Set("Docker-Content-Digest", digest.FromBytes(content).String())
	w.Header().Set("Content-Length", strconv.Itoa(len(content)))
	if req.Method == http.MethodHead {
		return
	}
	if slow, ok := strings.CutPrefix(name, "slow/"); ok {
		// The headers come soon, or it would be taken for dead.
		http.NewResponseController(w).Flush()
		select {
		case <-r.gate(slow):
		case <-req.Context().Done():
			return
		}
	}
	w.Write(content)
}

// refuse answers with an error of the specification.
func refuse(w http.ResponseWriter, code int, reason, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	fmt.Fprintf(w, `{"errors":[{"code":%q,"message":%q}]}`, reason, message)
}
