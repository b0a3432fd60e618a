package programs

import (
	"context"
	"io"
	"path/filepath"
)

// Cluster are the paths of what a node with an API server runs besides.
type Cluster struct {
	APIServer, APIServerVersion string
	Etcd, EtcdVersion           string
}

// EnsureCluster is Ensure for the API server and its etcd, which few tests want and which take minutes more.
func EnsureCluster(ctx context.Context, progress io.Writer) (Cluster, error) {
	module, err := moduleDirectory(ctx)
	if err != nil {
		return Cluster{}, err
	}
	c, err := openCache(progress)
	if err != nil {
		return Cluster{}, err
	}

	var p Cluster
	const etcd = "go.etcd.io/etcd/server/v3"
	if p.EtcdVersion, err = required(filepath.Join(module, "etcd"), etcd); err != nil {
		return Cluster{}, err
	}
	dir, err := c.entry(ctx, "etcd-"+p.EtcdVersion, func(ctx context.Context, dir string) error {
		b := build{module: filepath.Join(module, "etcd"), what: "etcd " + p.EtcdVersion, packages: etcd}
		return b.run(ctx, dir, progress)
	})
	if err != nil {
		return Cluster{}, err
	}
	p.Etcd = filepath.Join(dir, "server") // as its package is called

	if p.APIServerVersion, err = required(filepath.Join(module, "apiserver"), "k8s.io/kubernetes"); err != nil {
		return Cluster{}, err
	}
	dir, err = c.entry(ctx, "apiserver-"+p.APIServerVersion, func(ctx context.Context, dir string) error {
		b := build{module: filepath.Join(module, "apiserver"), what: "kube-apiserver " + p.APIServerVersion, packages: "k8s.io/kubernetes/cmd/kube-apiserver",
			ldflags: "-X k8s.io/component-base/version.gitVersion=" + p.APIServerVersion}
		return b.run(ctx, dir, progress)
	})
	if err != nil {
		return Cluster{}, err
	}
	p.APIServer = filepath.Join(dir, "kube-apiserver")
	return p, nil
}
