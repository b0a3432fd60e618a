// Command staticpod-exporter serves a node's static pods to its kubelet, watches what becomes of them, and
// publishes one verdict on each.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	nameBuild()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}
