package kubeletlog

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// shipped returns a line as Talos ships it: JSON with the error appended to the message and the time under
// another name, or a message alone.
func shipped(t testing.TB, line string) string {
	t.Helper()
	record := map[string]any{}
	if !strings.HasPrefix(line, "{") {
		record["msg"], record["talos-time"] = line, readAt.Format(time.RFC3339Nano)
	} else {
		d := json.NewDecoder(strings.NewReader(line))
		d.UseNumber()
		if err := d.Decode(&record); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if number, ok := record["ts"].(json.Number); ok {
			delete(record, "ts")
			record["talos-time"] = epoch([]byte(number)).UTC().Format(time.RFC3339Nano)
		}
		if err, ok := record["err"]; ok {
			delete(record, "err")
			record["msg"] = fmt.Sprint(record["msg"], ": ", err)
			record["talos-level"] = "warn"
		}
	}
	record["talos-service"] = "kubelet"
	out, err := json.Marshal(record)
	if err != nil {
		t.Fatal(err)
	}
	return string(out) + "\n"
}

// inContainer returns a line as a container runtime logs it, in pieces of at most limit bytes.
func inContainer(line string, limit int) string {
	var out strings.Builder
	for {
		n := min(limit, len(line))
		tag := "F"
		if n < len(line) {
			tag = "P"
		}
		fmt.Fprintf(&out, "2026-11-22T14:38:27.064857999Z stderr %s %s\n", tag, line[:n])
		if line = line[n:]; line == "" {
			return out.String()
		}
	}
}

// exported returns a line as an entry of the journal, in pieces of at most limit bytes, each a field of text or a
// binary one.
func exported(number *int, line string, limit int) string {
	var out strings.Builder
	for {
		n := min(limit, len(line))
		*number++
		fmt.Fprintf(&out, "__CURSOR=s=1;i=%x;b=2;m=%x;t=%x;x=%x\n__REALTIME_TIMESTAMP=%d\n_STREAM_ID=7\n",
			*number, *number, *number, *number, time.Date(2026, 11, 22, 14, 38, 28, 0, time.UTC).UnixMicro())
		if *number%2 == 0 {
			fmt.Fprintf(&out, "MESSAGE=%s\n", line[:n])
		} else {
			fmt.Fprintf(&out, "MESSAGE\n%s%s\n", binary.LittleEndian.AppendUint64(nil, uint64(n)), line[:n])
		}
		if line = line[n:]; line == "" {
			return out.String() + "_SYSTEMD_UNIT=kubelet.service\n\n"
		}
		out.WriteString("_LINE_BREAK=line-max\n\n")
	}
}

// through runs a log through a decoder in blocks of n bytes.
func through(log string, n int) []string {
	d := newDecoder()
	var events []string
	for len(log) > 0 {
		got := copy(d.space()[:min(n, len(d.space()))], log)
		log = log[got:]
		d.take(got)
		events = append(events, timeless(d.flush().events)...)
	}
	d.assembler.end()
	return append(events, timeless(d.flush().events)...)
}

// timeless renders events without their times: a text has no year, so its shape may date it.
func timeless(events []Event) (all []string) {
	for _, e := range events {
		e.Read, e.At = time.Time{}, time.Time{}
		out, _ := json.Marshal(e)
		all = append(all, string(out))
	}
	return all
}

func recordedLogs(t *testing.T, each func(t *testing.T, log string)) {
	names, err := filepath.Glob("testdata/*.log")
	if err != nil || len(names) == 0 {
		t.Fatal(names, err)
	}
	for _, name := range names {
		log, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(filepath.Base(name), func(t *testing.T) { each(t, string(log)) })
	}
}

// A log says the same in whatever shape it arrives.
func TestTalosShapeGivesTheEventsOfTheFile(t *testing.T) {
	recordedLogs(t, func(t *testing.T, log string) {
		var own, sent strings.Builder
		for line := range strings.Lines(log) {
			line = strings.TrimSuffix(line, "\n")
			if strings.HasPrefix(line, "\t") || strings.HasPrefix(line, " >") || strings.HasSuffix(line, "=<") {
				continue // Talos ships each line as a record
			}
			if strings.HasPrefix(line, "{") && !json.Valid([]byte(line)) || strings.Contains(line, "talos-") || strings.Contains(line, "]: ") {
				continue // no JSON, shipped already, or it came by syslog
			}
			own.WriteString(line + "\n")
			sent.WriteString(shipped(t, line))
			sent.WriteString(`{"msg":"Could not process manifest file: no","path":"/m","talos-level":"warn","talos-service":"machined","talos-time":"2026-11-22T14:38:27Z"}` + "\n")
		}
		if d := cmp.Diff(through(own.String(), blockSize), through(sent.String(), blockSize)); d != "" {
			t.Errorf("events (-file +Talos):\n%s", d)
		}
	})
}

