package manifest

import (
	"crypto/sha256"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// related writes what a directory holds with all that its files have against each other: one line for each
// problem, with detail, place and words.
func related(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, data := range files {
		write(t, filepath.Join(dir, name), data)
	}
	read, err := NewValidator(Rules{Node: "n"}).readDirectory(dir, "/m")
	if err != nil {
		t.Fatal(err)
	}
	relate(read)
	var b strings.Builder
	for _, f := range read {
		for _, c := range f.candidates {
			for _, p := range c.Problems {
				b.WriteString(strings.Join([]string{filepath.Base(f.path), string(p.Level), string(p.Reason), p.Detail, p.Field, p.Message}, "|") + "\n")
			}
		}
	}
	return b.String()
}

func withPorts(name, ports string) string {
	return block(name) + "    ports:\n    - {containerPort: 1, hostPort: " + ports + "}\n"
}

func withMetadata(name, lines string) string {
	return strings.Replace(block(name), "name: "+name+"\n", "name: "+name+"\n  "+lines+"\n", 1)
}

func TestRelations(t *testing.T) {
	for _, test := range []struct {
		name  string
		files map[string]string
		want  []string // parts of the lines, in order
	}{
		{"a backup after its file", map[string]string{"a.yaml": block("a"), "a.yaml.bak": block("a")}, []string{
			"a.yaml|critical|DuplicateName||metadata.name|/m/a.yaml.bak defines pod default/a too and comes later in byte order: the kubelet runs that one and ignores this file. Whoever writes to this file makes the kubelet run it all the same, until its next reading of the directory takes it back: two restarts of the pod",
			"a.yaml.bak|warning|StrayFile|||the kubelet reads every file whose name does not begin with a dot, also a backup like this: move it out of the manifest directory; it runs in place of /m/a.yaml, whose edits the kubelet takes back",
		}},
		{"an editor's copy before its file", map[string]string{"#a.yaml#": block("a"), "a.yaml": block("a")}, []string{
			"#a.yaml#|warning|StrayFile|||the kubelet reads every file whose name does not begin with a dot, also a backup like this: move it out of the manifest directory; /m/a.yaml comes later, so this copy is ignored until somebody writes to it",
			"#a.yaml#|critical|DuplicateName||metadata.name|/m/a.yaml defines",
		}},
		{"a broken file shadows nothing", map[string]string{"a.yaml": block("a"), "b.yaml": strings.Replace(block("a"), "image: i", "imag: i", 1)}, []string{
			"b.yaml|critical|ManifestInvalid", "b.yaml|warning|UnknownField",
		}},
		{"one host port for two", map[string]string{"a.yaml": withPorts("a", "80"), "b.yaml": withPorts("b", "80"), "c.yaml": withPorts("c", "81")}, []string{
			"a.yaml|warning|HostPortConflict||spec.containers[0].ports[0].hostPort|host port 0.0.0.0:80/TCP is asked for by pod default/b of /m/b.yaml too: the kubelet admits one of the two, and which one may change whenever it starts",
			"b.yaml|critical|HostPortConflict||spec.containers[0].ports[0].hostPort|host port 0.0.0.0:80/TCP is asked for by pod default/a of /m/a.yaml too",
		}},
		{"a shadowed file has no port", map[string]string{"a.yaml": withPorts("a", "80"), "b.yaml": block("a"), "c.yaml": withPorts("c", "80")}, []string{
			"a.yaml|critical|DuplicateName",
		}},
		{"one UID for two", map[string]string{"a.yaml": withMetadata("a", "uid: u"), "b.yaml": withMetadata("b", "uid: u")}, []string{
			"a.yaml|warning|UIDFixed||metadata.uid|the kubelet takes metadata.uid as it is",
			"a.yaml|critical|UnsafeMetadata|DuplicateUID|metadata.uid|pod default/b of /m/b.yaml has this UID too",
			"b.yaml|warning|UIDFixed",
			"b.yaml|critical|UnsafeMetadata|DuplicateUID|metadata.uid|pod default/a of /m/a.yaml has this UID too",
		}},
		{"a UID that leads elsewhere", map[string]string{"a.yaml": withMetadata("a", "uid: ../../evil")}, []string{
			"a.yaml|critical|UnsafeMetadata|UnsafeUID|metadata.uid|the kubelet makes directories",
		}},
		{"a mirror pod", map[string]string{"a.yaml": withMetadata("a", "annotations: {kubernetes.io/config.mirror: x}")}, []string{
			"a.yaml|critical|UnsafeMetadata|MirrorAnnotation|metadata.annotations[kubernetes.io/config.mirror]|",
		}},
		{"a pod on its way out", map[string]string{"a.yaml": withMetadata("a", "deletionTimestamp: 2026-01-01T00:00:00Z")}, []string{
			"a.yaml|critical|UnsafeMetadata|DeletionTimestamp|metadata.deletionTimestamp|",
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := related(t, test.files)
			lines := strings.Split(strings.TrimSuffix(got, "\n"), "\n")
			if len(lines) != len(test.want) {
				t.Fatalf("got\n%swant\n%s", got, strings.Join(test.want, "\n"))
			}
			for i, want := range test.want {
				if !strings.HasPrefix(lines[i], want) {
					t.Errorf("got\n%s\nwant\n%s", lines[i], want)
				}
			}
		})
	}
}

// A path that ends in a slash is one that the kubelet knows without it, of a directory and of a file.
func TestDirectoryIsKnownWithoutSlash(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a.yaml"), block("a"))
	v := NewValidator(Rules{Node: "n"})
	plain, err := v.readDirectory(dir, "/m")
	if err != nil {
		t.Fatal(err)
	}
	if slash, err := v.readDirectory(dir+"/", "/m//"); err != nil || slash[0].path != "/m/a.yaml" || slash[0].candidates[0].UID != plain[0].candidates[0].UID {
		t.Errorf("%v %+v", err, slash)
	}
	if file, err := v.readDirectory(filepath.Join(dir, "a.yaml"), "/m/a.yaml/"); err != nil || file[0].path != "/m/a.yaml" || file[0].candidates[0].UID != plain[0].candidates[0].UID {
		t.Errorf("%v %+v", err, file)
	}
}

func TestSettling(t *testing.T) {
	const good, bad = "good", ""
	v := NewValidator(Rules{Node: "n"})
	noon := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	file := func(path, content string, modified time.Time) readFile {
		data := []byte(content)
		if content == good {
			data = []byte(block("a"))
		}
		return readFile{path: path, modified: modified, sum: sumOf(data), candidates: v.File(path, data, FormDirectory)}
	}
	var s settler
	settle := func(what string, at time.Duration, wantShown string, wantAgain time.Duration, atOnce bool, files ...readFile) {
		t.Helper()
		shown, again := s.settle(files, noon.Add(at), atOnce)
		got := ""
		for _, f := range shown {
			got += f.path
			if !f.sound() {
				got += "!"
			}
		}
		if got != wantShown || !again.Equal(noon.Add(wantAgain)) && (!again.IsZero() || wantAgain != 0) {
			t.Errorf("%s: shown %q, again %s; want %q, %s", what, got, again.Sub(noon), wantShown, wantAgain)
		}
	}
	settle("a new file is written", 0, "", time.Second, false, file("a", bad, noon))
	settle("and still is, half of it", 500*time.Millisecond, "", 1500*time.Millisecond, false, file("a", "kind: P", noon.Add(500*time.Millisecond)))
	settle("and is whole", 700*time.Millisecond, "a", 0, false, file("a", good, noon.Add(700*time.Millisecond)))
	settle("it is written anew", time.Minute, "a", time.Minute+time.Second, false, file("a", bad, noon.Add(time.Minute)))
	settle("and remains so", time.Minute+time.Second, "a!", 0, false, file("a", bad, noon.Add(time.Minute)))
	settle("and is bad otherwise", time.Minute+2*time.Second, "a!", time.Minute+3*time.Second, false, file("a", "kind: P", noon.Add(time.Minute+2*time.Second)))
	settle("a bad file is moved in, whole since long", 2*time.Minute, "a!b!", 0, true, file("a", "kind: P", noon), file("b", bad, noon))
	settle("of a time to come", 3*time.Minute, "c!", 3*time.Minute+time.Second, false, file("d", bad, noon.Add(time.Hour)), file("c", bad, noon))
	settle("is judged all the same", 3*time.Minute+time.Second, "d!", 0, false, file("d", bad, noon.Add(time.Hour)))
	settle("somebody asks", 4*time.Minute, "d!", 0, true, file("d", "kind: P", noon.Add(4*time.Minute)))
}

func sumOf(data []byte) [sha256.Size]byte { return sha256.Sum256(data) }
