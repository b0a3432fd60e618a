package diagnose

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"strings"
	"syscall"
	"time"

	"github.com/staticpod-exporter/staticpod-exporter/collector/kubeletlog"
)

// quietLog is how long the kubelet's log may stand still before it is doubted that it is the kubelet's.
const quietLog = time.Hour

// Log reads the kubelet's log.
func Log(path string, k *Kubelet, now func() time.Time) Check {
	return Check{"kubelet.log", func(ctx context.Context) []Finding {
		scheme, address, _ := strings.Cut(path, "://")
		switch {
		case path == "":
			return one(skipped("kubelet.log is empty: what the kubelet refuses, and why, is not seen"))
		case path == kubeletlog.Stdin:
			return one(skipped("it comes by serve's standard input"))
		case scheme == "tcp" || scheme == "udp":
			return append(one(listening(ctx, scheme, address)), verbosity(k)...)
		}
		log, err := kubeletlog.Look(ctx, path)
		if err != nil {
			return append(one(fail(err.Error(), logAdvice(err))), verbosity(k)...)
		}
		return append(one(readable(log, k, now())), verbosity(k)...)
	}}
}

// readable judges a log that could be read.
func readable(log kubeletlog.Sight, k *Kubelet, now time.Time) Finding {
	switch {
	case log.Format == "" && log.Bytes > 0:
		return fail(log.Source+" can be read, but no line at its end is the kubelet's",
			"is it the kubelet's log? Its logging.format must be text or json; a container runtime's or Talos' lines around it are understood")
	case log.Bytes == 0 && log.Format == "":
		return warn(log.Source+" is empty", "it was just rotated, or the kubelet logs elsewhere: look at how it is started")
	case k.facts().up && !log.Newest.IsZero() && now.Sub(log.Newest) > quietLog:
		return warn(fmt.Sprintf("%s has had no line for %s", log.Source, now.Sub(log.Newest).Round(time.Minute)),
			"the kubelet runs and seems to log elsewhere: look at how it is started, and set kubelet.log to that")
	}
	last := ""
	if !log.Newest.IsZero() {
		last = ", last " + log.Newest.UTC().Format(time.RFC3339)
	}
	return ok("%s, %s lines%s", log.Source, log.Format, last)
}

func logAdvice(err error) string {
	switch {
	case errors.Is(err, fs.ErrPermission), strings.Contains(err.Error(), "ermission"):
		return "run the exporter as root, or with the group systemd-journal (of a journal) or adm"
	case errors.Is(err, fs.ErrNotExist):
		return "kubelet.log names a file that is not there: in a container mount its directory, not the file, so that rotation is seen; auto looks in the usual places"
	}
	return "set kubelet.log to where the kubelet logs: docs/operations.md says how for each distribution"
}

// listening says whether lines that are sent can arrive.
func listening(ctx context.Context, network, address string) Finding {
	if strings.HasPrefix(address, ":") {
		address = "127.0.0.1" + address
	}
	var err error
	if network == "udp" {
		var c net.PacketConn
		if c, err = new(net.ListenConfig).ListenPacket(ctx, network, address); err == nil {
			err = c.Close()
		}
	} else {
		var l net.Listener
		if l, err = new(net.ListenConfig).Listen(ctx, network, address); err == nil {
			err = l.Close()
		}
	}
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return ok("%s://%s is listened on, by the exporter if it runs", network, address)
	case err != nil:
		return fail(err.Error(), "the address must be one of this machine, and free")
	}
	return warn("nobody listens on "+network+"://"+address+", which is free", "start the exporter; whoever sends the lines must be told this address")
}

// verbosity says what the kubelet leaves out of its log.
func verbosity(k *Kubelet) []Finding {
	if c := k.Config(); c != nil && c.LoggingVerbosity < 2 {
		return one(warn(fmt.Sprintf("the kubelet logs at verbosity %d", c.LoggingVerbosity),
			"set logging.verbosity: 2 in its configuration (-v=2): below, it does not say that it reads its sources and what it does to pods"))
	}
	return nil
}
