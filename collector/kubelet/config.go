package kubelet

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	maxConfig  = 4 << 20
	maxMetrics = 16 << 20
	maxStatus  = 1 << 20
)

// config reads /configz. Only the kubelet's main server has it.
func (s *server) config(ctx context.Context) (*Config, error) {
	var c *Config
	err := s.get(ctx, "configz", "application/json", maxConfig, func(body io.Reader) (err error) {
		c, err = parseConfig(body)
		return err
	})
	return c, err
}

// parseConfig reads the fields of Config out of /configz.
func parseConfig(r io.Reader) (*Config, error) {
	var z struct {
		Kubelet *struct {
			StaticPodPath      string              `json:"staticPodPath"`
			StaticPodURL       string              `json:"staticPodURL"`
			StaticPodURLHeader map[string][]string `json:"staticPodURLHeader"`
			FileCheckFrequency metav1.Duration     `json:"fileCheckFrequency"`
			HTTPCheckFrequency metav1.Duration     `json:"httpCheckFrequency"`
			FeatureGates       map[string]bool     `json:"featureGates"`
			PodLogsDir         string              `json:"podLogsDir"`
			Logging            struct {
				Format    string `json:"format"`
				Verbosity int    `json:"verbosity"`
			} `json:"logging"`
		} `json:"kubeletconfig"`
	}
	if err := json.NewDecoder(r).Decode(&z); err != nil {
		return nil, err
	}
	k := z.Kubelet
	if k == nil {
		return nil, errors.New("the answer is no kubelet configuration")
	}
	return &Config{
		StaticPodPath:      k.StaticPodPath,
		StaticPodURL:       k.StaticPodURL,
		StaticPodURLHeader: k.StaticPodURLHeader,
		FileCheckFrequency: k.FileCheckFrequency.Duration,
		HTTPCheckFrequency: k.HTTPCheckFrequency.Duration,
		FeatureGates:       k.FeatureGates,
		PodLogsDir:         k.PodLogsDir,
		LoggingFormat:      k.Logging.Format,
		LoggingVerbosity:   k.Logging.Verbosity,
	}, nil
}

// version asks for the kubelet's version: its metrics have the whole of it, its status page the minor version
// alone, which is what remains when it was built without a version or may not be asked for metrics. It is ""
// when the kubelet answers and does not say.
func (s *server) version(ctx context.Context) (string, error) {
	var version string
	err := s.get(ctx, "metrics", "text/plain", maxMetrics, func(body io.Reader) (err error) {
		version, err = parseBuildInfo(body)
		return err
	})
	if version != "" {
		return version, nil
	}
	if err != nil && !refuses(err) {
		return "", err
	}
	statuszErr := s.get(ctx, "statusz", "application/json;v=v1beta1;g=config.k8s.io;as=Statusz", maxStatus, func(body io.Reader) (err error) {
		version, err = parseStatusz(body)
		return err
	})
	if err == nil && refuses(statuszErr) {
		statuszErr = nil // an older kubelet, or the read-only port
	}
	return version, statuszErr
}

func parseStatusz(r io.Reader) (string, error) {
	var z struct {
		BinaryVersion string `json:"binaryVersion"`
	}
	if err := json.NewDecoder(r).Decode(&z); err != nil {
		return "", err
	}
	if z.BinaryVersion == "" {
		return "", nil
	}
	return "v" + strings.TrimPrefix(z.BinaryVersion, "v"), nil
}

// parseBuildInfo finds the version in the kubelet's metrics, "" when it was built without one.
func parseBuildInfo(r io.Reader) (string, error) {
	const metric, label = "kubernetes_build_info{", `git_version="`
	lines := bufio.NewReader(r)
	for begins := true; ; {
		line, err := lines.ReadSlice('\n') // a part of it, when it is longer than the buffer
		if begins && strings.HasPrefix(string(line), metric) {
			_, rest, _ := strings.Cut(string(line), label)
			version, _, found := strings.Cut(rest, `"`)
			if !found || !strings.HasPrefix(version, "v") || strings.HasPrefix(version, "v0.0.0") {
				return "", nil
			}
			return version, nil
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			begins = false
		case errors.Is(err, io.EOF):
			return "", nil
		case err != nil:
			return "", err
		default:
			begins = true
		}
	}
}

const (
	// A configuration is read again this often, since nothing tells of a kubelet that was restarted between
	// two questions over HTTP.
	knownFor = 5 * time.Minute
	// After a refusal, and after a failure.
	refusedFor = time.Minute
	failedFor  = 5 * time.Second
	// It must not hold up the pods.
	describeTimeout = 2 * time.Second
)

// A description is what a kubelet says of itself. It holds for the life of its process.
type description struct {
	config  *Config
	version string
	// What may be that of a kubelet before, because this one could not be asked for it yet.
	formerConfig, formerVersion bool

	generation uint64    // of the connections it was read over
	again      time.Time // when to ask again
}

// describe returns the description of the kubelet, which it asks for when that may be another one, or when it
// is time. What was read before holds while a kubelet cannot be asked; one that refuses to tell, and may be
// another one, has none. c.mu is held.
func (c *Client) describe(ctx context.Context) (*Config, string) {
	generation := c.generation()
	another := generation != c.described.generation
	if !another && time.Now().Before(c.described.again) {
		return c.described.config, c.described.version
	}
	ctx, cancel := context.WithTimeout(ctx, min(c.timeout, describeTimeout))
	defer cancel()
	d := c.described
	d.formerConfig, d.formerVersion = d.formerConfig || another, d.formerVersion || another
	wait := knownFor
	config, configErr := ask(c.servers, func(s *server) (*Config, error) { return s.config(ctx) })
	switch {
	case configErr == nil:
		d.config, d.formerConfig = config, false
	case refuses(configErr):
		wait = refusedFor
		if d.formerConfig {
			d.config, d.formerConfig = nil, false
		}
	default:
		wait = failedFor
	}
	if d.formerVersion || d.version == "" {
		version, err := ask(c.servers, func(s *server) (string, error) { return s.version(ctx) })
		switch {
		case err == nil || refuses(err):
			d.version, d.formerVersion = version, false
		default:
			wait = min(wait, failedFor)
		}
	}
	d.generation, d.again = c.generation(), time.Now().Add(wait)
	c.described = d
	return d.config, d.version
}

// ask puts a question to each server until one answers. The error is nil, or that of the server that has the
// most to say: one that refuses rather than one that cannot be reached.
func ask[T any](servers []*server, question func(*server) (T, error)) (T, error) {
	var none T
	var said error
	for _, s := range servers {
		answer, err := question(s)
		if err == nil {
			return answer, nil
		}
		if said == nil || refuses(err) && !refuses(said) {
			said = err
		}
	}
	return none, said
}

// refuses reports whether an error is an answer, so that to ask again soon is of no use.
func refuses(err error) bool {
	_, answered := errors.AsType[*StatusError](err)
	return answered || errors.Is(err, ErrUnauthorized)
}
