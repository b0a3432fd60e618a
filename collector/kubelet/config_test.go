package kubelet

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParseConfig(t *testing.T) {
	got, err := parseConfig(strings.NewReader(`{"kubeletconfig":{"kind":"KubeletConfiguration","apiVersion":"kubelet.config.k8s.io/v1beta1",
		"enableServer":true,"staticPodPath":"/etc/kubernetes/manifests","podLogsDir":"/var/log/pods","fileCheckFrequency":"20s",
		"httpCheckFrequency":"1m30s","staticPodURL":"http://127.0.0.1:959/pods","staticPodURLHeader":{"Authorization":["Bearer secret"],"A":["1","2"]},
		"featureGates":{"PodsAPI":true,"X":false},"logging":{"format":"json","flushFrequency":"5s","verbosity":2,"options":{"json":{"infoBufferSize":"0"}}}}}`))
	if err != nil {
		t.Fatal(err)
	}
	want := &Config{
		StaticPodPath: "/etc/kubernetes/manifests", StaticPodURL: "http://127.0.0.1:959/pods",
		StaticPodURLHeader: Header{"Authorization": {"Bearer secret"}, "A": {"1", "2"}},
		FileCheckFrequency: 20 * time.Second, HTTPCheckFrequency: 90 * time.Second,
		FeatureGates: map[string]bool{"PodsAPI": true, "X": false}, PodLogsDir: "/var/log/pods",
		LoggingFormat: "json", LoggingVerbosity: 2,
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b Header) bool { return cmp.Equal(map[string][]string(a), map[string][]string(b)) })); diff != "" {
		t.Error(diff)
	}
}

// An error says where a document is wrong and nothing of what is in it.
func TestParseConfigErrors(t *testing.T) {
	for _, bad := range []string{
		"", "secret", "{}", `{"kubeletconfig":null}`, `{"kubeletconfig":{"staticPodURLHeader":"secret"}}`,
		`{"kubeletconfig":{"staticPodURLHeader":{"Authorization":"secret"}}}`, `{"kubeletconfig":{"logging":{"verbosity":"secret"}}}`,
		`{"kubeletconfig":{`,
	} {
		c, err := parseConfig(strings.NewReader(bad))
		if err == nil || c != nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: config %v, error %v", bad, c, err)
		}
	}
}

// However a header is printed, its values are not.
func TestHeaderIsSecret(t *testing.T) {
	c := Config{StaticPodURLHeader: Header{"Authorization": {"Bearer secret"}, "Cookie": {"secret"}}}
	v := &View{Config: &c}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t"} {
		fmt.Fprintf(&out, verb+" "+verb+" "+verb+" "+verb+"\n", c, &c, c.StaticPodURLHeader, v)
	}
	fmt.Fprintln(&out, c, &c, c.StaticPodURLHeader)
	for _, h := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(h).Info("x", "config", c, "pointer", &c, "header", c.StaticPodURLHeader, "view", v)
	}
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	out.Write(data)
	// In hexadecimal too.
	if text := out.String(); strings.Contains(text, "secret") || strings.Contains(strings.ToLower(text), "736563726574") {
		t.Error(text)
	}
	if got := c.StaticPodURLHeader.String(); got != "[Authorization Cookie]" {
		t.Errorf("names %s", got)
	}
	if got := http.Header(c.StaticPodURLHeader).Get("Cookie"); got != "secret" {
		t.Errorf("cannot be sent: %s", got)
	}
	if data, err := json.Marshal(Header(nil)); string(data) != "[]" || err != nil {
		t.Errorf("none: %s, %v", data, err)
	}
}

func TestParseBuildInfo(t *testing.T) {
	// A label that looks like the metric where a read of its line begins.
	const buffer = 4096
	long := "x{a=\"" + strings.Repeat("x", buffer-5) + "kubernetes_build_info{git_version=\"v9\"} \"} 1\n"
	for in, want := range map[string]string{
		"": "", "a 1\n": "",
		"kubernetes_build_info{git_version=\"v1.37.2\"} 1":                                        "v1.37.2",
		"a 1\nkubernetes_build_info{build_date=\"x\",git_version=\"v1.35.0+k3s1\",major=\"1\"} 1": "v1.35.0+k3s1",
		long + "kubernetes_build_info{git_version=\"v1.37.2\"} 1\n":                               "v1.37.2",
		long: "",
		"kubernetes_build_info{git_version=\"v0.0.0-master+$Format:%H$\"} 1\n": "",
		"kubernetes_build_info{git_version=\"x\"} 1\n":                         "",
		"kubernetes_build_info{git_version=\"v1":                               "",
		"kubernetes_build_info{} 1\n":                                          "",
		"# kubernetes_build_info{git_version=\"v1.2.3\"} 1\n":                  "",
	} {
		if got, err := parseBuildInfo(strings.NewReader(in)); got != want || err != nil {
			t.Errorf("%.80s: %s, %v, want %s", in, got, err, want)
		}
	}
}

