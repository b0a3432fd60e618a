package kubeletlog

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// An input is a log that comes by standard input: kubelet 2>&1 | staticpod-exporter serve …
type input struct {
	file *os.File
	to   *Follower
}

func (i *input) end() {}

// run reads until the input ends, says so once, and waits for the end of ctx.
func (i *input) run(ctx context.Context) {
	err := i.read(ctx)
	if ctx.Err() == nil {
		i.to.report(fmt.Errorf("kubelet log: standard input: %w", err))
		<-ctx.Done()
	}
}

func (i *input) read(ctx context.Context) error {
	file, err := i.readable()
	if err != nil {
		return err
	}
	defer file.Close()
	defer context.AfterFunc(ctx, func() { file.Close() })() // a read that waits ends with it
	i.to.report(nil)
	d := newDecoder()
	for {
		n, err := file.Read(d.space())
		if n > 0 {
			d.take(n)
		}
		torn := err != nil && d.assembler.end()
		p := d.flush()
		p.bytes = uint64(n)
		if torn {
			p.gaps = 1
		}
		i.to.publish(ctx, p)
		if err != nil {
			return errors.New("it has ended: what wrote to it is gone, and so is the log until the exporter is started anew behind the kubelet")
		}
	}
}

// readable returns the input as a file whose reads end when it is closed.
func (i *input) readable() (*os.File, error) {
	if i.file == nil {
		return nil, fs.ErrClosed
	}
	info, err := i.file.Stat()
	if err != nil {
		return nil, err
	}
	if info.Mode()&os.ModeDevice != 0 {
		return nil, errors.New("it is a device (start the exporter behind the kubelet: kubelet 2>&1 | staticpod-exporter serve …)")
	}
	fd, err := syscall.Dup(int(i.file.Fd()))
	if err != nil {
		return nil, err
	}
	syscall.CloseOnExec(fd)
	if !info.Mode().IsRegular() { // a pipe or a socket has one reader, so this is nobody else's concern
		if err := syscall.SetNonblock(fd, true); err != nil {
			return nil, err
		}
	}
	return os.NewFile(uintptr(fd), i.file.Name()), nil
}
