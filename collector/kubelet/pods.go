package kubelet

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
)

const (
	sourceAnnotation = "kubernetes.io/config.source"
	// A decoder keeps no more than this between two turns.
	maxDecoded = 4096
)

func static(annotations map[string]string) bool {
	source := annotations[sourceAnnotation]
	return source == "file" || source == "http"
}

// A decoder turns what the kubelet sends into static pods, and what it sent before into the pods it made of
// it then: a pod that did not change keeps its pointer. Bytes are told apart by a keyed 64-bit hash.
type decoder struct {
	seed maphash.Seed

	mu sync.Mutex
	// What was made of which bytes, nil of a pod that is not static: since the last turn, and before it.
	young, old map[uint64]*corev1.Pod
}

func newDecoder() *decoder {
	return &decoder{seed: maphash.MakeSeed(), young: make(map[uint64]*corev1.Pod)}
}

// turn is called before a list, which asks for everything there is: what no list has asked for between two
// turns is forgotten.
func (d *decoder) turn() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.old, d.young = d.young, make(map[uint64]*corev1.Pod, len(d.young))
}

// pod returns the static pod in raw, or nil when it is none.
func (d *decoder) pod(raw []byte, decode func([]byte) (*corev1.Pod, error)) (*corev1.Pod, error) {
	key := maphash.Bytes(d.seed, raw)
	pod, ok := d.known(key)
	if ok {
		return pod, nil
	}
	pod, err := decode(raw)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.young) >= maxDecoded {
		clear(d.young)
	}
	d.young[key] = pod
	return pod, nil
}

func (d *decoder) known(key uint64) (*corev1.Pod, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	pod, ok := d.young[key]
	if !ok {
		if pod, ok = d.old[key]; ok {
			d.young[key] = pod
		}
	}
	return pod, ok
}

// The entry of the annotation in a protobuf map: key (field 1), then a value (field 2) of four bytes, which
// file and http are and api is not.
var staticEntry = []byte(sourceAnnotation + "\x12\x04")

// protoPod decodes one pod of the Pods API. Those that are not static are not decoded.
func protoPod(raw []byte) (*corev1.Pod, error) {
	if !bytes.Contains(raw, staticEntry) {
		return nil, nil
	}
	pod := new(corev1.Pod)
	if err := pod.Unmarshal(raw); err != nil {
		return nil, fmt.Errorf("pod: %w", err)
	}
	if !static(pod.Annotations) {
		return nil, nil
	}
	return pod, nil
}

// jsonPod decodes one item of /pods.
func jsonPod(raw []byte) (*corev1.Pod, error) {
	var head struct {
		Metadata struct {
			Annotations map[string]string `json:"annotations"`
		} `json:"metadata"`
	}
	if err := json.Unmarshal(raw, &head); err != nil {
		return nil, fmt.Errorf("pod: %w", err)
	}
	if !static(head.Metadata.Annotations) {
		return nil, nil
	}
	pod := new(corev1.Pod)
	if err := json.Unmarshal(raw, pod); err != nil {
		return nil, fmt.Errorf("pod: %w", err)
	}
	return pod, nil
}

// list reads the answer of /pods, a v1.PodList, item by item. An answer that is not whole, or no PodList, is
// an error: it must not pass for a kubelet without pods.
func (d *decoder) list(r io.Reader) ([]*corev1.Pod, error) {
	var pods []*corev1.Pod
	var kind string
	j := json.NewDecoder(r)
	if err := delimiter(j, '{'); err != nil {
		return nil, err
	}
	for j.More() {
		key, err := j.Token()
		if err != nil {
			return nil, err
		}
		switch key {
		case "kind":
			err = j.Decode(&kind)
		case "items":
			pods, err = d.items(j)
		default:
			var skipped json.RawMessage
			err = j.Decode(&skipped)
		}
		if err != nil {
			return nil, err
		}
	}
	if err := delimiter(j, '}'); err != nil {
		return nil, err
	}
	if kind != "PodList" {
		return nil, errors.New("the answer is no PodList")
	}
	return pods, nil
}

func (d *decoder) items(j *json.Decoder) ([]*corev1.Pod, error) {
	opening, err := j.Token()
	switch {
	case err != nil:
		return nil, err
	case opening == nil:
		return nil, nil // items: null
	case opening != json.Delim('['):
		return nil, errors.New("items is no list")
	}
	var pods []*corev1.Pod
	var raw json.RawMessage
	for j.More() {
		if err := j.Decode(&raw); err != nil {
			return nil, err
		}
		pod, err := d.pod(raw, jsonPod)
		if err != nil {
			return nil, err
		}
		if pod != nil {
			pods = append(pods, pod)
		}
	}
	return pods, delimiter(j, ']')
}

func delimiter(j *json.Decoder, want json.Delim) error {
	got, err := j.Token()
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	if err != nil {
		return err
	}
	if got != want {
		return fmt.Errorf("expected %v", want)
	}
	return nil
}

// sorted orders pods by namespace, name and UID, in place.
func sorted(pods []*corev1.Pod) []*corev1.Pod {
	slices.SortFunc(pods, func(a, b *corev1.Pod) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name), cmp.Compare(a.UID, b.UID))
	})
	return pods
}
