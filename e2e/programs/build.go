package programs

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/staticpod-exporter/staticpod-exporter/e2e/image"
)

// progressInterval is how often a build under way says how far it is.
const progressInterval = 5 * time.Second

// build is one go build.
type build struct {
	module   string // the directory of its go.mod
	what     string // what to call it
	packages string
	tags     string
	ldflags  string
	static   bool
}

// run builds into dir, and tells on progress how far it is.
func (b build) run(ctx context.Context, dir string, progress io.Writer) error {
	began := time.Now()
	fmt.Fprintf(progress, "%s: building, once\n", b.what)
	cmd := b.command(ctx, "list", "-tags", b.tags, "-deps", b.packages)
	cmd.Stderr = prefixed(progress, b.what)
	list, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("%s: go list: %w", b.what, err)
	}
	total := bytes.Count(list, []byte("\n"))

	cmd = b.command(ctx, "build", "-v", "-trimpath", "-tags", b.tags, "-ldflags", strings.TrimSpace("-s -w "+b.ldflags), "-o", dir+string(filepath.Separator), b.packages)
	var compiled atomic.Int64
	var failure strings.Builder
	said := make(chan struct{})
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("%s: go build: %w", b.what, err)
	}
	go func() {
		defer close(said)
		// With -v the go command names each package that it compiles, alone on a line.
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			if line := lines.Text(); strings.ContainsAny(line, " \t") {
				failure.WriteString(line + "\n")
			} else {
				compiled.Add(1)
			}
		}
		io.Copy(io.Discard, stderr) // what no line of sane length is must not block the build
	}()
	tick := time.NewTicker(progressInterval)
	defer tick.Stop()
	for done := false; !done; {
		select {
		case <-said:
			done = true
		case <-tick.C:
			fmt.Fprintf(progress, "%s: %d of %d packages compiled (fewer when some were already), %s\n", b.what, compiled.Load(), total, time.Since(began).Round(time.Second))
		}
	}
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("%s: go build: %w\n%s", b.what, err, failure.String())
	}
	fmt.Fprintf(progress, "%s: built in %s\n", b.what, time.Since(began).Round(100*time.Millisecond))
	return nil
}

func (b build) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = b.module
	// These modules stand alone: no workspace and no flags of the user's apply.
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-buildvcs=false")
	if b.static {
		cmd.Env = append(cmd.Env, "CGO_ENABLED=0")
	}
	return cmd
}

// prefixed passes lines on to w, each under a name.
func prefixed(w io.Writer, name string) io.Writer { return &prefixer{w: w, name: name} }

type prefixer struct {
	w    io.Writer
	name string
	rest []byte
}

func (p *prefixer) Write(content []byte) (int, error) {
	p.rest = append(p.rest, content...)
	for {
		line, rest, ok := bytes.Cut(p.rest, []byte("\n"))
		if !ok {
			return len(content), nil
		}
		if _, err := fmt.Fprintf(p.w, "%s: %s\n", p.name, line); err != nil {
			return 0, err
		}
		p.rest = rest
	}
}

// packImages builds testpod and packs it into the two images.
func packImages(ctx context.Context, module, dir string, progress io.Writer) error {
	temporary, err := os.MkdirTemp("", "testpod-*")
	if err != nil {
		return fmt.Errorf("images: %w", err)
	}
	defer os.RemoveAll(temporary)
	b := build{module: module, what: "the images' program", packages: "./testpod", static: true}
	if err := b.run(ctx, temporary, progress); err != nil {
		return err
	}
	f, err := os.Create(filepath.Join(dir, "images.tar"))
	if err != nil {
		return fmt.Errorf("images: %w", err)
	}
	err = image.Write(f, filepath.Join(temporary, "testpod"), "testpod",
		image.Image{Name: PodImage, Entrypoint: []string{"/testpod"}},
		image.Image{Name: PauseImage, Entrypoint: []string{"/testpod", "pause"}})
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return err
}
