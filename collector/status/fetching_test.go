package status

import (
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/staticpod-exporter/staticpod-exporter/collector"
	"github.com/staticpod-exporter/staticpod-exporter/collector/kubelet"
	"github.com/staticpod-exporter/staticpod-exporter/collector/kubeletlog"
	"github.com/staticpod-exporter/staticpod-exporter/manifest"
)

func TestWhyTheKubeletDoesNotFetch(t *testing.T) {
	config := func(url string) *kubelet.Config {
		return &kubelet.Config{StaticPodURL: url, HTTPCheckFrequency: 5 * time.Second}
	}
	for name, test := range map[string]struct {
		config *kubelet.Config
		given  func(*scene)
		quiet  time.Duration // since the last fetch
		detail string        // "" for no problem
		words  string
	}{
		"it has just fetched, whatever its configuration":         {config: config(""), quiet: time.Second},
		"it is configured and silent for less than three periods": {config: config("http://127.0.0.1:959/pods"), quiet: 14 * time.Second},
		"it is configured and silent":                             {config: config("http://127.0.0.1:959/pods"), quiet: 16 * time.Second, detail: "Silent", words: "since 2026-01-02T12:00:00Z: though it should every 5s"},
		"it has no staticPodURL":                                  {config: config(""), quiet: 6 * time.Second, detail: "NotConfigured", words: "its staticPodURL is not set"},
		"its staticPodURL is another's": {config: config("http://user:hunter2@10.0.0.1:8000/pods?token=hunter2"), quiet: 6 * time.Second, detail: "OtherURL",
			words: "its staticPodURL is http://xxxxx@10.0.0.1:8000/pods?token=xxxxx, and this exporter serves http://127.0.0.1:959/pods"},
		"its staticPodURL has another path": {config: config("http://127.0.0.1:959/pods.yaml"), quiet: 6 * time.Second, detail: "OtherURL", words: "/pods.yaml"},
		"it comes without the token": {config: config("http://127.0.0.1:959/pods"), given: func(s *scene) { s.refused = s.now.Add(-time.Second) }, quiet: 6 * time.Second,
			detail: "Unauthorized", words: "without the token"},
		"somebody else comes without the token": {config: config("http://127.0.0.1:959/pods"), given: func(s *scene) { s.refused = s.now.Add(-time.Second) }, quiet: 2 * time.Second},
		"nobody knows its configuration":        {quiet: 59 * time.Second},
		"nor whether it is silent":              {quiet: 61 * time.Second, detail: "Silent"},
		"it is down":                            {config: config(""), given: func(s *scene) { s.down(collector.InputKubelet, s.now.Add(-time.Second), "refused") }, quiet: 2 * time.Minute},
		"another server feeds it": {config: config("http://127.0.0.1:959/pods"), quiet: 16 * time.Second, detail: "Silent",
			given: func(s *scene) {
				s.run(s.define("theirs", manifest.SourceHTTP))
				s.definitions = s.definitions[:1]
			},
			words: "it runs 1 pods of a URL that are not of this list: another server feeds it"},
	} {
		t.Run(name, func(t *testing.T) {
			s := running()
			s.address, s.config = "127.0.0.1:959", test.config
			s.fetch(s.now)
			st := tell(t, s)
			st.polls = false
			st.now = st.now.Add(test.quiet)
			if test.given != nil {
				test.given(st.scene)
			}
			st.then(0)
			p := manifest.Problem{}
			for _, q := range find(t, st.last, web).Spec.Problems {
				if q.Reason == KubeletNotFetching {
					p = q
				}
			}
			if p.Detail != test.detail || !strings.Contains(p.Message, test.words) || strings.Contains(p.Message, "hunter2") || p.Reason != "" && !p.Since.Equal(noon) {
				t.Errorf("%+v", p)
			}
			st.fetch(st.now)
			st.up(collector.InputKubelet, st.now)
			for _, q := range find(t, st.then(time.Second).last, web).Spec.Problems {
				if q.Reason == KubeletNotFetching {
					t.Errorf("it has fetched: %+v", q)
				}
			}
		})
	}
}

// One that was down for long, and comes back, is given time to fetch, and to tell its new configuration.
func TestKubeletThatComesBack(t *testing.T) {
	s := running()
	s.address, s.config = "127.0.0.1:959", &kubelet.Config{StaticPodURL: "http://127.0.0.1:959/pods", HTTPCheckFrequency: 5 * time.Second}
	s.fetch(s.now)
	st := tell(t, s)
	st.polls = false
	st.down(collector.InputKubelet, st.now, "refused")
	st.then(time.Minute)
	st.up(collector.InputKubelet, st.now)
	st.then(time.Second).is(web, "")
	st.config = &kubelet.Config{HTTPCheckFrequency: 5 * time.Second}
	st.then(time.Second)
	if p := st.is(web, KubeletNotFetching).Spec.Problems[0]; p.Detail != "NotConfigured" {
		t.Errorf("%+v", p)
	}
	st.counted(KubeletNotFetching, 1)
	// It has dropped the pod with its source, and that is the cause.
	st.pods, st.sandboxes = nil, nil
	st.then(time.Minute).is(web, KubeletNotFetching)
}

