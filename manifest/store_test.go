package manifest

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// A bench is a store on a real directory with a real listener.
type bench struct {
	t     *testing.T
	dir   string // of definitions
	state string
	conf  atomic.Pointer[ConfigError] // what loading the configuration gives
	// running is what the node runs; nil while nobody knows
	running Running
	*Store
	server *httptest.Server
	stop   func()
}

func newBench(t *testing.T) *bench {
	b := &bench{t: t, dir: t.TempDir(), state: filepath.Join(t.TempDir(), "state"), running: Running{}}
	b.start()
	t.Cleanup(func() { b.stop() })
	return b
}

// start opens the store and runs it, as a new process would.
func (b *bench) start(options ...func(*Options)) {
	b.t.Helper()
	o := Options{
		Node: "node1", Serving: true, StateDirectory: b.state,
		Load: func() (Sources, error) {
			sources := Sources{Patterns: []string{b.dir + "/*.yaml"}}
			if bad := b.conf.Load(); bad != nil {
				return sources, bad
			}
			return sources, nil
		},
		Logger: slog.New(slog.NewTextHandler(b.t.Output(), nil)),
	}
	for _, f := range options {
		f(&o)
	}
	s, err := Open(o)
	if err != nil {
		b.t.Fatal(err)
	}
	s.SetRunning(b.running)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	b.Store = s
	b.server = httptest.NewServer(s.Handler())
	go func() { defer close(done); _ = s.Run(ctx) }()
	b.stop = func() { cancel(); <-done; b.server.Close() }
}

func (b *bench) write(name, content string) {
	b.t.Helper()
	path := filepath.Join(b.dir, name)
	if err := os.WriteFile(path+".tmp", []byte(content), 0o600); err != nil {
		b.t.Fatal(err)
	}
	if err := os.Rename(path+".tmp", path); err != nil {
		b.t.Fatal(err)
	}
}

// until waits for a Set that satisfies ok.
func (b *bench) until(what string, ok func(*Set) bool) *Set {
	b.t.Helper()
	timeout := time.After(30 * time.Second)
	for {
		changed := b.Changed()
		if set := b.Current(); ok(set) {
			return set
		}
		select {
		case <-changed:
		case <-timeout:
			data, _ := json.MarshalIndent(b.Current().Definitions, "", " ")
			b.t.Fatalf("never saw: %s\n%s", what, data)
		}
	}
}

func (b *bench) find(set *Set, id string) *Definition {
	for _, d := range set.Definitions {
		if d.ID == id {
			return d
		}
	}
	return nil
}

// fetch asks as the kubelet does.
func (b *bench) fetch(header ...string) (int, corev1.PodList) {
	b.t.Helper()
	request, _ := http.NewRequest(http.MethodGet, b.server.URL+"/pods", nil)
	for i := 0; i+1 < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		b.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	var list corev1.PodList
	if response.StatusCode == http.StatusOK {
		if err := json.Unmarshal(body, &list); err != nil {
			b.t.Fatal(err)
		}
	}
	return response.StatusCode, list
}

func loaded(s *Set) bool { return s.Document != nil && s.Definitions != nil }

func TestStoreServesWhatIsValidAndQuarantinesTheRest(t *testing.T) {
	b := newBench(t)
	b.write("web.yaml", pod("web", "1"))
	b.write("bad.yaml", bad("bad"))
	set := b.until("both definitions", func(s *Set) bool { return b.find(s, "default-web") != nil && b.find(s, "default-bad") != nil })

	code, list := b.fetch()
	if code != 200 || len(list.Items) != 1 || list.Items[0].Name != "web" || list.Items[0].UID != b.find(set, "default-web").UID {
		t.Errorf("the kubelet got %d, %+v", code, list.Items)
	}
	d := b.find(set, "default-bad")
	if d.Valid || d.Served || d.Problems[0].Reason != ManifestInvalid || d.Problems[0].Line == 0 || !strings.Contains(d.Problems[0].Message, "spec.containers") {
		t.Errorf("the bad one: %+v", d)
	}
	if set.Rejections["validation"] != 1 {
		t.Errorf("rejections %v", set.Rejections)
	}
}

