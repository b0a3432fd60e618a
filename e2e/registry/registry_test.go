package registry_test

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	spec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/staticpod-exporter/staticpod-exporter/e2e/image"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/registry"
)

func TestAnImageIsPulledByWhatItsManifestNames(t *testing.T) {
	r := serve(t)
	manifest, header := get(t, r, "good/pod/manifests/1", http.StatusOK)
	if want := digest.FromBytes(manifest).String(); header.Get("Docker-Content-Digest") != want {
		t.Errorf("the digest is %s, not %s", header.Get("Docker-Content-Digest"), want)
	}
	var m spec.Manifest
	if err := json.Unmarshal(manifest, &m); err != nil {
		t.Fatal(err)
	}
	for _, part := range append(m.Layers, m.Config) {
		if content, _ := get(t, r, "good/pod/blobs/"+part.Digest.String(), http.StatusOK); digest.FromBytes(content) != part.Digest {
			t.Errorf("%s is not what its name says", part.Digest)
		}
	}
	if other, _ := get(t, r, "good/another/manifests/1", http.StatusOK); digest.FromBytes(other) == digest.FromBytes(manifest) {
		t.Error("two names are one image, of which the second would not be pulled")
	}
	get(t, r, "good/pod/blobs/"+digest.FromString("absent").String(), http.StatusNotFound)
}

func TestABadRegistry(t *testing.T) {
	r := serve(t)
	get(t, r, "absent/manifests/1", http.StatusNotFound)
	get(t, r, "private/pod/manifests/1", http.StatusUnauthorized)
	get(t, r, "broken/pod/manifests/1", http.StatusInternalServerError)
}

func TestASlowImageComesWhenItIsReleased(t *testing.T) {
	r := serve(t)
	pulled := make(chan []byte)
	go func() {
		content, _ := get(t, r, "slow/a/manifests/1", http.StatusOK)
		pulled <- content
	}()
	select {
	case <-pulled:
		t.Fatal("it came before")
	case <-time.After(50 * time.Millisecond):
	}
	r.Release("a")
	if len(<-pulled) == 0 {
		t.Error("it came empty")
	}
}

func serve(t *testing.T) *registry.Registry {
	t.Helper()
	dir := t.TempDir()
	program, archive := filepath.Join(dir, "program"), filepath.Join(dir, "images.tar")
	if err := os.WriteFile(program, []byte("a program"), 0o700); err != nil {
		t.Fatal(err)
	}
	out, err := os.Create(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if err := image.Write(out, program, "program", image.Image{Name: "staticpod.test/a:1", Entrypoint: []string{"/program"}}); err != nil {
		t.Fatal(err)
	}
	r, err := registry.Serve(archive, "staticpod.test/a:1")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

func get(t *testing.T, r *registry.Registry, path string, code int) ([]byte, http.Header) {
	res, err := http.Get("http://" + r.Address() + "/v2/" + path)
	if err != nil {
		t.Error(err)
		return nil, nil
	}
	defer res.Body.Close()
	content, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != code {
		t.Errorf("%s: %s, %v", path, res.Status, err)
	}
	return content, res.Header
}
