package kubelet

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"

	corev1 "k8s.io/api/core/v1"
)

// Only a pod whose annotation says so is static, however it is sent and whatever else it carries.
func TestDecodeTellsStaticPods(t *testing.T) {
	disguised := newPod("x", "api", running)
	disguised.Annotations["z"] = string(staticEntry) + "http"
	labelled := newPod("x", "", running)
	labelled.Annotations, labelled.Labels = nil, map[string]string{sourceAnnotation: "http"}
	for _, tc := range []struct {
		pod  *corev1.Pod
		want bool
	}{
		{newPod("x", "http", running), true}, {newPod("x", "file", running), true}, {newPod("x", "api", running), false},
		{newPod("x", "", running), false}, {newPod("x", "nope", running), false}, {disguised, false}, {labelled, false},
	} {
		fromProto, err := protoPod(marshal(t, tc.pod))
		if (fromProto != nil) != tc.want || err != nil {
			t.Errorf("protobuf of %v: %v, %v", tc.pod.Annotations, fromProto, err)
		}
		raw, err := json.Marshal(tc.pod)
		if err != nil {
			t.Fatal(err)
		}
		fromJSON, err := jsonPod(raw)
		if (fromJSON != nil) != tc.want || err != nil {
			t.Errorf("JSON of %v: %v, %v", tc.pod.Annotations, fromJSON, err)
		}
	}
}

// A decoder forgets what no list has had for two turns, and never grows beyond its bound.
func TestDecoderForgets(t *testing.T) {
	d := newDecoder()
	decode := func(name string) *corev1.Pod {
		pod, err := d.pod(marshal(t, newPod(name, "http", running)), protoPod)
		if err != nil {
			t.Fatal(err)
		}
		return pod
	}
	first := decode("a")
	for range 3 {
		d.turn()
		if decode("a") != first {
			t.Error("another pointer though it is in each list")
		}
	}
	d.turn()
	d.turn()
	if decode("a") == first {
		t.Error("it is not forgotten")
	}
	for i := range 2*maxDecoded + 1 {
		decode(fmt.Sprint(i))
		if n := len(d.young); n > maxDecoded {
			t.Fatalf("%d pods kept", n)
		}
	}
}

// The list is read as it comes, in whatever pieces.
func TestListInPieces(t *testing.T) {
	list := corev1.PodList{}
	list.Kind = "PodList"
	for _, pod := range crowd() {
		list.Items = append(list.Items, *pod)
	}
	raw, err := json.Marshal(list)
	if err != nil {
		t.Fatal(err)
	}
	pods, err := newDecoder().list(iotest.OneByteReader(strings.NewReader(string(raw))))
	if err != nil || names(sorted(pods)) != "dns-node1=Running web-node1=Running" {
		t.Errorf("%s, %v", names(pods), err)
	}
	for n := range len(raw) {
		if pods, err := newDecoder().list(strings.NewReader(string(raw[:n]))); err == nil {
			t.Fatalf("%d of %d bytes are %v", n, len(raw), names(pods))
		}
	}
}

func FuzzList(f *testing.F) {
	for _, seed := range []string{
		`{"kind":"PodList","items":[{"metadata":{"name":"a","annotations":{"kubernetes.io/config.source":"file"}}}]}`,
		`{"kind":"PodList","items":null}`, `{}`, `[]`, `{"kind":7}`, `{"items":[[]]}`, ``, `{"kind":"PodList","items":[],"items":[{}]}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		pods, err := newDecoder().list(strings.NewReader(body))
		for _, pod := range pods {
			if err == nil && !static(pod.Annotations) {
				t.Errorf("%v is not static", pod)
			}
		}
	})
}

func FuzzProtoPod(f *testing.F) {
	for _, pod := range crowd() {
		f.Add(marshal(f, pod))
	}
	f.Add(staticEntry)
	f.Fuzz(func(t *testing.T, raw []byte) {
		pod, err := protoPod(raw)
		if pod != nil && (err != nil || !static(pod.Annotations)) {
			t.Errorf("%v, %v", pod, err)
		}
	})
}

func FuzzParseConfig(f *testing.F) {
	f.Add(`{"kubeletconfig":{"staticPodPath":"/x","fileCheckFrequency":"20s","featureGates":{"A":true}}}`)
	f.Add(`{"kubeletconfig":{"fileCheckFrequency":"x"}}`)
	f.Fuzz(func(t *testing.T, body string) {
		if c, err := parseConfig(strings.NewReader(body)); (c == nil) == (err == nil) {
			t.Errorf("%v, %v", c, err)
		}
	})
}

func FuzzParseBuildInfo(f *testing.F) {
	f.Add("# x\nkubernetes_build_info{git_version=\"v1.37.2\"} 1\n")
	f.Add("kubernetes_build_info{git_version=\"v")
	f.Fuzz(func(t *testing.T, body string) {
		if v, err := parseBuildInfo(strings.NewReader(body)); err != nil || v != "" && !strings.HasPrefix(v, "v") {
			t.Errorf("%q, %v", v, err)
		}
	})
}

// BenchmarkView holds an idle View of a full node by its watch against asking the Pods API and /pods. The
// servers run in the same process and are part of the last two.
func BenchmarkView(b *testing.B) {
	var pods []*corev1.Pod
	for i := range 110 {
		pod := newPod(fmt.Sprintf("pod-%03d-node1", i), "http", running)
		pod.Annotations["more"] = strings.Repeat("x", 10<<10) // the size of a real one
		pods = append(pods, pod)
	}
	k, path := newSocketKubelet(b, pods...), socketPath(b)
	k.start(path)
	socket := newClient(b, Options{PodsSocket: "unix://" + path})
	run(b, socket)
	<-k.watching
	view(b, socket, true)
	s := httptest.NewServer(newWebKubelet(pods...))
	b.Cleanup(s.Close)
	web := newClient(b, Options{Endpoint: s.URL})
	view(b, web, true)
	for _, bm := range []struct {
		name   string
		client *Client
		resync bool
	}{{"watch", socket, false}, {"list", socket, true}, {"http", web, false}} {
		b.Run(bm.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				view(b, bm.client, bm.resync)
			}
		})
	}
}
