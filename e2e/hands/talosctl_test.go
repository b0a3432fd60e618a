package hands

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/staticpod-exporter/staticpod-exporter/e2e/await"
)

// sideBySide compares containers with what talosctl containers -k makes of the same runtime.
func (st *stage) sideBySide() {
	await.Nil(st, "the same in both", func(ctx context.Context) error {
		want, err := st.asTalosctl(ctx)
		if err != nil {
			return err
		}
		if got, _ := st.run(0, "containers", "-k"); got != want { // or something happened in between
			return fmt.Errorf("got\n%swant\n%s", got, want)
		}
		return nil
	})
	got, _ := st.run(0, "containers")
	st.Log("\n" + got)
}

// verbose is what talosctl takes out of the verbose part of a status.
func verbose(info map[string]string) (pid int, image string) {
	var v struct {
		PID   int    `json:"pid"`
		Image string `json:"image"`
	}
	_ = json.Unmarshal([]byte(info["info"]), &v)
	return v.PID, v.Image
}

// asTalosctl asks the runtime and prints the answers as talosctl does: the ready sandboxes and their containers,
// sorted by ID, with the first tag of each image. No name here begins with another one and a dash, of which talosctl
// would mix the containers.
func (st *stage) asTalosctl(ctx context.Context) (string, error) {
	conn, err := grpc.NewClient(st.node.RuntimeEndpoint(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return "", err
	}
	defer conn.Close()
	listed, err := cri.NewImageServiceClient(conn).ListImages(ctx, &cri.ListImagesRequest{})
	if err != nil {
		return "", err
	}
	named := func(id string) string {
		for _, image := range listed.Images {
			if image.Id == id && len(image.RepoTags) > 0 {
				return image.RepoTags[0]
			}
		}
		return id
	}
	runtime := st.node.Runtime()
	sandboxes, err := runtime.ListPodSandbox(ctx, &cri.ListPodSandboxRequest{Filter: &cri.PodSandboxFilter{
		State: &cri.PodSandboxStateValue{State: cri.PodSandboxState_SANDBOX_READY},
	}})
	if err != nil {
		return "", err
	}
	containers, err := runtime.ListContainers(ctx, &cri.ListContainersRequest{})
	if err != nil {
		return "", err
	}
	type row struct{ id, shown, rest string }
	var rows []row
	for _, s := range sandboxes.Items {
		status, err := runtime.PodSandboxStatus(ctx, &cri.PodSandboxStatusRequest{PodSandboxId: s.Id, Verbose: true})
		if err != nil {
			return "", err
		}
		pid, image := verbose(status.Info)
		id := s.Metadata.Namespace + "/" + s.Metadata.Name
		rows = append(rows, row{id, id, fmt.Sprintf("%s\t%d\t%s", named(image), pid, status.Status.State)})
		for _, c := range containers.Containers {
			if c.PodSandboxId != s.Id {
				continue
			}
			status, err := runtime.ContainerStatus(ctx, &cri.ContainerStatusRequest{ContainerId: c.Id, Verbose: true})
			if err != nil {
				return "", err
			}
			pid, _ := verbose(status.Info)
			full := id + ":" + c.Metadata.Name + ":" + c.Id[:12]
			rows = append(rows, row{full, "└─ " + full, fmt.Sprintf("%s\t%d\t%s", named(c.ImageRef), pid, c.State)})
		}
	}
	slices.SortFunc(rows, func(a, b row) int { return strings.Compare(a.id, b.id) })
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 3, ' ', 0)
	fmt.Fprintln(w, "NODE\tNAMESPACE\tID\tIMAGE\tPID\tSTATUS")
	for _, r := range rows {
		fmt.Fprintf(w, "%s\tk8s.io\t%s\t%s\n", st.node.Name(), r.shown, r.rest)
	}
	err = w.Flush()
	return b.String(), err
}
