package manifest

import (
	"io/fs"
	"syscall"
	"time"
)

// statusChange is when the inode last changed: its content, its name or its mode.
func statusChange(info fs.FileInfo) time.Time {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return time.Unix(s.Ctim.Unix())
	}
	return info.ModTime()
}
