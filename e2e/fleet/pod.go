package fleet

import (
	"fmt"
	"strconv"
	"time"
)

// A pod is one static pod of a node.
type pod struct {
	index           int
	namespace, name string // the name is the kubelet's, with the node's
	definition      string
	path            string
	containers      []*container

	info, mirror, ready, stale, version changing
	phase                               map[string]*series
	conditions                          map[string]*series
	valid, revision, changed            *series
	place                               *series // where a mistake is
}

type container struct {
	name, image                       string
	info                              changing // by how often it was started
	ready, restarts, exit, terminated *series
	state                             map[string]*series
}

func newPod(n *node, index int, namespace, app string, containers int) *pod {
	p := &pod{index: index, namespace: namespace, name: app + "-" + n.name, definition: namespace + "-" + app,
		path: "/etc/staticpod-exporter/pods.d/" + app + ".yaml", phase: map[string]*series{}, conditions: map[string]*series{}}
	of := []string{"namespace", p.namespace, "pod", p.name}
	with := func(more ...string) []string { return append(more, of...) }
	plain := func(name string) changing { return changing{make: func(int) *series { return n.new(name, of...) }} }
	p.ready, p.stale, p.version = plain("staticpod_ready"), plain("staticpod_stale"), plain("staticpod_status_version")
	p.info.make = func(revision int) *series {
		return n.new("staticpod_info", with("uid", uid(n.name, p.definition, revision), "definition", p.definition, "source", "http")...)
	}
	p.mirror.make = func(revision int) *series {
		return n.new("staticpod_mirror_info", with("uid", uid(n.name, p.definition, revision), "mirror_uid", uid("mirror", n.name, p.definition, revision))...)
	}
	for _, phase := range []string{"Pending", "Running", "Succeeded"} {
		p.phase[phase] = n.new("staticpod_phase", with("phase", phase)...)
	}
	for _, condition := range []string{"Valid", "Accepted", "Current", "Ready"} {
		p.conditions[condition] = n.new("staticpod_condition", with("condition", condition)...)
	}
	p.valid = n.new("staticpod_manifest_valid", "definition", p.definition, "path", p.path, "source", "http")
	p.revision = n.new("staticpod_manifest_version", "definition", p.definition)
	p.changed = n.new("staticpod_manifest_last_change_timestamp_seconds", "definition", p.definition)
	p.place = n.new("staticpod_problem_info", with("definition", p.definition, "path", p.path, "line", "12", "field", "spec.containers[0].image", "reason", "ManifestInvalid")...)
	for i := range containers {
		p.containers = append(p.containers, newContainer(n, p, i, app))
	}
	return p
}

func newContainer(n *node, p *pod, i int, app string) *container {
	c := &container{name: app, image: "registry.example.com/" + app + ":1.27.3", state: map[string]*series{}}
	if i > 0 {
		c.name, c.image = "sidecar", "registry.example.com/sidecar:3.1.0"
	}
	with := func(more ...string) []string {
		return append(more, "namespace", p.namespace, "pod", p.name, "container", c.name)
	}
	c.info.make = func(start int) *series {
		return n.new("staticpod_container_info", with("image", c.image, "image_id", "sha256:"+uid(c.image)+uid(c.image, 1),
			"container_id", uid(n.name, p.name, c.name, start)+uid(start, c.name))...)
	}
	c.ready = n.new("staticpod_container_ready", with()...)
	c.restarts = n.new("staticpod_container_restarts_total", with()...)
	c.exit = n.new("staticpod_container_last_exit_code", with()...)
	c.terminated = n.new("staticpod_container_last_terminated_timestamp_seconds", with()...)
	for _, state := range []string{"waiting", "running", "exited"} {
		c.state[state] = n.new("staticpod_container_state", with("state", state)...)
	}
	return c
}

