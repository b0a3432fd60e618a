package kubeletlog

import (
	"encoding/binary"
	"iter"
)

// Noise counts lines that look like trouble, or drown it, and are none.
type Noise struct {
	// MirrorPod: the kubelet is about to make, or finds none to care for, a mirror pod. Without an API server
	// it says so at every sync of every static pod.
	MirrorPod uint64
	// PodsAPI: somebody, the exporter for one, asked the kubelet's Pods API, or was told of a pod.
	PodsAPI uint64
	// ContainerGone: a container was asked for that was removed meanwhile.
	ContainerGone uint64
	// DirectoryMissing: the manifest directory does not exist. These are events, too: the first one of a
	// flood of one a second may matter.
	DirectoryMissing uint64
}

// All yields every kind of noise by its name, sorted, with its count.
func (n Noise) All() iter.Seq2[string, uint64] {
	return func(yield func(string, uint64) bool) {
		_ = yield("container_gone", n.ContainerGone) && yield("directory_missing", n.DirectoryMissing) &&
			yield("mirror_pod", n.MirrorPod) && yield("pods_api", n.PodsAPI)
	}
}

func (n *Noise) count(c class) {
	switch c {
	case mirrorPod:
		n.MirrorPod++
	case podsAPI:
		n.PodsAPI++
	case containerGone:
		n.ContainerGone++
	}
}

// minus returns what was counted since before.
func (n Noise) minus(before Noise) Noise {
	return Noise{
		n.MirrorPod - before.MirrorPod, n.PodsAPI - before.PodsAPI,
		n.ContainerGone - before.ContainerGone, n.DirectoryMissing - before.DirectoryMissing,
	}
}

func (n *Noise) add(more Noise) {
	n.MirrorPod += more.MirrorPod
	n.PodsAPI += more.PodsAPI
	n.ContainerGone += more.ContainerGone
	n.DirectoryMissing += more.DirectoryMissing
}

// A class is what a line may be, by the beginning of its message.
type class uint8

const (
	dull          class = iota
	telling             // Parse may make an event of the record that it begins
	mirrorPod           // and the rest is noise
	podsAPI             //
	containerGone       //
)

// A mark gives a class to the lines whose message begins with prefix.
type mark struct {
	prefix     string
	class      class
	head, mask uint64 // the first eight bytes of prefix, and which of them count
}

// marks by the first byte of their prefix: those of the rules, and those of noise. It is never changed.
var marks = markAll(map[string]class{
	"Creating a mirror pod for static pod":        mirrorPod,
	"Unable to find pod for mirror pod, skipping": mirrorPod,
	"Pod update broadcasted":                      podsAPI,
	"Pod removed broadcasted":                     podsAPI,
	"ListPods called":                             podsAPI,
	"GetPod called":                               podsAPI,
	"WatchPods called":                            podsAPI,
	"Registered new watch client":                 podsAPI,
	"Unregistered watch client":                   podsAPI,
	"Watch client disconnected":                   podsAPI,
	"Watch context cancelled":                     podsAPI,
	"DeleteContainer returned error":              containerGone,
	"Container not found in pod's containers":     containerGone,
	"ContainerStatus from runtime service failed": containerGone,
})

func markAll(noise map[string]class) (index [256][]mark) {
	add := func(r rule, c class) {
		index[r.prefix[0]] = append(index[r.prefix[0]], mark{prefix: r.prefix, class: c, head: r.head, mask: r.mask})
	}
	for first := range rules {
		for _, r := range rules[first] {
			add(r, telling)
		}
	}
	for prefix, c := range noise {
		add(on(prefix, "", nil), c)
	}
	return index
}

// classify looks at nothing but the beginning of the message, since nearly all lines end here.
func classify(line []byte) class {
	msg := message(line)
	if len(msg) < 8 {
		return dull
	}
	head := binary.LittleEndian.Uint64(msg)
	candidates := marks[msg[0]]
	for i := range candidates {
		m := &candidates[i]
		if head&m.mask == m.head && len(msg) >= len(m.prefix) && string(msg[:len(m.prefix)]) == m.prefix {
			return m.class
		}
	}
	return dull
}