func TestContainerShapeGivesTheEventsOfTheFile(t *testing.T) {
	recordedLogs(t, func(t *testing.T, log string) {
		want := through(log, blockSize)
		for _, limit := range []int{16 << 10, 100, 7} {
			var wrapped strings.Builder
			for line := range strings.Lines(log) {
				wrapped.WriteString(inContainer(strings.TrimSuffix(line, "\n"), limit))
				if strings.HasPrefix(line, "{") {
					wrapped.WriteString("2026-11-22T14:38:27Z stdout F of no concern\n")
				}
			}
			for _, block := range []int{blockSize, 1000, 13} {
				if d := cmp.Diff(want, through(wrapped.String(), block)); d != "" {
					t.Fatalf("events in pieces of %d, read in blocks of %d (-file +container):\n%s", limit, block, d)
				}
			}
		}
	})
}

func TestJournalShapeGivesTheEventsOfTheFile(t *testing.T) {
	recordedLogs(t, func(t *testing.T, log string) {
		want := through(log, blockSize)
		for _, limit := range []int{48 << 10, 100} {
			var entries strings.Builder
			number := 0
			for line := range strings.Lines(log) {
				entries.WriteString(exported(&number, strings.TrimSuffix(line, "\n"), limit))
			}
			if d := cmp.Diff(want, fromExport(t, entries.String())); d != "" {
				t.Errorf("events in pieces of %d (-file +journal):\n%s", limit, d)
			}
		}
	})
}

// fromExport runs entries through the journal's reader and the decoder.
func fromExport(t testing.TB, entries string) (events []string) {
	t.Helper()
	f, err := Follow(Options{Path: "journald:kubelet.service"})
	if err != nil {
		t.Fatal(err)
	}
	j := f.transport.(*journal)
	r := newExportReader(strings.NewReader(entries))
	for e := (entry{}); r.next(&e) == nil; {
		j.take(&e)
		j.publish(t.Context(), 0)
		found, _, _ := f.Drain()
		events = append(events, timeless(found)...)
	}
	return events
}

// What a kubelet prints before it knows the format that it shall log in is text, whatever comes later.
func TestALogMayBeginAsTextAndGoOnAsJSON(t *testing.T) {
	log := "Flag --pod-manifest-path has been deprecated, This parameter should be set via the config file.\n" +
		`I1122 14:38:27.064857   29116 kubelet.go:389] "Adding static pod path" path="/etc/kubernetes/manifests"` + "\n" +
		`{"ts":1795358307064.8572,"caller":"config/file.go:186","msg":"Could not process manifest file","path":"/m/a","err":"invalid"}` + "\n"
	if got := through(log, blockSize); len(got) != 2 || !strings.Contains(got[0], "KubeletStarted") || !strings.Contains(got[1], "ManifestRefused") {
		t.Errorf("events %v", got)
	}
}

func TestLinesMayEndAsOnWindows(t *testing.T) {
	recordedLogs(t, func(t *testing.T, log string) {
		want := through(log, blockSize)
		if d := cmp.Diff(want, through(strings.ReplaceAll(log, "\n", "\r\n"), 1000)); d != "" {
			t.Errorf("events (-LF +CRLF):\n%s", d)
		}
	})
}

// The header of a container runtime knows year and zone, which klog's text does not.
func TestTheHeaderOfAContainerRuntimeDatesAText(t *testing.T) {
	for header, want := range map[string]string{
		"2019-11-22T14:38:27.064999999Z":      "2019-11-22T14:38:27.064857Z",
		"2019-11-22T15:38:27.064999999+01:00": "2019-11-22T14:38:27.064999999Z", // the kubelet's zone is another
		"2019-11-22T16:38:27.064999999+02:00": "2019-11-22T14:38:27.064999999Z",
		"2019-11-22T14:38:27.064999999-00:00": "2019-11-22T14:38:27.064857Z",
	} {
		d := newDecoder()
		d.write([]byte(header + ` stderr F E1122 14:38:27.064857   29116 file.go:186] "Could not process manifest file" err="invalid" path="/m/a"` + "\n"))
		events := d.flush().events
		if len(events) != 1 || events[0].At.UTC().Format(time.RFC3339Nano) != want {
			t.Errorf("%s: %+v, want %s", header, events, want)
		}
	}
}

