package mirror

import (
	"os"
	"strings"
	"testing"

	rbac "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/staticpod-exporter/staticpod-exporter/e2e/node"
)

// An exporter with an identity of its own needs the role of docs/operations.md, and no more.
func TestRole(t *testing.T) {
	document, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	const begins = "apiVersion: rbac.authorization.k8s.io/v1\n"
	_, rest, _ := strings.Cut(string(document), "```yaml\n"+begins)
	block, _, _ := strings.Cut(rest, "```\n")
	first, second, ok := strings.Cut(block, "---\n")
	var role rbac.ClusterRole
	var binding rbac.ClusterRoleBinding
	if !ok {
		t.Fatal("there is no role in it")
	}
	if err := yaml.UnmarshalStrict([]byte(begins+first), &role); err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalStrict([]byte(second), &binding); err != nil {
		t.Fatal(err)
	}

	t.Parallel()
	n := start(t, node.Options{Cluster: true})
	write(t, n, "web.yaml", pod("web", "sleep", "1h"))
	kubeconfig, err := n.Cluster.Kubeconfig("staticpod-exporter")
	if err != nil {
		t.Fatal(err)
	}
	e := observe(t, n, "--mirror.kubeconfig="+kubeconfig)
	expect(t, e, "node", problem("MirrorUnavailable", "Unauthorized", `User "staticpod-exporter" cannot list resource "pods"`))
	expect(t, e, "default/web-node1", ready, sound, mirrored("Unknown", "MirrorUnavailable"))
	shows(t, e, 0, "staticpod_input_up", "input", "mirror")

	api := admin(t, n).RbacV1()
	must[*rbac.ClusterRole](t)(api.ClusterRoles().Create(t.Context(), &role, metav1.CreateOptions{}))
	must[*rbac.ClusterRoleBinding](t)(api.ClusterRoleBindings().Create(t.Context(), &binding, metav1.CreateOptions{}))
	expect(t, e, "node", sound)
	expect(t, e, "default/web-node1", ready, sound, mirrored("True", ""))
}