func TestStoreSurvivesARestartWithABadEditInPlace(t *testing.T) {
	b := newBench(t)
	b.write("web.yaml", pod("web", "1"))
	first := b.until("web", func(s *Set) bool { return b.find(s, "default-web") != nil })
	b.write("web.yaml", bad("web"))
	b.until("the bad edit", func(s *Set) bool { d := b.find(s, "default-web"); return d != nil && !d.Valid })
	b.stop()
	b.start()
	// Before anything is parsed the document is there.
	if code, list := b.fetch(); code != 200 || len(list.Items) != 1 {
		t.Fatalf("right after the start: %d with %d pods", code, len(list.Items))
	}
	after := b.until("the bad edit again", func(s *Set) bool { d := b.find(s, "default-web"); return d != nil && !d.Valid })
	if after.Document.Revision != first.Document.Revision {
		t.Errorf("the document changed over the restart:\n%s\n%s", first.Document.Bytes, after.Document.Bytes)
	}
	since := b.find(after, "default-web").Problems[0].Since
	b.stop()
	b.start()
	again := b.until("the bad edit a third time", func(s *Set) bool { d := b.find(s, "default-web"); return d != nil && !d.Valid })
	if got := b.find(again, "default-web").Problems[0].Since; !got.Equal(since) {
		t.Errorf("since %v became %v", since, got)
	}
}

func TestStoreKeepsPodsWhenItsDirectoryVanishes(t *testing.T) {
	b := newBench(t)
	b.write("web.yaml", pod("web", "1"))
	b.until("web", func(s *Set) bool { return b.find(s, "default-web") != nil })
	if err := os.Rename(b.dir, b.dir+".away"); err != nil {
		t.Fatal(err)
	}
	b.until("the directory is missing", func(s *Set) bool { return has(b.find(s, "default-web").Problems, ManifestUnreadable) })
	if _, list := b.fetch(); len(list.Items) != 1 {
		t.Errorf("%d pods are served", len(list.Items))
	}
	if err := os.Rename(b.dir+".away", b.dir); err != nil {
		t.Fatal(err)
	}
	b.until("it is back", func(s *Set) bool { return len(b.find(s, "default-web").Problems) == 0 })
}

func TestStoreHoldsAMassRemovalUntilReload(t *testing.T) {
	b := newBench(t)
	b.write("web.yaml", pod("web", "1"))
	b.until("web", func(s *Set) bool { return b.find(s, "default-web") != nil })
	if err := os.Remove(filepath.Join(b.dir, "web.yaml")); err != nil {
		t.Fatal(err)
	}
	b.until("held", func(s *Set) bool { d := b.find(s, "default-web"); return d != nil && has(d.Problems, MassRemovalHeld) })
	if err := b.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.until("removed", func(s *Set) bool { return b.find(s, "default-web") == nil })
	if code, list := b.fetch(); code != 200 || list.Items == nil || len(list.Items) != 0 {
		t.Errorf("an empty list is %d %v, must be 200 and items: []", code, list.Items)
	}
}

func TestStoreWithTheStateLostDoesNotServeAroundARunningPod(t *testing.T) {
	b := newBench(t)
	b.write("web.yaml", pod("web", "1"))
	b.write("db.yaml", pod("db", "1"))
	b.until("both", func(s *Set) bool { return len(s.Definitions) == 2 && s.Document != nil })
	b.stop()
	if err := os.RemoveAll(b.state); err != nil {
		t.Fatal(err)
	}
	b.write("web.yaml", bad("web"))
	b.running = nil
	b.start()
	b.until("loaded", func(s *Set) bool { return b.find(s, "default-web") != nil })
	if code, _ := b.fetch(); code != http.StatusServiceUnavailable {
		t.Errorf("not knowing what runs, the kubelet gets %d, want 503", code)
	}
	b.SetRunning(Running{"default/web": "1", "default/db": "2"})
	b.until("withheld", func(s *Set) bool {
		return has(s.Problems, MassRemovalHeld) && strings.Contains(s.Problems[0].Message, "default/web")
	})
	if code, _ := b.fetch(); code != http.StatusServiceUnavailable {
		t.Errorf("the kubelet gets %d, want 503", code)
	}
	b.write("web.yaml", pod("web", "1"))
	b.until("served", loaded)
	if code, list := b.fetch(); code != 200 || len(list.Items) != 2 {
		t.Errorf("mended: %d with %d pods", code, len(list.Items))
	}
}

