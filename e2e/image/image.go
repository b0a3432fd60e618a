// Package image packs one static program into OCI images, so that a node without a registry has something to
// run. The same program and images give the same bytes.
package image

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path"
	"runtime"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	spec "github.com/opencontainers/image-spec/specs-go/v1"
)

// nameAnnotation is where containerd looks for the whole name of an image in an archive's index.
const nameAnnotation = "io.containerd.image.name"

// An Image is a name and what runs when a container says nothing else.
type Image struct {
	Name       string   // with a host and a tag: staticpod.test/pod:1
	Entrypoint []string // its first element names the program: /testpod
}

// Write writes an OCI image layout, as a tar archive, that holds the images. Each has one layer with the
// program as its only file; its path there is /<base>.
func Write(w io.Writer, program, base string, images ...Image) error {
	content, err := os.ReadFile(program)
	if err != nil {
		return fmt.Errorf("image program: %w", err)
	}
	layer, err := pack(base, content)
	if err != nil {
		return fmt.Errorf("image layer: %w", err)
	}
	out := archive{tar: tar.NewWriter(w), written: map[digest.Digest]bool{}}
	if err := out.file(spec.ImageLayoutFile, []byte(`{"imageLayoutVersion":"`+spec.ImageLayoutVersion+`"}`)); err != nil {
		return err
	}
	layerAt, err := out.blob(spec.MediaTypeImageLayer, layer)
	if err != nil {
		return err
	}
	index := spec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: spec.MediaTypeImageIndex}
	for _, image := range images {
		configAt, err := out.object(spec.MediaTypeImageConfig, spec.Image{
			Platform: spec.Platform{Architecture: runtime.GOARCH, OS: "linux"},
			Config:   spec.ImageConfig{Entrypoint: image.Entrypoint},
			RootFS:   spec.RootFS{Type: "layers", DiffIDs: []digest.Digest{layerAt.Digest}},
		})
		if err != nil {
			return err
		}
		manifestAt, err := out.object(spec.MediaTypeImageManifest, spec.Manifest{
			Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: spec.MediaTypeImageManifest,
			Config: configAt, Layers: []spec.Descriptor{layerAt},
			// Two images that run the same way are still two: the name is part of the manifest.
			Annotations: map[string]string{spec.AnnotationTitle: image.Name},
		})
		if err != nil {
			return err
		}
		manifestAt.Platform = &spec.Platform{Architecture: runtime.GOARCH, OS: "linux"}
		manifestAt.Annotations = map[string]string{nameAnnotation: image.Name}
		index.Manifests = append(index.Manifests, manifestAt)
	}
	content, err = json.Marshal(index)
	if err != nil {
		return err
	}
	if err := out.file(spec.ImageIndexFile, content); err != nil {
		return err
	}
	return out.tar.Close()
}

// pack makes the layer: the program, and a /tmp.
func pack(base string, content []byte) ([]byte, error) {
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	if err := w.WriteHeader(&tar.Header{Name: "tmp/", Typeflag: tar.TypeDir, Mode: 0o1777}); err != nil {
		return nil, err
	}
	if err := w.WriteHeader(&tar.Header{Name: base, Mode: 0o755, Size: int64(len(content))}); err != nil {
		return nil, err
	}
	if _, err := w.Write(content); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return layer.Bytes(), nil
}

// archive is the layout being written.
type archive struct {
	tar     *tar.Writer
	written map[digest.Digest]bool
}

func (a archive) file(name string, content []byte) error {
	if err := a.tar.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(content))}); err != nil {
		return fmt.Errorf("image archive: %w", err)
	}
	if _, err := a.tar.Write(content); err != nil {
		return fmt.Errorf("image archive: %w", err)
	}
	return nil
}

// blob stores content under its digest, once.
func (a archive) blob(mediaType string, content []byte) (spec.Descriptor, error) {
	at := spec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(content), Size: int64(len(content))}
	if a.written[at.Digest] {
		return at, nil
	}
	a.written[at.Digest] = true
	return at, a.file(path.Join(spec.ImageBlobsDir, at.Digest.Algorithm().String(), at.Digest.Encoded()), content)
}

func (a archive) object(mediaType string, object any) (spec.Descriptor, error) {
	content, err := json.Marshal(object)
	if err != nil {
		return spec.Descriptor{}, fmt.Errorf("image: %w", err)
	}
	return a.blob(mediaType, content)
}
