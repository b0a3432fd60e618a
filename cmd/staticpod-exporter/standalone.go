package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
)

// standalone says whether the kubelet of this machine runs without an API server: as configured, else by the
// command line of the process named kubelet. Of several, such as those of nodes in containers, one without an API
// server is enough: nothing is worse than its crash. One that cannot be found is taken to have an API server, which
// refuses no definition.
func standalone(configured, proc string) bool {
	switch configured {
	case "true":
		return true
	case "false":
		return false
	}
	names, _ := filepath.Glob(filepath.Join(proc, "[0-9]*", "comm"))
	for _, name := range names {
		comm, err := os.ReadFile(name)
		if err != nil || strings.TrimSpace(string(comm)) != "kubelet" {
			continue
		}
		line, err := os.ReadFile(filepath.Join(filepath.Dir(name), "cmdline"))
		if err != nil || len(line) == 0 {
			continue
		}
		if !hasKubeconfig(bytes.Split(line, []byte{0})) {
			return true
		}
	}
	return false
}

func hasKubeconfig(arguments [][]byte) bool {
	for _, a := range arguments {
		flag := strings.TrimLeft(string(a), "-")
		if flag == "kubeconfig" || strings.HasPrefix(flag, "kubeconfig=") && flag != "kubeconfig=" ||
			flag == "bootstrap-kubeconfig" || strings.HasPrefix(flag, "bootstrap-kubeconfig=") {
			return true
		}
	}
	return false
}