// A kubelet that never came, at whose configuration we can look, is told at once.
func TestKubeletThatIsNotConfigured(t *testing.T) {
	s := running()
	s.fetches, s.address, s.config = nil, "127.0.0.1:959", &kubelet.Config{}
	s.polls = false
	if p := find(t, Derive(nil, s.look()), web).Spec.Problems; len(p) != 1 || p[0].Reason != KubeletNotFetching || p[0].Detail != "NotConfigured" {
		t.Errorf("%+v", p)
	}
}

func TestPointsElsewhere(t *testing.T) {
	for _, test := range []struct {
		url, address string
		want         bool
	}{
		{"http://127.0.0.1:959/pods", "127.0.0.1:959", false},
		{"http://127.0.0.1:958/pods", "127.0.0.1:959", true},
		{"http://127.0.0.2:959/pods", "127.0.0.1:959", true},
		{"http://localhost:959/pods", "127.0.0.1:959", false},
		{"http://localhost:959/pods", "[::1]:959", false},
		{"http://localhost:959/pods", "10.0.0.1:959", true},
		{"http://[::1]:959/pods", "127.0.0.1:959", true},
		{"http://[::ffff:127.0.0.1]:959/pods", "127.0.0.1:959", false},
		{"http://node1.example:959/pods", "10.0.0.1:959", false}, // whoever that is
		{"http://10.0.0.1:959/pods", "[::]:959", false},
		{"http://10.0.0.1:959/pods", "0.0.0.0:959", false},
		{"http://10.0.0.1:959/pods?a=b", "10.0.0.1:959", false},
		{"http://10.0.0.1/pods", "10.0.0.1:80", false},
		{"https://127.0.0.1:959/pods", "127.0.0.1:959", true},
		{"http://127.0.0.1:959/", "127.0.0.1:959", true},
		{"http://127.0.0.1:959/pods", "", false},
		{"%zz", "127.0.0.1:959", true},
	} {
		if got := pointsElsewhere(test.url, test.address); got != test.want {
			t.Errorf("%s of a listener on %s: %t", test.url, test.address, got)
		}
	}
}

// How often the kubelet comes is learned from when it comes, where its configuration cannot be read.
func TestKubeletThatFetchesSeldom(t *testing.T) {
	s := running()
	s.fetches = nil
	for i := range 6 {
		s.fetch(noon.Add(-time.Duration(5-i) * time.Minute).Add(time.Duration(i) * time.Millisecond))
	}
	st := tell(t, s)
	st.polls = false
	st.then(2*time.Minute).is(web, "")
	st.then(2*time.Minute).is(web, KubeletNotFetching)
}

func TestMissingSource(t *testing.T) {
	list := &manifest.List{URL: "http://feed", Revision: "r", At: noon}
	for name, test := range map[string]struct {
		given         func() *scene
		detail, words string
	}{
		"the list is withheld": {func() *scene {
			s := running()
			s.problems = []manifest.Problem{{Reason: manifest.MassRemovalHeld, Level: manifest.Critical, Message: "no list is served: x"}}
			s.document = nil
			return s
		}, "http", "no list is served: x"},
		"there is no list yet": {func() *scene { s := running(); s.document = nil; return s }, "http", "no list is served yet"},
		"the kubelet looks elsewhere": {func() *scene {
			s := running()
			s.fetches, s.config = nil, &kubelet.Config{StaticPodURL: "http://10.0.0.1/x"}
			return s
		}, "http", "its staticPodURL is http://10.0.0.1/x"},
		"the list was refused": {func() *scene {
			s := running()
			s.say(kubeletlog.Event{Kind: kubeletlog.URLRefused, Message: "invalid pod"})
			s.edit("web")
			s.serve()
			return s
		}, "http", "it refused the list: invalid pod"},
		"another server's list is bad": {func() *scene {
			s := observing()
			bad := *list
			bad.UIDs = []types.UID{""}
			bad.Refusal, s.list, s.config = "because of items[1]", &bad, &kubelet.Config{StaticPodURL: "http://feed"}
			return s
		}, "http", "because of items[1]"},
		"another server does not answer": {func() *scene {
			s := observing()
			s.list, s.config = &manifest.List{URL: "http://feed"}, &kubelet.Config{StaticPodURL: "http://feed"}
			s.problems = []manifest.Problem{{Reason: manifest.ManifestUnreadable, Path: "http://feed", Message: "connection refused"}}
			return s
		}, "http", "connection refused"},
		"files alone": {func() *scene { s := observing(); s.config = &kubelet.Config{}; return s }, "api", "it cannot reach its API server"},
		"it has its list": {func() *scene {
			s := running()
			s.address, s.config = "127.0.0.1:959", &kubelet.Config{StaticPodURL: "http://127.0.0.1:959/pods"}
			return s
		}, "api", "it cannot reach its API server"},
		"nothing is known": {func() *scene { s := observing(); return s }, "", "or it cannot reach its API server"},
	} {
		t.Run(name, func(t *testing.T) {
			s := test.given()
			state := s.inputs[collector.InputKubelet]
			state.SourcesNotReady = true
			s.inputs[collector.InputKubelet] = state
			for _, p := range find(t, Derive(nil, s.look()), NodeID).Spec.Problems {
				if p.Reason == KubeletSourcesNotReady && (p.Detail != test.detail || !strings.Contains(p.Message, test.words)) {
					t.Errorf("%+v", p)
				} else if p.Reason == KubeletSourcesNotReady {
					return
				}
			}
			if !t.Failed() {
				t.Error("no such problem")
			}
		})
	}
}