func TestStoreAsksForItsToken(t *testing.T) {
	b := newBench(t)
	b.stop()
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	b.start(func(o *Options) { o.TokenFile = token })
	b.until("loaded", func(s *Set) bool { return s.Document != nil })
	for _, c := range []struct {
		header string
		code   int
	}{{"", 401}, {"Bearer wrong", 401}, {"secret", 401}, {"Bearer ", 401}, {"Bearer secret", 200}} {
		if code, _ := b.fetch("Authorization", c.header); code != c.code {
			t.Errorf("Authorization %q: %d, want %d", c.header, code, c.code)
		}
	}
	if err := os.WriteFile(token, []byte("rotated"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _ := b.fetch("Authorization", "Bearer rotated"); code != 200 {
		t.Errorf("a rotated token gives %d", code)
	}
	fetches := b.Current().Fetches
	if fetches.ByCode[401] != 4 || fetches.ByCode[200] != 2 || len(fetches.Recent) != 2 {
		t.Errorf("fetches %+v", fetches)
	}
}

func TestStoreCountsOnlyTheKubeletsFetches(t *testing.T) {
	b := newBench(t)
	b.until("loaded", func(s *Set) bool { return s.Document != nil })
	b.fetch()
	b.fetch("User-Agent", "curl/8")
	if f := b.Current().Fetches; len(f.Recent) != 1 || f.ByCode[200] != 2 {
		t.Errorf("fetches %+v", f)
	}
}

// The verdict comes with every look at the node: acting on it twice would load in a circle, or take the next
// suspect of a refused list for refused as well.
func TestStoreActsOnAVerdictOnce(t *testing.T) {
	b := newBench(t)
	b.write("web.yaml", pod("web", "1"))
	b.write("db.yaml", pod("db", "1"))
	b.write("log.yaml", pod("log", "1"))
	set := b.until("all three", func(s *Set) bool { return s.Document != nil && len(s.Document.UIDs) == 3 })
	refused := Verdict{Revision: set.Document.Revision, Message: "invalid pod", At: time.Now()}
	b.Judge(refused)
	b.Judge(refused)
	set = b.until("a trial", func(s *Set) bool { return has(s.Problems, ListRejected) })
	for _, d := range set.Definitions {
		if has(d.Problems, ManifestRejected) {
			t.Errorf("%s was refused by a verdict on the whole list", d.ID)
		}
	}
	accepted := Verdict{Revision: set.Document.Revision, Accepted: true, At: time.Now()}
	b.Judge(accepted)
	set = b.until("the next on trial", func(s *Set) bool { return s.Document.Revision != accepted.Revision })
	b.Judge(accepted) // out of date
	loaded := set.At
	b.Judge(accepted)
	if err := b.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if b.Current().At.Equal(loaded) {
		t.Error("a reload does nothing")
	}
}

func TestJudgeIsIdempotent(t *testing.T) {
	s := newState()
	s.Served = "r"
	s.Entries["default/web"] = &entry{Source: SourceHTTP, Served: &revision{Hash: "h"}}
	v := Verdict{Revision: "r", Accepted: true, At: time.Unix(1, 0)}
	once := judge(s, v, nil)
	if once == s || once.Entries["default/web"].Accepted == nil {
		t.Fatal("the verdict changed nothing")
	}
	if judge(once, v, nil) != once {
		t.Error("the same verdict changed the state twice: the store would load in a circle")
	}
}

func TestStoreReportsABadConfigurationAndKeepsTheGoodOne(t *testing.T) {
	b := newBench(t)
	b.write("web.yaml", pod("web", "1"))
	b.until("web", func(s *Set) bool { return b.find(s, "default-web") != nil })
	bad := &ConfigError{Path: "/etc/config.yaml", Line: 3, Field: "kubelet.lgo", Message: "no such key"}
	b.conf.Store(bad)
	if err := b.Reload(t.Context()); !errors.Is(err, bad) {
		t.Errorf("reload says %v", err)
	}
	set := b.Current()
	if set.LastReload || !has(set.Problems, ConfigInvalid) || set.Problems[0].Line != 3 || set.Problems[0].Field != "kubelet.lgo" {
		t.Errorf("the set says %+v", set.Problems)
	}
	if b.find(set, "default-web") == nil {
		t.Error("the definitions are gone")
	}
}

// What is wrong beside the file is a problem as long as the store runs, and no failure of any load.
func TestStoreReportsFlaws(t *testing.T) {
	b := newBench(t)
	b.stop()
	b.start(func(o *Options) { o.Flaws = []error{&ConfigError{Field: "OTEL_SDK_DISABLED", Message: "is wrong"}} })
	b.write("web.yaml", pod("web", "1"))
	set := b.until("web", func(s *Set) bool { return b.find(s, "default-web") != nil })
	if err := b.Reload(t.Context()); err != nil {
		t.Errorf("reload says %v", err)
	}
	want := Problem{Reason: ConfigInvalid, Level: Critical, Field: "OTEL_SDK_DISABLED", Message: "is wrong"}
	if len(set.Problems) != 1 || set.Problems[0].Since.IsZero() || !set.LastReload {
		t.Fatalf("the set says %+v", set)
	}
	want.Since = set.Problems[0].Since
	if now := b.Current().Problems; set.Problems[0] != want || !slices.Equal(now, set.Problems) {
		t.Errorf("the set says %+v, and then %+v", set.Problems, now)
	}
}

func TestStoreSetsAsideAStateItCannotRead(t *testing.T) {
	b := newBench(t)
	b.stop()
	if err := os.WriteFile(filepath.Join(b.state, stateFile), []byte("{half"), 0o600); err != nil {
		t.Fatal(err)
	}
	b.start()
	entries, err := os.ReadDir(b.state)
	if err != nil {
		t.Fatal(err)
	}
	kept := false
	for _, e := range entries {
		kept = kept || strings.Contains(e.Name(), "unreadable")
	}
	if !kept {
		t.Errorf("the unreadable state was not kept: %v", entries)
	}
}

func TestStatePermissions(t *testing.T) {
	b := newBench(t)
	b.write("web.yaml", pod("web", "1"))
	b.until("web", func(s *Set) bool { return b.find(s, "default-web") != nil })
	for path, want := range map[string]os.FileMode{b.state: 0o700, filepath.Join(b.state, stateFile): 0o600} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s has mode %o, want %o", path, info.Mode().Perm(), want)
		}
	}
}

