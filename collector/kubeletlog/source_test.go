package kubeletlog

import (
	"strconv"
	"strings"
	"testing"
)

func TestSourcesAreTakenApart(t *testing.T) {
	for text, want := range map[string]source{
		"file:///var/log/kubelet.log":          {scheme: "file", path: "/var/log/kubelet.log"},
		"file://localhost/var/log/kubelet.log": {scheme: "file", path: "/var/log/kubelet.log"},
		"file:/var/log/kubelet.log":            {scheme: "file", path: "/var/log/kubelet.log"},
		"/var/log/./kubelet.log":               {scheme: "file", path: "/var/log/kubelet.log"},
		"/var/log/a:b.log":                     {scheme: "file", path: "/var/log/a:b.log"},
		"journald:":                            {scheme: "journald", name: "journald:kubelet.service", journal: journalSource{unit: "kubelet.service"}},
		"journald:kubelet":                     {scheme: "journald", name: "journald:kubelet.service", journal: journalSource{unit: "kubelet.service"}},
		"journald://k3s-agent.service":         {scheme: "journald", name: "journald:k3s-agent.service", journal: journalSource{unit: "k3s-agent.service"}},
		"journald:kubelet.service?directory=/host/var/log/journal": {
			scheme: "journald", name: "journald:kubelet.service?directory=%2Fhost%2Fvar%2Flog%2Fjournal",
			journal: journalSource{unit: "kubelet.service", directory: "/host/var/log/journal"},
		},
		"journald:?root=/host": {
			scheme: "journald", name: "journald:kubelet.service?root=%2Fhost", journal: journalSource{unit: "kubelet.service", root: "/host"},
		},
		"tcp://127.0.0.1:5170": {scheme: "tcp", address: "127.0.0.1:5170"},
		"tcp://:5170":          {scheme: "tcp", address: "127.0.0.1:5170"},
		"udp://0.0.0.0:5170":   {scheme: "udp", address: "0.0.0.0:5170"},
		"udp://[::1]:5170":     {scheme: "udp", address: "[::1]:5170"},
		"stdin":                {scheme: "stdin"},
		"auto":                 {scheme: "auto"},
	} {
		if want.name == "" {
			want.name = text
		}
		if got, err := parseSource(text); err != nil || got != want {
			t.Errorf("%s: %+v, %v\nwant %+v", text, got, err, want)
		}
	}
}

func TestWhatIsNoSourceIsSaid(t *testing.T) {
	for text, want := range map[string]string{
		"":                                "none of file:///PATH, journald:UNIT, tcp://HOST:PORT",
		"kubelet.log":                     "none of ",
		"http://127.0.0.1/":               "none of ",
		"file://host/kubelet.log":         "absolute path",
		"file:":                           "absolute path",
		"tcp://127.0.0.1":                 "tcp://127.0.0.1:5170",
		"udp:5170":                        "udp://127.0.0.1:5170",
		"tcp://127.0.0.1:":                "tcp://127.0.0.1:5170",
		"journald:kube*":                  "no name of a unit",
		"journald:--file=/x":              "no name of a unit",
		"journald:a/b":                    "no name of a unit",
		"journald:kubelet?unit=x":         "neither directory nor root",
		"journald:kubelet?directory=x":    "absolute path",
		"journald:kubelet?root=/a&root=/": "one absolute path",
		"journald:kubelet?%":              "KEY=VALUE",
	} {
		err := Check(text)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), strconv.Quote(text)+": ") {
			t.Errorf("%q: %v", text, err)
		}
		if _, again := Follow(Options{Path: text}); again == nil || again.Error() != err.Error() {
			t.Errorf("%q: %v, and to Follow %v", text, err, again)
		}
	}
}
