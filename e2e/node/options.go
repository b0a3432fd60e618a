package node

import (
	"io"
	"log/slog"
	"time"

	kubeletconfig "k8s.io/kubelet/config/v1beta1"

	"github.com/staticpod-exporter/staticpod-exporter/e2e/programs"
)

// Auth is how the kubelet's own HTTPS port knows its clients. All that it knows may do everything.
type Auth string

// The ways.
const (
	Anonymous          Auth = "anonymous"           // everybody
	ClientCertificates Auth = "client-certificates" // who has a certificate of the node's CA: see Node.ClientCertFile
)

// Options say what node is wanted. The zero value is a good one.
type Options struct {
	// Directory holds all of the node, and goes with it. It must be empty or absent, and at most 40 bytes
	// long: sockets lie in it. By default a new one below /tmp.
	Directory string
	// Name of the node, node1 by default.
	Name string
	// ManifestURL and its headers are the kubelet's staticPodURL; "" is none.
	ManifestURL       string
	ManifestURLHeader map[string][]string
	// ManifestDirectory is the kubelet's staticPodPath, by default one below Directory.
	ManifestDirectory string
	// How often the kubelet looks there, a second by default.
	HTTPCheckFrequency, FileCheckFrequency time.Duration
	// LogFormat of the kubelet is json, the default, or text; LogVerbosity is 2 by default.
	LogFormat    string
	LogVerbosity *uint32
	// Auth is Anonymous by default.
	Auth Auth
	// ReadOnlyPort opens the kubelet's read-only port too.
	ReadOnlyPort bool
	// FeatureGates of the kubelet. PodsAPI=false is a kubelet without the socket of the Pods API.
	FeatureGates map[string]bool
	// Environment is added to the kubelet's, as NAME=value.
	Environment []string
	// Configure changes the kubelet's configuration after all of the above.
	Configure func(*kubeletconfig.KubeletConfiguration)
	// Cluster gives the node an API server, and the kubelet a kubeconfig for it. Without, the kubelet stands alone.
	Cluster bool
	// Programs are found, or built, by programs.Ensure when they are zero.
	Programs programs.Programs
	// Progress hears what takes time; nobody by default.
	Progress io.Writer
	// Log hears what goes wrong without being an error to anybody; nobody by default.
	Log *slog.Logger
}

// withDefaults fills in what was left out.
func (o Options) withDefaults() Options {
	if o.Name == "" {
		o.Name = "node1"
	}
	if o.HTTPCheckFrequency == 0 {
		o.HTTPCheckFrequency = time.Second
	}
	if o.FileCheckFrequency == 0 {
		o.FileCheckFrequency = time.Second
	}
	if o.LogFormat == "" {
		o.LogFormat = "json"
	}
	if o.LogVerbosity == nil {
		o.LogVerbosity = new(uint32(2))
	}
	if o.Auth == "" {
		o.Auth = Anonymous
	}
	if o.Progress == nil {
		o.Progress = io.Discard
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}
