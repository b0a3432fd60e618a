package main

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"sync"

	"github.com/staticpod-exporter/staticpod-exporter/manifest"
)

// lastGoodFile is the copy of the last configuration file that could be used, in the state directory.
const lastGoodFile = "config.yaml"

// A configuration is the one in force. It is loaded anew at every reload; one that cannot be used changes
// nothing and is reported, also at the start, where the last good one of the state directory then serves.
type configuration struct {
	loader loader
	log    *slog.Logger

	mu      sync.Mutex
	inForce loaded // what the process was started with
	good    loaded // the last good one: its definitions are in force
	saved   string // content of the copy
}

// start loads the configuration for serve. err is not nil when nothing can run; bad is what is wrong with
// the newest one while the last good one runs in its place.
func start(l loader) (c *configuration, bad, err error) {
	c = &configuration{loader: l}
	c.good, bad = l.load()
	if bad != nil {
		path := c.good.Path
		directory := l.stateDirectory(c.good.Data)
		data, err := os.ReadFile(filepath.Join(directory, lastGoodFile))
		if err != nil {
			return nil, nil, bad // nothing ran here before
		}
		if c.good, err = l.decode(path, data); err != nil {
			return nil, nil, errors.Join(bad, fmt.Errorf("last good configuration: %w", err))
		}
	}
	c.inForce = c.good
	return c, bad, nil
}

// sources loads the configuration anew and says where definitions come from: by the new one when it can be
// used, else by the last good one, with the error. A file that is gone is no configuration without one: that is for
// the next start.
func (c *configuration) sources() (manifest.Sources, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	next, err := c.loader.load()
	if err == nil && next.Path == "" && c.good.Path != "" {
		// Taken for none it would take its definitions along, and the places of all others.
		err = fmt.Errorf("configuration: %w", &fs.PathError{Op: "open", Path: c.good.Path, Err: fs.ErrNotExist})
	}
	if err == nil {
		c.warnOfRestart(next)
		c.good = next
		err = c.keep()
	}
	return manifest.Sources{ConfigPath: c.good.Path, Config: c.good.Data, Patterns: c.good.Manifest.Files}, err
}

// warnOfRestart says once which new values wait for a restart: all but the definitions.
func (c *configuration) warnOfRestart(next loaded) {
	a, b := c.inForce.Config, next.Config
	a.Manifest.Files, b.Manifest.Files = nil, nil
	if !reflect.DeepEqual(a, b) && !reflect.DeepEqual(c.good.Config, next.Config) {
		c.log.Warn("the configuration changed in more than its definitions: the rest takes effect at the next start", "path", next.Path)
	}
}

// keep copies the last good file to the state directory.
func (c *configuration) keep() error {
	if c.good.Path == "" || c.saved == string(c.good.Data) {
		return nil
	}
	if err := manifest.WritePrivate(c.inForce.Manifest.StateDirectory, lastGoodFile, c.good.Data); err != nil {
		return fmt.Errorf("copy of the last good configuration: %w", err)
	}
	c.saved = string(c.good.Data)
	return nil
}

var stateDirectoryLine = regexp.MustCompile(`(?m)^\s+state-directory:\s*["']?(/[^"'\s#]*)`)

// stateDirectory is the best guess at the state directory when the configuration cannot be used.
func (l loader) stateDirectory(data []byte) string {
	if f := l.flags.Lookup("manifest.state-directory"); f != nil && f.Changed {
		return f.Value.String()
	}
	if dir := os.Getenv(envName("manifest.state-directory")); dir != "" {
		return dir
	}
	if m := stateDirectoryLine.FindSubmatch(data); m != nil {
		return string(m[1])
	}
	return defaultConfig().Manifest.StateDirectory
}

// manifestDirectory is the kubelet's staticPodPath: as configured, else what the kubelet itself says, else the
// place where distributions have it, when it is there.
func manifestDirectory(configured, said string) string {
	if configured != auto {
		return configured
	}
	if said != "" {
		return said
	}
	const usual = "/etc/kubernetes/manifests"
	if _, err := os.Stat(usual); errors.Is(err, fs.ErrNotExist) {
		return ""
	}
	return usual
}