// A clock that jumps dates events, and orders none.
func TestAClockThatJumpsChangesNoOrder(t *testing.T) {
	var log strings.Builder
	times := []int64{1795358307064, 1795361907064, 1795358307065, 1795271907064, 1795358307066}
	for i, ms := range times {
		fmt.Fprintf(&log, `{"ts":%d.5,"caller":"config/file.go:186","msg":"Could not process manifest file","path":"/m/%d","err":"invalid"}`+"\n", ms, i)
	}
	d := newDecoder()
	d.write([]byte(log.String()))
	for i, e := range d.flush().events {
		if e.Path != "/m/"+strconv.Itoa(i) || !e.At.Equal(time.UnixMilli(times[i]).Add(500*time.Microsecond)) {
			t.Errorf("event %d: %+v", i, e)
		}
	}
}

func TestNoiseIsCountedApartAndIsNoEvent(t *testing.T) {
	log := `{"ts":1795358307064.8572,"caller":"kubelet/kubelet.go:3579","msg":"Creating a mirror pod for static pod","v":0,"pod":{"name":"web","namespace":"default"}}
I1122 14:38:27.064857   29116 kubelet.go:3579] "Creating a mirror pod for static pod" pod="default/web"
{"ts":1795358307064.8572,"caller":"pods/server.go:177","msg":"Pod update broadcasted","v":0,"podUID":"1","type":"MODIFIED"}
{"ts":1795358307064.8572,"caller":"pods/server.go:231","msg":"ListPods called","v":0,"client":""}
{"ts":1795358307064.8572,"caller":"a/remote_runtime.go:657","msg":"ContainerStatus from runtime service failed","err":"not found","containerID":"x"}
{"ts":1795358307064.8572,"caller":"config/file_linux.go:59","msg":"Unable to read config path","path":"/m","err":"path does not exist, ignoring"}
{"ts":1795358307064.8572,"caller":"config/file.go:97","msg":"Unable to read config path","path":"/m","err":"open /m: permission denied"}
`
	for name, log := range map[string]string{
		"file": log, "container": inContainer(strings.TrimSuffix(strings.ReplaceAll(log, "\n", "\n2026-11-22T14:38:27Z stderr F "), "\n2026-11-22T14:38:27Z stderr F "), 1<<20),
	} {
		d := newDecoder()
		d.write([]byte(log))
		p := d.flush()
		want := Noise{MirrorPod: 2, PodsAPI: 2, ContainerGone: 1, DirectoryMissing: 1}
		if p.noise != want || len(p.events) != 2 || p.events[0].Kind != DirectoryMissing {
			t.Errorf("%s: noise %+v, want %+v; events %+v", name, p.noise, want, p.events)
		}
		if again := d.flush(); again.noise != (Noise{}) || again.lines != 0 || len(again.events) != 0 {
			t.Errorf("%s: counted twice: %+v", name, again)
		}
	}
}

// pieces cuts a line so that the cuts fall anywhere.
func pieces(r *rand.Rand, line string) string {
	var out strings.Builder
	for len(line) > 0 {
		n := 1 + r.IntN(len(line))
		tag := "F"
		if n < len(line) {
			tag = "P"
		}
		fmt.Fprintf(&out, "2026-11-22T14:38:27.064857Z stderr %s %s\n", tag, line[:n])
		line = line[n:]
	}
	return out.String()
}

// A container runtime's line of 20 MB, whole or in pieces, costs no memory, and the line after it is read.
func TestALongLineInAContainer(t *testing.T) {
	long := `{"ts":1795358307064.8572,"caller":"config/file.go:186","msg":"Could not process manifest file","path":"/m/long","err":"invalid ` + strings.Repeat("x", 20<<20) + `"}`
	next := `{"ts":1795358307064.8572,"caller":"config/file.go:186","msg":"Could not process manifest file","path":"/m/next","err":"invalid"}`
	dull := `{"ts":1795358307064.8572,"caller":"a.go:1","msg":"Nothing","x":"` + strings.Repeat("x", 1<<20) + `"}`
	for name, log := range map[string]string{
		"whole":     inContainer(long, 1<<30) + inContainer(dull, 1<<30) + inContainer(next, 1<<30),
		"in pieces": inContainer(long, 16<<10) + inContainer(dull, 16<<10) + inContainer(next, 16<<10),
		"in large":  inContainer(long, 1<<20) + inContainer(dull, 200<<10) + inContainer(next, 16),
		"at random": pieces(rand.New(rand.NewPCG(1, 2)), long) + pieces(rand.New(rand.NewPCG(3, 4)), dull) + pieces(rand.New(rand.NewPCG(5, 6)), next),
	} {
		got := through(log, blockSize)
		if len(got) != 2 || !strings.Contains(got[0], `"/m/long"`) || !strings.Contains(got[1], `"/m/next"`) {
			t.Errorf("%s: %d events: %.300q", name, len(got), got)
		}
		d := newDecoder()
		d.write([]byte(log))
		if a := d.assembler; a.pending() != 0 || cap(a.part.clip.head)+cap(a.part.clip.tail)+cap(a.record.head)+cap(a.record.tail) > blockSize {
			t.Errorf("%s: %d bytes pending, parts of %d bytes", name, a.pending(), cap(a.part.clip.tail))
		}
	}
}

