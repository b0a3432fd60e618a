package main

import (
	"errors"
	"strings"
	"testing"

	"github.com/staticpod-exporter/staticpod-exporter/cri"
)

func TestParseContainerID(t *testing.T) {
	for text, want := range map[string]containerID{
		"web":                       {pod: "web"},
		"default/web-node1":         {namespace: "default", pod: "web-node1"},
		"web:app":                   {pod: "web", container: "app"},
		"default/web:app:4183a7d7":  {namespace: "default", pod: "web", container: "app", id: "4183a7d7"},
		"web.example.com":           {pod: "web.example.com"},
		"file:/etc/manifests/a:b/c": {path: "/etc/manifests/a:b/c"},
		"file:a":                    {pod: "file", container: "a"},
	} {
		got, err := parseContainerID(text)
		if err != nil || got != want {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
		if got.String() != text {
			t.Errorf("%q: printed as %s", text, got)
		}
	}
	for _, text := range []string{"", "/", "a/", "/a", "a:", ":a", "a::b", "a:b:", "a:b:c:d", "a/b/c", "A", "日本", "a b", "a\n", "-\x1b[31m"} {
		if got, err := parseContainerID(text); err == nil {
			t.Errorf("%q: %+v", text, got)
		} else if _, usage := errors.AsType[usageError](err); !usage || strings.ContainsAny(err.Error(), "\x1b\n") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// What is an ID is printed as it was typed, and read again as the same.
func FuzzContainerID(f *testing.F) {
	for _, text := range []string{"web", "default/web-node1:app:4183a7d7", "file:/a", "a:b:c:d", "//", "\x00"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := parseContainerID(text)
		if err != nil {
			return
		}
		if c.String() != text {
			t.Errorf("%q is printed as %q", text, c.String())
		}
		sandboxes := []cri.Sandbox{{Namespace: "default", Name: "web-node1", Source: "http", Containers: []cri.Container{{ID: "4183a7d7", Name: "app"}}}}
		found, err := c.find(sandboxes, "node1")
		if err == nil && (found.pod != "web-node1" || found.container != "app") {
			t.Errorf("%q found %s", text, found)
		}
	})
}
