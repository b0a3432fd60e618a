package main

import (
	"os"
	"path/filepath"
	"testing"
)

// A pod of which nobody knew whether it runs is followed as one that did, once the runtime answers.
func TestLogsWaitsForTheRuntime(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{
		"web.yaml":    "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec: {containers: [{name: c, image: i}]}\n",
		"kubelet.log": `{"ts":1795357910000.000,"caller":"kubelet/kubelet.go:2","msg":"Pod admission denied","pod":{"name":"web-node1","namespace":"default"},"reason":"NodePorts","message":"no ports"}` + "\n",
		"0.log":       "2026-11-22T14:38:27Z stdout F one\n2026-11-22T14:38:28Z stdout F two\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	runtime := newRuntime(t, dir, `
sandboxes: [{id: s1, namespace: default, name: web-node1, source: file, containers: [{id: ba83a7d7a77100000000, name: c, state: EXITED, log: 0.log}]}]`)
	c := begin(t, "logs", "web:c:ba83", "-f", "--tail=1", "--node=node1", "--cri.endpoint=unix://"+runtime.socket,
		"--kubelet.log="+dir+"/kubelet.log", "--kubelet.manifest-directory="+dir, "--manifest.listen=")
	c.expect(`2026-11-22T14:31:50.000000Z Pod admission denied pod="default/web-node1" reason="NodePorts" err="no ports"`)
	if err := runtime.start(); err != nil {
		t.Fatal(err)
	}
	c.expect("two")
	if code := <-c.code; code != 0 {
		t.Errorf("exit code %d, stderr: %s", code, c.stderr)
	}
}
