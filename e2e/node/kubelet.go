package node

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/version"
	logsapi "k8s.io/component-base/logs/api/v1"
	kubeletconfig "k8s.io/kubelet/config/v1beta1"
	"sigs.k8s.io/yaml"
)

const podsAPI = "PodsAPI" // the feature gate

// gateSince is the minor release in which a gate that the tests set came.
var gateSince = map[string]uint{"ContainerRestartRules": 34, "RestartAllContainersOnContainerExits": 35, podsAPI: 36}

// kubeletConfiguration is what makes a kubelet that stands alone, disturbs nobody and finds its limits nowhere.
func (n *Node) kubeletConfiguration() *kubeletconfig.KubeletConfiguration {
	o := n.options
	c := &kubeletconfig.KubeletConfiguration{
		TypeMeta:           metav1.TypeMeta{APIVersion: kubeletconfig.SchemeGroupVersion.String(), Kind: "KubeletConfiguration"},
		StaticPodPath:      n.ManifestDirectory(),
		FileCheckFrequency: metav1.Duration{Duration: o.FileCheckFrequency},
		StaticPodURL:       o.ManifestURL,
		StaticPodURLHeader: map[string][]string{},
		HTTPCheckFrequency: metav1.Duration{Duration: o.HTTPCheckFrequency},

		Address: "127.0.0.1", Port: n.port, ReadOnlyPort: n.readOnlyPort, HealthzPort: new(int32(0)),
		TLSCertFile: n.certificates.serverCert, TLSPrivateKeyFile: n.certificates.serverKey,
		Authorization: kubeletconfig.KubeletAuthorization{Mode: kubeletconfig.KubeletAuthorizationModeAlwaysAllow},
		FeatureGates:  maps.Clone(o.FeatureGates),

		ContainerRuntimeEndpoint: n.RuntimeEndpoint(),
		CgroupDriver:             "cgroupfs",
		CgroupRoot:               "/" + n.lease.Cgroup,
		PodLogsDir:               n.path("pods"),
		VolumePluginDir:          n.path("kubelet/volume-plugins"),

		FailSwapOn: new(false), FailCgroupV1: new(false),
		MakeIPTablesUtilChains:           new(false),
		LocalStorageCapacityIsolation:    new(false),
		EnforceNodeAllocatable:           []string{},
		OOMScoreAdj:                      new(int32(0)),
		ImageGCHighThresholdPercent:      new(int32(100)),
		EvictionHard:                     map[string]string{"memory.available": "0%", "nodefs.available": "0%", "nodefs.inodesFree": "0%", "imagefs.available": "0%", "imagefs.inodesFree": "0%"},
		EvictionPressureTransitionPeriod: metav1.Duration{},

		Logging: logsapi.LoggingConfiguration{Format: o.LogFormat, Verbosity: logsapi.VerbosityLevel(*o.LogVerbosity)},
	}
	if o.ManifestURL != "" {
		c.StaticPodURLHeader = o.ManifestURLHeader
	}
	c.Authentication.Webhook.Enabled = new(false)
	c.Authentication.Anonymous.Enabled = new(o.Auth == Anonymous)
	if o.Auth == ClientCertificates {
		c.Authentication.X509.ClientCAFile = n.certificates.ca
	}
	// It would not start with a gate that it does not know.
	maps.DeleteFunc(c.FeatureGates, func(gate string, _ bool) bool {
		minor, ok := gateSince[gate]
		return ok && !n.kubeletSince(1, minor)
	})
	if o.Configure != nil {
		o.Configure(c)
	}
	return c
}

// kubeletCommand writes the kubelet's configuration and returns how to run it.
func (n *Node) kubeletCommand() (*exec.Cmd, error) {
	text, err := yaml.Marshal(n.kubeletConfiguration())
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(n.path("kubelet.yaml"), text, 0o600); err != nil {
		return nil, err
	}
	cmd := exec.Command(n.programs.Kubelet, "--config", n.path("kubelet.yaml"), "--root-dir", n.path("kubelet"),
		"--cert-dir", n.path("pki"), "--hostname-override", n.options.Name)
	if n.Cluster != nil {
		cmd.Args = append(cmd.Args, "--kubeconfig", n.Cluster.KubeletKubeconfig())
	}
	// A proxy of the user's environment would come between the kubelet and a staticPodURL that is not loopback.
	cmd.Env = append(append(os.Environ(), "NO_PROXY=*", "no_proxy=*"), n.options.Environment...)
	cmd.Stdout, cmd.Stderr = n.log, n.log
	return cmd, nil
}

// kubeletReady reports whether the kubelet answers for its pods, and has the sockets that it will have.
func (n *Node) kubeletReady(ctx context.Context) error {
	if _, err := n.Pods(ctx); err != nil {
		return err
	}
	if !n.HasPodsAPI() {
		return nil
	}
	_, err := os.Stat(n.podsSocket())
	return err
}

// HasPodsAPI reports whether the kubelet has the socket of the Pods API: by default it does from 1.37 on.
func (n *Node) HasPodsAPI() bool {
	if enabled, set := n.options.FeatureGates[podsAPI]; set && !enabled {
		return false
	}
	return n.kubeletSince(1, 37)
}

// PredictsUIDs reports whether the kubelet is of the minor release that the exporter is built with, and so gives the
// pods of files the UIDs that the exporter predicts.
func (n *Node) PredictsUIDs() bool { return n.kubeletSince(1, 37) }

// kubeletSince reports whether the kubelet is of a release or a later one.
func (n *Node) kubeletSince(major, minor uint) bool {
	v, err := version.ParseSemantic(n.programs.KubeletVersion)
	return err != nil || v.AtLeast(version.MajorMinor(major, minor))
}

// Pods asks the kubelet for its pods.
func (n *Node) Pods(ctx context.Context) ([]corev1.Pod, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, n.KubeletEndpoint()+"/pods", nil)
	if err != nil {
		return nil, fmt.Errorf("kubelet: %w", err)
	}
	res, err := n.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("kubelet: %w", err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, fmt.Errorf("kubelet: %w", err)
	}
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("kubelet: /pods: %s", res.Status)
	}
	var list corev1.PodList
	if err := json.Unmarshal(body, &list); err != nil {
		return nil, fmt.Errorf("kubelet: /pods: %w", err)
	}
	return list.Items, nil
}
