package logshape

import (
	"context"
	"net"
	"time"
)

// DatagramLimit is how long a line may be that is sent in one datagram.
const DatagramLimit = 65507

// A Sender sends lines over TCP or UDP.
type Sender struct {
	net.Conn
	pace *time.Ticker // of datagrams, which nobody waits for
	sent int
}

// Dial connects to the address, as soon as somebody listens there.
func Dial(ctx context.Context, network, address string) (*Sender, error) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		if err == nil {
			return &Sender{Conn: conn, pace: time.NewTicker(time.Millisecond)}, nil
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-tick.C:
		}
	}
}

// Send sends a line. Of datagrams it sends at most 20 in a millisecond, and none that is too long.
func (s *Sender) Send(line []byte) error {
	if s.LocalAddr().Network() == "udp" {
		if len(line) > DatagramLimit {
			return nil
		}
		if s.sent++; s.sent%20 == 0 {
			<-s.pace.C
		}
	}
	_, err := s.Write(line)
	return err
}

// Close ends the connection.
func (s *Sender) Close() error {
	s.pace.Stop()
	return s.Conn.Close()
}
