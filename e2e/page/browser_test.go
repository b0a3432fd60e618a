package page

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/staticpod-exporter/staticpod-exporter/e2e/await"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/chromium"
	"github.com/staticpod-exporter/staticpod-exporter/e2e/programs"
)

// patience is how long a tab waits for what should be there. It is no expectation.
const patience = 60 * time.Second

// A browser is one Chromium.
type browser struct {
	context context.Context
	axe     string // the script
}

func newBrowser(t *testing.T) *browser {
	t.Helper()
	found, err := programs.EnsureBrowser(t.Context(), t.Output())
	if err != nil {
		t.Fatal(err)
	}
	script, err := os.ReadFile(found.Axe)
	if err != nil {
		t.Fatal(err)
	}
	return &browser{context: chromium.Start(t, found.Chromium), axe: string(script)}
}

// A tab is one page in the browser. What its console has to complain about fails the test, unless it is forgiven.
type tab struct {
	*testing.T
	ctx context.Context

	mu         sync.Mutex
	complaints []string
}

// open opens a tab for the length of a test.
func (b *browser) open(t *testing.T) *tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(b.context)
	t.Cleanup(cancel)
	tab := &tab{T: t, ctx: ctx}
	tab.do(chromedp.Do(ctx))
	messages := chromedp.Console(ctx)
	go func() {
		for message, err := range messages {
			if err != nil {
				return
			}
			if message.Type == "error" || message.Type == "warning" || message.Type == chromedp.ConsoleException {
				tab.mu.Lock()
				tab.complaints = append(tab.complaints, fmt.Sprintf("%s: %s", message.Type, message.Text))
				tab.mu.Unlock()
			}
		}
	}()
	t.Cleanup(func() {
		for _, complaint := range tab.forgive() {
			t.Errorf("the console has %s", complaint)
		}
	})
	return tab
}

// forgive forgets what the console complained about, and returns it.
func (t *tab) forgive() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	was := t.complaints
	t.complaints = nil
	return was
}

func (t *tab) do(err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// look says how the page is looked at: how wide and high, and with which preferences, as name, value, …
func (t *tab) look(width, height int64, preferences ...string) {
	t.Helper()
	_, err := chromedp.Call(t.ctx, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
		Width: width, Height: height, DeviceScaleFactor: 1, Mobile: width < 500,
	})
	t.do(err)
	var features []*emulation.MediaFeature
	for i := 0; i < len(preferences); i += 2 {
		features = append(features, &emulation.MediaFeature{Name: preferences[i], Value: preferences[i+1]})
	}
	_, err = chromedp.Call(t.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: features})
	t.do(err)
}

func (t *tab) visit(url string) {
	t.Helper()
	t.do(chromedp.Do(t.ctx, chromedp.Navigate(url)))
}

// live waits until the page says that it is.
func (t *tab) live() {
	t.Helper()
	t.until(`document.documentElement.dataset.live === "on"`)
}

// until waits until an expression is true, and returns when that was, by the machine's clock.
func (t *tab) until(expression string) time.Time {
	t.Helper()
	ms, err := chromedp.Run(t.ctx, chromedp.Poll[float64]("("+expression+") ? Date.now() : 0", chromedp.WithPollingTimeout(patience)))
	if err != nil {
		text, _ := chromedp.Run(t.ctx, chromedp.Evaluate[string]("document.body.innerText"))
		t.Fatalf("%s: %v; the page is\n%s", expression, err, text)
	}
	return time.UnixMilli(int64(ms))
}

// arrives waits until another page is there. Nothing in the page before can wait for it.
func (t *tab) arrives(path string) {
	t.Helper()
	await.Nil(t, path, func(context.Context) error {
		at, err := chromedp.Run(t.ctx, chromedp.Evaluate[string](`document.readyState === "complete" ? location.pathname + location.search : ""`))
		if err == nil && at != path {
			err = fmt.Errorf("the page is %q", at)
		}
		return err
	})
}

// is fails the test when an expression is not as wanted.
func is[T comparable](t *tab, expression string, want T) {
	t.Helper()
	got, err := chromedp.Run(t.ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		t.Fatalf("%s: %v", expression, err)
	}
	if got != want {
		t.Errorf("%s is %v, not %v", expression, got, want)
	}
}

// run runs a script.
func (t *tab) run(script string) {
	t.Helper()
	t.do(chromedp.Do(t.ctx, chromedp.Evaluate[chromedp.Void](script)))
}

// press presses keys.
func (t *tab) press(keys string, options ...chromedp.KeyOption) {
	t.Helper()
	t.do(chromedp.Do(t.ctx, chromedp.KeyEvent(keys, options...)))
}

// A violation is what axe-core finds fault with.
type violation struct {
	ID, Impact, Help string
	Nodes            []struct{ HTML, FailureSummary string }
}

// audit fails the test with what axe-core finds by its rules, all or those that are named.
func (t *tab) audit(axe, page string, rules ...string) {
	t.Helper()
	options := map[string][]string{"resultTypes": {"violations"}}
	if rules != nil {
		options["runOnly"] = rules
	}
	argument, err := json.Marshal(options)
	t.do(err)
	t.run(axe + ";0")
	found, err := chromedp.Run(t.ctx, chromedp.Evaluate[string](
		fmt.Sprintf(`axe.run(document, %s).then((r) => JSON.stringify(r.violations))`, argument), chromedp.EvalAwaitPromise))
	t.do(err)
	var violations []violation
	t.do(json.Unmarshal([]byte(found), &violations))
	for _, v := range violations {
		t.Errorf("%s: %s: %s: %s: %+v", page, v.Impact, v.ID, v.Help, v.Nodes)
	}
}

// picture takes a picture of what is to be seen, or with whole of all of the page.
func (t *tab) picture(whole bool) []byte {
	t.Helper()
	picture, err := chromium.Picture(t.ctx, whole)
	t.do(err)
	return picture
}