// A restart in the middle of a line in pieces reads all of its pieces again.
func TestARestartInTheMiddleOfPieces(t *testing.T) {
	n := newNode(t)
	n.open()
	wrapped := inContainer(strings.TrimSuffix(line(0), "\n"), 50)
	first := strings.SplitAfter(wrapped, "\n")
	for _, piece := range first[:2] {
		_, err := n.out.WriteString(piece)
		n.check(err)
	}
	n.drain()
	n.restart()
	_, err := n.out.WriteString(strings.Join(first[2:], ""))
	n.check(err)
	n.next = 1
	n.write(1)
	n.drain()
	n.expect(0, 0, 2)
	n.restart()
	n.drain()
	n.expect(0, 0, 2)
}

func FuzzContainer(f *testing.F) {
	f.Add([]byte(inContainer("Could not", 3)), 5)
	f.Add([]byte("2026-11-22T14:38:27Z stderr P a\n2026-11-22T14:38:27Z stdout F b\nplain\n"), 40)
	f.Add([]byte("2026-11-22T14:38:27.064857123+01:00 stdout F:x y\n\x00\x002026-11-22T14:38:27Z stderr F \n"), 1)
	f.Fuzz(func(t *testing.T, log []byte, n int) {
		a := newAssembler(func([]byte) {})
		n = max(1, n)
		total := int64(0)
		for rest := log; len(rest) > 0; {
			got := copy(a.space()[:min(n, len(a.space()))], rest)
			rest = rest[got:]
			a.take(got)
			if total += int64(got); a.pending() < 0 || a.pending() > total {
				t.Fatalf("%d bytes pending of %d", a.pending(), total)
			}
		}
		if a.lines != uint64(bytes.Count(log, []byte("\n"))) {
			t.Fatalf("%d lines of %d", a.lines, bytes.Count(log, []byte("\n")))
		}
	})
}

// What Talos ships says what the kubelet logged.
func FuzzTalos(f *testing.F) {
	f.Add("/m/a.yaml", "invalid pod: [spec.containers: Required value]", "web", "default")
	f.Add("", "two\nlines: \"quoted\" <html> \u2028", "", "")
	f.Fuzz(func(t *testing.T, path, err, pod, namespace string) {
		for _, msg := range []string{"Could not process manifest file", "Failed to read pods from URL", "Error syncing pod, skipping", "Failed creating a mirror pod", "Adding static pod path"} {
			line, failed := json.Marshal(map[string]any{"ts": 1795358307064.5, "msg": msg, "path": path, "err": err, "pod": map[string]string{"name": pod, "namespace": namespace}, "podUID": "1"})
			if failed != nil {
				t.Fatal(failed)
			}
			own, ok := Parse(line, readAt)
			sent, again := Parse([]byte(strings.TrimSuffix(shipped(t, string(line)), "\n")), readAt)
			if d := cmp.Diff(timeless([]Event{own}), timeless([]Event{sent})); ok && (!again || d != "") {
				t.Fatalf("%s: %t (-file +Talos):\n%s", line, again, d)
			}
		}
	})
}

func FuzzExport(f *testing.F) {
	number := 0
	f.Add([]byte(exported(&number, "one", 2) + exported(&number, "two\nlines", 100)))
	f.Add([]byte("__CURSOR=a\n\n\n__REALTIME_TIMESTAMP=x\n\n"))
	f.Add([]byte("MESSAGE\n\xff\xff\xff\xff\xff\xff\xff\xff"))
	f.Add([]byte("A=" + strings.Repeat("x", 5000) + "\nMESSAGE=" + strings.Repeat("y", 200000) + "\n\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r := newExportReader(bytes.NewReader(data))
		var e entry
		for n := 0; r.next(&e) == nil; n++ {
			if n > len(data) {
				t.Fatal("more entries than bytes")
			}
			if len(e.cursor) > fieldLimit || len(e.message.head) > clipSize || len(e.message.tail) > 2*clipSize {
				t.Fatalf("an entry of %d and %d bytes", len(e.cursor), len(e.message.head)+len(e.message.tail))
			}
		}
	})
}

func FuzzSource(f *testing.F) {
	for _, text := range []string{"file:///a", "/a", "journald:kubelet?directory=/x", "tcp://:1", "udp://[::1]:2", "stdin", "auto", ":"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := parseSource(text)
		if err != nil {
			return
		}
		if again, err := parseSource(s.name); err != nil || again != s {
			t.Fatalf("%q is %+v, and as it calls itself %+v, %v", text, s, again, err)
		}
	})
}
