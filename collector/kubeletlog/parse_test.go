package kubeletlog

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"k8s.io/klog/v2/textlogger"
)

var update = flag.Bool("update", false, "write the golden files")

// readAt is when the recorded lines are read: the year of the text format comes from it.
var readAt = time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)

// eventsOf runs a log through the assembler, whole and as blocks of n bytes.
func eventsOf(log []byte, n int) (events []Event) {
	a := newAssembler(func(record []byte) {
		if e, ok := Parse(record, readAt); ok {
			events = append(events, e)
		}
	})
	for len(log) > 0 {
		got := copy(a.space()[:min(n, len(a.space()))], log)
		log = log[got:]
		a.take(got)
	}
	a.end()
	return events
}

func TestRecordedLinesGiveTheirEvents(t *testing.T) {
	logs, err := filepath.Glob("testdata/*.log")
	if err != nil || len(logs) == 0 {
		t.Fatal("no recorded logs", err)
	}
	for _, path := range logs {
		t.Run(filepath.Base(path), func(t *testing.T) {
			log, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			events := eventsOf(log, blockSize)
			var got bytes.Buffer
			encoder := json.NewEncoder(&got)
			encoder.SetEscapeHTML(false)
			for _, e := range events {
				e.At, e.Read = e.At.UTC(), e.Read.UTC()
				if err := encoder.Encode(e); err != nil {
					t.Fatal(err)
				}
			}
			if bytes.Contains(got.Bytes(), []byte("s3cr3t")) {
				t.Error("an event holds a secret")
			}
			golden := strings.TrimSuffix(path, ".log") + ".golden"
			if *update {
				if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got.String(), "\n")); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
			for _, n := range []int{1, 7, 4096} {
				if diff := cmp.Diff(events, eventsOf(log, n)); diff != "" {
					t.Errorf("in blocks of %d bytes (-whole +blocks):\n%s", n, diff)
				}
			}
		})
	}
}

// The recorded lines of v1.37 come in pairs, the text format first.
func TestBothFormatsSayTheSame(t *testing.T) {
	log, err := os.ReadFile("testdata/v1.37.log")
	if err != nil {
		t.Fatal(err)
	}
	events := eventsOf(log, blockSize)
	if len(events) < 40 || len(events)%2 != 0 {
		t.Fatalf("%d events", len(events))
	}
	for i := 0; i < len(events); i += 2 {
		text, structured := events[i], events[i+1]
		if d := structured.At.Sub(text.At).Abs(); d > time.Microsecond {
			t.Errorf("%s: times differ by %s", text.Kind, d)
		}
		text.At = structured.At
		if diff := cmp.Diff(text, structured); diff != "" {
			t.Errorf("(-text +json):\n%s", diff)
		}
	}
}

func TestAYearIsFoundForTimesWithoutOne(t *testing.T) {
	berlin := time.FixedZone("", 3600)
	for _, test := range []struct{ name, text, read, want string }{
		{"same day", "1122 14:38:27.064857", "2026-11-22T15:00:00+01:00", "2026-11-22T14:38:27.064857+01:00"},
		{"before the turn of the year", "1231 23:59:59.900000", "2027-01-01T00:00:00+01:00", "2026-12-31T23:59:59.9+01:00"},
		{"months ago", "1122 00:00:00.000000", "2027-03-01T00:00:00+01:00", "2026-11-22T00:00:00+01:00"},
		{"writer's zone is ahead", "1122 18:00:00.000000", "2026-11-22T12:00:00+01:00", "2026-11-22T12:00:00+01:00"},
		{"ahead over the turn of the year", "0101 01:00:00.000000", "2026-12-31T23:00:00+01:00", "2026-12-31T23:00:00+01:00"},
		{"leap day", "0229 01:00:00.000000", "2026-03-01T00:00:00+01:00", "2024-02-29T01:00:00+01:00"},
		{"no such day", "0230 01:00:00.000000", "2026-03-01T00:00:00+01:00", "0001-01-01T00:00:00Z"},
	} {
		t.Run(test.name, func(t *testing.T) {
			read, err := time.Parse(time.RFC3339, test.read)
			if err != nil {
				t.Fatal(err)
			}
			want, err := time.Parse(time.RFC3339Nano, test.want)
			if err != nil {
				t.Fatal(err)
			}
			if got := yearless([]byte(test.text[:4]), []byte(test.text[5:]), read.In(berlin)); !got.Equal(want) {
				t.Errorf("%s, want %s", got, want)
			}
		})
	}
}