// What a kubelet says of itself is asked once, again when it may be another one, and again after a while.
func TestDescription(t *testing.T) {
	k, path := newSocketKubelet(t, crowd()...), socketPath(t)
	k.start(path)
	web := newWebKubelet(crowd()...)
	web.statusz = `{"kind":"Statusz","binaryVersion":"1.37"}`
	s := secure(t, web, newAuthority(t, "ca"), nil)
	c := newClient(t, Options{PodsSocket: "unix://" + path, Endpoint: s.URL, InsecureSkipVerify: true})
	deny := func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusForbidden) }
	broken := func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
	config := func(path string) string { return `{"kubeletconfig":{"staticPodPath":"` + path + `"}}` }
	unstamped := "kubernetes_build_info{git_version=\"v0.0.0-master+x\"} 1\n"
	soon, later := failedFor, refusedFor
	for _, step := range []struct {
		name     string
		restart  bool // the kubelet
		elapse   bool // the time until it is asked again
		answers  map[string]http.HandlerFunc
		config   string
		metrics  string
		want     string // path and version
		asked    bool
		nextTime time.Duration
	}{
		{"first", false, false, nil, config("/a"), "", "/a v1.37.2", true, knownFor},
		{"idle", false, false, nil, config("/b"), "", "/a v1.37.2", false, knownFor},
		{"after a while", false, true, nil, config("/b"), "", "/b v1.37.2", true, knownFor},
		{"it cannot be asked", false, true, map[string]http.HandlerFunc{"/configz": broken}, "", "", "/b v1.37.2", true, soon},
		{"it refuses, and is the same", false, true, map[string]http.HandlerFunc{"/configz": deny}, "", "", "/b v1.37.2", true, later},
		{"it restarts and cannot be asked", true, false, map[string]http.HandlerFunc{"/configz": broken, "/metrics": broken}, "", "", "/b v1.37.2", true, soon},
		{"it can be asked again, and is a newer one", false, true, map[string]http.HandlerFunc{}, config("/b"), "kubernetes_build_info{git_version=\"v1.37.3\"} 1\n", "/b v1.37.3", true, knownFor},
		{"it restarts and cannot be asked for its configuration", true, false, map[string]http.HandlerFunc{"/configz": broken}, "", "", "/b v1.37.2", true, soon},
		{"and then refuses", false, true, map[string]http.HandlerFunc{"/configz": deny}, "", "", "nil v1.37.2", true, later},
		{"it restarts and refuses", true, false, map[string]http.HandlerFunc{"/configz": deny, "/metrics": deny, "/statusz": deny}, "", "", "nil ", true, later},
		{"it restarts and answers", true, false, nil, config("/c"), "", "/c v1.37.2", true, knownFor},
		{"it restarts, built without a version", true, false, nil, config("/c"), unstamped, "/c v1.37", true, knownFor},
		{"it restarts, without metrics", true, false, map[string]http.HandlerFunc{"/metrics": deny}, config("/c"), "", "/c v1.37", true, knownFor},
		{"it restarts, older and without a version", true, false, map[string]http.HandlerFunc{"/statusz": http.NotFound}, config("/c"), unstamped, "/c ", true, knownFor},
	} {
		web.set(func() {
			web.answers, web.config = step.answers, step.config
			web.metrics = "kubernetes_build_info{git_version=\"v1.37.2\"} 1\n"
			if step.metrics != "" {
				web.metrics = step.metrics
			}
		})
		if step.restart {
			c.socket.opened.Add(1)
		}
		if step.elapse {
			c.described.again = time.Time{}
		}
		before, now := web.asked("/configz"), time.Now()
		v := view(t, c, true)
		got := "nil"
		if v.Config != nil {
			got = v.Config.StaticPodPath
		}
		if got += " " + v.Version; got != step.want {
			t.Errorf("%s: %s, want %s", step.name, got, step.want)
		}
		if asked := web.asked("/configz") > before; asked != step.asked {
			t.Errorf("%s: asked %v", step.name, asked)
		}
		if again := c.described.again; step.asked && (again.Before(now.Add(step.nextTime)) || again.After(time.Now().Add(step.nextTime))) {
			t.Errorf("%s: asks again in %v, want %v", step.name, time.Until(again), step.nextTime)
		}
	}
}

// A description that does not come holds up the pods no longer than its own deadline.
func TestDescriptionThatHangs(t *testing.T) {
	web := newWebKubelet(crowd()...)
	hang := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	web.answers["/configz"], web.answers["/metrics"] = hang, hang
	s := secure(t, web, newAuthority(t, "ca"), nil)
	c := newClient(t, Options{Endpoint: s.URL, InsecureSkipVerify: true, Timeout: time.Second})
	v := view(t, c, true)
	if len(v.Pods) != 2 || v.Config != nil || v.Version != "" {
		t.Errorf("view %+v", v)
	}
}
