package output

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/staticpod-exporter/staticpod-exporter/collector/status"
	"github.com/staticpod-exporter/staticpod-exporter/manifest"
)

// The literal output of talosctl's documentation.
const (
	talosPods = `NODE         NAMESPACE   TYPE        ID                        VERSION
172.20.0.3   k8s         StaticPod   default-nginx             1
172.20.0.3   k8s         StaticPod   kube-apiserver            1
172.20.0.3   k8s         StaticPod   kube-controller-manager   1
`
	talosStatuses = `NODE         NAMESPACE   TYPE              ID                                                   VERSION   READY
172.20.0.3   k8s         StaticPodStatus   default/nginx-talos-default-controlplane-2           2         True
172.20.0.3   k8s         StaticPodStatus   kube-system/kube-apiserver-talos-controlplane-2-xx   4         False
`
)

func TestTableIsThatOfTalosctl(t *testing.T) {
	at := time.Date(2026, 11, 22, 16, 0, 0, 0, time.UTC)
	var b strings.Builder
	pods := NewTable(&b, PodColumns(false))
	for _, id := range []string{"default-nginx", "kube-apiserver", "kube-controller-manager"} {
		pods.Row(PodRow(&status.StaticPod{
			Node: "172.20.0.3", Metadata: status.Metadata{Namespace: "k8s", Type: "StaticPod", ID: id, Version: 1},
		}, false, at))
	}
	flush(t, pods)
	if b.String() != talosPods {
		t.Errorf("got\n%swant\n%s", b.String(), talosPods)
	}

	b.Reset()
	statuses := NewTable(&b, StatusColumns(false))
	for _, s := range []struct {
		id      string
		version uint64
		ready   status.ConditionStatus
	}{
		{"default/nginx-talos-default-controlplane-2", 2, status.True},
		{"kube-system/kube-apiserver-talos-controlplane-2-xx", 4, status.False},
	} {
		statuses.Row(StatusRow(&status.StaticPodStatus{
			Node: "172.20.0.3", Metadata: status.Metadata{Namespace: "k8s", Type: "StaticPodStatus", ID: s.id, Version: s.version},
			Spec: status.StatusSpec{Conditions: []status.Condition{{Type: status.Ready, Status: s.ready}}},
		}, false, at))
	}
	flush(t, statuses)
	if b.String() != talosStatuses {
		t.Errorf("got\n%swant\n%s", b.String(), talosStatuses)
	}
}

// talosctl aligns with text/tabwriter: for printable ASCII we must agree with it always.
func TestTableAlignsAsTabwriter(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		columns, rows := 1+random.IntN(6), random.IntN(6)
		cell := func() string {
			b := make([]byte, random.IntN(12))
			for i := range b {
				b[i] = byte('!' + random.IntN('~'-'!'))
			}
			return string(b)
		}
		row := func() []string {
			cells := make([]string, columns)
			for i := range cells {
				cells[i] = cell()
			}
			return cells
		}
		var got, want strings.Builder
		reference := tabwriter.NewWriter(&want, 0, 0, padding, ' ', 0)
		header := row()
		table := NewTable(&got, header)
		fmt.Fprintln(reference, strings.Join(header, "\t"))
		for range rows {
			cells := row()
			table.Row(cells)
			fmt.Fprintln(reference, strings.Join(cells, "\t"))
		}
		flush(t, table)
		if err := reference.Flush(); err != nil {
			t.Fatal(err)
		}
		if got.String() != want.String() {
			t.Fatalf("got\n%swant\n%s", got.String(), want.String())
		}
	}
}

func TestTableKeepsItsColumns(t *testing.T) {
	var b strings.Builder
	table := NewTable(&b, WithEvent([]string{"NODE", "ID", "VERSION"}, "*"))
	table.Row(WithEvent([]string{"n", "a-long-name", "1"}, "+"))
	flush(t, table)
	table.Row(WithEvent([]string{"n", "b", "1"}, "+"))
	flush(t, table)
	table.Row(WithEvent([]string{"n", "b", "2"}, ""))
	flush(t, table)
	want := `NODE   *   ID            VERSION
n      +   a-long-name   1
n      +   b             1
n          b             2
`
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", b.String(), want)
	}
}

func TestEmptyTableIsItsHeader(t *testing.T) {
	var b strings.Builder
	flush(t, NewTable(&b, StatusColumns(true)))
	want := "NODE   NAMESPACE   TYPE   ID   VERSION   READY   PHASE   SOURCE   REVISION   RESTARTS   REASON   AGE   STALE\n"
	if b.String() != want {
		t.Errorf("got %q, want %q", b.String(), want)
	}
}