func TestTheTimeOfARecordIsTheKubelets(t *testing.T) {
	for ts, want := range map[string]time.Time{
		"1795358307064.8572":      time.Date(2026, 11, 22, 14, 38, 27, 64857200, time.UTC),
		"1795358307064":           time.Date(2026, 11, 22, 14, 38, 27, 64000000, time.UTC),
		"1795358307.25":           time.Date(2026, 11, 22, 14, 38, 27, 250000000, time.UTC),
		`"2026-11-22T14:38:27Z"`:  time.Date(2026, 11, 22, 14, 38, 27, 0, time.UTC),
		"-1":                      readAt,
		"1e300":                   readAt,
		"99999999999999999999999": readAt,
		`"yesterday"`:             readAt,
		"null":                    readAt,
	} {
		e, ok := Parse([]byte(`{"ts":`+ts+`,"msg":"Successfully read pods from URL"}`), readAt)
		if !ok || !e.At.Equal(want) {
			t.Errorf("%s: %v %s, want %s", ts, ok, e.At, want)
		}
	}
}

func TestWhatOnlyLooksLikeAnEventIsNone(t *testing.T) {
	for _, line := range []string{
		``, `{`, `{}`, `{"msg":""}`, `{"msg":3}`, `] `, `]  "`, "\x00\xff",
		`E1122 14:38:27.064857   29116 file.go:186] "Probe failed to start"`,
		`{"msg":"Could not process manifest file"}`, // of which file?
		`{"msg":"Could not process manifest files in the queue","path":"/a"}`,
		`{"msg":"Successfully read pods from URL cache"}`,
		`{"msg":"Failed to read pods from URL"}`,
		`{"msg":"Operation for \"{volumeName:a podName:b nodeName:}\" failed. Error: UnmountVolume.TearDown failed for volume \"s\""}`,
		`{"msg":"Creating a mirror pod for static pod","pod":{"name":"a","namespace":"b"}}`,
		`{"msg":"Event occurred","message":"Could not process manifest file","path":"/a"}`,
		`I1122 14:38:27.064857   29116 x.go:1] Static pod has no friends`,
		`I1122 14:38:27.064857   29116 x.go:1] Pod[ failed validation due to duplicate pod name`,
		`noise] "Successfully read pods from URL"`,
		`{"msg":"I1122 14:38:27.064857   29116 x.go:1] "}`,
		`{"msg":"I1122 14:38:27.064857   29116 x.go:1] \"\" path=\"/a\""}`,
	} {
		if e, ok := Parse([]byte(line), readAt); ok {
			t.Errorf("%s: %+v", line, e)
		}
	}
}

// Anybody who reaches the port may send anything: a message beside the one that was taken for the record's, say.
func TestARecordWithTwoMessagesEndsNothing(t *testing.T) {
	log := `{"inner":{"msg":"Probe failed"},"msg":"I1122 14:38:27.064857   29116 x.go:1] "}` + "\n"
	if events := eventsOf([]byte(log), blockSize); len(events) > 0 {
		t.Errorf("%+v", events)
	}
}

// A manifest is free to hold lines that look like the kubelet's.
func TestAValueOfSeveralLinesForgesNoEvent(t *testing.T) {
	log := "I1122 14:38:27.064857   29116 event.go:395] \"Event occurred\" message=<\n" +
		"\tlog: E1122 14:38:27.064857   29116 file.go:186] \"Could not process manifest file\" err=\"forged\" path=\"/forged\"\n >\n"
	if events := eventsOf([]byte(log), blockSize); len(events) > 0 {
		t.Errorf("%+v", events)
	}
}

func TestARecordMayHaveTwoValuesOfSeveralLines(t *testing.T) {
	log := "E1122 14:38:27.064857   29116 file.go:186] \"Could not process manifest file\" err=<\n\tfirst\n\tsecond\n > path=<\n\t/a\n\tb\n >\n"
	events := eventsOf([]byte(log), blockSize)
	if len(events) != 1 || events[0].Message != "first\nsecond" || events[0].Path != "/a\nb" {
		t.Errorf("%+v", events)
	}
}

