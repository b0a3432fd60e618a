package cri

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

const scheme = "unix://"

// candidates returns the endpoints to try, best first: those that crictl probes, and k3s'.
func candidates(endpoint string) ([]string, error) {
	switch {
	case endpoint == "" || endpoint == "auto":
		return []string{
			"unix:///run/containerd/containerd.sock",
			"unix:///run/k3s/containerd/containerd.sock",
			"unix:///run/crio/crio.sock",
			"unix:///var/run/cri-dockerd.sock",
		}, nil
	case strings.HasPrefix(endpoint, scheme) && filepath.IsAbs(path(endpoint)):
		return []string{endpoint}, nil
	}
	return nil, fmt.Errorf("cri endpoint %q: neither auto nor unix:///absolute/path", endpoint)
}

func path(endpoint string) string { return strings.TrimPrefix(endpoint, scheme) }

func exists(endpoint string) bool {
	_, err := os.Stat(path(endpoint))
	// A socket that may not be looked at is there: asking it tells why.
	return err == nil || !errors.Is(err, os.ErrNotExist)
}

// probe asks who listens at an endpoint.
func probe(ctx context.Context, endpoint string, timeout time.Duration) (version *runtimeapi.VersionResponse, err error) {
	err = call(ctx, endpoint, timeout, func(ctx context.Context, conn *grpc.ClientConn) error {
		version, err = runtimeapi.NewRuntimeServiceClient(conn).Version(ctx, &runtimeapi.VersionRequest{})
		return err
	})
	return version, err
}

// maxAnswer is as much as the client library accepts.
const maxAnswer = 16 << 20

// call asks one question on a connection of its own.
func call(ctx context.Context, endpoint string, timeout time.Duration, question func(context.Context, *grpc.ClientConn) error) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var refused atomic.Pointer[error]
	conn, err := grpc.NewClient("passthrough:///"+path(endpoint),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithAuthority("localhost"),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxAnswer)),
		grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
			conn, err := (&net.Dialer{}).DialContext(ctx, "unix", address)
			if err != nil {
				refused.Store(&err)
			}
			return conn, err
		}))
	if err != nil {
		return err
	}
	defer conn.Close()
	err = question(ctx, conn)
	if dial := refused.Load(); err != nil && dial != nil {
		return *dial // in the words of the system, without those of gRPC around them
	}
	return err
}

// plain is a version without the v that some runtimes put before it.
func plain(version string) string { return strings.TrimPrefix(version, "v") }