func TestRowStaysOneLine(t *testing.T) {
	for value, want := range map[string]string{
		"plain":              "plain",
		"/etc/日本/ポッド.yaml":   "/etc/日本/ポッド.yaml",
		"é":                  "é",
		`C:\n "quoted"`:      `C:\n "quoted"`,
		"two\nlines":         `two\nlines`,
		"tab\there":          `tab\there`,
		"\x1b[31mred\x1b[0m": `\x1b[31mred\x1b[0m`,
		"\u009b31m":          `\u009b31m`,
		"rtl\u202eevil":      `rtl\u202eevil`,
		"line\u2028sep":      `line\u2028sep`,
		"not\xffutf8":        `not\xffutf8`,
		"nul\x00":            `nul\x00`,
	} {
		if got := Printable(value); got != want {
			t.Errorf("Printable(%q) = %q, want %q", value, got, want)
		}
	}
}

func TestColumns(t *testing.T) {
	for value, want := range map[string]int{"": 0, "abc": 3, "日本": 4, "e\u0301": 1, "é": 1, "ﾊﾟ": 2, "Ａ": 2} {
		if got := Columns(value); got != want {
			t.Errorf("Columns(%q) = %d, want %d", value, got, want)
		}
	}
}

func TestWideRows(t *testing.T) {
	now := time.Date(2026, 11, 22, 16, 0, 0, 0, time.UTC)
	pod := &status.StaticPod{
		Node:     "node1",
		Metadata: status.Metadata{Namespace: "k8s", Type: "StaticPod", ID: "default-nginx", Version: 3, Created: now.Add(-77 * time.Hour)},
		Spec: status.StaticPodSpec{
			Source: manifest.SourceHTTP, Path: "/p/nginx.yaml", Line: 7, Hash: strings.Repeat("0123456789abcdef", 4), Served: true,
			Problems: []manifest.Problem{{Reason: manifest.ManifestInvalid}, {Reason: manifest.LastRevisionKept}},
		},
	}
	if got, want := PodRow(pod, true, now), []string{
		"node1", "k8s", "StaticPod", "default-nginx", "3",
		"false", "true", "http", "0123456789ab", "ManifestInvalid", "3d5h", "/p/nginx.yaml:7",
	}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := PodRow(&status.StaticPod{}, true, now), []string{
		"", "", "", "", "0", "false", "false", "<none>", "<none>", "<none>", "<unknown>", "<none>",
	}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	verdict := &status.StaticPodStatus{
		Node:     "node1",
		Metadata: status.Metadata{Namespace: "k8s", Type: "StaticPodStatus", ID: "default/nginx-node1", Version: 9, Created: now.Add(-5 * time.Minute)},
		Spec: status.StatusSpec{
			Phase: "Running", Reason: "CrashLoopBackOff", Stale: true,
			Definition: status.DefinitionRef{Source: manifest.SourceFile, Hash: "abc"},
			Conditions: []status.Condition{{Type: status.Ready, Status: status.Unknown}},
			Containers: []status.ContainerStatus{{RestartCount: 3}, {RestartCount: 4}},
		},
	}
	if got, want := StatusRow(verdict, true, now), []string{
		"node1", "k8s", "StaticPodStatus", "default/nginx-node1", "9", "Unknown",
		"Running", "file", "abc", "7", "CrashLoopBackOff", "5m", "true",
	}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	// A verdict without the condition says what spec.ready says.
	for ready, want := range map[bool]string{true: "True", false: "False"} {
		if got := StatusRow(&status.StaticPodStatus{Spec: status.StatusSpec{Ready: ready}}, false, now)[5]; got != want {
			t.Errorf("READY = %s, want %s", got, want)
		}
	}
}

func TestDocuments(t *testing.T) {
	var b strings.Builder
	documents := NewDocuments(&b)
	for _, object := range []string{
		`{"event":"updated","node":"node1","metadata":{"namespace":"k8s","version":7,"created":"2026-08-20T10:00:15Z","updated":"never"},` +
			`"spec":{"stale":false,"ratio":0.5,"mirror":null,"problems":[],"observed":{},"since":"2026-08-20T10:00:15Z","state":"on",` +
			`"message":"two\nlines","words":"back-off: 40s","conditions":[{"type":"Ready","status":"True"},{"type":"Valid"}]}}`,
		`{"node":"node2"}`,
	} {
		if err := documents.Write([]byte(object)); err != nil {
			t.Fatal(err)
		}
	}
	want := `node: node1
event: updated
metadata:
    namespace: k8s
    version: 7
    created: 2026-08-20T10:00:15Z
    updated: never
spec:
    stale: false
    ratio: 0.5
    mirror: null
    problems: []
    observed: {}
    since: "2026-08-20T10:00:15Z"
    state: "on"
    message: |-
        two
        lines
    words: 'back-off: 40s'
    conditions:
        - type: Ready
          status: "True"
        - type: Valid
---
node: node2
`
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", b.String(), want)
	}
	for _, broken := range []string{``, `{`, `{"a":}`, `{} {}`, `[1`} {
		if err := NewDocuments(&b).Write([]byte(broken)); err == nil {
			t.Errorf("%q was written", broken)
		}
	}
}