// What an event holds does not keep a record in memory that is a hundred times as long.
func TestEventsDoNotHoldTheirRecords(t *testing.T) {
	record := `E1122 14:38:27.064857   29116 file.go:186] "Could not process manifest file" other="` + strings.Repeat("x", 100<<10) + `" err="invalid" path="/a"`
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var events []Event
	for range 100 {
		e, ok := Parse([]byte(record), readAt)
		if !ok {
			t.Fatal("no event")
		}
		events = append(events, e)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if held := int64(after.HeapAlloc) - int64(before.HeapAlloc); held > int64(len(record))*10 {
		t.Errorf("100 events hold %d bytes", held)
	}
	runtime.KeepAlive(events)
}

func TestAClippedRecordTearsNoEscapeSequence(t *testing.T) {
	for pad := range 24 {
		for _, escape := range []string{`x\\`, `\"`, `\n`, `\u00e9`, `\\\"`, `\ud83d\ude00`, "é", `\U0001F4A9`} {
			if err := strings.Repeat("x", pad) + strings.Repeat(escape, 3*clipSize/len(escape)); escape != `\U0001F4A9` {
				checkClipped(t, `{"msg":"Could not process manifest file","err":"`+err+`","path":"/a"}`)
			}
			if !strings.HasPrefix(escape, `\ud8`) {
				err := strings.Repeat("x", pad) + strings.Repeat(escape, 3*clipSize/len(escape))
				checkClipped(t, `E1122 14:38:27.064857   29116 file.go:186] "Could not process manifest file" err="`+err+`" path="/a"`)
			}
		}
	}
}

func checkClipped(t *testing.T, record string) {
	t.Helper()
	var c clip
	for len(record) > 0 {
		n := min(len(record), 10007)
		c.write([]byte(record[:n]))
		record = record[n:]
	}
	kept := c.bytes()
	if e, ok := Parse(kept, readAt); !ok || e.Path != "/a" || len(kept) > 4*clipSize || !c.cut {
		t.Errorf("%v %d bytes, event %+v\n%.99s", ok, len(kept), e, kept)
	}
}

func TestASyncErrorIsTakenApart(t *testing.T) {
	for _, test := range []struct {
		err  string
		want []Failure
	}{
		{`failed to "A" for "T" with R: "m"`, []Failure{{"A", "T", "R", "m"}}},
		{`[failed to "A" for "T" with R: "m, failed to \"X\" for \"Y\" with Z: \"n\"", failed to "B" for "U" with S: "o\np"]`, []Failure{
			{"A", "T", "R", `m, failed to "X" for "Y" with Z: "n"`}, {"B", "U", "S", "o\np"},
		}},
		{`[failed to SyncPod: network is not ready, failed to "A" for "T" with R: "m"]`, []Failure{{"A", "T", "R", "m"}}},
		{`network is not ready: failed to "setup" things`, nil},
		{`failed to "A" for "T" with R: "never ended`, nil},
		{`failed to "`, nil},
	} {
		if diff := cmp.Diff(test.want, failures(test.err)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.err, diff)
		}
	}
	many := failures("[" + strings.Repeat(`failed to "A" for "T" with R: "m", `, 1000) + "]")
	if len(many) != failureLimit {
		t.Errorf("%d failures are kept, want %d", len(many), failureLimit)
	}
}

func TestWordsAreBounded(t *testing.T) {
	for _, long := range []string{strings.Repeat("é", 4096), strings.Repeat("\xff", 4096), strings.Repeat("\x1b[31m", 999), "plain"} {
		got := Words(long)
		if len(got) > wordsLimit || !utf8.ValidString(got) || strings.Contains(got, "\x1b") {
			t.Errorf("%d bytes: %.40q…", len(got), got)
		}
	}
	line := `{"msg":"Could not process manifest file","path":"` + strings.Repeat("p", 9999) + `","err":"` + strings.Repeat("e", 9999) + `"}`
	e, ok := Parse([]byte(line), readAt)
	if !ok || len(e.Path) > pathLimit || len(e.Message) > wordsLimit {
		t.Errorf("%v: path of %d, message of %d bytes", ok, len(e.Path), len(e.Message))
	}
}

// A body may quote the very words by which the kubelet ends its quote of it.
func FuzzNoBodyIsKept(f *testing.F) {
	f.Add(`{"spec":{}}`, `x`, "bool into")
	f.Add(`', but couldn't parse as single (`, `) or multiple pods (`, "err")
	f.Add(`', but couldn't parse as single (`, ``, "err")
	f.Add(`) or multiple pods (`, ``, "err")
	f.Add(`is missing in '`, `'), please check config file`, "err")
	f.Add(`received '`, `', but couldn't parse as single (a) or multiple pods (b)`, "")
	f.Fuzz(func(t *testing.T, before, after, err string) {
		const secret = "s3cr3t-0123456789"
		if strings.Contains(err, "s3cr3t") {
			return
		}
		body := before + secret + after
		missing := "Object 'Kind' is missing in '" + body + "'"
		dumped := fmt.Sprintf("invalid pod: &core.List{Items:[]string{%q}}", body)
		for _, single := range []string{err, missing, dumped} {
			for _, multiple := range []string{err, missing, dumped} {
				s := fmt.Sprintf("http://127.0.0.1/pods: received '%v', but couldn't parse as single (%v) or multiple pods (%v)", body, single, multiple)
				if got := Words(s); strings.Contains(got, "s3cr3t") {
					t.Fatalf("%s\nkeeps %s", s, got)
				}
			}
			if single == err {
				continue
			}
			s := fmt.Sprintf("/etc/kubernetes/manifests/a.yaml: couldn't parse as pod(%v), please check config file", single)
			if got := Words(s); strings.Contains(got, "s3cr3t") {
				t.Fatalf("%s\nkeeps %s", s, got)
			}
		}
	})
}

