package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/staticpod-exporter/staticpod-exporter/cri"
)

// asTalosctl prints pods with ready sandboxes as talosctl containers -k does: rows sorted by their whole ID, aligned
// by text/tabwriter.
func asTalosctl(node string, pods []cri.Pod) string {
	type row struct {
		id, image, status string
		pid               int
		sandbox           bool
	}
	var rows []row
	for _, p := range pods {
		pod := p.Namespace + "/" + p.Name
		rows = append(rows, row{pod, p.Image, "SANDBOX_READY", p.PID, true})
		for _, c := range p.Containers {
			status := map[cri.State]string{
				cri.Created: "CONTAINER_CREATED", cri.Running: "CONTAINER_RUNNING", cri.Exited: "CONTAINER_EXITED", cri.Unknown: "CONTAINER_UNKNOWN",
			}[c.State]
			rows = append(rows, row{pod + ":" + c.Name + ":" + c.ID[:12], c.Image, status, c.PID, false})
		}
	}
	slices.SortFunc(rows, func(a, b row) int { return strings.Compare(a.id, b.id) })
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 3, ' ', 0)
	fmt.Fprintln(w, "NODE\tNAMESPACE\tID\tIMAGE\tPID\tSTATUS")
	for _, r := range rows {
		if !r.sandbox {
			r.id = "└─ " + r.id
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%s\n", node, "k8s.io", r.id, r.image, r.pid, r.status)
	}
	w.Flush()
	return b.String()
}

// somePods makes pods of names none of which begins with another one and a dash.
func somePods(random *rand.Rand) []cri.Pod {
	pods := make([]cri.Pod, random.IntN(6))
	for i := range pods {
		pods[i] = cri.Pod{
			PID: random.IntN(100000), Image: strings.Repeat("p", 1+random.IntN(20)),
			Sandbox: cri.Sandbox{
				Ready: true, Namespace: []string{"default", "kube-system"}[random.IntN(2)], Name: fmt.Sprintf("%d%s-node1", i, strings.Repeat("n", random.IntN(9))),
				Containers: make([]cri.Container, random.IntN(4)),
			},
		}
		for j := range pods[i].Containers {
			pods[i].Containers[j] = cri.Container{
				ID: fmt.Sprintf("%064x", random.Uint64()), Name: strings.Repeat("c", 1+random.IntN(3)), Image: strings.Repeat("i", 1+random.IntN(30)),
				PID: random.IntN(100000), State: []cri.State{cri.Created, cri.Running, cri.Exited, cri.Unknown}[random.IntN(4)],
			}
			pods[i].Containers[j].ID = pods[i].Containers[j].ID[48:] + strings.Repeat("0", 48)
		}
	}
	return pods
}

func TestContainersAreThoseOfTalosctl(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		pods := somePods(random)
		var got strings.Builder
		if err := printContainerTable(&got, containerRows("172.20.1.2", pods), false, time.Now()); err != nil {
			t.Fatal(err)
		}
		if want := asTalosctl("172.20.1.2", pods); got.String() != want {
			t.Fatalf("got\n%swant\n%s", got.String(), want)
		}
	}
}

// Where the names of pods begin alike, talosctl puts containers below another pod.
func TestContainersStayBelowTheirPod(t *testing.T) {
	pods := []cri.Pod{
		{Sandbox: cri.Sandbox{Ready: true, Namespace: "n", Name: "a-b", Containers: []cri.Container{{ID: "0000000000001", Name: "c"}}}},
		{Sandbox: cri.Sandbox{Ready: true, Namespace: "n", Name: "a", Containers: []cri.Container{{ID: "0000000000002", Name: "c"}}}},
	}
	var ids []string
	for _, r := range containerRows("node1", pods) {
		ids = append(ids, r.ID)
	}
	if got, want := strings.Join(ids, " "), "n/a n/a:c:000000000000 n/a-b n/a-b:c:000000000000"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
