package manifest

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

func TestHostPortConflicts(t *testing.T) {
	port := func(address, protocol string, host int) string {
		return "{containerPort: 80, hostPort: " + strconv.Itoa(host) + ", hostIP: \"" + address + "\", protocol: " + protocol + "}"
	}
	for _, test := range []struct {
		name, first, second string // the pods' specs
		want                string // the conflict as the second pod has it
	}{
		{"the same port", "containers: [{name: c, image: i, ports: [" + port("", "TCP", 80) + "]}]",
			"containers: [{name: x, image: i}, {name: c, image: i, ports: [" + port("", "TCP", 81) + ", " + port("", "TCP", 80) + "]}]",
			"0.0.0.0:80/TCP spec.containers[0].ports[0].hostPort spec.containers[1].ports[1].hostPort"},
		{"another protocol", "containers: [{name: c, image: i, ports: [" + port("", "TCP", 80) + "]}]", "containers: [{name: c, image: i, ports: [" + port("", "UDP", 80) + "]}]", ""},
		{"two addresses", "containers: [{name: c, image: i, ports: [" + port("192.0.2.1", "TCP", 80) + "]}]", "containers: [{name: c, image: i, ports: [" + port("192.0.2.2", "TCP", 80) + "]}]", ""},
		{"one address", "containers: [{name: c, image: i, ports: [" + port("192.0.2.1", "TCP", 80) + "]}]", "containers: [{name: c, image: i, ports: [" + port("192.0.2.1", "TCP", 80) + "]}]",
			"192.0.2.1:80/TCP spec.containers[0].ports[0].hostPort spec.containers[0].ports[0].hostPort"},
		{"an address and all", "containers: [{name: c, image: i, ports: [" + port("192.0.2.1", "TCP", 80) + "]}]", "containers: [{name: c, image: i, ports: [" + port("0.0.0.0", "TCP", 80) + "]}]",
			"0.0.0.0:80/TCP spec.containers[0].ports[0].hostPort spec.containers[0].ports[0].hostPort"},
		{"all and an address", "containers: [{name: c, image: i, ports: [" + port("", "TCP", 80) + "]}]", "containers: [{name: c, image: i, ports: [" + port("2001:db8::1", "TCP", 80) + "]}]",
			"[2001:db8::1]:80/TCP spec.containers[0].ports[0].hostPort spec.containers[0].ports[0].hostPort"},
		{"a container port on the host's network", "hostNetwork: true, containers: [{name: c, image: i, ports: [{containerPort: 80}]}]", "containers: [{name: c, image: i, ports: [" + port("", "TCP", 80) + "]}]",
			"0.0.0.0:80/TCP spec.containers[0].ports[0].hostPort spec.containers[0].ports[0].hostPort"},
		{"a container port in a network of its own", "containers: [{name: c, image: i, ports: [{containerPort: 80}]}]", "containers: [{name: c, image: i, ports: [" + port("", "TCP", 80) + "]}]", ""},
		{"a sidecar", "initContainers: [{name: s, image: i, restartPolicy: Always, ports: [" + port("", "TCP", 80) + "]}], containers: [{name: c, image: i}]", "containers: [{name: c, image: i, ports: [" + port("", "TCP", 80) + "]}]",
			"0.0.0.0:80/TCP spec.initContainers[0].ports[0].hostPort spec.containers[0].ports[0].hostPort"},
		{"an init container, which ends", "initContainers: [{name: s, image: i, ports: [" + port("", "TCP", 80) + "]}], containers: [{name: c, image: i}]", "containers: [{name: c, image: i, ports: [" + port("", "TCP", 80) + "]}]", ""},
		{"two ports in conflict are one conflict", "containers: [{name: c, image: i, ports: [" + port("", "TCP", 80) + ", " + port("", "UDP", 80) + "]}]", "containers: [{name: c, image: i, ports: [" + port("", "UDP", 80) + ", " + port("", "TCP", 80) + "]}]",
			"0.0.0.0:80/UDP spec.containers[0].ports[1].hostPort spec.containers[0].ports[0].hostPort"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var pods []*corev1.Pod
			for _, spec := range []string{test.first, test.second} {
				c := prove(t, Rules{Node: "n"}, "metadata: {name: a}\nkind: Pod\napiVersion: v1\nspec: {"+spec+"}\n", FormDefinitions)
				if c.Quarantined() {
					t.Fatal(sketch(c.Problems))
				}
				pods = append(pods, c.Pod)
			}
			got := ""
			for _, c := range hostPortConflicts(pods) {
				if c.First != 0 || c.Second != 1 {
					t.Errorf("between %d and %d", c.First, c.Second)
				}
				got += c.Port + " " + c.Field(0) + " " + c.Field(1)
			}
			if got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestHostPortConflictsAreInOrder(t *testing.T) {
	pod := func(ports ...int32) *corev1.Pod {
		c := corev1.Container{}
		for _, p := range ports {
			c.Ports = append(c.Ports, corev1.ContainerPort{HostPort: p})
		}
		return &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{c}}}
	}
	var got [][2]int
	for _, c := range hostPortConflicts([]*corev1.Pod{pod(80), pod(81), pod(81, 80), pod(), pod(80)}) {
		got = append(got, [2]int{c.First, c.Second})
	}
	if want := [][2]int{{0, 2}, {1, 2}, {0, 4}, {2, 4}}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestTogetherALoserTakesNoPort(t *testing.T) {
	v := NewValidator(Rules{Node: "n"})
	with := func(name string, ports ...string) string {
		return strings.Replace(block(name), "image: i\n", "image: i\n    imag: x\n    ports:\n", 1) + "    - {containerPort: 1, hostPort: " + strings.Join(ports, "}\n    - {containerPort: 2, hostPort: ") + "}\n"
	}
	const want = "1 default/a UnknownField:9\n13 default/b UnknownField:21 HostPortConflict:23\n26 default/c UnknownField:34\n"
	if got := outline(Together(v.File("/a", []byte(with("a", "80")+"---\n"+with("b", "80", "81")+"---\n"+with("c", "81")), FormDefinitions))); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestTogether(t *testing.T) {
	withPort := func(name string) string {
		return block(name) + "    ports:\n    - containerPort: 80\n      hostPort: 80\n"
	}
	v := NewValidator(Rules{Node: "n"})
	candidates := append(v.File("/a.yaml", []byte(withPort("a")+"---\n"+block("b")), FormDefinitions),
		v.File("/b.yaml", []byte(withPort("a")+"---\n"+withPort("c")+"---\n"+block("d")+"---\nbroken: [\n"), FormDefinitions)...)
	const want = `1 default/a
13 default/b
1 default/a DuplicateName:4
13 default/c HostPortConflict:23
25 default/d
34 / ManifestMalformed:34
`
	for range 2 { // the remembered candidates must not be marked
		together := Together(candidates)
		if got := outline(together); got != want {
			t.Errorf("got\n%swant\n%s", got, want)
		}
		if m := together[2].Problems[0].Message; m != "pod default/a is defined already at /a.yaml:1" {
			t.Error(m)
		}
		if p := together[3].Problems[0]; p.Message != "host port 0.0.0.0:80/TCP is taken by pod default/a at /a.yaml:1" || p.Field != "spec.containers[0].ports[0].hostPort" || p.Column != 7 {
			t.Errorf("%+v", p)
		}
	}
}