func TestDocumentIsByteStable(t *testing.T) {
	v := NewValidator(Rules{Node: "node1"})
	var items []item
	for _, name := range []string{"a", "b"} {
		c := v.File("/x.yaml", []byte(pod(name, "1")), FormDefinitions)[0]
		items = append(items, item{key: candidateKey(c), revision: newRevision(c)})
	}
	const want = `{"apiVersion":"v1","items":[` +
		`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a","namespace":"default","uid":"UID-A"},"spec":{"containers":[{"image":"1","name":"c"}]}},` +
		`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"b","namespace":"default","uid":"UID-B"},"spec":{"containers":[{"image":"1","name":"c"}]}}` +
		`],"kind":"PodList","metadata":{}}` + "\n"
	got := string(newDocument(items, time.Time{}).Bytes)
	got = strings.Replace(got, string(items[0].revision.UID), "UID-A", 1)
	got = strings.Replace(got, string(items[1].revision.UID), "UID-B", 1)
	if got != want {
		t.Errorf("the document is\n%s\nwant\n%s", got, want)
	}
	if empty := string(newDocument(nil, time.Time{}).Bytes); empty != `{"apiVersion":"v1","items":[],"kind":"PodList","metadata":{}}`+"\n" {
		t.Errorf("the empty document is %q", empty)
	}
}