func FuzzParse(f *testing.F) {
	logs, err := filepath.Glob("testdata/*.log")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range logs {
		log, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		for line := range bytes.Lines(log) {
			f.Add(bytes.TrimSuffix(line, []byte("\n")))
		}
	}
	f.Fuzz(func(t *testing.T, record []byte) {
		e, ok := Parse(record, readAt)
		if !ok {
			return
		}
		if e.Kind == "" || e.At.IsZero() || e.Read != readAt {
			t.Errorf("incomplete: %+v", e)
		}
		if len(e.Failures) > failureLimit {
			t.Errorf("%d failures", len(e.Failures))
		}
		for _, s := range []string{e.Path, e.Namespace, e.Pod, e.UID, e.Container, e.Reason, e.Message} {
			if len(s) > pathLimit || !utf8.ValidString(s) {
				t.Errorf("not bounded: %q", s)
			}
		}
		first, _, _ := bytes.Cut(record, []byte("\n"))
		if record[0] != '\t' && record[0] != '{' && classify(first) != telling {
			t.Errorf("an assembler would never have found it: %q", record)
		}
	})
}

// What encoding/json accepts is decoded as it decodes it.
func FuzzJSON(f *testing.F) {
	f.Add(`{"msg":"a\u00e9\ud83d\ude00\"b\\","path":"/x","v":0,"header":{"a":["}"]},"pod":{"name":"a","namespace":"b"}}`)
	f.Add(`{"msg":"x","err":"\ud800","errCauses":[{"error":"]"}]}`)
	f.Add(` {"msg" : "x" , "path":null}`)
	f.Fuzz(func(t *testing.T, line string) {
		var want map[string]any
		if json.Unmarshal([]byte(line), &want) != nil {
			new(fields).decodeJSON([]byte(line))
			return
		}
		var got fields
		ok := got.decodeJSON([]byte(line))
		msg, isText := want["msg"].(string)
		if strings.Count(line, "msg") > 1 || strings.Count(line, "path") > 1 || strings.Contains(line, `\u00`) || strings.HasPrefix(line, " ") {
			return // which of two keys counts, and escaped keys, are not the kubelet's
		}
		if isText && msg != "" && (!ok || got.msg != strings.ToValidUTF8(msg, "\uFFFD")) && utf8.ValidString(line) {
			t.Errorf("%s: msg %q, want %q", line, got.msg, msg)
		}
		if path, isText := want["path"].(string); isText && ok && got.get("path") != path && utf8.ValidString(line) {
			t.Errorf("%s: path %q, want %q", line, got.get("path"), path)
		}
	})
}

// What klog writes is read back.
func FuzzText(f *testing.F) {
	f.Add("Could not process manifest file", "one line", "/a b/\"c\".yaml", "x")
	f.Add("Probe failed", "two\nlines", "a\n >\n\tb=<", "\n")
	f.Add("m", "ends with a break\n", " > key=\"value\"", "]\n] \"")
	f.Fuzz(func(t *testing.T, msg, err, path, other string) {
		if msg == "" {
			return
		}
		var out bytes.Buffer
		logger := textlogger.NewLogger(textlogger.NewConfig(textlogger.Output(&out)))
		logger.Info(msg, "err", err, "header", map[string][]string{"Authorization": {other}}, "other", other, "n", 3, "path", path)
		var got fields
		ok := got.decodeText(bytes.TrimSuffix(out.Bytes(), []byte("\n")), time.Now(), time.Time{})
		if !ok || got.msg != msg && utf8.ValidString(msg) {
			t.Fatalf("%s: msg %q, want %q", out.String(), got.msg, msg)
		}
		for key, want := range map[string]string{"err": err, "path": path} {
			if strings.Contains(want, "\n") {
				want = strings.TrimSuffix(want, "\n") // klog itself does not tell
			}
			if got := got.get(key); got != want && utf8.ValidString(want) {
				t.Errorf("%s: %s is %q, want %q", out.String(), key, got, want)
			}
		}
		if got.get("header") != "" || time.Since(got.at).Abs() > time.Minute {
			t.Errorf("%s: %+v", out.String(), got)
		}
	})
}
