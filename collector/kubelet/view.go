// Package kubelet asks the kubelet what it runs: over its Pods API socket when it has one, else over HTTP.
// It only reads, and needs no API server.
package kubelet

import (
	"errors"
	"time"

	corev1 "k8s.io/api/core/v1"
)

var (
	// ErrUnauthorized is an answer of 401 or 403, a TLS handshake the kubelet ended, or a socket that may not
	// be opened.
	ErrUnauthorized = errors.New("kubelet does not authorize the exporter")
	// ErrSourcesNotReady is a kubelet that has not yet seen all its pod sources: what it does not list may
	// still come.
	ErrSourcesNotReady = errors.New("kubelet has not seen all its pod sources")
)

// PodsAPI is the Transport of the kubelet's Pods API, the only one by which it says that it waits for its sources.
const PodsAPI = "pods-api"

// A View is what the kubelet says of its static pods, at one moment. It is immutable.
type View struct {
	At        time.Time
	Transport string        // PodsAPI, https or http
	Pods      []*corev1.Pod // static pods only (annotation kubernetes.io/config.source is file or http), sorted by namespace and name
	Version   string        // v1.37.2; "" when it does not say
	Config    *Config       // nil when /configz cannot be read
}

// Config is what matters of the kubelet's own configuration (/configz).
type Config struct {
	StaticPodPath string
	// StaticPodURL may hold a password: print what url.URL.Redacted makes of it.
	StaticPodURL string
	// StaticPodURLHeader may hold credentials: it never leaves the process.
	StaticPodURLHeader                     Header
	FileCheckFrequency, HTTPCheckFrequency time.Duration
	FeatureGates                           map[string]bool
	PodLogsDir                             string
	LoggingFormat                          string // text or json
	LoggingVerbosity                       int
}
