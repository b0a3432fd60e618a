package main

import (
	"time"

	"github.com/spf13/pflag"
)

// Config is the configuration of serve. Every key is a flag of the same dotted name (--kubelet.log) and an
// environment variable (STATICPOD_EXPORTER_KUBELET_LOG); a flag beats the environment, that beats the file,
// and that beats the default. A key that does not exist is refused with its file, line and nearest key.
//
// The file may hold machine.pods as a Talos machine configuration does, or be one: its pods are read from the
// file by the Kubernetes decoder and never pass through the machinery of keys.
type Config struct {
	// Node is the name of this node as the kubelet knows it. It is part of every pod's UID. When empty it is
	// what it was at the last start, else the lower-cased host name.
	Node string `mapstructure:"node"`

	Manifest ManifestConfig `mapstructure:"manifest"`
	Kubelet  KubeletConfig  `mapstructure:"kubelet"`
	CRI      CRIConfig      `mapstructure:"cri"`
	Mirror   MirrorConfig   `mapstructure:"mirror"`
	Web      WebConfig      `mapstructure:"web"`
	Log      LogConfig      `mapstructure:"log"`
}

// ManifestConfig says what should run and how the kubelet gets it.
type ManifestConfig struct {
	// Listen is the address the kubelet's staticPodURL names, http://ADDRESS/pods. A port below 1024 keeps
	// unprivileged processes from taking it while the exporter restarts. Empty means observing mode:
	// something else feeds the kubelet. A systemd socket named "manifest" is used instead when there is one.
	Listen string `mapstructure:"listen"`
	// Files are absolute patterns of definition files: Pods, PodLists, Lists, Talos machine configurations
	// and KubeStaticPodConfig documents. They must not lie in the kubelet's manifest directory.
	Files []string `mapstructure:"files"`
	// TokenFile holds the bearer token that the kubelet must send (staticPodURLHeader). Optional.
	TokenFile string `mapstructure:"token-file"`
	// StateDirectory is where the last valid revision of every definition survives a restart. Made 0700.
	StateDirectory string `mapstructure:"state-directory"`
}

// KubeletConfig says where the kubelet is and where it logs.
type KubeletConfig struct {
	// Endpoint is the kubelet's HTTP server. auto tries https://127.0.0.1:10250, then http://127.0.0.1:10255;
	// empty asks neither.
	Endpoint string `mapstructure:"endpoint"`
	// PodsSocket is the socket of the kubelet's Pods API (1.37 and later), unix:///PATH. auto is
	// unix:///var/lib/kubelet/pods-api/pods-api.sock; empty means not to use it.
	PodsSocket string `mapstructure:"pods-socket"`
	// CAFile verifies the kubelet's certificate. CertFile and KeyFile, or TokenFile, are the exporter's
	// credentials; all are read again when they change.
	CAFile    string `mapstructure:"ca-file"`
	CertFile  string `mapstructure:"cert-file"`
	KeyFile   string `mapstructure:"key-file"`
	TokenFile string `mapstructure:"token-file"`
	// ServerName is the name to verify the kubelet's certificate for; the endpoint's host when empty.
	ServerName string `mapstructure:"server-name"`
	// InsecureSkipVerify accepts any certificate of the kubelet. For loopback endpoints only.
	InsecureSkipVerify bool `mapstructure:"insecure-skip-verify"`
	// ManifestDirectory is the kubelet's staticPodPath. auto takes it from the kubelet's /configz, else
	// /etc/kubernetes/manifests when that is there; empty means that there is none. In a container it is where the
	// directory is mounted: definitions and UIDs are still of the kubelet's own path.
	ManifestDirectory string `mapstructure:"manifest-directory"`
	// Log is where the kubelet logs: file:///PATH, in a format of the kubelet's or in a container runtime's
	// around it; journald:UNIT, with ?directory=/PATH for a journal elsewhere and ?root=/PATH for the
	// journalctl of a system mounted there; tcp://HOST:PORT or udp://HOST:PORT to listen on for a line each,
	// as Talos sends them (no host means 127.0.0.1, and who can reach another address can write what passes
	// for the kubelet's log); stdin. auto looks for the places of known distributions; empty means not to
	// read it.
	Log string `mapstructure:"log"`
	// Standalone is whether the kubelet runs without an API server: auto, true or false. A standalone kubelet
	// crashes on runtimeClassName, so such a definition is refused there.
	Standalone string `mapstructure:"standalone"`
	// ResyncInterval is how often everything is asked anew although nothing told of a change.
	ResyncInterval time.Duration `mapstructure:"resync-interval"`
	// RolloutDeadline is how long a new revision may take to be Ready, besides its grace periods and image pulls.
	RolloutDeadline time.Duration `mapstructure:"rollout-deadline"`
}

// CRIConfig says where the container runtime is.
type CRIConfig struct {
	// Endpoint is the runtime's socket, unix:///PATH. auto looks for those of containerd, k3s, CRI-O and
	// cri-dockerd; empty means not to ask a runtime.
	Endpoint string `mapstructure:"endpoint"`
}

// MirrorConfig says how to see mirror pods.
type MirrorConfig struct {
	// Kubeconfig is the absolute path of one for the API server, to compare static pods with their mirror pods
	// there; the kubelet's own (/etc/kubernetes/kubelet.conf) will do. Read again whenever a connection is made.
	// Optional: nothing else depends on it.
	Kubeconfig string `mapstructure:"kubeconfig"`
}

