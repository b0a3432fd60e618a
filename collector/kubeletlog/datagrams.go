package kubeletlog

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

const (
	quietLimit    = 5 * time.Minute // without a datagram until that is said
	receiveBuffer = 4 << 20         // asked of the system, which may give less
)

// Datagrams are a log that comes over UDP, a line each. What the network loses nobody knows; what the system
// drops here, because it came faster than it was read, is a gap.
type datagrams struct {
	address string
	to      *Follower
	quiet   time.Duration
	retry   time.Duration

	mu    sync.Mutex
	bound net.Addr // nil while it does not listen
}

func newDatagrams(address string, to *Follower) *datagrams {
	return &datagrams{address: address, to: to, quiet: quietLimit, retry: listenRetry}
}

func (u *datagrams) end() {}

// run listens until ctx ends.
func (u *datagrams) run(ctx context.Context) {
	for ctx.Err() == nil {
		err := u.listen(ctx)
		if ctx.Err() == nil {
			u.to.report(fmt.Errorf("kubelet log: %w", err))
			wait(ctx, u.retry)
		}
	}
}

func (u *datagrams) listen(ctx context.Context) error {
	var config net.ListenConfig
	config.Control = func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { // without either it works, too
			_ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, receiveBuffer)
			_ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RXQ_OVFL, 1)
		})
	}
	packets, err := config.ListenPacket(ctx, "udp", u.address)
	if err != nil {
		return err
	}
	conn := packets.(*net.UDPConn)
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	u.mu.Lock()
	u.bound = conn.LocalAddr()
	u.mu.Unlock()
	return u.receive(ctx, conn)
}

func (u *datagrams) receive(ctx context.Context, conn *net.UDPConn) error {
	u.to.report(fmt.Errorf("kubelet log: nothing has come to udp://%s yet (on Talos add that endpoint, with the format json_lines, to machine.logging.destinations)", u.bound))
	d := newDecoder()
	ancillary := make([]byte, syscall.CmsgSpace(4))
	var dropped uint32 // as the system counts it
	for {
		if err := conn.SetReadDeadline(time.Now().Add(u.quiet)); err != nil {
			return err
		}
		// A datagram is at most 64 KiB, and less is never free: every one ends a line.
		n, oob, flags, _, err := conn.ReadMsgUDPAddrPort(d.space(), ancillary)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			u.to.report(fmt.Errorf("kubelet log: nothing has come to udp://%s for %s", u.bound, u.quiet))
			continue
		}
		if err != nil {
			return err
		}
		u.to.report(nil)
		var torn uint64
		if now, ok := overflow(ancillary[:oob]); ok && now != dropped {
			dropped, torn = now, 1
		}
		if flags&syscall.MSG_TRUNC != 0 {
			torn++
		}
		if n > 0 {
			ended := d.space()[n-1] == '\n'
			d.take(n)
			if !ended {
				d.write([]byte{'\n'})
			}
		}
		p := d.flush()
		p.bytes, p.gaps = uint64(n), torn
		u.to.publish(ctx, p)
	}
}

// overflow reads how many datagrams the system has dropped since the socket was opened.
func overflow(ancillary []byte) (dropped uint32, ok bool) {
	messages, err := syscall.ParseSocketControlMessage(ancillary)
	if err != nil {
		return 0, false
	}
	for _, m := range messages {
		if m.Header.Level == syscall.SOL_SOCKET && m.Header.Type == syscall.SO_RXQ_OVFL && len(m.Data) >= 4 {
			return binary.NativeEndian.Uint32(m.Data), true
		}
	}
	return 0, false
}

// where returns the address that is listened on, nil while there is none.
func (u *datagrams) where() net.Addr {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.bound
}
