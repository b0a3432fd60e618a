package image_test

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	spec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/staticpod-exporter/staticpod-exporter/e2e/image"
)

func TestArchiveIsAWholeOCILayout(t *testing.T) {
	program := filepath.Join(t.TempDir(), "built")
	if err := os.WriteFile(program, []byte("a program"), 0o700); err != nil {
		t.Fatal(err)
	}
	images := []image.Image{
		{Name: "staticpod.test/a:1", Entrypoint: []string{"/program"}},
		{Name: "staticpod.test/b:1", Entrypoint: []string{"/program"}},
	}
	var one, two bytes.Buffer
	for _, w := range []io.Writer{&one, &two} {
		if err := image.Write(w, program, "program", images...); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(one.Bytes(), two.Bytes()) {
		t.Error("the same program and images gave other bytes")
	}

	files := read(t, &one)
	for name, content := range files {
		if want, ok := strings.CutPrefix(name, "blobs/sha256/"); ok {
			if sum := sha256.Sum256(content); hex.EncodeToString(sum[:]) != want {
				t.Errorf("%s is not what its name says", name)
			}
		}
	}
	var index spec.Index
	decode(t, files["index.json"], &index)
	var names []string
	for _, m := range index.Manifests {
		names = append(names, m.Annotations["io.containerd.image.name"])
		var manifest spec.Manifest
		decode(t, files["blobs/sha256/"+m.Digest.Encoded()], &manifest)
		var config spec.Image
		decode(t, files["blobs/sha256/"+manifest.Config.Digest.Encoded()], &config)
		layer := manifest.Layers[0]
		if !slices.Equal(config.Config.Entrypoint, []string{"/program"}) || config.RootFS.DiffIDs[0] != layer.Digest || config.OS != "linux" {
			t.Errorf("configuration %+v of layer %v", config, layer)
		}
		inside := read(t, bytes.NewReader(files["blobs/sha256/"+layer.Digest.Encoded()]))
		if string(inside["program"]) != "a program" {
			t.Errorf("the layer holds %v", inside)
		}
	}
	if !slices.Equal(names, []string{"staticpod.test/a:1", "staticpod.test/b:1"}) {
		t.Errorf("the images are %v", names)
	}
}

func read(t *testing.T, r io.Reader) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	for archive := tar.NewReader(r); ; {
		header, err := archive.Next()
		if err == io.EOF {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, twice := files[header.Name]; twice {
			t.Errorf("%s is there twice", header.Name)
		}
		if files[header.Name], err = io.ReadAll(archive); err != nil {
			t.Fatal(err)
		}
	}
}

func decode[T spec.Index | spec.Manifest | spec.Image](t *testing.T, content []byte, into *T) {
	t.Helper()
	if err := json.Unmarshal(content, into); err != nil {
		t.Fatalf("%v in %q", err, content)
	}
}
