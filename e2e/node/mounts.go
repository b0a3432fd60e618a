package node

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
)

// mount is a line of the mount table.
type mount struct{ point, kind string }

// mountPoints returns what is mounted, in the order of mounting.
func mountPoints() ([]mount, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var all []mount
	for lines := bufio.NewScanner(f); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		dash := slices.Index(fields, "-")
		if len(fields) < 5 || dash < 0 || dash+1 >= len(fields) {
			continue
		}
		all = append(all, mount{point: unescape(fields[4]), kind: fields[dash+1]})
	}
	return all, nil
}

// unescape undoes the octal escapes of the mount table.
func unescape(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}

// unmountBelow unmounts all that is mounted at dir or below it, the newest first.
func unmountBelow(dir string) error {
	all, err := mountPoints()
	if err != nil {
		return err
	}
	var failed []error
	for _, m := range slices.Backward(all) {
		if m.point != dir && !strings.HasPrefix(m.point, dir+"/") {
			continue
		}
		if err := syscall.Unmount(m.point, syscall.MNT_DETACH); err != nil && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, syscall.ENOENT) {
			failed = append(failed, fmt.Errorf("unmount %s: %w", m.point, err))
		}
	}
	return errors.Join(failed...)
}
