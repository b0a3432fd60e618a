package output

import (
	"io"
	"strings"
	"testing"
)

func TestJSONPath(t *testing.T) {
	const object = `{"node":"node1","metadata":{"id":"default/a-node1","version":3},"spec":{"ready":false,"message":"two\nlines\u001b[31m and ü",
		"containers":[{"name":"x","restartCount":1000000,"ports":[{"port":80}]},
			{"name":"y","restartCount":2,"lastExit":{"code":1},"ports":[]}],"problems":[],"nothing":null,"share":0.5}}`
	for _, c := range []struct{ name, template, want string }{
		{"a string", "{.metadata.id}", "default/a-node1\n"},
		{"a number", "{.metadata.version}", "3\n"},
		{"a large number", "{.spec.containers[0].restartCount}", "1000000\n"},
		{"a fraction", "{.spec.share}", "0.5\n"},
		{"a truth value", "{.spec.ready}", "false\n"},
		{"null", "{.spec.nothing}", "null\n"},
		{"an object", "{.metadata}", "{\n    \"id\": \"default/a-node1\",\n    \"version\": 3\n}\n"},
		{"several results", "{.spec.containers[*].name}", "x\ny\n"},
		{"a filter", "{.spec.containers[?(@.restartCount>3)].name}", "x\n"},
		{"what is not there", "{.spec.absent}", ""},
		{"what one of two has", "{.spec.containers[*].lastExit.code}", "1\n"},
		{"without braces", ".metadata.id", "default/a-node1\n"},
		{"without braces and dot", "metadata.id", "default/a-node1\n"},
		{"several expressions", `{.metadata.id}{"\t"}{.spec.ready}`, "default/a-node1\tfalse\n"},
		{"an end of the line", `{.metadata.id} {.node}{"\n"}`, "default/a-node1 node1\n"},
		{"a range", `{range .spec.containers[*]}{.name}={.restartCount}{"\n"}{end}`, "x=1000000\ny=2\n"},
		{"a range over nothing", `{range .spec.absent[*]}{.name}{"\n"}{end}{.node}`, "node1\n"},
		{"a range over null", `{range .spec.nothing}<{.name}{.list[0].x}>{end}{.node}`, "<>node1\n"},
		{"a range in a range", `{.node}:{range .spec.containers[*]} {.name}({range .lastExit}{.code}{end}){end}.`, "node1: x() y(1).\n"},
		{"two ranges", `{range .spec.containers[*]}{.name}{end}-{range .spec.containers[*]}{.restartCount},{end}`, "xy-1000000,2,\n"},
		{"a range and nothing else", `{range .spec.containers[*]}{.name}{"\n"}{end}`, "x\ny\n"},
		{"braces in quotes", `{"{"}{.node}{'}'}`, "{node1}\n"},
		{"an end in quotes", `{.node}{"end"}`, "node1end\n"},
		{"an index into a list that is too short", "{.spec.containers[2].name}", ""},
		{"an index into an empty list, among others", `{.node} {.spec.problems[0].reason} {.spec.containers[-1:].name}`, "node1  y\n"},
		{"the last of an empty list", "{.spec.problems[-1:].reason}", ""},
		{"an index into an empty list of each", `{range .spec.containers[*]}{.name}{.ports[0].port} {end}`, "x80 y \n"},
		{"what would steer a terminal", "{.spec.message}", "two\nlines\\x1b[31m and ü\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var b strings.Builder
			p, err := NewJSONPath(&b, c.template)
			if err != nil {
				t.Fatal(err)
			}
			for range 2 { // one resource after the other
				b.Reset()
				if err := p.Write([]byte(object)); err != nil {
					t.Fatal(err)
				}
				if b.String() != c.want {
					t.Errorf("got %q, want %q", b.String(), c.want)
				}
			}
		})
	}
	for _, template := range []string{"", "{.metadata.id", "{.a[}", "{.a}{end}", "{end}", "{range .a}{.b}", "{.a}{range .b}", "{rang .a}{end}", "{.a end}", "{range}{end}"} {
		if _, err := NewJSONPath(nil, template); err == nil || !strings.HasPrefix(err.Error(), "jsonpath: ") {
			t.Errorf("%q: %v", template, err)
		}
	}
}

// What one of several lists does not have is not taken for what none has.
func TestJSONPathWithIndicesOfSeveralLists(t *testing.T) {
	p, err := NewJSONPath(io.Discard, "{.spec.containers[*].ports[0]}")
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Write([]byte(`{"spec":{"containers":[{"ports":[80]},{"ports":[]}]}}`)); err == nil || !strings.Contains(err.Error(), "array index out of bounds") {
		t.Errorf("%v", err)
	}
}

func FuzzJSONPath(f *testing.F) {
	f.Add("{.metadata.id}")
	f.Add(`{range .spec.containers[*]}{.name}{"\t"}{end}`)
	f.Add("{.spec.containers[?(@.restartCount>=1)].name}")
	f.Fuzz(func(t *testing.T, template string) {
		var b strings.Builder
		p, err := NewJSONPath(&b, template)
		if err != nil {
			return
		}
		_ = p.Write([]byte(`{"metadata":{"id":"a"},"spec":{"containers":[{"name":"x","restartCount":1}]}}`)) // it may find that it makes no sense
		if strings.ContainsRune(b.String(), '\x1b') {
			t.Errorf("%q steers the terminal: %q", template, b.String())
		}
	})
}
