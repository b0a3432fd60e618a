package main

import (
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"github.com/staticpod-exporter/staticpod-exporter/collector/kubeletlog"
	"github.com/staticpod-exporter/staticpod-exporter/manifest"
)

// A keyError says what is wrong with the value of a key.
type keyError struct{ key, message string }

func (e *keyError) Error() string { return e.key + ": " + e.message }

// check refuses values that no part of the exporter could use, before any of it starts.
func (c *Config) check() error {
	for _, err := range []error{
		nodeName("node", c.Node),
		oneOf("log.level", c.Log.Level, "debug", "info", "warn", "error"),
		oneOf("log.format", c.Log.Format, "logfmt", "json"),
		oneOf("kubelet.standalone", c.Kubelet.Standalone, auto, "true", "false"),
		address("manifest.listen", c.Manifest.Listen),
		endpoint("kubelet.endpoint", c.Kubelet.Endpoint, "https", "http"),
		endpoint("kubelet.pods-socket", c.Kubelet.PodsSocket, "unix"),
		endpoint("cri.endpoint", c.CRI.Endpoint, "unix"),
		logSource("kubelet.log", c.Kubelet.Log),
		absolute("manifest.state-directory", c.Manifest.StateDirectory),
		both("kubelet.cert-file", c.Kubelet.CertFile, "kubelet.key-file", c.Kubelet.KeyFile),
	} {
		if err != nil {
			return err
		}
	}
	if c.Kubelet.ManifestDirectory != "" && c.Kubelet.ManifestDirectory != auto {
		if err := absolute("kubelet.manifest-directory", c.Kubelet.ManifestDirectory); err != nil {
			return err
		}
	}
	for _, p := range c.Manifest.Files {
		if !filepath.IsAbs(p) {
			return &keyError{"manifest.files", fmt.Sprintf("%q is not an absolute path", p)}
		}
		if _, err := filepath.Match(p, ""); err != nil {
			return &keyError{"manifest.files", fmt.Sprintf("%q is no valid pattern", p)}
		}
	}
	for _, a := range c.Web.ListenAddress {
		if err := address("web.listen-address", a); err != nil {
			return err
		}
	}
	if len(c.Web.ListenAddress) == 0 && !c.Web.SystemdSocket {
		return &keyError{"web.listen-address", "is empty: nobody could see anything"}
	}
	if c.Kubelet.ResyncInterval <= 0 {
		return &keyError{"kubelet.resync-interval", "is not above zero"}
	}
	if c.Kubelet.RolloutDeadline <= 0 {
		return &keyError{"kubelet.rollout-deadline", "is not above zero"}
	}
	return nil
}

// nodeName is the name of a node, or empty.
func nodeName(key, value string) error {
	if value == "" {
		return nil
	}
	if err := manifest.CheckNode(value); err != nil {
		return &keyError{key, err.Error()}
	}
	return nil
}

// nodeOf returns the node's name, which may be the host's and then was checked by nobody: the kubelet, which takes it
// from there too, would run no static pod by it.
func nodeOf(c Config) (string, error) {
	node, err := manifest.NodeName(c.Node, c.Manifest.StateDirectory)
	if err != nil {
		return "", err
	}
	if err := manifest.CheckNode(node); err != nil {
		return "", fmt.Errorf("the name of the host: %w (give the kubelet another with --hostname-override, and the exporter the same with node)", err)
	}
	return node, nil
}

func oneOf(key, value string, allowed ...string) error {
	if slices.Contains(allowed, value) {
		return nil
	}
	return &keyError{key, fmt.Sprintf("%q is none of %s", value, strings.Join(allowed, ", "))}
}

// address is HOST:PORT, or empty.
func address(key, value string) error {
	if value == "" {
		return nil
	}
	if _, _, err := net.SplitHostPort(value); err != nil {
		return &keyError{key, fmt.Sprintf("%q is not HOST:PORT", value)}
	}
	return nil
}

// endpoint is auto, empty, or a URL of one of the schemes.
func endpoint(key, value string, schemes ...string) error {
	if value == "" || value == auto {
		return nil
	}
	u, err := url.Parse(value)
	if err != nil || !slices.Contains(schemes, u.Scheme) {
		return &keyError{key, fmt.Sprintf("%q is neither %s nor a URL of the form %s://…", value, auto, strings.Join(schemes, ":// or "))}
	}
	if u.User != nil {
		return &keyError{key, "holds a user or password: use the credential files instead"}
	}
	if (u.Scheme == "unix" || u.Scheme == "file") && (u.Host != "" || !filepath.IsAbs(u.Path)) {
		return &keyError{key, fmt.Sprintf("%q needs three slashes and an absolute path: %s:///PATH", value, u.Scheme)}
	}
	return nil
}

// logSource is a place where a kubelet may log, or empty.
func logSource(key, value string) error {
	if value == "" {
		return nil
	}
	if err := kubeletlog.Check(value); err != nil {
		return &keyError{key, err.Error()}
	}
	return nil
}

func absolute(key, value string) error {
	if filepath.IsAbs(value) {
		return nil
	}
	return &keyError{key, fmt.Sprintf("%q is not an absolute path", value)}
}

func both(keyA, a, keyB, b string) error {
	if (a == "") == (b == "") {
		return nil
	}
	if a == "" {
		return &keyError{keyA, "is missing: " + keyB + " is given"}
	}
	return &keyError{keyB, "is missing: " + keyA + " is given"}
}