// A condition of a pod, as its episodes make it.
type condition struct {
	revision, starts, restarts int
	changed, ended             time.Time // the definition; a container
	ready, current             bool
	phase, state               string
	exit                       float64
	refused, unborn            bool
	version                    int
}

// crashInterval is how often a container ends that does so for ever: the kubelet waits five minutes at most.
const crashInterval = 5*time.Minute + 10*time.Second

func (p *pod) condition(born time.Time, life []episode, at time.Time) condition {
	c := condition{changed: born, ready: true, current: true, phase: "Running", state: "running"}
	for i := range life {
		e := &life[i]
		if at.Before(e.begin) {
			break
		}
		on := e.on(at)
		c.version++
		switch e.kind {
		case rollout:
			c.revision++
			c.starts++
			c.restarts, c.ended = 0, time.Time{}
			c.changed = e.begin
			if on {
				c.ready, c.phase, c.state = false, "Pending", "waiting"
				c.current = at.Sub(e.begin) > e.end.Sub(e.begin)/2
			}
		case restart:
			c.starts++
			c.restarts++
			c.ended, c.exit = e.begin, 1
			c.ready = c.ready && !on
		case crashing:
			times := int(min(at.Sub(e.begin), e.end.Sub(e.begin))/crashInterval) + 1
			c.starts += times
			c.restarts += times
			c.version += times
			c.ended, c.exit = e.begin.Add(time.Duration(times-1)*crashInterval), 2
			if on {
				// It is up for some seconds each time.
				c.ready = at.Sub(c.ended) > crashInterval-8*time.Second
				c.state = "waiting"
			}
		case unready:
			c.ready = c.ready && !on
		case refused:
			c.refused = c.refused || on
		case refusedNew:
			c.refused, c.unborn = c.refused || on, c.unborn || on
		case completed:
			if on {
				c.ready, c.phase, c.state = false, "Succeeded", "exited"
				c.ended, c.exit = e.begin, 0
			}
		}
	}
	return c
}

// say writes what is published of the pod. With an input down what is said is old, and that it is ready nobody can say.
func (p *pod) say(n *node, life []episode, at time.Time, unknown bool) {
	c := p.condition(n.born, life, at)
	n.set(p.info.get(c.revision), 1)
	n.set(p.ready.get(0), bit(c.ready && !c.unborn && !unknown))
	n.set(p.stale.get(0), bit(unknown))
	n.set(p.version.get(0), float64(1+c.version))
	n.set(p.valid, bit(!c.refused))
	n.set(p.revision, float64(1+c.revision))
	n.set(p.changed, seconds(c.changed))
	n.set(p.conditions["Valid"], bit(!c.refused))
	for i := range life {
		if e := &life[i]; e.problem(at) {
			n.set(n.problem(p.definition, p.namespace, p.name, e), seconds(e.begin.Add(e.after)))
			if e.reason == "ManifestInvalid" {
				n.set(p.place, 1)
			}
		}
	}
	if c.unborn {
		return
	}
	n.set(p.mirror.get(c.revision), 1)
	n.set(p.phase[c.phase], 1)
	if !unknown {
		n.set(p.conditions["Accepted"], 1)
		n.set(p.conditions["Current"], bit(c.current))
		n.set(p.conditions["Ready"], bit(c.ready))
	}
	for _, container := range p.containers {
		n.set(container.info.get(c.starts), 1)
		n.set(container.ready, bit(c.ready))
		n.set(container.restarts, float64(c.restarts))
		n.set(container.state[c.state], 1)
		if !c.ended.IsZero() {
			n.set(container.exit, c.exit)
			n.set(container.terminated, seconds(c.ended))
		}
	}
}

// appName is that of the i-th pod of a node: those of a control plane first, where there is one.
func appName(i int, controlPlane bool) (namespace, name string) {
	static := []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"}
	if controlPlane && i < len(static) {
		return "kube-system", static[i]
	}
	return "edge", fmt.Sprintf("app-%s", strconv.Itoa(i))
}
