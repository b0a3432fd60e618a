package manifest

import (
	"fmt"
	"net"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
)

// A portConflict is a host port that two pods cannot both have. First and Second index the pods, First < Second.
type portConflict struct {
	First, Second int
	Port          string // the second pod's, as in 0.0.0.0:80/TCP
	fields        [2]string
}

// Field is the port's field in the pod with that index: spec.containers[0].ports[1].hostPort.
func (c portConflict) Field(pod int) string {
	if pod == c.Second {
		return c.fields[1]
	}
	return c.fields[0]
}

// anyAddress is the host IP of a port that names none.
const anyAddress = "0.0.0.0"

// A hostPort is a port of the node that a pod asks for.
type hostPort struct {
	address  string
	protocol corev1.Protocol
	port     int32
	field    string
}

func (p hostPort) String() string {
	return net.JoinHostPort(p.address, strconv.Itoa(int(p.port))) + "/" + string(p.protocol)
}

// hostPorts lists the ports that a defaulted pod keeps for its whole life, as the kubelet's admission counts
// them: not those of init containers that end.
func hostPorts(pod *corev1.Pod) []hostPort {
	var ports []hostPort
	add := func(kind string, i int, c *corev1.Container) {
		for j, p := range c.Ports {
			if p.HostPort <= 0 {
				continue
			}
			hp := hostPort{p.HostIP, p.Protocol, p.HostPort, fmt.Sprintf("spec.%s[%d].ports[%d].hostPort", kind, i, j)}
			if hp.address == "" {
				hp.address = anyAddress
			}
			if hp.protocol == "" {
				hp.protocol = corev1.ProtocolTCP
			}
			ports = append(ports, hp)
		}
	}
	for i := range pod.Spec.InitContainers {
		c := &pod.Spec.InitContainers[i]
		if c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			add("initContainers", i, c)
		}
	}
	for i := range pod.Spec.Containers {
		add("containers", i, &pod.Spec.Containers[i])
	}
	return ports
}

// hostPortConflicts lists every pair of pods that ask for one host port, once, in order of Second and First.
// Two ports conflict as in the kubelet's admission: same port and protocol, and the same address or one of
// them any.
func hostPortConflicts(pods []*corev1.Pod) []portConflict {
	type claim struct {
		pod  int
		port hostPort
	}
	type number struct {
		protocol corev1.Protocol
		port     int32
	}
	claims := map[number][]claim{}
	var conflicts []portConflict
	for second, pod := range pods {
		ports := hostPorts(pod)
		before := len(conflicts)
		seen := map[int]bool{}
		for _, p := range ports {
			for _, c := range claims[number{p.protocol, p.port}] {
				if seen[c.pod] || p.address != c.port.address && p.address != anyAddress && c.port.address != anyAddress {
					continue
				}
				seen[c.pod] = true
				conflicts = append(conflicts, portConflict{c.pod, second, p.String(), [2]string{c.port.field, p.field}})
			}
		}
		for _, p := range ports {
			n := number{p.protocol, p.port}
			claims[n] = append(claims[n], claim{second, p})
		}
		slices.SortFunc(conflicts[before:], func(a, b portConflict) int { return a.First - b.First })
	}
	return conflicts
}