func TestJSON(t *testing.T) {
	var b strings.Builder
	if err := JSON(&b, []byte("{\"node\":\"node1\",\"spec\":{\"problems\":[]}}\n")); err != nil {
		t.Fatal(err)
	}
	want := "{\n    \"node\": \"node1\",\n    \"spec\": {\n        \"problems\": []\n    }\n}\n"
	if b.String() != want {
		t.Errorf("got %q, want %q", b.String(), want)
	}
	if err := JSON(&b, []byte("{")); err == nil {
		t.Error("half an object was written")
	}
}

// What JSON and YAML may hold as it is and a terminal may take for a command is escaped, and read back as it was.
func TestDocumentsDoNotSteer(t *testing.T) {
	const evil = "a\u009b31m b\u202ec d\u2028e \U000E0001 \u200b\nf \x7f"
	object, err := json.Marshal(map[string]string{"key" + evil: evil, "plain": "ポッド é"})
	if err != nil {
		t.Fatal(err)
	}
	var indented, encoded, documents strings.Builder
	if err := errors.Join(JSON(&indented, object), Encode(&encoded, json.RawMessage(object)), NewDocuments(&documents).Write(object)); err != nil {
		t.Fatal(err)
	}
	for form, text := range map[string]string{"JSON": indented.String(), "our JSON": encoded.String(), "YAML": documents.String()} {
		if PrintableText(text) != text || !strings.Contains(text, "ポッド é") {
			t.Errorf("%s: %q", form, text)
		}
		var back map[string]string
		if err := yaml.Unmarshal([]byte(text), &back); form == "YAML" && (err != nil || back["key"+evil] != evil) {
			t.Errorf("%s: %q (%v)", form, back, err)
		}
		if err := json.Unmarshal([]byte(text), &back); form != "YAML" && (err != nil || back["key"+evil] != evil) {
			t.Errorf("%s: %q (%v)", form, back, err)
		}
	}
}

// Whatever a value holds, a reader of YAML gets what a reader of JSON gets, and a row is one line.
func FuzzValue(f *testing.F) {
	for _, seed := range []string{
		"", "plain", "yes", "null", "0x1f", "1_000", "12:30:45", "2026-08-20T10:00:15Z", " leading", "trailing ", "a: b", "# no", "- x",
		"two\nlines\n", "\n\n lead", "\t\n0", "0\n\t0", "tab\t\n x", "\x7f", "\u0085", "\u2028", "\ufeff", "😀", "\xff", "%a", "@b", "`c", "---", "...", "[", "{}", "!!str x", "&a", "*a",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		object, err := json.Marshal(map[string]map[string]string{"spec": {"value": s}})
		if err != nil {
			t.Fatal(err)
		}
		var want, got map[string]map[string]string
		if err := json.Unmarshal(object, &want); err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := NewDocuments(&b).Write(object); err != nil {
			t.Fatal(err)
		}
		if err := yaml.Unmarshal(b.Bytes(), &got); err != nil {
			t.Fatalf("%v in\n%s", err, b.String())
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got %q, want %q from\n%s", got, want, b.String())
		}

		var rows strings.Builder
		table := NewTable(&rows, []string{"A", "B"})
		table.Row([]string{s, "end"})
		flush(t, table)
		if n := strings.Count(rows.String(), "\n"); n != 2 || !strings.HasSuffix(rows.String(), "end\n") {
			t.Errorf("%d lines: %q", n, rows.String())
		}
	})
}

func flush(t *testing.T, table *Table) {
	t.Helper()
	if err := table.Flush(); err != nil {
		t.Fatal(err)
	}
}

// Colours change nothing about where a cell is.
func TestColoursKeepColumns(t *testing.T) {
	var plain, coloured strings.Builder
	for _, b := range []*strings.Builder{&plain, &coloured} {
		table := NewTable(b, []string{"NODE", "*", "READY", "REASON", "STALE"})
		table.Colours = b == &coloured
		table.Row([]string{"ノード", "+", "True", "<none>", "false"})
		table.Row([]string{"n", "-", "False", "CrashLoopBackOff", "true"})
		table.Row([]string{"n", "", "Unknown", "NotReady", "false"})
		flush(t, table)
	}
	for _, painted := range []string{"\x1b[32mTrue\x1b[0m ", "\x1b[31mFalse\x1b[0m ", "\x1b[31mCrashLoopBackOff\x1b[0m ", "\x1b[33mNotReady\x1b[0m ", "\x1b[33mtrue\x1b[0m\n"} {
		if !strings.Contains(coloured.String(), painted) {
			t.Errorf("no %q in\n%q", painted, coloured.String())
		}
	}
	if got := regexp.MustCompile("\x1b\\[[0-9]+m").ReplaceAllString(coloured.String(), ""); got != plain.String() {
		t.Errorf("without its colours\n%swant\n%s", got, plain.String())
	}
	if strings.Contains(plain.String(), "\x1b") {
		t.Errorf("colours nobody asked for: %q", plain.String())
	}
}
