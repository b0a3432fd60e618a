package describe

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/staticpod-exporter/staticpod-exporter/collector/kubeletlog"
	"github.com/staticpod-exporter/staticpod-exporter/collector/status"
	"github.com/staticpod-exporter/staticpod-exporter/manifest"
	"github.com/staticpod-exporter/staticpod-exporter/observe/output"
)

var update = flag.Bool("update", false, "write the golden files")

var now = time.Date(2026, 11, 22, 16, 0, 0, 0, time.UTC)

func before(d time.Duration) time.Time { return now.Add(-d) }

// scene is a node with a pod that is well, one that crashes, one whose edit is refused, a file that cannot be parsed,
// and the node itself.
func scene() (pods []*status.StaticPod, statuses []*status.StaticPodStatus) {
	definition := func(id, namespace, name, path string, source manifest.Source, valid bool) *status.StaticPod {
		d := &status.StaticPod{Node: "node1", Metadata: status.Metadata{ID: id, Version: 3, Created: before(time.Hour), Updated: before(10 * time.Minute)},
			Spec: status.StaticPodSpec{Namespace: namespace, Name: name, Source: source, Path: path, Line: 1, Hash: strings.Repeat("c0ffee", 10), Served: true, Valid: valid}}
		pods = append(pods, d)
		return d
	}
	verdict := func(id string, d *status.StaticPod) *status.StaticPodStatus {
		s := &status.StaticPodStatus{Node: "node1", Metadata: status.Metadata{ID: id, Version: 7}}
		if d != nil {
			s.Spec.Definition = status.DefinitionRef{ID: d.Metadata.ID, Version: 3, Source: d.Spec.Source, Path: d.Spec.Path, Hash: d.Spec.Hash}
			if d.Spec.Name != "" {
				s.Spec.Pod = status.PodRef{Namespace: d.Spec.Namespace, Name: d.Spec.Name + "-node1", UID: "uid-of-" + d.Spec.Name}
			}
		}
		statuses = append(statuses, s)
		return s
	}

	d := definition("default-web", "default", "web", "/etc/pods/web.yaml", manifest.SourceHTTP, true)
	d.Spec.Containers = []status.ContainerImage{{Name: "web", Image: "web:2"}, {Name: "ポッド", Image: "sidecar:1"}}
	s := verdict("default/web-node1", d)
	s.Spec.Ready, s.Spec.Phase, s.Spec.Since = true, "Running", before(9*time.Minute)
	s.Spec.Pod.MirrorUID = "uid-of-its-mirror"
	s.Spec.Conditions = []status.Condition{
		{Type: status.Valid, Status: status.True, LastTransitionTime: before(10 * time.Minute)},
		{Type: status.Fetched, Status: status.True, LastTransitionTime: before(10*time.Minute - time.Second)},
		{Type: status.Ready, Status: status.True, LastTransitionTime: before(9 * time.Minute)},
	}
	s.Spec.Containers = []status.ContainerStatus{
		{Name: "web", Kind: status.KindApp, Image: "web:2", ID: "4183a7d7a77100000", PID: 4886, State: status.StateRunning, Ready: true, StartedAt: before(9*time.Minute + 500*time.Millisecond)},
		{Name: "ポッド", Kind: status.KindSidecar, Image: "sidecar:1", State: status.StateRunning, StartedAt: before(9 * time.Minute)},
	}
	began := before(10 * time.Minute)
	at := func(ms int) time.Time { return began.Add(time.Duration(ms) * time.Millisecond) }
	s.Spec.Rollout = &status.Rollout{TraceID: strings.Repeat("ab", 16), Version: 3, Started: began, Ended: at(61234), Outcome: status.OutcomeReady, Steps: []status.Step{
		{Name: status.StepChanged, Start: at(0), End: at(12)},
		{Name: status.StepFetched, Start: at(12), End: at(1700)},
		{Name: status.StepPull, Container: "ポッド", Start: at(1800), End: at(31000)},
		{Name: status.StepContainer, Container: "web", Start: at(1900), End: at(2000)},
		{Name: status.StepReady, Start: at(2000), End: at(61234)},
	}}

	d = definition("kube-system-etcd", "kube-system", "etcd", "/etc/kubernetes/manifests/etcd.yaml", manifest.SourceFile, true)
	s = verdict("kube-system/etcd-node1", d)
	s.Spec.Phase, s.Spec.Reason, s.Spec.Since = "Running", status.CrashLoopBackOff, before(5*time.Minute)
	s.Spec.Message = "back-off 2m40s restarting failed container=etcd pod=etcd-node1_kube-system(uid-of-etcd), and " + strings.Repeat("so on ", 20)
	s.Spec.Containers = []status.ContainerStatus{{Name: "etcd", Kind: status.KindApp, Image: "etcd:3", State: status.StateWaiting, Reason: "CrashLoopBackOff", RestartCount: 5,
		LastExit: &status.Exit{Code: 7, Reason: "Error", At: before(90 * time.Second)}}}
	s.Spec.Problems = []manifest.Problem{
		{Reason: status.CrashLoopBackOff, Level: manifest.Critical, Message: s.Spec.Message, Detail: "etcd", Since: s.Spec.Since},
		{Reason: manifest.UnknownField, Level: manifest.Warning, Message: "unknown field \"spec.x\x1b[31m\"", Path: d.Spec.Path, Line: 7, Column: 3, Field: "spec.x"},
	}
	s.Spec.Rollout = &status.Rollout{TraceID: strings.Repeat("cd", 16), Version: 3, Started: before(5 * time.Minute), Steps: []status.Step{
		{Name: status.StepReady, Start: before(4 * time.Minute), Reason: "CrashLoopBackOff"},
	}}

	d = definition("default-broken", "default", "broken", "/etc/pods/broken.yaml", manifest.SourceHTTP, false)
	s = verdict("default/broken-node1", d)
	s.Spec.Phase, s.Spec.Ready, s.Spec.Reason, s.Spec.Message = "Running", true, manifest.ManifestInvalid, "spec.containers: Required value"
	s.Spec.Stale, s.Spec.Observed = true, status.Observed{Manifest: before(time.Second), Kubelet: before(20 * time.Minute)}
	s.Spec.Problems = []manifest.Problem{{Reason: manifest.ManifestInvalid, Level: manifest.Critical, Message: s.Spec.Message, Path: d.Spec.Path, Line: 4, Field: "spec.containers", Since: before(time.Minute)}}
	s.Spec.Rollout = &status.Rollout{TraceID: strings.Repeat("ef", 16), Version: 3, Started: before(time.Minute), Ended: before(time.Minute - 40*time.Millisecond), Outcome: status.OutcomeRejected,
		Steps: []status.Step{{Name: status.StepRejected, Start: before(time.Minute), Reason: "ManifestInvalid"}}}

	d = definition("file:/etc/pods/half.yaml", "", "", "/etc/pods/half.yaml", manifest.SourceHTTP, false)
	d.Spec.Served, d.Spec.Hash = false, ""
	s = verdict("file:/etc/pods/half.yaml", d)
	s.Spec.Reason = manifest.ManifestMalformed
	s.Spec.Problems = []manifest.Problem{{Reason: manifest.ManifestMalformed, Level: manifest.Critical, Message: "yaml: line 3: did not find expected node content", Path: d.Spec.Path, Line: 3}}

	s = verdict("kube-system/web-node1", nil) // whose definition nobody sees
	s.Spec.Pod, s.Spec.Phase, s.Spec.Definition.Source = status.PodRef{Namespace: "kube-system", Name: "web-node1", UID: "other"}, "Pending", manifest.SourceFile

	s = verdict(status.NodeID, nil)
	s.Spec.Reason, s.Spec.Message, s.Spec.Since = status.LogUnavailable, "kubelet log: permission denied", before(3*time.Hour)
	s.Spec.Problems = []manifest.Problem{{Reason: status.LogUnavailable, Level: manifest.Warning, Message: s.Spec.Message, Since: s.Spec.Since}}
	return pods, statuses
}

