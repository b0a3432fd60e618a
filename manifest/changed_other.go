//go:build !linux

package manifest

import (
	"io/fs"
	"time"
)

func statusChange(info fs.FileInfo) time.Time { return info.ModTime() }
