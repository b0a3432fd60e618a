// Package chromium runs a Chromium without a screen for a test, in which pages look the same everywhere.
package chromium

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// fontconfig has pages set in one font, so that pictures are the same everywhere.
const fontconfig = `<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "urn:fontconfig:fonts.dtd">
<fontconfig>
  <dir>/usr/share/fonts</dir>
  <cachedir>%s</cachedir>
  <alias><family>system-ui</family><prefer><family>Inter</family></prefer></alias>
  <alias><family>sans-serif</family><prefer><family>Inter</family></prefer></alias>
  <alias><family>monospace</family><prefer><family>DejaVu Sans Mono</family></prefer></alias>
</fontconfig>
`

// Start starts the program at that path until the test ends, and returns a context of chromedp, from which tabs are made.
func Start(t testing.TB, program string) context.Context {
	t.Helper()
	// Its processes write to their directory until the last of them has ended: that is not the test's to fail for.
	dir, err := os.MkdirTemp("", "chromium-*")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	fonts := filepath.Join(dir, "fonts.conf")
	if err := os.WriteFile(fonts, fmt.Appendf(nil, fontconfig, filepath.Join(dir, "fonts")), 0o600); err != nil {
		t.Fatal(err)
	}
	allocator, cancel := chromedp.NewExecAllocator(context.Background(),
		chromedp.ExecPath(program), chromedp.UserDataDir(filepath.Join(dir, "profile")), chromedp.Env("FONTCONFIG_FILE="+fonts),
		chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true),
		chromedp.Flag("disable-dev-shm-usage", true), // small in many containers
	)
	t.Cleanup(cancel)
	ctx, cancel := chromedp.NewContext(allocator)
	t.Cleanup(cancel)
	if chromedp.Do(ctx) != nil {
		// A first start on a machine that is busy may be too slow for it.
		if err := chromedp.Do(ctx); err != nil {
			t.Fatal(err)
		}
	}
	return ctx
}

// Picture takes a picture of what is to be seen of a tab, or with whole of all of its page.
func Picture(tab context.Context, whole bool) ([]byte, error) {
	var params page.CaptureScreenshotParams
	if whole {
		size, err := chromedp.Run(tab, chromedp.Evaluate[[]float64](`[document.documentElement.clientWidth, document.documentElement.scrollHeight]`))
		if err != nil {
			return nil, err
		}
		params.Clip = &page.Viewport{Width: size[0], Height: size[1], Scale: 1}
		params.CaptureBeyondViewport = new(true)
	}
	shot, err := chromedp.Call(tab, page.CaptureScreenshot, params)
	if err != nil {
		return nil, fmt.Errorf("chromium: picture: %w", err)
	}
	return shot.Data, nil
}
