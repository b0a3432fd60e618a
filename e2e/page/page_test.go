package page

import (
	"bufio"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// The scenarios run one after the other on one node, and leave it as it was but for what they say.
func TestPage(t *testing.T) {
	s := newStage(t)
	for _, scenario := range []struct {
		name string
		play func(*testing.T, *stage)
	}{
		{"everybody can read every page", audits},
		{"no page has a secret", noSecrets},
		{"the keyboard is enough", keyboard},
		{"a filter is kept in the address", filters},
		{"without JavaScript", plain},
		{"pictures", pictures},
		{"a pod breaks", breaks},
		{"the exporter goes and comes back", lost},
		{"a pod goes while its page is open", goes},
		{"two hundred static pods", many},
	} {
		t.Run(scenario.name, func(t *testing.T) { scenario.play(t, s) })
	}
}

// row is the expression of a pod's row.
func (s *stage) row(name string) string {
	return fmt.Sprintf("document.getElementById(%q)", "pod:"+s.id(name))
}

// pages are all kinds of page there are.
func (s *stage) pages() map[string]string {
	all := map[string]string{
		"the node": "/", "a filter that nothing passes": "/?q=nothing", "the node itself": "/staticpodstatus/node",
		"a definition": "/staticpods/default-hello", "the reasons": "/reasons", "nothing": "/nothing", "a pod that is not there": "/staticpodstatus/default/nobody",
	}
	for _, name := range []string{"hello", "lines", "odd", "crash", "refused"} {
		all[name] = "/staticpodstatus/" + s.id(name)
	}
	return all
}

// In both schemes, on a desk and on a phone, axe-core has nothing to say, and neither has the console: that includes
// violations of the page's own policy.
func audits(t *testing.T, s *stage) {
	for _, look := range []struct {
		name, scheme string
		width        int64
		rules        []string // nil is all
		pages        []string // nil is all
	}{
		{name: "light", scheme: "light", width: 1280},
		{name: "dark", scheme: "dark", width: 1280, rules: []string{"color-contrast"}}, // the rest is the same
		{name: "phone", scheme: "light", width: 390, pages: []string{"the node", "lines", "refused"}},
	} {
		tab := s.browser.open(t)
		tab.look(look.width, 900, "prefers-color-scheme", look.scheme)
		for name, path := range s.pages() {
			if look.pages != nil && !slices.Contains(look.pages, name) {
				continue
			}
			tab.visit(s.URL() + path)
			status := tab.forgive() // a 404 is told there too
			if !strings.HasPrefix(name, "nothing") && !strings.HasSuffix(name, "not there") && len(status) > 0 {
				t.Errorf("%s, %s: the console has %q", look.name, name, status)
			}
			tab.audit(s.browser.axe, look.name+", "+name, look.rules...)
			is(tab, "document.documentElement.scrollWidth <= innerWidth", true)
		}
	}
}

// Environment, arguments and headers of probes are on no page and in no stream.
func noSecrets(t *testing.T, s *stage) {
	for name, path := range s.pages() {
		for _, form := range []string{"", "?watch=true&output=html"} {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL()+path+form, nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Accept", "text/html, text/event-stream")
			response, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			// A stream goes on after its first contents.
			lines := bufio.NewScanner(response.Body)
			lines.Buffer(nil, 1<<20)
			for lines.Scan() && lines.Text() != "event: now" {
				for _, secret := range secrets {
					if strings.Contains(lines.Text(), secret) {
						t.Errorf("%s%s has %q: %s", name, form, secret, lines.Text())
					}
				}
			}
			response.Body.Close()
			if err := lines.Err(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// Tab leads to everything, in the order of the page, and shows where it is.
func keyboard(t *testing.T, s *stage) {
	tab := s.browser.open(t)
	tab.look(1280, 700, "prefers-reduced-motion", "reduce")
	tab.visit(s.URL() + "/")
	tab.live()
	var way []string
	for range 60 {
		tab.press(kb.Tab)
		stop, err := chromedp.Run(tab.ctx, chromedp.Evaluate[string](`(() => {
			const e = document.activeElement, box = e.getBoundingClientRect(), style = getComputedStyle(e);
			if (e === document.body) return "";
			const top = document.elementFromPoint(box.left + Math.min(box.width / 2, 20), box.top + box.height / 2);
			const seen = box.width > 0 && box.top >= 0 && box.bottom <= innerHeight && box.left >= 0 && (e.contains(top) || top && top.contains(e));
			return (e.textContent.trim() || e.name) + (seen ? "" : " UNSEEN") + (style.outlineStyle === "none" ? " UNMARKED" : "");
		})()`))
		tab.do(err)
		if stop == "" {
			break
		}
		way = append(way, stop)
	}
	walk := strings.Join(way, " | ")
	t.Log(walk)
	if strings.Contains(walk, "UNSEEN") || strings.Contains(walk, "UNMARKED") {
		t.Errorf("the focus is not to be seen: %s", walk)
	}
	last := -1
	for _, stop := range []string{"Skip to the content", "Static pods", "Reasons", "q", "All 5", "default/crash-node1", "CrashLoopBackOff", "default/hello-node1", "definitions"} {
		i := -1
		for j, text := range way {
			if text == stop {
				i = j
				break
			}
		}
		if i <= last {
			t.Errorf("%q is stop %d, after %d: %s", stop, i, last, walk)
		}
		last = i
	}

	// What changes is shown without movement to those who do not want any.
	tab.run(s.row("hello") + `.classList.add("changed")`)
	is(tab, `getComputedStyle(`+s.row("hello")+`.cells[0]).animationName`, "none")

	// The first stop leads over what is the same on every page.
	tab.visit(s.URL() + "/")
	tab.press(kb.Tab)
	tab.press(kb.Enter)
	tab.until(`document.activeElement.id === "main"`)

	// And Enter on a pod to its page.
	tab.run(s.row("hello") + `.querySelector("a").focus()`)
	tab.press(kb.Enter)
	tab.arrives("/staticpodstatus/" + s.id("hello"))
	tab.live()
}

// What is typed is in the address, which shows the same to somebody else.
func filters(t *testing.T, s *stage) {
	tab := s.browser.open(t)
	shown := `[...document.querySelectorAll("#rows tr")].filter((r) => !r.hidden).map((r) => r.id.slice(4)).join()`
	tab.visit(s.URL() + "/")
	tab.live()
	tab.run(`document.getElementById("q").focus()`)
	tab.press("node1 crash")
	tab.until(fmt.Sprintf(`%s === %q`, shown, s.id("crash")))
	is(tab, "location.search", "?q=node1+crash")
	tab.run(`document.querySelector("#counts [data-state=ok]").click()`)
	tab.until(shown + ` === "" && !document.getElementById("none").hidden`)
	is(tab, "location.search", "?q=node1+crash&state=ok")

	tab.visit(s.URL() + "/?q=NODE1&state=critical")
	tab.live()
	want := s.id("crash") + "," + s.id("refused")
	tab.until(fmt.Sprintf(`%s === %q && document.getElementById("q").value === "NODE1"`, shown, want))
	tab.run(`document.querySelector("#counts a").click()`)
	tab.until(`[...document.querySelectorAll("#rows tr")].filter((r) => !r.hidden).length === 5`)
	is(tab, "location.search", "?q=NODE1")
	is(tab, `document.querySelector("#counts [aria-current]").textContent.trim()`, "All 5")
}

// Without JavaScript it is a table with the times as they were, and the filter is a form.
func plain(t *testing.T, s *stage) {
	tab := s.browser.open(t)
	_, err := chromedp.Call(tab.ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	tab.do(err)
	tab.visit(s.URL() + "/")
	is(tab, `document.querySelectorAll("#rows tr").length`, 5)
	is(tab, `document.documentElement.dataset.live || "no"`, "no")
	is(tab, `/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC$/.test(document.querySelector("#rows time").textContent)`, true)
	is(tab, `getComputedStyle(document.querySelector("#filter button")).display !== "none"`, true)
	tab.run(`document.getElementById("q").focus()`)
	tab.press("crash")
	tab.press(kb.Enter)
	tab.arrives("/?q=crash")
	is(tab, `[...document.querySelectorAll("#rows tr")].map((r) => r.id.slice(4)).join()`, s.id("crash"))
	is(tab, `document.getElementById("q").value`, "crash")
	tab.visit(s.URL() + "/staticpodstatus/" + s.id("refused"))
	is(tab, `document.querySelector("h1").textContent`, s.id("refused"))
	is(tab, `document.querySelectorAll(".problem .remedy").length > 0`, true)
}

// What breaks is seen without reloading, where it is looked at, and read aloud; what had the focus keeps it.
func breaks(t *testing.T, s *stage) {
	tab, detail := s.browser.open(t), s.browser.open(t)
	detail.visit(s.URL() + "/staticpodstatus/" + s.id("lines"))
	detail.live()
	detail.run(`window.same = true`)
	tab.visit(s.URL() + "/")
	tab.live()
	tab.run(`window.same = true;` + s.row("lines") + `.querySelector("a").focus()`)
	is(tab, s.row("lines")+`.dataset.state`, "ok")

	var pid int
	for _, c := range s.until(t, "lines", "").Spec.Containers {
		if c.Name == "lines" {
			pid = c.PID
		}
	}
	cause := time.Now()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	seen := tab.until(s.row("lines") + `.dataset.state !== "ok" && !/^\s*Ready/.test(` + s.row("lines") + `.innerText)`)
	t.Logf("a container that is killed is seen on the page after %s", seen.Sub(cause).Round(time.Millisecond))
	is(tab, `window.same`, true)
	is(tab, `document.activeElement === `+s.row("lines")+`.querySelector("a")`, true)
	is(tab, `document.getElementById("news").textContent.includes("lines-node1")`, true)
	detail.until(`window.same && document.getElementById("detail").innerText.includes("Restarts\n1")`)
	tab.until(s.row("lines") + `.dataset.state === "ok"`) // the kubelet starts it anew
	is(tab, `document.activeElement === `+s.row("lines")+`.querySelector("a")`, true)

	// A bad edit: the pod runs on, and what is wrong is there at once.
	cause = time.Now()
	s.write(t, "odd.yaml", strings.Replace(definitions["odd.yaml"], "containers:", "containerz:", 1))
	seen = tab.until(s.row("odd") + `.innerText.includes("ManifestInvalid")`)
	t.Logf("a bad edit is seen on the page after %s", seen.Sub(cause).Round(time.Millisecond))
	is(tab, `document.title.startsWith("(")`, true)
	is(tab, `document.querySelector("link[rel=icon]").href.includes("path")`, true)
	cause = time.Now()
	s.write(t, "odd.yaml", strings.Replace(definitions["odd.yaml"], "  terminationGracePeriodSecond: 0\n", "", 1))
	seen = tab.until(s.row("odd") + `.dataset.state === "ok"`)
	t.Logf("mended, it is seen on the page after %s", seen.Sub(cause).Round(time.Millisecond))
	is(tab, `window.same`, true)
}

// A page that has lost its exporter says so, for how long, and goes on by itself.
func lost(t *testing.T, s *stage) {
	tab := s.browser.open(t)
	tab.visit(s.URL() + "/")
	tab.live()
	tab.run(`window.same = true`)
	s.Stop(t.Context())
	tab.until(`/^Lost the exporter$/.test(document.getElementById("live-state").textContent) && /^last heard \d+s ago, trying again$/.test(document.getElementById("live-detail").textContent)`)
	is(tab, `document.querySelectorAll("#rows tr").length`, 5) // what was known is still there
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	tab.live()
	tab.until(`document.querySelectorAll("#rows tr").length === 5`)
	is(tab, `window.same`, true)

	// One that hangs ends no connection.
	if err := s.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	tab.until(`document.documentElement.dataset.live === "lost"`)
	if err := s.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	tab.live()
	is(tab, `window.same`, true)
	tab.forgive() // connections that were refused
}

// The page of a pod whose definition is removed says that it is gone.
func goes(t *testing.T, s *stage) {
	tab := s.browser.open(t)
	tab.visit(s.URL() + "/staticpodstatus/" + s.id("refused"))
	tab.live()
	if err := os.Remove(filepath.Join(s.files, "refused.yaml")); err != nil {
		t.Fatal(err)
	}
	tab.until(`document.querySelector(".sentence").textContent.includes("no static pod of this name")`)
	tab.visit(s.URL() + "/")
	tab.live()
	is(tab, s.row("refused")+` === null`, true)
}

// As many as a node will ever have: they come as one, and are found among each other.
func many(t *testing.T, s *stage) {
	tab := s.browser.open(t)
	tab.visit(s.URL() + "/")
	tab.live()
	var all strings.Builder
	for i := range 200 {
		fmt.Fprintf(&all, "---\napiVersion: v1\nkind: Pod\nmetadata: {name: many-%03d}\nspec: {containers: []}\n", i)
	}
	cause := time.Now()
	s.write(t, "many.yaml", all.String())
	seen := tab.until(`document.querySelectorAll("#rows tr").length === 204`)
	t.Logf("two hundred definitions more are seen on the page after %s", seen.Sub(cause).Round(time.Millisecond))
	tab.run(`document.getElementById("q").focus()`)
	tab.press("many-07")
	tab.until(`[...document.querySelectorAll("#rows tr")].filter((r) => !r.hidden).length === 10`)
	is(tab, `document.getElementById("q") === document.activeElement`, true)
	tab.look(390, 800)
	is(tab, "document.documentElement.scrollWidth <= innerWidth", true)
	tab.audit(s.browser.axe, "two hundred")
}