func TestPages(t *testing.T) {
	line := func(d time.Duration, text string) kubeletlog.Line {
		return kubeletlog.Line{Event: kubeletlog.Event{At: before(d)}, Text: text}
	}
	for name, test := range map[string]struct {
		id   string
		log  []kubeletlog.Line
		note string
	}{
		"ready":     {id: "default/web-node1"},
		"crashing":  {id: "kube-system-etcd", log: []kubeletlog.Line{line(5*time.Minute, "Error syncing pod, skipping"), line(4*time.Minute, "other \x1b[2J"), line(time.Minute, "Error syncing pod, skipping")}},
		"refused":   {id: "broken", note: "it is on the node of the exporter"},
		"malformed": {id: "/etc/pods/half.yaml"},
		"undefined": {id: "kube-system/web"},
		"node":      {id: "node"},
		"talkative": {id: "default/web-node1", log: many(30)},
	} {
		t.Run(name, func(t *testing.T) {
			subject, err := Find(test.id, first(scene()), second(scene()))
			if err != nil {
				t.Fatal(err)
			}
			subject.Log, subject.LogNote, subject.Now = test.log, test.note, now
			var b, painted strings.Builder
			if err := errors.Join(Write(&b, subject, false), Write(&painted, subject, true)); err != nil {
				t.Fatal(err)
			}
			if plain := withoutColours(painted.String()); plain != b.String() || plain == painted.String() {
				t.Errorf("in colours it is\n%s", plain)
			}
			golden(t, name+".txt", b.String())
			for line := range strings.Lines(b.String()) {
				line = strings.TrimSuffix(line, "\n")
				if output.Printable(line) != line || strings.HasSuffix(line, " ") {
					t.Errorf("line %q", line)
				}
			}
		})
	}
}