// WebConfig says where metrics, listings and the page are served.
type WebConfig struct {
	// ListenAddress are the addresses of the observability listener.
	ListenAddress []string `mapstructure:"listen-address"`
	// SystemdSocket takes the listeners from systemd instead.
	SystemdSocket bool `mapstructure:"systemd-socket"`
	// Config.File is an exporter-toolkit web configuration: TLS, client certificates, basic auth.
	Config WebConfigFile `mapstructure:"config"`
}

// WebConfigFile names the web configuration file.
type WebConfigFile struct {
	File string `mapstructure:"file"`
}

// LogConfig says how the exporter itself logs, on standard error.
type LogConfig struct {
	Level  string `mapstructure:"level"`  // debug, info, warn or error
	Format string `mapstructure:"format"` // logfmt or json
	// OTel sends the log as OpenTelemetry log records too, where the OTEL_ variables have log records sent.
	OTel bool `mapstructure:"otel"`
}

// defaultConfig is the configuration without any file, flag or variable.
func defaultConfig() Config {
	return Config{
		Manifest: ManifestConfig{
			Listen:         "127.0.0.1:959",
			Files:          []string{"/etc/staticpod-exporter/pods.d/*.yaml"},
			StateDirectory: "/var/lib/staticpod-exporter",
		},
		Kubelet: KubeletConfig{
			Endpoint: auto, PodsSocket: auto, ManifestDirectory: auto, Log: auto, Standalone: auto,
			ResyncInterval: time.Minute, RolloutDeadline: 150 * time.Second,
		},
		CRI: CRIConfig{Endpoint: auto},
		Web: WebConfig{ListenAddress: []string{":10058"}},
		Log: LogConfig{Level: "info", Format: "logfmt"},
	}
}

const (
	auto = "auto"
	// defaultConfigFile is read when it is there and --config.file is not given.
	defaultConfigFile = "/etc/staticpod-exporter/config.yaml"
)

// registerConfigFlags declares one flag per key, and with them which keys there are.
func registerConfigFlags(f *pflag.FlagSet) {
	d := defaultConfig()
	f.String("node", d.Node, "name of this node as the kubelet knows it (default: as before, else the lower-cased host name)")
	f.String("manifest.listen", d.Manifest.Listen, `address that the kubelet's staticPodURL names; "" for observing mode`)
	f.StringSlice("manifest.files", d.Manifest.Files, "patterns of definition files")
	f.String("manifest.token-file", d.Manifest.TokenFile, "file with the bearer token that the kubelet must send")
	f.String("manifest.state-directory", d.Manifest.StateDirectory, "directory where the last valid revisions survive a restart")
	f.String("kubelet.endpoint", d.Kubelet.Endpoint, `URL of the kubelet's HTTP server; "" for none`)
	f.String("kubelet.pods-socket", d.Kubelet.PodsSocket, `socket of the kubelet's Pods API; "" for none`)
	f.String("kubelet.ca-file", d.Kubelet.CAFile, "CA that verifies the kubelet's certificate")
	f.String("kubelet.cert-file", d.Kubelet.CertFile, "client certificate for the kubelet")
	f.String("kubelet.key-file", d.Kubelet.KeyFile, "key of the client certificate")
	f.String("kubelet.token-file", d.Kubelet.TokenFile, "file with a bearer token for the kubelet")
	f.String("kubelet.server-name", d.Kubelet.ServerName, "name in the kubelet's certificate (default: the endpoint's host)")
	f.Bool("kubelet.insecure-skip-verify", d.Kubelet.InsecureSkipVerify, "accept any certificate of the kubelet")
	f.String("kubelet.manifest-directory", d.Kubelet.ManifestDirectory, `the kubelet's staticPodPath; "" for none`)
	f.String("kubelet.log", d.Kubelet.Log, `the kubelet's log: file:///PATH, journald:UNIT, tcp://HOST:PORT, udp://HOST:PORT, stdin; "" for none`)
	f.String("kubelet.standalone", d.Kubelet.Standalone, "whether the kubelet runs without an API server: auto, true or false")
	f.Duration("kubelet.resync-interval", d.Kubelet.ResyncInterval, "how often everything is asked anew although nothing told of a change")
	f.Duration("kubelet.rollout-deadline", d.Kubelet.RolloutDeadline, "how long a new revision may take to be Ready")
	f.String("cri.endpoint", d.CRI.Endpoint, `socket of the container runtime; "" for none`)
	f.String("mirror.kubeconfig", d.Mirror.Kubeconfig, "kubeconfig to compare static pods with their mirror pods")
	f.StringSlice("web.listen-address", d.Web.ListenAddress, "addresses for metrics, listings and the page")
	f.Bool("web.systemd-socket", d.Web.SystemdSocket, "take the web listeners from systemd")
	f.String("web.config.file", d.Web.Config.File, "web configuration with TLS and authentication (exporter-toolkit)")
	f.String("log.level", d.Log.Level, "debug, info, warn or error")
	f.String("log.format", d.Log.Format, "logfmt or json")
	f.Bool("log.otel", d.Log.OTel, "send the log as OpenTelemetry log records too, where the OTEL_ variables have them sent")
	f.String("config.file", "", "configuration file (default "+defaultConfigFile+" when it is there)")
}