func many(n int) (lines []kubeletlog.Line) {
	for i := range n {
		lines = append(lines, kubeletlog.Line{Event: kubeletlog.Event{At: before(time.Duration(n-i) * time.Second)}, Text: "line " + strings.Repeat("x", i)})
	}
	return lines
}

func first[A, B any](a A, _ B) A  { return a }
func second[A, B any](_ A, b B) B { return b }

func withoutColours(s string) string {
	for _, code := range []string{"0", "1", "2", "31", "32", "33"} {
		s = strings.ReplaceAll(s, "\x1b["+code+"m", "")
	}
	return s
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s is\n%s\nnot\n%s", name, got, want)
	}
}

func TestFind(t *testing.T) {
	pods, statuses := scene()
	for id, want := range map[string]string{
		"default/web-node1": "default/web-node1", "default/web": "default/web-node1", "default-web": "default/web-node1",
		"uid-of-web": "default/web-node1", "/etc/pods/web.yaml": "default/web-node1", "file:/etc/pods/web.yaml": "default/web-node1",
		"etcd": "kube-system/etcd-node1", "etcd-node1": "kube-system/etcd-node1", "kube-system/etcd": "kube-system/etcd-node1",
		"file:/etc/pods/half.yaml": "file:/etc/pods/half.yaml", "/etc/pods/half.yaml": "file:/etc/pods/half.yaml", "node": "node",
		"web": "", "web-node1": "", "": "", "nothing": "", "default/etcd": "",
	} {
		got, err := Find(id, pods, statuses)
		switch {
		case want == "" && err == nil:
			t.Errorf("%q is %s", id, got.Status.Metadata.ID)
		case want != "" && (err != nil || got.Status.Metadata.ID != want):
			t.Errorf("%q is not %s: %v", id, want, err)
		case want != "" && want != "node" && got.Definition == nil:
			t.Errorf("%q has no definition", id)
		}
	}
	_, err := Find("web", pods, statuses)
	if want := `"web" may be any of: default/web-node1, kube-system/web-node1`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	_, err = Find("x", nil, statuses[:1])
	if want := `no static pod "x"; there are: default/web-node1`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if _, err = Find("x", nil, nil); err == nil || !strings.HasSuffix(err.Error(), "the node has none") {
		t.Errorf("got %v", err)
	}
}

func TestAbout(t *testing.T) {
	pods, statuses := scene()
	refused, err := Find("broken", pods, statuses)
	if err != nil {
		t.Fatal(err)
	}
	rejected := *refused.Status
	rejected.Spec.Problems = []manifest.Problem{{Reason: manifest.ListRejected}}
	for _, test := range []struct {
		name    string
		subject Subject
		event   kubeletlog.Event
		want    bool
	}{
		{"its UID", refused, kubeletlog.Event{UID: "uid-of-broken"}, true},
		{"another UID with its name", refused, kubeletlog.Event{UID: "x", Pod: "broken-node1", Namespace: "default"}, false},
		{"its name", refused, kubeletlog.Event{Pod: "broken-node1", Namespace: "default"}, true},
		{"its name in another namespace", refused, kubeletlog.Event{Pod: "broken-node1", Namespace: "kube-system"}, false},
		{"its file, mounted elsewhere", refused, kubeletlog.Event{Path: "/host/pods/broken.yaml"}, true},
		{"another file", refused, kubeletlog.Event{Path: "/etc/pods/web.yaml"}, false},
		{"a refused list", refused, kubeletlog.Event{Kind: kubeletlog.URLRefused}, false},
		{"the list that it is in", Subject{Status: &rejected}, kubeletlog.Event{Kind: kubeletlog.URLRefused}, true},
		{"nobody", refused, kubeletlog.Event{Kind: kubeletlog.KubeletStarted}, false},
	} {
		if got := test.subject.About(&test.event); got != test.want {
			t.Errorf("%s: %v", test.name, got)
		}
	}
}
